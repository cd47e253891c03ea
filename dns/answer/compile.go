package answer

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"hash/fnv"
	"math"
	"slices"

	"github.com/kamado/kamado/dns"
)

// candidatesMax bounds the records of one type of a name that are balanced; what
// comes behind it in the order of rank and data is not answered.
const candidatesMax = 4096

// setRecordsMax bounds the records of one type of a name that are answered whole: more do not fit into any message.
const setRecordsMax = math.MaxUint16

// compiler makes nodes. It keeps its memory between two; not safe for concurrent use.
type compiler struct {
	views     *views
	places    map[string]uint16 // numbers of location labels
	decisions []decision
	found     []candidate
	types     []dns.Type
	wire      []byte
}

// candidate is a record that may be answered.
type candidate struct {
	rr     *dns.RR
	owned  *dns.Owned // nil for a zone record
	rank   int
	weight uint32
}

// node compiles a set of a zone. Nil: there is nothing.
func (c *compiler) node(apex []byte, set *dns.Set) *node {
	if set.Empty() {
		return nil
	}
	var own presence
	viewed := false
	for i := range set.Owned {
		own |= c.views.of(set.Owned[i].View)
		viewed = viewed || set.Owned[i].View != ""
	}
	if len(set.RRs) > 0 {
		own |= everybody
	}
	if !viewed {
		return c.variant(apex, set, own, everybody)
	}
	n := &node{own: own, variants: make([]*node, len(c.views.classes))}
	for class, mask := range c.views.classes {
		n.variants[class] = c.variant(apex, set, own, mask)
		n.kind |= n.variants[class].kind
	}
	return n
}

// variant compiles a set for the clients with a mask.
func (c *compiler) variant(apex []byte, set *dns.Set, own, mask presence) *node {
	c.types = c.types[:0]
	for i := range set.RRs {
		c.types = append(c.types, set.RRs[i].Type)
	}
	for i := range set.Owned {
		if c.views.visible(&set.Owned[i], mask) {
			c.types = append(c.types, set.Owned[i].Type)
		}
	}
	slices.Sort(c.types)
	c.types = slices.Compact(c.types)
	n := &node{own: own}
	for _, t := range c.types {
		s := c.rrset(apex, set, t, mask)
		if len(c.types) == 1 && len(c.wire) <= singleBytes {
			n = single(own, s, c.wire)
		} else {
			s.wire = string(c.wire)
			n.sets = append(n.sets, s)
		}
		switch {
		case t == dns.TypeDNAME:
			n.kind |= kindDNAME
		case t == dns.TypeNS && set.Name.WireLen() > len(apex):
			n.kind |= kindCut
		}
	}
	return n
}

// rrset compiles the records of one type; the records themselves are left in c.wire.
func (c *compiler) rrset(apex []byte, set *dns.Set, t dns.Type, mask presence) rrset {
	s := rrset{typ: t}
	c.found = c.found[:0]
	var result outcome
	c.decisions, result = c.views.elect(set, t, mask, c.decisions)
	owned := false
	for i, d := range c.decisions {
		if d == outType || d == outView || set.Owned[i].Type != t {
			continue
		}
		owned = true
		if d.picked() {
			o := &set.Owned[i]
			c.found = append(c.found, candidate{rr: &o.RR, owned: o, rank: d.rank(), weight: uint32(o.Weight)})
		}
	}
	for i := range set.RRs {
		if set.RRs[i].Type == t {
			c.found = append(c.found, candidate{rr: &set.RRs[i], weight: dns.WeightDefault})
		}
	}
	switch result {
	case fellBack:
		s.code = codeStale
	case nobodyFit:
		s.code = codeNotReady
	}
	limit := setRecordsMax
	if owned {
		s.balance, s.most, limit = set.Policy.Balance, uint8(min(set.Policy.Most(), dns.AddressesMax)), candidatesMax
	}
	if t == dns.TypeCNAME || t == dns.TypeDNAME {
		s.most = 1 // RFC 1034 3.6.2, RFC 6672 2.4
	}
	c.tidy(limit)
	c.encode(&s, apex)
	if s.most > 0 && s.count > 1 {
		c.weights(&s, set)
	}
	return s
}

// tidy orders what was found by rank and data, and joins records that are equal.
func (c *compiler) tidy(limit int) {
	slices.SortStableFunc(c.found, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(a.rank, b.rank), bytes.Compare(a.rr.Data, b.rr.Data))
	})
	kept, first := c.found[:0], 0 // first is how many of kept are of the first rank
	for _, f := range c.found {
		if n := len(kept); n > 0 && kept[n-1].rank == f.rank && bytes.Equal(kept[n-1].rr.Data, f.rr.Data) {
			kept[n-1].weight = max(kept[n-1].weight, f.weight)
			continue
		}
		if f.rank > 0 {
			if _, twice := slices.BinarySearchFunc(kept[:first], f.rr.Data, byData); twice {
				continue
			}
		}
		kept = append(kept, f)
		if f.rank == 0 {
			first++
		}
	}
	c.found = kept[:min(len(kept), limit)]
}

func byData(f candidate, data []byte) int { return bytes.Compare(f.rr.Data, data) }

