package fs

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"os"
	"path"
	"syscall"

	"github.com/kamado/kamado/internal/blob"
)

// putAttempts bounds how often a Put makes the directories again that a
// concurrent Delete pruned between its mkdir and its rename.
const putAttempts = 10

// Put implements blob.Store.
func (s *Store) Put(ctx context.Context, key string, r io.Reader, size int64, opt blob.PutOptions) (blob.Info, error) {
	if err := ctx.Err(); err != nil {
		return blob.Info{}, err
	}
	if err := blob.CheckKey(key); err != nil {
		return blob.Info{}, err
	}
	if size < 0 {
		return blob.Info{}, fmt.Errorf("put %q: %w: size %d", key, blob.ErrShort, size)
	}
	in, err := s.put(ctx, key, r, size, opt.Note)
	if err != nil {
		return blob.Info{}, fmt.Errorf("put %q: %w", key, err)
	}
	return in, nil
}

func (s *Store) put(ctx context.Context, key string, r io.Reader, size int64, note []byte) (blob.Info, error) {
	f, name, err := s.createTemp()
	if err != nil {
		return blob.Info{}, translate(err)
	}
	defer f.Close()
	placed := false
	defer func() {
		if !placed {
			s.root.Remove(name)
		}
	}()
	if err := fill(ctx, f, r, size); err != nil {
		return blob.Info{}, err
	}
	if err := writeNote(f, note); err != nil {
		return blob.Info{}, translate(err)
	}
	if err := f.Sync(); err != nil {
		return blob.Info{}, translate(err)
	}
	fi, err := f.Stat()
	if err != nil {
		return blob.Info{}, translate(err)
	}
	if err := s.place(name, key); err != nil {
		return blob.Info{}, err
	}
	placed = true
	if err := s.syncDir(parent(key)); err != nil && !errors.Is(err, iofs.ErrNotExist) {
		return blob.Info{}, translate(err)
	}
	return info(key, fi), nil
}

// fill copies exactly size bytes of r and looks for the end behind them.
func fill(ctx context.Context, w io.Writer, r io.Reader, size int64) error {
	// One byte more than announced shows a reader that has more to give.
	n, err := io.Copy(w, io.LimitReader(untilDone(ctx, r), size+1))
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("%w: %w", blob.ErrShort, err)
	case err != nil:
		return translate(err)
	case n < size:
		return fmt.Errorf("%w: %d of %d bytes", blob.ErrShort, n, size)
	case n > size:
		return fmt.Errorf("%w: more than %d bytes", blob.ErrShort, size)
	}
	return nil
}

// untilDone gives r until ctx ends. It hides every other ability of r.
func untilDone(ctx context.Context, r io.Reader) io.Reader {
	return readerFunc(func(p []byte) (int, error) {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		return r.Read(p)
	})
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// place renames the temporary file over key and makes the directories for it.
func (s *Store) place(name, key string) error {
	dir := parent(key)
	for range putAttempts {
		if err := s.makeDirs(dir); err != nil {
			if errors.Is(err, syscall.ENOTDIR) || errors.Is(err, iofs.ErrExist) {
				return fmt.Errorf("%w: part of the path is an object: %w", blob.ErrInvalidKey, err)
			}
			return translate(err)
		}
		err := s.root.Rename(name, key)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, syscall.EISDIR), errors.Is(err, syscall.ENOTEMPTY), errors.Is(err, iofs.ErrExist):
			return fmt.Errorf("%w: a directory has this name: %w", blob.ErrInvalidKey, err)
		case !errors.Is(err, iofs.ErrNotExist):
			return translate(err)
		}
	}
	return fmt.Errorf("%w: directories keep vanishing", blob.ErrUnavailable)
}

// makeDirs makes dir and its parents, from the top, and syncs the parent of each
// one that it made: an fsync of a file does not cover the names above it.
func (s *Store) makeDirs(dir string) error {
	if dir == "." {
		return nil
	}
	if fi, err := s.root.Stat(dir); err == nil {
		if fi.IsDir() {
			return nil
		}
		return &os.PathError{Op: "mkdir", Path: dir, Err: syscall.ENOTDIR}
	}
	if err := s.makeDirs(parent(dir)); err != nil {
		return err
	}
	err := s.root.Mkdir(dir, dirPerm)
	if errors.Is(err, iofs.ErrExist) {
		fi, serr := s.root.Stat(dir)
		if serr == nil && fi.IsDir() || errors.Is(serr, iofs.ErrNotExist) {
			return nil // another Put made it just now, and a Delete may have pruned it since: place tries again
		}
		return err
	}
	if err == nil {
		err = s.syncDir(parent(dir))
	}
	if errors.Is(err, iofs.ErrNotExist) {
		return nil // pruned above us: place tries again
	}
	return err
}

// createTemp gives a new file in the reserved directory, locked for as long as
// it is open: that is how sweeping tells a Put at work from a crashed one.
func (s *Store) createTemp() (*os.File, string, error) {
	if err := s.root.Mkdir(blob.ReservedSegment, dirPerm); err != nil && !errors.Is(err, iofs.ErrExist) {
		return nil, "", err
	}
	s.sweep.Do(s.removeLeftovers)
	for range putAttempts {
		name := path.Join(blob.ReservedSegment, rand.Text())
		f, err := s.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, filePerm)
		if err != nil {
			return nil, "", err
		}
		if lock(f) == nil {
			// Invariant: a file that is locked and still has its name is never
			// swept, because a sweeper takes the lock before it removes.
			if _, err := s.root.Lstat(name); err == nil {
				return f, name, nil
			}
		}
		f.Close() // another process swept it between create and lock
	}
	return nil, "", fmt.Errorf("%w: temporary files keep vanishing", blob.ErrUnavailable)
}

// removeLeftovers removes what Puts of dead processes left. Errors are passed
// over: a leftover costs room, not truth, and the next process tries again.
func (s *Store) removeLeftovers() {
	dir, err := s.root.Open(blob.ReservedSegment)
	if err != nil {
		return
	}
	defer dir.Close()
	for {
		entries, err := dir.ReadDir(readDirBatch)
		for _, e := range entries {
			if e.Type().IsRegular() {
				s.removeLeftover(path.Join(blob.ReservedSegment, e.Name()))
			}
		}
		if err != nil || len(entries) == 0 {
			return
		}
	}
}

func (s *Store) removeLeftover(name string) {
	f, err := s.root.OpenFile(name, os.O_RDONLY, 0)
	if err != nil {
		return
	}
	defer f.Close()
	if lock(f) == nil {
		s.root.Remove(name)
	}
}

// lock takes the exclusive advisory lock of an open file, or fails at once.
func lock(f *os.File) error {
	return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
}

func (s *Store) syncDir(dir string) error {
	d, err := s.root.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// parent is the directory of a key or directory; "." is the root.
func parent(key string) string { return path.Dir(key) }
