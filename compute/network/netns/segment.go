package netns

import (
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"

	"github.com/kamado/kamado/compute/dhcp"
	"github.com/kamado/kamado/compute/network"
)

// mtuDefault is the MTU of a network that names none, in bytes.
const mtuDefault = 1500

func mtuOf(n network.Network) int {
	if n.MTU > 0 {
		return n.MTU
	}
	return mtuDefault
}

// segmentSettings are the settings of a network's namespace. Connections must
// begin with a SYN: one that was forgotten must not come back in mid-stream. No
// IPv6 of our own: the bridge is nobody's neighbour.
func segmentSettings(t tracking) []setting {
	call := "1"
	if t == trackBridge {
		call = "0"
	}
	return []setting{
		{"netfilter/nf_conntrack_tcp_loose", "0"},
		{"bridge/bridge-nf-call-iptables", call},
		{"bridge/bridge-nf-call-ip6tables", call},
		{"bridge/bridge-nf-call-arptables", "0"},
		{"ipv6/conf/all/disable_ipv6", "1"},
		{"ipv6/conf/default/disable_ipv6", "1"},
		{"ipv4/conf/all/rp_filter", "0"},
		{"ipv4/conf/default/rp_filter", "0"},
		{"ipv4/ip_forward", "0"},
	}
}

// applySegment makes a network's namespace so. The cards of routers and of the
// host are the routers' and the host's own affair; they may stay.
func (b *build) applySegment(e *Engine, s segment) {
	ns, made, err := makeNamespace(e.namespace(kindNetwork, s.network.ID))
	if !b.must(err) {
		return
	}
	defer ns.Close()
	if made {
		b.changes++
	}
	b.settings(ns, segmentSettings(s.track), true)
	b.tables(ns, s.tables(), s.unruly()) // before any link is up
	bridge := b.bridge(ns, s)
	if bridge == nil {
		return
	}
	links, err := ns.LinkList()
	if !b.must(err) {
		return
	}
	wanted := append([]string{bridgeName, "lo"}, s.infra...)
	for _, p := range s.ports {
		wanted = append(wanted, tapName(p.ID))
		b.tap(ns, p, bridge, links, mtuOf(s.network))
	}
	for _, l := range links {
		if !slices.Contains(wanted, l.Attrs().Name) && l.Type() != "device" {
			b.did(ns.LinkDel(l), "remove %s of %s", l.Attrs().Name, ns.name)
		}
	}
	for _, l := range links {
		if l.Attrs().Name == "lo" {
			b.up(ns, l, true)
		}
	}
}

// bridge makes the network's bridge with the addresses of its services.
func (b *build) bridge(ns *namespace, s segment) netlink.Link {
	l := ns.linkByName(bridgeName)
	mtu := mtuOf(s.network)
	if l == nil {
		off := false
		br := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: bridgeName, MTU: mtu, HardwareAddr: s.mac, TxQLen: -1}, MulticastSnooping: &off}
		if !b.did(ns.LinkAdd(br), "make the bridge of %s", ns.name) {
			return nil
		}
		l = ns.linkByName(bridgeName)
		if l == nil {
			return nil
		}
	}
	b.mac(ns, l, s.mac)
	b.mtu(ns, l, mtu)
	b.up(ns, l, true)
	want := []netip.Prefix{netip.PrefixFrom(dhcp.MetadataAddress, 32)}
	var routes []netlink.Route
	for _, sub := range s.network.Subnets {
		switch {
		case !sub.Prefix.Addr().Is4():
		case sub.Server.Is4():
			want = append(want, netip.PrefixFrom(sub.Server, sub.Prefix.Bits()))
		default: // answers leave for the subnet from the metadata service's address
			routes = append(routes, netlink.Route{LinkIndex: l.Attrs().Index, Dst: netOf(sub.Prefix.Masked()), Scope: netlink.SCOPE_LINK,
				Src: net.IP(dhcp.MetadataAddress.AsSlice())})
		}
	}
	b.addresses(ns, l, want)
	b.routes(ns, routes)
	return l
}

// tap makes a port's tap: down when the port is.
func (b *build) tap(ns *namespace, p network.Port, bridge netlink.Link, links []netlink.Link, mtu int) {
	name := tapName(p.ID)
	i := slices.IndexFunc(links, func(l netlink.Link) bool { return l.Attrs().Name == name })
	var l netlink.Link
	if i >= 0 {
		l = links[i]
	} else {
		f, err := openTap(ns, name)
		if !b.did(err, "make the tap of port %s", p.ID) {
			return
		}
		_ = f.Close()
		if l = ns.linkByName(name); l == nil {
			b.must(fmt.Errorf("tap of port %s: it is gone", p.ID))
			return
		}
	}
	b.mtu(ns, l, mtu)
	b.enslave(ns, l, bridge)
	b.up(ns, l, p.AdminUp)
}
