package gateway_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/wire"
	"github.com/kamado/kamado/internal/httpserver"
)

// script is what a client sends: hello, a say and a ping.
func script(t testing.TB) []byte {
	c := &client{}
	b := c.encode(wire.CmdHello, encode(t, &wire.Hello{Protocol: 1, Token: "user 1"}))
	b = append(b, c.encode(wire.CmdSay, encode(t, &wire.Say{Text: strings.Repeat("long ", 60)}))...)
	return append(b, c.encode(wire.CmdPing, number(1))...)
}

func (c *client) wantScript() {
	c.t.Helper()
	c.want(wire.CmdWelcome, nil)
	var m wire.Said
	if c.want(wire.CmdSaid, &m); len(m.Text) != 0 { // echo gives Say's bytes back, whose text is another field
		c.t.Errorf("said %q", m.Text)
	}
	c.want(wire.CmdPong, nil)
}

func TestFramesMaySplitAnywhere(t *testing.T) {
	t.Parallel()
	w := start(t, func(c *game.GatewayConfig) { c.CommandsPerSecond, c.SaysPerTenSeconds = 1000, 1000 }, &host{handle: echo})
	b := script(t)
	whole := mask(ws.OpBinary, true, b)
	for transport, all := range map[string][]byte{"tcp": b, "websocket": whole} {
		step := 1
		if testing.Short() {
			step = 7
		}
		for at := 1; at < len(all); at += step {
			c := w.dial(transport)
			c.put(all[:at])
			c.put(all[at:])
			c.wantScript()
			c.nc.Close()
		}
		c := w.dial(transport)
		for i := range all { // each byte alone
			c.put(all[i : i+1])
		}
		c.wantScript()
	}
	// A WebSocket message in as many fragments as it has bytes, with pings between them.
	c := w.dial("websocket")
	for i := range b {
		op := ws.OpContinuation
		if i == 0 {
			op = ws.OpBinary
		}
		c.put(mask(op, i == len(b)-1, b[i:i+1]))
		if i%100 == 0 {
			c.put(mask(ws.OpPing, true, []byte("hello")))
		}
	}
	for pongs := 0; pongs < 1; pongs++ {
		if f, err := c.read(); err != nil || f.cmd != 0 || string(f.body) != "hello" {
			t.Fatalf("pong %+v, %v", f, err)
		}
	}
	for {
		f, err := c.read()
		if err != nil {
			t.Fatal(err)
		}
		if f.cmd == wire.CmdPong {
			break
		}
	}
}

func TestWebSocketErrorsAreRefused(t *testing.T) {
	t.Parallel()
	w := start(t, nil, &host{handle: echo})
	b := script(t)
	head := func(b0, b1 byte) []byte { return append([]byte{b0, b1, 1, 2, 3, 4}, make([]byte, 4)...) }
	for name, bad := range map[string][]byte{
		"text":                     mask(ws.OpText, true, []byte("hi")),
		"without mask":             append([]byte{0x82, byte(4)}, b[:4]...),
		"reserved bit":             head(0xc2, 0x84),
		"reserved kind":            head(0x83, 0x84),
		"continuation of nothing":  mask(ws.OpContinuation, true, b),
		"ping in pieces":           mask(ws.OpPing, false, nil),
		"ping that is too long":    mask(ws.OpPing, true, make([]byte, 126)),
		"a message within another": append(mask(ws.OpBinary, false, b[:4]), mask(ws.OpBinary, true, b[4:])...),
		"half a frame":             mask(ws.OpBinary, true, b[:10]),
		"a message without end":    append([]byte{0x82, 0xff, 0, 0, 0, 1, 0, 0, 0, 0}, 1, 2, 3, 4),
		"negative length":          append([]byte{0x82, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, 1, 2, 3, 4),
		"no magic":                 mask(ws.OpBinary, true, b[4:]),
	} {
		c := w.dial("websocket")
		c.put(bad)
		if got := c.wantClosing(wire.Reason_REASON_INVALID); got.Text == "" || got.RetryMs != 0 {
			t.Errorf("%s: %v", name, got)
		}
	}
	// A close frame is answered by one.
	c := w.dial("websocket")
	c.hello("user 9", nil)
	c.put(mask(ws.OpClose, true, []byte{3, 233}))
	if _, err := c.read(); err != io.EOF {
		t.Errorf("after a close frame: %v", err)
	}
	w.wantCut(1)
}

func TestWhatComesWithTheUpgradeIsNotLost(t *testing.T) {
	t.Parallel()
	w := start(t, nil, &host{handle: echo})
	nc, err := net.Dial("tcp", w.http)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	nc.Write(append([]byte(upgradeRequest("")), mask(ws.OpBinary, true, script(t))...))
	c := newClient(t, nc)
	c.ws = true
	if resp, err := http.ReadResponse(c.r, nil); err != nil || resp.StatusCode != 101 {
		t.Fatal(resp, err)
	}
	c.wantScript()
}

func TestUpgradesThatAreRefused(t *testing.T) {
	t.Parallel()
	w := start(t, func(c *game.GatewayConfig) { c.Origins = []string{"https://play.example.com"} }, &host{})
	ask := func(change func(*http.Request)) *http.Response {
		t.Helper()
		r, _ := http.NewRequestWithContext(t.Context(), "GET", "http://"+w.http+"/v1/socket", nil)
		r.Header = http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {"dGhlIHNhbXBsZSBub25jZQ=="}}
		change(r)
		resp, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp
	}
	for name, c := range map[string]struct {
		status int
		change func(*http.Request)
	}{
		"as it should be":         {101, func(*http.Request) {}},
		"of the same host":        {101, func(r *http.Request) { r.Header.Set("Origin", "http://"+strings.ToUpper(w.http)) }},
		"of a host that may":      {101, func(r *http.Request) { r.Header.Set("Origin", "https://play.example.com") }},
		"of another node":         {101, func(r *http.Request) { r.Header.Set("Origin", "http://there.example.com:7703") }},
		"of its host elsewhere":   {403, func(r *http.Request) { r.Header.Set("Origin", "https://there.example.com:7703") }},
		"of another host":         {403, func(r *http.Request) { r.Header.Set("Origin", "https://evil.example.com") }},
		"of a page without name":  {403, func(r *http.Request) { r.Header.Set("Origin", "null") }},
		"no upgrade":              {426, func(r *http.Request) { r.Header.Del("Upgrade"); r.Header.Del("Connection") }},
		"an old version":          {426, func(r *http.Request) { r.Header.Set("Sec-WebSocket-Version", "8") }},
		"a key that is too short": {400, func(r *http.Request) { r.Header.Set("Sec-WebSocket-Key", "AAAA") }},
		"POST":                    {405, func(r *http.Request) { r.Method = "POST" }},
	} {
		if got := ask(c.change); got.StatusCode != c.status {
			t.Errorf("%s: %v, want %d", name, got.Status, c.status)
		} else if c.status == 426 && got.Header.Get("Upgrade") != "websocket" {
			t.Errorf("%s does not say what to do: %v", name, got.Header)
		}
	}
}

