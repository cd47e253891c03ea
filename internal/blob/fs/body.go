package fs

import (
	"context"
	"fmt"
	"io"
	"os"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kamado/kamado/internal/blob"
)

// readFlags: O_NONBLOCK so that opening a FIFO without a writer does not wait.
const readFlags = os.O_RDONLY | syscall.O_NONBLOCK | syscall.O_CLOEXEC

// body is an open object. It holds the blob.Object that points to it, so that
// a Get costs one allocation for both, and a bare descriptor in place of an
// os.File: a regular file needs neither poller nor finalizer.
type body struct {
	blob.Object
	fd     int   // -1 when closed
	offset int64 // of the next byte
	left   int64 // bytes still owed to the reader
}

// open opens the regular file under key and gives its size, in three system
// calls: openat2, fstat and, by the caller, one read.
func (s *Store) open(ctx context.Context, key string) (*body, int64, error) {
	if err := ctx.Err(); err != nil {
		return nil, 0, err
	}
	if err := blob.CheckKey(key); err != nil {
		return nil, 0, err
	}
	fd, err := s.openFile(key)
	if err != nil {
		return nil, 0, translate(err)
	}
	var st syscall.Stat_t
	err = retry(func() error { return syscall.Fstat(fd, &st) })
	if err == nil && st.Mode&syscall.S_IFMT != syscall.S_IFREG {
		err = blob.ErrNotFound
	}
	if err != nil {
		syscall.Close(fd)
		return nil, 0, translate(err)
	}
	b := &body{fd: fd, left: st.Size}
	b.Object = blob.Object{ReadCloser: b, Size: st.Size, ETag: etag(&st), ModTime: time.Unix(st.Mtim.Unix())}
	return b, st.Size, nil
}

// openFile opens key for reading below the directory. The kernel's own
// resolution below a directory is one call however deep the key lies; os.Root,
// which opens each segment, is asked whenever the kernel says anything but yes
// or "not there", so that it alone decides what an error means.
func (s *Store) openFile(key string) (int, error) {
	fd, err := s.beneath(int(s.dir.Fd()), key)
	if err == nil || err == syscall.ENOENT {
		return fd, err
	}
	f, err := s.root.OpenFile(key, readFlags, 0)
	if err != nil {
		return -1, err
	}
	defer f.Close()
	return dup(f)
}

// openBeneath opens key below the directory dir for reading; symbolic links
// that stay below it are followed (openat2(2), RESOLVE_BENEATH).
func openBeneath(dir int, key string) (int, error) {
	how := unix.OpenHow{Flags: uint64(readFlags), Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_MAGICLINKS}
	for {
		fd, err := unix.Openat2(dir, key, &how)
		if err != syscall.EINTR {
			return fd, err
		}
	}
}

// dup gives a descriptor that outlives f.
func dup(f *os.File) (int, error) {
	fd, _, errno := syscall.Syscall(syscall.SYS_FCNTL, f.Fd(), syscall.F_DUPFD_CLOEXEC, 0)
	if errno != 0 {
		return -1, errno
	}
	return int(fd), nil
}

// Read gives exactly the size that the object had when it was opened.
func (b *body) Read(p []byte) (int, error) {
	if b.fd < 0 {
		return 0, os.ErrClosed
	}
	if b.left == 0 {
		return 0, io.EOF
	}
	if len(p) == 0 {
		return 0, nil
	}
	if int64(len(p)) > b.left {
		p = p[:b.left]
	}
	var n int
	err := retry(func() (err error) {
		n, err = syscall.Pread(b.fd, p, b.offset)
		return err
	})
	switch {
	case err != nil:
		return 0, translate(os.NewSyscallError("pread", err))
	case n == 0:
		return 0, fmt.Errorf("%w: file was truncated, %d bytes missing", blob.ErrShort, b.left)
	}
	b.offset += int64(n)
	b.left -= int64(n)
	return n, nil
}

// Close may be called again.
func (b *body) Close() error {
	fd := b.fd
	b.fd = -1
	if fd < 0 {
		return nil
	}
	return os.NewSyscallError("close", syscall.Close(fd))
}

// retry repeats a system call that a signal interrupted.
func retry(call func() error) error {
	for {
		if err := call(); err != syscall.EINTR {
			return err
		}
	}
}

// etag is "size-mtime-inode" in hexadecimal, mtime in nanoseconds: it costs no
// read of the bytes. A Put makes a new inode and mtime; a rewrite in place
// changes the mtime. docs/adr/0002-blob-etag.md weighs it against a hash.
func etag(st *syscall.Stat_t) string {
	var buf [3*16 + 2]byte
	t := strconv.AppendUint(buf[:0], uint64(st.Size), 16)
	t = append(t, '-')
	t = strconv.AppendUint(t, uint64(st.Mtim.Nano()), 16)
	t = append(t, '-')
	t = strconv.AppendUint(t, st.Ino, 16)
	return string(t)
}
