package netns

import (
	"flag"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/kamado/kamado/compute/network"
)

var update = flag.Bool("update", false, "rewrite testdata")

// TestFilters compares the filters of a network, and the translation of its
// router, with what was reviewed, for both places where kernels track
// connections.
func TestFilters(t *testing.T) {
	s := twoNetworks()
	s.Ports[0].Rules = append(s.Ports[0].Rules, tcpIn(22), tcpIn(22), network.Rule{Ingress: true, Protocol: "icmp", Min: 8, Max: -1},
		network.Rule{Ingress: true, IPv6: true, Protocol: "udp", Min: 5000, Max: 5010, RemotePrefix: cidr("fd00::/8")},
		network.Rule{Ingress: true, Protocol: "tcp", Min: -1, Max: -1, RemoteGroupID: "g"},
		network.Rule{Ingress: true, Protocol: "nonsense", Min: -1, Max: -1},
		network.Rule{Ingress: true, Min: -1, Max: -1, RemotePrefix: cidr("fd00::/8")}) // of the other family: matches nothing
	s.Ports[0].AllowedPairs = []network.Pair{{Prefix: cidr("10.1.0.200/32"), MAC: "fa:16:3e:00:00:ee"}}
	s.Ports[1].Filtered = false
	s.Groups = map[string][]netip.Addr{"g": addrs("10.1.0.12", "10.1.0.11", "fd00::1", "10.1.0.12")}
	s.Routers[0].Floating = []network.Floating{{External: ip("172.24.4.20"), Internal: ip("10.1.0.11")}}
	e := &Engine{hash: "00000000", kernel: kernel{counts: true}, cfg: network.Config{ConnectionsMax: 8192}}
	var b strings.Builder
	for _, track := range []tracking{trackInet, trackBridge} {
		e.track = track
		for _, table := range newPlan(e, s).segments[1].tables() {
			b.WriteString(table.String())
		}
	}
	for _, table := range natTables(s.Routers[0], "rout") {
		b.WriteString(table.String())
	}
	const file = "testdata/filters.txt"
	if *update {
		if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if b.String() != string(want) {
		t.Errorf("the filters differ from %s (go test -update rewrites it):\n%s", file, b.String())
	}
}

func TestLinkNamesFit(t *testing.T) {
	seen := map[string]bool{}
	for _, id := range []string{"3f2a9c1b-2d44-4a66-9f00-000000000001", "p", "port-000000000000001", "port-000000000000002", strings.Repeat("x", 36) + "/"} {
		name := tapName(id)
		if len(name) > 15 || seen[name] {
			t.Errorf("tapName(%q) = %q, want at most 15 bytes, and its own", id, name)
		}
		seen[name] = true
	}
	if got := tapName("3f2a9c1b-2d44-4a66-9f00-000000000001"); got != "tap3f2a9c1b-2d" {
		t.Errorf("tap of a UUID is %q, want as Neutron names it", got)
	}
}

// TestManyPorts reaches what goes into one message and one transaction.
func TestManyPorts(t *testing.T) {
	needsRoot(t)
	ns, _, err := makeNamespace("many")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ns.Close()
		if err := removeNamespace("many"); err != nil {
			t.Error(err)
		}
	})
	s := many(1, elementsMax+100)
	for i := range s.Ports { // each with rules of its own
		s.Ports[i].Rules = append([]network.Rule{tcpIn(i + 1)}, s.Ports[i].Rules...)
	}
	seg := newPlan(&Engine{hash: "0", kernel: kernel{trackInet, true}}, s).segments[0]
	began := time.Now()
	if changed, err := applyTables(ns, seg.tables()); err != nil || !changed {
		t.Fatalf("filters of %d ports: %t, %v", len(s.Ports), changed, err)
	}
	t.Logf("filters of %d ports in %s", len(s.Ports), time.Since(began))
	if changed, err := applyTables(ns, seg.tables()); err != nil || changed {
		t.Errorf("the same again: %t, %v, want no change", changed, err)
	}
}
