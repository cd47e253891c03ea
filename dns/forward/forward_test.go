package forward_test

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	miekg "github.com/miekg/dns"

	"github.com/kamado/kamado/dns"
	"github.com/kamado/kamado/dns/forward"
	"github.com/kamado/kamado/dns/listen"
)

const results = "kamado_dns_forward_queries_total"

func TestAnswersAreKeptAndCountedDown(t *testing.T) {
	t.Parallel()
	u := newUpstream(t, records("@ 300 IN CNAME web.example.com.", "web.example.com. 120 IN A 192.0.2.1", "web.example.com. 120 IN A 192.0.2.2"))
	w := newWorld(t, nil, u.addr.String())
	first := w.ask(t, query("WWW.example.com", miekg.TypeA))
	want := "WWW.example.com. 300 IN CNAME web.example.com.\nweb.example.com. 120 IN A 192.0.2.1\nweb.example.com. 120 IN A 192.0.2.2"
	if got := texts(first.Answer); got != want || first.Rcode != 0 || !first.RecursionAvailable || first.Authoritative {
		t.Fatalf("answer = %v", first)
	}
	w.clock.pass(100 * time.Second)
	second := w.ask(t, query("www.EXAMPLE.com", miekg.TypeA))
	want = "www.EXAMPLE.com. 200 IN CNAME web.example.com.\nweb.example.com. 20 IN A 192.0.2.1\nweb.example.com. 20 IN A 192.0.2.2"
	if got := texts(second.Answer); got != want {
		t.Errorf("after 100 s: %s\nwant %s", got, want)
	}
	if log := u.log(); len(log) != 1 {
		t.Errorf("asked %q, want one question", log)
	}
	w.clock.pass(20 * time.Second)
	if got := w.ask(t, query("www.example.com", miekg.TypeA)); len(got.Answer) != 3 || got.Answer[1].Header().Ttl != 120 {
		t.Errorf("after its TTL: %v", got)
	}
	if log := u.log(); len(log) != 2 {
		t.Errorf("asked %q, want two questions: the least TTL was over", log)
	}
}

func TestKeysTellDOAndCDApart(t *testing.T) {
	t.Parallel()
	var seen atomic.Int32
	u := newUpstream(t, func(_ string, q *miekg.Msg, _ []byte, _ *net.UDPAddr) [][]byte {
		seen.Add(1)
		if opt := q.IsEdns0(); opt == nil || !q.RecursionDesired {
			return nil
		}
		if q.IsEdns0().Do() {
			return [][]byte{reply(q, 0, "@ 60 IN A 192.0.2.1", "@ 60 IN RRSIG A 8 3 60 20300101000000 20200101000000 1 example.com. AAAA")}
		}
		return [][]byte{reply(q, 0, "@ 60 IN A 192.0.2.1")}
	})
	w := newWorld(t, nil, u.addr.String())
	plain, secure, unchecked := query("a.example.com", miekg.TypeA), query("a.example.com", miekg.TypeA), query("a.example.com", miekg.TypeA)
	secure.SetEdns0(1232, true)
	secure.Extra = secure.Extra[1:]
	unchecked.CheckingDisabled = true
	for range 2 {
		if got := w.ask(t, plain); len(got.Answer) != 1 || got.IsEdns0().Do() {
			t.Errorf("without DO: %v", got)
		}
		if got := w.ask(t, secure); len(got.Answer) != 2 || !got.IsEdns0().Do() {
			t.Errorf("with DO: %v", got)
		}
		if got := w.ask(t, unchecked); !got.CheckingDisabled {
			t.Errorf("with CD: %v", got)
		}
	}
	if seen.Load() != 3 {
		t.Errorf("%d questions were asked, want 3", seen.Load())
	}
}

func TestADPassesOnlyFromATrustedServerToWhoReadsIt(t *testing.T) {
	t.Parallel()
	u := newUpstream(t, func(_ string, q *miekg.Msg, _ []byte, _ *net.UDPAddr) [][]byte {
		m := new(miekg.Msg)
		m.SetReply(q)
		m.AuthenticatedData = true
		return [][]byte{pack(m)}
	})
	w := newWorld(t, nil, u.addr.String()) // on the loopback: trusted
	q := query("a.example.com", miekg.TypeA)
	if w.ask(t, q).AuthenticatedData {
		t.Error("AD was given to a client that asked for neither AD nor DO")
	}
	q.AuthenticatedData = true
	if !w.ask(t, q).AuthenticatedData {
		t.Error("AD was kept from a client that asked for it")
	}
}

