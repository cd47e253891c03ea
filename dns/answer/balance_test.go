package answer

import (
	"fmt"
	"math"
	"net/netip"
	"slices"
	"testing"
	"time"

	miekg "github.com/miekg/dns"

	"github.com/kamado/kamado/dns"
)

// many makes a set of n living masters 10.0.x.y with weights.
func many(t testing.TB, n int, p dns.Policy, weights ...uint16) dns.Set {
	s := set("web.svc.test")
	s.Policy = p
	for i := range n {
		o := owned(t, fmt.Sprintf("n%d web.svc.test. 5 IN A 10.0.%d.%d", i, i>>8, i&255))
		if len(weights) > 0 {
			o.Weight = weights[i%len(weights)]
		}
		s.Owned = append(s.Owned, o)
	}
	return s
}

// order asks for the addresses of web.svc.test.
func order(t testing.TB, table *Table, client string, random uint64) []string {
	m := ask(t, table, Query{Packet: query(t, "web.svc.test", "A", edns(1232)), Client: netip.AddrPortFrom(netip.MustParseAddr(client), 53), Random: random})
	var list []string
	for _, r := range m.Answer {
		list = append(list, r.(*miekg.A).A.String())
	}
	return list
}

// expect wants counts to follow weights: by chi-squared, far beyond any luck.
func expect(t *testing.T, what string, counts map[string]int, weights map[string]float64) {
	t.Helper()
	total, weight := 0, 0.0
	for _, n := range counts {
		total += n
	}
	for _, w := range weights {
		weight += w
	}
	chi := 0.0
	for k, w := range weights {
		want := float64(total) * w / weight
		chi += (float64(counts[k]) - want) * (float64(counts[k]) - want) / want
	}
	df := float64(len(weights) - 1)
	if limit := df + 5*math.Sqrt(2*df) + 10; chi > limit {
		t.Errorf("%s: chi-squared %.1f with %.0f degrees, above %.1f: %v, want like %v", what, chi, df, limit, counts, weights)
	}
}

func TestWeights(t *testing.T) {
	t.Parallel()
	rnd := random(1)
	for _, n := range []int{2, 3, 8, 100} {
		table := domain(t, Config{}, many(t, n, dns.Policy{}, 10, 20, 70))
		first, weights := map[string]int{}, map[string]float64{}
		for i := range n {
			weights[fmt.Sprintf("10.0.%d.%d", i>>8, i&255)] = []float64{10, 20, 70}[i%3]
		}
		for range 10000 {
			list := order(t, table, "127.0.0.1", rnd.next())
			first[list[0]]++
			if sorted := slices.Sorted(slices.Values(list)); len(list) != min(n, dns.AddressesDefault) || len(slices.Compact(sorted)) != len(list) {
				t.Fatalf("%d records: answered %v", n, list)
			}
		}
		expect(t, fmt.Sprint(n, " records"), first, weights)
	}
}

// TestEvenChances wants each record at each place equally often.
func TestEvenChances(t *testing.T) {
	t.Parallel()
	rnd := random(2)
	for _, n := range []int{3, 8, 20, 200} {
		table := domain(t, Config{}, many(t, n, dns.Policy{Max: 3}))
		even := map[string]float64{}
		for i := range n {
			even[fmt.Sprintf("10.0.%d.%d", i>>8, i&255)] = 1
		}
		var places [3]map[string]int
		for i := range places {
			places[i] = map[string]int{}
		}
		for range 10000 {
			for i, a := range order(t, table, "127.0.0.1", rnd.next()) {
				places[i][a]++
			}
		}
		for i := range places {
			expect(t, fmt.Sprint(n, " records, place ", i), places[i], even)
		}
	}
}

func TestFixedFirst(t *testing.T) {
	t.Parallel()
	rnd := random(3)
	table := domain(t, Config{}, many(t, 4, dns.Policy{Balance: dns.FixedFirst}))
	second := map[string]int{}
	for range 3000 {
		list := order(t, table, "127.0.0.1", rnd.next())
		if len(list) != 4 || list[0] != "10.0.0.0" {
			t.Fatalf("answered %v, want 10.0.0.0 first of four", list)
		}
		second[list[1]]++
	}
	expect(t, "second", second, map[string]float64{"10.0.0.1": 1, "10.0.0.2": 1, "10.0.0.3": 1})
}

