package dhcp

import (
	"encoding/hex"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"

	"github.com/kamado/kamado/compute/network"
)

// LeaseTime is how long an address is promised. A guest renews at half of it
// (RFC 2131 §4.4.5), so it keeps its address through an absence of ours of at
// least 12 h, and of 24 h when it has just renewed.
const LeaseTime = 24 * time.Hour

// MetadataAddress is where the metadata service answers in every network.
var MetadataAddress = netip.AddrFrom4([4]byte{169, 254, 169, 254})

// RoutesMax bounds the classless routes of one answer: 9 bytes each at most,
// so that an answer stays well below 1,500 bytes.
const RoutesMax = 64

// Lease is what one card is told.
type Lease struct {
	PortID   string
	MAC      string // lower case, with colons
	Address  netip.Addr
	Prefix   netip.Prefix // of the subnet
	Server   netip.Addr   // who serves: an address that the guest can renew at
	Gateway  netip.Addr   // invalid: none
	DNS      []netip.Addr
	Routes   []network.Route
	MTU      int
	Hostname string
	Options  []network.DHCPOption
}

// Table is the leases of one network by MAC.
type Table map[string]Lease

// Leases gives the table of a network. routed says whether a router answers at
// a gateway's address: then the metadata service is reached through it, as a
// client expects that takes only the first route; else directly on the link.
func Leases(n network.Network, ports []network.Port, routed func(gateway netip.Addr) bool) Table {
	t := Table{}
	for _, p := range ports {
		if p.NetworkID != n.ID {
			continue
		}
		if l, ok := leaseOf(n, p, routed); ok {
			t[l.MAC] = l
		}
	}
	return t
}

// leaseOf gives the lease of a port: of its first IPv4 address in a subnet with DHCP.
func leaseOf(n network.Network, p network.Port, routed func(netip.Addr) bool) (Lease, bool) {
	mac, err := net.ParseMAC(p.MAC)
	if err != nil {
		return Lease{}, false
	}
	for _, a := range p.Addresses {
		if !a.Is4() {
			continue
		}
		for _, s := range n.Subnets {
			if !s.DHCP || !s.Prefix.Contains(a) {
				continue
			}
			l := Lease{PortID: p.ID, MAC: mac.String(), Address: a, Prefix: s.Prefix.Masked(), Server: s.Server, Gateway: s.Gateway,
				DNS: s.DNS, MTU: n.MTU, Hostname: p.Hostname, Options: p.Options}
			if !l.Server.Is4() {
				l.Server = MetadataAddress
			}
			l.Routes = routesOf(s, routed)
			return l, true
		}
	}
	return Lease{}, false
}

// routesOf gives the classless routes of a subnet: its own, the one to the
// metadata service, and the default route, because a client that takes option
// 121 ignores option 3 (RFC 3442).
func routesOf(s network.Subnet, routed func(netip.Addr) bool) []network.Route {
	list := append([]network.Route(nil), s.Routes...)
	if len(list) > RoutesMax-2 {
		list = list[:RoutesMax-2]
	}
	if s.Metadata {
		hop := netip.IPv4Unspecified() // on the link
		switch {
		case s.Server.Is4():
			hop = s.Server
		case s.Gateway.Is4() && routed(s.Gateway):
			hop = s.Gateway
		}
		list = append(list, network.Route{Destination: netip.PrefixFrom(MetadataAddress, 32), NextHop: hop})
	}
	if len(list) > 0 && s.Gateway.Is4() {
		list = append(list, network.Route{Destination: netip.PrefixFrom(netip.IPv4Unspecified(), 0), NextHop: s.Gateway})
	}
	return list
}

