// Package field is the one form in which the room writes structured bytes: a row
// of fields, each a tag of one byte, a length and so many bytes. Readers pass over
// tags they do not know, so that an older member can read what a newer one wrote;
// whoever signs, signs the bytes, so that passing them on keeps unknown fields.
//
//	offset  width  what
//	0       1      tag
//	1       1..5   length of the value, unsigned LEB128
//	…       n      value
//
// It is no serializer of Go values: each package writes and reads its own fields.
package field

import (
	"encoding/binary"
	"errors"
	"iter"
)

// ErrShort is said of bytes that end within a field.
var ErrShort = errors.New("fields end too early")

// Append appends a field.
func Append(b []byte, tag byte, value []byte) []byte {
	b = append(b, tag)
	b = binary.AppendUvarint(b, uint64(len(value)))
	return append(b, value...)
}

// AppendString appends a field with text.
func AppendString(b []byte, tag byte, value string) []byte {
	b = append(b, tag)
	b = binary.AppendUvarint(b, uint64(len(value)))
	return append(b, value...)
}

// AppendUint appends a field with a number, in as few bytes as it needs, the high ones first.
func AppendUint(b []byte, tag byte, value uint64) []byte {
	n := 0
	for v := value; v != 0; v >>= 8 {
		n++
	}
	b = append(b, tag, byte(n))
	for n--; n >= 0; n-- {
		b = append(b, byte(value>>(8*n)))
	}
	return b
}

// Uint reads the value of a field with a number. More than eight bytes give their low ones.
func Uint(value []byte) uint64 {
	var v uint64
	for _, c := range value {
		v = v<<8 | uint64(c)
	}
	return v
}

// Next takes the first field off b.
func Next(b []byte) (tag byte, value, rest []byte, err error) {
	if len(b) < 2 {
		return 0, nil, nil, ErrShort
	}
	n, used := binary.Uvarint(b[1:])
	if used <= 0 || n > uint64(len(b)-1-used) {
		return 0, nil, nil, ErrShort
	}
	at := 1 + used
	return b[0], b[at : at+int(n) : at+int(n)], b[at+int(n):], nil
}

// All gives the fields of b in order, as slices of it. A third of an iteration's values cannot
// carry an error, so call Check first.
func All(b []byte) iter.Seq2[byte, []byte] {
	return func(yield func(byte, []byte) bool) {
		for len(b) > 0 {
			tag, value, rest, err := Next(b)
			if err != nil || !yield(tag, value) {
				return
			}
			b = rest
		}
	}
}

// Check says whether b is whole fields.
func Check(b []byte) error {
	for len(b) > 0 {
		_, _, rest, err := Next(b)
		if err != nil {
			return err
		}
		b = rest
	}
	return nil
}
