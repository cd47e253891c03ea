// Package disktest is a disk in memory, for tests of logs: it loses power at any
// operation, runs full, fails, and flips bits. It has no
// directories: a path counts by its last part only.
//
// What was not synced survives a loss of power by chance, piece by piece and name
// by name: torn, lost and reordered writes are all of that kind. After a failed
// sync the cache still shows what was written, as on Linux, and a later sync
// that succeeds does not write it.
package disktest

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync"
	"syscall"

	"github.com/kamado/kamado/internal/disk"
)

// PieceBytes is what survives as one, or not. It is small, so that little files have many.
const PieceBytes = 64

// Faults are what a disk does wrong. WriteErr and SyncErr are called while the disk
// is locked, and must not use it.
type Faults struct {
	PowerAt  int          // the operation, counted from 1, at which the power goes; 0: never
	WriteErr func() error // asked before each write; half of the write is done when it fails
	SyncErr  func() error // asked before each sync
	Lies     bool         // syncs do nothing: a control that must lose something
	Space    int64        // bytes that files may have together; 0: no bound
	Syncing  func()       // called by each sync before it begins; the disk is not locked then
}

// Disk is such a disk. Safe for concurrent use.
type Disk struct {
	mu      sync.Mutex
	faults  Faults
	files   map[string]*file // as programs see it
	durable map[string]*file // names that a loss of power leaves; a file's durable content is in it
	made    int              // files so far
	ops     int
	syncs   int
	off     bool
}

var _ disk.Disk = (*Disk)(nil)

type file struct {
	d      *Disk
	number int
	now    []byte
	synced []byte
	dirty  map[int]bool // pieces of now that the next sync writes
}

// New gives an empty disk.
func New(f Faults) *Disk {
	return &Disk{faults: f, files: map[string]*file{}, durable: map[string]*file{}}
}

// Set changes the faults.
func (d *Disk) Set(f Faults) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.faults = f
}

// Off says whether the power is gone.
func (d *Disk) Off() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.off
}

// Ops is how many operations were done or tried.
func (d *Disk) Ops() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.ops
}

// Syncs is how many syncs of files were done or tried.
func (d *Disk) Syncs() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.syncs
}

// CutPower ends all operations from now on.
func (d *Disk) CutPower() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.off = true
}

// step counts an operation. Preconditions: mu is held.
func (d *Disk) step() error {
	d.ops++
	if d.faults.PowerAt > 0 && d.ops >= d.faults.PowerAt {
		d.off = true
	}
	if d.off {
		return syscall.EIO
	}
	return nil
}

// Restart gives the disk as it is after a loss of power, in good order.
func (d *Disk) Restart(r *rand.Rand) *Disk {
	d.mu.Lock()
	defer d.mu.Unlock()
	next := New(Faults{})
	names := map[string]bool{}
	for name := range d.files {
		names[name] = true
	}
	for name := range d.durable {
		names[name] = true
	}
	for _, name := range slices.Sorted(maps.Keys(names)) { // in order: one seed, one outcome
		f := d.durable[name]
		if r.IntN(2) == 0 { // a change of the name that was not synced may be done too
			f = d.files[name]
		}
		if f != nil {
			next.put(name, f.survive(r))
		}
	}
	return next
}

// survive mixes the synced pieces with those that happened to be written.
func (f *file) survive(r *rand.Rand) []byte {
	out := bytes.Clone(f.synced)
	if r.IntN(3) > 0 && len(f.now) > len(out) { // the length is written before the pieces: zeros
		out = append(out, make([]byte, len(f.now)-len(out))...)
	} else if r.IntN(2) == 0 && len(f.now) < len(out) {
		out = out[:len(f.now)]
	}
	for _, piece := range slices.Sorted(maps.Keys(f.dirty)) {
		at := piece * PieceBytes
		if end := min(at+PieceBytes, len(out), len(f.now)); at < end && r.IntN(2) == 0 {
			copy(out[at:end], f.now[at:end])
		}
	}
	return out
}

// put makes b the durable content of a file. Preconditions: mu is held, or nobody else knows d.
func (d *Disk) put(name string, b []byte) {
	d.made++
	f := &file{d: d, number: d.made, now: bytes.Clone(b), synced: b, dirty: map[int]bool{}}
	d.files[name], d.durable[name] = f, f
}

// Bytes is what a program reads in a file; nil when there is none.
func (d *Disk) Bytes(name string) []byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	if f := d.files[filepath.Base(name)]; f != nil {
		return bytes.Clone(f.now)
	}
	return nil
}

// Number tells files of one name apart, as inodes do; 0: there is none.
func (d *Disk) Number(name string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	if f := d.files[filepath.Base(name)]; f != nil {
		return f.number
	}
	return 0
}

// Put makes b the durable content of a file.
func (d *Disk) Put(name string, b []byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.put(filepath.Base(name), bytes.Clone(b))
}

// Flip turns one bit of a file, at rest.
func (d *Disk) Flip(name string, bit int) {
	b := d.Bytes(name)
	b[bit/8] ^= 1 << (bit % 8)
	d.Put(name, b)
}

