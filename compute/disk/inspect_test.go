package disk_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kamado/kamado/compute/disk"
	"github.com/kamado/kamado/compute/disk/disktest"
)

// TestHostileImagesAreRefused walks all of them. That no file was opened follows
// from what Inspect is given: bytes, and no name; TestHostileUploads of package
// registry looks at it from outside.
func TestHostileImagesAreRefused(t *testing.T) {
	list := disktest.Hostiles(t, "/canary")
	if len(list) < 120 {
		t.Fatalf("only %d hostile images", len(list))
	}
	seen := map[string]bool{}
	for _, h := range list {
		if seen[h.Name] {
			t.Errorf("two images are called %q", h.Name)
		}
		seen[h.Name] = true
		info, err := disk.Inspect(bytes.NewReader(h.Bytes), int64(len(h.Bytes)), h.Declared)
		if err == nil {
			t.Errorf("%s was taken: %+v", h.Name, info)
		} else if !disk.Refused(err) {
			t.Errorf("%s: %v, want a refusal", h.Name, err)
		}
	}
	t.Logf("%d hostile images", len(list))
}

func TestGoodImagesAreTaken(t *testing.T) {
	pad := func(at int, text string) []byte {
		b := make([]byte, 64<<10)
		copy(b[at:], text)
		return b
	}
	features := disktest.Extension(0x6803F857, strings.Repeat("\x00\x00dirty bit", 4))
	for _, c := range []struct {
		name, declared, format, found string
		bytes                         []byte
		size                          int64
	}{
		{"qcow2 version 3", "qcow2", "qcow2", "qcow2", disktest.GoodQcow2(), 64 << 20},
		{"qcow2 version 2", "qcow2", "qcow2", "qcow2", disktest.GoodV2(), 64 << 20},
		{"names of features", "qcow2", "qcow2", "qcow2", features, 64 << 20},
		{"zstd", "qcow2", "qcow2", "qcow2", disktest.With(disktest.With(disktest.GoodQcow2(), 72, uint64(1<<3)), 104, byte(1)), 64 << 20},
		{"subclusters", "qcow2", "qcow2", "qcow2", disktest.With(disktest.GoodQcow2(), 72, uint64(1<<4)), 64 << 20},
		{"lazy refcounts", "qcow2", "qcow2", "qcow2", disktest.With(disktest.GoodQcow2(), 80, uint64(1)), 64 << 20},
		{"half a sector", "qcow2", "qcow2", "qcow2", disktest.With(disktest.GoodQcow2(), 24, uint64(1000)), 1024},
		{"zeros", "raw", "raw", "raw", pad(0, ""), 64 << 10},
		{"MBR", "raw", "raw", "mbr", pad(510, "\x55\xaa"), 64 << 10},
		{"GPT", "raw", "raw", "gpt", pad(512, "EFI PART"), 64 << 10},
		{"a DVD as a disk", "raw", "raw", "iso", pad(32769, "CD001"), 64 << 10},
		{"a DVD", "iso", "raw", "iso", pad(32769, "CD001"), 64 << 10},
		{"a kernel", "aki", "raw", "mbr", pad(510, "\x55\xaaHdrS"), 64 << 10},
		{"a RAM disk", "ari", "raw", "raw", pad(0, "070701"), 64 << 10},
		{"a file system", "ami", "raw", "raw", pad(1080, "\x53\xef"), 64 << 10},
		{"a text that is no descriptor", "raw", "raw", "raw", pad(0, "# a shell script\necho version=1\n"), 64 << 10},
		{"one byte", "raw", "raw", "raw", []byte("x"), 512},
	} {
		got, err := disk.Inspect(bytes.NewReader(c.bytes), int64(len(c.bytes)), c.declared)
		want := disk.Info{Format: c.format, Found: c.found, VirtualSize: c.size}
		if err != nil || got != want {
			t.Errorf("Inspect of %s as %s = %+v, %v, want %+v", c.name, c.declared, got, err, want)
		}
	}
}

