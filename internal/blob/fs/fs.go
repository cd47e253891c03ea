package fs

import (
	"context"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"os"
	"strconv"
	"sync"
	"syscall"

	"github.com/kamado/kamado/internal/blob"
)

// Permissions of what a Put creates, before the umask: objects may hold
// personal data, so others get nothing.
const (
	filePerm = 0o640
	dirPerm  = 0o750
)

// Store is a blob.Store and a blob.Ranger in a directory.
type Store struct {
	root  *os.Root
	sweep sync.Once // removes leftovers before the first Put
}

// Open opens the store in the existing directory dir. It writes nothing there
// until the first Put, so a read-only tree will do.
func Open(dir string) (*Store, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open blob directory: %w", err)
	}
	return &Store{root: root}, nil
}

// Close gives the directory back. Objects that are open stay readable.
func (s *Store) Close() error { return s.root.Close() }

// Get implements blob.Store.
func (s *Store) Get(ctx context.Context, key string) (*blob.Object, error) {
	b, _, err := s.open(ctx, key)
	if err != nil {
		return nil, fmt.Errorf("get %q: %w", key, err)
	}
	return &b.Object, nil
}

// GetRange implements blob.Ranger.
func (s *Store) GetRange(ctx context.Context, key string, offset, length int64) (*blob.Object, error) {
	b, size, err := s.open(ctx, key)
	if err != nil {
		return nil, fmt.Errorf("get %q: %w", key, err)
	}
	if offset < 0 || offset >= size {
		b.Close()
		return nil, fmt.Errorf("get %q: %w: offset %d, size %d", key, blob.ErrRange, offset, size)
	}
	if rest := size - offset; length < 0 || length > rest {
		length = rest
	}
	b.offset, b.left, b.Size = offset, length, length
	return &b.Object, nil
}

// Stat implements blob.Store.
func (s *Store) Stat(ctx context.Context, key string) (blob.Info, error) {
	if err := ctx.Err(); err != nil {
		return blob.Info{}, err
	}
	if err := blob.CheckKey(key); err != nil {
		return blob.Info{}, err
	}
	fi, err := s.root.Stat(key)
	if err == nil && !fi.Mode().IsRegular() {
		err = blob.ErrNotFound
	}
	if err != nil {
		return blob.Info{}, fmt.Errorf("stat %q: %w", key, translate(err))
	}
	return info(key, fi), nil
}

// Delete implements blob.Store. Directories that it leaves empty go too.
func (s *Store) Delete(ctx context.Context, key string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := blob.CheckKey(key); err != nil {
		return err
	}
	fi, err := s.root.Lstat(key)
	if err == nil && fi.IsDir() {
		return nil // no object, and Remove would take an empty directory
	}
	if err == nil {
		err = s.root.Remove(key)
	}
	if err = translate(err); errors.Is(err, blob.ErrNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("delete %q: %w", key, err)
	}
	if err := s.prune(parent(key)); err != nil {
		return fmt.Errorf("delete %q: %w", key, translate(err))
	}
	return nil
}

// prune removes dir and its parents while they are empty, and makes the removal
// durable in the lowest directory that stays.
func (s *Store) prune(dir string) error {
	for ; dir != "."; dir = parent(dir) {
		err := s.root.Remove(dir)
		if err == nil || errors.Is(err, iofs.ErrNotExist) {
			continue
		}
		break // not empty, or not ours to remove: it stays
	}
	err := s.syncDir(dir)
	if errors.Is(err, iofs.ErrNotExist) {
		return nil // another Delete removed it, and syncs its parent
	}
	return err
}

// body is an open object. It holds the blob.Object that points to it, so that a
// Get costs one allocation for both.
type body struct {
	blob.Object
	f      *os.File
	offset int64 // of the next byte
	left   int64 // bytes still owed to the reader
}

