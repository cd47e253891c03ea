package answer

import (
	"github.com/kamado/kamado/dns"
)

// hopsMax bounds the aliases that one answer follows.
const hopsMax = 16

// resolve answers the question from a zone, and from others of ours that an
// alias leads to (RFC 1034 4.3.2). DNSSEC apart, the names of an alias chain are
// answered in one response. leads: it ends in an alias to a name of others.
func (r *reply) resolve(z *zone) (leads bool) {
	r.authoritative = true
	r.apex = headerBytes + r.length - len(z.apex)
	var owners [hopsMax]int // names that were looked up, so that a loop ends
	for hop := range hopsMax {
		owners[hop] = r.owner
		target := r.step(z)
		if target == 0 {
			return false
		}
		// The name that is looked up next stands in the data of the record that was written last.
		used := r.follow(target)
		for _, at := range owners[:hop+1] {
			if used && r.nameIs(at) {
				return false
			}
		}
		next := r.t.find(&r.question, r.count)
		if !used || next == nil {
			return used // others know
		}
		if len(next.apex) != len(z.apex) || !r.ended {
			r.apex = target + r.length - len(next.apex)
		}
		r.owner, z = target, next
	}
	return false
}

// step looks up the name in one zone. It gives where in the response the target of an alias stands, or 0 when the response is whole.
func (r *reply) step(z *zone) (target int) {
	if z.cuts.Load() > 0 {
		if target, done := r.cut(z); done {
			return target
		}
	}
	n, exists := r.lookup(z)
	if !exists {
		r.rcode = rcodeName
		r.negative(z)
		return 0
	}
	atApex := r.length == len(z.apex)
	if r.typ == dns.TypeANY {
		return r.any(z, n, atApex)
	}
	if atApex && r.typ == dns.TypeSOA {
		r.addStart(z, false)
		return 0
	}
	var s, alias *rrset
	if n != nil {
		s, alias = n.set(r.typ), n.set(dns.TypeCNAME)
	}
	if s == nil && atApex && r.typ == dns.TypeNS {
		s = z.start.Load().ns
	}
	switch {
	case s != nil && s.count > 0:
		r.code = max(r.code, s.code)
		if from := len(r.out); r.add(s, &r.an) && s.named {
			r.addresses(from, int(s.count), z, nil)
		}
	case alias != nil && alias.count > 0:
		r.code = max(r.code, alias.code)
		return r.alias(alias)
	default:
		if s != nil {
			r.code = s.code
		} else if alias != nil {
			r.code = alias.code
		}
		r.negative(z)
	}
	return 0
}

// alias adds a CNAME record, and gives where its target stands.
func (r *reply) alias(s *rrset) (target int) {
	from := len(r.out)
	if !r.add(s, &r.an) {
		return 0
	}
	return from + rrData - r.base
}

// any answers one set of records, as RFC 8482 4.1 allows.
func (r *reply) any(z *zone, n *node, atApex bool) (target int) {
	if n != nil {
		for i := range n.sets {
			if s := &n.sets[i]; s.count > 0 {
				r.add(s, &r.an)
				r.code = s.code
				return 0
			}
			r.code = n.sets[i].code
		}
	}
	if atApex {
		r.addStart(z, false)
		return 0
	}
	r.negative(z)
	return 0
}

// lookup finds what the name has; without a node and true it exists and has nothing.
func (r *reply) lookup(z *zone) (*node, bool) {
	if n, ok := r.at(z, r.name[:r.length]); ok || r.length == len(z.apex) {
		return n, true
	}
	if z.wild.Load() == 0 {
		return nil, false
	}
	// The closest encloser is the longest name above that exists; only its wildcard can answer (RFC 4592 3.3.1).
	for i := 1; i <= r.count; i++ {
		at := int(r.labels[i])
		if _, ok := r.at(z, r.name[at:r.length]); !ok && r.length-at > len(z.apex) {
			continue
		}
		// The label before is at least two bytes long with its length: its end becomes the asterisk's, for a moment.
		a, b := r.name[at-2], r.name[at-1]
		r.name[at-2], r.name[at-1] = 1, '*'
		n, ok := r.at(z, r.name[at-2:r.length])
		r.name[at-2], r.name[at-1] = a, b
		return n, ok
	}
	return nil, false
}

