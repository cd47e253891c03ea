package probe

import (
	"errors"
	"slices"
	"time"
)

// State is what a judge believes.
type State uint8

// The states.
const (
	Unknown State = iota
	Healthy
	Unhealthy

	stateCount
)

var stateNames = [stateCount]string{"unknown", "healthy", "unhealthy"}

func (s State) String() string {
	if s < stateCount {
		return stateNames[s]
	}
	return "no state"
}

// Limits say when results become a state.
type Limits struct {
	Healthy   int   // successes in a row that make it healthy; at least 1
	Unhealthy int   // failures in a row that make it unhealthy; at least 1
	Initial   State // before a threshold was reached
}

// What a judge remembers, and when it calls something flapping: FlapChanges
// changes within FlapWindow.
const (
	HistoryMax  = 16 // changes
	FlapChanges = 5
	FlapWindow  = 5 * time.Minute
)

// Change is one change of state.
type Change struct {
	State State
	At    time.Time
	Text  string // of the result that made it
}

// Verdict is what a judge believes at one moment.
type Verdict struct {
	State State
	Since time.Time // the change to State
	// Text is that of the newest result.
	Text string
	// Run is how many results in a row agree: above zero successes, below zero failures.
	Run int
	// Flapping says that the state changed FlapChanges times within the FlapWindow before At.
	Flapping bool
	At       time.Time     // of the newest result that counted; zero before the first one
	Took     time.Duration // of it
	Results  uint64        // that counted
}

// Judge decides from results in a row. It is a step function: no clock, no
// goroutine; not safe for concurrent use.
type Judge struct {
	limits  Limits
	now     Verdict
	changes []Change // newest last, at most HistoryMax
}

// NewJudge makes a judge that begins with the initial state at the moment since.
func NewJudge(l Limits, since time.Time) *Judge {
	l.Healthy, l.Unhealthy = max(l.Healthy, 1), max(l.Unhealthy, 1)
	return &Judge{limits: l, now: Verdict{State: l.Initial, Since: since}}
}

// Step takes the next result and says whether the state changed.
func (j *Judge) Step(r Result) (changed bool) {
	if errors.Is(r.Err, ErrUndecided) {
		j.now.Text = r.Text
		return false
	}
	j.now.At, j.now.Took, j.now.Text = r.At, r.Took, r.Text
	j.now.Results++
	next := j.now.State
	if r.Err == nil {
		j.now.Run = max(j.now.Run, 0) + 1
		if r.Final || j.now.Run >= j.limits.Healthy {
			next = Healthy
		}
	} else {
		j.now.Run = min(j.now.Run, 0) - 1
		if r.Final || -j.now.Run >= j.limits.Unhealthy {
			next = Unhealthy
		}
	}
	if changed = next != j.now.State; changed {
		j.now.State, j.now.Since = next, r.At
		if len(j.changes) == HistoryMax {
			j.changes = slices.Delete(j.changes, 0, 1)
		}
		j.changes = append(j.changes, Change{State: next, At: r.At, Text: r.Text})
	}
	j.now.Flapping = j.flapping(r.At)
	return changed
}

func (j *Judge) flapping(at time.Time) bool {
	n := len(j.changes)
	return n >= FlapChanges && at.Sub(j.changes[n-FlapChanges].At) < FlapWindow
}

// Verdict is what it believes.
func (j *Judge) Verdict() Verdict { return j.now }

// History is its last changes, the newest last.
func (j *Judge) History() []Change { return slices.Clone(j.changes) }
