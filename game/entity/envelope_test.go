package entity

import (
	"bytes"
	"testing"
)

func TestEnvelopeHasItsForm(t *testing.T) {
	e := envelope{deleted: true, id: writeID{0: 0xaa, 15: 0xbb}, fence: 300, kind: "a/b", value: []byte("v")}
	want := append([]byte{1, 1, 0xaa}, make([]byte, 14)...)
	want = append(want, 0xbb, 0xac, 0x02, 3, 'a', '/', 'b', 'v')
	if got := e.encode(); !bytes.Equal(got, want) {
		t.Errorf("encode = %x, want %x", got, want)
	}
	for i := range headBytes + 6 {
		if _, err := decode(want[:i]); err == nil && i < headBytes+6 {
			t.Errorf("decode of %d bytes succeeds", i)
		}
	}
	if _, err := decode(append([]byte{2}, want[1:]...)); err == nil {
		t.Error("a later form is read")
	}
}

func FuzzDecode(f *testing.F) {
	e := envelope{fence: 7, kind: "text/plain", value: []byte("hat")}
	f.Add(e.encode())
	f.Add([]byte{1, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := decode(b)
		if err != nil {
			return
		}
		again, err := decode(e.encode())
		if err != nil || again.id != e.id || again.fence != e.fence || again.kind != e.kind || !bytes.Equal(again.value, e.value) {
			t.Errorf("%x became %+v, then %+v (%v)", b, e, again, err)
		}
	})
}
