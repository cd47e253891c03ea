package origin

import (
	"sync"
	"time"
)

// budget is the error budget of a source. While at most max calls in a row of
// window failed, every call is allowed. When it is used up, no call is allowed
// for the cooldown, and then one at a time: the first that succeeds fills the
// budget again. So a dead source costs a request microseconds instead of a
// timeout, and a source that came back is noticed within one cooldown.
type budget struct {
	max      int
	window   time.Duration
	cooldown time.Duration

	mu       sync.Mutex
	failures int       // since the last success, within the window
	first    time.Time // of those failures
	closed   bool      // used up
	next     time.Time // when the next trial may start, while closed
}

func newBudget(max int, window, cooldown time.Duration) *budget {
	return &budget{max: max, window: window, cooldown: cooldown}
}

// allow says whether a call may be made now. Each call that was allowed is
// reported once.
func (b *budget) allow(now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.closed {
		return true
	}
	if now.Before(b.next) {
		return false
	}
	b.next = now.Add(b.cooldown) // one trial per cooldown
	return true
}

// report tells how a call went; void calls say nothing about the source.
func (b *budget) report(now time.Time, ok, void bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case void:
	case ok:
		b.failures, b.closed = 0, false
	default:
		if b.failures == 0 || now.Sub(b.first) > b.window {
			b.failures, b.first = 0, now
		}
		if b.failures++; b.failures > b.max && !b.closed {
			b.closed, b.next = true, now.Add(b.cooldown)
		}
	}
}

// spent says whether the budget is used up.
func (b *budget) spent() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.closed
}
