package forward_test

import (
	"encoding/binary"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	miekg "github.com/miekg/dns"

	"github.com/kamado/kamado/dns/forward"
)

const (
	attempts = "kamado_dns_forward_attempts_total"
	rejected = "kamado_dns_forward_rejected_total"
)

// nobody is an address that refuses: no system gives its port to a test.
const nobody = "127.0.0.1:1"

// forged is the reply that must not be believed.
func forged(q *miekg.Msg, change func(*miekg.Msg)) []byte {
	m := new(miekg.Msg)
	if err := m.Unpack(reply(q, 0, "@ 600 IN A 203.0.113.66")); err != nil {
		panic(err)
	}
	change(m)
	return pack(m)
}

// TestLiesAreNotBelieved sends forgeries before the true reply.
func TestLiesAreNotBelieved(t *testing.T) {
	t.Parallel()
	stranger, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer stranger.Close()
	for name, lie := range map[string]func(q *miekg.Msg, from *net.UDPAddr) []byte{
		"a wrong id": func(q *miekg.Msg, _ *net.UDPAddr) []byte { return forged(q, func(m *miekg.Msg) { m.Id ^= 1 }) },
		"another question": func(q *miekg.Msg, _ *net.UDPAddr) []byte {
			return forged(q, func(m *miekg.Msg) { m.Question[0].Name = "other.example.com." })
		},
		"another type": func(q *miekg.Msg, _ *net.UDPAddr) []byte {
			return forged(q, func(m *miekg.Msg) { m.Question[0].Qtype = miekg.TypeAAAA })
		},
		"a question": func(q *miekg.Msg, _ *net.UDPAddr) []byte { return forged(q, func(m *miekg.Msg) { m.Response = false }) },
		"an update": func(q *miekg.Msg, _ *net.UDPAddr) []byte {
			return forged(q, func(m *miekg.Msg) { m.Opcode = miekg.OpcodeUpdate })
		},
		"no question": func(q *miekg.Msg, _ *net.UDPAddr) []byte { return forged(q, func(m *miekg.Msg) { m.Question = nil }) },
		"two questions": func(q *miekg.Msg, _ *net.UDPAddr) []byte {
			return forged(q, func(m *miekg.Msg) { m.Question = append(m.Question, m.Question[0]) })
		},
		"few bytes":                    func(q *miekg.Msg, _ *net.UDPAddr) []byte { return forged(q, func(*miekg.Msg) {})[:7] },
		"a question that does not end": func(q *miekg.Msg, _ *net.UDPAddr) []byte { return forged(q, func(*miekg.Msg) {})[:20] },
		"another source": func(q *miekg.Msg, from *net.UDPAddr) []byte {
			stranger.WriteToUDP(forged(q, func(*miekg.Msg) {}), from)
			return nil
		},
	} {
		u := newUpstream(t, func(_ string, q *miekg.Msg, _ []byte, from *net.UDPAddr) [][]byte {
			out := [][]byte{reply(q, 0, "@ 600 IN A 192.0.2.1")}
			if l := lie(q, from); l != nil {
				out = [][]byte{l, out[0]}
			}
			return out
		})
		w := newWorld(t, func(cfg *forward.Config, _ *forward.Deps) { cfg.Attempts = 1 }, u.addr.String())
		if got := texts(w.ask(t, query("www.example.com", miekg.TypeA)).Answer); got != "www.example.com. 600 IN A 192.0.2.1" {
			t.Errorf("%s: answer = %q", name, got)
		}
		if log := u.log(); len(log) != 1 {
			t.Errorf("%s: asked %q", name, log)
		}
	}
}

