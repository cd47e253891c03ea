package answer

import (
	"encoding/binary"
	"math/bits"
	"sync/atomic"

	"github.com/kamado/kamado/dns"
)

// zone is a part of the tree of names that this member answers for.
type zone struct {
	name  dns.Name
	apex  []byte // wire form of name
	kind  dns.ZoneKind
	start atomic.Pointer[start]
	names *index[entry]
	// cuts and wild count names with NS or DNAME and wildcards, so that no search goes for what is not there.
	cuts, wild atomic.Int32
}

// start is the beginning of authority of a zone. Never changed.
type start struct {
	serial uint32
	// wire is the SOA record; its owner, and the names in it that end in the apex, get a pointer at each place of patch.
	wire  string
	patch []uint8
	ttl   uint32
	// negative is the TTL of what does not exist (RFC 2308 5): the lesser of ttl and the minimum.
	negative uint32
	// ns are the name servers of a zone that has no records for them.
	ns *rrset
}

func newZone(name dns.Name, kind dns.ZoneKind, names int) *zone {
	z := &zone{name: name, kind: kind, apex: name.AppendWire(nil), names: newIndex[entry](names)}
	z.names.put(z.apex, &item[entry]{})
	return z
}

// put replaces what one name has; nil takes it away. name lies in the zone.
func (z *zone) put(name []byte, n *node) {
	e := z.names.get(name)
	var old *node
	if e != nil {
		old = e.node.Load()
	}
	before, after := old.presence(), n.presence()
	if before != after {
		z.spread(name, after, 1)
	}
	z.count(name, n, 1)
	switch {
	case e != nil && n == nil && e.below.Load() == 0 && len(name) > len(z.apex):
		e.node.Store(nil)
		z.names.remove(name)
	case e != nil:
		e.node.Store(n)
	case n != nil:
		it := &item[entry]{}
		it.value.node.Store(n)
		z.names.put(name, it)
	}
	z.count(name, old, -1)
	if before != after {
		z.spread(name, before, -1)
	}
}

func (n *node) presence() presence {
	if n == nil {
		return 0
	}
	return n.own
}

// count follows names at which searches end or begin.
func (z *zone) count(name []byte, n *node, by int32) {
	if n == nil {
		return
	}
	if n.kind != 0 {
		z.cuts.Add(by)
	}
	if len(name) >= 2 && name[0] == 1 && name[1] == '*' {
		z.wild.Add(by)
	}
}

// spread tells the names above one that it is there for somebody, or no longer:
// from the top when it appears, from the bottom when it goes.
func (z *zone) spread(name []byte, p presence, by int32) {
	if p == 0 || len(name) <= len(z.apex) {
		return
	}
	above := name[1+int(name[0]):]
	if by > 0 {
		z.spread(above, p, by)
	}
	e := z.names.get(above)
	if e == nil {
		e = z.names.put(above, &item[entry]{})
	}
	e.tally(p, by)
	if e.below.Load() == 0 && e.node.Load() == nil && len(above) > len(z.apex) {
		z.names.remove(above)
	}
	if by < 0 {
		z.spread(above, p, by)
	}
}

// tally counts a name below this one.
func (e *entry) tally(p presence, by int32) {
	below := presence(e.below.Load())
	set := func(bit presence, n int32) {
		below &^= bit
		if n > 0 {
			below |= bit
		}
	}
	if p&everybody != 0 {
		e.public += by
		set(everybody, e.public)
	}
	for v := uint64(p &^ everybody); v != 0; v &= v - 1 {
		bit := bits.TrailingZeros64(v)
		if e.viewed == nil {
			e.viewed = map[int]int32{}
		}
		e.viewed[bit] += by
		set(1<<bit, e.viewed[bit])
	}
	e.below.Store(uint64(below))
}

// newStart compiles an SOA record. soa is the data of a record; false: it is none.
func newStart(apex, soa []byte, ttl uint32) (*start, bool) {
	s := &start{ttl: ttl, patch: []uint8{0}}
	b := []byte{pointer, 0, 0, byte(dns.TypeSOA), 0, classIN}
	b = binary.BigEndian.AppendUint32(b, ttl)
	b = append(b, 0, 0) // length
	rest := soa
	for range 2 { // MNAME, RNAME (RFC 1035 3.3.13)
		_, after, err := dns.NameFromWire(rest)
		if err != nil {
			return nil, false
		}
		name := rest[:len(rest)-len(after)]
		rest = after
		at := -1
		if len(apex) > 2 && len(b)+len(name) <= 0xff {
			at = suffixAt(name, apex)
		}
		if at < 0 {
			b = append(b, name...)
			continue
		}
		b = append(b, name[:at]...)
		s.patch = append(s.patch, uint8(len(b)))
		b = append(b, pointer, 0)
	}
	if len(rest) != 20 { // SERIAL, REFRESH, RETRY, EXPIRE, MINIMUM
		return nil, false
	}
	b = append(b, rest...)
	binary.BigEndian.PutUint16(b[rrLength:], uint16(len(b)-rrData))
	s.serial = binary.BigEndian.Uint32(rest)
	s.negative = min(ttl, binary.BigEndian.Uint32(rest[16:]))
	s.wire = string(b)
	return s, true
}

// soaData is the data of the SOA record of a zone that has none in its records.
func soaData(z dns.Zone) []byte {
	b := z.SOA.MName.AppendWire(nil)
	b = z.SOA.RName.AppendWire(b)
	for _, v := range []uint32{z.Serial, z.SOA.Refresh, z.SOA.Retry, z.SOA.Expire, z.SOA.Minimum} {
		b = binary.BigEndian.AppendUint32(b, v)
	}
	return b
}
