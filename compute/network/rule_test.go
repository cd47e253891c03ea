package network_test

import (
	"net/netip"
	"testing"

	"github.com/kamado/kamado/compute/network"
)

func TestProtocolNumber(t *testing.T) {
	for _, c := range []struct {
		name string
		ipv6 bool
		want uint8
		any  bool
		ok   bool
	}{
		{"", false, 0, true, true}, {"any", true, 0, true, true}, {"TCP", false, 6, false, true}, {"17", false, 17, false, true},
		{"icmp", false, 1, false, true}, {"icmp", true, 58, false, true}, {"1", true, 58, false, true}, {"ipv6-icmp", true, 58, false, true},
		{"256", false, 0, false, false}, {"-1", false, 0, false, false}, {"nonsense", false, 0, false, false},
	} {
		n, any, ok := network.ProtocolNumber(c.name, c.ipv6)
		if n != c.want || any != c.any || ok != c.ok {
			t.Errorf("ProtocolNumber(%q, %t) = %d, %t, %t, want %d, %t, %t", c.name, c.ipv6, n, any, ok, c.want, c.any, c.ok)
		}
	}
}

func TestPermits(t *testing.T) {
	a, b := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("192.168.0.1")
	groups := map[string][]netip.Addr{"g": {a}}
	flow := func(remote netip.Addr, proto uint8, port uint16) network.Flow {
		return network.Flow{Ingress: true, Remote: remote, Protocol: proto, Port: port}
	}
	tcp := network.Rule{Ingress: true, Protocol: "tcp", Min: 20, Max: 30}
	for _, c := range []struct {
		name string
		rule network.Rule
		flow network.Flow
		want bool
	}{
		{"within the range", tcp, flow(a, 6, 30), true},
		{"beyond the range", tcp, flow(a, 6, 31), false},
		{"another protocol", tcp, flow(a, 17, 22), false},
		{"the other direction", network.Rule{Protocol: "tcp", Min: 20, Max: 30}, flow(a, 6, 22), false},
		{"the other family", network.Rule{Ingress: true, IPv6: true, Min: -1, Max: -1}, flow(a, 6, 22), false},
		{"any protocol", network.Rule{Ingress: true, Min: -1, Max: -1}, flow(b, 47, 0), true},
		{"any port", network.Rule{Ingress: true, Protocol: "udp", Min: -1, Max: -1}, flow(b, 17, 9), true},
		{"within the prefix", network.Rule{Ingress: true, Min: -1, Max: -1, RemotePrefix: netip.MustParsePrefix("10.0.0.0/8")}, flow(a, 6, 1), true},
		{"beyond the prefix", network.Rule{Ingress: true, Min: -1, Max: -1, RemotePrefix: netip.MustParsePrefix("10.0.0.0/8")}, flow(b, 6, 1), false},
		{"a member of the group", network.Rule{Ingress: true, Min: -1, Max: -1, RemoteGroupID: "g"}, flow(a, 6, 1), true},
		{"a stranger of the group", network.Rule{Ingress: true, Min: -1, Max: -1, RemoteGroupID: "g"}, flow(b, 6, 1), false},
		{"one type of ICMP", network.Rule{Ingress: true, Protocol: "icmp", Min: 8, Max: 0}, flow(b, 1, 0), true},
	} {
		if got := network.Permits([]network.Rule{c.rule}, groups, c.flow); got != c.want {
			t.Errorf("%s: Permits = %t, want %t", c.name, got, c.want)
		}
	}
}