// TestOtherSpellingsAreAskedAgainOverTCP meets a server that does not keep the case, and somebody who forges in lower case.
func TestOtherSpellingsAreAskedAgainOverTCP(t *testing.T) {
	t.Parallel()
	u := newUpstream(t, func(over string, q *miekg.Msg, _ []byte, _ *net.UDPAddr) [][]byte {
		if over == "tcp" {
			return [][]byte{reply(q, 0, "@ 60 IN A 192.0.2.1")}
		}
		return [][]byte{forged(q, func(m *miekg.Msg) { m.Question[0].Name = strings.ToLower(m.Question[0].Name) })}
	})
	w := newWorld(t, nil, u.addr.String())
	name := "averylongnamewithverymanyletters.example.com" // all lower by chance: 1 in 2^40
	if got := texts(w.ask(t, query(name, miekg.TypeA)).Answer); got != name+". 60 IN A 192.0.2.1" {
		t.Errorf("answer = %q", got)
	}
	if log := u.log(); len(log) != 2 || log[1] != "tcp "+name+". A" || w.count(t, rejected, "spelling") != 1 {
		t.Errorf("asked %q", log)
	}
}

// TestAFloodOfGuessesEndsUDP lets somebody guess ids.
func TestAFloodOfGuessesEndsUDP(t *testing.T) {
	t.Parallel()
	u := newUpstream(t, func(over string, q *miekg.Msg, _ []byte, _ *net.UDPAddr) (out [][]byte) {
		if over == "tcp" {
			return [][]byte{reply(q, 0, "@ 60 IN A 192.0.2.1")}
		}
		for i := range 20 {
			out = append(out, forged(q, func(m *miekg.Msg) { m.Id += uint16(i) + 1 }))
		}
		return out
	})
	w := newWorld(t, nil, u.addr.String())
	if got := texts(w.ask(t, query("f.example.com", miekg.TypeA)).Answer); got != "f.example.com. 60 IN A 192.0.2.1" {
		t.Errorf("answer = %q", got)
	}
	if n := w.count(t, rejected, "stranger"); n != 8 {
		t.Errorf("%v packets were looked at, want 8", n)
	}
}

func TestPortsAndSpellingsAreRandom(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	ids, spellings := map[uint16]bool{}, map[string]bool{}
	u := newUpstream(t, func(_ string, q *miekg.Msg, _ []byte, _ *net.UDPAddr) [][]byte {
		mu.Lock()
		defer mu.Unlock()
		ids[q.Id], spellings[q.Question[0].Name] = true, true
		return [][]byte{reply(q, 0, "@ 0 IN A 192.0.2.1")}
	})
	w := newWorld(t, nil, u.addr.String())
	for range 100 {
		w.ask(t, query("random.example.com", miekg.TypeA))
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	mu.Lock()
	defer mu.Unlock()
	if len(ids) < 98 || len(spellings) < 90 || len(u.ports) < 90 {
		t.Errorf("of 100 questions: %d ids, %d spellings, %d ports", len(ids), len(spellings), len(u.ports))
	}
}

func TestOnlyWhatAnswersIsKept(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		typ    uint16
		rrs    []string
		answer string
		ns     string
	}{
		{"records of other names", miekg.TypeA,
			[]string{"@ 60 IN A 192.0.2.1", "bank.example. 60 IN A 203.0.113.66", "authority", "example.com. 60 IN NS evil.example.", "additional", "evil.example. 60 IN A 203.0.113.66"},
			"a.example.com. 60 IN A 192.0.2.1", ""},
		{"an alias and its end", miekg.TypeA,
			[]string{"@ 60 IN CNAME b.example.net.", "b.example.net. 60 IN A 192.0.2.2", "c.example.net. 60 IN A 203.0.113.66"},
			"a.example.com. 60 IN CNAME b.example.net.\nb.example.net. 60 IN A 192.0.2.2", ""},
		{"a circle of aliases", miekg.TypeA,
			[]string{"@ 60 IN CNAME b.example.com.", "b.example.com. 60 IN CNAME a.example.com.", "authority", "example.com. 60 IN SOA a. b. 1 2 3 4 5"},
			"a.example.com. 60 IN CNAME b.example.com.", "example.com. 60 IN SOA a. b. 1 2 3 4 5"},
		{"a DNAME", miekg.TypeA,
			[]string{"example.com. 60 IN DNAME example.net.", "@ 0 IN CNAME a.example.net.", "a.example.net. 60 IN A 192.0.2.3"},
			"example.com. 60 IN DNAME example.net.\na.example.com. 0 IN CNAME a.example.net.\na.example.net. 60 IN A 192.0.2.3", ""},
		{"signatures that nobody asked for", miekg.TypeA,
			[]string{"@ 60 IN A 192.0.2.1", "@ 60 IN RRSIG A 8 3 60 20300101000000 20200101000000 1 example.com. AAAA"},
			"a.example.com. 60 IN A 192.0.2.1", ""},
		{"all types", miekg.TypeANY,
			[]string{"@ 60 IN A 192.0.2.1", "@ 60 IN MX 5 mail.example.com.", "@ 60 IN TXT \"x\""},
			"a.example.com. 60 IN A 192.0.2.1\na.example.com. 60 IN MX 5 mail.example.com.\na.example.com. 60 IN TXT \"x\"", ""},
		{"names in data", miekg.TypeSRV, []string{"@ 60 IN SRV 1 2 3 a.example.com."}, "a.example.com. 60 IN SRV 1 2 3 a.example.com.", ""},
		{"NAPTR", miekg.TypeNAPTR, []string{`@ 60 IN NAPTR 1 2 "S" "x" "" a.example.com.`}, `a.example.com. 60 IN NAPTR 1 2 "S" "x" "" a.example.com.`, ""},
		{"a type that nobody knows", 65400, []string{`@ 60 IN TYPE65400 \# 3 C00C00`}, `a.example.com. 60 CLASS1 TYPE65400 \# 3 c00c00`, ""},
	} {
		u := newUpstream(t, records(c.rrs...))
		w := newWorld(t, nil, u.addr.String())
		for _, when := range []string{"fresh", "from the cache"} {
			got := w.ask(t, query("a.example.com", c.typ))
			if texts(got.Answer) != c.answer || texts(got.Ns) != c.ns || texts(got.Extra) != "" {
				t.Errorf("%s, %s: %v", c.name, when, got)
			}
		}
	}
}

