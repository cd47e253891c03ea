package replica

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/kamado/kamado/dns"
	"github.com/kamado/kamado/dns/field"
)

// Messages: a byte of format, a byte of kind, fields. Unknown kinds and fields are
// passed over. How two members become equal:
//
//	A → B  digest   sums of all streams, in buckets        every interval, with one random peer
//	B → A  vector   heads of the streams in unequal buckets
//	A → B  have     of each unequal stream: versions, and sums of ranges of versions
//	B → A  entries  what A lacks
//	B → A  want     what B lacks; A answers with entries
//	B → A  have     of ranges that are unequal and large, in smaller pieces
//
// Sums are of contents, so that equal digests mean equal streams, whatever was
// lost, refused or dropped before; no member has to believe another that something is complete.
const (
	msgPush    = 1
	msgDigest  = 2
	msgVector  = 3
	msgHave    = 4
	msgWant    = 5
	msgEntries = 6

	fieldEntry    = 1
	fieldHead     = 2 // one of the member itself, see appendHead
	fieldSalt     = 3
	fieldBuckets  = 4 // 16 of 4 bytes
	fieldMask     = 5 // of buckets
	fieldHeads    = 6 // one after another
	fieldNode     = 7 // begins what follows about one stream
	fieldRange    = 8 // lo, hi, sum (8 each), count (4)
	fieldList     = 9 // lo, hi, versions (8 each)
	fieldVersions = 10
	fieldMore     = 11 // a node of which there is more
)

// Bounds of messages, in bytes.
const (
	// datagramMax keeps a message in one packet of the internet, with what memberlist puts around it.
	datagramMax = 1200
	// chunkMax is for what is told to everybody over streams.
	chunkMax = 64 << 10
	// answerMax is for what one peer is answered with; it asks for more.
	answerMax = 256 << 10
	// largeAnswer is one that takes a peer a while.
	largeAnswer = 16 << 10
	// messageMax is what is read at all.
	messageMax = 1 << 20
)

// Numbers of the repair.
const (
	buckets     = 16
	listMax     = 32  // entries that are listed one by one
	tailList    = 16  // newest entries that are
	splitInto   = 16  // pieces of a range that is unequal
	rangesMax   = 512 // that one message is answered for
	freshMax    = 16  // peers that came up lately
	urgentEvery = 100 * time.Millisecond
	// askAgainAfter is how long a digest's exchange waits for one that is under way.
	askAgainAfter = 250 * time.Millisecond
)

// repairer decides when a digest goes to whom.
type repairer struct {
	rng    *rand.Rand
	next   time.Time
	urgent int      // digests that follow soon
	fresh  []string // peers that came up, to be asked first
}

// restart begins a new interval somewhere in it.
func (p *repairer) restart(now time.Time) { p.next = now.Add(p.jitter(time.Second) / 2) }

// jitter is d, 20 % more or less.
func (p *repairer) jitter(d time.Duration) time.Duration {
	return time.Duration(float64(d) * (0.8 + 0.4*p.rng.Float64()))
}

// hurry makes n digests follow soon.
func (p *repairer) hurry(now time.Time, n int, within time.Duration) {
	p.urgent = max(p.urgent, n)
	if at := now.Add(time.Duration(p.rng.Int64N(int64(within)))); at.Before(p.next) {
		p.next = at
	}
}

// greet tells a peer that came up where this member's stream is, and a digest soon.
func (r *Replica) greet(st *step, s *stream) {
	if r.begun.IsZero() {
		return
	}
	b := field.Append([]byte{formatNow, msgPush}, fieldHead, appendHead(nil, r.self.node, r.self.head()))
	st.out.Send = append(st.out.Send, Message{To: s.node, Bytes: b})
	if len(r.repair.fresh) < freshMax {
		r.repair.fresh = append(r.repair.fresh, s.node)
	}
	r.repair.hurry(r.now, 3, 30*time.Millisecond)
}