func TestNegativeAnswersAreKept(t *testing.T) {
	t.Parallel()
	soa := "example.com. 900 IN SOA ns.example.com. root.example.com. 1 2 3 4 60"
	for _, c := range []struct {
		name    string
		rcode   int
		rrs     []string
		keep    time.Duration // 0: not at all
		ofTypes int           // types of the name that are known afterwards
	}{
		{"no data", 0, []string{"authority", soa}, 60 * time.Second, 1},
		{"no such name, of any type", miekg.RcodeNameError, []string{"authority", soa}, 60 * time.Second, 2},
		{"an alias to nothing", miekg.RcodeNameError, []string{"@ 30 IN CNAME gone.example.com.", "authority", soa}, 30 * time.Second, 1},
		{"the TTL of the SOA is the least", 0, []string{"authority", strings.Replace(soa, "900", "10", 1)}, 10 * time.Second, 1},
		{"without a SOA", miekg.RcodeNameError, nil, 0, 0},
		{"the SOA of a stranger", miekg.RcodeNameError, []string{"authority", strings.Replace(soa, "example.com.", "example.net.", 1)}, 0, 0},
		{"far too long", 0, []string{"authority", strings.Replace(strings.Replace(soa, " 60", " 90000", 1), "900 IN", "90000 IN", 1)}, time.Hour, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			u := newUpstream(t, func(_ string, q *miekg.Msg, _ []byte, _ *net.UDPAddr) [][]byte {
				return [][]byte{reply(q, c.rcode, c.rrs...)}
			})
			w := newWorld(t, func(cfg *forward.Config, _ *forward.Deps) { cfg.Attempts = 1 }, u.addr.String())
			asked := 0
			check := func(typ uint16, asks bool) {
				t.Helper()
				if asks {
					asked++
				}
				if got := w.ask(t, query("x.example.com", typ)); got.Rcode != c.rcode {
					t.Fatalf("answer = %v", got)
				}
				if got := len(u.log()); got != asked {
					t.Fatalf("%d questions were asked, want %d", got, asked)
				}
			}
			check(miekg.TypeA, true)
			check(miekg.TypeA, c.keep == 0)
			check(miekg.TypeAAAA, c.ofTypes < 2)
			if c.keep > 0 {
				w.clock.pass(c.keep - time.Second)
				check(miekg.TypeA, false)
				w.clock.pass(time.Second)
				check(miekg.TypeA, true)
			}
		})
	}
}

func TestCutTakesWhatLiesBelowAlong(t *testing.T) {
	t.Parallel()
	soa := "example.com. 900 IN SOA ns.example.com. root.example.com. 1 2 3 4 60"
	for _, cut := range []bool{false, true} {
		u := newUpstream(t, func(_ string, q *miekg.Msg, _ []byte, _ *net.UDPAddr) [][]byte {
			return [][]byte{reply(q, miekg.RcodeNameError, "authority", soa)}
		})
		w := newWorld(t, func(cfg *forward.Config, _ *forward.Deps) { cfg.Cut = cut }, u.addr.String())
		w.ask(t, query("none.example.com", miekg.TypeA))
		got := w.ask(t, query("a.deep.none.example.com", miekg.TypeMX))
		if want := map[bool]int{false: 2, true: 1}[cut]; len(u.log()) != want || got.Rcode != miekg.RcodeNameError || !strings.HasPrefix(texts(got.Ns), "example.com. 60 IN SOA") && !strings.HasPrefix(texts(got.Ns), "example.com. 900") {
			t.Errorf("cut %v: asked %q, answer %v", cut, u.log(), got)
		}
	}
}

