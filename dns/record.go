package dns

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// RR is a resource record of class IN.
type RR struct {
	Name Name
	Type Type
	TTL  uint32 // seconds
	// Data is the RDATA in wire form with uncompressed names, as package message
	// writes it. At most RDataBytesMax bytes. Not changed after it was set.
	Data []byte
}

// Bounds of a record.
const (
	TTLMax        = 1<<31 - 1 // RFC 2181 8
	RDataBytesMax = 4096      // ours: one record must fit into one gossip entry
)

// Addr is the address of an A or AAAA record.
func (r RR) Addr() (netip.Addr, bool) {
	if r.Type != TypeA && r.Type != TypeAAAA {
		return netip.Addr{}, false
	}
	a, ok := netip.AddrFromSlice(r.Data)
	return a, ok && (r.Type == TypeA) == a.Is4()
}

// AddrRR makes the A or AAAA record of an address.
func AddrRR(name Name, addr netip.Addr, ttl uint32) RR {
	addr = addr.Unmap()
	t := TypeAAAA
	if addr.Is4() {
		t = TypeA
	}
	return RR{Name: name, Type: t, TTL: ttl, Data: addr.AsSlice()}
}

// Validate judges what no protocol judged: bounds and the form of addresses.
func (r RR) Validate() error {
	switch {
	case r.Name == "":
		return errors.New("a record without a name")
	case !r.Type.Data():
		return fmt.Errorf("records of type %v cannot be stored", r.Type)
	case r.TTL > TTLMax:
		return fmt.Errorf("a TTL of %d s, at most %d", r.TTL, TTLMax)
	case len(r.Data) > RDataBytesMax:
		return fmt.Errorf("record data of %d bytes, at most %d", len(r.Data), RDataBytesMax)
	case r.Type == TypeA && len(r.Data) != 4, r.Type == TypeAAAA && len(r.Data) != 16:
		return fmt.Errorf("record data of %d bytes is no address of type %v", len(r.Data), r.Type)
	}
	return nil
}

// Tier is the rank of an owned record among those of its name. Masters are
// answered first, then secondaries; a backup only when neither lives.
type Tier uint8

// The tiers. An origin is the record of a member's own name; it ranks as a master.
const (
	Master Tier = iota
	Secondary
	Backup
	Origin

	tierCount
)

var tierNames = [tierCount]string{"master", "secondary", "backup", "origin"}

func (t Tier) String() string {
	if t < tierCount {
		return tierNames[t]
	}
	return fmt.Sprintf("tier %d", uint8(t))
}

// ParseTier reads a tier that a record can be given.
func ParseTier(text string) (Tier, error) {
	if i := slices.Index(tierNames[:Origin], strings.ToLower(text)); i >= 0 {
		return Tier(i), nil
	}
	return 0, fmt.Errorf("priority %q is none of master, secondary, backup", shorten(text))
}

// Defaults and bounds of what an owned record has beside its RR.
const (
	WeightDefault = 100
	WeightMax     = 65535
	TTLDefault    = 60 // seconds
	TTLOrigin     = 5  // seconds, of members' own names: they may move
	LabelMax      = 64 // bytes of a location label
	ViewMax       = 64 // bytes of a view's name
)

// Record is a record with what Kamado adds: who is chosen when, and what says that it lives.
type Record struct {
	RR
	Tier   Tier
	Weight uint16 // among the records of its tier; 0 is answered only when all others are 0 or gone
	// Location is the label of the place (rack, availability zone) for the balance
	// "nearest"; empty: the member's own.
	Location string
	// View limits the record to the clients of one view; empty: everybody.
	View string
	// Check is the specification of what must pass for the record to live, as
	// package probe reads it: "tcp:127.0.0.1:9000". Empty: alive while its owner is.
	Check Check
}

// Check is a health check and when it counts. Zero durations and counts mean the configured defaults.
type Check struct {
	Spec      string        // empty: none
	Interval  time.Duration // between the starts of two attempts
	Timeout   time.Duration // of one attempt
	Healthy   int           // successes in a row that make it healthy
	Unhealthy int           // failures in a row that make it unhealthy
	Initial   State         // before the thresholds were reached; Unknown counts as unhealthy
}

// CheckSpecMax bounds the text of a check, in bytes.
const CheckSpecMax = 1024

// Validate judges an owned record.
func (r Record) Validate() error {
	errs := []error{r.RR.Validate()}
	if r.Tier >= tierCount {
		errs = append(errs, fmt.Errorf("no such tier: %v", r.Tier))
	}
	if r.Type == TypeNS || r.Type == TypeDNAME {
		errs = append(errs, fmt.Errorf("records of type %v belong to a zone, not to a member", r.Type))
	}
	if len(r.Location) > LabelMax || len(r.View) > ViewMax || len(r.Check.Spec) > CheckSpecMax {
		errs = append(errs, fmt.Errorf("a location of at most %d bytes, a view of at most %d, a check of at most %d", LabelMax, ViewMax, CheckSpecMax))
	}
	if r.Check.Interval < 0 || r.Check.Timeout < 0 || r.Check.Healthy < 0 || r.Check.Unhealthy < 0 {
		errs = append(errs, errors.New("a check's times and thresholds must not be negative"))
	}
	return errors.Join(errs...)
}

// State is what is known of a record's service.
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
	return fmt.Sprintf("state %d", uint8(s))
}

// ParseState reads a state; empty is Unknown.
func ParseState(text string) (State, error) {
	if text == "" {
		return Unknown, nil
	}
	if i := slices.Index(stateNames[:], strings.ToLower(text)); i >= 0 {
		return State(i), nil
	}
	return 0, fmt.Errorf("state %q is none of unknown, healthy, unhealthy", shorten(text))
}

// OutputMax bounds the words of a check that travel with the health, in bytes.
const OutputMax = 200

// Health is the state of an owned record as its owner last told it.
type Health struct {
	State  State
	Since  time.Time // by the owner's clock, to the millisecond
	Output string    // what the check said last: "connection refused"; at most OutputMax bytes
}

// RecordID names an owned record: its owner may have one record of each name, type and data.
type RecordID struct {
	Owner string
	Name  Name
	Type  Type
	Data  string // the RDATA
}

// HealthChange is the news of one owned record of this member.
type HealthChange struct {
	ID RecordID
	Health
}

// Owned is an owned record as the cluster knows it.
type Owned struct {
	Record
	Owner   string // node name of the member
	Health  Health
	Alive   bool          // the owner is, as far as is known here
	RTT     time.Duration // measured from this member to the owner; 0: not known
	Version uint64        // of the entry in the owner's stream
}

// ID names the record.
func (o Owned) ID() RecordID {
	return RecordID{Owner: o.Owner, Name: o.Name, Type: o.Type, Data: string(o.Data)}
}

// Live says whether the record may be answered.
func (o Owned) Live() bool {
	return o.Alive && (o.Check.Spec == "" || o.Health.State == Healthy)
}
