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
// many of them are held for each level. It does not follow the limit of the
// call: names may be empty directories, and asking for one object must not read
// a directory once for each name.
const (
	readDirBatch = 512
	namesMax     = blob.ListMax
)

// List implements blob.Store. It holds at most namesMax names for each level
// of directories, whatever a directory holds; a directory of n names is read
// once for each namesMax of them that come after `after`.
// Symbolic links to directories are not followed, since they could make a
// cycle; links to files inside the store are objects.
func (s *Store) List(ctx context.Context, prefix, after string, limit int) ([]blob.Info, error) {
	if err := blob.CheckPrefix(prefix); err != nil {
		return nil, err
	}
	if limit <= 0 || limit > blob.ListMax {
		limit = blob.ListMax
	}
	l := lister{store: s, prefix: prefix, after: after, limit: limit}
	dir := ""
	if i := strings.LastIndexByte(prefix, '/'); i >= 0 {
		dir = prefix[:i+1]
	}
	if err := l.walk(ctx, dir); err != nil {
		return nil, fmt.Errorf("list %q: %w", prefix, translate(err))
	}
	return l.found, nil
}

// lister is one List at work.
type lister struct {
	store         *Store
	prefix, after string
	limit         int
	found         []blob.Info // in key order
}

func (l *lister) full() bool { return len(l.found) >= l.limit }

// walk adds the objects below dir, which is empty or ends in "/".
func (l *lister) walk(ctx context.Context, dir string) error {
	from := "" // the last path seen in this directory
	for !l.full() {
		names, err := l.names(ctx, dir, from)
		if err != nil {
			return err
		}
		for _, p := range names {
			if l.full() {
				return nil
			}
			if err := l.visit(ctx, p); err != nil {
				return err
			}
			from = p
		}
		if len(names) < namesMax {
			return nil
		}
	}
	return nil
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
		l.found = append(l.found, info(p, fi))
	}
	return nil
}

// names gives the namesMax smallest paths of dir that are greater than from and may
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
	for {
		entries, err := d.ReadDir(readDirBatch)
		for _, e := range entries {
			if p := dir + e.Name() + slash(e); p > from && l.wanted(p) {
				names = append(names, p)
			}
		}
		if len(names) > namesMax+readDirBatch || err != nil {
			slices.Sort(names)
			names = names[:min(len(names), namesMax)]
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