// tickRepair sends a digest when it is time.
func (r *Replica) tickRepair(st *step) {
	p := &r.repair
	if r.now.Before(p.next) {
		return
	}
	every := r.cfg.Interval
	if p.urgent > 0 {
		p.urgent--
		every = min(every, urgentEvery)
	}
	p.next = r.now.Add(p.jitter(every))
	if to := r.pick(); to != "" {
		salt := p.rng.Uint32()
		sums := r.digest(salt)
		b := []byte{formatNow, msgDigest}
		b = field.AppendUint(b, fieldSalt, uint64(salt))
		b = field.Append(b, fieldBuckets, sums[:])
		b = field.Append(b, fieldHead, appendHead(nil, r.self.node, r.self.head()))
		st.out.Send = append(st.out.Send, Message{To: to, Bytes: b})
	}
}

// pick chooses a live peer: one that came up lately, else any.
func (r *Replica) pick() string {
	p := &r.repair
	for len(p.fresh) > 0 {
		i := p.rng.IntN(len(p.fresh))
		node := p.fresh[i]
		p.fresh = slices.Delete(p.fresh, i, i+1)
		if s := r.streams[node]; s != nil && s.up {
			return node
		}
	}
	if len(r.peers) == 0 {
		return ""
	}
	return r.peers[p.rng.IntN(len(r.peers))].node
}

// bucketOf spreads nodes over buckets (FNV-1a).
func bucketOf(node string) (bucket int, hash uint64) {
	h := uint64(14695981039346656037)
	for i := range len(node) {
		h = (h ^ uint64(node[i])) * 1099511628211
	}
	return int(h >> 60), h
}

// mix is the finalizer of SplitMix64.
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// digest sums up all streams. The salt makes two that happen to be equal unequal the next time.
func (r *Replica) digest(salt uint32) [buckets * 4]byte {
	var sums [buckets]uint32
	for _, s := range r.streams {
		if len(s.slots) > 0 {
			i, h := bucketOf(s.node)
			sums[i] += uint32(mix(mix(h^s.sum+uint64(len(s.slots))) + uint64(salt)))
		}
	}
	var b [buckets * 4]byte
	for i, v := range sums {
		binary.BigEndian.PutUint32(b[i*4:], v)
	}
	return b
}

// receiveDigest answers a digest with the heads where it differs.
func (r *Replica) receiveDigest(st *step, body []byte) {
	var salt uint32
	var theirs []byte
	for tag, v := range field.All(body) {
		switch tag {
		case fieldSalt:
			salt = uint32(field.Uint(v))
		case fieldBuckets:
			theirs = v
		case fieldHead:
			r.hear(st.from, v)
		}
	}
	if len(theirs) != buckets*4 {
		st.reject("", BadMessage, "a digest of %d bytes", len(theirs))
		return
	}
	ours := r.digest(salt)
	var mask uint16
	for i := range buckets {
		if [4]byte(ours[i*4:i*4+4]) != [4]byte(theirs[i*4:i*4+4]) {
			mask |= 1 << i
		}
	}
	if mask == 0 {
		return
	}
	var heads []byte
	for _, s := range r.streams {
		if i, _ := bucketOf(s.node); mask&(1<<i) != 0 && len(s.slots) > 0 {
			heads = appendHead(heads, s.node, s.head())
		}
	}
	b := field.AppendUint([]byte{formatNow, msgVector}, fieldMask, uint64(mask))
	st.send(st.from, field.Append(b, fieldHeads, heads))
}

// send sends to one peer, over a stream when it is too large for a datagram.
func (st *step) send(to string, b []byte) {
	st.out.Send = append(st.out.Send, Message{To: to, Bytes: b, Reliable: len(b) > datagramMax})
}

// receiveVector asks for what differs, by saying what is here.
func (r *Replica) receiveVector(st *step, body []byte) {
	var mask uint16
	var heads []byte
	for tag, v := range field.All(body) {
		switch tag {
		case fieldMask:
			mask = uint16(field.Uint(v))
		case fieldHeads:
			heads = v
		}
	}
	var differ []string
	listed := map[string]bool{}
	for len(heads) > 0 {
		node, h, rest, ok := takeHead(heads)
		if !ok {
			st.reject("", BadMessage, "a vector that ends too early")
			return
		}
		heads = rest
		listed[node] = true
		s := r.streams[node]
		if s == nil && dns.CheckNode(node) == nil || s != nil && !s.head().same(h) && !r.asked(s, askAgainAfter) {
			differ = append(differ, node)
		}
	}
	for _, s := range r.streams {
		if i, _ := bucketOf(s.node); mask&(1<<i) != 0 && len(s.slots) > 0 && !listed[s.node] && !r.asked(s, askAgainAfter) {
			differ = append(differ, s.node)
		}
	}
	slices.Sort(differ)
	r.sendHave(st, st.from, differ)
}

