package replica

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"slices"
	"time"

	"github.com/kamado/kamado/dns"
)

// stream is what one member said and still says.
type stream struct {
	node  string
	slots map[slotID]*entry
	// log has the entries by version, those that are gone among them until there are many.
	log  []*entry
	gone int    // of log
	sum  uint64 // of the entries' sums
	max  uint64 // greatest version that was ever held
	// keys are those that certificates of the member name, the current one first, then by age.
	keys []memberKey

	up    bool
	down  bool // somebody reported it down since the start: the grace is over
	left  bool // it said goodbye
	bye   bool // it left gossip
	live  bool // its records may be answered; see Replica.judge
	stale bool // dead for longer than LifetimeAfterDeath: its records are not shown
	since time.Time
	rtt   time.Duration
	info  dns.Info
	owned int // records

	heard   head // what it said of itself last
	heardAt time.Time
	pull    pull
	asked   time.Time // when somebody was asked for it, or told much of it, last
}

// memberKey is a key of a member with its newest certificate.
type memberKey struct {
	id    keyID
	cert  dns.Certificate
	entry *entry
}

// keysMax bounds the keys of one member: the current one, and former ones whose shared entries still count.
const keysMax = 4

// head sums up a stream; equal heads are equal streams.
type head struct {
	max   uint64
	count uint32
	sum   uint64
}

func (h head) same(o head) bool { return h.count == o.count && h.sum == o.sum }

// pull is the asking of a member for what its head has and this member has not.
type pull struct {
	at    time.Time // zero: nothing to ask
	tries int
}

func (s *stream) head() head { return head{max: s.max, count: uint32(len(s.slots)), sum: s.sum} }

// cert is the newest certificate; nil of a stream without any.
func (s *stream) cert() *dns.Certificate {
	if len(s.keys) == 0 {
		return nil
	}
	return &s.keys[0].cert
}

func (s *stream) key(id keyID) *memberKey {
	for i := range s.keys {
		if s.keys[i].id == id {
			return &s.keys[i]
		}
	}
	return nil
}

// newer orders certificates: by time of issue, then by key, so that all members choose alike.
func newer(a, b dns.Certificate) int {
	return cmp.Or(b.Issued.Compare(a.Issued), bytes.Compare(b.Key, a.Key))
}

// put makes e the entry of its slot and gives the one that was there.
func (s *stream) put(e *entry) (old *entry) {
	slot := e.slot()
	if old = s.slots[slot]; old != nil {
		s.forget(old)
	}
	s.slots[slot] = e
	s.sum += e.sum()
	s.max = max(s.max, e.version)
	if n := len(s.log); n == 0 || s.log[n-1].version < e.version {
		s.log = append(s.log, e)
	} else {
		s.log = slices.Insert(s.log, s.after(e.version), e)
	}
	return old
}

// drop takes e out of its slot.
func (s *stream) drop(e *entry) {
	delete(s.slots, e.slot())
	s.forget(e)
}

func (s *stream) forget(e *entry) {
	s.sum -= e.sum()
	e.gone = true
	if s.gone++; s.gone > 32 && s.gone > len(s.log)/2 {
		s.log = slices.DeleteFunc(s.log, func(e *entry) bool { return e.gone })
		s.gone = 0
	}
}

// after is the place in the log behind all versions up to v.
func (s *stream) after(v uint64) int {
	i, _ := slices.BinarySearchFunc(s.log, v, func(e *entry, v uint64) int {
		if e.version <= v {
			return -1
		}
		return 1
	})
	return i
}

// span gives the entries with versions from lo to hi, as part of the log: some may be gone.
func (s *stream) span(lo, hi uint64) []*entry {
	from := 0
	if lo > 0 {
		from = s.after(lo - 1)
	}
	return s.log[from:max(from, s.after(hi))]
}

// find gives the entry of a version.
func (s *stream) find(v uint64) *entry {
	for _, e := range s.span(v, v) {
		if !e.gone {
			return e
		}
	}
	return nil
}

// Head in a message: length of node, node, version (8), sum (8), count (4).
func appendHead(b []byte, node string, h head) []byte {
	b = append(b, byte(len(node)))
	b = append(b, node...)
	b = binary.BigEndian.AppendUint64(b, h.max)
	b = binary.BigEndian.AppendUint64(b, h.sum)
	return binary.BigEndian.AppendUint32(b, h.count)
}

func takeHead(b []byte) (node string, h head, rest []byte, ok bool) {
	node, b, ok = takeNode(b)
	if !ok || len(b) < 20 {
		return "", head{}, nil, false
	}
	h = head{max: binary.BigEndian.Uint64(b), sum: binary.BigEndian.Uint64(b[8:]), count: binary.BigEndian.Uint32(b[16:])}
	return node, h, b[20:], true
}

func takeNode(b []byte) (node string, rest []byte, ok bool) {
	if len(b) < 1 || len(b) < 1+int(b[0]) || b[0] > dns.NodeBytesMax {
		return "", nil, false
	}
	return string(b[1 : 1+b[0]]), b[1+b[0]:], true
}
