package disk_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"testing"

	"github.com/kamado/kamado/internal/disk"
	"github.com/kamado/kamado/internal/disk/disktest"
)

// TestDisks tries the same on the real disk and on the simulated one.
func TestDisks(t *testing.T) {
	t.Parallel()
	for name, d := range map[string]disk.Disk{"os": disk.OS{}, "memory": disktest.New(disktest.Faults{})} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			if _, err := d.Open(filepath.Join(dir, "a")); !disk.Missing(err) {
				t.Errorf("Open of no file = %v", err)
			}
			f, err := d.Create(filepath.Join(dir, "a"))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := f.WriteAt([]byte("hello"), 3); err != nil {
				t.Fatal(err)
			}
			if err := f.Allocate(4 << 20); err != nil {
				t.Fatal(err)
			}
			if err := f.Allocate(1); err != nil { // it never gets shorter
				t.Fatal(err)
			}
			if size, err := f.Size(); err != nil || size != 4<<20 {
				t.Errorf("Size = %d, %v", size, err)
			}
			b := make([]byte, 10)
			if _, err := f.ReadAt(b, 0); err != nil || string(b) != "\x00\x00\x00hello\x00\x00" {
				t.Errorf("ReadAt = %q, %v", b, err)
			}
			if err := errors.Join(f.Truncate(5), f.Sync(), f.Close(), d.Rename(filepath.Join(dir, "a"), filepath.Join(dir, "b")), d.SyncDir(dir)); err != nil {
				t.Fatal(err)
			}
			if names, err := d.Names(dir); err != nil || !slices.Equal(names, []string{"b"}) {
				t.Errorf("Names = %q, %v", names, err)
			}
			if free, err := d.Free(dir); err != nil || free <= 0 {
				t.Errorf("Free = %d, %v", free, err)
			}
			if err := d.Remove(filepath.Join(dir, "b")); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestLockIsHeldOnce(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "new", "lock")
	l, err := disk.TakeLock(path)
	if err != nil {
		t.Fatal(err)
	}
	var held *disk.HeldError
	if _, err := disk.TakeLock(path); !errors.As(err, &held) || held.PID != strconv.Itoa(os.Getpid()) {
		t.Errorf("a second TakeLock = %v, want held by this process", err)
	}
	if err := l.Release(); err != nil {
		t.Fatal(err)
	}
	if l, err = disk.TakeLock(path); err != nil {
		t.Fatal(err)
	}
	l.Release() //nolint:errcheck // the test is over
}

func TestFullAndMissing(t *testing.T) {
	t.Parallel()
	if !disk.Full(&os.PathError{Op: "write", Err: syscall.ENOSPC}) || disk.Full(syscall.EIO) || !disk.Missing(os.ErrNotExist) || disk.Missing(syscall.EIO) {
		t.Error("errors are taken for others")
	}
}
