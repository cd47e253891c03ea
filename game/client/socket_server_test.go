package client_test

import (
	"bufio"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/kamado/kamado/game/client"
	"github.com/kamado/kamado/game/wire"
)

func parse(t *testing.T, body []byte, m proto.Message) {
	t.Helper()
	if err := wire.Parse(body, m); err != nil {
		t.Error(err)
	}
}

func body2(t *testing.T, m proto.Message) []byte {
	t.Helper()
	b, err := wire.Body(m)
	if err != nil {
		t.Error(err)
	}
	return b
}

// strange is a server over TCP that says what a test wants: say is called for each connection once its Hello is there.
func strange(t *testing.T, say func(n int, hello *wire.Hello, c net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for n := 0; ; n++ {
			c, err := l.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { c.Close() })
			hello := new(wire.Hello)
			split := wire.Splitter{Limit: wire.LimitHello, Magic: true}
			r, b := bufio.NewReader(c), make([]byte, 4096)
			for hello.Protocol == 0 {
				m, err := r.Read(b)
				if err != nil {
					break
				}
				for f := range split.Frames(b[:m]) {
					parse(t, f.Body, hello)
				}
			}
			say(n, hello, c)
			go io.Copy(io.Discard, r) //nolint:errcheck // it ends with the connection
		}
	}()
	return "tcp://" + l.Addr().String()
}

func welcome(t *testing.T, w *wire.Welcome) []byte {
	t.Helper()
	w.Protocol, w.Uid = 1, 1001
	if w.KeepAliveMs == 0 {
		w.KeepAliveMs = 30_000
	}
	b, err := wire.AppendMessage(nil, wire.CmdWelcome, 0, w)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestSocketMistrusts: a server that says nothing, nonsense, or too little is left, and what is sent twice is heard once.
func TestSocketMistrusts(t *testing.T) {
	t.Parallel()
	t.Run("silence", func(t *testing.T) {
		t.Parallel()
		var o client.Options
		h := listen(&o)
		dial(t, strange(t, func(n int, hello *wire.Hello, c net.Conn) {
			if n == 1 && string(hello.Resume) != "r" {
				t.Errorf("hello %v, want a resume", hello)
			}
			c.Write(welcome(t, &wire.Welcome{Resume: []byte("r"), KeepAliveMs: 50, Resumed: n == 1})) //nolint:errcheck // the socket's end is what is tested
		}), o)
		h.until(t, "it was left and tried again", func() bool {
			return len(h.turns) >= 2 && h.turns[0] == client.TurnCut && h.turns[1] == client.TurnResumed
		})
	})
	t.Run("no welcome", func(t *testing.T) {
		t.Parallel()
		_, err := client.Dial(t.Context(), strange(t, func(int, *wire.Hello, net.Conn) {}), client.Options{Token: "x", Timeout: 200 * time.Millisecond})
		if err == nil {
			t.Error("it came in")
		}
	})
	t.Run("nonsense", func(t *testing.T) {
		t.Parallel()
		s := dial(t, strange(t, func(_ int, _ *wire.Hello, c net.Conn) {
			c.Write(append(welcome(t, &wire.Welcome{Resume: []byte("r")}), 0xff, 0xff, 0xff, 0xff, 0xff)) //nolint:errcheck // as above
		}), client.Options{})
		<-s.Done()
		if s.Err() == nil || errors.Is(s.Err(), client.ErrLeft) {
			t.Errorf("it ended with %v", s.Err())
		}
	})
	t.Run("a gap, and the same twice", func(t *testing.T) {
		t.Parallel()
		var o client.Options
		h := listen(&o)
		said := func(seq uint64, text string) []byte {
			return wire.AppendReliable(nil, wire.CmdSaid, seq, body2(t, &wire.Said{Text: text}))
		}
		dial(t, strange(t, func(n int, hello *wire.Hello, c net.Conn) {
			b := welcome(t, &wire.Welcome{Resume: []byte("r")})
			if n == 0 {
				b = append(b, said(1, "one")...)
				b = append(b, said(1, "one again")...)
				b = append(b, said(3, "three")...) // 2 is missing
			} else if hello.Resume != nil || hello.Received != 0 {
				t.Errorf("hello %v, want a new beginning", hello)
			}
			c.Write(b) //nolint:errcheck // as above
		}), o)
		h.until(t, "it begins anew", func() bool { return len(h.turns) >= 2 && h.turns[1] == client.TurnAnew })
		h.mu.Lock()
		defer h.mu.Unlock()
		if !h.has("said one")() || h.has("said one again")() || h.has("said three")() {
			t.Errorf("heard %q", h.frames)
		}
	})
}
