package lock

import (
	"fmt"
	"testing"
	"time"
)

func TestSightingsAreBounded(t *testing.T) {
	s, start := newSightings(3), time.Now()
	row := func(i int) Row {
		return Row{Name: fmt.Sprint(i), Version: 1, Lease: Lease{Holder: "h", Session: "s", Token: 1, Term: time.Second}}
	}
	for i := range 4 { // the fourth drives out the first
		if left := s.see(row(i), start.Add(time.Duration(i)*time.Millisecond)); left != 1100*time.Millisecond {
			t.Errorf("a lease that is seen first lasts %v", left)
		}
	}
	late := start.Add(2 * time.Second)
	for i := range 4 {
		if over := s.over(row(i), late); over != (i > 0) {
			t.Errorf("lease %d is over: %v", i, over)
		}
	}
	if s.len() != 3 {
		t.Errorf("%d sightings", s.len())
	}
	if s.over(row(1), start.Add(time.Millisecond).Add(1100*time.Millisecond-1)) {
		t.Error("over before its term and a tenth")
	}
	changed := row(1)
	changed.Version++
	if s.over(changed, late) || s.see(changed, late) != 1100*time.Millisecond || s.len() != 3 {
		t.Error("a lease that changed is as old as before")
	}
	s.forget("1")
	if _, known := s.left(changed, late); known || s.len() != 2 {
		t.Error("what was forgotten is known")
	}
}

func TestWatchesAreBounded(t *testing.T) {
	w, start := newWatches(3), time.Now()
	for i := range 3 {
		w.add(fmt.Sprint(i), time.Second, start.Add(time.Duration(i)))
	}
	w.add("0", time.Second, start.Add(time.Second)) // asked for again
	w.add("3", time.Second, start.Add(time.Second)) // drives out 1
	if w.len() != 3 || w.of["0"] == nil || w.of["1"] != nil {
		t.Errorf("%d watches: %v", w.len(), w.of)
	}
	if due := w.due(start.Add(time.Second/watchPart + 2)); len(due) != 2 || w.pause(start) != time.Second/watchPart {
		t.Errorf("due are %v, the pause is %v", due, w.pause(start))
	}
	w.due(start.Add(watchFor + time.Second/2)) // nobody asked for 2 since
	if w.len() != 2 || w.of["2"] != nil {
		t.Errorf("%d watches: %v", w.len(), w.of)
	}
	w.drop("0")
	w.due(start.Add(2 * watchFor))
	if w.len() != 0 || w.pause(start) != watchFor {
		t.Errorf("%d watches", w.len())
	}
	for term, every := range map[time.Duration]time.Duration{TermMin: watchEveryMin, TermMax: watchEveryMax} {
		if w.add("x", term, start); w.of["x"].every != every {
			t.Errorf("a term of %v is looked at every %v", term, w.of["x"].every)
		}
	}
}

func TestOrphansAreBounded(t *testing.T) {
	o := newOrphans()
	for i := range 2*orphansMax + 10 {
		o.add(fmt.Sprint(i))
	}
	if len(o.of) != orphansMax || len(o.order) != orphansMax || o.has(fmt.Sprint(orphansMax+9)) || !o.has(fmt.Sprint(orphansMax+10)) || !o.has(fmt.Sprint(2*orphansMax+9)) {
		t.Errorf("%d orphans", len(o.of))
	}
}

func TestLeaseIsNoShorterThanItsGrant(t *testing.T) {
	for term, want := range map[time.Duration]time.Duration{
		time.Second: time.Second, time.Second + 1: time.Second + time.Millisecond, TermMax: TermMax, TermMin: TermMin,
	} {
		if got := wholeMs(term); got != want {
			t.Errorf("wholeMs(%v) = %v, want %v", term, got, want)
		}
	}
}
