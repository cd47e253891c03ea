package disk_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kamado/kamado/compute/disk"
)

// qemu gives the path of one of QEMU's tools.
func qemu(t testing.TB, name string) string {
	t.Helper()
	p, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("needs %s (./setup test installs it)", name)
	}
	return p
}

func run(t testing.TB, name string, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", filepath.Base(name), strings.Join(args, " "), err, out)
	}
	return string(out)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func writeRandom(t testing.TB, path string, size int) []byte {
	t.Helper()
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(i*7 + i>>9)
	}
	must(t, os.WriteFile(path, b, 0o600))
	return b
}

// TestOverlayIsWhatQEMUReads makes overlays over both kinds of base and lets
// QEMU judge: the structure, the size, the format of the base, the bytes, and
// what a write does.
func TestOverlayIsWhatQEMUReads(t *testing.T) {
	img, qio := qemu(t, "qemu-img"), qemu(t, "qemu-io")
	for _, format := range []string{"raw", "qcow2"} {
		for _, size := range []int64{3 << 20, 512 << 20, 512<<20 + 512, 5 << 40, disk.VirtualSizeMax} {
			t.Run(fmt.Sprintf("%s/%d", format, size), func(t *testing.T) {
				dir := t.TempDir()
				raw, base, over := filepath.Join(dir, "raw"), filepath.Join(dir, "base"), filepath.Join(dir, "over")
				writeRandom(t, raw, 3<<20)
				if format == "raw" {
					must(t, os.Link(raw, base))
				} else {
					run(t, img, "convert", "-f", "raw", "-O", "qcow2", raw, base)
				}
				must(t, disk.CreateOverlay(over, base, format, size))
				run(t, img, "check", "-f", "qcow2", over)
				var info struct {
					Size   int64  `json:"virtual-size"`
					Base   string `json:"backing-filename"`
					Format string `json:"backing-filename-format"`
				}
				must(t, json.Unmarshal([]byte(run(t, img, "info", "--output=json", "-f", "qcow2", over)), &info))
				if info.Size != size || info.Base != base || info.Format != format {
					t.Errorf("qemu-img info = %+v, want %d bytes over %s of format %s", info, size, base, format)
				}
				run(t, qio, "-f", "qcow2", "-c", "write -P 0x5a 1M 4k", "-c", "read -P 0x5a 1M 4k", over)
				run(t, qio, "-f", "qcow2", "-c", fmt.Sprintf("write -P 0x77 %d 512", size-512), over)
				run(t, img, "check", "-f", "qcow2", over)
				if size == 3<<20 {
					flat := filepath.Join(dir, "flat")
					run(t, img, "convert", "-f", "qcow2", "-O", "raw", over, flat)
					want, err := os.ReadFile(raw)
					must(t, err)
					copy(want[1<<20:], bytes.Repeat([]byte{0x5a}, 4096))
					copy(want[size-512:], bytes.Repeat([]byte{0x77}, 512))
					got, err := os.ReadFile(flat)
					must(t, err)
					if !bytes.Equal(got, want) {
						t.Error("what QEMU reads is not the base with the writes")
					}
				}
			})
		}
	}
}

func TestEmptyDiskReadsAsZeros(t *testing.T) {
	img := qemu(t, "qemu-img")
	dir := t.TempDir()
	zero, empty := filepath.Join(dir, "zero"), filepath.Join(dir, "empty")
	must(t, os.WriteFile(zero, nil, 0o600))
	must(t, os.Truncate(zero, 20<<20))
	must(t, disk.CreateEmpty(empty, 20<<20))
	run(t, img, "check", "-f", "qcow2", empty)
	run(t, img, "compare", "-f", "raw", "-F", "qcow2", zero, empty)
}

func TestOverlayRefusals(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "over")
	for name, err := range map[string]error{
		"a base of a guessed format": disk.CreateOverlay(path, "/base", "", 1<<20),
		"a base of another format":   disk.CreateOverlay(path, "/base", "vmdk", 1<<20),
		"no base":                    disk.CreateOverlay(path, "", "raw", 1<<20),
		"a base with a long path":    disk.CreateOverlay(path, strings.Repeat("x", 1024), "raw", 1<<20),
		"no size":                    disk.CreateOverlay(path, "/base", "raw", 0),
		"half a sector":              disk.CreateOverlay(path, "/base", "raw", 1<<20+256),
		"a size over the limit":      disk.CreateOverlay(path, "/base", "raw", disk.VirtualSizeMax+512),
		"a negative size":            disk.CreateEmpty(path, -512),
	} {
		if err == nil {
			t.Errorf("an overlay with %s was made", name)
		}
		if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s left a file", name)
		}
	}
	must(t, os.WriteFile(path, []byte("mine"), 0o600))
	if err := disk.CreateEmpty(path, 1<<20); !errors.Is(err, os.ErrExist) {
		t.Errorf("CreateEmpty over a file = %v, want os.ErrExist", err)
	}
}

func BenchmarkCreateOverlay(b *testing.B) {
	dir := b.TempDir()
	path := filepath.Join(dir, "over")
	b.ReportAllocs()
	for b.Loop() {
		if err := disk.CreateOverlay(path, "/var/lib/kamado/base/x.raw", "raw", 20<<30); err != nil {
			b.Fatal(err)
		}
		if err := os.Remove(path); err != nil {
			b.Fatal(err)
		}
	}
}
