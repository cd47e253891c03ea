package forward

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"time"

	"github.com/kamado/kamado/dns"
)

// asked is the question of a flight.
type asked struct {
	name []byte // wire form, lower case
	typ  dns.Type
	bits byte // keyDO, keyCD
	hash uint64
	key  string
}

func (a *asked) do() bool { return a.bits&keyDO != 0 }

// What may be wrong with a reply. An attempt that meets one of them has failed.
var (
	errGarbage  = errors.New("a reply that cannot be read")
	errLame     = errors.New("a reply that refers to other servers")
	errServer   = errors.New("the server failed")                          // SERVFAIL: kept as the last word if nobody says better
	errDeclined = errors.New("the server declined")                        // REFUSED, NOTIMP, FORMERR
	errSpelling = errors.New("the question came back in another spelling") // over TCP it is asked without one
)

// matches says whether a packet is the reply to query: same id, same question. An
// equal question in another spelling is errSpelling; anything else that is not ours is false.
func matches(packet, query []byte) (bool, error) {
	if len(packet) < headerBytes || packet[0] != query[0] || packet[1] != query[1] {
		return false, nil
	}
	flags := binary.BigEndian.Uint16(packet[2:])
	if flags&flagQR == 0 || flags&opcodeMask != 0 {
		return false, nil
	}
	n := plainName(query[headerBytes:]) + 4
	switch binary.BigEndian.Uint16(packet[4:]) {
	case 0: // servers that cannot read the question do not repeat it
		return flags&rcodeMask == rcodeFormat || flags&rcodeMask == rcodeNotImpl, nil
	case 1:
	default:
		return false, nil
	}
	if len(packet) < headerBytes+n {
		return false, nil
	}
	got, want := packet[headerBytes:headerBytes+n], query[headerBytes:headerBytes+n]
	if bytes.Equal(got, want) {
		return true, nil
	}
	if equalFold(got[:n-4], want[:n-4]) && bytes.Equal(got[n-4:], want[n-4:]) {
		return false, errSpelling
	}
	return false, nil
}

func equalFold(a, b []byte) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if lower(a[i]) != lower(b[i]) {
			return false
		}
	}
	return true
}

// namesIn says where names lie in the RDATA of types whose names may be
// compressed (RFC 3597 4): n a name, s a character string, digits so many bytes,
// and the rest as it is. Other types are copied.
var namesIn = map[dns.Type]string{
	dns.TypeNS: "n", 3: "n", 4: "n", dns.TypeCNAME: "n", dns.TypeSOA: "nn", 7: "n", 8: "n", 9: "n", dns.TypePTR: "n", 14: "nn", dns.TypeMX: "2n",
	17: "nn", 18: "2n", 21: "2n", 26: "2nn", 30: "n", dns.TypeSRV: "6n", dns.TypeNAPTR: "4sssn", 36: "2n", dns.TypeDNAME: "n",
}

// appendData appends RDATA with its names uncompressed.
func appendData(dst, packet []byte, r record) ([]byte, bool) {
	at, end := r.data, r.data+r.size
	for _, field := range namesIn[r.typ] {
		step := 0
		switch {
		case field == 'n':
			out, next, ok := appendName(dst, packet, at)
			if !ok || next > end {
				return dst, false
			}
			dst, at = out, next
			continue
		case field == 's' && at < end:
			step = 1 + int(packet[at])
		case field != 's':
			step = int(field - '0')
		}
		if step == 0 || at+step > end {
			return dst, false
		}
		dst = append(dst, packet[at:at+step]...)
		at += step
	}
	return append(dst, packet[at:end]...), true
}

// owned is a record with its owner in lower case.
type owned struct {
	record
	owner []byte
}

// reader takes a reply apart and keeps what answers the question.
type reader struct {
	packet  []byte
	q       *asked
	answers []owned
	others  []owned  // authority
	chain   [][]byte // the question's name and what CNAMEs and DNAMEs made of it
}

// chainMax bounds the aliases that are followed in one reply.
const chainMax = 16

// read makes an entry of a reply that matches. trusted says whether its AD bit means something.
// The packet's question is put into lower case, so that names which point to it lose our random spelling.
func read(packet []byte, q *asked, trusted bool) (*entry, error) {
	rd := reader{packet: packet, q: q}
	flags := binary.BigEndian.Uint16(packet[2:])
	e := &entry{key: q.key, hash: q.hash, rcode: uint8(flags & rcodeMask), ad: trusted && flags&flagAD != 0, errorCode: errorNone}
	if binary.BigEndian.Uint16(packet[4:]) == 0 {
		return nil, errDeclined
	}
	copy(packet[headerBytes:], q.name)
	if !rd.sections(e) {
		return nil, errGarbage
	}
	switch e.rcode {
	case rcodeSuccess, rcodeName:
	case rcodeServer:
		return e, errServer
	default:
		return e, errDeclined
	}
	rd.follow()
	rd.keep(e)
	if e.answers == 0 && e.rcode == rcodeSuccess && e.authority == 0 && rd.refers() {
		return nil, errLame
	}
	return e, nil
}

