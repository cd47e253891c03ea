package origin

import (
	"strings"
	"sync"
	"time"
)

// source is a Source at work: its error budgets and what is told of it.
type source struct {
	Source
	budget *budget
	record record

	mu    sync.Mutex
	hosts map[string]*budget // of the hosts in URL keys; at most hostsMax
}

func newSource(s Source) *source {
	return &source{Source: s, budget: newBudget(failuresMax, failureWindow, cooldown), hosts: map[string]*budget{}}
}

// budgetOf is the budget that a call about a key is paid from: each host in URL
// keys has its own, so that a dead one harms nobody else.
func (s *source) budgetOf(key string) *budget {
	if !isURL(key) {
		return s.budget
	}
	host := hostOf(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.hosts[host]
	if b == nil {
		for other, ob := range s.hosts {
			if len(s.hosts) < hostsMax {
				break
			}
			if !ob.spent() { // a spent one is worth remembering
				delete(s.hosts, other)
			}
		}
		if len(s.hosts) >= hostsMax {
			return s.budget // every host fails: it is the network, and they share one
		}
		b = newBudget(failuresMax, failureWindow, cooldown)
		s.hosts[host] = b
	}
	return b
}

// spentHosts is how many hosts in URL keys are not asked for the moment.
func (s *source) spentHosts() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, b := range s.hosts {
		if b.spent() {
			n++
		}
	}
	return n
}

// isURL says whether a key is meant as a whole URL. No other key begins so: its
// second segment would be empty.
func isURL(key string) bool {
	i := strings.Index(key, "://")
	return i == len("http") && strings.EqualFold(key[:i], "http") || i == len("https") && strings.EqualFold(key[:i], "https")
}

// hostOf is the part of a URL that names a server, port included.
func hostOf(key string) string {
	_, rest, _ := strings.Cut(key, "://")
	if i := strings.IndexAny(rest, "/?#\\"); i >= 0 {
		rest = rest[:i]
	}
	return strings.ToLower(rest)
}

// latenciesMax is how many of the last calls the percentiles are of.
const latenciesMax = 512

// record is what is told of a source. Safe for concurrent use.
type record struct {
	mu        sync.Mutex
	requests  uint64
	errors    uint64
	spared    uint64
	lastGood  time.Time
	lastBad   time.Time
	lastError error
	latencies [latenciesMax]time.Duration // a ring of those that were answered
	answered  uint64
}

// add notes a call that ended at now. left says that the caller went away: then
// nothing is known.
func (r *record) add(now time.Time, took time.Duration, err error, left bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.requests++
	switch {
	case left:
		return
	case sourceFault(err):
		r.errors++
		r.lastBad, r.lastError = now, err
	default:
		r.lastGood = now
		r.latencies[r.answered%latenciesMax] = took
		r.answered++
	}
}

// spare notes a call that the error budget did not let happen.
func (r *record) spare() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.spared++
}
