// Package unit holds the measures that settings are written in, so that a number never travels without its unit.
//
// Bytes is an amount of data, spelled "512", "64KiB" or "1.5GB" in files, variables and flags. It is a vocabulary: it
// depends on nothing but the standard library, and any package may use it.
package unit

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Bytes is a size of data. It is never negative when it was parsed.
type Bytes int64

// The sizes in powers of two that code writes its defaults with.
const (
	KiB Bytes = 1 << 10
	MiB Bytes = 1 << 20
	GiB Bytes = 1 << 30
	TiB Bytes = 1 << 40
)

// units are the suffixes Parse knows, largest binary first: String uses the first binary one that divides the size.
var units = []struct {
	name string
	size int64
}{
	{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10},
	{"TB", 1e12}, {"GB", 1e9}, {"MB", 1e6}, {"kB", 1e3},
	{"T", 1 << 40}, {"G", 1 << 30}, {"M", 1 << 20}, {"K", 1 << 10},
	{"B", 1},
}

// ParseBytes reads a size: a decimal number, then optionally a unit. KiB, MiB, GiB, TiB (or K, M, G, T) are powers of
// 1024; kB, MB, GB, TB are powers of 1000; no unit, or B, is bytes. Case does not matter.
func ParseBytes(s string) (Bytes, error) {
	text := strings.TrimSpace(s)
	size := int64(1)
	for _, u := range units {
		if n := len(text) - len(u.name); n > 0 && strings.EqualFold(text[n:], u.name) {
			text, size = strings.TrimSpace(text[:n]), u.size
			break
		}
	}
	if n, err := strconv.ParseUint(text, 10, 63); err == nil {
		if n > math.MaxInt64/uint64(size) {
			return 0, fmt.Errorf("size %q is larger than can be counted", s)
		}
		return Bytes(int64(n) * size), nil
	}
	if strings.ContainsAny(text, "eExXpPiInN_") { // what ParseFloat knows beyond digits and a point
		return 0, badSize(s)
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || f < 0 {
		return 0, badSize(s)
	}
	if f*float64(size) >= math.MaxInt64 {
		return 0, fmt.Errorf("size %q is larger than can be counted", s)
	}
	return Bytes(f * float64(size)), nil
}

func badSize(s string) error {
	return fmt.Errorf("size %q is not a number with a unit such as 512, 64KiB or 1.5GB", s)
}

// String is the exact spelling with the largest binary unit that divides the size: "64MiB", "1000".
func (b Bytes) String() string {
	for _, u := range units[:4] {
		if b != 0 && int64(b)%u.size == 0 {
			return strconv.FormatInt(int64(b)/u.size, 10) + u.name
		}
	}
	return strconv.FormatInt(int64(b), 10)
}

// MarshalText is String.
func (b Bytes) MarshalText() ([]byte, error) { return []byte(b.String()), nil }

// UnmarshalText is ParseBytes.
func (b *Bytes) UnmarshalText(text []byte) error {
	v, err := ParseBytes(string(text))
	if err != nil {
		return err
	}
	*b = v
	return nil
}
