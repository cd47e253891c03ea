package fs

import (
	"context"
	"errors"
	"fmt"
	iofs "io/fs"
	"os"
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
	dir   *os.File  // the same directory, for beneath
	sweep sync.Once // removes leftovers before the first Put

	// beneath is openBeneath, or what a kernel without openat2 (before 5.6, or
	// behind a filter) answers.
	beneath func(dir int, key string) (int, error)
}

// Open opens the store in the existing directory dir. It writes nothing there
// until the first Put, so a read-only tree will do.
func Open(dir string) (*Store, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open blob directory: %w", err)
	}
	f, err := root.Open(".")
	if err != nil {
		root.Close()
		return nil, fmt.Errorf("open blob directory: %w", err)
	}
	return &Store{root: root, dir: f, beneath: openBeneath}, nil
}

// Close gives the directory back, when no call is under way. Objects that are
// open stay readable.
func (s *Store) Close() error { return errors.Join(s.dir.Close(), s.root.Close()) }

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

func info(key string, fi iofs.FileInfo) blob.Info {
	return blob.Info{Key: key, Size: fi.Size(), ETag: etag(fi.Sys().(*syscall.Stat_t)), ModTime: fi.ModTime()}
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
