package answer

import (
	"encoding/binary"
	"net/netip"

	"github.com/kamado/kamado/dns"
)

// Query is a packet that wants an answer.
type Query struct {
	Packet []byte
	Client netip.AddrPort // not a mapped address
	// Stream says that the answer may have StreamBytesMax bytes: TCP, TLS, HTTPS.
	Stream bool
	// Random decides where chance does. Equal queries with equal bits get equal answers.
	Random uint64
	// Now is the time in seconds since 1970, for cookies.
	Now uint32
	// Guarded asks for a valid cookie from those who send one at all (BADCOOKIE, RFC 7873 5.2.3): for times of
	// attack. It does not concern streams.
	Guarded bool
}

// Verdict says what is to be done with a packet.
type Verdict uint8

// The verdicts. Only with the first three is there an answer.
const (
	// Answered: send the answer.
	Answered Verdict = iota
	// Alias: as Answered, and the answer ends in an alias to a name of others, which the client may have forwarded.
	Alias
	// Proven: as Answered, and a cookie proved the client's address: no limit of rates is due.
	Proven
	// Dropped: send nothing. It was no query.
	Dropped
	// Forward: the name is not ours, and the client may use forwarders.
	Forward
	// Update, Notify: RFC 2136 and RFC 1996.
	Update
	Notify
	// Transfer: a question for AXFR or IXFR, in a zone of ours.
	Transfer
	// Signed: a question with TSIG (RFC 8945), whose answer must be signed too.
	Signed

	verdictCount
)

var verdictNames = [verdictCount]string{"answered", "alias", "proven", "dropped", "forward", "update", "notify", "transfer", "signed"}

func (v Verdict) String() string { return verdictNames[v] }

// Verdicts lists all verdicts, for tables that must be complete.
func Verdicts() []Verdict {
	list := make([]Verdict, verdictCount)
	for i := range list {
		list[i] = Verdict(i)
	}
	return list
}

// Answer appends the answer to a query. It allocates nothing when dst has room
// for the answer. It may be called from many goroutines.
func (t *Table) Answer(q Query, dst []byte) ([]byte, Verdict) {
	p := q.Packet
	if len(p) < headerBytes || p[2]&flagQR != 0 {
		return dst, Dropped
	}
	switch p[2] >> 3 & 15 {
	case opQuery:
	case opUpdate:
		return dst, Update
	case opNotify:
		return dst, Notify
	default:
		return t.Fail(p, dst, rcodeNotImplemented, 0), Answered
	}
	r := reply{t: t, query: q, out: dst, base: len(dst), rnd: random(q.Random)}
	ok := r.read(p)
	r.begin()
	if !ok {
		r.fail(rcodeFormat, codeNone)
		return r.finish(), Answered
	}
	v := r.judge()
	if v > Proven {
		return dst, v
	}
	return r.finish(), v
}

// judge fills the reply of a well-formed query, or says who else does.
func (r *reply) judge() Verdict {
	addr := r.query.Client.Addr()
	verdict := Answered
	switch {
	case r.edns && r.version > 0:
		r.fail(rcodeBadVersion, codeNone)
		return verdict
	case !r.t.query.allows(addr):
		r.fail(rcodeRefused, codeProhibited)
		return verdict
	}
	if r.cookie != nil && r.t.config.Cookies {
		if believed(r.t.config.CookieSecret, r.cookie, r.query.Now, addr) {
			verdict = Proven
		} else if r.query.Guarded && !r.query.Stream {
			r.fail(rcodeBadCookie, codeNone)
			return verdict
		}
	}
	switch {
	case r.end == 0: // nothing but a cookie was wanted
	case r.class == classCHAOS:
		r.chaos()
	case r.class != classIN:
		r.fail(rcodeRefused, codeNotAuthoritative)
	default:
		if v := r.internet(addr); v != Answered {
			return v
		}
	}
	return verdict
}

// internet answers a question of class IN.
func (r *reply) internet(addr netip.Addr) Verdict {
	switch t := r.typ; {
	case t == dns.TypeOPT || t == dns.TypeTSIG || t == 0:
		r.fail(rcodeFormat, codeNone)
		return Answered
	case t != dns.TypeANY && t != dns.TypeAXFR && t != dns.TypeIXFR && t >= 128 && t < 256:
		r.fail(rcodeNotImplemented, codeNotSupported) // meta types (RFC 6895 3.1)
		return Answered
	}
	z := r.t.find(&r.question, r.count)
	if z != nil && r.typ == dns.TypeDS && r.length == len(z.apex) && r.count > 0 {
		// The parent knows of the keys of a child (RFC 4035 3.1.4.1).
		if above := r.t.find(&r.question, r.count-1); above != nil {
			z = above
		}
	}
	switch {
	case z == nil:
		return r.foreign(addr)
	case r.typ == dns.TypeAXFR || r.typ == dns.TypeIXFR:
		return Transfer
	case r.signed:
		return Signed
	}
	r.client.addr = addr
	if len(r.t.places.values) > 0 {
		r.client.place, _ = r.t.places.find(addr)
	}
	if len(r.t.views.names) > 0 {
		r.clientClass, _ = r.t.views.clients.find(addr)
	}
	r.mask = r.t.views.classes[r.clientClass]
	if leads := r.resolve(z); leads && r.recursion() && r.t.forward.allows(addr) {
		return Alias
	}
	return Answered
}

