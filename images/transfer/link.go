package transfer

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"

	"github.com/kamado/kamado/internal/blob"
)

// linksPrefix begins the names of directories for links on their way.
const linksPrefix = "kamado-links-"

// links makes hard links from one store to the other, by way of a directory of
// its own.
type links struct {
	from, to blob.Linker
	dir      *os.File // locked for as long as it is open
	made     atomic.Int64
}

func openLinks(in string, deps Deps) (*links, error) {
	from, ok := deps.From.(blob.Linker)
	to, ok2 := deps.To.(blob.Linker)
	if !ok || !ok2 {
		return nil, fmt.Errorf("%w: both have to be directories", ErrLink)
	}
	removeLeftLinks(in)
	name, err := os.MkdirTemp(in, linksPrefix)
	if err != nil {
		return nil, fmt.Errorf("directory for links: %w", err)
	}
	dir, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("directory for links: %w", err)
	}
	if err := lock(dir); err != nil {
		dir.Close()
		return nil, fmt.Errorf("directory for links: %w", err)
	}
	return &links{from: from, to: to, dir: dir}, nil
}

// close removes the directory.
func (l *links) close() {
	_ = os.RemoveAll(l.dir.Name())
	l.dir.Close()
}

// removeLeftLinks removes directories of runs that were killed: nobody holds
// their lock. Errors are passed over; what is left costs a name.
func removeLeftLinks(in string) {
	entries, err := os.ReadDir(in)
	if err != nil {
		return
	}
	for _, e := range entries {
		if !e.IsDir() || !strings.HasPrefix(e.Name(), linksPrefix) {
			continue
		}
		name := filepath.Join(in, e.Name())
		if d, err := os.Open(name); err == nil {
			if lock(d) == nil {
				_ = os.RemoveAll(name)
			}
			d.Close()
		}
	}
}

// lock takes the exclusive advisory lock of an open file, or fails at once.
func lock(f *os.File) error {
	return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
}

// link gives an object to the target without copying its bytes. Where the first
// one cannot be shared, none can, and the run ends; later ones (a file has at
// most so many names) are copied.
func (r *run) link(ctx context.Context, in blob.Info) outcome {
	if r.deps.Check != nil {
		if _, err := r.checked(ctx, in.Key); err != nil {
			return missing(err)
		}
	}
	err := r.links.share(ctx, in.Key)
	switch {
	case err == nil:
		r.links.made.Add(1)
		return outcome{what: linked, bytes: in.Size}
	case !errors.Is(err, errors.ErrUnsupported):
		return missing(err)
	case r.links.made.Load() == 0:
		return outcome{err: fmt.Errorf("%w: %w", ErrLink, err)}
	}
	return r.copy(ctx, in)
}

func (l *links) share(ctx context.Context, key string) error {
	name := filepath.Join(l.dir.Name(), rand.Text())
	if err := l.from.LinkFile(ctx, key, name); err != nil {
		return fmt.Errorf("%w: %w", errSource, err)
	}
	defer os.Remove(name)
	if _, err := l.to.PutFile(ctx, key, name); err != nil {
		return fmt.Errorf("target: %w", err)
	}
	return nil
}
