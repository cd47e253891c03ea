package gateway_test

import (
	"context"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/kamado/kamado/game/gateway"
	"github.com/kamado/kamado/game/wire"
)

// corpus reads the values of bytes in files of Go's fuzzing.
func corpus(t testing.TB, dir string) (all [][]byte) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for line := range strings.Lines(string(b)) {
			if text, ok := strings.CutPrefix(strings.TrimSpace(line), "[]byte("); ok {
				v, err := strconv.Unquote(strings.TrimSuffix(text, ")"))
				if err != nil {
					return err
				}
				all = append(all, []byte(v))
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestCorpusOfTheProtocolDoesNotStopTheGateway(t *testing.T) {
	t.Parallel()
	h := &host{handle: echo}
	w := start(t, nil, h)
	all := corpus(t, filepath.Join("..", "wire", "testdata", "fuzz"))
	if len(all) < 5 {
		t.Fatalf("%d inputs", len(all))
	}
	good := w.dial("tcp")
	good.hello("user 1", nil)
	for i, b := range all {
		for _, transport := range []string{"tcp", "websocket"} {
			for _, before := range []string{"", wire.Magic, "in"} {
				c := w.dial(transport)
				if before == "in" {
					c.hello("user "+strconv.Itoa(100+i), nil)
				} else {
					b = append([]byte(before), b...)
				}
				c.raw(b)
				c.nc.Close()
			}
		}
	}
	good.sendMessage(wire.CmdSay, &wire.Say{Text: "still there"})
	good.want(wire.CmdSaid, nil)
	w.dial("websocket").hello("user 2", nil)
}

// FuzzConnection gives any bytes to a connection as its client: before the login and after it, over both kinds of stream.
func FuzzConnection(f *testing.F) {
	c := &client{t: f}
	hello := c.encode(wire.CmdHello, encode(f, &wire.Hello{Protocol: 1, Token: "user 1", Resume: make([]byte, 16), Received: 7}))
	f.Add(hello, false, false)
	f.Add([]byte("KMD1\x02\x01\x00"), false, false)
	f.Add(mask(ws.OpBinary, true, hello), true, false)
	f.Add(append(mask(ws.OpPing, true, []byte("x")), mask(ws.OpClose, true, []byte{3, 232})...), true, true)
	var said []byte
	for _, m := range [][]byte{c.encode(wire.CmdSay, encode(f, &wire.Say{Text: "hi"})), c.encode(wire.CmdMove, make([]byte, 8)), c.encode(wire.CmdRenew, encode(f, &wire.Renew{Token: "user 2"}))} {
		said = append(said, m...)
	}
	f.Add(said, false, true)
	f.Add(mask(ws.OpBinary, true, said), true, true)
	f.Add([]byte("\x09\x04\x00\x00\x00\x00\x00\x00\x00\x00\x02\x06\x05\xff\xff\xff\xff"), false, true)
	f.Fuzz(func(t *testing.T, b []byte, websocket, in bool) {
		h := &host{handle: echo}
		cfg := config()
		cfg.ResumeTerm = 0
		g, err := gateway.New(cfg, gateway.Deps{Log: slog.New(slog.DiscardHandler), Host: h, Identity: &identity{}})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		var wg sync.WaitGroup
		wg.Go(func() { g.Run(ctx) })
		near, far := net.Pipe()
		if websocket {
			gateway.ServeWebSocket(g, far)
		} else {
			g.ServeConn(far)
		}
		c := newClient(t, near)
		c.ws = websocket
		if in {
			c.hello("user 1", nil)
		}
		wg.Go(func() { io.Copy(io.Discard, c.r) })
		near.SetWriteDeadline(time.Now().Add(5 * time.Second))
		near.Write(b)
		near.Close()
		eventually(t, "the connection is over", func() bool { n, _ := g.Count(); return n == 0 })
		cancel()
		wg.Wait()
		said := h.said()
		if strings.Count(said, "opened") != strings.Count(said, "closed") {
			t.Errorf("the host heard:\n%s", said)
		}
	})
}