func TestEqualQuestionsShareAFlight(t *testing.T) {
	t.Parallel()
	const clients = 50
	release := make(chan struct{})
	u := newUpstream(t, func(_ string, q *miekg.Msg, _ []byte, _ *net.UDPAddr) [][]byte {
		<-release
		return [][]byte{reply(q, 0, "@ 0 IN A 192.0.2.9")}
	})
	w := newWorld(t, func(cfg *forward.Config, _ *forward.Deps) { cfg.Attempts = 1 }, u.addr.String())
	var done sync.WaitGroup
	for range clients {
		done.Go(func() {
			if got := w.ask(t, query("one.example.com", miekg.TypeA)); texts(got.Answer) != "one.example.com. 0 IN A 192.0.2.9" {
				t.Errorf("answer = %v", got)
			}
		})
	}
	waitFor(t, func() bool { return w.count(t, results, "coalesced") == clients-1 })
	close(release)
	done.Wait()
	if log := u.log(); len(log) != 1 {
		t.Errorf("asked %q, want one question", log)
	}
	w.ask(t, query("one.example.com", miekg.TypeA))
	if log := u.log(); len(log) != 2 {
		t.Errorf("asked %q: an answer with TTL 0 was kept", log)
	}
}

func TestFlightsAreBounded(t *testing.T) {
	t.Parallel()
	u := newUpstream(t, silent)
	w := newWorld(t, func(cfg *forward.Config, _ *forward.Deps) { cfg.FlightsMax = 2 }, u.addr.String())
	ctx, cancel := context.WithCancel(t.Context())
	var done sync.WaitGroup
	for _, name := range []string{"a", "b"} {
		done.Go(func() {
			if _, err := w.Resolve(ctx, nil, pack(query(name+".example.com", miekg.TypeA)), 65535); !errors.Is(err, context.Canceled) {
				t.Errorf("Resolve = %v, want its context's error", err)
			}
		})
	}
	u.waitAsked(t, 2)
	if got := w.ask(t, query("c.example.com", miekg.TypeA)); got.Rcode != miekg.RcodeServerFailure || extended(got) != 0 {
		t.Errorf("answer = %v", got)
	}
	if w.count(t, results, "full") != 1 || w.count(t, "kamado_dns_forward_flights", "") != 2 {
		t.Error("the bound was not counted")
	}
	cancel()
	done.Wait()
}

func TestStaleAnswers(t *testing.T) {
	t.Parallel()
	u := newUpstream(t, records("@ 60 IN A 192.0.2.1"))
	w := newWorld(t, func(cfg *forward.Config, _ *forward.Deps) {
		cfg.StaleWait, cfg.TryTimeout, cfg.Timeout = 50*time.Millisecond, 200*time.Millisecond, 200*time.Millisecond
	}, u.addr.String())
	q := query("s.example.com", miekg.TypeA)
	w.ask(t, q)
	u.set(silent)
	w.clock.pass(61 * time.Second)
	got := w.ask(t, q)
	if texts(got.Answer) != "s.example.com. 30 IN A 192.0.2.1" || extended(got) != miekgStale {
		t.Fatalf("with a silent server: %v", got)
	}
	waitFor(t, func() bool { return w.count(t, "kamado_dns_forward_flights", "") == 0 })
	before := len(u.log())
	if got := w.ask(t, q); extended(got) != miekgStale || len(u.log()) != before {
		t.Errorf("within the time of recheck %d questions were asked, and the answer is %v", len(u.log())-before, got)
	}
	w.clock.pass(31 * time.Second)
	u.set(records("@ 60 IN A 192.0.2.2"))
	if got := w.ask(t, q); texts(got.Answer) != "s.example.com. 60 IN A 192.0.2.2" || extended(got) >= 0 {
		t.Errorf("after it came back: %v", got)
	}
	u.set(func(_ string, q *miekg.Msg, _ []byte, _ *net.UDPAddr) [][]byte {
		return [][]byte{reply(q, miekg.RcodeServerFailure)}
	})
	w.clock.pass(2 * time.Minute)
	if got := w.ask(t, q); extended(got) != miekgStale {
		t.Errorf("a failure took the place of a stale answer: %v", got)
	}
	w.clock.pass(25 * time.Hour)
	if got := w.ask(t, q); got.Rcode != miekg.RcodeServerFailure {
		t.Errorf("after a day: %v", got)
	}
}

