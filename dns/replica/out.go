package replica

import (
	"time"

	"github.com/kamado/kamado/dns"
)

// Out is what a step wants done, in this order: Keep made durable, then the
// views brought up to date, then Send carried. A step that failed leaves the
// state as it was, and its Out is empty.
type Out struct {
	// Keep are entries for the journal.
	Keep [][]byte
	// Urgent says that Keep must be durable before Send leaves, before a serial is
	// shown, and before success is told. Else Keep may follow: the entries are other
	// members', or can be made again.
	Urgent bool
	// Send are messages to peers. They may be lost, doubled and overtaken.
	Send []Message
	// Names are those whose sets changed, in order, each once.
	Names []dns.Name
	// Zones are those whose records, SOA or serial changed or that came or went, in order, each once.
	Zones []dns.Name
	// Members says that something of the members changed.
	Members bool
	// Keyring says that the keyring changed: see Replica.Keyring.
	Keyring bool
	// Rejected is what was refused, at most rejectedMax of one step.
	Rejected []Rejection
}

// Message is bytes for one peer or for all.
type Message struct {
	To       string // node; empty: every live peer
	Bytes    []byte
	Reliable bool // over a stream: too large for a datagram
}

// Reason is why something was refused; a label of a metric.
type Reason uint8

// The reasons.
const (
	BadMessage     Reason = iota // bytes that cannot be read
	BadVersion                   // a message of a version older than any that is known
	UnknownMember                // no certificate of the member is known yet; asked for
	BadCertificate               // not of a trusted key, expired, or of another node
	BadSignature                 // not signed by the member's key
	NotAllowed                   // the certificate does not cover it
	RemovedMember                // an operator removed the member for good
	Replayed                     // a version that was replaced already, from its own member
	Twin                         // a second machine speaks as the same member
	TooMuch                      // over a bound

	reasonCount
)

var reasonNames = [reasonCount]string{
	"bad message", "bad version", "unknown member", "bad certificate", "bad signature", "not allowed", "removed member", "replayed", "twin", "too much",
}

func (r Reason) String() string {
	if r < reasonCount {
		return reasonNames[r]
	}
	return reasonNames[BadMessage]
}

// Reasons lists all reasons, for metrics that must be complete.
func Reasons() []Reason {
	list := make([]Reason, reasonCount)
	for i := range list {
		list[i] = Reason(i)
	}
	return list
}

// Rejection is one thing that was refused.
type Rejection struct {
	From   string // the peer that sent it
	Node   string // the member in whose name it was; empty: could not be read
	Reason Reason
	Detail string // for the operator
}

// rejectedMax bounds the rejections that one step tells.
const rejectedMax = 16

// HealthChange is a new health of an own record.
type HealthChange struct {
	ID     dns.RecordID
	Health dns.Health
}

// Filter picks owned records; zero fields pick all.
type Filter struct {
	Owner string
	Name  dns.Name
	Under dns.Name // this name and all below it
	Type  dns.Type
}

// Stats are counts for metrics.
type Stats struct {
	Members    int
	Entries    int // of all streams, tombstones included
	Tombstones int
	Bytes      int   // of all entries
	Waiting    int   // zone entries whose stamps lie too far ahead
	Verified   int64 // signatures checked since the start
	Repairs    int64 // entries that came by repair, not by push
}

// KeyState is where a key of the ring stands.
type KeyState uint8

// The states of a key, in the order that a rotation goes through.
const (
	KeyInstalled KeyState = iota // all members accept it
	KeyUsed                      // all members encrypt and certify with it
	KeyRemoved                   // no member accepts it
)

// RingKey is a key of the ring as its newest entry has it.
type RingKey struct {
	Public []byte // names the key: credential.Key.Public
	State  KeyState
	At     time.Time // of the change
	By     string    // the member that made it
	// Sealed holds the key itself, for members that hold another key of the ring: see
	// credential.Seal. Empty when it was removed.
	Sealed []byte
}
