package dns_test

import (
	"testing"
	"time"

	"github.com/kamado/kamado/dns"
)

// TestClockNeverGoesBack: a clock that is set back an hour, or that heard of a
// later stamp, still makes later stamps.
func TestClockNeverGoesBack(t *testing.T) {
	t.Parallel()
	c := dns.Clock{Node: "n1"}
	at := time.UnixMilli(1_700_000_000_000)
	last := c.Next(at)
	for _, now := range []time.Time{at, at.Add(-time.Hour), at.Add(time.Second), at.Add(-time.Minute)} {
		next := c.Next(now)
		if next.Compare(last) <= 0 {
			t.Fatalf("Next(%v) = %v, not after %v", now, next, last)
		}
		last = next
	}
	heard := dns.Stamp{Millis: at.Add(time.Minute).UnixMilli(), Count: 7, Node: "n2"}
	c.See(heard)
	if next := c.Next(at); next.Compare(heard) <= 0 {
		t.Errorf("Next after See(%v) = %v, not after it", heard, next)
	}
}