func TestAStaleNameErrorSaysSo(t *testing.T) {
	t.Parallel()
	u := newUpstream(t, func(_ string, q *miekg.Msg, _ []byte, _ *net.UDPAddr) [][]byte {
		return [][]byte{reply(q, miekg.RcodeNameError, "authority", "example.com. 60 IN SOA a. b. 1 2 3 4 60")}
	})
	w := newWorld(t, nil, u.addr.String())
	q := query("no.example.com", miekg.TypeA)
	w.ask(t, q)
	u.set(func(_ string, q *miekg.Msg, _ []byte, _ *net.UDPAddr) [][]byte {
		return [][]byte{reply(q, miekg.RcodeServerFailure)}
	})
	w.clock.pass(2 * time.Minute)
	if got := w.ask(t, q); got.Rcode != miekg.RcodeNameError || extended(got) != 19 {
		t.Errorf("answer = %v", got)
	}
}

const miekgStale = 3

func TestPopularAnswersAreFetchedAgainInTime(t *testing.T) {
	t.Parallel()
	u := newUpstream(t, records("@ 100 IN A 192.0.2.1"))
	w := newWorld(t, nil, u.addr.String())
	q := query("p.example.com", miekg.TypeA)
	for range 4 {
		w.ask(t, q)
	}
	w.clock.pass(80 * time.Second)
	w.ask(t, q)
	if n := len(u.log()); n != 1 {
		t.Fatalf("%d questions before the last tenth", n)
	}
	w.clock.pass(15 * time.Second)
	if got := w.ask(t, q); got.Answer[0].Header().Ttl != 5 {
		t.Errorf("a client waited for the prefetch: %v", got)
	}
	u.waitAsked(t, 2)
	waitFor(t, func() bool { return w.ask(t, q).Answer[0].Header().Ttl == 100 })
	if n := len(u.log()); n != 2 {
		t.Errorf("%d questions, want 2", n)
	}
	if w.count(t, "kamado_dns_forward_prefetches_total", "") != 1 {
		t.Error("the prefetch was not counted")
	}
}

func TestTTLsAreBounded(t *testing.T) {
	t.Parallel()
	u := newUpstream(t, records("@ 5 IN A 192.0.2.1", "@ 900000 IN A 192.0.2.2"))
	w := newWorld(t, func(cfg *forward.Config, _ *forward.Deps) { cfg.TTLMin, cfg.TTLMax = 20*time.Second, time.Hour }, u.addr.String())
	if got := texts(w.ask(t, query("t.example.com", miekg.TypeA)).Answer); got != "t.example.com. 20 IN A 192.0.2.1\nt.example.com. 3600 IN A 192.0.2.2" {
		t.Errorf("answer = %s", got)
	}
}

func TestOurNamesAreNeverSentOut(t *testing.T) {
	t.Parallel()
	u := newUpstream(t, records("@ 60 IN A 192.0.2.1"))
	w := newWorld(t, func(_ *forward.Config, d *forward.Deps) {
		d.Ours = func(n dns.Name) bool { return n.Under("svc.example") }
	}, u.addr.String())
	for _, name := range []string{"svc.example", "Web.SVC.Example", "x.y.svc.example"} {
		if got := w.ask(t, query(name, miekg.TypeA)); got.Rcode != miekg.RcodeRefused {
			t.Errorf("%s: %v", name, got)
		}
	}
	if log := u.log(); len(log) != 0 {
		t.Errorf("asked %q", log)
	}
	if got := w.ask(t, query("notsvc.example", miekg.TypeA)); got.Rcode != 0 {
		t.Errorf("a neighbour: %v", got)
	}
}

