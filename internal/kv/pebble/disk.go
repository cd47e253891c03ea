package pebble

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/kamado/kamado/internal/kv"
)

// disk is the file system as the engine sees it. Where a file meets the end of the
// space, it waits for more. Any other refusal of a write or a sync is the last
// that it says: after it nothing is written any more (a system that could not
// write pages once may have dropped them, and says nil the next time).
//
// All that is true of files in dir. A snapshot goes elsewhere: what fails there is
// only its own error.
type disk struct {
	vfs.FS
	dir string
	log *slog.Logger

	stopped chan struct{}
	waiting atomic.Int64 // writes that wait for space

	mu     sync.Mutex
	reason error     // why it stopped
	looked time.Time // when free was asked
	free   uint64    // bytes
	full   bool      // it was said that there is no space
}

// Times of a disk.
const (
	// lookEvery is how often the free space is asked for. At 500 MB/s FreeBytesMin of
	// 64 MiB is written in 130 ms.
	lookEvery = 50 * time.Millisecond
	// spaceWait is how often a file that waits for space tries again.
	spaceWait = 100 * time.Millisecond
)

func newDisk(fs vfs.FS, dir string, log *slog.Logger) *disk {
	return &disk{FS: fs, dir: dir, log: log, stopped: make(chan struct{})}
}

func (d *disk) fault() error {
	select {
	case <-d.stopped:
	default:
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.reason
}

// stop ends all writing; the first reason stays.
func (d *disk) stop(reason error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.reason == nil {
		d.reason = reason
		d.log.Error("the disk failed: entities are neither read nor written until the program is started anew", "err", reason)
		close(d.stopped)
	}
}

// space says whether there is room for a write: kv.ErrFull when not.
func (d *disk) space(least int64, now time.Time) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if since := now.Sub(d.looked); since < 0 || since >= lookEvery || d.full {
		u, err := d.GetDiskUsage(d.dir)
		if err != nil {
			return fmt.Errorf("%w: ask for the free space: %w", kv.ErrAway, err)
		}
		d.free, d.looked = u.AvailBytes, now
	}
	full := int64(min(d.free, 1<<62)) < least || d.waiting.Load() > 0
	if full != d.full {
		d.full = full
		if full {
			d.log.Error("no space for entities: writes are refused", "free_bytes", d.free, "least_bytes", least)
		} else {
			d.log.Info("there is space for entities again", "free_bytes", d.free)
		}
	}
	if full {
		return fmt.Errorf("%w: %d bytes are free, want %d", kv.ErrFull, d.free, least)
	}
	return nil
}

func (d *disk) ours(name string) bool {
	return name == d.dir || strings.HasPrefix(name, d.dir) && name[len(d.dir)] == '/'
}

// gate does something that changes the disk.
func (d *disk) gate(what, name string, do func() error) error {
	for {
		if err := d.fault(); err != nil {
			return err
		}
		err := do()
		switch {
		case err == nil || errors.Is(err, os.ErrNotExist) || errors.Is(err, os.ErrExist) || errors.Is(err, syscall.EXDEV) || !d.ours(name):
			return err
		case errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT):
			d.wait()
		default:
			d.stop(fmt.Errorf("%s %s: %w", what, name, err))
			return err
		}
	}
}

// wait gives the operator some time to make space.
func (d *disk) wait() {
	d.waiting.Add(1)
	defer d.waiting.Add(-1)
	t := time.NewTimer(spaceWait)
	defer t.Stop()
	select {
	case <-t.C:
	case <-d.stopped:
	}
}

func (d *disk) file(name string, open func() (vfs.File, error)) (vfs.File, error) {
	var f vfs.File
	err := d.gate("create", name, func() (err error) { f, err = open(); return err })
	if err != nil {
		return nil, err
	}
	return &file{File: f, d: d, name: name}, nil
}

func (d *disk) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return d.file(name, func() (vfs.File, error) { return d.FS.Create(name, c) })
}

func (d *disk) OpenReadWrite(name string, c vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	return d.file(name, func() (vfs.File, error) { return d.FS.OpenReadWrite(name, c, opts...) })
}

func (d *disk) ReuseForWrite(from, to string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return d.file(to, func() (vfs.File, error) { return d.FS.ReuseForWrite(from, to, c) })
}

func (d *disk) OpenDir(name string) (vfs.File, error) {
	return d.file(name, func() (vfs.File, error) { return d.FS.OpenDir(name) })
}

func (d *disk) Link(from, to string) error {
	return d.gate("link", to, func() error { return d.FS.Link(from, to) })
}

func (d *disk) Remove(name string) error {
	return d.gate("remove", name, func() error { return d.FS.Remove(name) })
}

func (d *disk) RemoveAll(name string) error {
	return d.gate("remove", name, func() error { return d.FS.RemoveAll(name) })
}

func (d *disk) Rename(from, to string) error {
	return d.gate("rename", to, func() error { return d.FS.Rename(from, to) })
}

func (d *disk) MkdirAll(dir string, perm os.FileMode) error {
	return d.gate("make directory", dir, func() error { return d.FS.MkdirAll(dir, perm) })
}

// Unwrap gives the file system below.
func (d *disk) Unwrap() vfs.FS { return d.FS }

// file is a file or a directory that is written to.
type file struct {
	vfs.File
	d    *disk
	name string
}

func (f *file) Write(p []byte) (done int, err error) {
	err = f.d.gate("write", f.name, func() error {
		n, err := f.File.Write(p[done:])
		done += n
		if err == nil && done < len(p) {
			err = io.ErrShortWrite
		}
		return err
	})
	return done, err
}

func (f *file) WriteAt(p []byte, at int64) (done int, err error) {
	err = f.d.gate("write", f.name, func() error {
		n, err := f.File.WriteAt(p[done:], at+int64(done))
		done += n
		return err
	})
	return done, err
}

func (f *file) Sync() error {
	return f.d.gate("sync", f.name, func() error { return syncError(f.File.Sync()) })
}

func (f *file) SyncData() error {
	return f.d.gate("sync", f.name, func() error { return syncError(f.File.SyncData()) })
}

func (f *file) SyncTo(length int64) (full bool, err error) {
	err = f.d.gate("sync", f.name, func() error {
		full, err = f.File.SyncTo(length)
		return syncError(err)
	})
	return full, err
}

// syncError makes a sync that failed for want of space a fault: what it did not
// write may be forgotten, so that it cannot be tried again.
func syncError(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fmt.Errorf("no space at a sync: %v", err)
	}
	return err
}
