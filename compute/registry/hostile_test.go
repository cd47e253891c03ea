package registry_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/kamado/kamado/compute"
	"github.com/kamado/kamado/compute/disk/disktest"
	"github.com/kamado/kamado/compute/registry"
	"github.com/kamado/kamado/internal/sqldb"
)

// watch tells of whoever opens or reads a file (inotify(7)).
type watch struct {
	t  *testing.T
	fd int
}

func watchFile(t *testing.T, files ...string) watch {
	t.Helper()
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		t.Skipf("needs inotify: %v", err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	for _, file := range files {
		if _, err := unix.InotifyAddWatch(fd, file, unix.IN_OPEN|unix.IN_ACCESS|unix.IN_ATTRIB|unix.IN_MODIFY); err != nil {
			t.Fatal(err)
		}
	}
	return watch{t, fd}
}

// events counts what happened since the last call.
func (w watch) events() int {
	w.t.Helper()
	n := 0
	for buf := make([]byte, 64<<10); ; {
		got, err := unix.Read(w.fd, buf)
		if err == unix.EAGAIN {
			return n
		}
		if err != nil {
			w.t.Fatal(err)
		}
		for at := 0; at < got; n++ {
			at += unix.SizeofInotifyEvent + int(binary.NativeEndian.Uint32(buf[at+12:]))
		}
	}
}

// TestHostileUploads sends every hostile image the way that clients do, with the
// paths of real files in them, and watches those files.
func TestHostileUploads(t *testing.T) {
	r := open(t, nil)
	secret := filepath.Join(t.TempDir(), "canary")
	must(t, os.WriteFile(secret, []byte("the canary"), 0o600))
	// /etc/passwd and /etc/shadow are named too, but other processes read them; nobody else reads the canary.
	w := watchFile(t, secret)
	if _, err := os.ReadFile(secret); err != nil || w.events() == 0 {
		t.Fatal("the watch does not see a file being read")
	}
	images := disktest.Hostiles(t, secret)
	m := r.create(t, alice, "raw")
	refused := 0
	for _, h := range images {
		if len(h.Bytes) == 0 {
			continue // nothing to take: TestEmptyUpload
		}
		if !slices.Contains(registry.DiskFormats(), h.Declared) {
			err := r.Create(t.Context(), alice, &compute.MachineImage{DiskFormat: h.Declared, ContainerFormat: "bare"})
			if h.Declared != "" {
				wantKind(t, "an image declared "+h.Declared, err, compute.Invalid)
			}
			continue
		}
		_, err := r.Update(t.Context(), alice, m.ID, func(m *compute.MachineImage) error { m.DiskFormat = h.Declared; return nil })
		must(t, err)
		_, err = r.Upload(t.Context(), m.ID, bytes.NewReader(h.Bytes), int64(len(h.Bytes)))
		wantKind(t, h.Name, err, compute.Invalid)
		refused++
	}
	if got := r.get(t, m.ID); got.Status != compute.ImageQueued || got.Size != 0 {
		t.Errorf("after %d refused uploads the image is %+v", refused, got)
	}
	if n := w.events(); n != 0 {
		t.Errorf("a file that an image names was touched %d times", n)
	}
	if files := r.files(t); len(files) != 0 {
		t.Errorf("left are %q", files)
	}
	if refused < 120 {
		t.Errorf("only %d images were uploaded", refused)
	}
	t.Logf("%d of %d hostile images uploaded, all refused", refused, len(images))
}

// TestHeaderWrittenByAGuest: a guest whose disk is raw writes a header of qcow2
// with a backing file to its first sector; its snapshot, were it raw, is refused,
// and so is the base when the bytes changed after the upload.
func TestHeaderWrittenByAGuest(t *testing.T) {
	r := open(t, nil)
	secret := filepath.Join(t.TempDir(), "canary")
	must(t, os.WriteFile(secret, []byte("the canary"), 0o600))
	w := watchFile(t, secret)
	disk := noise(1 << 20)
	m := r.active(t, alice, "raw", disk)
	header := disktest.With(disktest.With(disktest.GoodQcow2(), 8, uint64(512)), 16, uint32(len(secret)))
	copy(header[512:], secret)
	copy(disk, header)
	snapshot := r.create(t, alice, "raw")
	_, err := r.Upload(t.Context(), snapshot.ID, bytes.NewReader(disk), int64(len(disk)))
	wantKind(t, "a snapshot with a header of its guest", err, compute.Invalid)
	f, err := os.OpenFile(r.files(t)[0], os.O_WRONLY, 0)
	must(t, err)
	_, err = f.WriteAt(header, 0)
	must(t, err)
	must(t, f.Truncate(2<<20)) // as a resize does
	must(t, f.Close())
	_, err = r.Base(t.Context(), m.ID)
	wantKind(t, "a base with a header of its guest", err, compute.Invalid)
	if n := w.events(); n != 0 {
		t.Errorf("the file that the header names was touched %d times", n)
	}
}

// sharedDisk is a store on the same file system as the bytes: when that is full,
// nothing can be written.
type sharedDisk struct {
	compute.Store
	dir string
}

func (s sharedDisk) Write(ctx context.Context, fn func(*compute.Tx) error) error {
	var fs unix.Statfs_t
	if err := unix.Statfs(s.dir, &fs); err != nil {
		return err
	}
	if fs.Bavail == 0 {
		return sqldb.ErrFull
	}
	return s.Store.Write(ctx, fn)
}

// TestFullDisk fills a file system of 2 MiB.
func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("none", dir, "tmpfs", 0, "size=2m"); err != nil {
		t.Skipf("needs root, to mount a small file system: %v", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	r := openIn(t, dir, nil)
	r.Service = registry.New(sharedDisk{r.store, dir}, r.blobs, r.own, registry.Default(), slog.New(slog.DiscardHandler))
	small := r.active(t, alice, "raw", noise(1<<20))
	m := r.create(t, alice, "raw")
	for _, size := range []int64{-1, 3 << 20} {
		_, err := r.Upload(t.Context(), m.ID, bytes.NewReader(noise(3<<20)), size)
		wantKind(t, "an upload to a full disk", err, compute.TooLarge)
		if got := r.get(t, m.ID); got.Status != compute.ImageQueued {
			t.Errorf("after that the image is %s", got.Status)
		}
	}
	if files := r.files(t); len(files) != 1 {
		t.Errorf("left are %q, want one image", files)
	}
	must(t, r.Delete(t.Context(), alice, small.ID))
	_, err := r.Upload(t.Context(), m.ID, bytes.NewReader(noise(1<<20)), -1)
	must(t, err)
}