// wantNoHTTP2 asks for a socket over HTTP/2, which the listener speaks.
func (w *world) wantNoHTTP2() {
	w.t.Helper()
	h2 := &http.Transport{Protocols: new(http.Protocols)}
	h2.Protocols.SetUnencryptedHTTP2(true)
	defer h2.CloseIdleConnections()
	r, _ := http.NewRequest("GET", "http://"+w.http+"/v1/socket", nil)
	resp, err := h2.RoundTrip(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	said, _ := io.ReadAll(resp.Body)
	if resp.StatusCode != 426 || !bytes.Contains(said, []byte("HTTP/1.1")) {
		w.t.Errorf("HTTP/2: %v %s", resp.Status, said)
	}
}

// TestSocketsGoThroughTheListenerOfTheHouse: its count of requests in work, its deadlines and its bound of connections are not theirs.
func TestSocketsGoThroughTheListenerOfTheHouse(t *testing.T) {
	t.Parallel()
	w := start(t, nil, &host{handle: echo})
	cert, key := certificate(t)
	for _, secure := range []bool{false, true} {
		cfg := httpserver.Default()
		cfg.Addr, cfg.InFlightMax, cfg.ConnectionsMax, cfg.H2C = "127.0.0.1:0", 2, 3, true
		cfg.ReadTimeout, cfg.WriteTimeout, cfg.IdleTimeout = 1500*time.Millisecond, 1500*time.Millisecond, 1500*time.Millisecond
		if secure {
			cfg.TLS.CertFile, cfg.TLS.KeyFile = cert, key
		}
		mux := http.NewServeMux()
		mux.Handle("/v1/socket", w.Gateway)
		log := slog.New(slog.DiscardHandler)
		server, err := httpserver.New(cfg, mux, httpserver.Deps{Name: "game", Log: log, Health: httpserver.NewHealth(log)})
		if err != nil {
			t.Fatal(err)
		}
		if err := server.Listen(t.Context()); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		var wg sync.WaitGroup
		wg.Go(func() { server.Run(ctx) })
		w.http = server.Addr().String()
		var all []*client
		for i := range 8 {
			nc, err := net.Dial("tcp", w.http)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { nc.Close() })
			if secure {
				nc = tls.Client(nc, &tls.Config{InsecureSkipVerify: true})
			}
			c := newClient(t, nc)
			c.ws = true
			io.WriteString(nc, upgradeRequest(""))
			resp, err := http.ReadResponse(c.r, nil)
			if err != nil || resp.StatusCode != 101 {
				t.Fatal(resp, err)
			}
			uid := game.UID(100 + i)
			if secure {
				uid += 100
			}
			c.hello("user "+uid.String(), nil)
			all = append(all, c)
		}
		started := time.Now()
		eventually(t, "the listener's time limits are over", func() bool { return time.Since(started) > 1600*time.Millisecond })
		for _, c := range all {
			c.send(wire.CmdPing, number(3))
			c.want(wire.CmdPong, nil)
		}
		if !secure { // HTTP/2 says what is wrong
			w.wantNoHTTP2()
		}
		cancel()
		wg.Wait() // open sockets do not keep the listener
		for _, c := range all {
			c.send(wire.CmdPing, number(4))
			c.want(wire.CmdPong, nil)
		}
	}
}
