package bench

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/gobwas/ws"
	"golang.org/x/sys/unix"
)

func closeFD(t *testing.T, fd int) {
	t.Helper()
	if err := unix.Close(fd); err != nil {
		t.Error(err)
	}
}

// TestFramesAreWebSocket wants frames that a library reads, and reads what the library writes, cut anywhere.
func TestFramesAreWebSocket(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, 125, 126, 65535, 65536} {
		payload := bytes.Repeat([]byte("k"), n)
		r := bytes.NewReader(appendFrame(nil, frameBinary, payload, 0xdeadbeef))
		h, err := ws.ReadHeader(r)
		if err != nil || !h.Masked || h.OpCode != ws.OpBinary || !h.Fin || h.Length != int64(n) {
			t.Fatalf("%d bytes: %+v, %v", n, h, err)
		}
		got, _ := io.ReadAll(r) // of memory
		if ws.Cipher(got, h.Mask, 0); !bytes.Equal(got, payload) {
			t.Errorf("%d bytes are others", n)
		}
		b := ws.MustCompileFrame(ws.NewBinaryFrame(payload))
		for _, cut := range []int{0, 1, 2, 5, len(b) - 1} {
			if cut < len(b) {
				if _, _, took, err := cutFrame(b[:cut]); took != 0 || err != nil {
					t.Errorf("%d of %d bytes: took %d, %v", cut, len(b), took, err)
				}
			}
		}
		if opcode, got, took, err := cutFrame(append(b, 1, 2, 3)); opcode != frameBinary || !bytes.Equal(got, payload) || took != len(b) || err != nil {
			t.Errorf("%d bytes: opcode %d, %d bytes, took %d, %v", n, opcode, len(got), took, err)
		}
	}
	for name, b := range map[string][]byte{"a masked frame": {0x82, 0x80, 0, 0, 0, 0}, "a fragment": {0x02, 0}, "compressed": {0xc2, 0}, "too long": {0x82, 127, 1, 0, 0, 0, 0, 0, 0, 0}} {
		if _, _, _, err := cutFrame(b); !errors.Is(err, errFrame) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestParseUpgrade(t *testing.T) {
	t.Parallel()
	good := "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " + upgradeAccept() + "\r\n\r\n"
	for cut := range len(good) {
		if _, _, took, err := parseUpgrade([]byte(good[:cut])); took != 0 || err != nil {
			t.Fatalf("%d bytes of it: took %d, %v", cut, took, err)
		}
	}
	if status, accept, took, err := parseUpgrade([]byte(good + "more")); status != 101 || accept != upgradeAccept() || took != len(good) || err != nil {
		t.Errorf("%d %q %d %v", status, accept, took, err)
	}
	if status, _, _, err := parseUpgrade([]byte("HTTP/1.1 503 Service Unavailable\r\n\r\n")); status != 503 || err != nil {
		t.Errorf("%d %v", status, err)
	}
	if _, _, _, err := parseUpgrade([]byte("SSH-2.0\r\n\r\n")); err == nil {
		t.Error("no complaint about SSH")
	}
	// The handshake against a library is in TestFanout.
	if len(upgradeAccept()) != 28 {
		t.Errorf("%q", upgradeAccept())
	}
}

// FuzzCutFrame wants no panic, and no more taken than there is.
func FuzzCutFrame(f *testing.F) {
	f.Add([]byte{0x82, 3, 1, 2, 3})
	f.Add([]byte{0x82, 126, 0, 1, 9})
	f.Add([]byte{0x82, 127, 0, 0, 0, 0, 0, 0, 0, 1, 9})
	f.Add([]byte("HTTP/1.1 101 x\r\nsec-websocket-accept: y\r\n\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, payload, took, err := cutFrame(b); took > len(b) || len(payload) > took || err != nil && took > 0 {
			t.Errorf("took %d of %d, %d of them a payload, %v", took, len(b), len(payload), err)
		}
		if _, _, took, _ := parseUpgrade(b); took > len(b) {
			t.Errorf("took %d of %d", took, len(b))
		}
	})
}
