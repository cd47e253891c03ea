package web

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

// errSlow is in the cause of a context that ended because the server was slow,
// not because the caller went away.
var errSlow = errors.New("server too slow")

// call makes attempts until one succeeds, is refused for good, or they are used
// up. try gets the number of the attempt, from 0.
func (s *Store) call(ctx context.Context, op string, try func(n int) error) error {
	for n := 0; ; n++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		err := try(n)
		if err == nil {
			return nil
		}
		if cerr := ctx.Err(); cerr != nil {
			return cerr
		}
		var f *fault
		if !errors.As(err, &f) || !f.again || n+1 >= s.cfg.Attempts {
			return err
		}
		s.retries.Add(1)
		if s.cfg.OnRetry != nil {
			s.cfg.OnRetry(op, n+1, err)
		}
		if err := wait(ctx, max(s.backoff(n+1), f.after)); err != nil {
			return err
		}
	}
}

// backoff is a random wait after attempt n ("full jitter"): clients that failed
// together must not come back together.
func (s *Store) backoff(n int) time.Duration {
	return rand.N(min(s.cfg.BackoffMax, s.cfg.BackoffMin<<n)) + 1
}

func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// flight is one attempt under way: its context, and the timer that ends it.
type flight struct {
	caller context.Context
	ctx    context.Context // of the request; it lives as long as the body
	cancel context.CancelCauseFunc
	whole  *time.Timer
}

func (s *Store) newFlight(caller context.Context) *flight {
	ctx, cancel := context.WithCancelCause(caller)
	limit := s.cfg.Whole
	return &flight{caller, ctx, cancel, time.AfterFunc(limit, func() { cancel(fmt.Errorf("%w: not done within %v", errSlow, limit)) })}
}

func (f *flight) end() {
	f.whole.Stop()
	f.cancel(nil)
}

// why is the fault of an attempt: slowness when that ended it, else err.
func (f *flight) why(err error) error {
	if cause := context.Cause(f.ctx); errors.Is(cause, errSlow) {
		return unavailable(true, "%w", cause)
	}
	return err
}
