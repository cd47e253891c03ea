package cache

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Config is how copies are kept.
type Config struct {
	// ValueLife is how long a copy is used at most.
	ValueLife time.Duration
	// AbsentLife is how long "no value" is used at most; 0: not at all.
	AbsentLife time.Duration
	// LeaseLife is after what time another reader may fill, if one died between its load and its fill.
	LeaseLife time.Duration
	// MarkLife is how long nobody fills after a writer died, or ended in doubt. It must
	// be longer than a write in doubt can take to happen. Writes of the store get half of it.
	MarkLife time.Duration
	// Term is how old the notice of the board may be.
	Term time.Duration
	// Rest is how long a part stays off at least.
	Rest time.Duration
	// Patience is how long a writer tries to reach a part before it turns it off.
	Patience time.Duration
	// ValueBytesMax is the largest value that is kept; larger ones are always loaded.
	ValueBytesMax int
}

// Default is good for players' things.
func Default() Config {
	return Config{
		ValueLife: 10 * time.Minute, AbsentLife: 30 * time.Second, LeaseLife: 5 * time.Second, MarkLife: time.Minute,
		Term: 3 * time.Second, Rest: 15 * time.Second, Patience: 500 * time.Millisecond, ValueBytesMax: 64 << 10,
	}
}

// Validate gives all complaints at once.
func (c Config) Validate() error {
	var errs []error
	want := func(name string, d, least, most time.Duration) {
		if d < least || d > most {
			errs = append(errs, fmt.Errorf("%s is %v, must be %v to %v", name, d, least, most))
		}
	}
	want("value life", c.ValueLife, LifeMin, LifeMax)
	if c.AbsentLife != 0 {
		want("absent life", c.AbsentLife, LifeMin, LifeMax)
	}
	want("lease life", c.LeaseLife, LifeMin, LifeMax)
	want("mark life", c.MarkLife, 2*LifeMin, LifeMax)
	want("term", c.Term, 100*time.Millisecond, time.Minute)
	want("rest", c.Rest, max(2*c.Term, 200*time.Millisecond), time.Hour)
	want("patience", c.Patience, 0, time.Minute)
	if c.ValueBytesMax < 1 || c.ValueBytesMax > 1<<20 {
		errs = append(errs, fmt.Errorf("value bytes max is %d, must be 1 to %d", c.ValueBytesMax, 1<<20))
	}
	return errors.Join(errs...)
}

// writeMax is how long a writer may take in the store: less than anything takes
// that makes its mark invalid.
func (c Config) writeMax() time.Duration { return min(c.MarkLife, c.Rest) / 2 }

// Deps are what Through works with.
type Deps struct {
	Engine   Engine
	Board    Board // NewSole, or NewBoard over the store
	Log      *slog.Logger
	Registry prometheus.Registerer // nil: no metrics
}

// Through reads and writes a store through a cache. Its methods may be called
// concurrently.
type Through struct {
	cfg Config
	Deps
	metrics *metrics
	owner   string // names the list of parts
	first   uint64 // the position that a new board gets from this process
	// guards are those of the parts, and last that of the list of parts.
	guards []*guard

	// What the simulator has in its own way.
	now   func() time.Time
	sleep func(context.Context, time.Duration) error
	enter func(context.Context, *guard) error
}

// listName is the name on the board of the list of parts.
const listName = "parts"

// New checks the configuration. Nothing is read from the cache before Run.
func New(cfg Config, deps Deps) (*Through, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("configure cache: %w", err)
	}
	t := &Through{cfg: cfg, Deps: deps, metrics: newMetrics(), now: time.Now, sleep: sleep}
	t.enter = func(ctx context.Context, g *guard) error { return g.take(ctx) }
	parts := deps.Engine.Parts()
	sum := sha256.Sum256([]byte(strings.Join(parts, "\n")))
	t.owner = hex.EncodeToString(sum[:8])
	// A board that was lost must not begin with a generation that engines still hold.
	t.first = random() >> 16 / places * places
	for i, name := range parts {
		t.guards = append(t.guards, newGuard(name, func(ctx context.Context) error { return deps.Engine.Probe(ctx, i) }))
	}
	t.guards = append(t.guards, newGuard(listName, nil))
	if err := t.metrics.register(t, deps.Registry); err != nil {
		return nil, fmt.Errorf("register metrics of the cache: %w", err)
	}
	return t, nil
}