func TestFixBySource(t *testing.T) {
	t.Parallel()
	s := many(t, 3, dns.Policy{Balance: dns.FixBySource, Max: 1, Sources: "app.svc.test"})
	for i := range 7 {
		s.Clients = append(s.Clients, netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}))
	}
	table := domain(t, Config{}, s)
	for i := range 7 {
		want := fmt.Sprintf("10.0.0.%d", i%3)
		for random := range uint64(3) {
			if got := order(t, table, fmt.Sprintf("192.0.2.%d", i), random); len(got) != 1 || got[0] != want {
				t.Errorf("client %d got %v, want %s", i, got, want)
			}
		}
	}
	spread := map[string]int{}
	for i := range 3000 {
		client := fmt.Sprintf("172.16.%d.%d", i>>8, i&255)
		got := order(t, table, client, 1)[0]
		if again := order(t, table, client, 2)[0]; again != got {
			t.Fatalf("%s got %s, then %s", client, got, again)
		}
		spread[got]++
	}
	expect(t, "clients without a rank", spread, map[string]float64{"10.0.0.0": 1, "10.0.0.1": 1, "10.0.0.2": 1})
}

// TestRendezvous wants clients in proportion to weights, and a record that goes
// to move its own clients alone.
func TestRendezvous(t *testing.T) {
	t.Parallel()
	s := many(t, 5, dns.Policy{Balance: dns.Rendezvous, Max: 2}, 50, 100, 100, 100, 150)
	before := domain(t, Config{}, s)
	s.Owned[2].Alive = false
	after := domain(t, Config{}, s)
	spread, weights := map[string]int{}, map[string]float64{"10.0.0.0": 50, "10.0.0.1": 100, "10.0.0.2": 100, "10.0.0.3": 100, "10.0.0.4": 150}
	for i := range 5000 {
		client := fmt.Sprintf("172.16.%d.%d", i>>8, i&255)
		was, is := order(t, before, client, 1), order(t, after, client, 2)
		spread[was[0]]++
		if was[0] != "10.0.0.2" && is[0] != was[0] {
			t.Fatalf("%s moved from %s to %s", client, was[0], is[0])
		}
		if was[0] == "10.0.0.2" && is[0] != was[1] {
			t.Fatalf("%s moved to %s, want its second, %s", client, is[0], was[1])
		}
	}
	expect(t, "clients", spread, weights)
}

func TestNearest(t *testing.T) {
	t.Parallel()
	s := set("web.svc.test",
		owned(t, "n1 web.svc.test. 5 IN A 10.1.0.1", func(o *dns.Owned) { o.Location, o.RTT = "east", 20*time.Millisecond }),
		owned(t, "n2 web.svc.test. 5 IN A 10.2.0.1", func(o *dns.Owned) { o.Location, o.RTT = "west", 10*time.Millisecond }),
		owned(t, "n3 web.svc.test. 5 IN A 192.0.2.1", func(o *dns.Owned) { o.RTT = time.Millisecond }),
		owned(t, "n4 web.svc.test. 5 IN A 192.0.2.2"))
	s.Policy.Balance = dns.Nearest
	table := domain(t, Config{Locations: map[netip.Prefix]string{netip.MustParsePrefix("172.16.0.0/12"): "east", netip.MustParsePrefix("172.17.0.0/16"): "west"}}, s)
	for client, want := range map[string]string{
		"172.16.0.1": "[10.1.0.1 192.0.2.1 192.0.2.2 10.2.0.1]", // the place, then the prefix, then the round trip
		"172.17.0.1": "[10.2.0.1 192.0.2.1 192.0.2.2 10.1.0.1]",
		"10.2.9.9":   "[10.2.0.1 10.1.0.1 192.0.2.1 192.0.2.2]",
	} {
		if got := fmt.Sprint(order(t, table, client, 1)); got != want {
			t.Errorf("%s: %s, want %s", client, got, want)
		}
	}
}

// TestManyRecords reaches the bounds of a set.
func TestManyRecords(t *testing.T) {
	t.Parallel()
	for _, b := range []dns.Balance{dns.Weighted, dns.FixBySource, dns.FixedFirst, dns.Rendezvous, dns.Nearest} {
		table := domain(t, Config{}, many(t, candidatesMax+10, dns.Policy{Balance: b, Max: dns.AddressesMax}, 1, 2))
		got := order(t, table, "127.0.0.1", 7)
		if sorted := slices.Sorted(slices.Values(got)); len(got) != dns.AddressesMax || len(slices.Compact(sorted)) != len(got) {
			t.Errorf("%v: %d records: %v", b, len(got), got)
		}
	}
}
