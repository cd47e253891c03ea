package segment

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
	"unicode/utf8"
)

// Event is something that happened in a room.
type Event struct {
	Time      time.Time // of the happening; kept in nanoseconds since 1970, UTC
	Room      string    // images, dns, game, compute, or kamado for the house itself
	Type      string    // what happened: "operator.denied"
	Subject   string    // to what: a key, a name, an instance
	RequestID string    // of the request that caused it, or empty
	Actor     string    // who caused it, or empty

	// Attributes say the rest. The map belongs to the log once the event was given to it.
	Attributes map[string]string
}

// Bounds of an event. Unit: bytes, but for AttributesMax.
const (
	RoomBytesMax   = 32
	FieldBytesMax  = 4096
	AttributesMax  = 64
	RecordBytesMax = 64 << 10 // of the payload
)

// ErrInvalid: the event breaks a bound and cannot be kept.
var ErrInvalid = errors.New("invalid event")

// Check says whether an event can be kept: Room of a-z, 0-9 and "-" (it becomes
// part of a file name), a Type, a time between 1970 and 2262, UTF-8 and bounds.
func (e *Event) Check() error {
	if e.Room == "" || len(e.Room) > RoomBytesMax {
		return fmt.Errorf("%w: room %.40q", ErrInvalid, e.Room)
	}
	for _, c := range []byte(e.Room) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return fmt.Errorf("%w: room %q", ErrInvalid, e.Room)
		}
	}
	if e.Type == "" {
		return fmt.Errorf("%w: no type", ErrInvalid)
	}
	if y := e.Time.UTC().Year(); y < 1970 || y >= 2262 {
		return fmt.Errorf("%w: time %v", ErrInvalid, e.Time)
	}
	for _, f := range [...]string{e.Type, e.Subject, e.RequestID, e.Actor} {
		if len(f) > FieldBytesMax || !utf8.ValidString(f) {
			return fmt.Errorf("%w: field of %d bytes %.40q", ErrInvalid, len(f), f)
		}
	}
	if len(e.Attributes) > AttributesMax {
		return fmt.Errorf("%w: %d attributes", ErrInvalid, len(e.Attributes))
	}
	for k, v := range e.Attributes {
		if k == "" || len(k) > FieldBytesMax || len(v) > RecordBytesMax || !utf8.ValidString(k) || !utf8.ValidString(v) {
			return fmt.Errorf("%w: attribute %.40q", ErrInvalid, k)
		}
	}
	if n := e.payloadBytes(); n > RecordBytesMax {
		return fmt.Errorf("%w: %d bytes, limit %d", ErrInvalid, n, RecordBytesMax)
	}
	return nil
}

// payloadBytes is an upper bound of the payload.
func (e *Event) payloadBytes() int {
	const lengthBytes = 3 // uvarint of a length up to RecordBytesMax
	n := 8 + 6*lengthBytes + len(e.Room) + len(e.Type) + len(e.Subject) + len(e.RequestID) + len(e.Actor)
	for k, v := range e.Attributes {
		n += 2*lengthBytes + len(k) + len(v)
	}
	return n
}

// appendPayload appends the event. Attributes go in key order, so that equal
// events give equal bytes.
func (e *Event) appendPayload(b []byte) []byte {
	b = binary.LittleEndian.AppendUint64(b, uint64(e.Time.UnixNano()))
	for _, f := range [...]string{e.Room, e.Type, e.Subject, e.RequestID, e.Actor} {
		b = appendString(b, f)
	}
	b = binary.AppendUvarint(b, uint64(len(e.Attributes)))
	for _, k := range slices.Sorted(maps.Keys(e.Attributes)) {
		b = appendString(b, k)
		b = appendString(b, e.Attributes[k])
	}
	return b
}

func appendString(b []byte, s string) []byte {
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}

// parsePayload is the inverse of appendPayload; what it accepts passes Check.
func parsePayload(b []byte) (Event, error) {
	if len(b) < 8 {
		return Event{}, fmt.Errorf("%w: %d bytes", ErrInvalid, len(b))
	}
	e := Event{Time: time.Unix(0, int64(binary.LittleEndian.Uint64(b))).UTC()}
	c := cursor{b: string(b[8:])} // one piece of memory, of which all fields are parts
	for _, f := range [...]*string{&e.Room, &e.Type, &e.Subject, &e.RequestID, &e.Actor} {
		*f = c.text()
	}
	n := c.number()
	if n > AttributesMax {
		return Event{}, fmt.Errorf("%w: %d attributes", ErrInvalid, n)
	}
	if n > 0 {
		e.Attributes = make(map[string]string, n)
	}
	last := ""
	for range n {
		k := c.text()
		if k <= last {
			c.bad = true // out of order, twice, or empty
			break
		}
		e.Attributes[k] = c.text()
		last = k
	}
	if c.bad || len(c.b) > 0 {
		return Event{}, fmt.Errorf("%w: fields do not fill the record", ErrInvalid)
	}
	return e, e.Check()
}

// cursor reads fields; after the first one that does not fit it is bad and
// gives zeros.
type cursor struct {
	b   string
	bad bool
}

func (c *cursor) number() uint64 {
	n, size := uvarint(c.b)
	if size <= 0 {
		c.bad = true
		return 0
	}
	c.b = c.b[size:]
	return n
}

// uvarint is binary.Uvarint of a string.
func uvarint(s string) (n uint64, size int) {
	var b [binary.MaxVarintLen64]byte
	return binary.Uvarint(b[:copy(b[:], s)])
}

func (c *cursor) text() string {
	n := c.number()
	if n > uint64(len(c.b)) {
		c.bad = true
		return ""
	}
	s := c.b[:n]
	c.b = c.b[n:]
	return s
}
