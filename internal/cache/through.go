package cache

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
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
	want("rest", c.Rest, 2*c.Term, time.Hour)
	want("patience", c.Patience, 0, time.Minute)
	if c.ValueBytesMax < 1 || c.ValueBytesMax > 1<<20 {
		errs = append(errs, fmt.Errorf("value bytes max is %d, must be 1 to %d", c.ValueBytesMax, 1<<20))
	}
	return errors.Join(errs...)
}

// Deps are what Through works with.
type Deps struct {
	Engine   Engine
	Board    Board // NewSole, or NewBoard over the store
	Log      *slog.Logger
	Registry prometheus.Registerer // nil: no metrics
	// Now is the clock, which must be monotonic; nil: the process's.
	Now func() time.Time
}

// Through reads and writes a store through a cache. Its methods may be called
// concurrently.
type Through struct {
	cfg Config
	Deps
}

// New checks the configuration. Nothing is read from the cache before Run.
func New(cfg Config, deps Deps) (*Through, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("configure cache: %w", err)
	}
	return &Through{cfg: cfg, Deps: deps}, nil
}

// Run keeps the notices of the board fresh, and turns parts on that answer again,
// until ctx ends. Without it everything goes to the store.
func (t *Through) Run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

// Read gives the value of a key: the copy, or what load gives, which reads the store. An error is load's; the cache has none. A
// load must be as fresh as the promise that is wanted of Read.
func (t *Through) Read(ctx context.Context, key string, load func(context.Context) (Value, error)) (Value, error) {
	return load(ctx)
}

// Write lets store write the store, and give what is there now (without Bytes
// the copy is removed, and the next reader loads). Its ctx ends after half of MarkLife. Three things might happen:
//  1. nil: it is written, and nobody will read an older value any more;
//  2. an error of store, or ErrAway, or that of ctx before store was called: as store's error says, which with ErrAway is "nothing was written";
//  3. UnsettledError: it is written.
//
// An error of store that is kv's and says that nothing was written lets the cache go on at once; any other one is a
// doubt, and readers load for MarkLife.
func (t *Through) Write(ctx context.Context, key string, store func(context.Context) (Value, error)) (Value, error) {
	return store(ctx)
}
