// Package disk is what a log asks of a file system, and the real one. It is for
// those few packages that keep what must not be lost in files of their own, so that their tests
// can put a disk in its place that fails (package disktest). Whoever only reads and
// writes files uses package os.
//
// Vocabulary. A sync makes what was written to a file durable, its length
// included; SyncDir does that for names: a file that was made, renamed or
// removed is so for certain only afterwards.
//
// Invariant: after a Sync that failed nothing that the file's cache shows may be
// believed, and a later Sync that succeeds says nothing of what was written
// before; the caller reads again from what is durable, or gives up.
package disk

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Disk is a file system. Safe for concurrent use. Errors are those of package os.
type Disk interface {
	// Create makes an empty file, or empties the one that is there.
	Create(path string) (File, error)
	Open(path string) (File, error)
	Rename(from, to string) error
	Remove(path string) error
	// SyncDir makes the names in dir durable.
	SyncDir(dir string) error
	// Names lists what is in dir, in any order.
	Names(dir string) ([]string, error)
	// Free is how many bytes more a program may write under dir.
	Free(dir string) (int64, error)
}

// File is an open file. Reads may run beside writes of other places.
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	// Sync makes what was written durable, the length included.
	Sync() error
	Truncate(size int64) error
	Size() (int64, error)
	// Allocate makes the file at least so long, with zeros, and takes the space for
	// it, so that writing there later cannot find the disk full.
	Allocate(size int64) error
}

// OS is the file system of this machine. Files are readable by their owner only.
type OS struct{}

var _ Disk = OS{}

// Create makes an empty file.
func (OS) Create(path string) (File, error) {
	return openFile(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC)
}

// Open opens a file to read and write.
func (OS) Open(path string) (File, error) { return openFile(path, os.O_RDWR) }

// Rename gives a file another name, which takes the place of what had it.
func (OS) Rename(from, to string) error { return os.Rename(from, to) }

// Remove takes a name away.
func (OS) Remove(path string) error { return os.Remove(path) }

// SyncDir makes the names in dir durable.
func (OS) SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Names lists a directory.
func (OS) Names(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	return names, err
}

// Free asks statfs(2) for what this user may still write.
func (OS) Free(dir string) (int64, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return 0, &os.PathError{Op: "statfs", Path: dir, Err: err}
	}
	return int64(s.Bavail) * s.Bsize, nil
}

// Size is how many bytes the file system of a directory has, free ones and others.
func Size(dir string) (int64, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return 0, &os.PathError{Op: "statfs", Path: dir, Err: err}
	}
	return int64(s.Blocks) * s.Bsize, nil
}

func openFile(path string, flag int) (File, error) {
	f, err := os.OpenFile(path, flag, 0o600)
	if err != nil {
		return nil, err // not a nil *os.File in an interface
	}
	return osFile{f}, nil
}

type osFile struct{ *os.File }

// Sync leaves out the times of the file, which nobody needs (fdatasync(2)).
func (f osFile) Sync() error {
	for {
		err := unix.Fdatasync(int(f.Fd()))
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

func (f osFile) Size() (int64, error) {
	fi, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return fi.Size(), nil
}

// zeros is what Allocate writes.
var zeros [1 << 20]byte

// Allocate takes the space, and writes the zeros too: writing into space that was
// only taken costs ext4 and XFS a commit of their own journal at each sync, which
// more than doubles its time.
func (f osFile) Allocate(size int64) error {
	have, err := f.Size()
	if err != nil || have >= size {
		return err
	}
	for {
		err = unix.Fallocate(int(f.Fd()), 0, have, size-have)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if err != nil && !errors.Is(err, unix.EOPNOTSUPP) && !errors.Is(err, unix.ENOSYS) {
		return &os.PathError{Op: "fallocate", Path: f.Name(), Err: err}
	}
	for have < size {
		n, err := f.WriteAt(zeros[:min(int64(len(zeros)), size-have)], have)
		have += int64(n)
		if err != nil {
			return err
		}
	}
	return nil
}

// Full says whether an error means that there is no space.
func Full(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EFBIG)
}

// Missing says whether an error means that there is no such file.
func Missing(err error) bool { return errors.Is(err, fs.ErrNotExist) }

// HeldError says that another process has a lock.
type HeldError struct {
	Path string
	PID  string // of that process, as far as it told; may be empty
}

func (e *HeldError) Error() string {
	return fmt.Sprintf("%s is held by process %s", e.Path, e.PID)
}

// Lock is a lock on a file (flock(2)). It goes with the process, however that ends.
type Lock struct{ f *os.File }

// TakeLock takes the lock on a file, making it and its directory when they are
// not there; a *HeldError says that another process has it. The file tells the
// process id.
func TakeLock(path string) (*Lock, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		holder, _ := io.ReadAll(io.LimitReader(f, 32)) // only for the message
		f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, &HeldError{path, strings.TrimSpace(string(holder))}
		}
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	err = f.Truncate(0)
	if err == nil {
		_, err = f.WriteAt(fmt.Appendf(nil, "%d\n", os.Getpid()), 0)
	}
	if err != nil && !Full(err) { // on a full disk the lock still holds, only its holder is not told
		f.Close()
		return nil, err
	}
	return &Lock{f}, nil
}

// Release lets go. A program that is being started at this moment holds a copy of
// the descriptor, so closing ours alone would not do.
func (l *Lock) Release() error {
	return errors.Join(unix.Flock(int(l.f.Fd()), unix.LOCK_UN), l.f.Close())
}
