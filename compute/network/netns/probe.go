package netns

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"runtime"

	"github.com/google/nftables"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// errTracking says which part of the kernel is missing.
var errTracking = errors.New("security groups need the kernel's br_netfilter or nf_conntrack_bridge (modprobe br_netfilter)")

// kernel is what a kernel can.
type kernel struct {
	track  tracking
	counts bool // connections by who has them (nft_connlimit)
}

// probe tries, in a namespace without a name, what this kernel can.
func probe() (kernel, error) {
	type result struct {
		k   kernel
		err error
	}
	done := make(chan result)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread and its namespace end here
		k, err := probeHere()
		done <- result{k, err}
	}()
	r := <-done
	return r.k, r.err
}

func probeHere() (kernel, error) {
	fd, err := netns.New()
	if err != nil {
		return kernel{}, fmt.Errorf("network namespaces: %w", err)
	}
	defer func() { _ = fd.Close() }()
	h, err := netlink.NewHandleAt(fd, unix.NETLINK_ROUTE)
	if err != nil {
		return kernel{}, fmt.Errorf("network namespaces: %w", err)
	}
	ns := &namespace{name: "a probe", fd: fd, Handle: h}
	defer h.Close()
	track, err := probeTracking(ns)
	if err != nil {
		return kernel{}, err
	}
	return kernel{track, probeCount(ns, track)}, nil
}

// probeTracking tries links and filters, and where connections are tracked.
func probeTracking(ns *namespace) (tracking, error) {
	for what, l := range map[string]netlink.Link{
		"bridges":    &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: bridgeName}},
		"veth pairs": &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "a"}, PeerName: "b"},
	} {
		if err := ns.LinkAdd(l); err != nil {
			return 0, fmt.Errorf("%s: %w", what, err)
		}
	}
	plain := &table{family: nftables.TableFamilyBridge}
	plain.chain("a", hookForward(priorityFilter, true), rule{etherType(etherIPv4), accept()})
	nat := &table{family: nftables.TableFamilyIPv4}
	nat.chain("a", hookNATPost(), rule{snatTo(netip.IPv4Unspecified())})
	if _, err := applyTables(ns, []*table{plain, nat}); err != nil {
		return 0, fmt.Errorf("nftables: %w", err)
	}
	if _, err := os.Stat("/proc/sys/net/bridge/bridge-nf-call-iptables"); err == nil {
		return trackInet, nil
	}
	tracked := &table{family: nftables.TableFamilyBridge}
	tracked.chain("a", hookForward(priorityFilter, true), rule{ctEstablished(), accept()})
	if _, err := applyTables(ns, []*table{tracked}); err != nil {
		return 0, errTracking
	}
	return trackBridge, nil
}
