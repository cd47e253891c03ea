package lock

import (
	"container/list"
	"sync"
	"time"
)

// sightings are leases and when they were first seen so. It is bounded: the
// oldest is forgotten first, which only makes the wait for it longer.
type sightings struct {
	mu    sync.Mutex
	max   int
	of    map[string]*list.Element // of sighting, by name
	order list.List                // oldest first
}

type sighting struct {
	row Row
	at  time.Time
}

func newSightings(limit int) *sightings {
	return &sightings{max: limit, of: map[string]*list.Element{}}
}

// see remembers a lease that was there at the moment at, or before. It says how
// long it may last from then, which is never negative.
func (s *sightings) see(row Row, at time.Time) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.of[row.Name]
	if e == nil || e.Value.(sighting).row != row {
		if e != nil {
			s.order.Remove(e)
		} else if len(s.of) >= s.max {
			oldest := s.order.Front()
			delete(s.of, s.order.Remove(oldest).(sighting).row.Name)
		}
		e = s.order.PushBack(sighting{row: row, at: at})
		s.of[row.Name] = e
	}
	return max(0, row.patience()-at.Sub(e.Value.(sighting).at))
}

// left is how long a lease may last from now; known says whether it was seen.
func (s *sightings) left(row Row, now time.Time) (left time.Duration, known bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.of[row.Name]
	if e == nil || e.Value.(sighting).row != row {
		return 0, false
	}
	return max(0, row.patience()-now.Sub(e.Value.(sighting).at)), true
}

// over says whether a lease has stood still for so long that its holder has
// stopped believing in it.
func (s *sightings) over(row Row, now time.Time) bool {
	left, known := s.left(row, now)
	return known && left == 0
}

// forget drops what is known of a name.
func (s *sightings) forget(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.of[name]; e != nil {
		s.order.Remove(e)
		delete(s.of, name)
	}
}

func (s *sightings) len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.of)
}
