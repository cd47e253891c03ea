package netns

import (
	"bytes"
	"encoding/binary"
	"net"
	"net/netip"
	"testing"

	"github.com/vishvananda/netlink"

	"github.com/kamado/kamado/compute/network"
)

var broadcastMAC = net.HardwareAddr{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

// onLink adds a route without next hop to a guest.
func (g *machine) onLink(prefix string) error {
	return g.ns.RouteReplace(&netlink.Route{LinkIndex: g.ns.linkByName("eth0").Attrs().Index, Dst: netOf(cidr(prefix)), Scope: netlink.SCOPE_LINK})
}

func ethernet(src, dst net.HardwareAddr, typ uint16, payload []byte) []byte {
	b := append([]byte(nil), dst...)
	b = append(b, src...)
	b = binary.BigEndian.AppendUint16(b, typ)
	return append(b, payload...)
}

// udp makes a frame with a datagram without checksum.
func udp(src, dst net.HardwareAddr, from, to netip.Addr, sport, dport uint16, payload []byte) []byte {
	u := binary.BigEndian.AppendUint16(nil, sport)
	u = binary.BigEndian.AppendUint16(u, dport)
	u = binary.BigEndian.AppendUint16(u, uint16(8+len(payload)))
	u = append(u, 0, 0)
	u = append(u, payload...)
	h := []byte{0x45, 0, 0, 0, 0, 0, 0, 0, 64, protoUDP, 0, 0}
	binary.BigEndian.PutUint16(h[2:], uint16(20+len(u)))
	h = append(h, from.AsSlice()...)
	h = append(h, to.AsSlice()...)
	var s uint32
	for i := 0; i < 20; i += 2 {
		s += uint32(binary.BigEndian.Uint16(h[i:]))
	}
	s = s>>16 + s&0xffff
	binary.BigEndian.PutUint16(h[10:], ^uint16(s+s>>16))
	return ethernet(src, dst, etherIPv4, append(h, u...))
}

func arp(src, dst, senderMAC net.HardwareAddr, op uint16, sender, target netip.Addr) []byte {
	b := []byte{0, 1, 8, 0, 6, 4, byte(op >> 8), byte(op)}
	b = append(b, senderMAC...)
	b = append(b, sender.AsSlice()...)
	b = append(b, 0, 0, 0, 0, 0, 0)
	b = append(b, target.AsSlice()...)
	return ethernet(src, dst, etherARP, b)
}

// icmp6 makes a frame with an ICMPv6 message and its checksum.
func icmp6(src, dst net.HardwareAddr, from, to netip.Addr, message []byte) []byte {
	h := []byte{0x60, 0, 0, 0, 0, 0, protoICMPv6, 255}
	binary.BigEndian.PutUint16(h[4:], uint16(len(message)))
	h = append(h, from.AsSlice()...)
	h = append(h, to.AsSlice()...)
	s := uint32(len(message)) + protoICMPv6
	for _, part := range [][]byte{h[8:], message} {
		for i := 0; i+1 < len(part); i += 2 {
			s += uint32(binary.BigEndian.Uint16(part[i:]))
		}
	}
	for s > 0xffff {
		s = s>>16 + s&0xffff
	}
	m := bytes.Clone(message)
	binary.BigEndian.PutUint16(m[2:], ^uint16(s))
	return ethernet(src, dst, etherIPv6, append(h, m...))
}

func TestSpoofedFramesAreDropped(t *testing.T) {
	s := twoNetworks()
	open := network.Rule{Ingress: true, Min: -1, Max: -1}
	open6, out6 := open, everythingOut
	open6.IPv6, out6.IPv6 = true, true
	s.Ports[0].Rules = append(s.Ports[0].Rules, out6)
	s.Ports[0].Addresses = append(s.Ports[0].Addresses, ip("fd00::a1"))
	s.Ports[0].AllowedPairs = []network.Pair{{Prefix: cidr("10.1.0.200/32")}, {Prefix: cidr("10.1.0.192/29"), MAC: "fa:16:3e:00:00:ee"}}
	s.Ports[1].Rules = append(s.Ports[1].Rules, open, open6)
	l := newLab(t, s)
	a1, a2 := l.boot("a1", "10.1.0.1"), l.boot("a2", "10.1.0.1")
	me, you := a1.mac, a2.mac
	evil, pair := net.HardwareAddr{0xfa, 0x16, 0x3e, 0, 0, 0xc1}, net.HardwareAddr{0xfa, 0x16, 0x3e, 0, 0, 0xee}
	mine, yours, gateway := ip("10.1.0.11"), ip("10.1.0.12"), ip("10.1.0.1")
	lla := linkLocal(me)
	all := ip("ff02::1")
	advert := func(target netip.Addr) []byte {
		return append(append([]byte{ndAdvert, 0, 0, 0, 0x20, 0, 0, 0}, target.AsSlice()...), append([]byte{2, 1}, me...)...)
	}
	pay := []byte("x")
	for _, c := range []struct {
		name  string
		frame []byte
		pass  bool
	}{
		{"a datagram of its own", udp(me, you, mine, yours, 1000, 2000, pay), true},
		{"another MAC", udp(evil, you, mine, yours, 1000, 2000, pay), false},
		{"another address", udp(me, you, ip("10.1.0.13"), yours, 1000, 2000, pay), false},
		{"the gateway's address", udp(me, you, gateway, yours, 1000, 2000, pay), false},
		{"no address", udp(me, you, ip("0.0.0.0"), yours, 1000, 2000, pay), false},
		{"an allowed pair's address", udp(me, you, ip("10.1.0.200"), yours, 1000, 2000, pay), true},
		{"an allowed pair's prefix and MAC", udp(pair, you, ip("10.1.0.195"), yours, 1000, 2000, pay), true},
		{"an allowed pair's prefix with the wrong MAC", udp(me, you, ip("10.1.0.195"), yours, 1000, 2000, pay), false},
		{"beyond an allowed pair's prefix", udp(pair, you, ip("10.1.0.201"), yours, 1000, 2000, pay), false},
		{"the own address with a pair's MAC", udp(pair, you, mine, yours, 1000, 2000, pay), false},
		{"ARP of its own", arp(me, you, me, 2, mine, yours), true},
		{"an ARP probe", arp(me, broadcastMAC, me, 1, ip("0.0.0.0"), mine), true},
		{"ARP as the gateway", arp(me, you, me, 2, gateway, yours), false},
		{"ARP with another MAC inside", arp(me, you, evil, 2, mine, yours), false},
		{"ARP from another MAC", arp(evil, you, me, 2, mine, yours), false},
		{"a DHCP server", udp(me, you, mine, yours, 67, 68, pay), false},
		{"a DHCP server to everybody", udp(me, broadcastMAC, mine, ip("255.255.255.255"), 67, 68, pay), false},
		{"IPv6 of its own", icmp6(me, you, ip("fd00::a1"), all, []byte{128, 0, 0, 0, 0, 0, 0, 0}), true},
		{"IPv6 link-local of its own", icmp6(me, you, lla, all, []byte{128, 0, 0, 0, 0, 0, 0, 0}), true},
		{"IPv6 of another", icmp6(me, you, ip("fd00::a2"), all, []byte{128, 0, 0, 0, 0, 0, 0, 0}), false},
		{"IPv6 link-local of another", icmp6(me, you, linkLocal(evil), all, []byte{128, 0, 0, 0, 0, 0, 0, 0}), false},
		{"a router advertisement", icmp6(me, you, lla, all, append([]byte{raAdvert}, make([]byte, 15)...)), false},
		{"a redirect", icmp6(me, you, lla, all, append([]byte{ndRedirect}, make([]byte, 39)...)), false},
		{"a neighbour advertisement of its own", icmp6(me, you, lla, all, advert(ip("fd00::a1"))), true},
		{"a neighbour advertisement for another", icmp6(me, you, lla, all, advert(ip("fd00::a2"))), false},
		{"a DHCPv6 server", ethernet(me, you, etherIPv6, dhcpv6Server(lla)), false},
		{"another EtherType", ethernet(me, you, 0x88cc, make([]byte, 50)), false},
		{"a VLAN tag", ethernet(me, you, 0x8100, append([]byte{0, 5}, udp(me, you, mine, yours, 1, 2, pay)[12:]...)), false},
	} {
		seen := a2.watch(func(f []byte) bool { return len(f) >= len(c.frame) && bytes.Equal(f[:len(c.frame)], c.frame) })
		a1.send(c.frame)
		d := silence
		if c.pass {
			d = wait
		}
		if got := seen(d); got != c.pass {
			t.Errorf("%s: passed is %t, want %t", c.name, got, c.pass)
		}
	}
}

// dhcpv6Server is an IPv6 packet of a DHCPv6 server without checksum.
func dhcpv6Server(from netip.Addr) []byte {
	h := []byte{0x60, 0, 0, 0, 0, 12, protoUDP, 64}
	h = append(h, from.AsSlice()...)
	h = append(h, ip("ff02::1").AsSlice()...)
	return append(h, 0x02, 0x23, 0x02, 0x22, 0, 12, 0, 1, 2, 0, 0, 0)
}

func TestUnfilteredPortMayBeAnybody(t *testing.T) {
	s := twoNetworks()
	s.Ports[0].Filtered = false
	s.Ports[1].Rules = append(s.Ports[1].Rules, network.Rule{Ingress: true, Min: -1, Max: -1})
	l := newLab(t, s)
	a1, a2 := l.boot("a1", "10.1.0.1"), l.boot("a2", "10.1.0.1")
	f := udp(net.HardwareAddr{2, 0, 0, 0, 0, 1}, a2.mac, ip("10.1.0.99"), ip("10.1.0.12"), 5, 6, []byte("x"))
	seen := a2.watch(func(b []byte) bool { return bytes.HasPrefix(b, f) })
	a1.send(f)
	if !seen(wait) {
		t.Error("a port without port security is filtered")
	}
	a1.listen(80)
	if _, ok := a2.reaches("10.1.0.11:80", wait); !ok {
		t.Error("nothing reaches a port without port security")
	}
}
