package images

import (
	"encoding/hex"
	"fmt"
)

// Color is an sRGB colour, opaque.
type Color struct{ R, G, B uint8 }

// White is the background where none is named.
var White = Color{255, 255, 255}

// String is six lower-case hex digits, without a number sign: "ff8800".
func (c Color) String() string { return hex.EncodeToString([]byte{c.R, c.G, c.B}) }

// ParseColor is the inverse of String. Only the canonical spelling is a colour.
func ParseColor(s string) (Color, bool) {
	var rgb [3]byte
	if len(s) != 6 {
		return Color{}, false
	}
	if _, err := hex.Decode(rgb[:], []byte(s)); err != nil {
		return Color{}, false
	}
	c := Color{rgb[0], rgb[1], rgb[2]}
	return c, c.String() == s
}

// MarshalText is String.
func (c Color) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText is ParseColor.
func (c *Color) UnmarshalText(text []byte) error {
	v, ok := ParseColor(string(text))
	if !ok {
		return fmt.Errorf("%q is not a colour of six lower-case hex digits such as ff8800", text)
	}
	*c = v
	return nil
}