func TestNamesOfSpecialUse(t *testing.T) {
	t.Parallel()
	u := newUpstream(t, records("@ 60 IN PTR out.example."))
	w := newWorld(t, func(cfg *forward.Config, _ *forward.Deps) { cfg.Pass = []dns.Name{"2.10.in-addr.arpa", "home.arpa"} }, u.addr.String())
	for _, c := range []struct {
		name   string
		typ    uint16
		rcode  int
		answer string
	}{
		{"a.test", miekg.TypeA, miekg.RcodeNameError, ""},
		{"test", miekg.TypeA, miekg.RcodeNameError, ""},
		{"x.Invalid", miekg.TypeMX, miekg.RcodeNameError, ""},
		{"secret.onion", miekg.TypeAAAA, miekg.RcodeNameError, ""},
		{"printer.local", miekg.TypeA, miekg.RcodeNameError, ""},
		{"localhost", miekg.TypeA, 0, "localhost. 300 IN A 127.0.0.1"},
		{"my.LOCALHOST", miekg.TypeAAAA, 0, "my.LOCALHOST. 300 IN AAAA ::1"},
		{"localhost", miekg.TypeMX, 0, ""},
		{"1.1.10.in-addr.arpa", miekg.TypePTR, miekg.RcodeNameError, ""},
		{"10.in-addr.arpa", miekg.TypePTR, 0, ""},
		{"4.3.16.172.in-addr.arpa", miekg.TypePTR, miekg.RcodeNameError, ""},
		{"4.3.31.172.in-addr.arpa", miekg.TypePTR, miekg.RcodeNameError, ""},
		{"1.1.127.100.in-addr.arpa", miekg.TypePTR, miekg.RcodeNameError, ""},
		{"8.b.d.0.1.0.0.2.ip6.arpa", miekg.TypePTR, 0, ""},
		{"_dns.resolver.arpa", 64, miekg.RcodeNameError, ""},
	} {
		got := w.ask(t, query(c.name, c.typ))
		if got.Rcode != c.rcode || texts(got.Answer) != c.answer || c.answer == "" && !strings.Contains(texts(got.Ns), "SOA") {
			t.Errorf("%s %d: %v", c.name, c.typ, got)
		}
	}
	if log := u.log(); len(log) != 0 {
		t.Fatalf("asked %q", log)
	}
	for _, name := range []string{"1.2.10.in-addr.arpa", "x.home.arpa", "4.3.32.172.in-addr.arpa", "1.1.128.100.in-addr.arpa", "mylocalhost", "test.example"} {
		if got := w.ask(t, query(name, miekg.TypePTR)); len(got.Answer) != 1 {
			t.Errorf("%s was not forwarded: %v", name, got)
		}
	}
}

func TestWhatIsNotForwarded(t *testing.T) {
	t.Parallel()
	u := newUpstream(t, records("@ 60 IN A 192.0.2.1"))
	w := newWorld(t, nil, u.addr.String())
	change := func(f func(*miekg.Msg)) *miekg.Msg { q := query("x.example.com", miekg.TypeA); f(q); return q }
	for _, c := range []struct {
		name  string
		q     *miekg.Msg
		rcode int
	}{
		{"no recursion wanted", change(func(q *miekg.Msg) { q.RecursionDesired = false }), miekg.RcodeRefused},
		{"a transfer", change(func(q *miekg.Msg) { q.Question[0].Qtype = miekg.TypeAXFR }), miekg.RcodeRefused},
		{"a meta type", change(func(q *miekg.Msg) { q.Question[0].Qtype = 250 }), miekg.RcodeRefused},
		{"class CHAOS", change(func(q *miekg.Msg) { q.Question[0].Qclass = miekg.ClassCHAOS }), miekg.RcodeRefused},
		{"a version of EDNS to come", change(func(q *miekg.Msg) { q.IsEdns0().SetVersion(1) }), miekg.RcodeBadVers},
	} {
		if got := w.ask(t, c.q); got.Rcode != c.rcode {
			t.Errorf("%s: %v", c.name, got)
		}
	}
	for name, packet := range map[string][]byte{
		"nothing": nil, "a reply": reply(query("a.example", miekg.TypeA), 0), "half a name": pack(query("abc.example", miekg.TypeA))[:20],
		"two OPTs": pack(change(func(q *miekg.Msg) { q.SetEdns0(1232, false) })),
	} {
		_, err := w.Resolve(t.Context(), nil, packet, 512)
		if dns.KindOf(err) != dns.Invalid {
			t.Errorf("%s: Resolve = %v, want an invalid request", name, err)
		}
		if _, ok := w.Lookup(nil, packet, 512, time.Now()); ok {
			t.Errorf("%s: Lookup has an answer", name)
		}
	}
	if log := u.log(); len(log) != 0 {
		t.Errorf("asked %q", log)
	}
}

