package identity

import (
	"sync"
	"time"
)

// steady is a clock that never goes back. It follows the wall clock forward; when
// that is set back, it goes on by the time that elapses.
//
// Worked example: it is 12:00, and the clock is set to 11:00. A minute later this one shows 12:01.
type steady struct {
	wall    func() time.Time
	elapsed func() time.Duration

	mu   sync.Mutex
	base time.Time // what it showed
	at   time.Duration
}

func newSteady(wall func() time.Time, elapsed func() time.Duration) *steady {
	if wall == nil {
		wall = time.Now
	}
	if elapsed == nil {
		start := time.Now()
		elapsed = func() time.Duration { return time.Since(start) }
	}
	return &steady{wall: wall, elapsed: elapsed, base: wall().UTC(), at: elapsed()}
}

// now is the time.
func (s *steady) now() time.Time {
	wall, at := s.wall().UTC(), s.elapsed()
	s.mu.Lock()
	defer s.mu.Unlock()
	if ran := s.base.Add(at - s.at); wall.After(ran) {
		s.base, s.at = wall.Round(0), at // without its monotonic reading, which would compare for it
	} else if at > s.at {
		s.base, s.at = ran, at
	}
	return s.base
}

// ahead is by how much the wall clock is behind.
func (s *steady) ahead() time.Duration { return max(0, s.now().Sub(s.wall().UTC().Round(0))) }

// millis and fromMillis are times in rows; 0 is the zero time.
func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func fromMillis(ms int64) time.Time {
	if ms <= 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}
