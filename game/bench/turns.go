package bench

import (
	"context"
	"sync"
	"time"
)

// turns says when callers with a goroutine each begin: at once in a closed loop, or by
// the clock in an open one.
type turns struct {
	end      time.Time
	interval time.Duration // 0: closed

	mu  sync.Mutex
	due time.Time // of the next operation
}

func newTurns(began, end time.Time, rate float64) *turns {
	t := &turns{end: end, due: began}
	if rate > 0 {
		t.interval = time.Duration(float64(time.Second) / rate)
	}
	return t
}

// next waits for a turn and gives when it was due; false when the time is over. An open
// loop hands out what was due in time even when it is late, so that a slow peer shows its queue.
func (t *turns) next(ctx context.Context) (time.Time, bool) {
	if t.interval == 0 {
		now := time.Now()
		return now, now.Before(t.end) && ctx.Err() == nil
	}
	t.mu.Lock()
	due := t.due
	t.due = due.Add(t.interval)
	t.mu.Unlock()
	if !due.Before(t.end) || time.Since(t.end) > patience {
		return due, false
	}
	select {
	case <-time.After(time.Until(due)):
		return due, true
	case <-ctx.Done():
		return due, false
	}
}
