// Package lifecycle runs the long-lived parts of a process together and stops them in order.
//
// A Group has members, each a function that works until its context ends. They run at the same time and stop in the
// reverse of the order in which they were added, one after the other, so a member may rely on those added before it
// until it has returned itself. Invariant: when Run returns nil, no member runs any more.
package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"
)

// StopTimeoutDefault bounds how long one member may take to return after it was asked to.
const StopTimeoutDefault = 45 * time.Second

// ErrStuck is wrapped by Run's error when a member did not return in time after it was asked to stop. Its goroutine is
// then still there: end the process.
var ErrStuck = errors.New("did not stop in time")

// Group is a list of members. The zero value is ready. It is used by one goroutine, and run once.
type Group struct {
	// Log hears about members that start, fail and stop; nil is silent.
	Log *slog.Logger
	// StopTimeout bounds the wait for one member; zero means StopTimeoutDefault.
	StopTimeout time.Duration

	members []*member
}

type member struct {
	name   string
	run    func(context.Context) error
	cancel context.CancelFunc
	done   chan struct{} // closed when run has returned
	err    error         // of run; read after done
}

// Add appends a member. Its run must return soon after its context ends; the context's error is then no failure.
// When it returns nil earlier, its work is finished and the others continue; any other error stops the group.
func (g *Group) Add(name string, run func(ctx context.Context) error) {
	g.members = append(g.members, &member{name: name, run: run})
}

// Run starts all members and returns when all have returned. They are stopped when ctx ends or when the first of them fails.
// The result is that first failure, joined with those that happened while stopping; nil when there was none.
func (g *Group) Run(ctx context.Context) error {
	ended := make(chan *member, len(g.members))
	for _, m := range g.members {
		// The order of stopping is the group's: a member does not see the end of ctx by itself.
		own, cancel := context.WithCancel(context.WithoutCancel(ctx))
		m.cancel, m.done = cancel, make(chan struct{})
		go func() {
			m.err = m.guard(own)
			close(m.done)
			ended <- m
		}()
	}
	var errs []error
	first := g.wait(ctx, ended)
	if first != nil {
		errs = append(errs, first.failure())
		g.log().Error("part failed", "part", first.name, "error", first.err)
	}
	for i := len(g.members) - 1; i >= 0; i-- {
		m := g.members[i]
		if err := g.stop(m); err != nil && m != first {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// wait returns the first member that fails, or nil when ctx ended or all members finished without one.
func (g *Group) wait(ctx context.Context, ended <-chan *member) *member {
	for range g.members {
		select {
		case <-ctx.Done():
			return nil
		case m := <-ended:
			if m.err != nil {
				return m
			}
		}
	}
	return nil
}

// stop asks one member to return and waits for it.
func (g *Group) stop(m *member) error {
	start := time.Now()
	m.cancel()
	limit := g.StopTimeout
	if limit <= 0 {
		limit = StopTimeoutDefault
	}
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-m.done:
	case <-timer.C:
		return fmt.Errorf("%s: %w (%v)", m.name, ErrStuck, limit)
	}
	g.log().Debug("part stopped", "part", m.name, "took", time.Since(start))
	if m.err == nil || errors.Is(m.err, context.Canceled) {
		return nil
	}
	return m.failure()
}

func (m *member) failure() error { return fmt.Errorf("%s: %w", m.name, m.err) }

// guard turns a panic into a failure, so that the other members still stop in order.
func (m *member) guard(ctx context.Context) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return m.run(ctx)
}

func (g *Group) log() *slog.Logger {
	if g.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return g.Log
}
