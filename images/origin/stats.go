package origin

import (
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/kamado/kamado/images/cache"
	"github.com/kamado/kamado/images/queue"
)

// Stats is the state of a Finder.
type Stats struct {
	Originals cache.MemoryStats `json:"originals"` // cache of remote originals
	Answers   cache.MemoryStats `json:"answers"`   // remembered answers about remote originals
	Fetches   queue.Stats       `json:"fetches"`
	Sources   []SourceStats     `json:"sources"`
}

// Reach is whether a source can be reached, by the last calls to it.
type Reach string

// The ways of reaching a source.
const (
	ReachUnknown Reach = "unknown" // not asked yet
	ReachGood    Reach = "good"    // the last call was answered, if only by "not found"
	ReachFailing Reach = "failing" // the last call failed
	ReachSpent   Reach = "spent"   // fails and is not asked for the moment
)

// SourceStats is the state of one source.
type SourceStats struct {
	Name   string `json:"name"`
	Remote bool   `json:"remote"`
	Reach  Reach  `json:"reach"`
	Spent  bool   `json:"budget_spent"` // fails and is not asked for the moment
	// HostsSpent is how many hosts in URL keys fail and are not asked; they have
	// budgets of their own.
	HostsSpent int `json:"hosts_spent,omitempty"`

	Requests uint64 `json:"requests"` // questions and reads that were sent
	Errors   uint64 `json:"errors"`   // of them, those that speak against the source
	Spared   uint64 `json:"spared"`   // not sent, because the budget was spent

	LastError   string    `json:"last_error,omitempty"` // without secrets; stays after the source has recovered
	LastFailure time.Time `json:"last_failure,omitzero"`
	LastSuccess time.Time `json:"last_success,omitzero"`

	// Seconds that the last calls took that were answered, at most 512 of them.
	Samples int     `json:"latency_samples"`
	P50     float64 `json:"latency_p50_seconds"`
	P99     float64 `json:"latency_p99_seconds"`
}

// Stats reads the state; sources come in the order of their names.
func (f *Finder) Stats() Stats {
	st := Stats{Originals: f.bodies.Stats(), Answers: f.answers.Stats(), Fetches: f.fetches.Stats()}
	for _, s := range f.sources {
		st.Sources = append(st.Sources, s.stats())
	}
	slices.SortFunc(st.Sources, func(a, b SourceStats) int { return strings.Compare(a.Name, b.Name) })
	return st
}

func (s *source) stats() SourceStats {
	st := s.record.stats()
	st.Name, st.Remote, st.Spent, st.HostsSpent = s.Name, s.Remote, s.budget.spent(), s.spentHosts()
	if st.Spent {
		st.Reach = ReachSpent
	}
	return st
}

// stats reads a record.
func (r *record) stats() SourceStats {
	r.mu.Lock()
	st := SourceStats{
		Requests: r.requests, Errors: r.errors, Spared: r.spared,
		LastFailure: r.lastBad, LastSuccess: r.lastGood, Samples: int(min(r.answered, latenciesMax)), Reach: ReachUnknown,
	}
	took := slices.Clone(r.latencies[:st.Samples])
	err := r.lastError
	r.mu.Unlock()
	switch {
	case st.LastFailure.After(st.LastSuccess):
		st.Reach = ReachFailing
	case !st.LastSuccess.IsZero():
		st.Reach = ReachGood
	}
	if err != nil {
		st.LastError = tellable(err.Error())
	}
	if slices.Sort(took); len(took) > 0 {
		st.P50, st.P99 = rank(took, 50).Seconds(), rank(took, 99).Seconds()
	}
	return st
}

// rank is the nearest-rank percentile of sorted values, of which there is one.
func rank(sorted []time.Duration, percent int) time.Duration {
	return sorted[(len(sorted)*percent+99)/100-1]
}

// lastErrorBytes bounds the text of an error that is shown.
const lastErrorBytes = 300

var (
	query    = regexp.MustCompile(`\?[^\s"']*`)
	userinfo = regexp.MustCompile(`://[^/\s"']*@`)
)

// tellable is the text of an error without what may be a secret in it: the
// queries of URLs, which hold signatures, and credentials before hosts.
func tellable(text string) string {
	text = query.ReplaceAllString(text, "?...")
	text = userinfo.ReplaceAllString(text, "://")
	text = strings.Map(func(r rune) rune {
		if r < 0x20 || r == 0x7f {
			return ' '
		}
		return r
	}, text)
	if len(text) > lastErrorBytes {
		text = strings.ToValidUTF8(text[:lastErrorBytes], "") + "..."
	}
	return text
}