// encode writes what was found.
func (c *compiler) encode(s *rrset, apex []byte) {
	ttl := uint32(dns.TTLMax)
	for _, f := range c.found {
		ttl = min(ttl, f.rr.TTL) // RFC 2181 5.2: one TTL for the set
	}
	c.wire = c.wire[:0]
	var ends []uint32
	stride, even := 0, true
	for i, f := range c.found {
		start := len(c.wire)
		var packed bool
		c.wire, packed = appendRR(c.wire, f.rr, ttl, apex, i < 64)
		if packed {
			s.packed |= 1 << i
		}
		length := len(c.wire) - start
		even = even && (i == 0 || length == stride)
		stride = length
		ends = append(ends, uint32(len(c.wire)))
		if f.rank == 0 {
			s.first++
		}
		s.count++
		s.named = nameIn(f.rr.Type) >= 0
	}
	if even && stride <= math.MaxUint16 {
		s.stride = uint16(stride)
	} else {
		s.more = &weights{ends: ends}
	}
}

// weights fills what the way of balancing needs.
func (c *compiler) weights(s *rrset, set *dns.Set) {
	m := s.more
	if m == nil {
		m = &weights{}
	}
	uneven := func(part []candidate) bool {
		return slices.ContainsFunc(part, func(f candidate) bool { return f.weight != part[0].weight })
	}
	if uneven(c.found[:s.first]) || uneven(c.found[s.first:]) {
		m.weight = make([]uint32, 0, len(c.found))
		for _, f := range c.found {
			m.weight = append(m.weight, f.weight)
		}
	}
	switch s.balance {
	case dns.Rendezvous:
		for _, f := range c.found {
			m.hash = append(m.hash, hashOf(f))
		}
	case dns.Nearest:
		for _, f := range c.found {
			place, rtt := uint16(0), uint32(0)
			if f.owned != nil {
				place, rtt = c.places[f.owned.Location], uint32(min(f.owned.RTT.Microseconds(), math.MaxUint32))
			}
			m.place, m.rtt = append(m.place, place), append(m.rtt, rtt)
		}
	case dns.FixBySource:
		for _, a := range set.Clients {
			m.sources = append(m.sources, string(a.Unmap().AsSlice()))
		}
		slices.Sort(m.sources)
	}
	if m.ends != nil || m.weight != nil || m.hash != nil || m.place != nil || m.sources != nil {
		s.more = m
	}
}

// hashOf is equal on all members: it must not depend on this process.
func hashOf(f candidate) uint64 {
	h := fnv.New64a()
	if f.owned != nil {
		_, _ = h.Write([]byte(f.owned.Owner)) // a hash takes everything
	}
	_, _ = h.Write([]byte{0})
	_, _ = h.Write(f.rr.Data)
	return h.Sum64()
}

// nameIn gives where in the data of a type a name begins that reaches to the
// end, and whose addresses an answer may bring along; -1 for other types.
func nameIn(t dns.Type) int {
	switch t {
	case dns.TypeNS:
		return 0
	case dns.TypeMX:
		return 2
	case dns.TypeSRV:
		return 6
	}
	return -1
}

// compressible gives where in the data of a type a name begins that reaches to
// the end and that may be compressed (RFC 3597 4: types of RFC 1035 only); -1 for other types.
func compressible(t dns.Type) int {
	switch t {
	case dns.TypeNS, dns.TypeCNAME, dns.TypePTR:
		return 0
	case dns.TypeMX:
		return 2
	}
	return -1
}

// appendRR writes a record whose owner is the name of the question. Where the
// data ends in a name under the apex, and may, its end becomes a place for a
// pointer, which is told.
func appendRR(b []byte, rr *dns.RR, ttl uint32, apex []byte, may bool) (_ []byte, packed bool) {
	data := rr.Data
	if at := compressible(rr.Type); may && at >= 0 && at <= len(data) && len(apex) > 2 {
		if end := suffixAt(data[at:], apex); end >= 0 {
			data, packed = data[:at+end], true
		}
	}
	length := len(data)
	if packed {
		length += 2
	}
	b = append(b, pointer, headerBytes)
	b = binary.BigEndian.AppendUint16(b, uint16(rr.Type))
	b = binary.BigEndian.AppendUint16(b, classIN)
	b = binary.BigEndian.AppendUint32(b, ttl)
	b = binary.BigEndian.AppendUint16(b, uint16(length))
	b = append(b, data...)
	if packed {
		b = append(b, pointer, 0)
	}
	return b, packed
}

// suffixAt gives where in a name, which must be all of b, the labels of apex
// begin, whatever their case; -1 when it does not lie under it or is no name.
func suffixAt(b, apex []byte) int {
	for i := 0; i < len(b); i += 1 + int(b[i]) {
		if len(b)-i == len(apex) && equalFold(b[i:], apex) {
			return i
		}
		if b[i] == 0 || b[i] > dns.LabelBytesMax {
			break
		}
	}
	return -1
}

// equalFold compares names in wire form; lower must be in lower case.
func equalFold(b, lower []byte) bool {
	if len(b) != len(lower) {
		return false
	}
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}