func (s *Store) open(ctx context.Context, key string) (*body, int64, error) {
	if err := ctx.Err(); err != nil {
		return nil, 0, err
	}
	if err := blob.CheckKey(key); err != nil {
		return nil, 0, err
	}
	// O_NONBLOCK: opening a FIFO that has no writer must not wait.
	f, err := s.root.OpenFile(key, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, 0, translate(err)
	}
	fi, err := f.Stat()
	if err == nil && !fi.Mode().IsRegular() {
		err = blob.ErrNotFound
	}
	if err != nil {
		f.Close()
		return nil, 0, translate(err)
	}
	b := &body{f: f, left: fi.Size()}
	b.Object = blob.Object{ReadCloser: b, Size: fi.Size(), ETag: etag(fi), ModTime: fi.ModTime()}
	return b, fi.Size(), nil
}

// Read gives exactly the size that the object had when it was opened.
func (b *body) Read(p []byte) (int, error) {
	if b.left == 0 {
		return 0, io.EOF
	}
	if int64(len(p)) > b.left {
		p = p[:b.left]
	}
	n, err := b.f.ReadAt(p, b.offset)
	b.offset += int64(n)
	b.left -= int64(n)
	switch {
	case n > 0:
		return n, nil // an error comes back with the next call
	case err == io.EOF:
		return 0, fmt.Errorf("%w: file was truncated, %d bytes missing", blob.ErrShort, b.left)
	}
	return 0, translate(err)
}

func (b *body) Close() error { return b.f.Close() }

func info(key string, fi iofs.FileInfo) blob.Info {
	return blob.Info{Key: key, Size: fi.Size(), ETag: etag(fi), ModTime: fi.ModTime()}
}

// etag is "size-mtime-inode" in hexadecimal, mtime in nanoseconds: it costs no
// read of the bytes. A Put makes a new inode and mtime; a rewrite in place
// changes the mtime. docs/adr/0002-blob-etag.md weighs it against a hash.
func etag(fi iofs.FileInfo) string {
	var buf [3*16 + 2]byte
	t := strconv.AppendUint(buf[:0], uint64(fi.Size()), 16)
	t = append(t, '-')
	t = strconv.AppendUint(t, uint64(fi.ModTime().UnixNano()), 16)
	t = append(t, '-')
	if st, ok := fi.Sys().(*syscall.Stat_t); ok {
		t = strconv.AppendUint(t, st.Ino, 16)
	}
	return string(t)
}

// translate puts the store's word before an error of the operating system.
func translate(err error) error {
	if err == nil {
		return nil
	}
	var errno syscall.Errno
	var path *os.PathError
	switch {
	case errors.As(err, &errno):
		if word := words[errno]; word != nil {
			return fmt.Errorf("%w: %w", word, err)
		}
	case errors.As(err, &path) && !errors.Is(err, os.ErrClosed):
		// os.Root has no exported error for a path that leads out of it; it is
		// the only PathError here without a number of the system.
		return fmt.Errorf("%w: %w", blob.ErrNotFound, err)
	}
	return err
}

// words says what each number of the operating system means to a caller.
var words = map[syscall.Errno]error{
	syscall.ENOENT:       blob.ErrNotFound,
	syscall.ENOTDIR:      blob.ErrNotFound,
	syscall.EISDIR:       blob.ErrNotFound,
	syscall.ELOOP:        blob.ErrNotFound,
	syscall.ENXIO:        blob.ErrNotFound, // a socket, or a FIFO
	syscall.ENAMETOOLONG: blob.ErrInvalidKey,
	syscall.EACCES:       blob.ErrDenied,
	syscall.EPERM:        blob.ErrDenied,
	syscall.EROFS:        blob.ErrDenied,
	syscall.EMFILE:       blob.ErrUnavailable,
	syscall.ENFILE:       blob.ErrUnavailable,
	syscall.ENOSPC:       blob.ErrUnavailable,
	syscall.EDQUOT:       blob.ErrUnavailable,
	syscall.EIO:          blob.ErrUnavailable,
	syscall.ESTALE:       blob.ErrUnavailable,
	syscall.ETIMEDOUT:    blob.ErrUnavailable,
}