// sections reads all records, and the extended error of the OPT record.
func (rd *reader) sections(e *entry) bool {
	at := headerBytes + len(rd.q.name) + 4
	for section := range 3 {
		for range binary.BigEndian.Uint16(rd.packet[6+2*section:]) {
			r, next, ok := readRecord(rd.packet, at)
			if !ok {
				return false
			}
			at = next
			switch {
			case r.typ == dns.TypeOPT && section == 2:
				e.readError(rd.packet[r.data : r.data+r.size])
				if r.ttl>>24 != 0 { // an extended RCODE: BADVERS, BADCOOKIE
					e.rcode = rcodeRefused
				}
			case section == 2 || r.class != classIN:
				// Additional records are hints that nobody needs to believe.
			default:
				owner, _, ok := appendName(nil, rd.packet, r.at)
				if !ok {
					return false
				}
				for i := range owner {
					owner[i] = lower(owner[i])
				}
				o := owned{record: r, owner: owner}
				if section == 0 {
					rd.answers = append(rd.answers, o)
				} else {
					rd.others = append(rd.others, o)
				}
			}
		}
	}
	return true
}

// readError takes the first extended error of a server's OPT record along.
func (e *entry) readError(options []byte) {
	for len(options) >= 4 {
		code, n := binary.BigEndian.Uint16(options), int(binary.BigEndian.Uint16(options[2:]))
		if 4+n > len(options) {
			return
		}
		if code == optionError && n >= 2 {
			e.errorCode = binary.BigEndian.Uint16(options[4:])
			e.errorText = string(options[6 : 4+min(n, 2+errorTextMax)])
			return
		}
		options = options[4+n:]
	}
}

// errorTextMax bounds the words of a server's extended error that are handed on, in bytes.
const errorTextMax = 64

// follow builds the chain of aliases from the question's name.
func (rd *reader) follow() {
	rd.chain = [][]byte{rd.q.name}
	if rd.q.typ == dns.TypeCNAME || rd.q.typ == dns.TypeANY {
		return
	}
	for len(rd.chain) <= chainMax {
		next := rd.alias(rd.chain[len(rd.chain)-1])
		if next == nil || slices.ContainsFunc(rd.chain, func(n []byte) bool { return bytes.Equal(n, next) }) {
			return
		}
		rd.chain = append(rd.chain, next)
	}
}

func (rd *reader) alias(name []byte) []byte {
	for _, o := range rd.answers {
		if o.typ == dns.TypeCNAME && bytes.Equal(o.owner, name) {
			target, _, ok := appendName(nil, rd.packet, o.data)
			if !ok {
				return nil
			}
			for i := range target {
				target[i] = lower(target[i])
			}
			return target
		}
	}
	return nil
}

// under says whether a wire name is zone or lies below it.
func under(name, zone []byte) bool {
	for len(name) > len(zone) {
		name = name[1+name[0]:]
	}
	return bytes.Equal(name, zone)
}

// Types that only someone who asked for DNSSEC gets unasked.
const (
	typeNSEC  dns.Type = 47
	typeNSEC3 dns.Type = 50
)

// answers says whether a record of the answer section belongs to the answer.
func (rd *reader) belongs(o owned) bool {
	at := slices.IndexFunc(rd.chain, func(n []byte) bool { return bytes.Equal(n, o.owner) })
	if o.typ == dns.TypeDNAME || o.typ == dns.TypeRRSIG && rd.q.do() && at < 0 {
		return slices.ContainsFunc(rd.chain, func(n []byte) bool { return under(n, o.owner) })
	}
	if at < 0 {
		return false
	}
	switch o.typ {
	case rd.q.typ:
		return true
	case dns.TypeCNAME:
		return rd.q.typ == dns.TypeANY || at < len(rd.chain)-1
	case dns.TypeRRSIG:
		return rd.q.do()
	}
	return rd.q.typ == dns.TypeANY
}

// evidence says whether a record of the authority section proves that something is
// not there: the SOA of a zone above the name, and what DNSSEC has to say.
func (rd *reader) evidence(o owned) bool {
	last := rd.chain[len(rd.chain)-1]
	switch o.typ {
	case dns.TypeSOA:
		return under(last, o.owner)
	case typeNSEC, typeNSEC3, dns.TypeRRSIG:
		zone := func(n owned) bool { return n.typ == dns.TypeSOA && under(last, n.owner) && under(o.owner, n.owner) }
		return rd.q.do() && (slices.ContainsFunc(rd.others, zone) || len(rd.answers) > 0)
	}
	return false
}

