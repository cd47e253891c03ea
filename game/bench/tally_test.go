package bench

import (
	"testing"
	"time"
)

// told is a room of three in which avatar 0 has sent ten moves, one each 100 ms.
func told() *tally {
	t := newTally(3)
	t.turns = []int{0, 1, 2}
	t.enter(&walk{avatars: 3, interval: 1e8, moves: 10})
	for i := range t.sent {
		t.sent[i] = 10
	}
	return t
}

// tell gives receivers the place of a step of avatar 0, so long after it was due.
func (t *tally) tell(step int, after time.Duration, receivers ...int) {
	x, y := placeOf(step)
	for _, r := range receivers {
		t.row(r, 0, x, y, t.walk.due(0, step)+int64(after))
	}
}

func TestTallyCounts(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		do   func(*tally)
		want counted // without times
	}{
		{"each move to each other one", func(t *tally) {
			for s := 1; s <= 10; s++ {
				t.tell(s, 0, 1, 2)
			}
		}, counted{deliveries: 20}},
		{"an echo to the mover", func(t *tally) { t.tell(1, 0, 0) }, counted{echoes: 1}},
		{"the same position again", func(t *tally) { t.tell(1, 0, 1); t.tell(1, 0, 1, 1) }, counted{deliveries: 1, repeats: 2}},
		{"the position of the beginning", func(t *tally) { t.tell(0, 0, 1) }, counted{repeats: 1}},
		{"a move that a newer one replaces", func(t *tally) { t.tell(1, 0, 1); t.tell(4, 0, 1) }, counted{deliveries: 2, superseded: 2}},
		{"moves in the wrong order", func(t *tally) { t.tell(2, 0, 1); t.tell(1, 0, 1) }, counted{deliveries: 1, superseded: 1, stale: 1}},
		{"old and new in turn", func(t *tally) {
			for range 5 {
				t.tell(1, 0, 1)
				t.tell(2, 0, 1)
			}
		}, counted{deliveries: 2, stale: 4, repeats: 4}},
		{"a move that was never made", func(t *tally) { t.tell(11, 0, 1) }, counted{strays: 1}},
		{"a place where nobody walks", func(t *tally) { t.row(1, 0, 3, 3, 0) }, counted{strays: 1}},
		{"somebody who is not here", func(t *tally) { t.row(1, -1, walkX, walkY, 0) }, counted{strays: 1}},
	} {
		seen := told()
		c.do(seen)
		got := seen.counted
		if got.times.n != got.deliveries {
			t.Errorf("%s: %d times of %d deliveries", c.name, got.times.n, got.deliveries)
		}
		got.times = histogram{}
		if got != c.want {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
	}
}

func TestTallyMissing(t *testing.T) {
	t.Parallel()
	seen := told()
	if seen.expected() != 60 || seen.missing() != 60 {
		t.Fatalf("expected %d, missing %d, want 60", seen.expected(), seen.missing())
	}
	seen.tell(10, 0, 1) // nine are superseded, and nothing more of them can come
	if seen.missing() != 50 || seen.superseded != 9 {
		t.Errorf("missing %d, superseded %d, want 50 and 9", seen.missing(), seen.superseded)
	}
}

// TestTallyRounds wants what comes late from one round to count in none.
func TestTallyRounds(t *testing.T) {
	t.Parallel()
	seen := told()
	seen.tell(9, 0, 1)
	seen.enter(&walk{avatars: 3, interval: 1e8, moves: 10, base: 10, begin: 1e10})
	for i := range seen.sent {
		seen.sent[i] = 20
	}
	seen.tell(10, 0, 1)
	if seen.deliveries != 0 || seen.stale != 1 {
		t.Errorf("the last round's move: %d deliveries, %d stale", seen.deliveries, seen.stale)
	}
	seen.tell(12, time.Millisecond, 1, 2)
	if seen.deliveries != 2 || seen.superseded != 2 || time.Duration(seen.times.max) != time.Millisecond {
		t.Errorf("%d deliveries, %d superseded, at most %v", seen.deliveries, seen.superseded, time.Duration(seen.times.max))
	}
}

// TestLatencyRunsFromDue wants the time since the move was due, of that very move.
func TestLatencyRunsFromDue(t *testing.T) {
	t.Parallel()
	seen := told()
	x, y := placeOf(3)
	seen.row(1, 0, x, y, 250e6) // the third move was due at 200 ms, whenever it was sent
	if got := time.Duration(seen.times.max); got != 50*time.Millisecond {
		t.Errorf("late by %v, want 50ms", got)
	}
}

func TestPlaces(t *testing.T) {
	t.Parallel()
	for _, step := range []int{0, 1, 63, 64, 4095, 4096, 4097, 100_000} {
		x, y := placeOf(step)
		for _, near := range []int{step - 2000, step - 1, step, step + 1, step + 2000} {
			if got, ok := stepAt(x, y, near); !ok || got != step {
				t.Errorf("the place of step %d, near %d, is that of %d", step, near, got)
			}
		}
		if x1, y1 := placeOf(step + 1); x1 == x && y1 == y {
			t.Errorf("step %d changes nothing", step+1)
		}
	}
}

// TestWalkIsEven wants exactly rate x duration moves of each, spread over the interval.
func TestWalkIsEven(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		rate   float64
		length time.Duration
		want   int
	}{{10, 20 * time.Second, 200}, {0.1, 10 * time.Second, 1}, {3, 1500 * time.Millisecond, 4}, {30, 100 * time.Millisecond, 3}, {1, 900 * time.Millisecond, 0}} {
		if got := movesIn(c.rate, c.length); got != c.want {
			t.Errorf("%v a second for %v are %d moves, want %d", c.rate, c.length, got, c.want)
		}
	}
	w := &walk{avatars: 4, interval: 100, moves: 3, base: 7, begin: 1000}
	for i, want := range []int64{1000, 1025, 1050, 1075} {
		if got := w.due(i, 8); got != want {
			t.Errorf("avatar %d's first move is due at %d, want %d", i, got, want)
		}
	}
	if w.end() != 1275 {
		t.Errorf("the last move is due at %d, want 1275", w.end())
	}
}
