package listen

import (
	"net"
	"net/netip"
	"testing"
	"time"

	miekg "github.com/miekg/dns"

	"github.com/kamado/kamado/dns/answer"
)

func TestRateLimit(t *testing.T) {
	t.Parallel()
	l := newLimiter(10)
	now := time.Now()
	count := func(client string, n int, at time.Time) (c [3]int) {
		for range n {
			c[l.judge(netip.MustParseAddr(client), at)]++
		}
		return c
	}
	if got := count("192.0.2.1", 30, now); got != [3]int{10, 10, 10} {
		t.Errorf("30 in a second: %v, want 10 passed, 10 dropped, 10 slipped", got)
	}
	if got := count("192.0.2.200", 2, now); got[pass] != 0 {
		t.Errorf("another address of the /24: %v", got)
	}
	if got := count("192.0.2.1", 5, now.Add(time.Second)); got[pass] != 5 {
		t.Errorf("a second later: %v", got)
	}
	if got := count("2001:db8:0:1::1", 20, now); got[pass] != 10 {
		t.Errorf("IPv6: %v", got)
	}
	if got := count("2001:db8:0:2::1", 1, now); got[pass] != 0 {
		t.Errorf("the same /56: %v", got)
	}
	if newLimiter(0).guarded() || !l.guarded() {
		t.Error("guarded is wrong")
	}
}

// TestRateLimitOnTheWire floods, and wants few answers, some of them truncated, TCP to answer, and a client with a cookie to be believed.
func TestRateLimitOnTheWire(t *testing.T) {
	t.Parallel()
	s := serve(t, Config{RateLimit: 5, Threads: 1}, table(t, answer.Config{Cookies: true}), Mux{})
	at := s.Addresses()[0].String()
	conn, err := net.Dial("udp", at)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	b, _ := question("web.svc.test", "A").Pack()
	until(t, "answers were dropped and slipped", func() bool {
		_, _ = conn.Write(b)
		c := s.workers[0].counts
		return c.dropped.Load() > 3 && c.slipped.Load() > 3
	})
	if r := exchange(t, "tcp", at, question("web.svc.test", "A")); len(r.Answer) != 1 {
		t.Errorf("over TCP: %v", r)
	}
	buf := make([]byte, 512)
	tc := false
	_ = conn.SetReadDeadline(time.Now().Add(5 * time.Second))
	for !tc {
		n, err := conn.Read(buf)
		if err != nil {
			t.Fatalf("no truncated answer: %v", err)
		}
		m := new(miekg.Msg)
		if err := m.Unpack(buf[:n]); err != nil {
			t.Fatal(err)
		}
		tc = m.Truncated && len(m.Answer) == 0 && len(m.Question) == 1
	}
	ask := func(cookie string) (*miekg.Msg, string) {
		m := question("web.svc.test", "A").SetEdns0(1232, false)
		m.IsEdns0().Option = []miekg.EDNS0{&miekg.EDNS0_COOKIE{Code: miekg.EDNS0COOKIE, Cookie: cookie}}
		r := exchange(t, "tcp", at, m)
		if cookie == "" || len(cookie) == 48 {
			r = exchange(t, "udp", at, m)
		}
		return r, r.IsEdns0().Option[0].(*miekg.EDNS0_COOKIE).Cookie
	}
	_, cookie := ask("0102030405060708")
	for range 50 {
		if r, _ := ask(cookie); len(r.Answer) != 1 {
			t.Fatalf("with a cookie: %v", r)
		}
	}
}