// TestWhatQEMUWritesIsTaken lets qemu-img make images in every way that is taken,
// and ways that are not.
func TestWhatQEMUWritesIsTaken(t *testing.T) {
	img := qemu(t, "qemu-img")
	for _, c := range []struct {
		name string
		args []string
		ok   bool
	}{
		{"plain", nil, true},
		{"version 2", []string{"-o", "compat=0.10"}, true},
		{"small clusters", []string{"-o", "cluster_size=512"}, true},
		{"large clusters", []string{"-o", "cluster_size=2M"}, true},
		{"preallocated", []string{"-o", "preallocation=metadata"}, true},
		{"lazy refcounts", []string{"-o", "lazy_refcounts=on"}, true},
		{"subclusters", []string{"-o", "extended_l2=on"}, true},
		{"zstd", []string{"-o", "compression_type=zstd"}, true},
		{"refcounts of one bit", []string{"-o", "refcount_bits=1"}, true},
		{"refcounts of 64 bits", []string{"-o", "refcount_bits=64"}, true},
		{"a backing file", []string{"-b", "BASE", "-F", "raw"}, false},
		{"a data file", []string{"-o", "data_file=DATA"}, false},
		{"encrypted", []string{"--object", "secret,id=s,data=x", "-o", "encrypt.format=luks,encrypt.key-secret=s,encrypt.iter-time=10"}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			base, file := filepath.Join(dir, "base"), filepath.Join(dir, "image")
			writeRandom(t, base, 3<<20)
			args := []string{"create", "-q", "-f", "qcow2"}
			for _, a := range c.args {
				args = append(args, strings.NewReplacer("BASE", base, "DATA", filepath.Join(dir, "data")).Replace(a))
			}
			run(t, img, append(args, file, "3M")...)
			checkFile(t, file, "qcow2", c.ok, 3<<20)
			if c.ok && !strings.Contains(c.name, "subclusters") {
				convert := append([]string{"convert", "-c", "-f", "raw", "-O", "qcow2"}, c.args...)
				if strings.Contains(strings.Join(c.args, " "), "preallocation") {
					return // not together with compression
				}
				out := filepath.Join(dir, "compressed")
				run(t, img, append(convert, base, out)...)
				checkFile(t, out, "qcow2", true, 3<<20)
			}
		})
	}
	t.Run("other formats", func(t *testing.T) {
		dir := t.TempDir()
		for _, format := range []string{"vmdk", "vdi", "vpc", "vhdx", "qed", "parallels", "luks", "qcow"} {
			file := filepath.Join(dir, format)
			args := []string{"create", "-q", "-f", format}
			if format == "luks" {
				args = append(args, "--object", "secret,id=s,data=x", "-o", "key-secret=s,iter-time=10")
			}
			if out, err := exec.CommandContext(t.Context(), img, append(args, file, "8M")...).CombinedOutput(); err != nil {
				t.Logf("qemu-img does not make %s: %s", format, out)
				continue
			}
			for _, declared := range []string{"raw", "qcow2", "aki", "iso"} {
				checkFile(t, file, declared, false, 0)
			}
		}
		for _, sub := range []string{"monolithicFlat", "twoGbMaxExtentFlat", "twoGbMaxExtentSparse", "streamOptimized"} {
			file := filepath.Join(dir, sub+".vmdk")
			run(t, img, "create", "-q", "-f", "vmdk", "-o", "subformat="+sub, file, "8M")
			checkFile(t, file, "raw", false, 0)
		}
	})
	t.Run("an internal snapshot", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "image")
		run(t, img, "create", "-q", "-f", "qcow2", file, "3M")
		run(t, img, "snapshot", "-c", "one", file)
		checkFile(t, file, "qcow2", false, 0)
	})
}