// recursion says whether the client wants answers of others, and there are forwarders.
func (r *reply) recursion() bool { return r.query.Packet[2]&flagRD != 0 && r.t.config.Forwarding }

// foreign is what is done about names of others.
func (r *reply) foreign(addr netip.Addr) Verdict {
	switch {
	case r.typ == dns.TypeAXFR || r.typ == dns.TypeIXFR || !r.recursion():
		r.fail(rcodeRefused, codeNotAuthoritative)
	case !r.t.forward.allows(addr):
		r.fail(rcodeRefused, codeProhibited)
	default:
		return Forward
	}
	return Answered
}

// find is the zone with the longest apex that a name of at most so many labels lies in.
func (t *Table) find(q *question, labels int) *zone {
	for _, d := range *t.depths.Load() {
		if int(d) > labels {
			continue
		}
		if p := t.zones.get(q.suffix(q.count - int(d))); p != nil {
			return p.Load()
		}
	}
	return nil
}

// Fail appends a response that has an error and nothing else; an extended error
// (RFC 8914) when code is not 0. It is for those who handle other verdicts.
func (t *Table) Fail(packet, dst []byte, rcode uint16, code uint8) []byte {
	if len(packet) < headerBytes {
		return dst
	}
	q := Query{Packet: packet}
	r := reply{t: t, query: q, out: dst, base: len(dst)}
	if !r.read(packet) {
		r.edns = false // it may not have been read whole
	}
	r.begin()
	r.fail(rcode, extended(code))
	r.cookie, r.nsid = nil, false
	out := r.finish()
	out[len(dst)+2] |= packet[2] & 0x78 // its operation
	return out
}

// response codes (RFC 1035 4.1.1, 2136, 6891, 7873).
const (
	rcodeFormat         = 1
	rcodeServer         = 2
	rcodeName           = 3
	rcodeNotImplemented = 4
	rcodeRefused        = 5
	rcodeTooLong        = 6 // YXDOMAIN: what a DNAME makes is no name (RFC 6672 2.2)
	rcodeBadVersion     = 16
	rcodeBadCookie      = 23
)

// Allowed says whether a client may ask at all.
func (t *Table) Allowed(client netip.Addr) bool { return t.query.allows(client) }

// reply is a response in the making. It lives on a stack.
type reply struct {
	request
	t     *Table
	query Query
	out   []byte // the response is out[base:]
	base  int
	limit int // bytes that the response may have before the OPT record

	rcode         uint16
	authoritative bool
	truncated     bool
	code          extended
	qd            uint16
	an, ns, ar    uint16

	clientClass int // of the client
	mask        presence
	client      client
	rnd         random
	// apex is where in the response the apex of the zone stands that is answered from; owner, the name that is looked up.
	apex, owner int
	// ended says that the name that is looked up ends in a pointer, which is one to the apex, where it stands in the response.
	ended bool
}

// begin writes the header, to be finished, and the question as it came.
func (r *reply) begin() {
	p := r.query.Packet
	end := headerBytes
	if r.end > 0 {
		end, r.qd = r.end, 1
	}
	r.out = append(r.out, p[:end]...)
	size := udpBytesLeast
	if r.edns {
		size = min(max(int(r.size), udpBytesLeast), r.t.config.UDPBytesMax)
	}
	if r.query.Stream {
		size = StreamBytesMax
	}
	r.limit = size - r.optReserve()
	r.owner = headerBytes
}

// fail makes the response an error.
func (r *reply) fail(rcode uint16, code extended) { r.rcode, r.code = rcode, code }

// truncate empties the response: the client asks again over a stream.
func (r *reply) truncate() {
	if r.query.Stream { // more than a message can hold
		r.fail(rcodeServer, codeNone)
	} else {
		r.truncated = true
	}
	r.out = r.out[:r.base+headerBytes]
	if r.end > 0 {
		r.out = r.out[:r.base+r.end]
	}
	r.an, r.ns, r.ar = 0, 0, 0
}

// finish writes what is last known, and gives the response.
func (r *reply) finish() []byte {
	if r.edns {
		r.appendOPT()
	}
	h := r.out[r.base:]
	flags := h[2]&flagRD | flagQR
	if r.authoritative {
		flags |= flagAA
	}
	if r.truncated {
		flags |= flagTC
	}
	h[2], h[3] = flags, byte(r.rcode&15)
	if r.t.config.Forwarding {
		h[3] |= flagRA
	}
	binary.BigEndian.PutUint16(h[4:], r.qd)
	binary.BigEndian.PutUint16(h[6:], r.an)
	binary.BigEndian.PutUint16(h[8:], r.ns)
	binary.BigEndian.PutUint16(h[10:], r.ar)
	return r.out
}
