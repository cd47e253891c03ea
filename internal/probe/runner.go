package probe

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"
)

// Check is a spec and when it counts.
type Check struct {
	Spec Spec
	// Interval is the time between the starts of two attempts. A held check tries
	// at least that often to get hold again.
	Interval time.Duration
	// Timeout bounds one attempt.
	Timeout time.Duration
	Limits
}

// Bounds and defaults of a Check.
const (
	IntervalMin     = 10 * time.Millisecond
	IntervalDefault = time.Second
	TimeoutDefault  = time.Second
)

func (c Check) filled() Check {
	if c.Interval <= 0 {
		c.Interval = IntervalDefault
	}
	if c.Timeout <= 0 {
		c.Timeout = TimeoutDefault
	}
	c.Interval = max(c.Interval, IntervalMin)
	return c
}

// Update is what a Runner reports: a verdict after a result, and whether it changed the state.
type Update struct {
	Verdict
	Changed bool
}

// RunnerConfig is what a Runner needs beside its Check.
type RunnerConfig struct {
	// Delay is waited before the first attempt, so that many checks do not start together.
	Delay time.Duration
	// Since dates the initial state; zero: now.
	Since time.Time
	// Report gets every result that counted, in order, from Run's goroutine. It must not wait.
	Report func(Update)
	// Enter gives a place to make an attempt in, and Leave takes it back; nil: there is always one.
	Enter func(ctx context.Context) error
	Leave func()
	// Seen hears every result, also those that do not count; may be nil.
	Seen func(Result)
}

// Runner runs one check. Its methods may be called concurrently.
type Runner struct {
	check Check
	cfg   RunnerConfig
	beats chan Result

	mu    sync.Mutex
	judge *Judge
}

// beatsMax bounds the heartbeats that wait for Run.
const beatsMax = 16

// NewRunner makes a runner.
func NewRunner(c Check, cfg RunnerConfig) *Runner {
	if cfg.Since.IsZero() {
		cfg.Since = time.Now()
	}
	c = c.filled()
	return &Runner{check: c, cfg: cfg, beats: make(chan Result, beatsMax), judge: NewJudge(c.Limits, cfg.Since)}
}

// Verdict is what is believed now.
func (r *Runner) Verdict() Verdict {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.judge.Verdict()
}

// History is the last changes, the newest last.
func (r *Runner) History() []Change {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.judge.History()
}

// Check is what it runs.
func (r *Runner) Check() Check { return r.check }

// The errors of Beat.
var (
	ErrNoHeartbeat = errors.New("the check takes no heartbeats")
	ErrBusy        = errors.New("too many heartbeats wait")
)

// Beat tells a heartbeat check that the thing lives, or, with an error, that it
// does not. It counts at once, without a threshold.
func (r *Runner) Beat(note string, failure error) error {
	if r.check.Spec.ttl == 0 {
		return ErrNoHeartbeat
	}
	res := result(note, failure)
	res.At, res.Final = time.Now(), true
	select {
	case r.beats <- res:
		return nil
	default:
		return ErrBusy
	}
}

// Run checks until ctx ends, and returns when nothing of it is left.
func (r *Runner) Run(ctx context.Context) error {
	switch s := r.check.Spec; {
	case s.held != nil:
		if wait(ctx, r.cfg.Delay) {
			s.held.hold(ctx, timing{interval: r.check.Interval, timeout: r.check.Timeout}, r.take)
		}
	case s.ttl > 0:
		r.listen(ctx, s.ttl)
	case s.polled != nil:
		r.poll(ctx, s.polled)
	default:
		return errors.New("a check without a spec")
	}
	return ctx.Err()
}

// wait waits and says false when ctx ended.
func wait(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// poll makes attempts at a fixed beat. Beats that an attempt, or the wait for a
// place, ran over are left out.
func (r *Runner) poll(ctx context.Context, p polled) {
	next := time.Now().Add(r.cfg.Delay)
	for wait(ctx, time.Until(next)) {
		if r.cfg.Enter != nil && r.cfg.Enter(ctx) != nil {
			return
		}
		res := r.attempt(ctx, p)
		if r.cfg.Leave != nil {
			r.cfg.Leave()
		}
		if ctx.Err() != nil {
			return // what ended the attempt was not the thing's death
		}
		r.take(res)
		next = next.Add(r.check.Interval)
		if late := time.Since(next); late > 0 {
			next = next.Add((late/r.check.Interval + 1) * r.check.Interval)
		}
	}
}

// attempt makes one attempt. A panic of what reads a peer's bytes is a failure of
// that attempt.
func (r *Runner) attempt(ctx context.Context, p polled) (res Result) {
	ctx, cancel := context.WithTimeout(ctx, r.check.Timeout)
	defer cancel()
	start := time.Now()
	defer func() {
		if v := recover(); v != nil {
			res = Result{Err: fmt.Errorf("panic: %v\n%s", v, debug.Stack()), Text: Clip(fmt.Sprintf("panic: %v", v))}
		}
		res.At = time.Now()
		res.Took = res.At.Sub(start)
	}()
	text, err := p.attempt(ctx)
	return result(text, err)
}

// listen waits for heartbeats. One that does not come in time is certain.
func (r *Runner) listen(ctx context.Context, ttl time.Duration) {
	timer := time.NewTimer(ttl)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case res := <-r.beats:
			r.take(res)
			timer.Reset(ttl)
		case <-timer.C:
			r.take(Result{Err: errSilent, Text: fmt.Sprintf("no heartbeat for %v", ttl), Final: true, At: time.Now()})
		}
	}
}

var errSilent = errors.New("no heartbeat")

// take judges a result and reports it.
func (r *Runner) take(res Result) {
	r.mu.Lock()
	changed := r.judge.Step(res)
	u := Update{Verdict: r.judge.Verdict(), Changed: changed}
	r.mu.Unlock()
	if r.cfg.Seen != nil {
		r.cfg.Seen(res)
	}
	if r.cfg.Report != nil && !errors.Is(res.Err, ErrUndecided) {
		r.cfg.Report(u)
	}
}
