package transfer

import (
	"fmt"
	"testing"
	"time"

	"github.com/kamado/kamado/dns"
)

// TestScheduleStepByStep is the life of one job, and of more than may fly.
func TestScheduleStepByStep(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_800_000_000, 0)
	s := newSchedule([]string{"a:1"})
	k := job{"x.test", "a:1"}
	starts := func(what string, want int, wantNext time.Duration) {
		t.Helper()
		list, next := s.start(now)
		if len(list) != want || wantNext == 0 != next.IsZero() || wantNext != 0 && !next.Equal(now.Add(wantNext)) {
			t.Errorf("%s: starts %v, next %v, want %d, %v", what, list, next, want, now.Add(wantNext))
		}
	}
	starts("nothing changed", 0, 0)
	s.change(now, k.zone)
	starts("at once", 0, burst)
	now = now.Add(burst)
	starts("after a burst", 1, 0)
	starts("in flight", 0, 0)
	s.change(now, k.zone)
	starts("changed in flight", 0, 0)
	if s.end(now, k, false) {
		t.Error("gave up after one attempt")
	}
	starts("a failure behind a change begins anew", 0, apart)
	now = now.Add(apart)
	starts("apart from the last one", 1, 0)
	for i := range attemptsMax {
		wait := min(retryFirst<<i, retryMax)
		gaveUp := s.end(now, k, false)
		if gaveUp != (i == attemptsMax-1) {
			t.Errorf("gave up after %d attempts: %v", i+1, gaveUp)
		}
		if !gaveUp {
			starts("after a failure", 0, wait)
			now = now.Add(wait)
			starts("again", 1, 0)
		}
	}
	starts("given up", 0, 0)
	s.change(now, k.zone)
	now = now.Add(apart)
	starts("a change after giving up", 1, 0)
	s.end(now, k, true)
	s.forget(k.zone)
	if len(s.jobs) != 0 {
		t.Errorf("%d jobs of zones that are gone", len(s.jobs))
	}
	for i := range flightsMax + 5 {
		s.change(now, dns.Name(fmt.Sprintf("z%d.test", i)))
	}
	now = now.Add(apart)
	starts("as many as may fly", flightsMax, 0)
}
