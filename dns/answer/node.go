package answer

import (
	"sync/atomic"
	"unsafe"

	"github.com/kamado/kamado/dns"
)

// entry is a name of a zone.
type entry struct {
	// node is what the name has; nil for a name that only lies above others (an empty non-terminal, RFC 4592 2.2.2).
	node atomic.Pointer[node]
	// below is to whom names below this one exist.
	below atomic.Uint64

	// For the writer: how many names below exist to everybody, and to each view.
	public int32
	viewed map[int]int32
}

// seen says whether the name exists for clients with a mask; n is what its node was when it was looked at.
func (e *entry) seen(n *node, mask presence) bool {
	return n != nil && n.own&mask != 0 || presence(e.below.Load())&mask != 0
}

// node is what one name has, for the clients of one class. Never changed.
type node struct {
	own  presence
	kind nodeKind
	sets []rrset
	// variants are the nodes of the classes, when they differ; then sets is empty.
	variants []*node
}

// singleBytes is how long the records of a node can be that has one short set: two
// IPv4 addresses, or one of IPv6.
const singleBytes = 32

// single makes a node of one short set that lies in memory in one piece: most do,
// and ways to memory are most of what an answer costs.
func single(own presence, s rrset, wire []byte) *node {
	piece := &struct {
		node
		set  [1]rrset
		wire [singleBytes]byte
	}{node: node{own: own}, set: [1]rrset{s}}
	if n := copy(piece.wire[:], wire); n > 0 {
		piece.set[0].wire = unsafe.String(&piece.wire[0], n) // never changed from now on
	}
	piece.sets = piece.set[:]
	return &piece.node
}

// nodeKind tells names at which the search for others ends.
type nodeKind uint8

const (
	kindCut   nodeKind = 1 << iota // NS below the apex: a delegation
	kindDNAME                      // RFC 6672
)

// of is the node for a class.
func (n *node) of(class int) *node {
	if n == nil || n.variants == nil {
		return n
	}
	return n.variants[class]
}

// set finds the records of a type.
func (n *node) set(t dns.Type) *rrset {
	for i := range n.sets {
		if n.sets[i].typ == t {
			return &n.sets[i]
		}
	}
	return nil
}

// rrset is the records of one type that may be answered, in wire form. Never changed.
type rrset struct {
	typ     dns.Type
	balance dns.Balance
	// code is the extended error that goes with the answer: none, codeStale or codeNotReady.
	code extended
	// most records are answered; 0: all of them, as they are.
	most uint8
	// named says that the data ends in a name whose address belongs into the additional section.
	named bool
	// count is how many records there are, first of how many of those are in the first rank.
	count, first uint16
	// stride is the bytes of each record when all are equally long, else 0.
	stride uint16
	// wire is the records, each: owner (2 bytes, a pointer to the question), type, class, TTL, length, data. Where
	// the data ends in a pointer to the zone's apex, its bit in packed is set; only the first 64 records can be so.
	wire   string
	packed uint64
	more   *weights
}

// weights is what balancing needs beside the records. Slices are empty or have count elements.
type weights struct {
	ends    []uint32 // of the records in wire, when they are not equally long
	weight  []uint32 // when they differ
	hash    []uint64 // of owner and data, for Rendezvous; the same on all members
	place   []uint16 // number of the location's label, for Nearest; 0: none
	rtt     []uint32 // microseconds, for Nearest; 0: not known
	sources []string // addresses of clients in order, 4 or 16 bytes, for FixBySource
}

// rr is the i-th record.
func (s *rrset) rr(i int) string {
	if s.stride > 0 {
		return s.wire[i*int(s.stride):][:s.stride]
	}
	start := uint32(0)
	if i > 0 {
		start = s.more.ends[i-1]
	}
	return s.wire[start:s.more.ends[i]]
}

// isPacked says whether record i ends in a pointer to the apex.
func (s *rrset) isPacked(i int) bool { return i < 64 && s.packed>>i&1 != 0 }

// Offsets in a record whose owner is a pointer.
const (
	rrData   = 12 // of the data
	rrLength = 10 // of the data's length
	rrTTL    = 6
)
