package game

import (
	"fmt"
	"strconv"
)

// UID names a user for ever: 1 to 2^63-1. It is never given twice. In JSON it is a
// text of decimal digits, since JavaScript's numbers end at 2^53.
type UID uint64

// UIDMax is the greatest UID: one that a signed 64-bit column can hold.
const UIDMax UID = 1<<63 - 1

func (u UID) String() string { return strconv.FormatUint(uint64(u), 10) }

// ParseUID reads decimal digits without sign or leading zeros.
func ParseUID(text string) (UID, error) {
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil || n == 0 || UID(n) > UIDMax || text[0] == '0' || text[0] == '+' {
		return 0, Errorf(Invalid, "%.40q is no user id: want decimal digits, 1 to %d", text, UIDMax)
	}
	return UID(n), nil
}

// MarshalText makes JSON of it a text.
func (u UID) MarshalText() ([]byte, error) { return strconv.AppendUint(nil, uint64(u), 10), nil }

// UnmarshalText reads what MarshalText wrote.
func (u *UID) UnmarshalText(text []byte) error {
	v, err := ParseUID(string(text))
	if err != nil {
		return fmt.Errorf("uid: %w", err)
	}
	*u = v
	return nil
}

// UnmarshalJSON reads a text of digits, or, from clients that know no better, a number.
func (u *UID) UnmarshalJSON(b []byte) error {
	if len(b) > 1 && b[0] == '"' {
		b = b[1 : len(b)-1]
	}
	return u.UnmarshalText(b)
}
