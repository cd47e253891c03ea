package world

import (
	"math/rand/v2"
	"testing"
)

func TestInboxKeepsOrderAndDoesNotGrow(t *testing.T) {
	t.Parallel()
	var q inbox
	pushed, popped, got := 0, 0, -1
	for range 100_000 {
		if q.len() < 100 && rand.IntN(2) == 0 {
			n := pushed
			q.push(func(*stage) { got = n })
			pushed++
		} else if turn := q.pop(); turn != nil {
			if turn(nil); got != popped {
				t.Fatalf("turn %d came instead of %d", got, popped)
			}
			popped++
		}
		if q.len() != pushed-popped {
			t.Fatalf("%d wait, want %d", q.len(), pushed-popped)
		}
	}
	if c := cap(q.turns); c > 512 || popped < 10_000 {
		t.Errorf("an inbox of at most 100 has room for %d after %d turns", c, popped)
	}
}
