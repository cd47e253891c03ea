package answer

import (
	"bytes"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	miekg "github.com/miekg/dns"

	"github.com/kamado/kamado/dns"
)

// fuzzTable has something of everything.
func fuzzTable(t testing.TB) *Table {
	nearest := many(t, 9, dns.Policy{Balance: dns.Nearest}, 1, 2)
	lab := set("lab.svc.test", owned(t, "n1 lab.svc.test. 5 IN A 10.0.0.1", view("in")), owned(t, "n2 lab.svc.test. 5 IN A 10.0.0.2", sick))
	return withStatic(t, domain(t, Config{Server: "n1", Version: "v", Cookies: true, Forwarding: true, Views: map[string][]netip.Prefix{"in": {netip.MustParsePrefix("127.0.0.0/8")}},
		AllowForward: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}, nearest, lab))
}

// checkResponse wants what any response must be: parsable, within the size, and of the query's id and question.
func checkResponse(t *testing.T, packet, out []byte, v Verdict, stream bool) {
	t.Helper()
	if v > Proven {
		if len(out) > 0 {
			t.Fatalf("verdict %v with an answer", v)
		}
		return
	}
	m := new(miekg.Msg)
	if err := m.Unpack(out); err != nil {
		t.Fatalf("the response %x to %x does not parse: %v", out, packet, err)
	}
	if !m.Response || !bytes.Equal(out[:2], packet[:2]) || m.Opcode != int(packet[2]>>3&15) {
		t.Fatalf("the response %x is none to %x", out, packet)
	}
	if limit := UDPBytesDefault; !stream && len(out) > limit {
		t.Fatalf("%d bytes over UDP", len(out))
	}
	if len(m.Question) > 1 || len(m.Question) == 1 && !bytes.Equal(out[headerBytes:skipName(out, headerBytes)+4], packet[headerBytes:skipName(out, headerBytes)+4]) {
		t.Fatalf("the question of %x is not that of %x", out, packet)
	}
	if m.Rcode == miekg.RcodeServerFailure {
		t.Fatalf("SERVFAIL to %x", packet)
	}
}

func FuzzAnswer(f *testing.F) {
	table := fuzzTable(f)
	f.Add([]byte{}, false)
	for _, name := range []string{"mail.static.test", "x.wild.static.test", "alias2.static.test", "host.child.static.test", "host.old.static.test", "web.svc.test", "lab.svc.test", ".", "no.svc.test"} {
		for _, typ := range []string{"A", "MX", "ANY", "DS", "SOA", "AXFR"} {
			f.Add(query(f, name, typ), false)
			f.Add(query(f, name, typ, edns(600)), true)
		}
	}
	f.Add(unhex(f, `0001 0000 0001 0000 0000 0001 00 0001 0001 00 0029 1000 00 00 8000 0010 0003 0000 000a 0008 0102030405060708`), false)
	f.Add(unhex(f, `0001 0000 0001 0000 0000 0001 c00c 0001 0001 c0ff 0029 1000 00 00 8000 ffff`), false)
	f.Fuzz(func(t *testing.T, packet []byte, stream bool) {
		out, v := table.Answer(Query{Packet: packet, Client: localClient, Stream: stream, Random: 9}, nil)
		checkResponse(t, packet, out, v, stream)
		if out := table.Fail(packet, nil, rcodeServer, 0); len(packet) >= headerBytes {
			if err := new(miekg.Msg).Unpack(out); err != nil {
				t.Fatalf("Fail of %x: %x: %v", packet, out, err)
			}
		}
	})
}

