package delivery

import "time"

// Outcome is how a request was answered.
type Outcome uint8

// The outcomes.
const (
	OutcomeError       Outcome = iota // an error; the status says which
	OutcomeMemory                     // from the result cache in memory
	OutcomeDisk                       // from the result cache on disk
	OutcomeRendered                   // made for this request
	OutcomeShared                     // made for an equal request at the same time
	OutcomeNotModified                // 304 without a look at the bytes
	OutcomeGone                       // the client left first

	outcomeCount
)

var outcomeNames = [outcomeCount]string{"error", "memory", "disk", "rendered", "shared", "not_modified", "gone"}

func (o Outcome) String() string { return outcomeNames[o] }

// Event is one answered request, for the event log and whoever else listens.
type Event struct {
	Time      time.Time
	RequestID string
	Grammar   string
	Origin    string
	Original  string // kind/id or the key
	Owner     string
	Rendition string // canonical
	Outcome   Outcome
	Status    int
	Format    string
	Bytes     int           // of the answer's body
	Took      time.Duration // from arrival to the answer's first byte
	Detail    string        // of an error
}

// Refused says whether the client got no picture.
func (e *Event) Refused() bool { return e.Outcome == OutcomeError || e.Outcome == OutcomeGone }