func TestRepliesFitTheClient(t *testing.T) {
	t.Parallel()
	var rrs []string
	for range 40 {
		rrs = append(rrs, "@ 60 IN A 192.0.2."+string(rune('1'+len(rrs)%9))+string(rune('0'+len(rrs)/9)))
	}
	u := newUpstream(t, records(rrs...))
	w := newWorld(t, nil, u.addr.String())
	big := query("big.example.com", miekg.TypeA)
	if got := w.askSize(t, big, 1232); got.Truncated || len(got.Answer) != 40 {
		t.Errorf("with 1232 bytes: %v", got)
	}
	old := query("big.example.com", miekg.TypeA)
	old.Extra = nil
	if got := w.askSize(t, old, 512); !got.Truncated || len(got.Answer) != 0 || got.IsEdns0() != nil {
		t.Errorf("without EDNS: %v", got)
	}
	if got := w.ask(t, old); got.Truncated || len(got.Answer) != 40 {
		t.Errorf("over TCP: %v", got)
	}
}

func TestLookupAnswersFromMemoryAlone(t *testing.T) { // counts allocations: not in parallel
	u := newUpstream(t, records("@ 60 IN A 192.0.2.1"))
	w := newWorld(t, nil, u.addr.String())
	packet := pack(query("www.example.com", miekg.TypeA))
	if _, ok := w.Lookup(nil, packet, 1232, w.clock.Now()); ok {
		t.Fatal("an answer before the question was asked")
	}
	if _, err := w.Resolve(t.Context(), nil, packet, 1232); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 0, 512)
	var m miekg.Msg
	if out, ok := w.Lookup(buf, packet, 1232, w.clock.Now()); !ok || m.Unpack(out) != nil || texts(m.Answer) != "www.example.com. 60 IN A 192.0.2.1" {
		t.Fatalf("Lookup = %v", &m)
	}
	now := w.clock.Now()
	if n := testing.AllocsPerRun(100, func() { w.Lookup(buf, packet, 1232, now) }); n != 0 {
		t.Errorf("a hit allocates %v times", n)
	}
	if _, ok := w.Lookup(nil, packet, 1232, now.Add(time.Minute)); ok {
		t.Error("a stale answer was given")
	}
	w.Flush()
	if _, ok := w.Lookup(nil, packet, 1232, now); ok || w.count(t, "kamado_dns_forward_cache_bytes", "") != 0 {
		t.Error("an answer was left by Flush")
	}
}

func TestServeKeepsToTheTransport(t *testing.T) {
	t.Parallel()
	u := newUpstream(t, func(_ string, q *miekg.Msg, _ []byte, _ *net.UDPAddr) [][]byte {
		return [][]byte{reply(q, 0, slices.Repeat([]string{`@ 60 IN TXT "` + strings.Repeat("x", 200) + `"`}, 10)...)}
	})
	w := newWorld(t, nil, u.addr.String())
	q := query("long.example.com", miekg.TypeTXT)
	q.IsEdns0().SetUDPSize(4096)
	for transport, want := range map[listen.Transport]bool{listen.UDP: true, listen.TCP: false, listen.TLS: false, listen.HTTPS: false} {
		var m miekg.Msg
		err := w.Serve(t.Context(), listen.Request{Packet: pack(q), Transport: transport}, m.Unpack)
		if err != nil || m.Truncated != want {
			t.Errorf("over %v: %v, cut %v, want %v", transport, err, m.Truncated, want)
		}
	}
	if err := w.Serve(t.Context(), listen.Request{}, func([]byte) error { return nil }); dns.KindOf(err) != dns.Invalid {
		t.Errorf("nothing: %v", err)
	}
}