// TestMutated asks with broken forms of good questions.
func TestMutated(t *testing.T) {
	t.Parallel()
	table := fuzzTable(t)
	rnd := rand.New(rand.NewPCG(1, 2))
	good := [][]byte{query(t, "mail.static.test", "A", edns(1232)), query(t, "foo.wild.static.test", "MX"), query(t, "x.child.static.test", "NS"), query(t, "web.svc.test", "A")}
	for range 20000 {
		p := slices.Clone(good[rnd.IntN(len(good))])
		for range 1 + rnd.IntN(4) {
			p[rnd.IntN(len(p))] = byte(rnd.Uint32())
		}
		p = p[:len(p)-rnd.IntN(2)*rnd.IntN(len(p))]
		stream := rnd.IntN(2) == 0
		out, v := table.Answer(Query{Packet: p, Client: localClient, Stream: stream, Random: rnd.Uint64()}, nil)
		checkResponse(t, p, out, v, stream)
	}
}

func TestLower(t *testing.T) {
	var b [256]byte
	for i := range b {
		b[i] = byte(i)
	}
	lower(b[:])
	for i, c := range b {
		want := byte(i)
		if want >= 'A' && want <= 'Z' {
			want += 'a' - 'A'
		}
		if c != want {
			t.Errorf("lower(%#x) = %#x", i, c)
		}
	}
}

// TestIndex compares the index with a map.
func TestIndex(t *testing.T) {
	t.Parallel()
	rnd := rand.New(rand.NewPCG(3, 4))
	x, m := newIndex[int](0), map[string]int{}
	for i := range 20000 {
		name := dns.Name(strings.Repeat("x", 1+rnd.IntN(3)) + string(rune('a'+rnd.IntN(26))) + string(rune('a'+rnd.IntN(26)))).AppendWire(nil)
		p := x.get(name)
		want, ok := m[string(name)]
		if (p != nil) != ok || ok && *p != want {
			t.Fatalf("step %d: get(%q) = %v, want %d, %t", i, name, p, want, ok)
		}
		if p == nil {
			x.put(name, &item[int]{value: i})
			m[string(name)] = i
		} else if rnd.IntN(2) == 0 {
			x.remove(name)
			delete(m, string(name))
		}
	}
	n := 0
	for name, v := range x.each {
		if n++; m[name] != *v {
			t.Errorf("each gave %q, %d", name, *v)
		}
	}
	if n != len(m) || x.live != n {
		t.Errorf("each gave %d names, live is %d, want %d", n, x.live, len(m))
	}
	if size := len(x.slots.Load().at); size > 16*(n+indexLeast) {
		t.Errorf("%d places for %d names", size, n)
	}
}

