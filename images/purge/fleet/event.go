package fleet

import (
	"time"

	"github.com/kamado/kamado/images/purge"
)

// EventKind is what happened.
type EventKind string

// The kinds of events.
const (
	EventIssued    EventKind = "issued"     // an order was given to this node
	EventArrived   EventKind = "arrived"    // an order of another node holds here now
	EventSwept     EventKind = "swept"      // the cached bytes of all takedowns were deleted; Removed says how many entries
	EventSweepFail EventKind = "sweep_fail" // a sweep failed and is tried again
	EventPeerDown  EventKind = "peer_down"  // a peer does not answer
	EventPeerUp    EventKind = "peer_up"    // it answers again, or for the first time
	EventHealed    EventKind = "healed"     // after damage, everything was asked of a peer
)

// Event is something noteworthy, for logs, the event log and tests.
type Event struct {
	Time    time.Time
	Kind    EventKind
	Order   purge.Order // issued, arrived
	Peer    string      // arrived, peer_down, peer_up, healed
	Removed int
	Took    time.Duration
	Err     error
}

func (n *Node) tell(e Event) {
	e.Time = time.Now()
	if n.deps.Events != nil {
		n.deps.Events(e)
	}
}
