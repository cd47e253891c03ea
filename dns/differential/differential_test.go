package differential

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	miekg "github.com/miekg/dns"

	"github.com/kamado/kamado/dns"
	"github.com/kamado/kamado/dns/answer"
	"github.com/kamado/kamado/dns/listen"
	"github.com/kamado/kamado/dns/message"
	"github.com/kamado/kamado/internal/dnspeer"
)

// TestAnswersAreThoseOfNSDAndKnot is the comparison. KAMADO_TEST_SEED asks about other zones.
func TestAnswersAreThoseOfNSDAndKnot(t *testing.T) {
	t.Parallel()
	dnspeer.Need(t, "nsd, knot and bind9-dnsutils", "nsd", "knotd", "dig")
	zones, questions := 10, 500
	long := os.Getenv("KAMADO_TEST_ALL") != ""
	if long {
		zones, questions = 60, 3000
	}
	seed := uint64(1)
	if text := os.Getenv("KAMADO_TEST_SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	var makers []*maker
	var files []dnspeer.Zone
	table, err := answer.New(answer.Config{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range zones {
		m := newMaker(seed+uint64(i), fmt.Sprintf("z%d.test", i))
		text := m.zone(60)
		z, err := message.ReadZone(strings.NewReader(text), dns.MustName(m.apex), "")
		if err != nil {
			t.Fatalf("seed %d: %v\n%s", seed+uint64(i), err, text)
		}
		if err := table.PutStatic(z.Apex, z.RRs); err != nil {
			t.Fatal(err)
		}
		makers, files = append(makers, m), append(files, dnspeer.Zone{Name: m.apex, File: text})
	}
	c := comparison{t: t, used: map[string]int{}, servers: []*client{
		newClient(t, "ours", serve(t, table)), newClient(t, "nsd", dnspeer.NSD(t, dnspeer.Key{}, files...)), newClient(t, "knot", dnspeer.Knot(t, dnspeer.Key{}, files...)),
	}}
	for i, m := range makers {
		c.seed = seed + uint64(i)
		for range questions {
			c.ask(m.question())
			if c.failures > 20 {
				t.Fatal("more than 20 unexplained differences")
			}
		}
	}
	for _, e := range explanations {
		t.Logf("%6d times: %s", c.used[e.name], e.name)
		if c.used[e.name] == 0 && long {
			t.Errorf("nothing is explained by %q any more", e.name)
		}
	}
}

// serve answers from a table on loopback.
func serve(t *testing.T, table *answer.Table) netip.AddrPort {
	t.Helper()
	s, err := listen.New(listen.Config{DNS: []string{"127.0.0.1:0"}, Threads: 1}, table, listen.Mux{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return s.Addresses()[0]
}

// client keeps a socket and a connection to a server.
type client struct {
	t    *testing.T
	name string
	at   netip.AddrPort
	udp  net.Conn
	tcp  net.Conn
	id   uint16
}

func newClient(t *testing.T, name string, at netip.AddrPort) *client {
	t.Helper()
	udp, err := net.Dial("udp", at.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { udp.Close() })
	return &client{t: t, name: name, at: at, udp: udp}
}

// ask asks one question.
func (c *client) ask(q question) reply {
	c.t.Helper()
	c.id++
	m := miekg.Msg{MsgHdr: miekg.MsgHdr{Id: c.id}, Question: []miekg.Question{{Name: q.name, Qtype: q.typ, Qclass: miekg.ClassINET}}}
	if q.size > 0 {
		m.SetEdns0(q.size, q.do)
	}
	packet, err := m.Pack()
	if err != nil {
		c.t.Fatal(err)
	}
	out, err := c.exchange(packet, q.stream)
	if err != nil {
		c.t.Fatalf("%s does not answer %v: %v", c.name, q, err)
	}
	r, err := read(out, q)
	if err != nil {
		c.t.Fatalf("%s answers %v wrongly: %v", c.name, q, err)
	}
	return r
}

func (c *client) exchange(packet []byte, stream bool) ([]byte, error) {
	if stream {
		return c.overTCP(packet)
	}
	buf := make([]byte, 65535)
	for try := 0; ; try++ {
		if _, err := c.udp.Write(packet); err != nil {
			return nil, err
		}
		_ = c.udp.SetReadDeadline(time.Now().Add(2 * time.Second))
		for {
			n, err := c.udp.Read(buf)
			if err == nil && n > 2 && buf[0] == packet[0] && buf[1] == packet[1] {
				return buf[:n], nil
			}
			if err != nil && try == 2 {
				return nil, err
			}
			if err != nil {
				break
			}
		}
	}
}

// overTCP keeps its connection; a server that has closed it is connected once more.
func (c *client) overTCP(packet []byte) ([]byte, error) {
	frame := append(binary.BigEndian.AppendUint16(nil, uint16(len(packet))), packet...)
	for try := 0; ; try++ {
		if c.tcp == nil {
			var err error
			if c.tcp, err = net.Dial("tcp", c.at.String()); err != nil {
				return nil, err
			}
			c.t.Cleanup(func() { c.tcp.Close() })
		}
		_ = c.tcp.SetDeadline(time.Now().Add(5 * time.Second))
		out, err := overConn(c.tcp, frame)
		if err == nil || try == 2 {
			return out, err
		}
		c.tcp.Close()
		c.tcp = nil
	}
}

func overConn(conn net.Conn, frame []byte) ([]byte, error) {
	if _, err := conn.Write(frame); err != nil {
		return nil, err
	}
	var length [2]byte
	if _, err := io.ReadFull(conn, length[:]); err != nil {
		return nil, err
	}
	out := make([]byte, binary.BigEndian.Uint16(length[:]))
	_, err := io.ReadFull(conn, out)
	return out, err
}

// comparison is a run over many questions.
type comparison struct {
	t        *testing.T
	servers  []*client // ours first
	seed     uint64
	used     map[string]int // explanations
	failures int
}

// ask asks all servers one question, and complains of what nothing explains.
func (c *comparison) ask(q question) {
	c.t.Helper()
	ours := c.servers[0].ask(q)
	if ours.tc {
		whole := q
		whole.stream = true
		c.ask(whole)
	}
	for _, peer := range c.servers[1:] {
		theirs := peer.ask(q)
		left := differences(ours, theirs)
		for _, e := range explanations {
			if len(left) == 0 {
				break
			}
			aspects, before := e.explain(q, ours, theirs), len(left)
			left = slices.DeleteFunc(left, func(a string) bool { return slices.Contains(aspects, a) })
			if len(left) < before {
				c.used[e.name]++
			}
		}
		if len(left) > 0 {
			c.failures++
			c.t.Errorf("seed %d: %v differs from %s in %v\nours: %v\n%s: %v", c.seed, q, peer.name, left, ours, peer.name, theirs)
		}
	}
}
