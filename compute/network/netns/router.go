package netns

import (
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"

	"github.com/kamado/kamado/compute/network"
)

// routerSettings are the settings of a router's namespace. It answers ARP only
// at the card that has the address.
func routerSettings(up bool) []setting {
	forward := "0"
	if up {
		forward = "1"
	}
	return []setting{
		{"ipv4/conf/all/rp_filter", "0"},
		{"ipv4/conf/default/rp_filter", "0"},
		{"ipv4/conf/all/arp_ignore", "1"},
		{"ipv4/conf/all/arp_announce", "2"},
		{"ipv6/conf/all/accept_ra", "0"},
		{"ipv6/conf/default/accept_ra", "0"},
		{"ipv6/conf/default/accept_dad", "0"},
		{"ipv4/ip_forward", forward},
		{"ipv6/conf/all/forwarding", forward},
	}
}

// card is an interface of a router as it must be.
type card struct {
	network.Interface
	addresses []netip.Prefix // with the floating ones
	external  bool
}

func cardsOf(r network.Router) []card {
	var list []card
	for _, i := range r.Interfaces {
		list = append(list, card{Interface: i, addresses: i.Addresses})
	}
	if r.Gateway != nil {
		c := card{Interface: *r.Gateway, external: true}
		c.addresses = append(c.addresses, r.Gateway.Addresses...)
		for _, f := range r.Floating {
			c.addresses = append(c.addresses, netip.PrefixFrom(f.External, f.External.BitLen()))
		}
		list = append(list, c)
	}
	return list
}

// applyRouter makes a router's namespace so, and its cards at both ends.
func (b *build) applyRouter(e *Engine, r network.Router, networks map[string]network.Network) {
	ns, made, err := makeNamespace(e.namespace(kindRouter, r.ID))
	if !b.must(err) {
		return
	}
	defer ns.Close()
	if made {
		b.changes++
	}
	external := ""
	if r.Gateway != nil {
		external = routerLink(r.Gateway.PortID)
	}
	b.settings(ns, routerSettings(r.Up), true)
	b.tables(ns, natTables(r, external), untranslated(r))
	wanted := map[string]bool{"lo": true}
	for _, c := range cardsOf(r) {
		n, ok := networks[c.NetworkID]
		if !ok {
			continue // not on this host: its card goes
		}
		wanted[routerLink(c.PortID)] = true
		b.card(e, ns, c, n)
	}
	links, err := ns.LinkList()
	if !b.must(err) {
		return
	}
	for _, l := range links {
		if !wanted[l.Attrs().Name] && l.Type() != "device" {
			b.did(ns.LinkDel(l), "remove %s of %s", l.Attrs().Name, ns.name)
		}
		if l.Attrs().Name == "lo" {
			b.up(ns, l, true)
		}
	}
	b.routes(ns, routesOf(r, ns, networks))
}

// card makes a router's card: a veth pair into the network's namespace.
func (b *build) card(e *Engine, ns *namespace, c card, n network.Network) {
	other, err := openNamespace(e.namespace(kindNetwork, n.ID))
	if !b.must(err) {
		return
	}
	defer other.Close()
	name := routerLink(c.PortID)
	own, far := b.pair(ns, name, other, name, mtuOf(n))
	if own == nil || far == nil {
		return
	}
	mac, _ := net.ParseMAC(c.MAC)
	b.mac(ns, own, mac)
	if bridge := other.linkByName(bridgeName); bridge != nil {
		b.enslave(other, far, bridge)
	}
	b.up(other, far, true)
	b.up(ns, own, true)
	added := b.addresses(ns, own, c.addresses)
	b.must(announce(ns, own, mac, added))
}

// pair makes a veth pair between two namespaces, and gives its ends.
func (b *build) pair(ns *namespace, name string, other *namespace, far string, mtu int) (own, peer netlink.Link) {
	own, peer = ns.linkByName(name), other.linkByName(far)
	if own != nil && peer == nil { // the other end is somewhere else, or gone
		b.did(ns.LinkDel(own), "remove %s of %s", name, ns.name)
		own = nil
	}
	if own == nil {
		if peer != nil { // of a namespace that is going away
			b.did(other.LinkDel(peer), "remove %s of %s", far, other.name)
		}
		v := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: name, MTU: mtu, TxQLen: -1}, PeerName: far, PeerMTU: uint32(mtu), PeerNamespace: netlink.NsFd(other.fd)}
		if !b.did(ns.LinkAdd(v), "make %s of %s", name, ns.name) {
			return nil, nil
		}
		own, peer = ns.linkByName(name), other.linkByName(far)
	}
	if own == nil || peer == nil {
		return nil, nil
	}
	b.mtu(ns, own, mtu)
	b.mtu(other, peer, mtu)
	return own, peer
}

// routesOf gives a router's routes: to the outside by the external subnets'
// gateways, and its own.
func routesOf(r network.Router, ns *namespace, networks map[string]network.Network) []netlink.Route {
	var list []netlink.Route
	if r.Gateway != nil {
		if l := ns.linkByName(routerLink(r.Gateway.PortID)); l != nil {
			list = append(list, defaultRoutes(*r.Gateway, networks[r.Gateway.NetworkID], l.Attrs().Index)...)
		}
	}
	for _, x := range r.Routes {
		if x.Destination.IsValid() && x.NextHop.IsValid() {
			list = append(list, netlink.Route{Dst: netOf(x.Destination.Masked()), Gw: x.NextHop.AsSlice()})
		}
	}
	return list
}

func defaultRoutes(gw network.Interface, n network.Network, index int) []netlink.Route {
	var list []netlink.Route
	var seen4, seen6 bool
	for _, s := range n.Subnets {
		own := false
		for _, a := range gw.Addresses {
			own = own || s.Prefix.Contains(a.Addr())
		}
		seen := &seen4
		any := netip.PrefixFrom(netip.IPv4Unspecified(), 0)
		if s.Prefix.Addr().Is6() {
			seen, any = &seen6, netip.PrefixFrom(netip.IPv6Unspecified(), 0)
		}
		if own && s.Gateway.IsValid() && !*seen {
			*seen = true
			list = append(list, netlink.Route{LinkIndex: index, Dst: netOf(any), Gw: s.Gateway.AsSlice()})
		}
	}
	return list
}