func TestACutReplyIsAskedForOverTCP(t *testing.T) {
	t.Parallel()
	var many []string
	for range 300 {
		many = append(many, "@ 60 IN TXT \"a text that is long enough to fill more than a packet of UDP has\"")
	}
	u := newUpstream(t, func(over string, q *miekg.Msg, _ []byte, _ *net.UDPAddr) [][]byte {
		if over == "udp" {
			m := new(miekg.Msg)
			m.SetReply(q)
			m.Truncated = true
			return [][]byte{pack(m)}
		}
		return [][]byte{reply(q, 0, many...)}
	})
	w := newWorld(t, nil, u.addr.String())
	if got := w.ask(t, query("long.example.com", miekg.TypeTXT)); len(got.Answer) != 300 {
		t.Errorf("%d records, want 300", len(got.Answer))
	}
}

// failing are servers that fail in one way or another; each is followed by a good one.
func TestAServerThatFailsIsFollowedByTheNext(t *testing.T) {
	t.Parallel()
	rcode := func(rcode int) answers {
		return func(_ string, q *miekg.Msg, _ []byte, _ *net.UDPAddr) [][]byte { return [][]byte{reply(q, rcode)} }
	}
	for _, c := range []struct {
		name    string
		bad     answers
		outcome string
	}{
		{"refuses connections", nil, "unreachable"},
		{"is silent", silent, "abandoned"},
		{"fails", rcode(miekg.RcodeServerFailure), "failed"},
		{"declines", rcode(miekg.RcodeRefused), "declined"},
		{"does not understand", func(_ string, q *miekg.Msg, _ []byte, _ *net.UDPAddr) [][]byte {
			m := new(miekg.Msg)
			m.SetRcode(q, miekg.RcodeFormatError)
			m.Question = nil
			return [][]byte{pack(m)}
		}, "declined"},
		{"wants another EDNS", func(_ string, q *miekg.Msg, _ []byte, _ *net.UDPAddr) [][]byte {
			m := new(miekg.Msg)
			m.SetReply(q)
			m.SetEdns0(1232, false)
			m.Rcode = miekg.RcodeBadVers
			return [][]byte{pack(m)}
		}, "declined"},
		{"refers", records("authority", "com. 60 IN NS a.gtld-servers.net."), "declined"},
		{"sends garbage", func(_ string, q *miekg.Msg, _ []byte, _ *net.UDPAddr) [][]byte {
			b := reply(q, 0, "@ 60 IN A 192.0.2.1")
			return [][]byte{b[:len(b)-3]}
		}, "garbage"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			good := newUpstream(t, records("@ 60 IN A 192.0.2.1"))
			bad := ""
			if c.bad == nil {
				bad = nobody
			} else {
				bad = newUpstream(t, c.bad).addr.String()
			}
			w := newWorld(t, func(cfg *forward.Config, _ *forward.Deps) {
				cfg.TryTimeout, cfg.Timeout = 20*time.Second, 25*time.Second
			}, bad, good.addr.String())
			start := time.Now()
			if got := w.ask(t, query("www.example.com", miekg.TypeA)); texts(got.Answer) != "www.example.com. 60 IN A 192.0.2.1" {
				t.Fatalf("answer = %v", got)
			}
			if took := time.Since(start); took > 10*time.Second { // an attempt alone may take twice that
				t.Errorf("it took %v", took)
			}
			if w.count(t, attempts, c.outcome) != 1 {
				t.Errorf("the outcome %q was not counted", c.outcome)
			}
		})
	}
}

