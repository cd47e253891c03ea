package field_test

import (
	"bytes"
	"math"
	"testing"

	"github.com/kamado/kamado/dns/field"
)

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	long := bytes.Repeat([]byte("x"), 300)
	b := field.AppendUint(nil, 1, 0)
	b = field.AppendUint(b, 2, math.MaxUint64)
	b = field.AppendString(b, 3, "web")
	b = field.Append(b, 200, long)
	if err := field.Check(b); err != nil {
		t.Fatal(err)
	}
	got := map[byte][]byte{}
	for tag, v := range field.All(b) {
		got[tag] = v
	}
	if field.Uint(got[1]) != 0 || field.Uint(got[2]) != math.MaxUint64 || string(got[3]) != "web" || !bytes.Equal(got[200], long) {
		t.Errorf("All = %v", got)
	}
	for n := 1; n < len(b); n++ {
		if field.Check(b[:n]) == nil && n != 2 && n != 12 && n != 17 {
			t.Errorf("Check of the first %d bytes = nil", n)
		}
	}
}

// FuzzFields wants that whatever is whole reads to the end, and writes to what reads the same.
func FuzzFields(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{1, 0, 2, 1, 9})
	f.Add([]byte{1, 0x80, 0})
	f.Add([]byte{1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		if field.Check(b) != nil {
			return
		}
		var out []byte
		for tag, v := range field.All(b) {
			out = field.Append(out, tag, v)
		}
		if len(out) > len(b) || field.Check(out) != nil {
			t.Errorf("%x was written as %x", b, out)
		}
	})
}
