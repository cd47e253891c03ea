package server

import (
	"bytes"
	"testing"

	"github.com/kamado/kamado/internal/kv"
)

// FuzzUndump: no bytes break the reader of a copy of entities, and what it takes has good keys.
func FuzzUndump(f *testing.F) {
	whole := []byte(dumpHead + "\x02\x01\x03u1ahat\x00\x00\x00\x00\x00\x00\x00\x00\x01")
	f.Add(whole)
	f.Add(whole[:len(whole)-1])
	f.Add([]byte(dumpHead))
	f.Fuzz(func(t *testing.T, b []byte) {
		n := int64(0)
		count, err := undump(bytes.NewReader(b), func(k kv.Key, _ []byte) error {
			n++
			return k.Check()
		})
		if count != n {
			t.Errorf("%d values were given, %d are counted (%v)", n, count, err)
		}
	})
}

func TestUndumpReadsToTheEnd(t *testing.T) {
	t.Parallel()
	whole := []byte(dumpHead + "\x02\x01\x03u1ahat\x00\x00\x00\x00\x00\x00\x00\x00\x01")
	nothing := func(kv.Key, []byte) error { return nil }
	if n, err := undump(bytes.NewReader(whole), nothing); n != 1 || err != nil {
		t.Fatalf("undump = %d, %v", n, err)
	}
	for i := range whole {
		if _, err := undump(bytes.NewReader(whole[:i]), nothing); err == nil {
			t.Errorf("the first %d bytes of %d are taken for whole", i, len(whole))
		}
	}
	if _, err := undump(bytes.NewReader(append(whole, 0)), nothing); err == nil {
		t.Error("something behind the end is not seen")
	}
}