// asked says whether a stream was asked for, or told of, so shortly ago that an answer may be on its way.
func (r *Replica) asked(s *stream, ago time.Duration) bool { return r.now.Before(s.asked.Add(ago)) }

// sendHave says what is here of some streams.
func (r *Replica) sendHave(st *step, to string, nodes []string) {
	start := []byte{formatNow, msgHave}
	b := slices.Clone(start)
	for i, node := range nodes {
		if i == rangesMax {
			break // the next digest comes soon enough
		}
		b = field.AppendString(b, fieldNode, node)
		b = appendHave(b, r.streams[node])
		if s := r.streams[node]; s != nil {
			s.asked = r.now
		}
		if len(b) > chunkMax {
			st.send(to, b)
			b = slices.Clone(start)
		}
	}
	if len(b) > len(start) {
		st.send(to, b)
	}
}

// appendHave describes a stream, nil for an empty one: its newest entries one by one,
// those before in ranges that grow by four, because it is the newest that differ.
func appendHave(b []byte, s *stream) []byte {
	if s == nil {
		return appendList(b, 0, math.MaxUint64, nil)
	}
	live := alive(s.log)
	if len(live) <= listMax {
		return appendList(b, 0, math.MaxUint64, live)
	}
	cut := len(live) - tailList
	b = appendList(b, live[cut].version, math.MaxUint64, live[cut:])
	for size := tailList; cut > 0; size *= 4 {
		from := max(cut-size, 0)
		lo := live[from].version
		if from == 0 {
			lo = 0
		}
		b = appendRange(b, lo, live[cut].version-1, live[from:cut])
		cut = from
	}
	return b
}

// alive copies the entries of a log that are not gone.
func alive(log []*entry) []*entry {
	list := make([]*entry, 0, len(log))
	for _, e := range log {
		if !e.gone {
			list = append(list, e)
		}
	}
	return list
}

func appendRange(b []byte, lo, hi uint64, list []*entry) []byte {
	var sum uint64
	for _, e := range list {
		sum += e.sum()
	}
	v := make([]byte, 0, 28)
	v = binary.BigEndian.AppendUint64(v, lo)
	v = binary.BigEndian.AppendUint64(v, hi)
	v = binary.BigEndian.AppendUint64(v, sum)
	v = binary.BigEndian.AppendUint32(v, uint32(len(list)))
	return field.Append(b, fieldRange, v)
}

func appendList(b []byte, lo, hi uint64, list []*entry) []byte {
	v := make([]byte, 0, 16+8*len(list))
	v = binary.BigEndian.AppendUint64(v, lo)
	v = binary.BigEndian.AppendUint64(v, hi)
	for _, e := range list {
		v = binary.BigEndian.AppendUint64(v, e.version)
	}
	return field.Append(b, fieldList, v)
}

// answer collects what one peer is told.
type answer struct {
	entries []*entry
	bytes   int
	more    []string
	want    []byte // fields
	have    []byte
}

// add takes up an entry, unless the answer is full.
func (a *answer) add(now time.Time, e *entry) bool {
	if a.bytes+len(e.raw) > answerMax {
		if node := e.node(); !slices.Contains(a.more, node) {
			a.more = append(a.more, node)
		}
		return false
	}
	a.entries = append(a.entries, e)
	a.bytes += len(e.raw)
	if a.bytes > largeAnswer {
		e.stream.asked = now // the peer has a while to take it in
	}
	return true
}

// receiveHave answers a description of streams.
func (r *Replica) receiveHave(st *step, body []byte) {
	var a answer
	var node string
	n := 0
	for tag, v := range field.All(body) {
		switch tag {
		case fieldNode:
			node = string(v)
		case fieldRange, fieldList:
			if n++; n > rangesMax*2 || dns.CheckNode(node) != nil {
				st.reject("", BadMessage, "too much in one message")
				return
			}
			if tag == fieldRange && len(v) == 28 {
				r.compareRange(&a, node, v)
			} else if tag == fieldList && len(v) >= 16 && len(v)%8 == 0 {
				r.compareList(&a, node, v)
			}
		}
	}
	if len(a.want) > 0 {
		st.send(st.from, append([]byte{formatNow, msgWant}, a.want...))
	}
	if len(a.have) > 0 {
		st.send(st.from, append([]byte{formatNow, msgHave}, a.have...))
	}
	st.sendEntries(&a)
}

