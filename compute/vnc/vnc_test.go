package vnc_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"github.com/kamado/kamado/compute/vnc"
)

// guests gives the far end of each console that is opened.
type guests struct{ ends chan net.Conn }

func (g guests) OpenConsole(_ context.Context, id string, _ vnc.Kind) (io.ReadWriteCloser, error) {
	if id != "i-1" {
		return nil, errors.New("off")
	}
	near, far := net.Pipe()
	g.ends <- far
	return near, nil
}

type clock struct{ t time.Time }

func (c *clock) now() time.Time { return c.t }

func serve(t *testing.T) (*vnc.Gate, *httptest.Server, guests, *clock) {
	t.Helper()
	g, c := guests{make(chan net.Conn, 4)}, &clock{time.Unix(1e9, 0)}
	gate := vnc.New(g, slog.New(slog.DiscardHandler), c.now)
	srv := httptest.NewServer(http.StripPrefix("/console", gate.Handler()))
	t.Cleanup(srv.Close)
	return gate, srv, g, c
}

// address gives the page and the WebSocket of a fresh ticket.
func address(t *testing.T, gate *vnc.Gate, srv *httptest.Server, id string) (page, socket string) {
	t.Helper()
	path, err := gate.Address("/console", id, vnc.Display)
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(path)
	if err != nil {
		t.Fatal(err)
	}
	return srv.URL + path, strings.Replace(srv.URL, "http", "ws", 1) + "/" + u.Query().Get("path")
}

func dial(t *testing.T, socket, origin string) (net.Conn, *bufio.Reader, error) {
	t.Helper()
	d := ws.Dialer{Protocols: []string{"binary"}, Timeout: 5 * time.Second}
	if origin != "" {
		d.Header = ws.HandshakeHeaderHTTP{"Origin": {origin}}
	}
	conn, early, _, err := d.Dial(t.Context(), socket)
	if err != nil {
		return nil, nil, err
	}
	t.Cleanup(func() { conn.Close() })
	if early == nil {
		early = bufio.NewReader(conn)
	}
	return conn, early, nil
}

func TestBytesPassBothWays(t *testing.T) {
	gate, srv, g, _ := serve(t)
	page, socket := address(t, gate, srv, "i-1")
	res, err := http.Get(page)
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(res.Body)
	res.Body.Close()
	if res.StatusCode != 200 || !strings.Contains(string(body), "noVNC") {
		t.Fatalf("the page: %s\n%s", res.Status, body)
	}
	for range 2 { // a page that is loaded again connects again
		conn, _, err := dial(t, socket, srv.URL)
		if err != nil {
			t.Fatal(err)
		}
		far := <-g.ends
		go io.WriteString(far, "RFB 003.008\n")
		if got, _, err := wsutil.ReadServerData(conn); err != nil || string(got) != "RFB 003.008\n" {
			t.Fatalf("from the guest: %q, %v", got, err)
		}
		if err := wsutil.WriteClientBinary(conn, []byte("hello")); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, 5)
		if _, err := io.ReadFull(far, got); err != nil || string(got) != "hello" {
			t.Fatalf("to the guest: %q, %v", got, err)
		}
		conn.Close()
		if _, err := far.Read(got); err == nil {
			t.Fatal("the guest's end stays open after the browser's")
		}
	}
}

func TestNoWayInWithoutTicket(t *testing.T) {
	gate, srv, _, c := serve(t)
	_, socket := address(t, gate, srv, "i-1")
	_, off := address(t, gate, srv, "i-2")
	for name, try := range map[string]struct {
		socket, origin string
		status         string
	}{
		"a wrong ticket":    {strings.Replace(socket, "token=", "token=bad", 1), "", "403"},
		"no ticket":         {strings.SplitN(socket, "?", 2)[0], "", "403"},
		"another site":      {socket, "http://evil.example", "403"},
		"an instance off":   {off, "", "502"},
		"an opaque origin":  {socket, "null", "403"},
		"a page elsewhere":  {socket, srv.URL + ".example", "403"},
		"another port here": {socket, "http://127.0.0.1:1", "403"},
	} {
		if _, _, err := dial(t, try.socket, try.origin); err == nil || !strings.Contains(err.Error(), try.status) {
			t.Errorf("%s: %v, want status %s", name, err, try.status)
		}
	}
	c.t = c.t.Add(time.Hour)
	if _, _, err := dial(t, socket, ""); err == nil {
		t.Error("an expired ticket opens")
	}
}

func TestTicketsAreBounded(t *testing.T) {
	gate, _, _, c := serve(t)
	var err error
	n := 0
	for ; err == nil && n < 20000; n++ {
		_, err = gate.Address("/console", "i-1", vnc.Serial)
	}
	if !errors.Is(err, vnc.ErrFull) {
		t.Fatalf("after %d tickets: %v", n, err)
	}
	c.t = c.t.Add(time.Hour)
	if _, err := gate.Address("/console", "i-1", vnc.Serial); err != nil {
		t.Errorf("expired tickets are not forgotten: %v", err)
	}
}