func TestMemoryIsBounded(t *testing.T) {
	t.Parallel()
	u := newUpstream(t, func(_ string, q *miekg.Msg, _ []byte, _ *net.UDPAddr) [][]byte {
		if strings.HasPrefix(strings.ToLower(q.Question[0].Name), "no") {
			return [][]byte{reply(q, miekg.RcodeNameError, "authority", "example.com. 600 IN SOA a. b. 1 2 3 4 600")}
		}
		return [][]byte{reply(q, 0, "@ 600 IN A 192.0.2.1")}
	})
	names := func(prefix string, n int) (out []string) {
		for i := range n {
			out = append(out, prefix+string(rune('a'+i/26))+string(rune('a'+i%26))+".example.com")
		}
		return out
	}
	t.Run("entries", func(t *testing.T) {
		w := newWorld(t, func(cfg *forward.Config, _ *forward.Deps) { cfg.Entries = 16 }, u.addr.String())
		for _, n := range names("yes", 16) {
			w.ask(t, query(n, miekg.TypeA))
		}
		kept := w.count(t, "kamado_dns_forward_cache_entries", "")
		for _, n := range names("no", 200) {
			w.ask(t, query(n, miekg.TypeA))
		}
		if n := w.count(t, "kamado_dns_forward_cache_entries", ""); n > 16 {
			t.Errorf("%v entries, at most 16", n)
		}
		alive := 0.0
		for _, n := range names("yes", 16) {
			if _, ok := w.Lookup(nil, pack(query(n, miekg.TypeA)), 1232, w.clock.Now()); ok {
				alive++
			}
		}
		if alive < kept/2-1 {
			t.Errorf("of %v names %v are left after 200 that do not exist", kept, alive)
		}
		if w.count(t, "kamado_dns_forward_cache_evictions_total", "") == 0 {
			t.Error("evictions were not counted")
		}
	})
	t.Run("bytes", func(t *testing.T) {
		w := newWorld(t, func(cfg *forward.Config, _ *forward.Deps) { cfg.BytesMax = 8 << 10 }, u.addr.String())
		for _, n := range names("yes", 100) {
			w.ask(t, query(n, miekg.TypeA))
		}
		if n := w.count(t, "kamado_dns_forward_cache_bytes", ""); n > 8<<10 || n < 4<<10 {
			t.Errorf("%v bytes, want nearly 8192", n)
		}
	})
	t.Run("none", func(t *testing.T) {
		w := newWorld(t, func(cfg *forward.Config, _ *forward.Deps) { cfg.Entries = 0 }, u.addr.String())
		before := len(u.log())
		for range 2 {
			w.ask(t, query("yes.example.com", miekg.TypeA))
		}
		if n := len(u.log()) - before; n != 2 {
			t.Errorf("%d questions were asked, want 2", n)
		}
	})
}

func TestRunEndsWhatIsUnderWay(t *testing.T) {
	t.Parallel()
	u := newUpstream(t, silent)
	cfg := forward.Default()
	cfg.Servers = []string{u.addr.String()}
	f, err := forward.New(cfg, forward.Deps{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { f.Run(ctx); close(ended) }()
	got := make(chan []byte, 1)
	go func() {
		out, _ := f.Resolve(context.Background(), nil, pack(query("x.example.com", miekg.TypeA)), 65535)
		got <- out
	}()
	u.waitAsked(t, 1)
	cancel()
	<-ended
	var m miekg.Msg
	if m.Unpack(<-got) != nil || m.Rcode != miekg.RcodeServerFailure {
		t.Errorf("who waited got %v", &m)
	}
	out, err := f.Resolve(context.Background(), nil, pack(query("y.example.com", miekg.TypeA)), 65535)
	if m.Unpack(out) != nil || m.Rcode != miekg.RcodeServerFailure || err != nil {
		t.Errorf("afterwards: %v, %v", &m, err)
	}
}

func TestConfigComplains(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"dns.example:53", "192.0.2.1:0", "tls://dns.example:853", "tls://192.0.2.1#pin=short", "", "udp://192.0.2.1"} {
		if _, err := forward.ParseServer(bad); err == nil {
			t.Errorf("ParseServer(%q) has no complaint", bad)
		}
	}
	for text, want := range map[string]string{
		"192.0.2.1": "192.0.2.1:53", "[2001:db8::1]:5353": "[2001:db8::1]:5353", "2001:db8::1": "[2001:db8::1]:53", "tls://192.0.2.1#dns.example": "192.0.2.1:853",
	} {
		if got, err := forward.ParseServer(text); err != nil || got.Addr.String() != want {
			t.Errorf("ParseServer(%q) = %v, %v, want %s", text, got, err, want)
		}
	}
	bad := forward.Config{Servers: slices.Repeat([]string{"x"}, 20), Entries: -1, TTLMin: -1, TTLMax: -2}
	err := bad.Validate()
	for _, part := range []string{"20 servers", "forwarder \"x\"", "entries", "TTL", "failures", "timeouts", "attempts", "socket"} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("the complaint lacks %q: %v", part, err)
		}
	}
}

// waitFor waits until a condition holds.
func waitFor(t testing.TB, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatal("it did not become so")
		}
		time.Sleep(time.Millisecond)
	}
}