func checkFile(t *testing.T, file, declared string, ok bool, size int64) {
	t.Helper()
	f, err := os.Open(file)
	must(t, err)
	defer f.Close()
	fi, err := f.Stat()
	must(t, err)
	info, err := disk.Inspect(f, fi.Size(), declared)
	switch {
	case ok && (err != nil || info.VirtualSize != size):
		t.Errorf("%s = %+v, %v, want %d bytes", filepath.Base(file), info, err, size)
	case !ok && !disk.Refused(err):
		t.Errorf("%s as %s = %+v, %v, want a refusal", filepath.Base(file), declared, info, err)
	}
}

type broken struct{}

var errBroken = errors.New("the disk is broken")

func (broken) ReadAt([]byte, int64) (int, error) { return 0, errBroken }

func TestAFailedReadIsNoRefusal(t *testing.T) {
	if _, err := disk.Inspect(broken{}, 1<<20, "raw"); !errors.Is(err, errBroken) || disk.Refused(err) {
		t.Errorf("Inspect = %v, want the reader's error", err)
	}
}

// counter counts what is read.
type counter struct {
	io.ReaderAt
	bytes int
}

func (c *counter) ReadAt(p []byte, at int64) (int, error) {
	c.bytes += len(p)
	return c.ReaderAt.ReadAt(p, at)
}

// sparse is a large image of zeros behind its first bytes.
type sparse []byte

func (s sparse) ReadAt(p []byte, at int64) (int, error) {
	clear(p)
	if at < int64(len(s)) {
		copy(p, s[at:])
	}
	return len(p), nil
}

// TestInspectReadsLittle holds the bound on what an image costs, with the largest tables.
func TestInspectReadsLittle(t *testing.T) {
	b := disktest.With(disktest.With(disktest.GoodQcow2(), 36, uint32(4<<20)), 40, uint64(1<<32))
	b = disktest.With(disktest.With(b, 56, uint32(128)), 48, uint64(1<<33))
	c := &counter{ReaderAt: sparse(b)}
	if _, err := disk.Inspect(c, 1<<40, "qcow2"); err != nil {
		t.Fatal(err)
	}
	if c.bytes > 41<<20 {
		t.Errorf("%d bytes were read, want at most 41 MiB", c.bytes)
	}
	c = &counter{ReaderAt: sparse(nil)}
	if _, err := disk.Inspect(c, 1<<40, "raw"); err != nil || c.bytes > 8192 {
		t.Errorf("Inspect of a raw image = %v after %d bytes, want at most 8192", err, c.bytes)
	}
}

func FuzzInspect(f *testing.F) {
	for _, b := range [][]byte{disktest.GoodQcow2(), disktest.GoodV2()} {
		f.Add(b[:512], "qcow2")
	}
	for _, h := range disktest.Hostiles(f, "/canary") {
		if len(h.Name)%9 == 0 {
			f.Add(h.Bytes[:min(len(h.Bytes), 700)], h.Declared)
		}
	}
	f.Fuzz(func(t *testing.T, head []byte, declared string) {
		// The head on a file of zeros, so that tables lie within the file.
		const size = 1 << 20
		file := make([]byte, max(size, len(head)))
		copy(file, head)
		info, err := disk.Inspect(bytes.NewReader(file), int64(len(file)), declared)
		if err != nil {
			if !disk.Refused(err) {
				t.Errorf("Inspect = %v, want a refusal", err)
			}
			return
		}
		if info.VirtualSize <= 0 || info.VirtualSize > disk.VirtualSizeMax || info.VirtualSize%512 != 0 {
			t.Errorf("a disk of %d bytes", info.VirtualSize)
		}
		magic := bytes.HasPrefix(file, []byte("QFI\xfb"))
		switch {
		case info.Format == "qcow2" && (!magic || bytes.Contains(file[8:20], []byte{1}) && file[8] != 0):
			t.Error("a qcow2 image without its magic was taken")
		case info.Format == "raw" && magic:
			t.Error("a qcow2 image was taken as raw")
		case info.Format != "raw" && info.Format != "qcow2":
			t.Errorf("the format %q", info.Format)
		case info.Format == "qcow2" && !bytes.Equal(file[8:20], make([]byte, 12)):
			t.Error("an image with a backing file was taken")
		}
	})
}
