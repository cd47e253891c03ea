package gateway

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/gobwas/ws"
)

// taken writes down what a stream of WebSocket bytes is, when it comes in pieces of so many bytes.
func taken(b []byte, piece int) string {
	b = bytes.Clone(b)
	var w wsInput
	var out, message bytes.Buffer
	for len(b) > 0 {
		p := b[:min(piece, len(b))]
		b = b[len(p):]
		for len(p) > 0 {
			rest, data, end, op, err := w.next(p)
			if err != nil {
				fmt.Fprintf(&out, "error %v", err)
				return out.String()
			}
			if op != 0 {
				fmt.Fprintf(&out, "control %d %x\n", op, data)
			} else {
				message.Write(data)
			}
			if end {
				fmt.Fprintf(&out, "message %x\n", message.Bytes())
				message.Reset()
			}
			p = rest
		}
	}
	fmt.Fprintf(&out, "open %x", message.Bytes())
	return out.String()
}

// judged is what package ws reads of the same bytes; ok is false when it is not our protocol.
func judged(b []byte) (out string, ok bool) {
	r := bytes.NewReader(b)
	var message bytes.Buffer
	var said bytes.Buffer
	open := false
	for {
		before := r.Len()
		h, err := ws.ReadHeader(r)
		if err != nil || h.Length > int64(r.Len()) {
			return said.String(), err == nil || r.Len() == 0
		}
		state := ws.StateServerSide
		if open {
			state |= ws.StateFragmented
		}
		long := h.OpCode.IsControl() && before-r.Len() != ws.HeaderSize(h) // a short length with many bytes: package ws lets it pass
		if ws.CheckHeader(h, state) != nil || h.OpCode == ws.OpText || long {
			return said.String(), false
		}
		data := make([]byte, h.Length)
		r.Read(data) //nolint:errcheck // from memory
		ws.Cipher(data, h.Mask, 0)
		if h.OpCode.IsControl() {
			fmt.Fprintf(&said, "control %d %x\n", h.OpCode, data)
			continue
		}
		open = !h.Fin
		message.Write(data)
		if h.Fin {
			fmt.Fprintf(&said, "message %x\n", message.Bytes())
			message.Reset()
		}
	}
}

// FuzzWebSocket holds that it does not matter in which pieces bytes come, and that what is taken is what package ws reads.
func FuzzWebSocket(f *testing.F) {
	frame := func(op ws.OpCode, fin bool, b string) []byte {
		var out bytes.Buffer
		ws.WriteHeader(&out, ws.Header{Fin: fin, OpCode: op, Masked: true, Mask: [4]byte{9, 8, 7, 6}, Length: int64(len(b))}) //nolint:errcheck // to memory
		data := []byte(b)
		ws.Cipher(data, [4]byte{9, 8, 7, 6}, 0)
		return append(out.Bytes(), data...)
	}
	f.Add(append(append(frame(ws.OpBinary, false, "one"), frame(ws.OpPing, true, "ping")...), frame(ws.OpContinuation, true, " two")...))
	f.Add(append(frame(ws.OpBinary, true, string(make([]byte, 300))), frame(ws.OpClose, true, "\x03\xe8")...))
	f.Add(append(frame(ws.OpBinary, true, ""), frame(ws.OpPong, true, "")...))
	f.Add([]byte{0x82, 0xff, 0, 0, 0, 0, 0, 0, 0, 3, 1, 2, 3, 4, 5, 6, 7})
	f.Add(frame(ws.OpText, true, "text"))
	f.Fuzz(func(t *testing.T, b []byte) {
		whole := taken(b, len(b)+1)
		for _, piece := range []int{1, 3, 7} {
			if got := taken(b, piece); got != whole {
				t.Errorf("in pieces of %d:\n%s\nas a whole:\n%s", piece, got, whole)
			}
		}
		if want, ok := judged(b); !bytes.HasPrefix([]byte(whole), []byte(want)) && ok {
			t.Errorf("taken:\n%s\nwant:\n%s", whole, want)
		}
	})
}
