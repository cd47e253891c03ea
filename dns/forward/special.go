package forward

import (
	"encoding/binary"
	"time"

	"github.com/kamado/kamado/dns"
)

// special holds the names that no public server knows (RFC 6303, RFC 6761 and
// those that followed), by the wire form of their apex. Asking for them elsewhere
// tells strangers about this network, and they could not say more than what is said here.
type special map[string]specialZone

// specialZone answers for an apex and what lies below it.
type specialZone struct {
	none *entry              // no such name; nil: every name exists
	data *entry              // no data of the type
	has  map[dns.Type]*entry // data of types, of every name
	apex bool                // the apex itself exists
	pass bool                // forward it all the same
}

// specialTTL is how long clients may keep what is said here: a zone of the name may be added some day. In seconds.
const specialTTL = 300

// absent are the names below which nothing exists; those of RFC 6303 have an apex that does.
var absent = []struct {
	name string
	apex bool
	why  string
}{
	{"test", false, "RFC 6761 6.2"}, {"invalid", false, "RFC 6761 6.4"}, {"onion", false, "RFC 7686 2"}, {"local", false, "RFC 6762 22.1: asked for by multicast"},
	{"alt", false, "RFC 9476 2"}, {"home.arpa", true, "RFC 8375 4"}, {"resolver.arpa", true, "RFC 9462 8.3"}, {"service.arpa", true, "RFC 9665 6"},
	{"0.in-addr.arpa", true, "RFC 6303 4.2"}, {"127.in-addr.arpa", true, "RFC 6303 4.2"}, {"254.169.in-addr.arpa", true, "RFC 6303 4.2"},
	{"2.0.192.in-addr.arpa", true, "RFC 6303 4.2"}, {"100.51.198.in-addr.arpa", true, "RFC 6303 4.2"}, {"113.0.203.in-addr.arpa", true, "RFC 6303 4.2"},
	{"255.255.255.255.in-addr.arpa", true, "RFC 6303 4.2"}, {"10.in-addr.arpa", true, "RFC 6303 4.1"}, {"168.192.in-addr.arpa", true, "RFC 6303 4.1"},
	{"d.f.ip6.arpa", true, "RFC 6303 4.4"}, {"8.e.f.ip6.arpa", true, "RFC 6303 4.5"}, {"9.e.f.ip6.arpa", true, "RFC 6303 4.5"}, {"a.e.f.ip6.arpa", true, "RFC 6303 4.5"},
	{"b.e.f.ip6.arpa", true, "RFC 6303 4.5"}, {"8.b.d.0.1.0.0.2.ip6.arpa", true, "RFC 6303 4.6"},
	{"0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.ip6.arpa", true, "RFC 6303 4.3"},
	{"1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.ip6.arpa", true, "RFC 6303 4.3"},
}

// newSpecial makes the table without those that are passed on.
func newSpecial(pass []dns.Name) special {
	s := special{}
	add := func(name string, apex bool) {
		wire := dns.MustName(name).AppendWire(nil)
		s[string(wire)] = specialZone{none: specialEntry(wire, rcodeName), data: specialEntry(wire, rcodeSuccess), apex: apex}
	}
	for _, a := range absent {
		add(a.name, a.apex)
	}
	for i := 16; i < 32; i++ { // 172.16/12, RFC 6303 4.1
		add(decimal(i)+".172.in-addr.arpa", true)
	}
	for i := 64; i < 128; i++ { // 100.64/10, RFC 7793
		add(decimal(i)+".100.in-addr.arpa", true)
	}
	local := dns.MustName("localhost").AppendWire(nil) // RFC 6761 6.3: every name is this machine
	s[string(local)] = specialZone{data: specialEntry(local, rcodeSuccess), has: map[dns.Type]*entry{
		dns.TypeA:    addressEntry(dns.TypeA, []byte{127, 0, 0, 1}),
		dns.TypeAAAA: addressEntry(dns.TypeAAAA, append(make([]byte, 15), 1)),
	}}
	for _, name := range pass {
		wire := name.AppendWire(nil)
		for apex := range s {
			if under([]byte(apex), wire) {
				delete(s, apex)
			}
		}
		s[string(wire)] = specialZone{pass: true}
	}
	return s
}

func decimal(n int) string {
	if n >= 100 {
		return string([]byte{byte('0' + n/100), byte('0' + n/10%10), byte('0' + n%10)})
	}
	return string([]byte{byte('0' + n/10), byte('0' + n%10)})
}

// find gives the answer to a question for a name of special use, or nil. It does not allocate.
func (s special) find(q *question) *entry {
	name := q.key.bytes[:len(q.name)]
	for at := 0; at < len(name); at += 1 + int(name[at]) {
		z, ok := s[string(name[at:])]
		if !ok {
			continue
		}
		if z.pass {
			return nil
		}
		if e := z.has[q.typ]; e != nil {
			return e
		}
		if z.none == nil || at == 0 && z.apex {
			return z.data
		}
		return z.none
	}
	return nil
}

// specialEntry says that there is nothing, with the SOA that RFC 6303 3 gives such zones.
func specialEntry(apex []byte, rcode uint8) *entry {
	e := &entry{rcode: rcode, negative: true, authority: 1, errorCode: errorNone}
	e.body = append(e.body, apex...)
	e.body = binary.BigEndian.AppendUint16(e.body, uint16(dns.TypeSOA))
	e.body = append(e.body, 0, classIN)
	e.body = binary.BigEndian.AppendUint32(e.body, specialTTL)
	data := append([]byte(nil), apex...)
	data = dns.MustName("nobody.invalid").AppendWire(data)
	for _, n := range []uint32{1, 3600, 1200, 604800, specialTTL} {
		data = binary.BigEndian.AppendUint32(data, n)
	}
	e.body = binary.BigEndian.AppendUint16(e.body, uint16(len(data)))
	e.body = append(e.body, data...)
	return e.forever()
}

// addressEntry gives an address to whatever name the question has.
func addressEntry(t dns.Type, addr []byte) *entry {
	e := &entry{answers: 1, errorCode: errorNone, body: []byte{0xc0, headerBytes}}
	e.body = binary.BigEndian.AppendUint16(e.body, uint16(t))
	e.body = append(e.body, 0, classIN)
	e.body = binary.BigEndian.AppendUint32(e.body, specialTTL)
	e.body = binary.BigEndian.AppendUint16(e.body, uint16(len(addr)))
	e.body = append(e.body, addr...)
	return e.forever()
}

// forever marks an entry that does not age: its TTLs are not in ttls.
func (e *entry) forever() *entry {
	e.ttl = specialTTL * time.Second
	return e
}
