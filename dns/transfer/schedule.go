package transfer

import (
	"time"

	"github.com/kamado/kamado/dns"
)

// When targets are told of a change.
const (
	// burst is how long a first change waits for others, and apart how long two
	// notifications of one zone to one target lie apart at least.
	burst = 50 * time.Millisecond
	apart = time.Second
	// An attempt that nobody answers is made again after retryFirst, twice that, and
	// so on up to retryMax; attemptsMax bounds them (RFC 1996 3.6 wants about five).
	retryFirst  = time.Second
	retryMax    = time.Minute
	attemptsMax = 8
	// flightsMax bounds the attempts at a time.
	flightsMax = 32
)

// job is to tell a target of a zone.
type job struct {
	zone   dns.Name
	target string
}

// jobState is a job between changes, before an attempt, or in one.
type jobState struct {
	due    bool      // there is something to tell
	at     time.Time // not before
	tries  int       // without an answer, since the last change
	flying bool
	sent   time.Time // of the last attempt
}

// schedule decides when to tell whom: a step function without clock and socket.
type schedule struct {
	targets []string
	jobs    map[job]*jobState
	flights int
}

func newSchedule(targets []string) *schedule {
	return &schedule{targets: targets, jobs: map[job]*jobState{}}
}

// change notes that a zone changed.
func (s *schedule) change(now time.Time, zone dns.Name) {
	for _, t := range s.targets {
		j := s.jobs[job{zone, t}]
		if j == nil {
			j = &jobState{}
			s.jobs[job{zone, t}] = j
		}
		at := now.Add(burst)
		if next := j.sent.Add(apart); !j.sent.IsZero() && next.After(at) {
			at = next
		}
		if !j.due || j.tries > 0 || j.at.After(at) {
			j.at = at
		}
		j.due, j.tries = true, 0
	}
}

// start gives the attempts that are to be made now, and when to ask again; zero: after the next change or end.
func (s *schedule) start(now time.Time) (list []job, next time.Time) {
	for k, j := range s.jobs {
		switch {
		case !j.due || j.flying || s.flights >= flightsMax:
		case j.at.After(now):
			if next.IsZero() || j.at.Before(next) {
				next = j.at
			}
		default:
			j.due, j.flying, j.sent = false, true, now
			s.flights++
			list = append(list, k)
		}
	}
	return list, next
}

// end notes how an attempt ended, and says whether it was the last one that nobody answered.
func (s *schedule) end(now time.Time, k job, answered bool) (gaveUp bool) {
	j := s.jobs[k]
	j.flying = false
	s.flights--
	if answered || j.due { // j.due: the zone has changed since, which begins anew
		if answered {
			j.tries = 0
		}
		return false
	}
	if j.tries++; j.tries >= attemptsMax {
		j.tries = 0
		return true
	}
	j.due = true
	j.at = now.Add(min(retryFirst<<(j.tries-1), retryMax))
	return false
}

// forget drops a zone that is no more, unless an attempt runs.
func (s *schedule) forget(zone dns.Name) {
	for k, j := range s.jobs {
		if k.zone == zone && !j.flying {
			delete(s.jobs, k)
		}
	}
}