func TestExplain(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_800_000_000, 0)
	s := set("web.svc.test",
		owned(t, "n1 web.svc.test. 5 IN A 10.0.0.1", func(o *dns.Owned) {
			o.Check.Spec, o.Health = "tcp:x", dns.Health{State: dns.Healthy, Since: now.Add(-3 * time.Minute)}
		}),
		owned(t, "n2 web.svc.test. 5 IN A 10.0.0.2", dead),
		owned(t, "n3 web.svc.test. 5 IN A 10.0.0.3", tier(dns.Backup)),
		owned(t, "n4 web.svc.test. 5 IN A 10.0.0.4", sick, func(o *dns.Owned) { o.Health.Since = now.Add(-time.Minute) }),
		owned(t, "n5 web.svc.test. 5 IN A 10.0.0.5", view("in")),
		owned(t, "n6 web.svc.test. 5 IN A 10.0.0.6", func(o *dns.Owned) { o.Check.Spec = "ttl:3s" }),
		owned(t, "n7 web.svc.test. 5 IN TXT x"))
	none := set("none.svc.test", owned(t, "n1 none.svc.test. 5 IN A 10.0.0.1", sick))
	all := set("all.svc.test", owned(t, "n1 all.svc.test. 5 IN A 10.0.0.1", sick))
	all.Policy.Fallback = dns.FallbackAll
	table := withStatic(t, domain(t, Config{Views: map[string][]netip.Prefix{"in": {netip.MustParsePrefix("10.0.0.0/8")}}, Locations: map[netip.Prefix]string{netip.MustParsePrefix("127.0.0.0/8"): "home"}}, s, none, all))
	sets := func(n dns.Name) dns.Set {
		for _, s := range []dns.Set{s, none, all} {
			if s.Name == n {
				return s
			}
		}
		return dns.Set{Name: n}
	}
	e := table.Explain("web.svc.test", dns.TypeA, localClient, 1, now, sets)
	var whys []string
	for _, c := range e.Choices {
		whys = append(whys, c.Why)
		if want := c.Owner == "n1"; c.Pick != want {
			t.Errorf("%s is picked: %t", c.Owner, c.Pick)
		}
	}
	want := []string{"master, healthy for 3m0s", "its owner n2 is dead", "a backup, and a master or secondary lives", "master, unhealthy for 1m0s: connection refused",
		`only clients of the view "in" see it`, "master, its check has not passed yet", "of another type than was asked for"}
	if !slices.Equal(whys, want) {
		t.Errorf("whys:\n%s\nwant:\n%s", strings.Join(whys, "\n"), strings.Join(want, "\n"))
	}
	if e.Location != "home" || e.Zone != "svc.test" || e.RCode != "NOERROR" || len(e.Answer) != 1 || e.Answer[0].Name != "web.svc.test" || e.Answer[0].TTL != 5 {
		t.Errorf("%+v", e)
	}
	for _, c := range []struct {
		name   dns.Name
		typ    dns.Type
		rule   string
		source dns.Name
	}{
		{"web.svc.test", dns.TypeA, "balance weighted, at most 8 records", "web.svc.test"},
		{"none.svc.test", dns.TypeA, "no record lives, and the fallback is none", "none.svc.test"},
		{"all.svc.test", dns.TypeA, "no record lives; the fallback all answers", "all.svc.test"},
		{"web.svc.test", dns.TypeMX, "the name exists, and has no record of type MX", "web.svc.test"},
		{"no.svc.test", dns.TypeA, "the name does not exist for this client", ""},
		{"x.wild.static.test", dns.TypeA, "the wildcard *.wild.static.test stands for the name", "*.wild.static.test"},
		{"a.b.wild.static.test", dns.TypeA, "the wildcard *.wild.static.test stands for the name", "*.wild.static.test"},
		{"h.child.static.test", dns.TypeA, "child.static.test is delegated: its servers are named", "child.static.test"},
		{"h.old.static.test", dns.TypeA, "all names below old.static.test are others' (DNAME)", "old.static.test"},
		{"alias.static.test", dns.TypeA, "the name is an alias (CNAME)", "alias.static.test"},
		{"big.static.test", dns.TypeTXT, "the answer is too large for UDP: the client is to ask over TCP", "big.static.test"},
		{"example.com", dns.TypeA, "the name lies in no zone of this server, and the client may not use the forwarders", ""},
		{"static.test", dns.TypeSOA, "all records of the name and type", "static.test"},
		{"static.test", dns.TypeAXFR, "not answered here: transfer", "static.test"},
	} {
		e := table.Explain(c.name, c.typ, localClient, 1, now, sets)
		if e.Rule != c.rule || e.Source != c.source {
			t.Errorf("%s %v: %q from %q, want %q from %q", c.name, c.typ, e.Rule, e.Source, c.rule, c.source)
		}
	}
	e = table.Explain("static.test", dns.TypeSOA, localClient, 1, now, sets)
	if want := rr(t, "static.test. 600 IN SOA ns1.static.test. admin.static.test. 1 60 10 86400 300"); string(e.Answer[0].Data) != string(want.Data) {
		t.Errorf("SOA data %x, want %x", e.Answer[0].Data, want.Data)
	}
	picked := 0
	for _, c := range table.Choose(s, dns.TypeA, netip.MustParseAddr("10.0.0.9"), now) {
		if c.Pick {
			picked++
		}
	}
	if picked != 2 {
		t.Errorf("%d records are picked in the view, want 2", picked)
	}
}
