package cache

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync"
)

// Group lets equal work that is asked for at the same time happen once. The
// work lives as long as at least one of those who wait for it: a waiter that
// leaves costs nothing, and when the last leaves the work's context ends. The
// zero value is ready.
type Group[K comparable, V any] struct {
	mu    sync.Mutex
	calls map[K]*call[V]
}

type call[V any] struct {
	done    chan struct{}
	cancel  context.CancelFunc
	value   V
	err     error
	waiters int // guarded by Group.mu; 0 = abandoned
}

// PanicError is what the waiters get when the work panicked: a fault in one
// piece of work costs those who asked for it, and not the process.
type PanicError struct {
	Value any
	Stack []byte
}

func (e *PanicError) Error() string { return fmt.Sprintf("panic in shared work: %v", e.Value) }

// Do returns what work returns for the key; shared says that another caller
// started it. The context that work gets carries the values of the starter's
// context but neither its deadline nor its end: work sets its own deadline.
// When ctx ends first, its error is returned.
func (g *Group[K, V]) Do(ctx context.Context, key K, work func(context.Context) (V, error)) (value V, shared bool, err error) {
	return g.DoTelling(ctx, key, work, nil)
}

// DoTelling is Do for a caller that others wait for: theirs is called, when it is
// not nil and another caller started the work, before this one waits for it.
func (g *Group[K, V]) DoTelling(ctx context.Context, key K, work func(context.Context) (V, error), theirs func()) (value V, shared bool, err error) {
	g.mu.Lock()
	c := g.calls[key]
	if c != nil {
		c.waiters++
		shared = true
	} else {
		// The work belongs to all who wait, so it must not end with the
		// request that happened to come first.
		workCtx, cancel := context.WithCancel(context.WithoutCancel(ctx))
		c = &call[V]{done: make(chan struct{}), cancel: cancel, waiters: 1}
		if g.calls == nil {
			g.calls = make(map[K]*call[V])
		}
		g.calls[key] = c
		go g.run(workCtx, key, c, work)
	}
	g.mu.Unlock()
	if shared && theirs != nil {
		theirs()
	}
	select {
	case <-c.done:
		return c.value, shared, c.err
	case <-ctx.Done():
		g.leave(key, c)
		return value, shared, context.Cause(ctx)
	}
}

// leave takes one waiter away and ends work that nobody waits for. Such work
// is forgotten at once, so that the next caller starts afresh.
func (g *Group[K, V]) leave(key K, c *call[V]) {
	g.mu.Lock()
	defer g.mu.Unlock()
	c.waiters--
	if c.waiters > 0 {
		return
	}
	c.cancel()
	if g.calls[key] == c {
		delete(g.calls, key)
	}
}

// Recovered does work; a panic in it is an error: for goroutines in which nobody
// else recovers, so that a fault costs what was asked for and not the process.
func Recovered(work func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &PanicError{Value: p, Stack: debug.Stack()}
		}
	}()
	return work()
}

func (g *Group[K, V]) run(ctx context.Context, key K, c *call[V], work func(context.Context) (V, error)) {
	defer c.cancel()
	defer func() {
		g.mu.Lock()
		if g.calls[key] == c {
			delete(g.calls, key)
		}
		g.mu.Unlock()
		close(c.done)
	}()
	c.err = Recovered(func() (err error) {
		c.value, err = work(ctx)
		return err
	})
}

// Len is how many pieces of work are under way.
func (g *Group[K, V]) Len() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.calls)
}
