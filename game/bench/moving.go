package bench

import "time"

// Bounds of what a generator does in one go, and of what it may do late.
const (
	sendsMax  = 32                   // moves that are sent before what has come is read
	lateAfter = 5 * time.Millisecond // from when on a move counts as sent late
)

// sending is what became of the moves that were due.
type sending struct {
	sent   int
	unsent int       // of avatars whose connection was over
	late   int       // later than lateAfter
	delay  histogram // from due to sent
}

func (s *sending) merge(o *sending) {
	s.sent, s.unsent, s.late = s.sent+o.sent, s.unsent+o.unsent, s.late+o.late
	s.delay.merge(&o.delay)
}

// moving is the errand of one round in one crowd: every avatar makes its moves by the clock, and then the last
// deliveries are waited for.
type moving struct {
	walk  *walk
	lane  *lane
	begun bool
	at    int // next walker
	made  int // whole turns
	seen  fanRound
}

func (m *moving) turn(now int64) (next int64, done bool, err error) {
	if !m.begun {
		m.begun, m.seen.bytes = true, -m.lane.crowd.bytes
		for _, r := range m.lane.rooms {
			r.tally.enter(m.walk)
		}
	}
	for n := 0; m.made < m.walk.moves && len(m.lane.walkers) > 0; n++ {
		w := m.lane.walkers[m.at]
		at := w.seated()
		step := m.walk.base + m.made + 1
		due := m.walk.due(at.room.tally.turns[at.n], step)
		if due > now {
			return due, false, nil
		}
		if n == sendsMax {
			return now, false, nil
		}
		m.send(w, at, step, due)
		if m.at++; m.at == len(m.lane.walkers) {
			m.at, m.made = 0, m.made+1
		}
	}
	missing := 0
	for _, r := range m.lane.rooms {
		missing += r.tally.missing()
	}
	if missing > 0 && now <= m.walk.end()+int64(graceTerm) {
		return now + int64(graceRest), false, nil
	}
	m.end(now)
	return now, true, nil
}

// send makes one move.
func (m *moving) send(w walker, at *seat, step int, due int64) {
	at.room.tally.sent[at.n] = int32(step)
	if at.link == nil {
		m.seen.unsent++
		return
	}
	delay := m.lane.crowd.now() - due
	m.seen.sent++
	m.seen.delay.add(delay)
	if delay > int64(lateAfter) {
		m.seen.late++
	}
	x, y := placeOf(step)
	w.step(at.link, x, y)
}

// end counts the round up: what comes later counts in none.
func (m *moving) end(now int64) {
	m.seen.bytes += m.lane.crowd.bytes
	m.seen.took = time.Duration(now - m.walk.begin)
	for _, r := range m.lane.rooms {
		m.seen.counted.merge(&r.tally.counted)
		m.seen.expected += r.tally.expected()
	}
}
