package shelf

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/kamado/kamado/images"
	"github.com/kamado/kamado/images/queue"
	"github.com/kamado/kamado/internal/blob"
)

// Defaults of Config.
const (
	DefaultBytesMax   = 64 << 20
	DefaultPlaces     = 16
	DefaultWaiting    = 64
	DefaultWaitMax    = 10 * time.Second
	DefaultStall      = 30 * time.Second
	DefaultChangedMax = 5 * time.Second
)

// stripes is how many locks serialise the writes of all keys: two keys share one
// by chance 1:256, which costs one of them the other's rename.
const stripes = 256

// sweepEvery is how often leftovers of dead processes are looked for, and leftoverAge
// how long ago such a file was written at least: between one lock and the next a
// file at work has none for an instant.
const (
	sweepEvery  = 10 * time.Minute
	leftoverAge = time.Minute
)

// Facts are what the header of a picture says.
type Facts struct {
	Format        string // "jpeg", "png", ...
	Width, Height int    // pixels, upright
}

// Config bounds a Shelf.
type Config struct {
	// Dir is the staging directory; it is made when missing. In the file system of
	// an origin's directory a draft becomes an object without being copied.
	Dir string
	// BytesMax bounds one object. Default 64 MiB.
	BytesMax int64
	// PicturesOnly: what Deps.Validate refuses is not stored.
	PicturesOnly bool
	// Places is how many bodies come in at once, which bounds the staging directory
	// at Places*BytesMax: with 16 and 64 MiB, 1 GiB. Waiting is how many more may
	// wait, WaitMax how long. Defaults 16, 64, 10 s.
	Places, Waiting int
	WaitMax         time.Duration
	// Stall is how long a client may give, or take, no byte. Default 30 s.
	Stall time.Duration
	// ChangedMax bounds how long a write waits for Deps.Changed. Default 5 s.
	ChangedMax time.Duration
}

// Deps are what a Shelf uses. Origins and Log are needed, Validate with
// PicturesOnly.
type Deps struct {
	// Origins are the stores by the origin's name.
	Origins map[string]blob.Store
	// Validate says whether the bytes are a picture that can be shown, from its
	// header. data is valid during the call only. Its errors are *images.Error.
	Validate func(ctx context.Context, data []byte) (Facts, error)
	// Changed is called after each change, before the client hears of it, so that
	// caches are purged by then. Its context ends after ChangedMax; nil: nobody.
	Changed func(ctx context.Context, c Change)
	// Events hears of each change; must not wait. nil: nobody.
	Events func(Change)
	// TakenDown says whether an original is hidden: who was let in by a URL reads
	// nothing of it. nil: none is.
	TakenDown func(Ref) bool
	Log       *slog.Logger
}

// Ref names an object.
type Ref struct {
	Origin string
	Key    string
}

// Shelf is the way in and out of the originals. Safe for concurrent use.
type Shelf struct {
	cfg     Config
	deps    Deps
	places  *queue.Queue
	seed    maphash.Seed
	writing [stripes]sync.Mutex // of a key: from the look at its conditions until its change is done
	counts  counts
}

// New makes a shelf.
func New(cfg Config, deps Deps) (*Shelf, error) {
	orDefault(&cfg.BytesMax, DefaultBytesMax)
	orDefault(&cfg.Places, DefaultPlaces)
	orDefault(&cfg.Waiting, DefaultWaiting)
	orDefault(&cfg.WaitMax, DefaultWaitMax)
	orDefault(&cfg.Stall, DefaultStall)
	orDefault(&cfg.ChangedMax, DefaultChangedMax)
	if cfg.PicturesOnly && deps.Validate == nil {
		return nil, errors.New("originals: pictures only, and nothing to tell a picture by")
	}
	if err := os.MkdirAll(filepath.Join(cfg.Dir, untoldDir), 0o750); err != nil {
		return nil, fmt.Errorf("staging directory: %w", err)
	}
	return &Shelf{
		cfg: cfg, deps: deps, seed: maphash.MakeSeed(),
		places: queue.New(queue.Config{Places: cfg.Places, Waiting: cfg.Waiting, WaitMax: cfg.WaitMax}),
	}, nil
}

func orDefault[T int | int64 | time.Duration](v *T, d T) {
	if *v <= 0 {
		*v = d
	}
}

// TakenDown says whether an object is hidden (Deps.TakenDown).
func (s *Shelf) TakenDown(ref Ref) bool { return s.deps.TakenDown != nil && s.deps.TakenDown(ref) }

// BytesMax is the most bytes of one object.
func (s *Shelf) BytesMax() int64 { return s.cfg.BytesMax }

// Stall is how long a client may give no byte.
func (s *Shelf) Stall() time.Duration { return s.cfg.Stall }

// Run tells what dead processes did not tell and removes what they left in the
// staging directory, now and each ten minutes, until ctx ends.
func (s *Shelf) Run(ctx context.Context) error {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	s.tellUntold(ctx, 0)
	for {
		s.tellUntold(ctx, leftoverAge)
		s.sweep()
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// sweep removes staging files that nobody has locked. A failure leaves a file
// for the next sweep: it costs room, not truth.
func (s *Shelf) sweep() {
	names, err := os.ReadDir(s.cfg.Dir)
	if err != nil {
		s.deps.Log.Warn("staging directory cannot be read", "dir", s.cfg.Dir, "err", err)
		return
	}
	removed := 0
	for _, name := range names {
		if st, err := name.Info(); err != nil || !st.Mode().IsRegular() || time.Since(st.ModTime()) < leftoverAge {
			continue
		}
		path := filepath.Join(s.cfg.Dir, name.Name())
		f, err := os.Open(path)
		if err != nil {
			continue
		}
		if lockFile(f) == nil && os.Remove(path) == nil {
			removed++
		}
		f.Close()
	}
	if removed > 0 {
		s.deps.Log.Info("leftovers of uploads removed", "dir", s.cfg.Dir, "files", removed)
	}
}

func lockFile(f *os.File) error { return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) }

func unlockFile(f *os.File) error { return syscall.Flock(int(f.Fd()), syscall.LOCK_UN) }

func (s *Shelf) origin(name string) (blob.Store, error) {
	store := s.deps.Origins[name]
	if store == nil {
		return nil, fmt.Errorf("%w: %q", ErrOrigin, name)
	}
	return store, nil
}

// lock serialises writes of one object; call what it gives to unlock.
func (s *Shelf) lock(ref Ref) (unlock func()) {
	mu := &s.writing[maphash.String(s.seed, ref.Origin+"\x00"+ref.Key)%stripes]
	mu.Lock()
	return mu.Unlock
}

// acquire waits for a place for one body.
func (s *Shelf) acquire(ctx context.Context) error {
	switch err := s.places.Acquire(ctx); {
	case err == nil:
		return nil
	case errors.Is(err, queue.ErrFull), errors.Is(err, queue.ErrLate):
		return fmt.Errorf("%w: %w", ErrBusy, err)
	default:
		return err
	}
}

// tell tells of a change. The write is done, so it is told even when its client
// has left.
func (s *Shelf) tell(ctx context.Context, c Change) {
	c.Time = time.Now()
	s.counts.changes[c.How].Add(1)
	if s.deps.Changed != nil {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.cfg.ChangedMax)
		s.deps.Changed(ctx, c)
		cancel()
	}
	if s.deps.Events != nil {
		s.deps.Events(c)
	}
	s.deps.Log.Debug("original changed", "change", c)
}

// refused says whether an error is validation's word on the bytes.
func refused(err error) bool {
	k := images.KindOf(err)
	return k == images.Unprocessable || k == images.TooLarge
}