// room says whether files may grow by some bytes. Preconditions: mu is held.
func (d *Disk) room(grow int) error {
	if d.faults.Space == 0 || grow <= 0 || d.used()+int64(grow) <= d.faults.Space {
		return nil
	}
	return syscall.ENOSPC
}

func (d *Disk) used() (n int64) {
	for _, f := range d.files {
		n += int64(len(f.now))
	}
	return n
}

// Create makes an empty file.
func (d *Disk) Create(path string) (disk.File, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.step(); err != nil {
		return nil, err
	}
	d.made++
	f := &file{d: d, number: d.made, dirty: map[int]bool{}}
	d.files[filepath.Base(path)] = f
	return f, nil
}

// Open opens a file.
func (d *Disk) Open(path string) (disk.File, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f := d.files[filepath.Base(path)]
	if f == nil {
		return nil, fs.ErrNotExist
	}
	if err := d.step(); err != nil {
		return nil, err
	}
	return f, nil
}

// Rename gives a file another name.
func (d *Disk) Rename(from, to string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	f := d.files[filepath.Base(from)]
	if f == nil {
		return fs.ErrNotExist
	}
	if err := d.step(); err != nil {
		return err
	}
	d.files[filepath.Base(to)] = f
	delete(d.files, filepath.Base(from))
	return nil
}

// Remove takes a name away.
func (d *Disk) Remove(path string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.files[filepath.Base(path)] == nil {
		return fs.ErrNotExist
	}
	if err := d.step(); err != nil {
		return err
	}
	delete(d.files, filepath.Base(path))
	return nil
}

// SyncDir makes the names durable.
func (d *Disk) SyncDir(string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.step(); err != nil {
		return err
	}
	if d.faults.Lies {
		return nil
	}
	clear(d.durable)
	maps.Copy(d.durable, d.files)
	return nil
}

// Names lists the files.
func (d *Disk) Names(string) ([]string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Sorted(maps.Keys(d.files)), d.step()
}

// Free is what is left of Faults.Space.
func (d *Disk) Free(string) (int64, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.faults.Space == 0 {
		return 1 << 50, nil
	}
	return max(0, d.faults.Space-d.used()), nil
}

func (f *file) WriteAt(p []byte, at int64) (int, error) {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	err := f.d.step()
	if err == nil && f.d.faults.WriteErr != nil {
		err = f.d.faults.WriteErr()
	}
	if err == nil {
		err = f.d.room(int(at) + len(p) - len(f.now))
	}
	if err != nil {
		p = p[:len(p)/2]
		if errors.Is(err, syscall.ENOSPC) {
			p = p[:min(len(p), max(0, len(f.now)-int(at)))]
		}
	}
	f.grow(int(at) + len(p))
	for i := int(at) / PieceBytes; i*PieceBytes < int(at)+len(p); i++ {
		f.dirty[i] = true
	}
	return copy(f.now[min(int(at), len(f.now)):], p), err
}

// grow makes the file at least so long.
func (f *file) grow(size int) {
	if more := size - len(f.now); more > 0 {
		for i := len(f.now) / PieceBytes; i*PieceBytes < min(size, len(f.synced)); i++ {
			f.dirty[i] = true // what a Truncate cut away is zeros now
		}
		f.now = append(f.now, make([]byte, more)...)
	}
}

func (f *file) Allocate(size int64) error {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	err := f.d.step()
	if err == nil {
		err = f.d.room(int(size) - len(f.now))
	}
	if err == nil {
		f.grow(int(size))
	}
	return err
}

func (f *file) Sync() error {
	f.d.mu.Lock()
	syncing := f.d.faults.Syncing
	f.d.mu.Unlock()
	if syncing != nil {
		syncing()
	}
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	f.d.syncs++
	if err := f.d.step(); err != nil {
		return err
	}
	if f.d.faults.SyncErr != nil {
		if err := f.d.faults.SyncErr(); err != nil {
			f.synced = f.survive(rand.New(rand.NewPCG(1, uint64(f.d.ops))))
			clear(f.dirty) // the kernel calls the pages clean
			return err
		}
	}
	if f.d.faults.Lies {
		return nil
	}
	if len(f.synced) > len(f.now) {
		f.synced = f.synced[:len(f.now)]
	} else {
		f.synced = append(f.synced, make([]byte, len(f.now)-len(f.synced))...)
	}
	for piece := range f.dirty {
		if at := piece * PieceBytes; at < len(f.now) {
			end := min(at+PieceBytes, len(f.now))
			copy(f.synced[at:end], f.now[at:end])
		}
	}
	clear(f.dirty)
	return nil
}

func (f *file) Truncate(size int64) error {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if err := f.d.step(); err != nil {
		return err
	}
	if int(size) < len(f.now) {
		f.now = f.now[:size:size]
		f.dirty[int(size)/PieceBytes] = true
	}
	f.grow(int(size))
	return nil
}

func (f *file) ReadAt(p []byte, at int64) (int, error) {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if f.d.off {
		return 0, syscall.EIO
	}
	return bytes.NewReader(f.now).ReadAt(p, at)
}

func (f *file) Size() (int64, error) {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	return int64(len(f.now)), nil
}

func (f *file) Close() error { return nil }

var _ io.ReaderAt = (*file)(nil)
