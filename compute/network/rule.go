package network

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// protocols are the names that a rule may have for IP protocols, as Neutron
// knows them (IANA protocol numbers).
var protocols = map[string]uint8{
	"icmp": 1, "igmp": 2, "ipip": 4, "tcp": 6, "egp": 8, "udp": 17, "dccp": 33, "ipv6-encap": 41, "rsvp": 46, "gre": 47,
	"esp": 50, "ah": 51, "icmpv6": 58, "ipv6-icmp": 58, "ospf": 89, "vrrp": 112, "pgm": 113, "sctp": 132, "udplite": 136,
	"hopopt": 0, "ipv6-route": 43, "ipv6-frag": 44, "ipv6-nonxt": 59, "ipv6-opts": 60,
}

// ProtocolNumber gives the number of a rule's protocol; any when the rule takes
// every one, and false when no packet can have it. ICMP of an IPv6 rule is ICMPv6.
func ProtocolNumber(name string, ipv6 bool) (number uint8, any, ok bool) {
	name = strings.ToLower(name)
	if name == "" || name == "any" {
		return 0, true, true
	}
	n, known := protocols[name]
	if !known {
		v, err := strconv.ParseUint(name, 10, 8)
		if err != nil {
			return 0, false, false
		}
		n = uint8(v)
	}
	if ipv6 && n == 1 {
		n = 58
	}
	return n, false, true
}

// Flow is the first packet of a connection, seen from a port.
type Flow struct {
	Ingress  bool
	Remote   netip.Addr
	Protocol uint8
	Port     uint16 // that it goes to; of TCP, UDP and their kin
}

// Permits says whether one of a port's rules lets a flow pass. ICMP is judged
// without its type: a rule about one type permits.
func Permits(rules []Rule, groups map[string][]netip.Addr, f Flow) bool {
	return slices.ContainsFunc(rules, func(r Rule) bool { return r.permits(groups, f) })
}

func (r Rule) permits(groups map[string][]netip.Addr, f Flow) bool {
	if r.Ingress != f.Ingress || r.IPv6 != f.Remote.Is6() {
		return false
	}
	number, any, ok := ProtocolNumber(r.Protocol, r.IPv6)
	if !ok || !any && number != f.Protocol {
		return false
	}
	if !any && r.Min >= 0 && slices.Contains([]uint8{6, 17, 33, 132, 136}, number) &&
		(int(f.Port) < r.Min || int(f.Port) > max(r.Min, r.Max)) {
		return false
	}
	if r.RemotePrefix.IsValid() && !r.RemotePrefix.Contains(f.Remote) {
		return false
	}
	return r.RemoteGroupID == "" || slices.Contains(groups[r.RemoteGroupID], f.Remote)
}
