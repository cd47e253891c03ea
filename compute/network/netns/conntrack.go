package netns

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/kamado/kamado/compute/network"
)

// flowFilter says which connections the kernel has to forget.
type flowFilter func(f *netlink.ConntrackFlow) bool

// MatchConntrackFlow is netlink.CustomConntrackFilter.
func (f flowFilter) MatchConntrackFlow(flow *netlink.ConntrackFlow) bool { return f(flow) }

// countFile says how many connections are tracked in a namespace.
const countFile = "/proc/sys/net/netfilter/nf_conntrack_count"

// forget ends the tracked connections that f picks, IPv4 and IPv6. What goes on
// of them is then judged anew, and TCP in mid-stream is dropped.
func forget(ns *namespace, f flowFilter) (int, error) {
	// Listing takes the kernel about 8 ms, however few there are: it walks the table of all namespaces.
	none := false
	_ = ns.do(func() error {
		b, err := os.ReadFile(countFile)
		none = err == nil && strings.TrimSpace(string(b)) == "0"
		return nil
	})
	if none {
		return 0, nil
	}
	flows, err := ns.ConntrackTableList(netlink.ConntrackTable, unix.AF_UNSPEC)
	if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
		return 0, fmt.Errorf("connections of %s: %w", ns.name, err)
	}
	total := 0
	for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
		if err == nil && !slices.ContainsFunc(flows, func(flow *netlink.ConntrackFlow) bool { return flow.FamilyType == family && f(flow) }) {
			continue
		}
		n, err := ns.ConntrackDeleteFilters(netlink.ConntrackTable, netlink.InetFamily(family), f)
		total += int(n)
		if err != nil {
			return total, fmt.Errorf("connections of %s: %w", ns.name, err)
		}
	}
	return total, nil
}

// unruly picks the connections of a network that its rules do not let begin any
// more, and those of ports that are gone.
func (s segment) unruly() flowFilter {
	byAddr := map[netip.Addr]network.Port{}
	for _, p := range s.ports {
		for _, a := range p.Addresses {
			byAddr[a] = p
		}
	}
	return func(f *netlink.ConntrackFlow) bool {
		src, dst := address(f.Forward.SrcIP), address(f.Forward.DstIP)
		sender, fromHere := byAddr[src]
		receiver, toHere := byAddr[dst]
		if !fromHere && !toHere { // between routers and the host: theirs to judge
			return !s.host && !s.paired(src) && !s.paired(dst)
		}
		permits := func(p network.Port, ingress bool, remote netip.Addr) bool {
			return !p.Filtered || network.Permits(p.Rules, s.groups, network.Flow{Ingress: ingress, Remote: remote,
				Protocol: f.Forward.Protocol, Port: f.Forward.DstPort})
		}
		return fromHere && !permits(sender, false, dst) || toHere && !permits(receiver, true, src)
	}
}

// paired says whether an address is one that a port may be besides its own.
func (s segment) paired(a netip.Addr) bool {
	for _, p := range s.ports {
		if !p.Filtered {
			return true // whoever it is
		}
		for _, pair := range p.AllowedPairs {
			if pair.Prefix.IsValid() && pair.Prefix.Contains(a) {
				return true
			}
		}
	}
	return false
}

// untranslated picks the connections of a router whose translation is over.
func untranslated(r network.Router) flowFilter {
	return func(f *netlink.ConntrackFlow) bool {
		src, dst := address(f.Forward.SrcIP), address(f.Forward.DstIP)
		backFrom, backTo := address(f.Reverse.SrcIP), address(f.Reverse.DstIP)
		return dst != backFrom && !livesAs(r, backFrom, dst) || src != backTo && !livesAs(r, src, backTo)
	}
}

func address(b net.IP) netip.Addr {
	a, _ := netip.AddrFromSlice(b)
	return a.Unmap()
}
