package netns

import (
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/kamado/kamado/compute/network"
)

// openHost opens the namespace that this process is in.
func openHost() (*namespace, error) {
	fd, err := netns.Get()
	if err != nil {
		return nil, fmt.Errorf("open the host's namespace: %w", err)
	}
	h, err := netlink.NewHandleAt(fd, unix.NETLINK_ROUTE)
	if err != nil {
		_ = fd.Close()
		return nil, fmt.Errorf("open the host's namespace: %w", err)
	}
	return &namespace{name: "the host", fd: fd, Handle: h}, nil
}

// HostRouted says whether the host has an address or a route that overlaps a
// prefix: then it is taken. The default route does not count, nor does a card
// that an earlier installation in the same directory left: it is this one's.
func (e *Engine) HostRouted(p netip.Prefix) bool {
	own := -1
	host, err := openHost()
	if err != nil {
		return true
	}
	defer host.Close()
	if l := host.linkByName(e.hostLink()); l != nil {
		own = l.Attrs().Index
	}
	taken, err := hostRouted(p, own)
	return taken || err != nil
}

// hostRouted leaves the routes over one link out.
func hostRouted(p netip.Prefix, except int) (bool, error) {
	host, err := openHost()
	if err != nil {
		return false, err
	}
	defer host.Close()
	routes, err := steady(func() ([]netlink.Route, error) {
		return host.RouteListFiltered(netlink.FAMILY_ALL, &netlink.Route{Table: unix.RT_TABLE_UNSPEC}, netlink.RT_FILTER_TABLE)
	})
	if err != nil {
		return false, fmt.Errorf("routes of the host: %w", err)
	}
	for _, r := range routes {
		if r.LinkIndex == except || r.Dst == nil || dst(r) == "default" {
			continue
		}
		q := prefixOf(r.Dst)
		if q.Addr().IsValid() && q.Bits() > 0 && q.Overlaps(p) && !q.Addr().IsMulticast() {
			return true, nil
		}
	}
	return false, nil
}

// applyHost makes the host's card on a network, with the gateway addresses of
// its IPv4 subnets; nil removes it. The routes are those that the kernel makes
// of the addresses: one for each subnet.
func (b *build) applyHost(e *Engine, n *network.Network) {
	host, err := openHost()
	if !b.must(err) {
		return
	}
	defer host.Close()
	name := e.hostLink()
	if n == nil {
		if l := host.linkByName(name); l != nil {
			b.did(host.LinkDel(l), "remove %s of the host", name)
		}
		return
	}
	other, err := openNamespace(e.namespace(kindNetwork, n.ID))
	if !b.must(err) {
		return
	}
	defer other.Close()
	own, far := b.pair(host, name, other, hostEnd, mtuOf(*n))
	if own == nil || far == nil {
		return
	}
	b.settings(host, []setting{{"ipv6/conf/" + name + "/disable_ipv6", "1"}}, true)
	if bridge := other.linkByName(bridgeName); bridge != nil {
		b.enslave(other, far, bridge)
	}
	b.up(other, far, true)
	b.up(host, own, true)
	var want []netip.Prefix
	for _, s := range n.Subnets {
		if !s.Prefix.Addr().Is4() || !s.Gateway.Is4() {
			continue
		}
		taken, err := hostRouted(s.Prefix, own.Attrs().Index)
		if err == nil && taken {
			err = fmt.Errorf("the host has a route into %s already", s.Prefix)
		}
		if b.must(err) {
			want = append(want, netip.PrefixFrom(s.Gateway, s.Prefix.Bits()))
		}
	}
	b.must(announce(host, own, own.Attrs().HardwareAddr, b.addresses(host, own, want)))
}
