package dns

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// ZoneKind is where the records of a zone come from.
type ZoneKind uint8

// The kinds of zone.
const (
	// DomainZone is the zone of Config.Domain: owned records, and zone records beside them.
	DomainZone ZoneKind = iota
	// SharedZone has zone records, made by the API, updates or an import, on all members.
	SharedZone
	// StaticZone is a master file that this member reads.
	StaticZone
)

func (k ZoneKind) String() string { return [...]string{"domain", "shared", "static"}[k] }

// SOA is the start of authority of a zone that is not a static one; times in seconds.
type SOA struct {
	MName   Name
	RName   Name
	Refresh uint32
	Retry   uint32
	Expire  uint32
	Minimum uint32 // TTL of negative answers (RFC 2308): it decides how fast a name comes back
}

// NegativeTTLDefault is SOA.Minimum of our own zones: one second, because a
// resolver that heard "no such name" asks again only after it.
const NegativeTTLDefault = time.Second

// DefaultSOA is the SOA of a zone served by mname.
func DefaultSOA(zone, mname Name, minimum time.Duration) SOA {
	rname, err := Name("hostmaster").Join(zone)
	if err != nil {
		rname = zone
	}
	return SOA{MName: mname, RName: rname, Refresh: 60, Retry: 10, Expire: 86400, Minimum: uint32(minimum / time.Second)}
}

// Data is the RDATA of the SOA record (RFC 1035 3.3.13).
func (s SOA) Data(serial uint32) []byte {
	b := s.RName.AppendWire(s.MName.AppendWire(nil))
	for _, v := range []uint32{serial, s.Refresh, s.Retry, s.Expire, s.Minimum} {
		b = binary.BigEndian.AppendUint32(b, v)
	}
	return b
}

// ParseSOA reads the RDATA of an SOA record.
func ParseSOA(data []byte) (soa SOA, serial uint32, err error) {
	soa.MName, data, err = NameFromWire(data)
	if err != nil {
		return SOA{}, 0, err
	}
	soa.RName, data, err = NameFromWire(data)
	if err != nil {
		return SOA{}, 0, err
	}
	if len(data) != 20 {
		return SOA{}, 0, fmt.Errorf("an SOA record with %d bytes behind its names, not 20", len(data))
	}
	u32 := func(i int) uint32 { return binary.BigEndian.Uint32(data[4*i:]) }
	soa.Refresh, soa.Retry, soa.Expire, soa.Minimum = u32(1), u32(2), u32(3), u32(4)
	return soa, u32(0), nil
}

// SerialAfter says whether serial a follows b on the circle of RFC 1982.
func SerialAfter(a, b uint32) bool { return a != b && int32(a-b) > 0 }

// Zone is what is known of a zone beside its records.
type Zone struct {
	Apex   Name
	Kind   ZoneKind
	SOA    SOA    // unused for a static zone, whose SOA is a record
	Serial uint32 // of this member: it grows with every change, and differs between members
}

// Change is one step of a change of zone records.
type Change struct {
	RR
	// Op is what to do with it.
	Op ChangeOp
}

// ChangeOp is a step's verb.
type ChangeOp uint8

// The verbs.
const (
	Add       ChangeOp = iota // the record; its TTL becomes that of its set (RFC 2181 5.2)
	Delete                    // the record with this data
	DeleteSet                 // all records of the name and type
	DeleteAll                 // all records of the name
)

// ChangesMax bounds the steps of one change, so that it is one write.
const ChangesMax = 10_000

// ValidateChanges judges the steps of one change of a zone.
func ValidateChanges(zone Name, changes []Change) error {
	if len(changes) > ChangesMax {
		return &Error{Kind: TooLarge, Detail: fmt.Sprintf("%d steps in one change, at most %d", len(changes), ChangesMax)}
	}
	for _, c := range changes {
		if !c.Name.Under(zone) {
			return &Error{Kind: Invalid, Detail: fmt.Sprintf("%s does not lie in the zone %s", c.Name, zone)}
		}
		if c.Op != Add {
			continue
		}
		if err := c.Validate(); err != nil {
			return &Error{Kind: Invalid, Detail: errors.Join(fmt.Errorf("%s %v", c.Name, c.Type), err).Error()}
		}
	}
	return nil
}
