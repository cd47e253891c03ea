package gateway

import (
	"time"
)

// Limits of what a client may do, beside those of the configuration.
const (
	// floodTimes is how far above commands_per_second a client is closed, and floodSeconds for how long it may be so far above.
	floodTimes   = 10
	floodSeconds = 3
	// sayWindow is what says_per_ten_seconds counts in.
	sayWindow = 10
)

// When a client comes again, by what happened.
const (
	retrySlow        = time.Second
	retryFull        = 5 * time.Second
	retryFlood       = 10 * time.Second
	retryInternal    = 2 * time.Second
	retryDrain       = 200 * time.Millisecond
	retryMaintenance = 15 * time.Second
)

// bucket holds tokens. The zero value is full at the first take.
type bucket struct {
	used float32 // tokens that are gone
	at   uint32  // milliseconds, when used was right
}

// take takes a token of max, of which perSecond come back each second. When there is none it says after which time there is.
func (b *bucket) take(now int64, perSecond, max float32) (wait time.Duration, ok bool) {
	b.used = b.since(now, perSecond)
	b.at = uint32(now)
	if b.used+1 > max {
		return time.Duration((b.used + 1 - max) / perSecond * float32(time.Second)), false
	}
	b.used++
	return 0, true
}

func (b *bucket) since(now int64, perSecond float32) float32 {
	passed := uint32(now) - b.at // wraps as the clock does
	return max(0, b.used-float32(passed)*perSecond/1000)
}

// limits are the buckets of a session.
type limits struct{ commands, says, all bucket }
