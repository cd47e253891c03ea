package web_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/kamado/kamado/internal/blob/web"
)

// Loopback has two parts in these tests: outside stands for the public network
// and is allowed by name, everything else is inside.
const (
	outside = "127.0.0.2"
	inside  = "127.0.0.1"
)

// counted counts the connections that a listener accepts.
type counted struct {
	net.Listener
	n *atomic.Int32
}

func (c counted) Accept() (net.Conn, error) {
	conn, err := c.Listener.Accept()
	if err == nil {
		c.n.Add(1)
	}
	return conn, err
}

// serve runs a server on an address, with a port of the system's choice when
// port is 0, and gives its port and the count of its connections.
func serve(t *testing.T, host string, port int, h http.Handler) (int, *atomic.Int32) {
	t.Helper()
	l, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(port)))
	if err != nil {
		t.Fatal(err)
	}
	return serveOn(t, l, h)
}

func serveOn(t *testing.T, l net.Listener, h http.Handler) (int, *atomic.Int32) {
	t.Helper()
	n := new(atomic.Int32)
	srv := &httptest.Server{Listener: counted{l, n}, Config: &http.Server{Handler: h}}
	srv.Start()
	t.Cleanup(func() {
		srv.CloseClientConnections()
		srv.Close()
	})
	return l.Addr().(*net.TCPAddr).Port, n
}

// names is a DNS server that answers as a test says.
type names struct {
	mu      sync.Mutex
	answer  func(name string, n int) []string // the n-th question about a name, from 0
	asked   map[string]int
	address string
}

// resolver runs a DNS server on loopback and gives a resolver that asks it.
func resolver(t *testing.T, answer func(name string, n int) []string) *net.Resolver {
	t.Helper()
	pc, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &names{answer: answer, asked: map[string]int{}, address: pc.LocalAddr().String()}
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.run(pc)
	}()
	t.Cleanup(func() { pc.Close(); <-done })
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "udp4", s.address)
	}}
}

func (s *names) run(pc net.PacketConn) {
	buf := make([]byte, 1500)
	for {
		n, from, err := pc.ReadFrom(buf)
		if err != nil {
			return
		}
		if reply := s.reply(buf[:n]); reply != nil {
			_, _ = pc.WriteTo(reply, from)
		}
	}
}

// reply answers one question; nil when it is none.
func (s *names) reply(query []byte) []byte {
	var p dnsmessage.Parser
	h, err := p.Start(query)
	if err != nil {
		return nil
	}
	q, err := p.Question()
	if err != nil {
		return nil
	}
	b := dnsmessage.NewBuilder(nil, dnsmessage.Header{ID: h.ID, Response: true, Authoritative: true})
	_ = b.StartQuestions()
	_ = b.Question(q)
	_ = b.StartAnswers()
	rh := dnsmessage.ResourceHeader{Name: q.Name, Class: dnsmessage.ClassINET} // TTL 0
	for _, text := range s.next(q) {
		switch a := netip.MustParseAddr(text); {
		case a.Is4() && q.Type == dnsmessage.TypeA:
			_ = b.AResource(rh, dnsmessage.AResource{A: a.As4()})
		case a.Is6() && q.Type == dnsmessage.TypeAAAA:
			_ = b.AAAAResource(rh, dnsmessage.AAAAResource{AAAA: a.As16()})
		}
	}
	msg, err := b.Finish()
	if err != nil {
		return nil
	}
	return msg
}

func (s *names) next(q dnsmessage.Question) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	name := strings.TrimSuffix(q.Name.String(), ".")
	n := s.asked[name+q.Type.String()]
	s.asked[name+q.Type.String()]++
	return s.answer(name, n)
}

// config is one for tests: quick, and outside is allowed.
func config(ports ...int) web.Config {
	cfg := web.Default()
	cfg.Ports = append(cfg.Ports, ports...)
	cfg.AllowNetworks = []string{outside + "/32"}
	cfg.BackoffMin, cfg.BackoffMax = time.Millisecond, 2*time.Millisecond
	return cfg
}

func open(t testing.TB, cfg web.Config) *web.Store {
	t.Helper()
	s, err := web.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// at is a server outside with a handler, and a store whose only base it is.
func at(t *testing.T, h http.HandlerFunc, tune func(*web.Config)) *web.Store {
	t.Helper()
	port, _ := serve(t, outside, 0, h)
	cfg := config()
	cfg.Bases = []string{"http://" + net.JoinHostPort(outside, strconv.Itoa(port)) + "/"}
	if tune != nil {
		tune(&cfg)
	}
	return open(t, cfg)
}

func text(s string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("ETag", `"v1"`)
		_, _ = io.WriteString(w, s)
	}
}
