package answer

import (
	"encoding/binary"

	"github.com/kamado/kamado/dns"
)

// Parts of a message (RFC 1035 4.1).
const (
	headerBytes = 12
	classIN     = 1
	classCHAOS  = 3
	pointer     = 0xc0   // first byte of a compressed name; the offset's high bits are added
	pointerMax  = 0x3fff // the last offset that a pointer reaches
)

// Bits of the flags, bytes 2 and 3 of a message.
const (
	flagQR = 0x80 // byte 2
	flagAA = 0x04
	flagTC = 0x02
	flagRD = 0x01
	flagRA = 0x80 // byte 3
)

// Operation codes (RFC 1035, 1996, 2136).
const (
	opQuery  = 0
	opNotify = 4
	opUpdate = 5
)

// question is a name that is asked for, in lower case.
type question struct {
	name   [dns.NameBytesMax + 1]byte // wire form; a multiple of 8 bytes
	length int
	// labels are the offsets of the labels, and of the end at labels[count].
	labels [dns.NameBytesMax/2 + 1]uint8
	count  int
	typ    dns.Type
	class  uint16
}

// setName takes an uncompressed name that begins b; 0 bytes were used when it is none.
func (q *question) setName(b []byte) (used int) {
	i, n := 0, 0
	for {
		if i >= len(b) || i >= dns.NameBytesMax {
			return 0
		}
		q.labels[n] = uint8(i)
		c := int(b[i])
		if c == 0 {
			break
		}
		if c > dns.LabelBytesMax {
			return 0 // a pointer, or what nobody defined (RFC 6891 5)
		}
		i += 1 + c
		n++
	}
	q.count, q.length = n, i+1
	copy(q.name[:], b[:q.length])
	lower(q.name[:(q.length+7)&^7])
	return q.length
}

// lower turns letters to lower case, eight bytes at a time. Lengths of labels are
// below 'A' and stay. len(b) is a multiple of 8.
func lower(b []byte) {
	const ones, tops = 0x0101010101010101, 0x8080808080808080
	for ; len(b) >= 8; b = b[8:] {
		v := binary.LittleEndian.Uint64(b)
		low := v &^ tops // without the top bit there is no carry into the next byte
		fromA, aboveZ := low+(0x80-'A')*ones, low+(0x7f-'Z')*ones
		upper := (fromA ^ aboveZ) & tops &^ v // of bytes 'A' to 'Z'
		binary.LittleEndian.PutUint64(b, v|upper>>2)
	}
}

// suffix is the name from its i-th label on.
func (q *question) suffix(i int) []byte { return q.name[q.labels[i]:q.length] }

// request is a query, read.
type request struct {
	question
	end int // of the question in the packet
	// EDNS (RFC 6891).
	edns    bool
	do      bool
	nsid    bool
	version uint8
	size    uint16 // that the client takes over UDP
	// cookie is what the client sent (RFC 7873): 8 bytes, or 16 to 40; nil: none.
	cookie []byte
	// signed says that the last record is a TSIG.
	signed bool
}

// read reads a packet whose header is whole; false is what FORMERR answers. What
// was read until then is valid: end is 0 when there is no question.
func (r *request) read(p []byte) bool {
	counts := binary.BigEndian.Uint64(p[4:])
	at := headerBytes
	questions := counts >> 48
	if questions > 1 {
		return false
	}
	if questions == 1 {
		used := r.setName(p[at:])
		if at += used; used == 0 || at+4 > len(p) {
			return false
		}
		r.typ, r.class = dns.Type(binary.BigEndian.Uint16(p[at:])), binary.BigEndian.Uint16(p[at+2:])
		at += 4
		r.end = at
	}
	others := int(counts>>32&0xffff) + int(counts>>16&0xffff) // answer and authority; an IXFR has one (RFC 1995 3)
	for range others {
		if at = skipRecord(p, at); at < 0 {
			return false
		}
	}
	for left := int(counts & 0xffff); left > 0; left-- {
		if at = r.additional(p, at, left == 1); at < 0 {
			return false
		}
	}
	if at != len(p) || others > 0 && r.typ != dns.TypeIXFR {
		return false
	}
	// Only a client that wants a cookie may ask nothing (RFC 7873 5.4).
	return questions == 1 || r.cookie != nil
}

// additional reads one additional record, and gives where it ends; -1: it is broken.
func (r *request) additional(p []byte, at int, last bool) int {
	start := at
	if at = skipRecord(p, at); at < 0 {
		return -1
	}
	name := skipName(p, start)
	fixed := p[name:] // type, class, TTL, length: skipRecord saw them
	switch t := dns.Type(binary.BigEndian.Uint16(fixed)); {
	case t == dns.TypeOPT:
		if r.edns || p[start] != 0 { // RFC 6891 6.1.1: one, of the root
			return -1
		}
		r.edns = true
		r.size, r.version, r.do = binary.BigEndian.Uint16(fixed[2:]), fixed[5], fixed[6]&0x80 != 0
		if r.version == 0 && !r.options(p[name+10:at]) { // of others the form is not known
			return -1
		}
	case t == dns.TypeTSIG:
		if !last { // RFC 8945 5.1
			return -1
		}
		r.signed = true
	}
	return at
}

// skipName gives the end of a name that may be compressed; -1: it is broken.
func skipName(p []byte, at int) int {
	for at < len(p) {
		switch c := int(p[at]); {
		case c == 0:
			return at + 1
		case c >= pointer:
			if at+2 > len(p) {
				return -1
			}
			return at + 2
		case c > dns.LabelBytesMax:
			return -1
		default:
			at += 1 + c
		}
	}
	return -1
}

// skipRecord gives the end of a record; -1: it is broken.
func skipRecord(p []byte, at int) int {
	if at = skipName(p, at); at < 0 || at+10 > len(p) {
		return -1
	}
	at += 10 + int(binary.BigEndian.Uint16(p[at+8:]))
	if at > len(p) {
		return -1
	}
	return at
}
