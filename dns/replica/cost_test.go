package replica

import (
	"fmt"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"github.com/kamado/kamado/dns"
)

// crowd is a member that knows so many others, with so many records each.
func crowd(t testing.TB, members, each int) (*sim, *simNode) {
	s := newSim(t, 1, members)
	_, s.cheap = t.(*testing.T)
	n := s.nodes[0]
	n.r, n.up, n.view = n.fresh(), true, map[string]bool{}
	for i, p := range s.nodes[1:] {
		r := p.fresh()
		out, err := r.Start(s.now, dns.Info{HTTP: "10.0.0.1:8301", Version: "1.0"})
		if err != nil {
			t.Fatal(err)
		}
		keep := out.Keep
		for j := range each {
			rec := record(fmt.Sprintf("service-%d-%d", i, j), 1)
			rec.RR = dns.AddrRR(rec.Name, netip.AddrFrom4([4]byte{10, 1, byte(i), byte(j)}), 5)
			rec.Check.Spec = "tcp:127.0.0.1:9000"
			out, err := r.Add(s.now, rec)
			if err != nil {
				t.Fatal(err)
			}
			keep = append(keep, out.Keep...)
		}
		for _, raw := range keep {
			if err := n.r.Restore(s.now, raw); err != nil {
				t.Fatal(err)
			}
		}
	}
	n.take(n.r.Start(s.now, dns.Info{}))
	for _, p := range s.nodes[1:] {
		n.r.Up(s.now, p.name())
	}
	return s, n
}

// TestMemory holds the share that the state has of the 32 MiB which a member may
// take with 10,000 names of 100 members.
func TestMemory(t *testing.T) {
	const most = 8 << 20
	var before, after runtime.MemStats
	s, n := crowd(t, 100, 101)
	held := n.r
	if got := held.Stats().Entries; got < 10_000 {
		t.Fatalf("%d entries", got)
	}
	s.nodes, s.index, s.verified, s.certs, s.queue, n.synced, n.written = nil, nil, nil, nil, nil, nil, nil
	held.sign, held.verify, held.certified = nil, nil, nil
	n.r = nil
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&after)
	bytes := held.Stats().Bytes
	held = nil
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&before)
	took := int(after.HeapAlloc) - int(before.HeapAlloc)
	t.Logf("10,000 records of 100 members: %d kB, of which entries %d kB", took>>10, bytes>>10)
	if took > most {
		t.Errorf("%d bytes, at most %d", took, most)
	}
}

// BenchmarkReceive is one change of a record, from its datagram to the set that it changed.
func BenchmarkReceive(b *testing.B) {
	s, n := crowd(b, 100, 100)
	p := s.nodes[1]
	n.r.verify = verifyEd25519
	r := p.fresh()
	if _, err := r.Start(s.now.Add(time.Hour), dns.Info{}); err != nil {
		b.Fatal(err)
	}
	r.Up(s.now, "n0")
	rec := record("web", 1)
	id := dns.RecordID{Owner: p.name(), Name: rec.Name, Type: rec.Type, Data: string(rec.Data)}
	if _, err := r.Add(s.now, rec); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		b.StopTimer()
		out, err := r.SetHealth(s.now, []HealthChange{{ID: id, Health: dns.Health{State: dns.State(1 + i%2), Since: s.now}}})
		if err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		got, err := n.r.Receive(s.now, p.name(), out.Send[0].Bytes)
		if err != nil || len(got.Names) != 1 {
			b.Fatalf("%+v, %v", got, err)
		}
		n.r.Set(got.Names[0])
		for range 4 { // times that it is said again
			if _, err := n.r.Receive(s.now, p.name(), out.Send[0].Bytes); err != nil {
				b.Fatal(err)
			}
		}
	}
}

// BenchmarkDigest is what a tick costs when all is alike.
func BenchmarkDigest(b *testing.B) {
	_, n := crowd(b, 1000, 1)
	for b.Loop() {
		n.r.digest(7)
	}
}
