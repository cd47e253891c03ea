package fs

import (
	"context"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"

	"github.com/kamado/kamado/internal/blob"
)

// readDirBatch is how many names are asked of the system at once; namesMax how
// many of them are kept for each level. It does not follow the limit of the
// call: names may be empty directories, and asking for one object must not read
// a directory once for each name. walkNamesMax is the same for Walk, which goes
// through all of them: 8 million names in one directory are read 31 times, and
// take at most twice walkNamesMax strings of memory.
const (
	readDirBatch = 512
	namesMax     = blob.ListMax
	walkNamesMax = 256 << 10
)

// List implements blob.Store. It holds at most namesMax names for each level
// of directories, whatever a directory holds; a directory of n names is read
// once for each namesMax of them that come after `after`.
// Symbolic links to directories are not followed, since they could make a
// cycle; links to files inside the store are objects.
func (s *Store) List(ctx context.Context, prefix, after string, limit int) ([]blob.Info, error) {
	if limit <= 0 || limit > blob.ListMax {
		limit = blob.ListMax
	}
	var found []blob.Info
	err := s.walk(ctx, lister{prefix: prefix, after: after, namesMax: namesMax}, func(in blob.Info) error {
		if found = append(found, in); len(found) == limit {
			return errFull
		}
		return nil
	})
	if err != nil && err != errFull {
		return nil, err
	}
	return found, nil
}

// errFull ends a walk that has found what was asked for.
var errFull = errors.New("enough objects")

// Walk implements blob.Walker.
func (s *Store) Walk(ctx context.Context, prefix, after string, visit func(blob.Info) error) error {
	return s.walk(ctx, lister{prefix: prefix, after: after, namesMax: walkNamesMax}, visit)
}

// walk lists what l asks for; visit's error is returned as it is.
func (s *Store) walk(ctx context.Context, l lister, visit func(blob.Info) error) error {
	if err := blob.CheckPrefix(l.prefix); err != nil {
		return err
	}
	var theirs error
	l.store, l.found = s, func(in blob.Info) error {
		theirs = visit(in)
		return theirs
	}
	err := l.walk(ctx, above(l.prefix))
	switch {
	case theirs != nil:
		return theirs
	case err != nil:
		return fmt.Errorf("list %q: %w", l.prefix, translate(err))
	}
	return nil
}

// above is the directory that everything beginning with prefix lies below.
func above(prefix string) string { return prefix[:strings.LastIndexByte(prefix, '/')+1] }

// lister is one List or Walk at work.
type lister struct {
	store         *Store
	prefix, after string
	namesMax      int                   // kept for each level
	found         func(blob.Info) error // gets the objects in key order
}

// walk finds the objects below dir, which is empty or ends in "/".
func (l *lister) walk(ctx context.Context, dir string) error {
	from := "" // the last path seen in this directory
	for {
		names, err := l.names(ctx, dir, from)
		if err != nil {
			return err
		}
		for _, p := range names {
			if err := l.visit(ctx, p); err != nil {
				return err
			}
			from = p
		}
		if len(names) < l.namesMax {
			return nil
		}
	}
}

func (l *lister) visit(ctx context.Context, p string) error {
	if strings.HasSuffix(p, "/") {
		return l.walk(ctx, p)
	}
	fi, err := l.store.root.Stat(p)
	switch err = translate(err); {
	case errors.Is(err, blob.ErrNotFound):
		return nil // deleted meanwhile, or a link that leads nowhere or out
	case err != nil:
		return err
	case fi.Mode().IsRegular():
		return l.found(info(p, fi))
	}
	return nil
}

// names gives the l.namesMax smallest paths of dir that are greater than from and may
// hold something asked for, ascending. A directory ends in "/", which puts it
// where its objects belong: "a.txt" < "a/b", because '.' < '/'.
func (l *lister) names(ctx context.Context, dir, from string) ([]string, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	d, err := l.store.root.OpenFile(path.Clean("./"+dir), os.O_RDONLY|syscall.O_DIRECTORY, 0)
	if err != nil {
		if errors.Is(translate(err), blob.ErrNotFound) {
			return nil, nil
		}
		return nil, err
	}
	defer d.Close()
	var names []string
	last := "" // once that many were seen: greater ones are not among the smallest
	for {
		entries, err := d.ReadDir(readDirBatch)
		for _, e := range entries {
			if p := dir + e.Name() + slash(e); p > from && (last == "" || p < last) && l.wanted(p) {
				names = append(names, p)
			}
		}
		if len(names) >= 2*l.namesMax || err != nil {
			slices.Sort(names)
			if len(names) > l.namesMax {
				clear(names[l.namesMax:]) // gives their memory back
				names = names[:l.namesMax]
				last = names[l.namesMax-1]
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			return names, nil
		case err != nil:
			return nil, err
		}
	}
}

func slash(e iofs.DirEntry) string {
	if e.IsDir() {
		return "/"
	}
	return ""
}

// wanted says whether p is asked for, or is a directory that may hold what is.
func (l *lister) wanted(p string) bool {
	if blob.CheckPrefix(p) != nil {
		return false
	}
	if !strings.HasSuffix(p, "/") {
		return p > l.after && strings.HasPrefix(p, l.prefix)
	}
	if !strings.HasPrefix(p, l.prefix) && !strings.HasPrefix(l.prefix, p) {
		return false
	}
	// Everything below p begins with p: it is all at or below `after` exactly
	// when p < after and after does not itself lie below p.
	return p > l.after || strings.HasPrefix(l.after, p)
}
