package journal

import (
	"bytes"
	"io"
	"io/fs"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
)

// memDisk is a disk in memory that can lose power, run full and fail. What was not
// synced survives a loss of power by chance, page by page and name by name.
type memDisk struct {
	mu      sync.Mutex
	files   map[string]*memFile // as programs see it
	durable map[string]*memFile // names that a loss of power leaves; a file's durable content is in it

	ops      int          // done so far
	powerAt  int          // the operation at which the power goes; 0: never
	off      bool         // it is gone: everything fails
	writeErr func() error // asked before each write; half of the write is done when it fails
	syncErr  func() error // asked before each sync; a failed one drops the unsynced pages, as Linux may
	lies     bool         // syncs do nothing: the control
	syncing  func()       // called by each sync, without mu
	syncs    int
}

const pageBytes = 64 // small, so that little files have many

type memFile struct {
	d      *memDisk
	now    []byte
	synced []byte
}

func newMemDisk() *memDisk {
	return &memDisk{files: map[string]*memFile{}, durable: map[string]*memFile{}}
}

// step counts an operation. Preconditions: mu is held.
func (d *memDisk) step() error {
	d.ops++
	if d.powerAt > 0 && d.ops >= d.powerAt {
		d.off = true
	}
	if d.off {
		return syscall.EIO
	}
	return nil
}

// restart gives the disk after a loss of power.
func (d *memDisk) restart(r *rand.Rand) *memDisk {
	d.mu.Lock()
	defer d.mu.Unlock()
	next := newMemDisk()
	names := map[string]bool{}
	for name := range d.files {
		names[name] = true
	}
	for name := range d.durable {
		names[name] = true
	}
	for name := range names {
		f := d.durable[name]
		if r.IntN(2) == 0 { // a change of the name that was not synced may be done too
			f = d.files[name]
		}
		if f != nil {
			b := f.survive(r)
			next.files[name] = &memFile{d: next, now: b, synced: bytes.Clone(b)}
			next.durable[name] = next.files[name]
		}
	}
	return next
}

// survive mixes the synced pages with those that happened to be written.
func (f *memFile) survive(r *rand.Rand) []byte {
	out := bytes.Clone(f.synced)
	if r.IntN(3) > 0 && len(f.now) > len(out) { // the length is written before the pages: zeros
		out = append(out, make([]byte, len(f.now)-len(out))...)
	} else if r.IntN(2) == 0 && len(f.now) < len(out) {
		out = out[:len(f.now)]
	}
	for at := 0; at < len(out); at += pageBytes {
		if end := min(at+pageBytes, len(out), len(f.now)); at < end && r.IntN(2) == 0 {
			copy(out[at:end], f.now[at:end])
		}
	}
	return out
}

func (d *memDisk) Create(path string) (file, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.step(); err != nil {
		return nil, err
	}
	f := &memFile{d: d}
	d.files[filepath.Base(path)] = f
	return f, nil
}

func (d *memDisk) Open(path string) (file, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f := d.files[filepath.Base(path)]
	if f == nil {
		return nil, fs.ErrNotExist
	}
	return f, d.step()
}

func (d *memDisk) Rename(from, to string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.step(); err != nil {
		return err
	}
	d.files[filepath.Base(to)] = d.files[filepath.Base(from)]
	delete(d.files, filepath.Base(from))
	return nil
}

func (d *memDisk) Remove(path string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.files[filepath.Base(path)] == nil {
		return fs.ErrNotExist
	}
	delete(d.files, filepath.Base(path))
	return d.step()
}

func (d *memDisk) SyncDir(string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.step(); err != nil {
		return err
	}
	if d.lies {
		return nil
	}
	clear(d.durable)
	for name, f := range d.files {
		d.durable[name] = f
	}
	return nil
}

func (f *memFile) WriteAt(p []byte, at int64) (int, error) {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	err := f.d.step()
	if err == nil && f.d.writeErr != nil {
		err = f.d.writeErr()
	}
	if err != nil {
		p = p[:len(p)/2]
	}
	if grow := int(at) + len(p) - len(f.now); grow > 0 {
		f.now = append(f.now, make([]byte, grow)...)
	}
	return copy(f.now[at:], p), err
}

func (f *memFile) Sync() error {
	if f.d.syncing != nil {
		f.d.syncing()
	}
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	f.d.syncs++
	if err := f.d.step(); err != nil {
		return err
	}
	if f.d.syncErr != nil {
		if err := f.d.syncErr(); err != nil {
			f.synced = f.survive(rand.New(rand.NewPCG(1, uint64(f.d.ops))))
			f.now = bytes.Clone(f.synced)
			return err
		}
	}
	if !f.d.lies {
		f.synced = bytes.Clone(f.now)
	}
	return nil
}

func (f *memFile) Truncate(size int64) error {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if err := f.d.step(); err != nil {
		return err
	}
	f.now = append(f.now[:min(size, int64(len(f.now)))], make([]byte, max(0, size-int64(len(f.now))))...)
	return nil
}

func (f *memFile) ReadAt(p []byte, at int64) (int, error) {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	return bytes.NewReader(f.now).ReadAt(p, at)
}

func (f *memFile) Size() (int64, error) {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	return int64(len(f.now)), nil
}

func (f *memFile) Close() error { return nil }

var _ io.ReaderAt = (*memFile)(nil)

// bytesOf is what a program reads in the journal's file.
func (d *memDisk) bytesOf(t *testing.T) []byte {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.files[fileName] == nil {
		t.Fatal("there is no journal on the disk")
	}
	return bytes.Clone(d.files[fileName].now)
}

// put makes b the durable content of the journal's file.
func (d *memDisk) put(b []byte) {
	f := &memFile{d: d, now: bytes.Clone(b), synced: bytes.Clone(b)}
	d.files[fileName], d.durable[fileName] = f, f
}