// at finds a name that exists for this client.
func (r *reply) at(z *zone, name []byte) (*node, bool) {
	e := z.names.get(name)
	if e == nil {
		return nil, false
	}
	n := e.node.Load()
	if !e.seen(n, r.mask) {
		return nil, false
	}
	return n.of(r.clientClass), true
}

// cut looks for a delegation or a DNAME on the way from the apex to the name. done: the response is whole, or an alias was added.
func (r *reply) cut(z *zone) (target int, done bool) {
	for i := r.count - z.name.Labels(); i >= 0; i-- {
		n, ok := r.at(z, r.suffix(i))
		if !ok || n == nil || n.kind == 0 {
			continue
		}
		if n.kind&kindCut != 0 && (i > 0 || r.typ != dns.TypeDS) {
			r.refer(z, n.set(dns.TypeNS), i)
			return 0, true
		}
		if n.kind&kindDNAME != 0 && i > 0 {
			return r.dname(n.set(dns.TypeDNAME), i, z), true
		}
	}
	return 0, false
}

// pointTo is where the suffix of the name from label i on stands in the response.
func (r *reply) pointTo(i int, z *zone) int {
	at := int(r.labels[i])
	if r.length-at <= len(z.apex) {
		return r.apex + len(z.apex) - (r.length - at)
	}
	return r.owner + at
}

// refer adds a delegation, with the addresses of servers below it, without
// which it could not be followed (RFC 9471).
func (r *reply) refer(z *zone, s *rrset, label int) {
	if r.an == 0 {
		r.authoritative = false
	}
	owner := r.owner
	r.owner = r.pointTo(label, z)
	from := len(r.out)
	if r.add(s, &r.ns) {
		r.addresses(from, int(s.count), z, r.suffix(label))
	}
	r.owner = owner
}

// dname adds a DNAME record and the CNAME record that it makes of the name (RFC 6672 3.1), and gives where its target stands.
func (r *reply) dname(s *rrset, label int, z *zone) (target int) {
	owner := r.owner
	r.owner = r.pointTo(label, z)
	from := len(r.out)
	added := r.add(s, &r.an)
	r.owner = owner
	if !added {
		return 0
	}
	prefix := r.name[:r.labels[label]]
	suffix := r.out[from+rrData:]
	length := len(prefix) + len(suffix)
	if length > dns.NameBytesMax {
		r.rcode = rcodeTooLong
		return 0
	}
	at := len(r.out)
	if at-r.base+rrData+length > r.limit {
		r.truncate()
		return 0
	}
	b := append(r.out, pointer|byte(r.owner>>8), byte(r.owner), 0, byte(dns.TypeCNAME), 0, classIN)
	b = append(b, r.out[from+rrTTL:from+rrTTL+4]...)
	b = append(b, byte(length>>8), byte(length))
	b = append(b, prefix...)
	b = append(b, suffix...)
	r.out = b
	r.an++
	if r.typ == dns.TypeCNAME {
		return 0 // that record is what was asked for (RFC 1034 4.3.2, step 3a)
	}
	return at + rrData - r.base
}

// follow makes the name that stands at an offset of the response the one that is looked up.
func (r *reply) follow(at int) bool {
	var wire [dns.NameBytesMax + 1]byte
	n, ended := expand(r.out[r.base:], at, wire[:])
	r.ended = ended
	return n > 0 && r.setName(wire[:n]) == n
}

// nameIs says whether the name at an offset of the response is the one that is looked up.
func (r *reply) nameIs(at int) bool {
	var wire [dns.NameBytesMax + 1]byte
	n, _ := expand(r.out[r.base:], at, wire[:])
	return equalFold(wire[:n], r.name[:r.length])
}

// expand writes the name at an offset of a message without pointers; 0: it is none. ended: it had one.
func expand(msg []byte, at int, into []byte) (n int, ended bool) {
	for hops := 0; at < len(msg); {
		c := int(msg[at])
		switch {
		case c >= pointer:
			if hops++; hops > hopsMax || at+1 >= len(msg) {
				return 0, false
			}
			at, ended = (c&^pointer)<<8|int(msg[at+1]), true
		case n+1+c > dns.NameBytesMax || at+1+c > len(msg) || c > dns.LabelBytesMax:
			return 0, false
		default:
			n += copy(into[n:], msg[at:at+1+c])
			if c == 0 {
				return n, ended
			}
			at += 1 + c
		}
	}
	return 0, false
}
