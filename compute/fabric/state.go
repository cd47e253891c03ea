package fabric

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/kamado/kamado/compute"
	"github.com/kamado/kamado/compute/network"
)

// State is everything that must exist on a host: the networks that have a port
// there and the default external one, the routers that touch them with all that those join, floating
// addresses, and who is in the groups that rules name. Its parts are in the order
// of their ids, so that the same rows give the same state.
func (s *Service) State(tx *compute.Tx, hostID string) (network.State, error) {
	b := &builder{tx: tx, networks: map[string]*compute.Network{}, subnets: map[string]*compute.Subnet{},
		rules: map[string][]network.Rule{}, groups: map[string]bool{}}
	b.state.Groups = map[string][]netip.Addr{}
	for _, step := range []func(string) error{b.addHost, b.addPorts, b.addRouters, b.addNetworks, b.addMembers} {
		if err := step(hostID); err != nil {
			return network.State{}, named("read what a host must have", err)
		}
	}
	return b.state, nil
}

// builder gathers a state.
type builder struct {
	tx       *compute.Tx
	state    network.State
	networks map[string]*compute.Network // that are in the state
	subnets  map[string]*compute.Subnet  // of those
	rules    map[string][]network.Rule   // by the groups' ids, joined
	groups   map[string]bool             // that rules name
}

// addHost adds the default external network: the host is on it from the first
// moment, so that floating addresses are reached as soon as they lead somewhere.
func (b *builder) addHost(string) error {
	list, err := b.tx.Networks.List(compute.Query{Where: compute.Where{"external": true}})
	if err != nil {
		return err
	}
	for _, n := range list {
		if n.IsDefault {
			return b.touch(n.ID)
		}
	}
	return nil
}

// addPorts adds the instances' ports of a host.
func (b *builder) addPorts(hostID string) error {
	ports, err := b.tx.Ports.List(compute.Query{Where: compute.Where{"host_id": hostID}})
	if err != nil {
		return err
	}
	for _, p := range ports {
		if !ofInstance(p) {
			continue
		}
		rules, err := b.rulesOf(p)
		if err != nil {
			return err
		}
		port := network.Port{ID: p.ID, NetworkID: p.NetworkID, InstanceID: p.DeviceID, MAC: p.MAC, Hostname: p.DNSName,
			AdminUp: p.AdminStateUp, Filtered: p.PortSecurity, Rules: rules, Addresses: addressesIn(p.FixedIPs)}
		for _, pair := range p.AllowedPairs {
			if prefix, ok := prefixIn(pair.IP); ok {
				port.AllowedPairs = append(port.AllowedPairs, network.Pair{Prefix: prefix, MAC: pair.MAC})
			}
		}
		for _, o := range p.ExtraDHCP {
			port.Options = append(port.Options, network.DHCPOption{Name: o.Name, Value: o.Value})
		}
		b.state.Ports = append(b.state.Ports, port)
		if err := b.touch(p.NetworkID); err != nil {
			return err
		}
	}
	return nil
}

func addressesIn(list []compute.FixedIP) []netip.Addr {
	var out []netip.Addr
	for _, f := range list {
		if a, ok := addr(f.IP); ok {
			out = append(out, a)
		}
	}
	return out
}

// prefixIn reads a range or a single address.
func prefixIn(s string) (netip.Prefix, bool) {
	if p, err := netip.ParsePrefix(s); err == nil {
		return p.Masked(), true
	}
	a, ok := addr(s)
	if !ok {
		return netip.Prefix{}, false
	}
	return netip.PrefixFrom(a, a.BitLen()), true
}

// touch puts a network and its subnets into the state.
func (b *builder) touch(id string) error {
	if b.networks[id] != nil {
		return nil
	}
	n, err := b.tx.Networks.Get(id)
	if err != nil {
		return err
	}
	b.networks[id] = n
	subnets, err := b.tx.Subnets.List(compute.Query{Where: compute.Where{"network_id": id}})
	for _, sub := range subnets {
		b.subnets[sub.ID] = sub
	}
	return err
}

// rulesOf gives the rules of a port's groups. Ports of the same groups share them.
func (b *builder) rulesOf(p *compute.Port) ([]network.Rule, error) {
	if !p.PortSecurity || len(p.SecurityGroupIDs) == 0 {
		return nil, nil
	}
	ids := slices.Sorted(slices.Values(p.SecurityGroupIDs))
	key := strings.Join(ids, " ")
	if rules, ok := b.rules[key]; ok {
		return rules, nil
	}
	rows, err := b.tx.SecurityRules.List(compute.Query{Where: compute.Where{"group_id": ids}})
	if err != nil {
		return nil, err
	}
	rules := []network.Rule{}
	for _, r := range rows {
		rule := network.Rule{Ingress: r.Direction == ingress, IPv6: r.EtherType == etherV6, Protocol: r.Protocol,
			Min: orAny(r.PortMin), Max: orAny(r.PortMax), RemoteGroupID: r.RemoteGroupID}
		if rule.Protocol == "ip" { // every protocol
			rule.Protocol = ""
		}
		rule.RemotePrefix, _ = prefixIn(r.RemotePrefix)
		if r.RemoteGroupID != "" {
			b.groups[r.RemoteGroupID] = true
		}
		rules = append(rules, rule)
	}
	b.rules[key] = rules
	return rules, nil
}

func orAny(p *int) int {
	if p == nil {
		return -1
	}
	return *p
}

