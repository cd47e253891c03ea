// Package usermode is the network engine for hosts without root: each guest's
// card is behind a network stack inside its own QEMU, and floating addresses are
// loopback addresses of this host, with forwards to the guest's ports.
//
// What it makes is description: User says how QEMU has to set up a port, and
// there is nothing else to apply. Security groups decide which ports are
// forwarded; everything else that a network does, it cannot do, and Limits says
// so. Each guest has its address alone: the same subnets may be used twice.
package usermode

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/kamado/kamado/compute/hypervisor"
	"github.com/kamado/kamado/compute/network"
)

const (
	// ForwardsMax bounds the forwards of one floating address: each is a listening socket of QEMU.
	ForwardsMax = 64
	// PortOffset is added to a port that this user may not listen on, or that the
	// host listens on at every address: 22 becomes 20022.
	PortOffset = 20000
	// portStart is the first port that everybody may listen on, unless the kernel
	// says another (ip(7), ip_unprivileged_port_start).
	portStart = 1024
)

// wellKnown are the ports that stand for a rule about more than ForwardsMax.
var wellKnown = []int{22, 80, 443, 21, 25, 53, 110, 143, 389, 445, 993, 2222, 3000, 3306, 3389, 5000, 5432, 5672, 5900, 6379, 6443, 8000, 8080, 8443, 9000, 9090, 9200, 27017}

// Engine describes user-mode cards.
type Engine struct {
	cfg network.Config
	// start is the first port that this process may listen on; busy says whether
	// the host listens on a port at every address. Both are asked anew at each Apply.
	start func() int
	busy  func(protocol string, port int) bool

	mu    sync.Mutex
	users map[string]hypervisor.UserNet
}

var _ network.Engine = (*Engine)(nil)

// New makes an engine for hosts without root.
func New(cfg network.Config) *Engine {
	return &Engine{cfg: cfg, start: firstPort, busy: busyEverywhere, users: map[string]hypervisor.UserNet{}}
}

// Limits says what user-mode networking cannot do.
func (e *Engine) Limits() []string {
	list := []string{
		"networks are user-mode ones: instances reach out, and do not reach each other; real networks need root",
		"floating addresses are reached from this machine only, at the TCP and UDP ports that a security group opens to 0.0.0.0/0 (at most " +
			strconv.Itoa(ForwardsMax) + ", else the well-known ones); there is no ping",
		"rules about what instances send, rules about other groups, and routers of your own have no effect; metadata comes by config drive",
	}
	if start := e.start(); start > 1 {
		list = append(list, fmt.Sprintf("ports below %d of a floating address are %d higher: ssh -p %d root@ADDRESS", start, PortOffset, 22+PortOffset))
	}
	return list
}

// Run waits until ctx ends: there is nothing to serve.
func (*Engine) Run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

// Apply works out the cards of all ports.
func (e *Engine) Apply(_ context.Context, s network.State) error {
	started := time.Now()
	users := e.describe(s)
	e.mu.Lock()
	var changed []string
	for id, u := range users {
		if old, ok := e.users[id]; !ok || !same(old, u) {
			changed = append(changed, id)
		}
	}
	e.users = users
	e.mu.Unlock()
	slices.Sort(changed)
	if e.cfg.UserChanged != nil {
		for _, id := range changed {
			e.cfg.UserChanged(id)
		}
	}
	if e.cfg.Metrics != nil {
		e.cfg.Metrics.Applied(time.Since(started), len(changed), nil)
	}
	return nil
}

// Open gives no tap: there are none.
func (*Engine) Open(context.Context, string) (*os.File, error) {
	return nil, hypervisor.ErrUnsupported
}

// User gives the card of a port; of one that is not in the state, a card
// without forwards on QEMU's own addresses.
func (e *Engine) User(portID string) *hypervisor.UserNet {
	e.mu.Lock()
	defer e.mu.Unlock()
	u := e.users[portID]
	u.Forward = slices.Clone(u.Forward)
	return &u
}

// Purge forgets all ports.
func (e *Engine) Purge(context.Context) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.users = map[string]hypervisor.UserNet{}
	return nil
}

// describe gives the cards of all ports.
func (e *Engine) describe(s network.State) map[string]hypervisor.UserNet {
	subnets := map[string][]network.Subnet{}
	for _, n := range s.Networks {
		subnets[n.ID] = n.Subnets
	}
	forwards := e.forwards(s)
	users := map[string]hypervisor.UserNet{}
	for _, p := range s.Ports {
		u, ok := card(p, subnets[p.NetworkID])
		if !ok {
			users[p.ID] = hypervisor.UserNet{}
			continue
		}
		u.Forward = forwards[p.ID]
		users[p.ID] = u
	}
	return users
}