// TestServersThatFailAreAskedLast counts what a bad server still gets.
func TestServersThatFailAreAskedLast(t *testing.T) {
	t.Parallel()
	bad, good := newUpstream(t, silent), newUpstream(t, records("@ 0 IN A 192.0.2.1"))
	w := newWorld(t, func(cfg *forward.Config, _ *forward.Deps) { cfg.TryTimeout = 300 * time.Millisecond }, bad.addr.String(), good.addr.String())
	for range 20 {
		w.ask(t, query("www.example.com", miekg.TypeA))
	}
	if n := len(bad.log()); n > 2 {
		t.Errorf("the silent server was asked %d times of 20", n)
	}
	if s := w.Servers(); s[0].Addr != good.addr || s[0].RTT == 0 {
		t.Errorf("Servers = %+v", s)
	}
}

func TestTheQuickerServerIsPreferredAndTheOtherTriedNowAndThen(t *testing.T) {
	t.Parallel()
	slow := newUpstream(t, func(_ string, q *miekg.Msg, _ []byte, _ *net.UDPAddr) [][]byte {
		time.Sleep(5 * time.Millisecond) // it is slow
		return [][]byte{reply(q, 0, "@ 0 IN A 192.0.2.1")}
	})
	quick := newUpstream(t, records("@ 0 IN A 192.0.2.1"))
	w := newWorld(t, nil, slow.addr.String(), quick.addr.String())
	for range 400 {
		w.ask(t, query("www.example.com", miekg.TypeA))
	}
	if n := len(slow.log()); n < 2 || n > 100 {
		t.Errorf("the slow server was asked %d times of 400", n)
	}
}

