package origin

import (
	"slices"
	"strings"

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

// SourceStats is the state of one source.
type SourceStats struct {
	Name   string `json:"name"`
	Remote bool   `json:"remote"`
	Spent  bool   `json:"budget_spent"` // fails and is not asked for the moment
}

// Stats reads the state; sources come in the order of their names.
func (f *Finder) Stats() Stats {
	st := Stats{Originals: f.bodies.Stats(), Answers: f.answers.Stats(), Fetches: f.fetches.Stats()}
	for _, s := range f.sources {
		st.Sources = append(st.Sources, SourceStats{s.Name, s.Remote, s.budget.spent()})
	}
	slices.SortFunc(st.Sources, func(a, b SourceStats) int { return strings.Compare(a.Name, b.Name) })
	return st
}
