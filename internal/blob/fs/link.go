package fs

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	iofs "io/fs"
	"os"
	"path"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/kamado/kamado/internal/blob"
)

// PutFile implements blob.Linker.
func (s *Store) PutFile(ctx context.Context, key, file string) (blob.Info, error) {
	return s.PutFileNote(ctx, key, file, nil)
}

// PutFileNote implements blob.Noter.
func (s *Store) PutFileNote(ctx context.Context, key, file string, note []byte) (blob.Info, error) {
	if err := ctx.Err(); err != nil {
		return blob.Info{}, err
	}
	if err := blob.CheckKey(key); err != nil {
		return blob.Info{}, err
	}
	in, err := s.putFile(key, file, note)
	if err != nil {
		return blob.Info{}, fmt.Errorf("put file %q: %w", key, linkFault(err))
	}
	return in, nil
}

func (s *Store) putFile(key, file string, note []byte) (blob.Info, error) {
	if err := s.root.Mkdir(blob.ReservedSegment, dirPerm); err != nil && !errors.Is(err, iofs.ErrExist) {
		return blob.Info{}, err
	}
	s.sweep.Do(s.removeLeftovers)
	// O_NOFOLLOW, and the link is made from the open file: what is synced here is what the object is.
	f, err := os.OpenFile(file, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return blob.Info{}, err
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return blob.Info{}, err
	}
	if !fi.Mode().IsRegular() {
		return blob.Info{}, fmt.Errorf("%w: %s is no regular file", errors.ErrUnsupported, file)
	}
	// Locked, so that no other process sweeps the name away before it is placed.
	if err := lock(f); err != nil {
		return blob.Info{}, err
	}
	if err := writeNote(f, note); err != nil {
		return blob.Info{}, err
	}
	if err := f.Sync(); err != nil {
		return blob.Info{}, err
	}
	name := path.Join(blob.ReservedSegment, rand.Text())
	if err := linkOpen(f, int(s.dir.Fd()), name); err != nil {
		return blob.Info{}, err
	}
	if err := s.place(name, key); err != nil {
		s.root.Remove(name)
		return blob.Info{}, err
	}
	// rename(2) does nothing when both names are one inode already: the key was put from this file before.
	s.root.Remove(name)
	if err := s.syncDir(parent(key)); err != nil && !errors.Is(err, iofs.ErrNotExist) {
		return blob.Info{}, err
	}
	return info(key, fi), nil
}

// LinkFile implements blob.Linker.
func (s *Store) LinkFile(ctx context.Context, key, file string) error {
	b, _, err := s.open(ctx, key)
	if err != nil {
		return fmt.Errorf("link %q: %w", key, err)
	}
	defer b.Close()
	if err := linkProc(b.fd, unix.AT_FDCWD, file); err != nil {
		return fmt.Errorf("link %q: %w", key, linkFault(err))
	}
	return nil
}

func linkOpen(f *os.File, dir int, name string) error { return linkProc(int(f.Fd()), dir, name) }

// linkProc gives an open file a further name (linkat(2), the way that needs no
// capability).
func linkProc(fd, dir int, name string) error {
	return retry(func() error {
		return unix.Linkat(unix.AT_FDCWD, "/proc/self/fd/"+strconv.Itoa(fd), dir, name, unix.AT_SYMLINK_FOLLOW)
	})
}

// linkFault tells a link that cannot be, so that a copy is worth trying, from
// other errors.
func linkFault(err error) error {
	for _, e := range []error{syscall.EXDEV, syscall.EPERM, syscall.EMLINK, syscall.EOPNOTSUPP, syscall.ENOSYS} {
		if errors.Is(err, e) {
			return fmt.Errorf("%w: %w", errors.ErrUnsupported, err)
		}
	}
	if errors.Is(err, syscall.EEXIST) || errors.Is(err, blob.ErrInvalidKey) {
		return err
	}
	return translate(err)
}
