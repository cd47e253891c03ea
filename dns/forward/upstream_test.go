package forward_test

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	miekg "github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/kamado/kamado/dns/forward"
)

// upstream is a server that behaves as a test wants: over UDP and TCP, on one port of the loopback.
type upstream struct {
	addr netip.AddrPort
	udp  *net.UDPConn
	tcp  net.Listener

	mu      sync.Mutex
	answers answers
	asked   []string // "udp www.example.com. A", in order
	ports   map[uint16]bool
	changed chan struct{} // closed and replaced when something was asked
}

// answers gives the packets that are sent back for a query, over "udp" or "tcp".
type answers func(over string, query *miekg.Msg, packet []byte, from *net.UDPAddr) [][]byte

func newUpstream(t testing.TB, a answers) *upstream {
	t.Helper()
	u := &upstream{answers: a, ports: map[uint16]bool{}, changed: make(chan struct{})}
	for range 20 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		u.addr = l.Addr().(*net.TCPAddr).AddrPort()
		if u.udp, err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(u.addr)); err == nil {
			u.tcp = l
			break
		}
		l.Close()
	}
	if u.tcp == nil {
		t.Fatal("no port that is free for UDP and TCP")
	}
	var done sync.WaitGroup
	done.Go(u.serveUDP)
	done.Go(func() { u.serveStream(u.tcp) })
	t.Cleanup(func() {
		u.udp.Close()
		u.tcp.Close()
		done.Wait()
	})
	return u
}

func (u *upstream) set(a answers) {
	u.mu.Lock()
	u.answers = a
	u.mu.Unlock()
}

func (u *upstream) answer(over string, packet []byte, from *net.UDPAddr) [][]byte {
	m := new(miekg.Msg)
	if m.Unpack(packet) != nil || len(m.Question) != 1 {
		return nil
	}
	u.mu.Lock()
	a := u.answers
	u.asked = append(u.asked, over+" "+strings.ToLower(m.Question[0].Name)+" "+miekg.TypeToString[m.Question[0].Qtype])
	if from != nil {
		u.ports[uint16(from.Port)] = true
	}
	close(u.changed)
	u.changed = make(chan struct{})
	u.mu.Unlock()
	return a(over, m, packet, from)
}

func (u *upstream) serveUDP() {
	buf := make([]byte, 65535)
	for {
		n, from, err := u.udp.ReadFromUDP(buf)
		if err != nil {
			return
		}
		packet := append([]byte(nil), buf[:n]...)
		for _, p := range u.answer("udp", packet, from) {
			u.udp.WriteToUDP(p, from)
		}
	}
}

// serveStream serves a listener of TCP or TLS until it closes.
func (u *upstream) serveStream(l net.Listener) {
	var done sync.WaitGroup
	var conns sync.Map
	for {
		c, err := l.Accept()
		if err != nil {
			break
		}
		conns.Store(c, true)
		done.Go(func() {
			defer c.Close()
			for {
				packet, err := readFrame(c)
				if err != nil {
					return
				}
				for _, p := range u.answer("tcp", packet, nil) {
					if _, err := c.Write(frame(p)); err != nil {
						return
					}
				}
			}
		})
	}
	conns.Range(func(c, _ any) bool { c.(net.Conn).Close(); return true })
	done.Wait()
}

func readFrame(r io.Reader) ([]byte, error) {
	var size [2]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return nil, err
	}
	packet := make([]byte, binary.BigEndian.Uint16(size[:]))
	_, err := io.ReadFull(r, packet)
	return packet, err
}

func frame(p []byte) []byte { return append(binary.BigEndian.AppendUint16(nil, uint16(len(p))), p...) }

// log is what was asked so far.
func (u *upstream) log() []string {
	u.mu.Lock()
	defer u.mu.Unlock()
	return append([]string(nil), u.asked...)
}

// waitAsked waits until n questions came.
func (u *upstream) waitAsked(t testing.TB, n int) {
	t.Helper()
	deadline := time.After(10 * time.Second)
	for {
		u.mu.Lock()
		have, changed := len(u.asked), u.changed
		u.mu.Unlock()
		if have >= n {
			return
		}
		select {
		case <-changed:
		case <-deadline:
			t.Fatalf("%d questions came, want %d: %q", have, n, u.log())
		}
	}
}

