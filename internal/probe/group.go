package probe

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"
)

// Bounds of a Group.
const (
	// AttemptsMaxDefault bounds the attempts of one group that run at once. An
	// attempt costs a socket and some kilobytes; as many as a second's checks may hang.
	AttemptsMaxDefault = 1024
	// ProgramsMaxDefault bounds the programs among them.
	ProgramsMaxDefault = 32
	// ChecksMaxDefault bounds the checks of one group.
	ChecksMaxDefault = 100_000
)

// spread is by how much the first attempt of a check may be put off for each
// check that the group has: one starts at once, thousands spread over their interval.
const spread = time.Millisecond

// ErrChecks: a group has as many checks as it may.
var ErrChecks = errors.New("too many checks")

// GroupConfig bounds a Group; zero values are the defaults.
type GroupConfig struct {
	AttemptsMax int
	ProgramsMax int
	ChecksMax   int
	// Seed of the random delays; 0: a random one.
	Seed uint64
}

// Group runs many checks, each known by a key. Its methods may be called
// concurrently, before, while and after Run runs.
type Group[K comparable] struct {
	cfg      GroupConfig
	report   func(K, Update)
	attempts chan struct{} // a place for each attempt that runs
	programs chan struct{} // a place for each program that runs
	metrics  *metrics

	mu      sync.Mutex
	rand    *rand.Rand
	checks  map[K]*checked
	running context.Context // of Run; nil before and after
	wg      sync.WaitGroup  // of the checks that run; added to only while running is set
}

// checked is one check of a group.
type checked struct {
	runner *Runner
	cancel context.CancelFunc // nil: does not run
}

// NewGroup makes a group. report gets every result that counted: in order for
// one key, concurrently for several. It must not wait, and may be called once
// more after Remove.
func NewGroup[K comparable](cfg GroupConfig, report func(K, Update)) *Group[K] {
	if cfg.AttemptsMax <= 0 {
		cfg.AttemptsMax = AttemptsMaxDefault
	}
	if cfg.ProgramsMax <= 0 {
		cfg.ProgramsMax = ProgramsMaxDefault
	}
	if cfg.ChecksMax <= 0 {
		cfg.ChecksMax = ChecksMaxDefault
	}
	if cfg.Seed == 0 {
		cfg.Seed = rand.Uint64()
	}
	g := &Group[K]{
		cfg: cfg, report: report, checks: map[K]*checked{}, rand: rand.New(rand.NewPCG(cfg.Seed, 0)),
		attempts: make(chan struct{}, cfg.AttemptsMax), programs: make(chan struct{}, cfg.ProgramsMax),
	}
	g.metrics = newMetrics(func() (checks, busy, programs int) { return g.Len(), len(g.attempts), len(g.programs) })
	return g
}

// Run runs the checks until ctx ends, and returns when all of them are quiet. It
// is called once.
func (g *Group[K]) Run(ctx context.Context) error {
	g.mu.Lock()
	g.running = ctx
	for _, c := range g.checks {
		g.start(c)
	}
	g.mu.Unlock()
	<-ctx.Done()
	g.mu.Lock()
	g.running = nil
	g.mu.Unlock()
	g.wg.Wait()
	return ctx.Err()
}

// Add begins a check, in place of the one that the key had. since dates the
// initial state; zero: now.
func (g *Group[K]) Add(key K, c Check, since time.Time) error {
	if c.Spec.kind == "" {
		return errors.New("a check without a spec")
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	old := g.checks[key]
	if old == nil && len(g.checks) >= g.cfg.ChecksMax {
		return fmt.Errorf("%w: %d", ErrChecks, g.cfg.ChecksMax)
	}
	old.stop()
	c = c.filled()
	kind := c.Spec.kind
	cfg := RunnerConfig{
		Delay: time.Duration(g.rand.Int64N(int64(min(c.Interval, time.Duration(len(g.checks)+1)*spread)))),
		Since: since,
		Seen:  func(r Result) { g.metrics.seen(kind, r) },
		Enter: func(ctx context.Context) error { return g.enter(ctx, c.Spec.programs) },
		Leave: func() { g.leave(c.Spec.programs) },
	}
	if g.report != nil {
		cfg.Report = func(u Update) { g.report(key, u) }
	}
	n := &checked{runner: NewRunner(c, cfg)}
	g.checks[key] = n
	if g.running != nil && g.running.Err() == nil {
		g.start(n)
	}
	return nil
}

// start starts a check. Preconditions: g.mu is held, g.running is set.
func (g *Group[K]) start(c *checked) {
	ctx, cancel := context.WithCancel(g.running)
	c.cancel = cancel
	g.wg.Go(func() {
		defer cancel()
		c.runner.Run(ctx) //nolint:errcheck // ends with ctx, and for no other reason: Add saw its spec
	})
}

func (c *checked) stop() {
	if c != nil && c.cancel != nil {
		c.cancel()
	}
}

// Remove ends a check, without waiting for an attempt that runs.
func (g *Group[K]) Remove(key K) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.checks[key].stop()
	delete(g.checks, key)
}

// Len is how many checks there are.
func (g *Group[K]) Len() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.checks)
}

// Runner is the runner of a check; nil when there is none.
func (g *Group[K]) Runner(key K) *Runner {
	g.mu.Lock()
	defer g.mu.Unlock()
	if c := g.checks[key]; c != nil {
		return c.runner
	}
	return nil
}

// enter takes a place, or two for a program.
func (g *Group[K]) enter(ctx context.Context, program bool) error {
	if program {
		if err := g.place(ctx, g.programs); err != nil {
			return err
		}
	}
	err := g.place(ctx, g.attempts)
	if err != nil && program {
		<-g.programs
	}
	return err
}

func (g *Group[K]) place(ctx context.Context, places chan struct{}) error {
	select {
	case places <- struct{}{}:
		return nil
	default:
	}
	g.metrics.waits.Inc()
	select {
	case places <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (g *Group[K]) leave(program bool) {
	<-g.attempts
	if program {
		<-g.programs
	}
}
