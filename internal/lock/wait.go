package lock

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"
)

// AcquireWait is Acquire that waits for the lock, for up to wait. Besides what Acquire
// does it may give ErrExhausted, when WaitersMax calls wait already, and ErrInvalid, when wait is above WaitMax;
// ErrHeld comes after the wait. Those who wait here for one lock get it in the order in
// which they came, and only the first of them asks the engine; others ask through
// other servers, or with Acquire, and may be faster.
func (r *Registry) AcquireWait(ctx context.Context, name, holder string, term, wait time.Duration) (Held, error) {
	if wait <= 0 {
		return r.Acquire(ctx, name, holder, term)
	}
	h, err := r.acquireWait(ctx, name, holder, term, wait)
	return h, r.counts("acquire", err)
}

func (r *Registry) acquireWait(ctx context.Context, name, holder string, term, wait time.Duration) (Held, error) {
	came := time.Now()
	if err := check(name, holder, term); err != nil {
		return Held{}, err
	}
	if wait > r.cfg.WaitMax {
		return Held{}, fmt.Errorf("%w: a wait of %v: want up to %v", ErrInvalid, wait, r.cfg.WaitMax)
	}
	w, err := r.lines.join(name)
	if err != nil {
		return Held{}, err
	}
	defer func() { r.lines.leave(w) }()
	r.bounds()
	end := time.NewTimer(wait)
	defer end.Stop()
	if err := r.turn(ctx, w, end.C); err != nil {
		return Held{}, err
	}
	pause := r.cfg.PollMin
	for {
		waited := time.Since(came)
		h, err := r.acquire(ctx, name, holder, term)
		var held *HeldError
		if !errors.As(err, &held) {
			h.Waited = waited
			return h, err
		}
		r.lines.saw(w, held)
		sleep := pause + rand.N(pause/2+1) //nolint:gosec // jitter
		if held.Wait > 0 && held.Wait < sleep {
			sleep = held.Wait + time.Millisecond // then a dead holder's lock is free
		}
		timer := time.NewTimer(sleep)
		select {
		case <-ctx.Done():
			timer.Stop()
			return Held{}, ctx.Err()
		case <-end.C:
			timer.Stop()
			return Held{}, held
		case <-w.kick:
			timer.Stop()
			pause = r.cfg.PollMin
		case <-timer.C:
			pause = min(pause+pause/2, r.cfg.PollMax)
		}
	}
}

// Waiters is how many calls of AcquireWait wait here.
func (r *Registry) Waiters() int { return r.lines.len() }

// turn waits until w is the first of its line.
func (r *Registry) turn(ctx context.Context, w *waiter, end <-chan time.Time) error {
	select {
	case <-w.first:
		return nil
	default:
	}
	select {
	case <-w.first:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-end:
		return r.lines.last(w)
	}
}

// lines are those who wait, one line for each lock, in the order in which they came.
type lines struct {
	mu  sync.Mutex
	max int
	n   int
	of  map[string]*line
}

// line is never empty: its first waiter asks the engine.
type line struct {
	waiters []*waiter
	held    *HeldError // what the first was told last; nil: nothing yet
}

type waiter struct {
	name  string
	first chan struct{} // closed when it is the first
	kick  chan struct{} // the lock may be free; one place
}

func newLines(limit int) *lines { return &lines{max: limit, of: map[string]*line{}} }

func (l *lines) join(name string) (*waiter, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.n >= l.max {
		return nil, &ExhaustedError{What: "waiters for locks", Limit: l.max, Setting: "WaitersMax"}
	}
	l.n++
	w := &waiter{name: name, first: make(chan struct{}), kick: make(chan struct{}, 1)}
	if l.of[name] == nil {
		l.of[name] = &line{}
		close(w.first)
	}
	l.of[name].waiters = append(l.of[name].waiters, w)
	return w, nil
}

func (l *lines) leave(w *waiter) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.n--
	in := l.of[w.name]
	for i, other := range in.waiters {
		if other != w {
			continue
		}
		in.waiters = append(in.waiters[:i], in.waiters[i+1:]...)
		if len(in.waiters) == 0 {
			delete(l.of, w.name)
		} else if i == 0 {
			close(in.waiters[0].first)
		}
		return
	}
}

// kick tells the first who waits for a lock that it may be free.
func (l *lines) kick(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if in := l.of[name]; in != nil {
		select {
		case in.waiters[0].kick <- struct{}{}:
		default:
		}
	}
}

// saw keeps what the first was told, for those behind it, and last gives it.
func (l *lines) saw(w *waiter, held *HeldError) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.of[w.name].held = held
}

func (l *lines) last(w *waiter) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if held := l.of[w.name].held; held != nil {
		return held
	}
	return &HeldError{Name: w.name, Holder: "another one who waits"}
}

func (l *lines) len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.n
}
