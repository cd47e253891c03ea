package listen

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	miekg "github.com/miekg/dns"
	"golang.org/x/sys/unix"

	"github.com/kamado/kamado/dns"
	"github.com/kamado/kamado/dns/answer"
)

// TestBurst lets packets of several clients wait before the server runs, so that
// they are taken in batches and answered together, and wants every client to hear
// each of its own answers, from the address that it asked.
func TestBurst(t *testing.T) {
	t.Parallel()
	a := table(t, answer.Config{})
	for i := range 300 { // names, and so answers, of several lengths
		name := dns.Name(fmt.Sprintf("h%d.svc.test", i))
		a.Put(dns.Set{Name: name, RRs: []dns.RR{dns.AddrRR(name, netip.AddrFrom4([4]byte{10, 2, byte(i >> 8), byte(i)}), 5)}})
	}
	for _, c := range []struct{ listen, ask string }{{"127.0.0.1:0", "127.0.0.1"}, {"0.0.0.0:0", "127.0.0.2"}, {"[::1]:0", "::1"}, {"[::]:0", "::1"}} {
		t.Run(c.listen+" at "+c.ask, func(t *testing.T) {
			s, err := New(Config{DNS: []string{c.listen}, Threads: 1}, a, Mux{})
			if err != nil {
				t.Fatal(err)
			}
			at := netip.AddrPortFrom(netip.MustParseAddr(c.ask), s.Addresses()[0].Port())
			var conns []net.Conn
			for range 3 {
				conn, err := net.Dial("udp", at.String())
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				conns = append(conns, conn)
			}
			for i := range 300 {
				m := question(fmt.Sprintf("h%d.svc.test", i), "A")
				m.Id = uint16(i)
				b, _ := m.Pack()
				if _, err := conns[i%len(conns)].Write(b); err != nil {
					t.Fatal(err)
				}
			}
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() { done <- s.Run(ctx) }()
			defer func() {
				cancel()
				if err := <-done; err != nil {
					t.Error(err)
				}
			}()
			for k, conn := range conns {
				hear(t, conn, k, len(conns))
			}
		})
	}
}

// hear reads the answers of client k of n.
func hear(t *testing.T, conn net.Conn, k, n int) {
	t.Helper()
	_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	buf := make([]byte, 2048)
	seen := map[uint16]bool{}
	for len(seen) < 100 {
		length, err := conn.Read(buf)
		if err != nil {
			t.Fatalf("client %d heard %d answers of 100: %v", k, len(seen), err)
		}
		m := new(miekg.Msg)
		if err := m.Unpack(buf[:length]); err != nil {
			t.Fatal(err)
		}
		want := netip.AddrFrom4([4]byte{10, 2, byte(m.Id >> 8), byte(m.Id)}).String()
		if int(m.Id)%n != k || seen[m.Id] || len(m.Answer) != 1 || m.Answer[0].(*miekg.A).A.String() != want {
			t.Fatalf("client %d heard %v", k, m)
		}
		seen[m.Id] = true
	}
}

// TestRefusedTogether wants responses that the system does not take as one
// message to be sent one by one, and too long ones to be sent truncated.
func TestRefusedTogether(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		errno     unix.Errno
		together  bool
		truncated bool
	}{{unix.EIO, false, false}, {unix.EINVAL, false, false}, {unix.EMSGSIZE, true, true}, {unix.EPERM, true, false}} {
		s, err := New(Config{DNS: []string{"127.0.0.1:0"}, Threads: 1}, table(t, answer.Config{}), Mux{})
		if err != nil {
			t.Fatal(err)
		}
		defer s.close()
		w := s.workers[0]
		if !w.out.together {
			t.Skip("this system has no UDP_SEGMENT")
		}
		conn, err := net.Dial("udp", s.Addresses()[0].String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		b, _ := question("web.svc.test", "A").Pack()
		for range 3 {
			if _, err := conn.Write(b); err != nil {
				t.Fatal(err)
			}
		}
		n, errno := w.ring.receive(w.fd)
		if errno != 0 || n != 3 {
			t.Fatalf("received %d, %v", n, errno)
		}
		for i := range n {
			response, _ := s.table.Answer(answer.Query{Packet: w.ring.queries[i][:w.ring.in[i].length], Client: w.ring.client(i)}, w.out.room())
			w.out.add(i, response)
		}
		if w.out.count != 1 || w.out.groups[0].count != 3 {
			t.Fatalf("%d messages, the first of %d responses; want one of three", w.out.count, w.out.groups[0].count)
		}
		w.out.prepare(0, &w.ring.in[0].header, 0, 3)
		w.out.retry(0, c.errno)
		if w.out.together != c.together {
			t.Errorf("%v: together is %t", c.errno, w.out.together)
		}
		_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
		buf := make([]byte, 512)
		for range 3 {
			length, err := conn.Read(buf)
			if err != nil {
				t.Fatalf("%v: %v", c.errno, err)
			}
			m := new(miekg.Msg)
			if err := m.Unpack(buf[:length]); err != nil || m.Truncated != c.truncated || (len(m.Answer) == 1) == c.truncated {
				t.Errorf("%v: %v, %v", c.errno, m, err)
			}
		}
	}
}
