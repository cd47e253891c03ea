package netns

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"testing"

	"github.com/kamado/kamado/compute/network"
)

// BenchmarkApply measures what a new port costs on a host that has networks
// with ports already: the time until a guest can have its tap.
func BenchmarkApply(b *testing.B) {
	if os.Getenv(inside) == "" {
		b.Skip("needs root and the right to make network namespaces")
	}
	for _, c := range []struct{ networks, ports int }{{1, 1}, {1, 100}, {50, 10}} {
		b.Run(fmt.Sprintf("%d-networks-of-%d-ports", c.networks, c.ports), func(b *testing.B) {
			e, err := New(network.Config{Dir: b.TempDir()})
			if err != nil {
				b.Fatal(err)
			}
			defer func() { _ = e.Purge(context.Background()) }()
			s := many(c.networks, c.ports)
			if err := e.Apply(b.Context(), s); err != nil {
				b.Fatal(err)
			}
			extra := s.Ports[0]
			with := s
			b.ResetTimer()
			for i := 0; b.Loop(); i++ {
				extra.ID, extra.Addresses = fmt.Sprintf("extra-%d", i), []netip.Addr{ip("10.0.250.1")}
				with.Ports = append(s.Ports[:len(s.Ports):len(s.Ports)], extra)
				if err := e.Apply(b.Context(), with); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// many makes networks with ports that have the rules of a default group and ten more.
func many(networks, ports int) network.State {
	s := network.State{Groups: map[string][]netip.Addr{"g": nil}}
	rules := []network.Rule{everythingOut, {IPv6: true, Min: -1, Max: -1}, {Ingress: true, Min: -1, Max: -1, RemoteGroupID: "g"},
		{Ingress: true, IPv6: true, Min: -1, Max: -1, RemoteGroupID: "g"}}
	for i := range 10 {
		rules = append(rules, tcpIn(100+i))
	}
	for n := range networks {
		id := fmt.Sprintf("n%d", n)
		s.Networks = append(s.Networks, network.Network{ID: id, Subnets: []network.Subnet{{ID: id, Prefix: cidr("10.0.0.0/16"), Gateway: ip("10.0.0.1"), DHCP: true, Metadata: true}}})
		for p := range ports {
			a := netip.AddrFrom4([4]byte{10, 0, byte(n), byte(p + 2)})
			s.Ports = append(s.Ports, network.Port{ID: fmt.Sprintf("p%d-%d", n, p), NetworkID: id, AdminUp: true, Filtered: true, Rules: rules,
				MAC: fmt.Sprintf("fa:16:3e:00:%02x:%02x", n, p), Addresses: []netip.Addr{a}})
			s.Groups["g"] = append(s.Groups["g"], a)
		}
	}
	return s
}