// options gives what the lease says, except the type of the message.
func (l Lease) options() []dhcpv4.Option {
	list := []dhcpv4.Option{
		dhcpv4.OptServerIdentifier(ip(l.Server)),
		dhcpv4.OptSubnetMask(net.CIDRMask(l.Prefix.Bits(), 32)),
		dhcpv4.OptBroadcastAddress(broadcast(l.Prefix)),
	}
	if l.Gateway.Is4() {
		list = append(list, dhcpv4.OptRouter(ip(l.Gateway)))
	}
	var dns []net.IP
	for _, a := range l.DNS {
		if a.Is4() {
			dns = append(dns, ip(a))
		}
	}
	if len(dns) > 0 {
		list = append(list, dhcpv4.OptDNS(dns...))
	}
	if l.Hostname != "" {
		list = append(list, dhcpv4.OptHostName(l.Hostname))
	}
	if l.MTU > 0 && l.MTU <= 65535 {
		list = append(list, dhcpv4.OptGeneric(dhcpv4.OptionInterfaceMTU, []byte{byte(l.MTU >> 8), byte(l.MTU)}))
	}
	if routes := l.classless(); len(routes) > 0 {
		list = append(list, dhcpv4.OptClasslessStaticRoute(routes...))
	}
	return list
}

func (l Lease) classless() []*dhcpv4.Route {
	var list []*dhcpv4.Route
	for _, r := range l.Routes {
		if r.Destination.Addr().Is4() && r.NextHop.Is4() {
			d := r.Destination.Masked()
			list = append(list, &dhcpv4.Route{Dest: &net.IPNet{IP: ip(d.Addr()), Mask: net.CIDRMask(d.Bits(), 32)}, Router: ip(r.NextHop)})
		}
	}
	return list
}

// times says how long the address is promised and when to renew it.
func times() []dhcpv4.Option {
	return []dhcpv4.Option{
		dhcpv4.OptIPAddressLeaseTime(LeaseTime),
		dhcpv4.OptRenewTimeValue(LeaseTime / 2),
		dhcpv4.OptRebindingTimeValue(LeaseTime * 7 / 8),
	}
}

// optionCodes names the options that a port may set, as clients of Neutron
// write them (the names of dnsmasq). A number, or "option:" before either, names
// any other.
var optionCodes = map[string]uint8{
	"netmask": 1, "router": 3, "dns-server": 6, "log-server": 7, "hostname": 12, "boot-file-size": 13, "domain-name": 15,
	"root-path": 17, "mtu": 26, "broadcast": 28, "ntp-server": 42, "vendor-class": 60, "tftp-server": 66, "tftp-server-name": 66,
	"bootfile-name": 67, "domain-search": 119, "classless-static-route": 121, "tftp-server-address": 150, "server-ip-address": 150,
	"path-prefix": 210,
}

// addressOptions hold IPv4 addresses, four bytes each.
var addressOptions = map[uint8]bool{1: true, 3: true, 6: true, 7: true, 28: true, 42: true, 150: true}

// protected options are the protocol's own: a port cannot set them.
var protected = map[uint8]bool{0: true, 50: true, 51: true, 52: true, 53: true, 54: true, 55: true, 57: true, 61: true, 82: true, 255: true}

// extra turns an option of a port into one of DHCP; false when it cannot be said.
func extra(o network.DHCPOption) (dhcpv4.Option, bool) {
	name := strings.TrimPrefix(strings.ToLower(o.Name), "option:")
	code, ok := optionCodes[name]
	if !ok {
		n, err := strconv.ParseUint(name, 10, 8)
		if err != nil {
			return dhcpv4.Option{}, false
		}
		code = uint8(n)
	}
	value, ok := extraValue(code, o.Value)
	if protected[code] || !ok || len(value) == 0 || len(value) > 255 {
		return dhcpv4.Option{}, false
	}
	return dhcpv4.OptGeneric(dhcpv4.GenericOptionCode(code), value), true
}

func extraValue(code uint8, s string) ([]byte, bool) {
	switch {
	case addressOptions[code]:
		var b []byte
		for _, f := range strings.Split(s, ",") {
			a, err := netip.ParseAddr(strings.TrimSpace(f))
			if err != nil || !a.Is4() {
				return nil, false
			}
			b = append(b, a.AsSlice()...)
		}
		return b, true
	case code == 26 || code == 13: // two bytes
		n, err := strconv.ParseUint(s, 10, 16)
		return []byte{byte(n >> 8), byte(n)}, err == nil
	case code == 121:
		b, err := hex.DecodeString(strings.ReplaceAll(s, ":", ""))
		return b, err == nil
	}
	return []byte(s), true
}

func ip(a netip.Addr) net.IP { return net.IP(a.AsSlice()) }

func broadcast(p netip.Prefix) net.IP {
	b := p.Addr().As4()
	for i := p.Bits(); i < 32; i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	return b[:]
}