// card gives a port's card without forwards: the guest's DHCP client gets the
// port's first IPv4 address.
func card(p network.Port, subnets []network.Subnet) (hypervisor.UserNet, bool) {
	for _, a := range p.Addresses {
		for _, s := range subnets {
			if !a.Is4() || !s.Prefix.Contains(a) {
				continue
			}
			u := hypervisor.UserNet{CIDR: s.Prefix.Masked().String(), Address: a.String()}
			gateway := s.Gateway
			if !gateway.Is4() || gateway == a || !s.Prefix.Contains(gateway) {
				gateway = free(s.Prefix, a)
			}
			if dns := free(s.Prefix, a, gateway); gateway.IsValid() && dns.IsValid() {
				u.Gateway, u.DNS = gateway.String(), dns.String()
				return u, true
			}
			return hypervisor.UserNet{}, false // too small a subnet for QEMU's three addresses
		}
	}
	return hypervisor.UserNet{}, false
}

// free gives the last host address of a prefix that is not one of taken.
func free(p netip.Prefix, taken ...netip.Addr) netip.Addr {
	b := p.Masked().Addr().As4()
	for i := p.Bits(); i < 32; i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	network := p.Masked().Addr()
	for a := netip.AddrFrom4(b).Prev(); a.Compare(network) > 0; a = a.Prev() {
		if !slices.Contains(taken, a) {
			return a
		}
	}
	return netip.Addr{}
}

// forwards gives the forwards of all ports that a floating address leads to.
func (e *Engine) forwards(s network.State) map[string][]hypervisor.Forward {
	list := map[string][]hypervisor.Forward{}
	start := e.start()
	for _, r := range s.Routers {
		joined := map[string]bool{}
		for _, i := range r.Interfaces {
			joined[i.NetworkID] = true
		}
		for _, f := range r.Floating {
			if !r.Up || !f.External.IsLoopback() || !f.External.Is4() {
				continue
			}
			i := slices.IndexFunc(s.Ports, func(p network.Port) bool {
				return joined[p.NetworkID] && slices.Contains(p.Addresses, f.Internal)
			})
			if i >= 0 && s.Ports[i].AdminUp {
				list[s.Ports[i].ID] = append(list[s.Ports[i].ID], e.lead(f.External, s.Ports[i], start)...)
			}
		}
	}
	return list
}

// lead gives the forwards from an address to the ports that rules open.
func (e *Engine) lead(from netip.Addr, p network.Port, start int) []hypervisor.Forward {
	var list []hypervisor.Forward
	taken := map[string]bool{}
	for _, o := range opened(p) {
		port := hostPort(o.protocol, o.port, start, e.busy)
		key := o.protocol + strconv.Itoa(port)
		if port > 65535 || taken[key] || len(list) == ForwardsMax {
			continue
		}
		taken[key] = true
		list = append(list, hypervisor.Forward{Protocol: o.protocol, Listen: from.String() + ":" + strconv.Itoa(port), Port: o.port})
	}
	return list
}

// opening is a port that rules open to this host.
type opening struct {
	protocol string
	port     int
}

// opened gives what rules open to this host, low ports first so that those that
// people use are within the bound.
func opened(p network.Port) []opening {
	rules := p.Rules
	if !p.Filtered {
		rules = []network.Rule{{Ingress: true, Min: -1, Max: -1}}
	}
	set := map[opening]bool{}
	for _, r := range rules {
		if !r.Ingress || r.IPv6 || r.RemoteGroupID != "" || r.RemotePrefix.IsValid() && !r.RemotePrefix.Contains(netip.AddrFrom4([4]byte{127, 0, 0, 1})) {
			continue
		}
		number, any, ok := network.ProtocolNumber(r.Protocol, false)
		if !ok {
			continue
		}
		low, high := r.Min, max(r.Min, r.Max)
		if any || r.Min < 0 {
			low, high = 1, 65535
		}
		for _, port := range within(max(low, 1), min(high, 65535)) {
			if any || number == 6 {
				set[opening{"tcp", port}] = true
			}
			if number == 17 {
				set[opening{"udp", port}] = true
			}
		}
	}
	list := make([]opening, 0, len(set))
	for o := range set {
		list = append(list, o)
	}
	slices.SortFunc(list, func(a, b opening) int {
		if a.port != b.port {
			return a.port - b.port
		}
		return strings.Compare(a.protocol, b.protocol)
	})
	return list
}

// within gives the ports of a range, or the well-known ones of a wide one.
func within(low, high int) []int {
	var list []int
	if high-low < ForwardsMax {
		for port := low; port <= high; port++ {
			list = append(list, port)
		}
		return list
	}
	for _, port := range wellKnown {
		if port >= low && port <= high {
			list = append(list, port)
		}
	}
	return list
}

func same(a, b hypervisor.UserNet) bool {
	return a.CIDR == b.CIDR && a.Gateway == b.Gateway && a.DNS == b.DNS && a.Address == b.Address && slices.Equal(a.Forward, b.Forward)
}
