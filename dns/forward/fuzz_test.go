package forward

import (
	"bytes"
	"testing"
	"time"

	miekg "github.com/miekg/dns"

	"github.com/kamado/kamado/dns"
)

// FuzzQuery looks for queries that are read otherwise than they are, and replies that cannot be read.
func FuzzQuery(f *testing.F) {
	m := new(miekg.Msg)
	m.SetQuestion("www.example.com.", miekg.TypeA)
	plain, _ := m.Pack()
	f.Add(plain)
	m.SetEdns0(4096, true)
	edns, _ := m.Pack()
	f.Add(edns)
	f.Add(edns[:30])
	local, _ := new(miekg.Msg).SetQuestion("x.localhost.", miekg.TypeA).Pack()
	f.Add(local)
	fw, err := New(Default(), Deps{})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, packet []byte) {
		before := bytes.Clone(packet)
		out, err := fw.Resolve(t.Context(), nil, packet, 512)
		if !bytes.Equal(before, packet) {
			t.Fatal("the packet was changed")
		}
		if err != nil {
			if dns.KindOf(err) != dns.Invalid || len(out) != 0 {
				t.Fatalf("Resolve = %x, %v", out, err)
			}
			return
		}
		if len(out) > 512+300 || !bytes.HasPrefix(out, packet[:2]) || out[2]&0x80 == 0 {
			t.Fatalf("Resolve = %x", out)
		}
		if err := new(miekg.Msg).Unpack(out); err != nil {
			t.Fatalf("the reply %x cannot be read: %v", out, err)
		}
	})
}

// FuzzReply looks for replies of servers that break the reader, or become what clients cannot read.
func FuzzReply(f *testing.F) {
	q := &asked{name: dns.Name("www.example.com").AppendWire(nil), typ: dns.TypeA}
	query := makeQuery(q, false, false)
	m := new(miekg.Msg)
	m.SetQuestion("www.example.com.", miekg.TypeA)
	m.Response, m.Compress = true, true
	for _, text := range []string{
		"www.example.com. 60 IN CNAME web.example.net.", "web.example.net. 60 IN A 192.0.2.1", "example.com. 60 IN DNAME example.net.",
		"web.example.net. 60 IN SOA a.example. b.example. 1 2 3 4 5", `www.example.com. 60 IN NAPTR 1 2 "s" "t" "" www.example.com.`,
	} {
		rr, err := miekg.NewRR(text)
		if err != nil {
			f.Fatal(err)
		}
		m.Answer = append(m.Answer, rr)
		m.Ns = append(m.Ns, rr)
		seed, _ := m.Pack()
		f.Add(seed, uint16(1), byte(0))
		f.Add(seed[:len(seed)-2], uint16(255), byte(keyDO))
	}
	f.Fuzz(func(t *testing.T, packet []byte, typ uint16, bits byte) {
		q := &asked{name: q.name, typ: dns.Type(typ), bits: bits & (keyDO | keyCD)}
		if ours, _ := matches(packet, query); !ours {
			n := headerBytes + len(q.name) + 4
			if len(packet) < n { // mostly, look behind the check
				return
			}
			copy(packet[12:], query[12:n])
			copy(packet[4:], []byte{0, 1})
		}
		e, err := read(packet, q, true)
		if err != nil {
			return
		}
		cfg := Default()
		now := time.Unix(1_800_000_000, 0)
		e.settle(&cfg, now)
		client := question{wire: append(bytes.Clone(q.name), 0, 1, 0, 1), name: q.name, edns: true}
		for _, stale := range []bool{false, true} {
			out := e.answer(nil, &client, 65535, now.UnixNano(), stale)
			for at, i := headerBytes+len(client.wire), 0; i < int(e.answers)+int(e.authority); i++ {
				r, next, ok := readRecord(out, at)
				if !ok {
					t.Fatalf("record %d of %x cannot be read", i, out)
				}
				if _, _, ok := appendName(nil, out, r.at); !ok {
					t.Fatalf("the owner of record %d of %x cannot be read", i, out)
				}
				at = next
			}
		}
	})
}

// FuzzParseServer looks for servers that are read otherwise when they are written again.
func FuzzParseServer(f *testing.F) {
	for _, s := range []string{"192.0.2.1", "[2001:db8::1]:53", "tls://192.0.2.1:853#dns.example", "tls://192.0.2.1#pin=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := ParseServer(text)
		if err != nil {
			return
		}
		if !s.Addr.IsValid() || s.Addr.Port() == 0 || !s.TLS && (s.Name != "" || s.Pin != nil) {
			t.Fatalf("ParseServer(%q) = %+v", text, s)
		}
		again, err := ParseServer(s.Addr.String())
		if err != nil || again.Addr != s.Addr {
			t.Fatalf("ParseServer(%q) = %+v, %v, want %v", s.Addr, again, err, s.Addr)
		}
	})
}

func BenchmarkLookup(b *testing.B) {
	cfg := Default()
	fw, err := New(cfg, Deps{})
	if err != nil {
		b.Fatal(err)
	}
	m := new(miekg.Msg)
	m.SetQuestion("www.example.com.", miekg.TypeA)
	packet, _ := m.Pack()
	var q question
	if err := q.parse(packet); err != nil {
		b.Fatal(err)
	}
	rr, _ := miekg.NewRR("www.example.com. 60 IN A 192.0.2.1")
	m.Response, m.Answer = true, []miekg.RR{rr}
	reply, _ := m.Pack()
	a := q.ask(fw.cache)
	e, err := read(reply, a, false)
	if err != nil {
		b.Fatal(err)
	}
	now := time.Now()
	e.settle(&cfg, now)
	fw.cache.store(e, a)
	buf := make([]byte, 0, 512)
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := fw.Lookup(buf, packet, 1232, now); !ok {
			b.Fatal("no hit")
		}
	}
}
