package listen

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	crand "crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/big"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	miekg "github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/kamado/kamado/dns"
	"github.com/kamado/kamado/dns/answer"
)

// table has web.svc.test with one address, and big.svc.test with an answer of 3,000 bytes.
func table(t testing.TB, config answer.Config) *answer.Table {
	t.Helper()
	a, err := answer.New(config)
	if err != nil {
		t.Fatal(err)
	}
	a.PutZone(dns.Zone{Apex: "svc.test", SOA: dns.DefaultSOA("svc.test", "n1.svc.test", time.Second), Serial: 1}, []dns.Name{"n1.svc.test"})
	a.Put(dns.Set{Name: "web.svc.test", RRs: []dns.RR{dns.AddrRR("web.svc.test", netip.MustParseAddr("10.0.0.1"), 5)}})
	big := dns.Set{Name: "big.svc.test"}
	for i := range 150 {
		big.RRs = append(big.RRs, dns.AddrRR("big.svc.test", netip.AddrFrom4([4]byte{10, 1, 0, byte(i)}), 5))
	}
	a.Put(big)
	return a
}

// serve runs a server until the test ends, and wants it to end well.
func serve(t testing.TB, config Config, a *answer.Table, mux Mux) *Server {
	t.Helper()
	if config.DNS == nil {
		config.DNS = []string{"127.0.0.1:0"}
	}
	if config.Threads == 0 {
		config.Threads = 2
	}
	s, err := New(config, a, mux)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return s
}

func question(name, typ string) *miekg.Msg {
	return new(miekg.Msg).SetQuestion(miekg.Fqdn(name), miekg.StringToType[typ])
}

func exchange(t testing.TB, network, address string, m *miekg.Msg) *miekg.Msg {
	t.Helper()
	c := miekg.Client{Net: network, Timeout: 5 * time.Second, TLSConfig: &tls.Config{InsecureSkipVerify: true}}
	r, _, err := c.Exchange(m, address)
	if err != nil {
		t.Fatalf("%s to %s: %v", network, address, err)
	}
	return r
}

// alive wants an answer over UDP and TCP.
func alive(t testing.TB, s *Server) {
	t.Helper()
	for _, network := range []string{"udp", "tcp"} {
		if r := exchange(t, network, s.Addresses()[0].String(), question("web.svc.test", "A")); len(r.Answer) != 1 {
			t.Fatalf("over %s: %v", network, r)
		}
	}
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	s := serve(t, Config{DNS: []string{"127.0.0.1:0", "[::1]:0"}}, table(t, answer.Config{}), Mux{})
	for _, at := range s.Addresses() {
		for range 20 { // sockets that share an address get clients by their ports
			if r := exchange(t, "udp", at.String(), question("web.svc.test", "A")); len(r.Answer) != 1 {
				t.Errorf("%s over UDP: %v", at, r)
			}
		}
		if r := exchange(t, "udp", at.String(), question("big.svc.test", "A")); !r.Truncated {
			t.Errorf("%s over UDP: %v, want it truncated", at, r)
		}
		if r := exchange(t, "tcp", at.String(), question("big.svc.test", "A")); len(r.Answer) != 150 {
			t.Errorf("%s over TCP: %d answers, want 150", at, len(r.Answer))
		}
	}
}

// TestAnswersFromAskedAddress asks a server on all addresses through connected
// sockets, which hear only the address that they asked.
func TestAnswersFromAskedAddress(t *testing.T) {
	t.Parallel()
	slow := handlerFunc(func(_ context.Context, r Request, write func([]byte) error) error {
		m := new(miekg.Msg)
		if err := m.Unpack(r.Packet); err != nil {
			return err
		}
		m.Response = true
		m.Question[0].Name = r.Server.Addr().String() + "."
		b, err := m.Pack()
		if err != nil {
			return err
		}
		return write(b)
	})
	a := table(t, answer.Config{Forwarding: true, AllowForward: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}})
	s := serve(t, Config{DNS: []string{":0"}}, a, Mux{Forward: slow})
	port := s.Addresses()[0].Port()
	for _, host := range []string{"127.0.0.1", "127.0.0.2", "127.1.2.3", "::1"} {
		at := netip.AddrPortFrom(netip.MustParseAddr(host), port).String()
		if r := exchange(t, "udp", at, question("web.svc.test", "A")); len(r.Answer) != 1 {
			t.Errorf("%s: %v", at, r)
		}
		conn, err := net.Dial("udp", at)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
		b, _ := question("example.com", "A").Pack()
		buf := make([]byte, 512)
		if _, err := conn.Write(b); err != nil {
			t.Fatal(err)
		}
		n, err := conn.Read(buf)
		if err != nil {
			t.Fatalf("%s, slow: %v", at, err)
		}
		m := new(miekg.Msg)
		if err := m.Unpack(buf[:n]); err != nil || m.Question[0].Name != host+"." {
			t.Errorf("%s, slow: the handler heard of the server %v, %v", at, m.Question, err)
		}
	}
}

