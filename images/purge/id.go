package purge

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// ID names an order and gives it its place in time. IDs are unique in the
// fleet, because a node draws a new name suffix whenever it starts, and counts
// from there. So a directory that was copied or restored repeats none.
type ID struct {
	// Time is when the order was given: microseconds since 1970. It is a hybrid
	// clock: later than every order that the node had seen, whatever its clock
	// said, so that a restore is younger than the takedown it answers.
	Time    int64
	Node    string // "a.0123456789ab": the node's name and what was drawn at its start
	Counter uint64 // of that node, from 1 without a gap
}

// Bounds of an ID.
const (
	nodeBytesMax = 80
	suffixBytes  = 6 // drawn at each start, in hexadecimal
	// timeMax is the year 2200: a clock beyond it is broken, and the hybrid
	// clock must not run out of numbers. Unit: microseconds.
	timeMax = 7_258_118_400_000_000
)

// Compare orders by time; ties by node and counter, the same everywhere.
func (id ID) Compare(o ID) int {
	return cmp.Or(cmp.Compare(id.Time, o.Time), strings.Compare(id.Node, o.Node), cmp.Compare(id.Counter, o.Counter))
}

// IsZero says whether this is no ID.
func (id ID) IsZero() bool { return id == ID{} }

// When is the time of the order.
func (id ID) When() time.Time { return time.UnixMicro(id.Time).UTC() }

// String is the ID in its one spelling, which sorts like the ID as long as
// nodes and counters differ: 14 hex digits of the time, the node, the counter.
func (id ID) String() string {
	if id.IsZero() {
		return ""
	}
	return fmt.Sprintf("%014x-%s-%d", id.Time, id.Node, id.Counter)
}

// ParseID reads what String wrote.
func ParseID(s string) (ID, error) {
	bad := func() (ID, error) { return ID{}, fmt.Errorf("%.100q is not the id of an order", s) }
	hexTime, rest, ok := strings.Cut(s, "-")
	i := strings.LastIndexByte(rest, '-')
	if !ok || i < 0 || len(hexTime) != 14 {
		return bad()
	}
	t, err := strconv.ParseInt(hexTime, 16, 64)
	if err != nil {
		return bad()
	}
	n, err := strconv.ParseUint(rest[i+1:], 10, 64)
	if err != nil {
		return bad()
	}
	id := ID{t, rest[:i], n}
	if id.validate() != nil || id.String() != s {
		return bad()
	}
	return id, nil
}

func (id ID) validate() error {
	if id.Time <= 0 || id.Time > timeMax || id.Counter == 0 || !validNode(id.Node) {
		return fmt.Errorf("id %.20q, %d, %d of an order is out of range", id.Node, id.Time, id.Counter)
	}
	return nil
}

// MarshalText implements encoding.TextMarshaler.
func (id ID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler; an empty text is no ID.
func (id *ID) UnmarshalText(b []byte) (err error) {
	if len(b) == 0 {
		*id = ID{}
		return nil
	}
	*id, err = ParseID(string(b))
	return err
}

// roles of an ID in a stamp.
const (
	roleOrder = 'o'
	roleFloor = 'f'
)

// mark is what an ID gives to a stamp: 8 bytes of the SHA-256 of the role, time
// and counter (8 bytes each, the highest first), and the node. All nodes make
// the same of it; a change here is a purge of everything.
func (id ID) mark(role byte) uint64 {
	var room [1 + 8 + 8 + nodeBytesMax]byte
	b := append(room[:0], role)
	b = binary.BigEndian.AppendUint64(b, uint64(id.Time))
	b = binary.BigEndian.AppendUint64(b, id.Counter)
	b = append(b, id.Node...)
	sum := sha256.Sum256(b)
	return binary.BigEndian.Uint64(sum[:])
}

func stampOf(mark uint64) string {
	if mark == 0 {
		return ""
	}
	var b [8]byte
	var text [16]byte
	binary.BigEndian.PutUint64(b[:], mark)
	hex.Encode(text[:], b[:])
	return string(text[:])
}

// ValidNodeName says whether s can be the name of a node: 1 to 64 of a-z, A-Z,
// 0-9, dot, hyphen and underscore.
func ValidNodeName(s string) bool {
	return len(s) <= nodeBytesMax-2*suffixBytes-1 && validNode(s)
}

func validNode(s string) bool {
	if len(s) == 0 || len(s) > nodeBytesMax {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '.' || c == '-' || c == '_') {
			return false
		}
	}
	return true
}
