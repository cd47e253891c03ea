package web

import (
	"context"
	"fmt"
	"net/netip"
	"sync/atomic"
	"syscall"

	"github.com/kamado/kamado/internal/blob"
)

// guard looks at every address that a connection is about to be made to.
type guard struct {
	allow   []netip.Prefix
	ports   map[uint16]bool
	refused atomic.Uint64
}

// control is the hook of net.Dialer that runs between socket(2) and connect(2).
// address is what connect gets, whatever DNS said before and will say after.
func (g *guard) control(_ context.Context, network, address string, _ syscall.RawConn) error {
	err := g.check(network, address)
	if err != nil {
		g.refused.Add(1)
	}
	return err
}

func (g *guard) check(network, address string) error {
	if network != "tcp4" && network != "tcp6" {
		return fmt.Errorf("%w: %w: network %s", blob.ErrDenied, ErrRefused, network)
	}
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("%w: %w: %w", blob.ErrDenied, ErrRefused, err)
	}
	if !g.ports[ap.Port()] {
		return fmt.Errorf("%w: %w: port %d", blob.ErrDenied, ErrRefused, ap.Port())
	}
	if !g.allows(ap.Addr()) {
		return fmt.Errorf("%w: %w: %s is not a public address", blob.ErrDenied, ErrRefused, ap.Addr())
	}
	return nil
}

// allows says whether an address is public or allowed by name. What stands
// inside of an address counts: an IPv4 address mapped into IPv6, or behind the
// prefix of NAT64.
func (g *guard) allows(a netip.Addr) bool {
	a = a.WithZone("")
	for _, p := range g.allow {
		if p.Contains(a) {
			return true
		}
	}
	if v4, ok := embedded(a); ok {
		return g.allows(v4)
	}
	if a.Is4() {
		return !within(a, closed4)
	}
	return open6.Contains(a) && !within(a, closed6)
}

// nat64 is the well-known prefix of RFC 6052 2.1: a gateway of the network
// connects to the IPv4 address in the last four bytes.
var nat64 = netip.MustParsePrefix("64:ff9b::/96")

// embedded gives the IPv4 address that a connection to a would really go to.
func embedded(a netip.Addr) (netip.Addr, bool) {
	if a.Is4In6() {
		return a.Unmap(), true
	}
	if nat64.Contains(a) {
		b := a.As16()
		return netip.AddrFrom4([4]byte(b[12:])), true
	}
	return netip.Addr{}, false
}

func within(a netip.Addr, prefixes []netip.Prefix) bool {
	for _, p := range prefixes {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

func prefixes(texts ...string) []netip.Prefix {
	ps := make([]netip.Prefix, len(texts))
	for i, t := range texts {
		ps[i] = netip.MustParsePrefix(t)
	}
	return ps
}

// closed4 is the IANA IPv4 Special-Purpose Address Registry (RFC 6890) as far
// as it is not globally reachable, and what clouds answer on for one machine.
var closed4 = prefixes(
	"0.0.0.0/8",        // this network, and the machine itself on Linux; RFC 1122
	"10.0.0.0/8",       // private, RFC 1918
	"100.64.0.0/10",    // carrier-grade NAT, RFC 6598; a cloud's metadata too
	"127.0.0.0/8",      // loopback, RFC 1122
	"168.63.129.16/32", // a cloud's own services for its machines
	"169.254.0.0/16",   // link-local, RFC 3927; the metadata of most clouds
	"172.16.0.0/12",    // private, RFC 1918
	"192.0.0.0/24",     // protocol assignments, RFC 6890
	"192.0.2.0/24",     // documentation, RFC 5737
	"192.88.99.0/24",   // relays of 6to4, RFC 7526
	"192.168.0.0/16",   // private, RFC 1918
	"198.18.0.0/15",    // benchmarking, RFC 2544
	"198.51.100.0/24",  // documentation, RFC 5737
	"203.0.113.0/24",   // documentation, RFC 5737
	"224.0.0.0/4",      // multicast, RFC 5771
	"240.0.0.0/4",      // reserved and broadcast, RFC 1112
)

// open6 is what IANA has given out as global unicast (RFC 4291). Outside of it
// lie ::, ::1, mapped and compatible IPv4, NAT64, fc00::/7, fe80::/10,
// fec0::/10 and ff00::/8.
var open6 = netip.MustParsePrefix("2000::/3")

// closed6 are the parts of open6 that are none.
var closed6 = prefixes(
	"2001::/23",     // protocol assignments: Teredo, benchmarking, ORCHID; RFC 2928
	"2001:db8::/32", // documentation, RFC 3849
	"2002::/16",     // 6to4, which has an IPv4 address inside; RFC 7526
	"3fff::/20",     // documentation, RFC 9637
)