func random() uint64 {
	var b [8]byte
	rand.Read(b[:]) //nolint:errcheck // never fails (crypto/rand)
	return binary.LittleEndian.Uint64(b[:])
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Run keeps the notices of the board fresh, and turns parts on that answer again,
// until ctx ends. Without it everything goes to the store.
func (t *Through) Run(ctx context.Context) error {
	failing := false
	for {
		err := t.Tend(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil && !failing {
			t.Log.Warn("board of the cache does not answer", "err", err)
		} else if err == nil && failing {
			t.Log.Info("board of the cache answers again")
		}
		failing = err != nil
		if t.sleep(ctx, t.cfg.Term/4) != nil {
			return nil
		}
	}
}

// Tend does once what Run does all the time.
func (t *Through) Tend(ctx context.Context) error {
	var errs []error
	for _, g := range t.guards {
		errs = append(errs, t.tend(ctx, g))
	}
	return errors.Join(errs...)
}

// cellKey is the key of a cell; it holds the generations, so that older ones are never seen.
func cellKey(key string, list, part Notice) string {
	return strconv.FormatUint(list.generation(), 36) + "." + strconv.FormatUint(part.generation(), 36) + "." + key
}

// guardOf gives the guard of the part of a key, and that of the list.
func (t *Through) guardOf(key string) (part, list *guard) {
	return t.guards[t.Engine.Part(key)], t.guards[len(t.guards)-1]
}

// place is where a cell is.
type place struct {
	part int
	full string // key of the cell; empty: nowhere
}

// readable gives the place of the cell that may be read now.
func (t *Through) readable(key string) (place, bool) {
	if len(key) > keyBytesMax {
		return place{}, false
	}
	part, list := t.guardOf(key)
	now := t.now()
	for _, g := range []*guard{part, list} {
		s, ok := g.look(now)
		if !ok || s.notice.place() != placeOn || s.notice.Owner != t.owner {
			return place{}, false
		}
	}
	p, _ := part.look(now)
	l, _ := list.look(now)
	return place{t.Engine.Part(key), cellKey(key, l.notice, p.notice)}, true
}

// keyBytesMax leaves room for the generations.
const keyBytesMax = KeyBytesMax - 32

// Read gives the value of a key: the copy, or what load gives, which reads the store. An error is load's; the cache has none. A
// load must be as fresh as the promise that is wanted of Read.
func (t *Through) Read(ctx context.Context, key string, load func(context.Context) (Value, error)) (Value, error) {
	at, ok := t.readable(key)
	if !ok {
		t.metrics.reads.WithLabelValues("off").Inc()
		return load(ctx)
	}
	raw, stamp, err := t.Engine.Load(ctx, at.part, at.full)
	if err != nil {
		t.metrics.reads.WithLabelValues("error").Inc()
		return load(ctx)
	}
	if raw == nil {
		return t.fill(ctx, at, load)
	}
	c, ok := decode(at.full, raw)
	switch {
	case !ok:
		t.metrics.reads.WithLabelValues("broken").Inc()
		_ = t.Engine.Remove(ctx, at.part, at.full, stamp) // if it stays, the next reader does it
		return load(ctx)
	case !c.usable():
		t.metrics.reads.WithLabelValues("busy").Inc()
		return load(ctx)
	}
	if again, ok := t.readable(key); !ok || again != at {
		t.metrics.reads.WithLabelValues("off").Inc()
		return load(ctx)
	}
	if c.kind == kindAbsent {
		t.metrics.reads.WithLabelValues("absent").Inc()
		return Value{Version: c.version, Absent: true}, nil
	}
	t.metrics.reads.WithLabelValues("hit").Inc()
	return Value{Version: c.version, Bytes: c.bytes}, nil
}

// fill loads under a lease, and brings the copy.
func (t *Through) fill(ctx context.Context, at place, load func(context.Context) (Value, error)) (Value, error) {
	lease, err := t.Engine.Swap(ctx, at.part, at.full, nil, cell{kind: kindLease}.encode(at.full), t.cfg.LeaseLife)
	switch {
	case errors.Is(err, ErrRefused):
		t.metrics.reads.WithLabelValues("busy").Inc()
		return load(ctx)
	case err != nil:
		t.metrics.reads.WithLabelValues("error").Inc()
		return load(ctx)
	}
	t.metrics.reads.WithLabelValues("miss").Inc()
	v, err := load(ctx)
	c, life, ok := t.copyOf(v)
	if err != nil || !ok {
		_ = t.Engine.Remove(context.WithoutCancel(ctx), at.part, at.full, lease) // else it ends with its life
		return v, err
	}
	_, err = t.Engine.Swap(ctx, at.part, at.full, lease, c.encode(at.full), life)
	switch {
	case err == nil:
		t.metrics.fills.WithLabelValues("done").Inc()
	case errors.Is(err, ErrRefused):
		t.metrics.fills.WithLabelValues("refused").Inc()
	case errors.Is(err, ErrLarge):
		t.metrics.fills.WithLabelValues("large").Inc()
	default:
		t.metrics.fills.WithLabelValues("error").Inc()
	}
	return v, nil
}

// copyOf gives the cell of a value, if it is to be kept.
func (t *Through) copyOf(v Value) (c cell, life time.Duration, ok bool) {
	if v.Absent {
		return cell{kind: kindAbsent, version: v.Version}, t.cfg.AbsentLife, t.cfg.AbsentLife > 0
	}
	return cell{kind: kindValue, version: v.Version, bytes: v.Bytes}, t.cfg.ValueLife, len(v.Bytes) <= t.cfg.ValueBytesMax
}
