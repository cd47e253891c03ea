package message

import (
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/kamado/kamado/dns"
)

// Encode writes a message with compressed names (RFC 1035 4.1.4). If it would have
// more than bytesMax bytes, only its question, its OPT and the mark of truncation are written.
func (m *Message) Encode(bytesMax int) ([]byte, error) {
	bytesMax = min(bytesMax, BytesMax)
	b, err := m.encode(bytesMax)
	if err == nil && len(b) <= bytesMax {
		return b, nil
	}
	short := *m
	short.Answer, short.Authority, short.Additional, short.Truncated = nil, nil, nil, true
	return short.encode(bytesMax)
}

func (m *Message) encode(bytesMax int) ([]byte, error) {
	e := encoder{out: make([]byte, 0, min(bytesMax, 16<<10)), names: make(map[dns.Name]int)}
	for _, v := range []uint16{m.ID, m.flags(), uint16(len(m.Question)), uint16(len(m.Answer)), uint16(len(m.Authority)), uint16(len(m.Additional))} {
		e.u16(v)
	}
	for _, q := range m.Question {
		if len(e.out) == 12 {
			e.learn(q.Name)
		}
		if q.wire != nil {
			e.out = append(e.out, q.wire...)
		} else {
			e.out = q.Name.AppendWire(e.out)
		}
		e.u16(uint16(q.Type))
		e.u16(q.Class)
	}
	for _, section := range [][]RR{m.Answer, m.Authority, m.Additional} {
		for _, rr := range section {
			if e.rr(rr); len(e.out) > BytesMax {
				return nil, fmt.Errorf("a message of more than %d bytes", BytesMax)
			}
		}
	}
	if m.EDNS != nil {
		e.opt(m.EDNS, m.Rcode)
		binary.BigEndian.PutUint16(e.out[10:], uint16(len(m.Additional)+1))
	}
	return e.out, nil
}

func (m *Message) flags() uint16 {
	v := uint16(m.Opcode&15)<<11 | uint16(m.Rcode&rcodeMask)
	for _, f := range []struct {
		set bool
		bit uint16
	}{{m.Response, 15}, {m.Authoritative, 10}, {m.Truncated, 9}, {m.RecursionDesired, 8}, {m.RecursionAvailable, 7}} {
		if f.set {
			v |= 1 << f.bit
		}
	}
	return v
}

// encoder writes one message.
type encoder struct {
	out   []byte
	names map[dns.Name]int // where names that were written begin
}

func (e *encoder) u16(v uint16) { e.out = binary.BigEndian.AppendUint16(e.out, v) }

// pointerMax is the first place that a pointer cannot name: it has 14 bits.
const pointerMax = 1 << 14

// learn notes the name of the first question, which will be written here, and the names above it.
func (e *encoder) learn(n dns.Name) {
	for at := len(e.out); n != dns.Root; n = n.Parent() {
		e.names[n] = at
		at += 1 + len(n.First()) - 3*strings.Count(n.First(), `\`)
	}
}

func (e *encoder) name(n dns.Name) {
	whole, start := n, len(e.out)
	for ; n != dns.Root; n = n.Parent() {
		if at, ok := e.names[n]; ok {
			if n != whole {
				e.learnTo(whole, n, start)
			}
			e.u16(uint16(0xc000 | at))
			return
		}
		label := dns.Name(n.First())
		e.out = label.AppendWire(e.out)
		e.out = e.out[:len(e.out)-1] // without the root
	}
	e.learnTo(whole, dns.Root, start)
	e.out = append(e.out, 0)
}

// learnTo notes the names from n up to end, which is not noted, that were written from a place on.
func (e *encoder) learnTo(n, end dns.Name, at int) {
	for ; n != end && at < pointerMax; n = n.Parent() {
		e.names[n] = at
		at += 1 + len(n.First()) - 3*strings.Count(n.First(), `\`)
	}
}

func (e *encoder) rr(rr RR) {
	e.name(rr.Name)
	e.u16(uint16(rr.Type))
	e.u16(rr.Class)
	e.out = binary.BigEndian.AppendUint32(e.out, rr.TTL)
	at := len(e.out)
	e.u16(0)
	e.data(rr.Type, rr.Data)
	binary.BigEndian.PutUint16(e.out[at:], uint16(len(e.out)-at-2))
}

// compressed are the types in whose data names may be compressed: those of RFC 1035 (RFC 3597 4).
func compressed(t dns.Type) bool {
	switch t {
	case dns.TypeNS, dns.TypeCNAME, dns.TypeSOA, dns.TypePTR, dns.TypeMX:
		return true
	}
	return false
}

func (e *encoder) data(t dns.Type, data []byte) {
	l := nameTypes[t]
	if !compressed(t) || len(data) < l.skip {
		e.out = append(e.out, data...)
		return
	}
	e.out = append(e.out, data[:l.skip]...)
	rest := data[l.skip:]
	for range l.names {
		name, after, err := dns.NameFromWire(rest)
		if err != nil {
			break
		}
		e.name(name)
		rest = after
	}
	e.out = append(e.out, rest...)
}

func (e *encoder) opt(o *EDNS, rcode Rcode) {
	e.out = append(e.out, 0)
	e.u16(uint16(dns.TypeOPT))
	e.u16(o.UDPBytes)
	e.out = append(e.out, byte(rcode>>4), o.Version)
	flags := uint16(0)
	if o.DO {
		flags = 1 << 15
	}
	e.u16(flags)
	at := len(e.out)
	e.u16(0)
	for _, option := range o.Options {
		e.u16(option.Code)
		e.u16(uint16(len(option.Data)))
		e.out = append(e.out, option.Data...)
	}
	binary.BigEndian.PutUint16(e.out[at:], uint16(len(e.out)-at-2))
}
