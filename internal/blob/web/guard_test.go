package web

import (
	"errors"
	"net/netip"
	"testing"

	"github.com/kamado/kamado/internal/blob"
)

// closed are addresses from every network that is not public, the first and the
// last where the edge matters.
var closed = []string{
	"0.0.0.0", "0.255.255.255", "10.0.0.0", "10.255.255.255", "100.64.0.0", "100.100.100.200", "100.127.255.255", "127.0.0.1", "127.255.255.254",
	"168.63.129.16", "169.254.0.1", "169.254.169.254", "169.254.170.2", "172.16.0.0", "172.31.255.255", "192.0.0.1", "192.0.0.192", "192.0.2.1", "192.88.99.1",
	"192.168.0.1", "192.168.255.255", "198.18.0.1", "198.19.255.255", "198.51.100.7", "203.0.113.7", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255",
	"::", "::1", "::2", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::ffff:0:127.0.0.1",
	"64:ff9b::127.0.0.1", "64:ff9b::10.0.0.1", "64:ff9b::169.254.169.254", "64:ff9b:1::1", "100::1", "2001::1", "2001:0:7f00:1::", "2001:2::1", "2001:10::1",
	"2001:20::1", "2001:db8::1", "2002::1", "2002:7f00:1::1", "2002:a00:1::1", "2002:808:808::1", "3fff::1", "3fff:fff::1", "4000::1", "5f00::1", "fc00::1",
	"fd00:ec2::254", "fe80::1", "fe80::1%eth0", "febf::1", "fec0::1", "ff02::1", "ff0e::1", "1::", "1fff:ffff::",
}

var open = []string{
	"1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255", "128.0.0.1", "169.253.255.255", "169.255.0.0",
	"172.15.255.255", "172.32.0.0", "192.0.1.0", "192.167.255.255", "192.169.0.0", "198.17.255.255", "198.20.0.0", "223.255.255.255",
	"::ffff:8.8.8.8", "64:ff9b::8.8.8.8", "2001:200::1", "2606:4700:4700::1111", "2a00:1450:4001::1", "3ffe::1",
}

func TestOnlyPublicAddressesAreConnectedTo(t *testing.T) {
	t.Parallel()
	g := &guard{ports: map[uint16]bool{80: true}}
	connect := func(g *guard, address string, port uint16) error {
		a := netip.MustParseAddr(address)
		network := "tcp6"
		if a.Is4() {
			network = "tcp4"
		}
		return g.control(t.Context(), network, netip.AddrPortFrom(a, port).String(), nil)
	}
	for _, a := range closed {
		if err := connect(g, a, 80); !errors.Is(err, ErrRefused) || !errors.Is(err, blob.ErrDenied) {
			t.Errorf("%s: %v, want ErrRefused and ErrDenied", a, err)
		}
	}
	if n := g.refused.Load(); n != uint64(len(closed)) {
		t.Errorf("%d refusals counted, want %d", n, len(closed))
	}
	for _, a := range open {
		if err := connect(g, a, 80); err != nil {
			t.Errorf("%s: %v", a, err)
		}
		if err := connect(g, a, 81); !errors.Is(err, ErrRefused) {
			t.Errorf("%s, a port that is not listed: %v, want ErrRefused", a, err)
		}
	}
	for network, address := range map[string]string{"unix": "/run/x", "udp4": "8.8.8.8:80", "tcp4": "localhost:80", "tcp6": "::1"} {
		if err := g.control(t.Context(), network, address, nil); !errors.Is(err, ErrRefused) {
			t.Errorf("%s %s: %v, want ErrRefused", network, address, err)
		}
	}
}

func TestNetworksAreAllowedByName(t *testing.T) {
	t.Parallel()
	networks, err := parseNetworks([]string{"10.1.0.0/16", "127.0.0.1", "fd00:1::/32"})
	if err != nil {
		t.Fatal(err)
	}
	g := &guard{allow: networks}
	for a, want := range map[string]bool{
		"10.1.2.3": true, "10.2.0.1": false, "127.0.0.1": true, "127.0.0.2": false, "fd00:1::5": true, "fd00:2::5": false,
		"::ffff:10.1.2.3": true, "64:ff9b::10.1.2.3": true, "64:ff9b::10.2.0.1": false, "fe80::1": false,
	} {
		if got := g.allows(netip.MustParseAddr(a)); got != want {
			t.Errorf("%s: %v, want %v", a, got, want)
		}
	}
	for _, bad := range []string{"", "10.1.0.0/33", "10.1.2.3/16", "fe80::1%lo", "localhost"} {
		if _, err := parseNetworks([]string{bad}); err == nil {
			t.Errorf("parseNetworks(%q) has no complaint", bad)
		}
	}
}