// addRouters adds the routers that touch the networks of the state, and the
// networks that those join, until there are no more. An external network is an
// end: what else is joined to it is not this host's.
func (b *builder) addRouters(string) error {
	done := map[string]bool{}
	for {
		var inside []string
		for id, n := range b.networks {
			if !n.External && !done[id] {
				inside, done[id] = append(inside, id), true
			}
		}
		if len(inside) == 0 {
			break
		}
		slices.Sort(inside)
		ports, err := b.tx.Ports.List(compute.Query{Where: compute.Where{"network_id": inside, "device_owner": compute.OwnerRouterInterface}})
		if err != nil {
			return err
		}
		for _, p := range ports {
			if slices.ContainsFunc(b.state.Routers, func(r network.Router) bool { return r.ID == p.DeviceID }) {
				continue
			}
			if err := b.addRouter(p.DeviceID); err != nil {
				return err
			}
		}
	}
	slices.SortFunc(b.state.Routers, func(x, y network.Router) int { return strings.Compare(x.ID, y.ID) })
	return nil
}

func (b *builder) addRouter(id string) error {
	r, err := b.tx.Routers.Get(id)
	if err != nil {
		return err
	}
	out := network.Router{ID: r.ID, Up: r.AdminStateUp, SNAT: r.SNAT}
	ports, err := b.tx.Ports.List(compute.Query{Where: routerPorts(id)})
	if err != nil {
		return err
	}
	for _, p := range ports {
		if err := b.touch(p.NetworkID); err != nil {
			return err
		}
		card := network.Interface{PortID: p.ID, NetworkID: p.NetworkID, MAC: p.MAC}
		for _, f := range p.FixedIPs {
			if a, ok := addr(f.IP); ok && b.subnets[f.SubnetID] != nil {
				card.Addresses = append(card.Addresses, netip.PrefixFrom(a, prefixOf(b.subnets[f.SubnetID]).Bits()))
			}
		}
		switch p.DeviceOwner {
		case compute.OwnerRouterInterface:
			out.Interfaces = append(out.Interfaces, card)
		case compute.OwnerRouterGateway:
			out.Gateway = &card
		}
	}
	for _, route := range r.Routes {
		if to, ok := routeIn(route); ok {
			out.Routes = append(out.Routes, to)
		}
	}
	fips, err := b.tx.FloatingIPs.List(compute.Query{Where: compute.Where{"router_id": id}})
	if err != nil {
		return err
	}
	for _, f := range fips {
		external, ok1 := addr(f.IP)
		internal, ok2 := addr(f.FixedIP)
		if ok1 && ok2 {
			out.Floating = append(out.Floating, network.Floating{External: external, Internal: internal})
		}
	}
	b.state.Routers = append(b.state.Routers, out)
	return nil
}

func routeIn(r compute.Route) (network.Route, bool) {
	dest, err := parseRoute(r)
	if err != nil {
		return network.Route{}, false
	}
	return network.Route{Destination: dest.Masked(), NextHop: netip.MustParseAddr(r.NextHop)}, true
}

// addNetworks writes down the networks that ports and routers touched.
func (b *builder) addNetworks(string) error {
	for _, n := range b.networks {
		out := network.Network{ID: n.ID, Name: n.Name, External: n.External, Host: n.External && n.IsDefault, MTU: n.MTU}
		for _, sub := range b.subnets {
			if sub.NetworkID == n.ID {
				out.Subnets = append(out.Subnets, subnetState(sub, n))
			}
		}
		slices.SortFunc(out.Subnets, func(x, y network.Subnet) int { return strings.Compare(x.ID, y.ID) })
		b.state.Networks = append(b.state.Networks, out)
	}
	slices.SortFunc(b.state.Networks, func(x, y network.Network) int { return strings.Compare(x.ID, y.ID) })
	return nil
}

func subnetState(sub *compute.Subnet, n *compute.Network) network.Subnet {
	out := network.Subnet{ID: sub.ID, Prefix: prefixOf(sub), DHCP: sub.DHCP, Metadata: !n.External && sub.IPVersion == 4,
		SLAAC: sub.RAMode == "slaac"}
	out.Gateway, _ = addr(sub.Gateway)
	for _, s := range sub.DNS {
		if a, ok := addr(s); ok {
			out.DNS = append(out.DNS, a)
		}
	}
	for _, r := range sub.Routes {
		if to, ok := routeIn(r); ok {
			out.Routes = append(out.Routes, to)
		}
	}
	return out
}

// addMembers lists the addresses of ports in the groups that rules name, on any
// host.
func (b *builder) addMembers(string) error {
	byProject := map[string][]*compute.Port{}
	for id := range b.groups {
		g, err := b.tx.SecurityGroups.Get(id)
		if err != nil {
			return err
		}
		ports, ok := byProject[g.ProjectID]
		if !ok {
			if ports, err = b.tx.Ports.List(compute.Query{Where: compute.Where{"project_id": g.ProjectID}}); err != nil {
				return err
			}
			byProject[g.ProjectID] = ports
		}
		members := []netip.Addr{}
		for _, p := range ports {
			if slices.Contains(p.SecurityGroupIDs, id) {
				members = append(members, addressesIn(p.FixedIPs)...)
			}
		}
		slices.SortFunc(members, netip.Addr.Compare)
		b.state.Groups[id] = slices.Compact(members)
	}
	return nil
}
