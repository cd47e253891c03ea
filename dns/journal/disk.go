package journal

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

	"github.com/kamado/kamado/dns"
)

// Names in the directory.
const (
	fileName    = "entries"
	compactName = "entries.compact" // being written by compaction
	rewriteName = "entries.rewrite" // being written after a failed write
	lockName    = "lock"
)

// disk is what the journal asks of the file system; tests put one in its place
// that fails.
type disk interface {
	// Create makes an empty file, or empties the one that is there.
	Create(path string) (file, error)
	Open(path string) (file, error)
	Rename(from, to string) error
	// SyncDir makes the names in dir durable.
	SyncDir(dir string) error
	Remove(path string) error
}

type file interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	// Sync makes what was written durable, the length included.
	Sync() error
	Truncate(size int64) error
	Size() (int64, error)
}

type osDisk struct{}

func (osDisk) Create(path string) (file, error) {
	return openFile(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC)
}
func (osDisk) Open(path string) (file, error) { return openFile(path, os.O_RDWR) }
func (osDisk) Rename(from, to string) error   { return os.Rename(from, to) }
func (osDisk) Remove(path string) error       { return os.Remove(path) }

func (osDisk) SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func openFile(path string, flag int) (file, error) {
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

// lockDir takes the directory for this process. The lock goes with the process,
// however it ends.
func lockDir(dir string) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	path := filepath.Join(dir, lockName)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		holder, _ := io.ReadAll(io.LimitReader(f, 32)) // only for the message
		f.Close()
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
		return nil, &dns.Error{
			Op: "open journal", Kind: dns.Conflict,
			Detail: fmt.Sprintf("%s is in use by process %s: stop it, or give this member another directory", dir, strings.TrimSpace(string(holder))),
		}
	}
	err = f.Truncate(0)
	if err == nil {
		_, err = f.WriteAt(fmt.Appendf(nil, "%d\n", os.Getpid()), 0)
	}
	if err != nil && !full(err) { // on a full disk the lock still holds, only its name is not told
		f.Close()
		return nil, err
	}
	return f, nil
}

// unlockDir lets go of the directory. A program that is being started at this
// moment holds a copy of the descriptor, so closing ours alone would not do.
func unlockDir(f *os.File) error {
	return errors.Join(unix.Flock(int(f.Fd()), unix.LOCK_UN), f.Close())
}

// full says whether an error means that there is no space.
func full(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EFBIG)
}

// failure is the error of an append that did not become durable.
func failure(op string, err error) error {
	if err == nil {
		return nil
	}
	var e *dns.Error
	if errors.As(err, &e) {
		return err
	}
	if full(err) {
		return &dns.Error{Op: op, Kind: dns.Exhausted, Detail: "the disk that keeps this member's entries is full", Err: err}
	}
	return &dns.Error{Op: op, Kind: dns.Unavailable, Detail: "the disk that keeps this member's entries fails", Err: err}
}

func missing(err error) bool { return errors.Is(err, fs.ErrNotExist) }
