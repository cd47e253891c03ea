package dns

import (
	"net/netip"
	"time"
)

// EventKind is what happened.
type EventKind string

// The kinds of event.
const (
	EventRecord EventKind = "record" // an owned record appeared or changed
	EventGone   EventKind = "gone"   // an owned record was removed
	EventHealth EventKind = "health" // a record's state changed, or its owner's
	EventMember EventKind = "member" // a member changed its state
	EventZone   EventKind = "zone"   // a zone's records changed, or it came or went
	EventPolicy EventKind = "policy" // a name is chosen in another way
	EventLost   EventKind = "lost"   // events before this one were forgotten
)

// Event is one thing that happened, as this member saw it.
type Event struct {
	Seq    uint64 // counts up from 1 at each start of the member
	Time   time.Time
	Kind   EventKind
	Name   Name // of the record, or the zone
	Type   Type
	Data   string // RDATA
	Owner  string // of the record, or the member
	State  string // of health or of a member, after
	Before string // the same, before; empty: there was none
	Text   string // what a check said, a serial, or another detail
}

// Explanation says how a question is answered, and why.
type Explanation struct {
	Name    Name
	Type    Type
	Client  netip.Addr
	Zone    Name   // empty: none of ours
	RCode   string // NOERROR, NXDOMAIN, REFUSED …
	Rule    string // what decided, for people
	Policy  Policy
	Answer  []string // rows of a master file
	Choices []Choice
}

// Status is what a member is, in numbers.
type Status struct {
	Node    string
	Domain  Name
	Version string
	DNS     []netip.AddrPort
	Alive   int // members
	Names   int
	Records int
}

// Key is a key of the ring, without its text.
type Key struct {
	ID      string
	InUse   bool
	Members int // that are certified under it
}
