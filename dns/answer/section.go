package answer

import (
	"bytes"
	"encoding/binary"

	"github.com/kamado/kamado/dns"
)

// add adds the records of a set to a section, with the owner that stands at
// r.owner. False: they do not fit, and the response was truncated.
func (r *reply) add(s *rrset, section *uint16) bool {
	if r.put(s, section) {
		return true
	}
	r.truncate()
	return false
}

// put adds the records of a set when they fit.
func (r *reply) put(s *rrset, section *uint16) bool {
	if s.count == 1 || s.most == 0 {
		return r.putWhole(s, section)
	}
	var p picks
	s.pick(&p, &r.rnd, r.client)
	from := len(r.out)
	for _, i := range p.at[:p.n] {
		r.out = append(r.out, s.rr(int(i))...)
		r.point(len(r.out)-len(s.rr(int(i))), s.isPacked(int(i)))
		if len(r.out)-r.base > r.limit {
			r.out = r.out[:from]
			return false
		}
	}
	*section += uint16(p.n)
	return true
}

// putWhole adds all records; addresses begin with any of them, so that clients spread.
func (r *reply) putWhole(s *rrset, section *uint16) bool {
	from := len(r.out)
	if from-r.base+len(s.wire) > r.limit {
		return false
	}
	if s.count > 1 && (s.typ == dns.TypeA || s.typ == dns.TypeAAAA) {
		k := int(r.rnd.below(uint64(s.count))) * int(s.stride)
		r.out = append(r.out, s.wire[k:]...)
		r.out = append(r.out, s.wire[:k]...)
	} else {
		r.out = append(r.out, s.wire...)
	}
	*section += s.count
	if r.owner == headerBytes && s.packed == 0 {
		return true
	}
	for i, at := 0, from; at < len(r.out); i++ {
		r.point(at, s.isPacked(i))
		at += rrData + int(binary.BigEndian.Uint16(r.out[at+rrLength:]))
	}
	return true
}

// point writes the pointers of the record at an offset of out.
func (r *reply) point(at int, packed bool) {
	if r.owner != headerBytes {
		r.setPointer(at, r.owner)
	}
	if packed {
		r.setPointer(at+rrData+int(binary.BigEndian.Uint16(r.out[at+rrLength:]))-2, r.apex)
	}
}

func (r *reply) setPointer(at, to int) {
	r.out[at], r.out[at+1] = pointer|byte(to>>8), byte(to)
}

// negative says that there is nothing, and for how long that may be believed (RFC 2308 3).
func (r *reply) negative(z *zone) { r.addStart(z, true) }

// addStart adds the SOA record: as the answer, or to the authority section with the TTL of what does not exist.
func (r *reply) addStart(z *zone, negative bool) {
	s := z.start.Load()
	from := len(r.out)
	if from-r.base+len(s.wire) > r.limit {
		r.truncate()
		return
	}
	r.out = append(r.out, s.wire...)
	for _, at := range s.patch {
		r.setPointer(from+int(at), r.apex)
	}
	if negative {
		binary.BigEndian.PutUint32(r.out[from+rrTTL:], s.negative)
		r.ns++
	} else {
		r.an++
	}
}

// addresses adds to the additional section the addresses of names in the data of
// records that begin at an offset of out, as far as they fit. Those under glue
// must fit, or the response is truncated.
func (r *reply) addresses(from, count int, z *zone, glue []byte) {
	owner, apex := r.owner, r.apex
	end := len(r.out)
	for at := from; at < end && count > 0; count-- {
		next := at + rrData + int(binary.BigEndian.Uint16(r.out[at+rrLength:]))
		typ := dns.Type(binary.BigEndian.Uint16(r.out[at+2:]))
		target := at + rrData + nameIn(typ) - r.base
		if target <= pointerMax && !r.address(target, z, glue) {
			r.truncate()
			break
		}
		at = next
	}
	r.owner, r.apex = owner, apex
}

// address adds the addresses of one name. False: it lies under glue, and they do not fit.
func (r *reply) address(target int, z *zone, glue []byte) bool {
	var wire [dns.NameBytesMax + 1]byte
	var q question
	n, _ := expand(r.out[r.base:], target, wire[:])
	if n == 0 || q.setName(wire[:n]) != n {
		return true
	}
	name := q.name[:q.length]
	below := glue != nil && bytes.HasSuffix(name, glue)
	home := z
	if !below {
		if home = r.t.find(&q, q.count); home == nil {
			return true
		}
	}
	node, ok := r.at(home, name)
	if !ok || node == nil {
		return true
	}
	r.owner = target
	for _, t := range [...]dns.Type{dns.TypeA, dns.TypeAAAA} {
		if s := node.set(t); s != nil && s.count > 0 && !r.put(s, &r.ar) && below {
			return false
		}
	}
	return true
}
