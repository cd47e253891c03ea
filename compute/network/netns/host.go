package netns

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"

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

// guard tells the network that the host is on which addresses are the host's
// own: the gateways that it is going to have, and those that it has.
func (p *plan) guard(e *Engine, b *build) {
	if p.host == nil {
		return
	}
	local, err := hostAddresses(e.hostLink())
	b.must(err)
	for _, sub := range p.host.Subnets {
		if sub.Gateway.Is4() {
			local = append(local, sub.Gateway)
		}
	}
	slices.SortFunc(local, netip.Addr.Compare)
	for i := range p.segments {
		if p.segments[i].host {
			p.segments[i].local = slices.Compact(local)
		}
	}
}

// hostAddresses gives the host's IPv4 addresses with those of their broadcasts,
// without those of our own card.
func hostAddresses(own string) ([]netip.Addr, error) {
	host, err := openHost()
	if err != nil {
		return nil, err
	}
	defer host.Close()
	rows, err := steady(func() ([]netlink.Addr, error) { return host.AddrList(nil, netlink.FAMILY_V4) })
	if err != nil {
		return nil, fmt.Errorf("addresses of the host: %w", err)
	}
	except := 0
	if l := host.linkByName(own); l != nil {
		except = l.Attrs().Index
	}
	var list []netip.Addr
	for _, row := range rows {
		if row.LinkIndex == except {
			continue
		}
		for _, ip := range []net.IP{row.IP, row.Broadcast} {
			if a := address(ip); a.Is4() {
				list = append(list, a)
			}
		}
	}
	return list, nil
}

// followPause is how long the host's addresses have to be quiet before they are
// looked at: they come and go in bursts.
const followPause = 100 * time.Millisecond

// followHost keeps the host's services closed to guests when the host gets
// another address, until ctx ends.
func (e *Engine) followHost(ctx context.Context) {
	changes, done := make(chan netlink.AddrUpdate), make(chan struct{})
	defer close(done)
	err := netlink.AddrSubscribeWithOptions(changes, done, netlink.AddrSubscribeOptions{
		ErrorCallback: func(err error) { e.log.Debug("addresses of the host are not followed any more", "error", err) }})
	if err != nil {
		e.log.Debug("addresses of the host cannot be followed", "error", err) // the next Apply looks at them
		changes = nil
	}
	quiet := time.NewTimer(followPause)
	defer quiet.Stop()
	for {
		select {
		case <-ctx.Done():
			if changes != nil { // whoever sends has to see done
				go func() {
					for range changes {
					}
				}()
			}
			return
		case _, ok := <-changes:
			if !ok {
				changes = nil
			}
			quiet.Reset(followPause)
		case <-quiet.C:
			if err := e.guardAgain(); err != nil {
				e.log.Debug("the host's new addresses are not closed to guests yet", "error", err)
			}
		}
	}
}

// guardAgain applies the network that the host is on, when the host's addresses
// are others than at the last Apply.
func (e *Engine) guardAgain() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	b := &build{}
	p := newPlan(e, e.state)
	p.guard(e, b)
	for _, seg := range p.segments {
		name := e.namespace(kindNetwork, seg.network.ID)
		if _, made := e.verified[name]; made && seg.host {
			e.unless(b, name, seg.key(), func(b *build) { b.applySegment(e, seg) })
		}
	}
	return b.err()
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
