package unit_test

import (
	"testing"

	"github.com/kamado/kamado/internal/unit"
)

func TestParseBytes(t *testing.T) {
	for in, want := range map[string]unit.Bytes{
		"0": 0, "512": 512, "512B": 512, "64KiB": 64 << 10, "64k": 64 << 10, "64 MiB": 64 << 20, "1.5GiB": 3 << 29,
		"1kB": 1000, "2MB": 2e6, "3gb": 3e9, "1TiB": unit.TiB, "9223372036854775807": 1<<63 - 1,
	} {
		got, err := unit.ParseBytes(in)
		if err != nil || got != want {
			t.Errorf("ParseBytes(%q) = %d, %v, want %d", in, got, err, want)
		}
	}
	for _, in := range []string{"", "B", "KiB", "-1", "-1.5K", "1e9", "0x10", "inf", "nan", "9223372036854775808", "9000000TiB", "9e9TiB", "1_000", "5 apples"} {
		if got, err := unit.ParseBytes(in); err == nil {
			t.Errorf("ParseBytes(%q) = %d, want an error", in, got)
		}
	}
}

func TestStringIsReadBack(t *testing.T) {
	for want, b := range map[string]unit.Bytes{"0": 0, "1000": 1000, "64KiB": 64 * unit.KiB, "1537KiB": 1537 * unit.KiB, "3GiB": 3 * unit.GiB} {
		if got := b.String(); got != want {
			t.Errorf("Bytes(%d).String() = %q, want %q", int64(b), got, want)
		}
		var back unit.Bytes
		if err := back.UnmarshalText([]byte(b.String())); err != nil || back != b {
			t.Errorf("%q is read back as %d, %v, want %d", b.String(), int64(back), err, int64(b))
		}
	}
}

func FuzzParseBytes(f *testing.F) {
	for _, s := range []string{"64KiB", "1.5GB", "18446744073709551615TiB", ".5k", "B"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		b, err := unit.ParseBytes(s)
		if err != nil {
			return
		}
		if b < 0 {
			t.Fatalf("ParseBytes(%q) = %d, want no negative size", s, int64(b))
		}
		if back, err := unit.ParseBytes(b.String()); err != nil || back != b {
			t.Fatalf("ParseBytes(%q) = %d, %v after ParseBytes(%q) = %d", b.String(), int64(back), err, s, int64(b))
		}
	})
}