type handlerFunc func(context.Context, Request, func([]byte) error) error

func (f handlerFunc) Serve(ctx context.Context, r Request, write func([]byte) error) error {
	return f(ctx, r, write)
}

// TestPipelining sends many messages at once, in odd pieces, and wants all answers.
func TestPipelining(t *testing.T) {
	t.Parallel()
	s := serve(t, Config{}, table(t, answer.Config{}), Mux{})
	conn, err := net.Dial("tcp", s.Addresses()[0].String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	const n = 1000
	var all []byte
	for i := range n {
		m := question([]string{"web.svc.test", "big.svc.test"}[i%2], "A")
		m.Id = uint16(i)
		b, err := m.Pack()
		if err != nil {
			t.Fatal(err)
		}
		all = append(binary.BigEndian.AppendUint16(all, uint16(len(b))), b...)
	}
	go func() {
		for i := 0; len(all) > 0; i++ {
			k := min(len(all), 1+i*37%501)
			if _, err := conn.Write(all[:k]); err != nil {
				return
			}
			all = all[k:]
		}
	}()
	c := miekg.Conn{Conn: conn}
	for i := range n {
		m, err := c.ReadMsg()
		if err != nil {
			t.Fatalf("answer %d: %v", i, err)
		}
		if want := []int{1, 150}[i%2]; int(m.Id) != i || len(m.Answer) != want {
			t.Fatalf("answer %d: id %d, %d records, want %d", i, m.Id, len(m.Answer), want)
		}
	}
}

// TestSlowPacketsOnOneConnection wants fast answers to pass slow ones, and both to come.
func TestSlowPacketsOnOneConnection(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	slow := handlerFunc(func(ctx context.Context, r Request, write func([]byte) error) error {
		select {
		case <-release:
		case <-ctx.Done():
			return ctx.Err()
		}
		return errors.New("no luck")
	})
	a := table(t, answer.Config{Forwarding: true, AllowForward: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	s := serve(t, Config{}, a, Mux{Forward: slow})
	c, err := miekg.DialTimeout("tcp", s.Addresses()[0].String(), 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	foreign, ours := question("example.com", "A"), question("web.svc.test", "A")
	if err := errors.Join(c.WriteMsg(foreign), c.WriteMsg(ours)); err != nil {
		t.Fatal(err)
	}
	if m, err := c.ReadMsg(); err != nil || m.Id != ours.Id {
		t.Fatalf("first: %v, %v", m, err)
	}
	close(release)
	if m, err := c.ReadMsg(); err != nil || m.Id != foreign.Id || m.Rcode != miekg.RcodeServerFailure {
		t.Fatalf("second: %v, %v", m, err)
	}
}

// TestWithoutHandlers wants an answer to everything that nobody serves.
func TestWithoutHandlers(t *testing.T) {
	t.Parallel()
	a := table(t, answer.Config{Forwarding: true, AllowForward: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	s := serve(t, Config{}, a, Mux{})
	update := new(miekg.Msg).SetUpdate("svc.test.")
	notify := new(miekg.Msg).SetNotify("svc.test.")
	for _, c := range []struct {
		m    *miekg.Msg
		want int
	}{{question("example.com", "A"), miekg.RcodeRefused}, {update, miekg.RcodeNotImplemented}, {notify, miekg.RcodeNotImplemented}, {question("svc.test", "AXFR"), miekg.RcodeRefused}} {
		for _, network := range []string{"udp", "tcp"} {
			r := exchange(t, network, s.Addresses()[0].String(), c.m)
			if r.Rcode != c.want || r.Opcode != c.m.Opcode {
				t.Errorf("%s: %v, want rcode %d", network, r, c.want)
			}
		}
	}
}

// TestSlowIsBounded fills the pool, and wants what comes then to be counted and lost, and answers of the table to go on.
func TestSlowIsBounded(t *testing.T) {
	t.Parallel()
	var in atomic.Int32
	release := make(chan struct{})
	slow := handlerFunc(func(ctx context.Context, r Request, write func([]byte) error) error {
		in.Add(1)
		<-release
		return errors.New("no luck")
	})
	a := table(t, answer.Config{Forwarding: true, AllowForward: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	s := serve(t, Config{SlowMax: 3, Threads: 1}, a, Mux{Forward: slow})
	defer close(release)
	conn, err := net.Dial("udp", s.Addresses()[0].String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	b, _ := question("example.com", "A").Pack()
	until(t, "the pool is full and one was refused", func() bool {
		_, _ = conn.Write(b)
		return s.workers[0].counts.refused.Load() > 0
	})
	until(t, "three are served", func() bool { return in.Load() == 3 })
	alive(t, s)
}

// until waits for a condition.
func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain until %s", what)
		}
		runtime.Gosched()
	}
}

// TestAbandonedConnections opens more than may be, says nothing, and wants the server to answer all the while.
func TestAbandonedConnections(t *testing.T) {
	t.Parallel()
	s := serve(t, Config{ConnectionsMax: 300, ClientConnectionsMax: 100}, table(t, answer.Config{}), Mux{})
	var conns []net.Conn
	for i := range 1000 {
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 1, byte(i%5))}}
		c, err := d.Dial("tcp", s.Addresses()[0].String())
		if err != nil {
			t.Fatalf("connection %d: %v", i, err)
		}
		conns = append(conns, c)
		if i%100 == 99 {
			alive(t, s)
		}
	}
	until(t, "connections were evicted", func() bool { return s.streams.evicted.Load() >= 700 })
	if n := s.streams.len(); n > 300 {
		t.Errorf("%d connections, at most 300", n)
	}
	alive(t, s)
	for _, c := range conns {
		c.Close()
	}
	until(t, "none is left", func() bool { return s.streams.len() == 0 })
}

// TestSilentAndSlowClients wants those cut that say nothing, half of something, or do not listen.
func TestSilentAndSlowClients(t *testing.T) {
	t.Parallel()
	s := serve(t, Config{Idle: 50 * time.Millisecond, Patience: 50 * time.Millisecond}, table(t, answer.Config{}), Mux{})
	packed, _ := question("big.svc.test", "A").Pack()
	framed := append(binary.BigEndian.AppendUint16(nil, uint16(len(packed))), packed...)
	for what, send := range map[string][]byte{"nothing": nil, "half a length": {0}, "half a message": framed[:20], "no header": {0, 3, 1, 2, 3}} {
		c, err := net.Dial("tcp", s.Addresses()[0].String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_, _ = c.Write(send)
		_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, io.EOF) && !errors.Is(err, net.ErrClosed) && !strings.Contains(fmt.Sprint(err), "reset") {
			t.Errorf("after %s: %v, want the end", what, err)
		}
	}
	c, err := net.Dial("tcp", s.Addresses()[0].String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.(*net.TCPConn).SetReadBuffer(4096)
	_ = c.SetWriteDeadline(time.Now().Add(20 * time.Second))
	for err = nil; err == nil; { // nobody reads the answers, and no buffer is endless
		_, err = c.Write(framed)
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("a client that does not read is not cut")
	}
	alive(t, s)
}

// TestMutatedPackets sends broken forms of good packets, and asks after each thousand whether somebody is there.
func TestMutatedPackets(t *testing.T) {
	t.Parallel()
	rounds := 20
	if os.Getenv("KAMADO_TEST_ALL") != "" {
		rounds = 1000
	}
	slow := handlerFunc(func(_ context.Context, r Request, _ func([]byte) error) error { return errors.New("no") })
	a := table(t, answer.Config{Server: "n1", Version: "v", Cookies: true, Forwarding: true, AllowForward: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	s := serve(t, Config{}, a, Mux{Forward: slow, Update: slow, Transfer: slow, Notify: slow, Signed: slow})
	conn, err := net.Dial("udp", s.Addresses()[0].String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	rnd := rand.New(rand.NewPCG(5, 6))
	var good [][]byte
	for _, m := range []*miekg.Msg{question("web.svc.test", "A").SetEdns0(1232, true), question("no.svc.test", "MX"), question("svc.test", "AXFR"), new(miekg.Msg).SetUpdate("svc.test.")} {
		b, err := m.Pack()
		if err != nil {
			t.Fatal(err)
		}
		good = append(good, b)
	}
	for range rounds {
		for range 1000 {
			p := slices.Clone(good[rnd.IntN(len(good))])
			for range 1 + rnd.IntN(5) {
				p[rnd.IntN(len(p))] = byte(rnd.Uint32())
			}
			if rnd.IntN(4) == 0 {
				p = p[:rnd.IntN(len(p))]
			}
			_, _ = conn.Write(p)
		}
		alive(t, s)
	}
}

func TestShutdown(t *testing.T) {
	t.Parallel()
	slow := handlerFunc(func(ctx context.Context, _ Request, _ func([]byte) error) error {
		<-ctx.Done()
		return ctx.Err()
	})
	a := table(t, answer.Config{Forwarding: true, AllowForward: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	// An address of its own: no other test's socket takes its port when it is free again.
	s, err := New(Config{DNS: []string{"127.0.7.1:0"}, Threads: 2}, a, Mux{Forward: slow})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	at := s.Addresses()[0].String()
	alive(t, s)
	u, err := net.Dial("udp", at)
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	b, _ := question("example.com", "A").Pack()
	_, _ = u.Write(b)
	c, err := miekg.DialTimeout("tcp", at, 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.WriteMsg(question("example.com", "A"))
	until(t, "both slow packets are served", func() bool { return len(s.slow.places) == 2 })
	cancel()
	select {
	case err := <-done:
		if err != nil {
			t.Errorf("Run: %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("Run does not end")
	}
	// The address is free again, for all threads.
	again, err := New(Config{DNS: []string{at}, Threads: 2}, a, Mux{})
	if err != nil {
		t.Fatalf("after the end: %v", err)
	}
	again.close()
}

func TestTLS(t *testing.T) {
	t.Parallel()
	key, err := ecdsa.GenerateKey(elliptic.P256(), crand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(crand.Reader, &x509.Certificate{SerialNumber: big.NewInt(1)}, &x509.Certificate{SerialNumber: big.NewInt(1)}, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	config := &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	s := serve(t, Config{TLS: []string{"127.0.0.1:0"}, TLSConfig: config, Patience: 100 * time.Millisecond}, table(t, answer.Config{}), Mux{})
	if r := exchange(t, "tcp-tls", s.TLSAddresses()[0].String(), question("big.svc.test", "A")); len(r.Answer) != 150 {
		t.Errorf("%v", r)
	}
	c, err := net.Dial("tcp", s.TLSAddresses()[0].String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("a handshake that does not begin: %v", err)
	}
}

func TestExchange(t *testing.T) {
	t.Parallel()
	echo := handlerFunc(func(_ context.Context, r Request, write func([]byte) error) error {
		b := append([]byte(nil), r.Packet...)
		b[2] |= 0x80
		return errors.Join(write(b), write(b)) // the second is refused
	})
	a := table(t, answer.Config{Forwarding: true, AllowForward: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	s := serve(t, Config{}, a, Mux{Forward: echo})
	client := netip.MustParseAddrPort("127.0.0.1:9")
	for name, want := range map[string]int{"web.svc.test": 1, "big.svc.test": 150, "example.com": 0} {
		b, _ := question(name, "A").Pack()
		out, err := s.Exchange(t.Context(), b, client, HTTPS)
		m := new(miekg.Msg)
		if err != nil || m.Unpack(out) != nil || len(m.Answer) != want || !m.Response {
			t.Errorf("%s: %v, %v", name, m, err)
		}
	}
	if _, err := s.Exchange(t.Context(), []byte("x"), client, HTTPS); err == nil {
		t.Error("no error for what is no query")
	}
}

type tapFunc func(Request, []byte)

func (f tapFunc) Tap(r Request, response []byte, start, end time.Time) {
	if !end.Before(start) {
		f(r, response)
	}
}

func TestTapAndMetrics(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	seen := map[Transport]int{}
	tap := tapFunc(func(r Request, response []byte) {
		mu.Lock()
		defer mu.Unlock()
		if len(response) > headerBytes && len(r.Packet) > headerBytes && r.Client.IsValid() && r.Server.Port() != 0 {
			seen[r.Transport]++
		}
	})
	registry := prometheus.NewPedanticRegistry()
	s := serve(t, Config{Tap: tap, Registerer: registry}, table(t, answer.Config{}), Mux{})
	alive(t, s)
	_ = exchange(t, "udp", s.Addresses()[0].String(), question("no.svc.test", "A"))
	until(t, "the worker counted", func() bool { return metric(t, registry, "kamado_dns_responses_total", "udp", "NXDOMAIN") == 1 })
	mu.Lock()
	defer mu.Unlock()
	if seen[UDP] != 2 || seen[TCP] != 1 {
		t.Errorf("the tap saw %v", seen)
	}
	for _, c := range []struct {
		name   string
		labels []string
		want   float64
	}{
		{"kamado_dns_queries_total", []string{"udp", "answered"}, 2}, {"kamado_dns_queries_total", []string{"tcp", "answered"}, 1},
		{"kamado_dns_responses_total", []string{"udp", "NOERROR"}, 1}, {"kamado_dns_connections_max", nil, ConnectionsDefault}, {"kamado_dns_slow_max", nil, SlowDefault},
	} {
		if got := metric(t, registry, c.name, c.labels...); got != c.want {
			t.Errorf("%s%v = %v, want %v", c.name, c.labels, got, c.want)
		}
	}
}

// metric reads one metric; -1 when there is none.
func metric(t testing.TB, g prometheus.Gatherer, name string, labels ...string) float64 {
	t.Helper()
	families, err := g.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			var values []string
			for _, l := range m.GetLabel() {
				values = append(values, l.GetValue())
			}
			slices.Sort(values)
			if slices.Equal(values, slices.Sorted(slices.Values(labels))) {
				return m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return -1
}
