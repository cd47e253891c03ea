package forward

import (
	"encoding/binary"
	"fmt"

	"github.com/kamado/kamado/dns"
)

// Bits and codes of a message (RFC 1035 4.1.1, RFC 6891 6.1.3, RFC 8914 4).
const (
	headerBytes = 12

	flagQR = 1 << 15
	flagAA = 1 << 10
	flagTC = 1 << 9
	flagRD = 1 << 8
	flagRA = 1 << 7
	flagAD = 1 << 5
	flagCD = 1 << 4

	opcodeMask = 0xf << 11
	rcodeMask  = 0xf
	optDO      = 1 << 15

	rcodeSuccess  = 0
	rcodeFormat   = 1
	rcodeServer   = 2
	rcodeName     = 3
	rcodeNotImpl  = 4
	rcodeRefused  = 5
	rcodeVersion  = 16 // BADVERS, of which EDNS has the upper eight bits
	classIN       = 1
	optionError   = 15 // EDNS option: extended error
	optionPadding = 12

	errorNone          = 0xffff // no extended error: the codes begin at 0
	errorStale         = 3
	errorStaleNXDomain = 19
	errorUnreachable   = 22 // no server answered
	errorNetwork       = 23 // no server could be reached
	errorOther         = 0
)

// udpBytes is the size of a UDP message that is offered and sent (DNS flag day 2020).
const udpBytes = 1232

// question is a client's query as far as it matters here. It points into the packet.
type question struct {
	id       uint16
	flags    uint16
	wire     []byte // the question as the client spelled it: name, type, class
	name     []byte // of wire
	typ      dns.Type
	class    uint16
	edns     bool
	version  uint8
	do       bool
	udpBytes int // that the client takes over UDP
	key      key
}

// key is what tells one question from another: the name in lower case, the type, and the bits that change its answer.
type key struct {
	bytes [dns.NameBytesMax + 3]byte
	n     int
}

func (k *key) slice() []byte { return k.bytes[:k.n] }

// The bits of a key's last byte.
const (
	keyDO = 1 << iota
	keyCD
)

// makeKey writes the key of a name in any case.
func makeKey(k *key, name []byte, t dns.Type, bits byte) {
	for i, c := range name {
		k.bytes[i] = lower(c)
	}
	n := len(name)
	binary.BigEndian.PutUint16(k.bytes[n:], uint16(t))
	k.bytes[n+2] = bits
	k.n = n + 3
}

func lower(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

// bits gives the last byte of the question's key.
func (q *question) bits() byte {
	var b byte
	if q.do {
		b |= keyDO
	}
	if q.flags&flagCD != 0 {
		b |= keyCD
	}
	return b
}

// parse reads a client's query into q, without allocating.
func (q *question) parse(packet []byte) error {
	if len(packet) < headerBytes {
		return fmt.Errorf("a message of %d bytes", len(packet))
	}
	q.id, q.flags = binary.BigEndian.Uint16(packet), binary.BigEndian.Uint16(packet[2:])
	if q.flags&(flagQR|opcodeMask) != 0 || binary.BigEndian.Uint16(packet[4:]) != 1 {
		return fmt.Errorf("no query with one question")
	}
	n := plainName(packet[headerBytes:])
	if n == 0 || len(packet) < headerBytes+n+4 {
		return fmt.Errorf("a question that does not end")
	}
	q.name = packet[headerBytes : headerBytes+n]
	q.wire = packet[headerBytes : headerBytes+n+4]
	q.typ, q.class = dns.Type(binary.BigEndian.Uint16(q.wire[n:])), binary.BigEndian.Uint16(q.wire[n+2:])
	q.edns, q.do, q.version, q.udpBytes = false, false, 0, 512
	if err := q.findOPT(packet); err != nil {
		return err
	}
	makeKey(&q.key, q.name, q.typ, q.bits())
	return nil
}

// findOPT looks through the records behind the question.
func (q *question) findOPT(packet []byte) error {
	records := 0
	for i := 6; i < headerBytes; i += 2 {
		records += int(binary.BigEndian.Uint16(packet[i:]))
	}
	at := headerBytes + len(q.wire)
	for range records {
		r, next, ok := readRecord(packet, at)
		if !ok {
			return fmt.Errorf("a record that does not end")
		}
		at = next
		if r.typ != dns.TypeOPT {
			continue
		}
		if q.edns {
			return fmt.Errorf("two OPT records")
		}
		q.edns, q.version, q.do = true, uint8(r.ttl>>16), r.ttl&optDO != 0
		q.udpBytes = max(512, int(r.class))
	}
	return nil
}

// plainName gives the length of an uncompressed name with its end, or 0.
func plainName(b []byte) int {
	at := 0
	for at < len(b) && at < dns.NameBytesMax {
		n := int(b[at])
		at += 1 + n
		if n == 0 {
			return at
		}
		if n > dns.LabelBytesMax {
			return 0
		}
	}
	return 0
}

// record is one resource record of a message: where it lies, not what it means.
type record struct {
	at    int // of its owner
	typ   dns.Type
	class uint16
	ttl   uint32
	data  int // of its RDATA
	size  int // of its RDATA
}

// readRecord reads the record at an offset and gives the offset behind it.
func readRecord(packet []byte, at int) (r record, next int, ok bool) {
	fixed := skipName(packet, at)
	if fixed == 0 || fixed+10 > len(packet) {
		return r, 0, false
	}
	b := packet[fixed:]
	r = record{
		at: at, typ: dns.Type(binary.BigEndian.Uint16(b)), class: binary.BigEndian.Uint16(b[2:]), ttl: binary.BigEndian.Uint32(b[4:]),
		data: fixed + 10, size: int(binary.BigEndian.Uint16(b[8:])),
	}
	next = r.data + r.size
	return r, next, next <= len(packet)
}

// skipName gives the offset behind a name that may be compressed, or 0.
func skipName(packet []byte, at int) int {
	for at < len(packet) {
		n := int(packet[at])
		switch {
		case n == 0:
			return at + 1
		case n >= 0xc0:
			if at+2 > len(packet) {
				return 0
			}
			return at + 2
		case n > dns.LabelBytesMax:
			return 0
		}
		at += 1 + n
	}
	return 0
}

// appendName appends the uncompressed form of the name at an offset, and gives the
// offset behind it. Each pointer must point before what pointed there, so there is no loop.
func appendName(dst, packet []byte, at int) (out []byte, next int, ok bool) {
	begin, limit := len(dst), at
	for {
		if at >= len(packet) {
			return dst, 0, false
		}
		n := int(packet[at])
		switch {
		case n >= 0xc0:
			if at+2 > len(packet) {
				return dst, 0, false
			}
			if next == 0 {
				next = at + 2
			}
			to := int(binary.BigEndian.Uint16(packet[at:]) & 0x3fff)
			if to >= limit {
				return dst, 0, false
			}
			at, limit = to, to
			continue
		case n > dns.LabelBytesMax || at+1+n > len(packet) || len(dst)-begin+1+n > dns.NameBytesMax:
			return dst, 0, false
		}
		dst = append(dst, packet[at:at+1+n]...)
		at += 1 + n
		if n == 0 {
			if next == 0 {
				next = at
			}
			return dst, next, true
		}
	}
}