// records answers with records in the text of a master file; "@" is the question's name.
func records(rrs ...string) answers {
	return func(_ string, q *miekg.Msg, _ []byte, _ *net.UDPAddr) [][]byte { return [][]byte{reply(q, 0, rrs...)} }
}

// reply makes a reply; records after "authority" and "additional" go to those sections.
func reply(q *miekg.Msg, rcode int, rrs ...string) []byte {
	m := new(miekg.Msg)
	m.SetRcode(q, rcode)
	m.RecursionAvailable = true
	m.Compress = true
	section := &m.Answer
	for _, text := range rrs {
		switch text {
		case "authority":
			section = &m.Ns
			continue
		case "additional":
			section = &m.Extra
			continue
		}
		rr, err := miekg.NewRR(strings.Replace(text, "@", q.Question[0].Name, 1))
		if err != nil {
			panic(err)
		}
		*section = append(*section, rr)
	}
	return pack(m)
}

func pack(m *miekg.Msg) []byte {
	b, err := m.Pack()
	if err != nil {
		panic(err)
	}
	return b
}

func silent(string, *miekg.Msg, []byte, *net.UDPAddr) [][]byte { return nil }

// clock is a clock that tests move.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	c.now = c.now.Add(d)
	c.mu.Unlock()
}

// world is a forwarder with its clock and metrics.
type world struct {
	*forward.Forwarder
	clock   *clock
	metrics *prometheus.Registry
}

func newWorld(t testing.TB, change func(*forward.Config, *forward.Deps), servers ...string) world {
	t.Helper()
	w := world{clock: &clock{now: time.Unix(1_800_000_000, 0)}, metrics: prometheus.NewRegistry()}
	cfg, deps := forward.Default(), forward.Deps{Now: w.clock.Now, Metrics: w.metrics}
	cfg.Servers = servers
	if change != nil {
		change(&cfg, &deps)
	}
	var err error
	if w.Forwarder, err = forward.New(cfg, deps); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		select {
		case <-done:
		case <-time.After(20 * time.Second):
			t.Error("Run does not return")
		}
	})
	return w
}

// query makes a query with EDNS.
func query(name string, typ uint16) *miekg.Msg {
	m := new(miekg.Msg)
	m.SetQuestion(miekg.Fqdn(name), typ)
	m.SetEdns0(1232, false)
	return m
}

// ask resolves a query and reads the reply.
func (w world) ask(t testing.TB, q *miekg.Msg) *miekg.Msg {
	t.Helper()
	return w.askSize(t, q, 65535)
}

func (w world) askSize(t testing.TB, q *miekg.Msg, size int) *miekg.Msg {
	t.Helper()
	out, err := w.Resolve(t.Context(), nil, pack(q), size)
	if err != nil {
		t.Fatalf("Resolve(%v) = %v", q.Question, err)
	}
	if len(out) > size {
		t.Fatalf("a reply of %d bytes, at most %d", len(out), size)
	}
	m := new(miekg.Msg)
	if err := m.Unpack(out); err != nil {
		t.Fatalf("the reply cannot be read: %v\n%x", err, out)
	}
	if m.Id != q.Id || len(m.Question) != 1 || m.Question[0] != q.Question[0] || !m.Response || m.Opcode != 0 {
		t.Fatalf("no reply to %v: %v", q, m)
	}
	return m
}

// texts gives records as text without tabs.
func texts(rrs []miekg.RR) string {
	var out []string
	for _, rr := range rrs {
		if rr.Header().Rrtype != miekg.TypeOPT {
			out = append(out, strings.Join(strings.Fields(rr.String()), " "))
		}
	}
	return strings.Join(out, "\n")
}

// extended gives the extended error of a reply, or -1.
func extended(m *miekg.Msg) int {
	if opt := m.IsEdns0(); opt != nil {
		for _, o := range opt.Option {
			if e, ok := o.(*miekg.EDNS0_EDE); ok {
				return int(e.InfoCode)
			}
		}
	}
	return -1
}

// count is the value of a metric with a label value, summed over the other labels.
func (w world) count(t testing.TB, name, label string) float64 {
	t.Helper()
	families, err := w.metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	sum := 0.0
	for _, fam := range families {
		if fam.GetName() != name {
			continue
		}
		for _, m := range fam.GetMetric() {
			match := label == ""
			for _, l := range m.GetLabel() {
				match = match || l.GetValue() == label
			}
			if match {
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return sum
}
