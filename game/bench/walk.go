package bench

import "time"

// The square in which avatars walk: so small that everybody sees everybody, wherever a server draws the line.
const (
	walkSide  = 64 // units; a power of two
	walkSteps = walkSide * walkSide
	walkX     = 100 // its upper left
	walkY     = 100
)

// placeOf is where an avatar is behind so many steps. It differs from that of the step before, and names the step for a window of
// walkSteps.
func placeOf(step int) (x, y uint16) {
	code := step & (walkSteps - 1)
	return walkX + uint16(code&(walkSide-1)), walkY + uint16(code/walkSide)
}

// stepAt finds the step that a place belongs to: the one that is nearest to a known step. false: nobody walks there.
func stepAt(x, y uint16, near int) (step int, ok bool) {
	dx, dy := int(x)-walkX, int(y)-walkY
	if dx < 0 || dx >= walkSide || dy < 0 || dy >= walkSide {
		return 0, false
	}
	ahead := (dy*walkSide + dx - near) & (walkSteps - 1)
	if ahead >= walkSteps/2 {
		ahead -= walkSteps
	}
	return near + ahead, true
}

// walk is the plan of one round: when each avatar is due to make which step. Avatars take turns, evenly over each
// interval, so that the load is the same at any moment.
type walk struct {
	avatars  int
	begin    int64 // of the round, in nanoseconds of the measurement
	interval float64
	moves    int // of each avatar in the round
	base     int // steps that each avatar had made before the round
}

// movesIn is how many moves an avatar makes in a time: those that are due before its end.
func movesIn(rate float64, length time.Duration) int {
	return int(rate*length.Seconds() + 1e-9)
}

// due is when an avatar's step is due.
func (w *walk) due(avatar, step int) int64 {
	phase := w.interval * float64(avatar) / float64(w.avatars)
	return w.begin + int64(phase+float64(step-w.base-1)*w.interval)
}

// end is when the last move is due.
func (w *walk) end() int64 { return w.due(w.avatars-1, w.base+w.moves) }