func TestFailuresAreToldAndKeptShortly(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		server string
		code   int
	}{
		{"silence", newUpstream(t, silent).addr.String(), 22},
		{"nobody there", nobody, 23},
		{"bogus signatures", newUpstream(t, func(_ string, q *miekg.Msg, _ []byte, _ *net.UDPAddr) [][]byte {
			m := new(miekg.Msg)
			m.SetRcode(q, miekg.RcodeServerFailure)
			m.SetEdns0(1232, false)
			m.IsEdns0().Option = append(m.IsEdns0().Option, &miekg.EDNS0_EDE{InfoCode: miekg.ExtendedErrorCodeDNSBogus, ExtraText: "bad signature"})
			return [][]byte{pack(m)}
		}).addr.String(), 6},
		{"refusal", newUpstream(t, func(_ string, q *miekg.Msg, _ []byte, _ *net.UDPAddr) [][]byte {
			return [][]byte{reply(q, miekg.RcodeRefused)}
		}).addr.String(), 0},
	} {
		w := newWorld(t, func(cfg *forward.Config, _ *forward.Deps) {
			cfg.TryTimeout, cfg.Timeout, cfg.Attempts = 50*time.Millisecond, 200*time.Millisecond, 2
		}, c.server)
		q := query("x.example.com", miekg.TypeA)
		if got := w.ask(t, q); got.Rcode != miekg.RcodeServerFailure || extended(got) != c.code {
			t.Errorf("%s: %v", c.name, got)
		}
		sum := func() float64 { return w.count(t, attempts, "") }
		before := sum()
		w.ask(t, q)
		if sum() != before {
			t.Errorf("%s: the failure was not kept", c.name)
		}
		w.clock.pass(6 * time.Second)
		w.ask(t, q)
		if sum() == before {
			t.Errorf("%s: the failure was kept for more than 5 s", c.name)
		}
	}
}

// TestALateReplyIsNotTakenForAnother answers the first question when the second is asked.
func TestALateReplyIsNotTakenForAnother(t *testing.T) {
	t.Parallel()
	var held atomic.Pointer[func()]
	u := newUpstream(t, silent)
	u.set(func(_ string, q *miekg.Msg, _ []byte, from *net.UDPAddr) [][]byte {
		if strings.HasPrefix(strings.ToLower(q.Question[0].Name), "late.") {
			late := reply(q, 0, "@ 60 IN A 203.0.113.66")
			send := func() { u.udp.WriteToUDP(late, from) }
			held.Store(&send)
			return nil
		}
		(*held.Load())()
		return [][]byte{reply(q, 0, "@ 60 IN A 192.0.2.1")}
	})
	w := newWorld(t, func(cfg *forward.Config, _ *forward.Deps) {
		cfg.TryTimeout, cfg.Timeout, cfg.Attempts = 50*time.Millisecond, 50*time.Millisecond, 1
	}, u.addr.String())
	w.ask(t, query("late.example.com", miekg.TypeA))
	if got := texts(w.ask(t, query("next.example.com", miekg.TypeA)).Answer); got != "next.example.com. 60 IN A 192.0.2.1" {
		t.Errorf("answer = %q", got)
	}
	w.clock.pass(time.Minute)
	if got := w.ask(t, query("late.example.com", miekg.TypeA)); len(got.Answer) != 0 {
		t.Errorf("a reply to a flight that was over is remembered: %v", got)
	}
}

// TestStreamsAreSharedAndMadeAgain asks over one connection, and again after the server left it.
func TestStreamsAreSharedAndMadeAgain(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	udp, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(l.Addr().(*net.TCPAddr).AddrPort()))
	if err != nil {
		t.Skip("the port is taken for UDP")
	}
	defer udp.Close()
	go func() { // everything is cut over UDP
		buf := make([]byte, 512)
		for {
			n, from, err := udp.ReadFromUDP(buf)
			if err != nil {
				return
			}
			binary.BigEndian.PutUint16(buf[2:], 1<<15|1<<9)
			udp.WriteToUDP(buf[:n], from)
		}
	}()
	var accepted atomic.Int32
	done := make(chan struct{})
	go func() { // each connection is good for two questions
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			accepted.Add(1)
			for range 2 {
				packet, err := readFrame(c)
				var q miekg.Msg
				if err != nil || q.Unpack(packet) != nil {
					break
				}
				c.Write(frame(reply(&q, 0, "@ 0 IN A 192.0.2.1")))
			}
			c.Close()
		}
	}()
	w := newWorld(t, nil, udp.LocalAddr().String())
	for range 6 {
		if got := w.ask(t, query("x.example.com", miekg.TypeA)); len(got.Answer) != 1 {
			t.Fatalf("answer = %v", got)
		}
	}
	l.Close()
	if n := accepted.Load(); n != 3 {
		t.Errorf("%d connections for 6 questions, want 3", n)
	}
	<-done
}