// refers says whether the reply sends elsewhere, as a server does that does not recurse.
func (rd *reader) refers() bool {
	return slices.ContainsFunc(rd.others, func(o owned) bool { return o.typ == dns.TypeNS })
}

// keep writes the body of e: the records that belong, their names packed against the question's name and earlier owners.
func (rd *reader) keep(e *entry) {
	w := writer{base: headerBytes + len(rd.q.name) + 4, entry: e, least: dns.TTLMax}
	w.places = append(w.places, place{name: rd.q.name, at: headerBytes})
	w.lower = slices.ContainsFunc(rd.answers, func(o owned) bool { return o.typ == dns.TypeDNAME })
	final := false
	for _, o := range rd.answers {
		if rd.belongs(o) && w.add(rd.packet, o) {
			e.answers++
			final = final || o.typ == rd.q.typ || rd.q.typ == dns.TypeANY
		}
	}
	e.negative = !final || e.rcode == rcodeName
	w.plain = e.rcode == rcodeName && e.answers == 0 // so that it fits every name below, too
	proven := false
	for _, o := range rd.others {
		if o.typ == dns.TypeSOA && !e.negative || !rd.evidence(o) || !w.add(rd.packet, o) {
			continue
		}
		e.authority++
		if o.typ == dns.TypeSOA { // RFC 2308 5: the least of its TTL and its last number
			proven = true
			w.least = min(w.least, binary.BigEndian.Uint32(e.body[len(e.body)-4:]))
		}
	}
	e.ttl = time.Duration(w.least) * time.Second
	if e.negative && !proven {
		e.ttl = 0
	}
}

// place is a name that was written, which later ones may point to.
type place struct {
	name []byte // lower case
	at   int    // in the message
}

// writer packs records into the body of an entry.
type writer struct {
	*entry
	base   int // offset of the body in the message
	places []place
	plain  bool   // no pointers
	lower  bool   // aliases are made of our random spelling
	least  uint32 // TTL so far, in seconds
}

// pointerMax is the last offset that a pointer reaches (RFC 1035 4.1.4).
const pointerMax = 0x3fff

// add writes one record; a record that cannot be read, or has no room, is left out.
func (w *writer) add(packet []byte, o owned) bool {
	begin, places := len(w.body), len(w.places)
	known := slices.IndexFunc(w.places, func(p place) bool { return bytes.Equal(p.name, o.owner) })
	if known >= 0 && !w.plain {
		w.body = binary.BigEndian.AppendUint16(w.body, uint16(0xc000|w.places[known].at))
	} else {
		w.remember(o.owner, w.base+begin)
		w.body, _, _ = appendName(w.body, packet, o.at)
		w.lowerFrom(begin)
	}
	ttl := o.ttl
	if ttl > dns.TTLMax { // RFC 2181 8: as if it were 0
		ttl = 0
	}
	w.body = binary.BigEndian.AppendUint16(w.body, uint16(o.typ))
	w.body = binary.BigEndian.AppendUint16(w.body, classIN)
	at := len(w.body)
	w.body = binary.BigEndian.AppendUint32(w.body, ttl)
	w.body = append(w.body, 0, 0)
	data := len(w.body)
	body, ok := appendData(w.body, packet, o.record)
	if size := len(body) - data; !ok || size > 0xffff || w.base+len(body) > 0xffff || o.typ == dns.TypeSOA && size < 22 {
		w.body, w.places = w.body[:begin], w.places[:places]
		return false
	}
	w.body = body
	if o.typ == dns.TypeCNAME {
		w.lowerFrom(data)
	}
	binary.BigEndian.PutUint16(w.body[data-2:], uint16(len(w.body)-data))
	if o.typ == dns.TypeCNAME {
		target := bytes.Clone(w.body[data:])
		for i := range target {
			target[i] = lower(target[i])
		}
		w.remember(target, w.base+data)
	}
	w.ttls = append(w.ttls, uint16(at))
	w.least = min(w.least, ttl)
	return true
}

// lowerFrom puts the names at the end of the body into lower case, if they may have our spelling.
func (w *writer) lowerFrom(at int) {
	for i := at; w.lower && i < len(w.body); i++ {
		w.body[i] = lower(w.body[i])
	}
}

func (w *writer) remember(name []byte, at int) {
	if at <= pointerMax && len(w.places) < 2*chainMax {
		w.places = append(w.places, place{name: name, at: at})
	}
}
