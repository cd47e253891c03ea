package forward

import (
	"encoding/binary"
	"sync/atomic"
	"time"
)

// entry is a remembered answer. What stands above the atomics does not change
// after it was stored; body holds the records behind the question, without OPT,
// and its pointers hold for any spelling of the question's name.
type entry struct {
	key       string // as key.slice, or nxKey
	hash      uint64
	body      []byte
	ttls      []uint16 // offsets of TTLs in body
	answers   uint16
	authority uint16
	rcode     uint8
	ad        bool
	negative  bool
	errorCode uint16 // extended error of the server, or errorNone
	errorText string
	ttl       time.Duration // 0: for those who wait now, and not to be remembered

	stored  int64 // Unix nanoseconds
	fresh   int64 // until then it is answered as it is
	useless int64 // from then on it is not answered at all

	used    atomic.Int64 // Unix nanoseconds of the last hit
	hits    atomic.Uint32
	asked   atomic.Bool  // that it was prefetched
	recheck atomic.Int64 // Unix nanoseconds; a stale entry is answered at once until then
}

// entryBytes is what an entry costs beside its key and body: measured as its own size and the allocator's rounding.
const entryBytes = 256

func (e *entry) size() int64 {
	return int64(len(e.key) + cap(e.body) + 2*cap(e.ttls) + len(e.errorText) + entryBytes)
}

// settle applies the bounds of TTLs and dates the entry.
func (e *entry) settle(cfg *Config, now time.Time) {
	e.stored = now.UnixNano()
	if e.ttl > 0 {
		most := cfg.TTLMax
		if e.negative {
			most = min(most, cfg.NegativeTTLMax)
		}
		e.ttl = min(max(e.ttl, cfg.TTLMin), most)
	}
	least, most := uint32(cfg.TTLMin/time.Second), uint32(cfg.TTLMax/time.Second)
	for _, at := range e.ttls {
		ttl := binary.BigEndian.Uint32(e.body[at:])
		if ttl > 0 {
			ttl = min(max(ttl, least), most)
		}
		binary.BigEndian.PutUint32(e.body[at:], ttl)
	}
	e.fresh = e.stored + int64(e.ttl)
	e.useless = e.fresh
	if e.rcode != rcodeServer {
		e.useless += int64(cfg.StaleMax)
	}
	e.used.Store(e.stored)
}

// failure is the entry of a question that nobody answered.
func failure(q *asked, code uint16, text string) *entry {
	return &entry{key: q.key, hash: q.hash, rcode: rcodeServer, negative: true, errorCode: code, errorText: text}
}

// staleTTL is the TTL of records in a stale answer (RFC 8767 4), in seconds.
const staleTTL = 30

// answer appends the reply to q, of at most size bytes: whole, or with the TC bit and without records.
func (e *entry) answer(dst []byte, q *question, size int, now int64, stale bool) []byte {
	begin := len(dst)
	code, text := e.errorCode, e.errorText
	if stale {
		code, text = errorStale, ""
		if e.rcode == rcodeName {
			code = errorStaleNXDomain
		}
	}
	opt := 0
	if q.edns {
		opt = optBytes(code, text)
	}
	flags := flagQR | flagRA | q.flags&(flagRD|flagCD) | uint16(e.rcode)
	if e.ad && !stale && (q.do || q.flags&flagAD != 0) { // RFC 6840 5.8: to those who can read it
		flags |= flagAD
	}
	whole := headerBytes+len(q.wire)+len(e.body)+opt <= size
	if !whole {
		flags |= flagTC
	}
	dst = binary.BigEndian.AppendUint16(dst, q.id)
	dst = binary.BigEndian.AppendUint16(dst, flags)
	dst = append(dst, 0, 1, 0, 0, 0, 0, 0, 0)
	dst = append(dst, q.wire...)
	if whole {
		binary.BigEndian.PutUint16(dst[begin+6:], e.answers)
		binary.BigEndian.PutUint16(dst[begin+8:], e.authority)
		at := len(dst)
		dst = append(dst, e.body...)
		e.countDown(dst[at:], now, stale)
	}
	if q.edns {
		dst[begin+11] = 1
		dst = appendOPT(dst, q.do, 0, code, text)
	}
	return dst
}

// countDown takes the age of the entry off the TTLs of body.
func (e *entry) countDown(body []byte, now int64, stale bool) {
	age := uint32(max(0, now-e.stored) / int64(time.Second))
	for _, at := range e.ttls {
		ttl := binary.BigEndian.Uint32(body[at:])
		if stale {
			ttl = staleTTL
		} else {
			ttl -= min(age, ttl)
		}
		binary.BigEndian.PutUint32(body[at:], ttl)
	}
}

// optBytes is the size of an OPT record with an extended error.
func optBytes(code uint16, text string) int {
	if code == errorNone {
		return 11
	}
	return 11 + 6 + len(text)
}

// appendOPT appends the OPT record, which is the last of every reply, so that a listener may append options of its own.
func appendOPT(dst []byte, do bool, rcode uint16, code uint16, text string) []byte {
	var ttl uint32 = uint32(rcode>>4) << 24
	if do {
		ttl |= optDO
	}
	dst = append(dst, 0, 0, 41)
	dst = binary.BigEndian.AppendUint16(dst, udpBytes)
	dst = binary.BigEndian.AppendUint32(dst, ttl)
	if code == errorNone {
		return append(dst, 0, 0)
	}
	dst = binary.BigEndian.AppendUint16(dst, uint16(6+len(text)))
	dst = binary.BigEndian.AppendUint16(dst, optionError)
	dst = binary.BigEndian.AppendUint16(dst, uint16(2+len(text)))
	dst = binary.BigEndian.AppendUint16(dst, code)
	return append(dst, text...)
}

// refuse appends a reply without records.
func refuse(dst []byte, q *question, rcode uint16, code uint16, text string) []byte {
	begin := len(dst)
	dst = binary.BigEndian.AppendUint16(dst, q.id)
	dst = binary.BigEndian.AppendUint16(dst, flagQR|flagRA|q.flags&(flagRD|flagCD)|rcode&rcodeMask)
	dst = append(dst, 0, 1, 0, 0, 0, 0, 0, 0)
	dst = append(dst, q.wire...)
	if q.edns {
		dst[begin+11] = 1
		dst = appendOPT(dst, q.do, rcode, code, text)
	}
	return dst
}
