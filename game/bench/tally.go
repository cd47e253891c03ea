package bench

// tally counts what the members of one room are told of each other. A delivery is a position of one avatar, changed since,
// decoded by another one, and newer than what that one knew.
type tally struct {
	n     int
	walk  *walk
	turns []int   // place of each avatar in the walk
	sent  []int32 // last step that each avatar has sent
	known []int32 // known[receiver*n+sender]: last step that the receiver knows of
	counted
}

// counted is what was seen. Each row that is decoded is counted under exactly one of the names up to strays.
type counted struct {
	times      histogram // of deliveries, since the move was due
	deliveries int
	echoes     int // of the receiver's own avatar
	repeats    int // of a position that was known
	stale      int // older than what was known: reordered
	strays     int // never sent by that avatar, or by nobody in the room
	// superseded are moves that were skipped: a newer one of the same avatar came instead.
	superseded int
}

func newTally(n int) *tally {
	return &tally{n: n, turns: make([]int, n), walk: &walk{}, sent: make([]int32, n), known: make([]int32, n*n)}
}

// row counts one row that was decoded at a time. sender < 0: it is nobody's in the room.
func (t *tally) row(receiver, sender int, x, y uint16, now int64) {
	switch {
	case sender < 0:
		t.strays++
		return
	case sender == receiver:
		t.echoes++
		return
	}
	last := &t.known[receiver*t.n+sender]
	step, ok := stepAt(x, y, int(*last))
	switch {
	case !ok || step < 0 || step > int(t.sent[sender]):
		t.strays++
	case step == int(*last):
		t.repeats++
	case step < int(*last):
		t.stale++
	default:
		before := max(int(*last), t.walk.base)
		*last = int32(step)
		if step <= t.walk.base {
			t.stale++ // of an earlier round, which has been counted up
			return
		}
		t.superseded += step - before - 1
		t.deliveries++
		t.times.add(now - t.walk.due(t.turns[sender], step))
	}
}

// enter begins a round.
func (t *tally) enter(w *walk) {
	t.walk, t.counted = w, counted{}
}

// missing is how many moves of the round somebody does not know yet, those that were superseded aside: at zero, all has come.
func (t *tally) missing() int { return t.expected() - t.deliveries - t.superseded }

// expected is how many deliveries the round has when all goes well.
func (t *tally) expected() int { return t.n * (t.n - 1) * t.walk.moves }

// merge adds what another room saw.
func (c *counted) merge(o *counted) {
	c.times.merge(&o.times)
	c.deliveries += o.deliveries
	c.echoes += o.echoes
	c.repeats += o.repeats
	c.stale += o.stale
	c.strays += o.strays
	c.superseded += o.superseded
}
