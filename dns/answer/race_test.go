package answer

import (
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"

	miekg "github.com/miekg/dns"

	"github.com/kamado/kamado/dns"
)

// TestNoHalfSets changes a name between sets whose records all carry one number,
// while others ask: no answer may mix numbers or have part of a set. Another
// name comes and goes below it, so that tables grow, and one more above.
func TestNoHalfSets(t *testing.T) {
	t.Parallel()
	const records = 4
	version := func(n int) dns.Set {
		s := set("web.svc.test")
		for i := range records {
			o := dns.Owned{Record: dns.Record{RR: dns.AddrRR("web.svc.test", netip.AddrFrom4([4]byte{10, byte(n >> 8), byte(n), byte(i)}), uint32(n)), Weight: uint16(i + 1)}, Owner: fmt.Sprint("n", i), Alive: true}
			s.Owned = append(s.Owned, o)
		}
		return s
	}
	table := domain(t, Config{}, version(0))
	packet := query(t, "web.svc.test", "A", edns(1232))
	var done atomic.Bool
	var wg sync.WaitGroup
	for reader := range 3 {
		wg.Go(func() {
			rnd := random(reader)
			last := uint32(0)
			buf := make([]byte, 0, 2048)
			for !done.Load() {
				out, _ := table.Answer(Query{Packet: packet, Client: localClient, Random: rnd.next()}, buf)
				m := new(miekg.Msg)
				if err := m.Unpack(out); err != nil {
					t.Error(err)
					return
				}
				if len(m.Answer) != records {
					t.Errorf("%d records, want %d: %v", len(m.Answer), records, m)
					return
				}
				n := m.Answer[0].Header().Ttl
				for _, r := range m.Answer {
					if a := r.(*miekg.A); a.Hdr.Ttl != n || int(a.A[1])<<8|int(a.A[2]) != int(n) {
						t.Errorf("a set of two versions: %v", m)
						return
					}
				}
				if n < last {
					t.Errorf("version %d after %d", n, last)
					return
				}
				last = n
			}
		})
	}
	for n := range 2000 {
		table.Put(version(n))
		name := fmt.Sprintf("x%d.web.svc.test", n)
		table.Put(set(name, owned(t, "n1 "+name+". 5 IN A 10.0.0.1")))
		if n >= 100 {
			table.Put(set(fmt.Sprintf("x%d.web.svc.test", n-100)))
		}
	}
	done.Store(true)
	wg.Wait()
}

// TestStaticIsReplacedWhole wants answers of one version of a static zone at a time.
func TestStaticIsReplacedWhole(t *testing.T) {
	t.Parallel()
	table := domain(t, Config{})
	load := func(n int) {
		zone := fmt.Sprintf("s.test. %d IN SOA n.s.test. a.s.test. %d 1 1 1 60\nal.s.test. %d IN CNAME v%d.s.test.\nv%d.s.test. %d IN A 10.0.0.1\n", n, n, n, n, n, n)
		if err := table.PutStatic("s.test", rrs(t, zone)); err != nil {
			t.Error(err)
		}
	}
	load(1)
	packet := query(t, "al.s.test", "A")
	var done atomic.Bool
	var wg sync.WaitGroup
	wg.Go(func() {
		for !done.Load() {
			m := ask(t, table, Query{Packet: packet})
			if m.Rcode != 0 && len(m.Answer) == 0 {
				t.Errorf("a name of both versions is missing: %v", m)
				return
			}
		}
	})
	for n := range 300 {
		load(n + 2)
	}
	done.Store(true)
	wg.Wait()
}

// TestNoAllocations counts on the ways that are asked often.
func TestNoAllocations(t *testing.T) {
	tiers := many(t, 6, dns.Policy{}, 1, 2)
	tiers.Name, tiers.Owned[0].Tier, tiers.Owned[5].Tier = "tiers.svc.test", dns.Secondary, dns.Backup
	for i := range tiers.Owned {
		tiers.Owned[i].Name = tiers.Name
	}
	nearest := many(t, 6, dns.Policy{Balance: dns.Nearest})
	config := Config{Cookies: true, Server: "n1", Views: map[string][]netip.Prefix{"in": {netip.MustParsePrefix("10.0.0.0/8")}}, Locations: map[netip.Prefix]string{netip.MustParsePrefix("10.0.0.0/8"): "x"}}
	table := withStatic(t, domain(t, config, tiers, nearest))
	buf := make([]byte, 0, 4096)
	client := netip.MustParseAddrPort("10.0.0.1:53")
	for name, packet := range map[string][]byte{
		"one address": query(t, "mail.static.test", "A"), "EDNS": query(t, "mail.static.test", "A", edns(1232)), "tiers and weights": query(t, "tiers.svc.test", "A", edns(1232)),
		"nearest": query(t, "web.svc.test", "A"), "NXDOMAIN": query(t, "no.svc.test", "A"), "wildcard": query(t, "a.b.wild.static.test", "MX"), "alias": query(t, "alias2.static.test", "A"),
		"delegation": query(t, "x.child.static.test", "A"), "REFUSED": query(t, "example.com", "A", edns(1232)), "SOA": query(t, "svc.test", "SOA"), "NS": query(t, "svc.test", "NS"),
	} {
		if n := testing.AllocsPerRun(100, func() {
			if _, v := table.Answer(Query{Packet: packet, Client: client, Random: 5}, buf); v != Answered {
				t.Fatal(v)
			}
		}); n != 0 {
			t.Errorf("%s: %.0f allocations", name, n)
		}
	}
}

func BenchmarkAnswer(b *testing.B) {
	weighted := many(b, 4, dns.Policy{}, 1, 2)
	table := withStatic(b, domain(b, Config{Cookies: true, Server: "n1"}, weighted))
	for name, packet := range map[string][]byte{
		"address": query(b, "mail.static.test", "A"), "edns": query(b, "mail.static.test", "A", edns(1232)),
		"weighted": query(b, "web.svc.test", "A"), "nxdomain": query(b, "no.svc.test", "A"), "alias": query(b, "alias.static.test", "A"),
	} {
		b.Run(name, func(b *testing.B) {
			buf := make([]byte, 0, 4096)
			rnd := random(1)
			b.ReportAllocs()
			for b.Loop() {
				table.Answer(Query{Packet: packet, Client: localClient, Random: rnd.next()}, buf)
			}
		})
	}
}

// BenchmarkManyNames asks for 10,000 names in an order that jumps about: most of the time goes to memory.
func BenchmarkManyNames(b *testing.B) {
	const names = 10_000
	table := domain(b, Config{})
	packets := make([][]byte, names)
	for i := range names {
		name := dns.Name(fmt.Sprintf("host%d.svc.test", i))
		table.Put(dns.Set{Name: name, RRs: []dns.RR{dns.AddrRR(name, netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 60)}})
		packets[i*7919%names] = query(b, string(name), "A")
	}
	buf := make([]byte, 0, 4096)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		table.Answer(Query{Packet: packets[i%names], Client: localClient}, buf)
	}
}
