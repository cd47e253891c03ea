package identity

import (
	"net/netip"
	"time"

	"github.com/kamado/kamado/game"
)

// limitKeysMax bounds the keys (accounts, addresses) that one limit remembers. What is forgotten begins anew.
const limitKeysMax = 100_000

// limit lets each key do something burst times at once, and once more each every. It
// keeps one number for each: the moment at which the key would have all its tries again (the
// generic cell rate algorithm).
type limit struct {
	name  string
	burst int
	every time.Duration
	at    *lru[string, time.Duration]
}

func newLimit(name string, burst int, every time.Duration) *limit {
	return &limit{name: name, burst: burst, every: every, at: newLRU[string, time.Duration](limitKeysMax)}
}

// take uses one try, and says how long to wait when there is none.
func (l *limit) take(key string, now time.Duration) (wait time.Duration) {
	l.at.change(key, func(full time.Duration) time.Duration {
		next := max(full, now) + l.every
		if wait = next - now - time.Duration(l.burst)*l.every; wait > 0 {
			return full
		}
		return next
	})
	return max(0, wait)
}

// back returns a try that turned out to be right.
func (l *limit) back(key string) {
	l.at.change(key, func(full time.Duration) time.Duration { return full - l.every })
}

// network is the key of an address: itself, or the /64 that one subscriber of IPv6 has.
func network(a netip.Addr) string {
	a = a.Unmap()
	if a.Is6() {
		p, err := a.WithZone("").Prefix(64)
		if err == nil {
			return p.String()
		}
	}
	return a.String()
}

// allow takes a try of a limit. The empty key is not limited.
func (s *Server) allow(l *limit, key string) error {
	if key == "" {
		return nil
	}
	if wait := l.take(key, s.clock.elapsed()); wait > 0 {
		s.metrics.limited.WithLabelValues(l.name).Inc()
		return limited("too many attempts", wait)
	}
	return nil
}

// limited is the error that says when to come again: whole seconds, at least one.
func limited(detail string, wait time.Duration) error {
	wait = max(time.Second, (wait + time.Second - 1).Truncate(time.Second))
	return &game.Error{Kind: game.Limited, Detail: detail + ": try again in " + wait.String(), Err: game.RetryAfter(wait)}
}

func addressKey(c game.Client) string {
	if !c.Address.IsValid() {
		return ""
	}
	return network(c.Address)
}
