package netns

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// build is one Apply: it counts what it changes in the kernel, and gathers what
// could not be made.
type build struct {
	changes int
	errs    []error
	seen    map[string]bool // namespaces that were looked at, and not taken for as they were
}

func (b *build) looked(name string) {
	if b.seen == nil {
		b.seen = map[string]bool{}
	}
	b.seen[name] = true
}

// did counts a change, or keeps why it could not be made.
func (b *build) did(err error, format string, args ...any) bool {
	if err != nil {
		b.errs = append(b.errs, fmt.Errorf(format+": %w", append(args, err)...))
		return false
	}
	b.changes++
	return true
}

// must keeps an error of something that changes nothing.
func (b *build) must(err error) bool {
	if err != nil {
		b.errs = append(b.errs, err)
	}
	return err == nil
}

// linkByName gives a link, nil when there is none.
func (n *namespace) linkByName(name string) netlink.Link {
	l, err := n.LinkByName(name)
	if err != nil {
		return nil
	}
	return l
}

// mtu makes the MTU of a link so.
func (b *build) mtu(ns *namespace, l netlink.Link, mtu int) {
	if l.Attrs().MTU != mtu {
		b.did(ns.LinkSetMTU(l, mtu), "MTU of %s in %s", l.Attrs().Name, ns.name)
	}
}

// up makes a link be up, or down.
func (b *build) up(ns *namespace, l netlink.Link, up bool) {
	switch {
	case up && l.Attrs().Flags&net.FlagUp == 0:
		b.did(ns.LinkSetUp(l), "bring %s of %s up", l.Attrs().Name, ns.name)
	case !up && l.Attrs().Flags&net.FlagUp != 0:
		b.did(ns.LinkSetDown(l), "bring %s of %s down", l.Attrs().Name, ns.name)
	}
}

// enslave makes a link a port of the bridge.
func (b *build) enslave(ns *namespace, l, bridge netlink.Link) {
	if l.Attrs().MasterIndex != bridge.Attrs().Index {
		b.did(ns.LinkSetMaster(l, bridge), "put %s of %s onto its bridge", l.Attrs().Name, ns.name)
	}
}

// mac makes the address of a link so.
func (b *build) mac(ns *namespace, l netlink.Link, mac net.HardwareAddr) {
	if len(mac) == 6 && !bytes.Equal(l.Attrs().HardwareAddr, mac) {
		b.did(ns.LinkSetHardwareAddr(l, mac), "MAC of %s in %s", l.Attrs().Name, ns.name)
	}
}

// addresses makes a link have exactly these addresses, link-local IPv6 aside,
// and gives those that are new.
func (b *build) addresses(ns *namespace, l netlink.Link, want []netip.Prefix) (added []netip.Prefix) {
	have, err := steady(func() ([]netlink.Addr, error) { return ns.AddrList(l, netlink.FAMILY_ALL) })
	if err != nil {
		b.must(fmt.Errorf("addresses of %s in %s: %w", l.Attrs().Name, ns.name, err))
		return nil
	}
	var got []netip.Prefix
	for _, a := range have {
		p := prefixOf(a.IPNet)
		if p.Addr().IsLinkLocalUnicast() && p.Addr().Is6() {
			continue
		}
		if !slices.Contains(want, p) {
			b.did(ns.AddrDel(l, &a), "remove address %s of %s", p, ns.name)
			continue
		}
		got = append(got, p)
	}
	for _, p := range want {
		if slices.Contains(got, p) {
			continue
		}
		got = append(got, p)
		a := &netlink.Addr{IPNet: netOf(p)}
		if p.Addr().Is6() {
			a.Flags = unix.IFA_F_NODAD
		}
		if b.did(ns.AddrAdd(l, a), "add address %s in %s", p, ns.name) {
			added = append(added, p)
		}
	}
	return added
}

// protocolOurs marks our routes (rtm_protocol, of those free for anybody), so
// that we know which to remove.
const protocolOurs = 0xa7

// routes makes our routes of a namespace so; the kernel's own stay.
func (b *build) routes(ns *namespace, want []netlink.Route) {
	for _, family := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
		have, err := steady(func() ([]netlink.Route, error) {
			return ns.RouteListFiltered(family, &netlink.Route{Protocol: protocolOurs, Table: unix.RT_TABLE_MAIN}, netlink.RT_FILTER_PROTOCOL|netlink.RT_FILTER_TABLE)
		})
		if err != nil {
			b.must(fmt.Errorf("routes of %s: %w", ns.name, err))
			continue
		}
		for _, r := range have {
			if !slices.ContainsFunc(want, func(w netlink.Route) bool { return sameRoute(w, r) }) {
				b.did(ns.RouteDel(&r), "remove route %s of %s", r.Dst, ns.name)
			}
		}
		for _, w := range want {
			if (w.Dst.IP.To4() == nil) != (family == netlink.FAMILY_V6) || slices.ContainsFunc(have, func(r netlink.Route) bool { return sameRoute(w, r) }) {
				continue
			}
			w.Protocol = protocolOurs
			b.did(ns.RouteReplace(&w), "add route %s of %s", w.Dst, ns.name)
		}
	}
}

func sameRoute(a, b netlink.Route) bool {
	return dst(a) == dst(b) && a.Gw.Equal(b.Gw) && (a.LinkIndex == 0 || a.LinkIndex == b.LinkIndex) && (a.Src == nil || a.Src.Equal(b.Src))
}

// dst gives a route's destination; the kernel says none for the default one.
func dst(r netlink.Route) string {
	if r.Dst == nil || r.Dst.IP.IsUnspecified() {
		return "default"
	}
	return r.Dst.String()
}

// settings writes what differs below /proc/sys/net.
func (b *build) settings(ns *namespace, list []setting, optional bool) {
	n, err := ns.set(list, optional)
	b.changes += n
	if err != nil {
		b.must(fmt.Errorf("settings of %s: %w", ns.name, err))
	}
}

// tables makes the filters of a namespace so, and ends the connections that
// over picks when the filters changed.
func (b *build) tables(ns *namespace, tables []*table, over flowFilter) {
	changed, err := applyTables(ns, tables)
	if !b.must(err) || !changed {
		return
	}
	b.changes++
	n, err := forget(ns, over)
	b.changes += n
	b.must(err)
}

func (b *build) err() error { return errors.Join(b.errs...) }

func netOf(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

func prefixOf(n *net.IPNet) netip.Prefix {
	ones, _ := n.Mask.Size()
	return netip.PrefixFrom(address(n.IP), ones)
}