// compareList compares a range whose versions the peer listed.
func (r *Replica) compareList(a *answer, node string, v []byte) {
	lo, hi := binary.BigEndian.Uint64(v), binary.BigEndian.Uint64(v[8:])
	theirs := make(map[uint64]bool, len(v)/8)
	for w := v[16:]; len(w) > 0; w = w[8:] {
		theirs[binary.BigEndian.Uint64(w)] = true
	}
	if s := r.streams[node]; s != nil {
		for _, e := range s.span(lo, hi) {
			if !e.gone && !theirs[e.version] && !a.add(r.now, e) {
				break
			}
			delete(theirs, e.version)
		}
		for version := range theirs {
			if s.find(version) != nil {
				delete(theirs, version)
			}
		}
	}
	if len(theirs) == 0 {
		return
	}
	a.want = field.AppendString(a.want, fieldNode, node)
	var list []byte
	for _, version := range sorted(theirs) {
		list = binary.BigEndian.AppendUint64(list, version)
	}
	a.want = field.Append(a.want, fieldVersions, list)
}

func sorted(set map[uint64]bool) []uint64 {
	list := make([]uint64, 0, len(set))
	for v := range set {
		list = append(list, v)
	}
	slices.Sort(list)
	return list
}

// compareRange compares a range that the peer summed up.
func (r *Replica) compareRange(a *answer, node string, v []byte) {
	lo, hi := binary.BigEndian.Uint64(v), binary.BigEndian.Uint64(v[8:])
	sum, count := binary.BigEndian.Uint64(v[16:]), binary.BigEndian.Uint32(v[24:])
	var mine []*entry
	if s := r.streams[node]; s != nil {
		mine = alive(s.span(lo, hi))
	}
	var ours uint64
	for _, e := range mine {
		ours += e.sum()
	}
	switch {
	case uint32(len(mine)) == count && ours == sum:
	case count == 0:
		for _, e := range mine {
			if !a.add(r.now, e) {
				break
			}
		}
	case len(mine) <= listMax || lo >= hi:
		a.have = field.AppendString(a.have, fieldNode, node)
		a.have = appendList(a.have, lo, hi, mine)
	default:
		a.have = field.AppendString(a.have, fieldNode, node)
		a.have = appendPieces(a.have, lo, hi, mine)
	}
}

// appendPieces describes a range in smaller ones.
func appendPieces(b []byte, lo, hi uint64, mine []*entry) []byte {
	size := (len(mine) + splitInto - 1) / splitInto
	for at := 0; at < len(mine); at += size {
		end := min(at+size, len(mine))
		to := hi
		if end < len(mine) {
			to = mine[end].version - 1
		}
		if end-at <= tailList/4 {
			b = appendList(b, lo, to, mine[at:end])
		} else {
			b = appendRange(b, lo, to, mine[at:end])
		}
		lo = to + 1
	}
	return b
}

// receiveWant answers with the entries that a peer asks for.
func (r *Replica) receiveWant(st *step, body []byte) {
	var a answer
	var s *stream
	for tag, v := range field.All(body) {
		switch tag {
		case fieldNode:
			s = r.streams[string(v)]
		case fieldVersions:
			for ; s != nil && len(v) >= 8; v = v[8:] {
				if e := s.find(binary.BigEndian.Uint64(v)); e != nil && !a.add(r.now, e) {
					break
				}
			}
		}
	}
	st.sendEntries(&a)
}

// sendEntries sends an answer's entries: info first, because the others need it.
func (st *step) sendEntries(a *answer) {
	if len(a.entries) == 0 {
		return
	}
	slices.SortStableFunc(a.entries, func(x, y *entry) int {
		return int(min(x.kind, kindOwned)) - int(min(y.kind, kindOwned))
	})
	b := []byte{formatNow, msgEntries}
	for _, e := range a.entries {
		b = field.Append(b, fieldEntry, e.raw)
	}
	for _, node := range a.more {
		b = field.AppendString(b, fieldMore, node)
	}
	st.send(st.from, b)
}
