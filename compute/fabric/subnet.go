package fabric

import (
	"context"
	"net/netip"
	"slices"
	"strings"

	"github.com/kamado/kamado/compute"
)

// SubnetAttrs is what a request says of a subnet.
type SubnetAttrs struct {
	Name, Description, ProjectID Opt[string]
	NetworkID, CIDR              Opt[string]
	IPVersion, PrefixLen         Opt[int]
	Gateway                      Opt[string] // empty: none
	DHCP                         Opt[bool]
	Pools                        Opt[[]compute.AddressRange]
	DNS                          Opt[[]string]
	Routes                       Opt[[]compute.Route]
	RAMode, AddressMode          Opt[string]
	SubnetPoolID                 Opt[string]
	DefaultPool                  Opt[bool]
	ServiceTypes                 Opt[[]string]
}

// The ways in which an IPv6 card gets its address.
const (
	modeSLAAC     = "slaac"
	modeStateless = "dhcpv6-stateless"
	modeStateful  = "dhcpv6-stateful"
)

// CreateSubnets makes subnets, all or none.
func (s *Service) CreateSubnets(ctx context.Context, who compute.Caller, list []SubnetAttrs) ([]*compute.Subnet, error) {
	return createAll(ctx, s, who, "create subnet", list, (*work).createSubnet)
}

func (w *work) createSubnet(a SubnetAttrs) (*compute.Subnet, error) {
	project, err := w.project(a.ProjectID)
	if err != nil {
		return nil, err
	}
	n, err := w.ownNetwork(a.NetworkID.Value, "create_subnet")
	if err != nil {
		return nil, err
	}
	if err := w.charge(project, compute.QuotaSubnets, 1); err != nil {
		return nil, err
	}
	sub := &compute.Subnet{ID: compute.NewID(), ProjectID: project, NetworkID: n.ID, DHCP: true, Created: w.at, Updated: w.at}
	prefix, err := w.subnetPrefix(a, sub)
	if err != nil {
		return nil, err
	}
	sub.CIDR, sub.IPVersion = prefix.String(), 6
	if prefix.Addr().Is4() {
		sub.IPVersion = 4
	}
	sub.RAMode, sub.AddressMode = a.RAMode.Value, a.AddressMode.Value
	if first, _ := usable(prefix); prefix.Bits() < prefix.Addr().BitLen()-1 {
		sub.Gateway = first.String()
	}
	if err := a.apply(sub, prefix); err != nil {
		return nil, err
	}
	if !a.Pools.Set {
		sub.Pools = defaultPools(prefix, sub.Gateway)
	}
	if err := checkSubnet(sub, prefix); err != nil {
		return nil, err
	}
	if err := w.checkOverlap(n.ID, prefix); err != nil {
		return nil, err
	}
	if err := w.tx.Subnets.Insert(sub); err != nil {
		return nil, err
	}
	return sub, w.addAutoAddresses(sub)
}

// subnetPrefix gives the range of a new subnet: the one asked for, or the next of
// a pool.
func (w *work) subnetPrefix(a SubnetAttrs, sub *compute.Subnet) (netip.Prefix, error) {
	none := netip.Prefix{}
	version := a.IPVersion.Or(4)
	if version != 4 && version != 6 {
		return none, invalid("ip_version %d is neither 4 nor 6", version)
	}
	poolID := a.SubnetPoolID.Value
	if a.DefaultPool.Value {
		if poolID != "" {
			return none, fail(compute.Invalid, "BadRequest", "Bad subnets request: subnetpool_id and use_default_subnetpool cannot both be specified.")
		}
		id, err := w.defaultPool(version)
		if err != nil {
			return none, err
		}
		poolID = id
	}
	if a.CIDR.Value == "" {
		if poolID == "" {
			return none, fail(compute.Invalid, "BadRequest", "Bad subnets request: a subnetpool must be specified in the absence of a cidr.")
		}
		sub.SubnetPoolID = poolID
		return w.allocatePrefix(poolID, version, a.PrefixLen, sub.ProjectID)
	}
	if a.PrefixLen.Set {
		return none, fail(compute.Invalid, "BadRequest", "Bad subnets request: cidr and prefixlen must not be supplied together.")
	}
	prefix, err := subnetCIDR(a.CIDR.Value)
	if err != nil {
		return none, err
	}
	if prefix.Addr().Is4() != (version == 4) {
		return none, invalid("the requested cidr %s does not match the ip_version %d", prefix, version)
	}
	if poolID != "" {
		sub.SubnetPoolID = poolID
		return prefix, w.takePrefix(poolID, prefix, sub.ProjectID)
	}
	return prefix, nil
}

// subnetCIDR reads a range whose host bits are all zero.
func subnetCIDR(text string) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(text)
	if err != nil || p.Addr().Is4In6() || p.Addr().Zone() != "" {
		return netip.Prefix{}, fail(compute.Invalid, "HTTPBadRequest", "Invalid input for cidr. Reason: '%s' is not a valid IP subnet.", text)
	}
	if p.Masked() != p {
		return netip.Prefix{}, fail(compute.Invalid, "HTTPBadRequest",
			"Invalid input for cidr. Reason: '%s' isn't a recognized IP subnet cidr, '%s' is recommended.", text, p.Masked())
	}
	if p.Bits() == 0 {
		return netip.Prefix{}, invalid("0 is not allowed as CIDR prefix length")
	}
	return p, nil
}

// apply changes what a request may change at any time.
func (a SubnetAttrs) apply(sub *compute.Subnet, prefix netip.Prefix) error {
	a.Name.to(&sub.Name)
	a.Description.to(&sub.Description)
	a.DHCP.to(&sub.DHCP)
	a.DNS.to(&sub.DNS)
	a.Routes.to(&sub.Routes)
	a.ServiceTypes.to(&sub.ServiceTypes)
	if a.Gateway.Set {
		sub.Gateway = ""
		if a.Gateway.Value != "" {
			gw, err := netip.ParseAddr(a.Gateway.Value)
			if err != nil || gw.Zone() != "" {
				return fail(compute.Invalid, "HTTPBadRequest", "Invalid input for gateway_ip. Reason: '%s' is not a valid IP address.", a.Gateway.Value)
			}
			sub.Gateway = gw.String()
		}
	}
	if a.Pools.Set {
		spans, err := poolSpans(a.Pools.Value, prefix)
		if err != nil {
			return err
		}
		sub.Pools = pools(spans)
	}
	return nil
}

// pools is spans as rows keep them.
func pools(spans []span) []compute.AddressRange {
	list := make([]compute.AddressRange, 0, len(spans))
	for _, s := range spans {
		list = append(list, compute.AddressRange{Start: s.first.String(), End: s.end.String()})
	}
	return list
}

// spansOf gives the pools of a stored subnet.
func spansOf(sub *compute.Subnet) []span {
	list := make([]span, 0, len(sub.Pools))
	for _, p := range sub.Pools {
		first, err1 := netip.ParseAddr(p.Start)
		end, err2 := netip.ParseAddr(p.End)
		if err1 == nil && err2 == nil {
			list = append(list, span{first, end})
		}
	}
	return list
}

// prefixOf gives the range of a stored subnet.
func prefixOf(sub *compute.Subnet) netip.Prefix {
	p, err := netip.ParsePrefix(sub.CIDR)
	if err != nil {
		return netip.Prefix{}
	}
	return p
}

// poolSpans checks the pools that a request gives.
func poolSpans(list []compute.AddressRange, prefix netip.Prefix) ([]span, error) {
	if len(list) > poolsMax {
		return nil, invalid("at most %d allocation pools are kept", poolsMax)
	}
	first, end := usable(prefix)
	whole := span{first, end}
	var spans []span
	for _, r := range list {
		a, err1 := netip.ParseAddr(r.Start)
		b, err2 := netip.ParseAddr(r.End)
		if err1 != nil || err2 != nil || a.Is4() != prefix.Addr().Is4() || b.Is4() != a.Is4() || b.Less(a) {
			return nil, fail(compute.Invalid, "InvalidAllocationPool", "The allocation pool %s-%s is not valid.", r.Start, r.End)
		}
		s := span{a, b}
		if !whole.contains(a) || !whole.contains(b) {
			return nil, fail(compute.Invalid, "OutOfBoundsAllocationPool", "The allocation pool %s spans beyond the subnet cidr %s.", s, prefix)
		}
		for _, o := range spans {
			if s.overlaps(o) {
				return nil, fail(compute.Conflict, "OverlappingAllocationPools", "Found overlapping allocation pools: %s %s for subnet %s.", o, s, prefix)
			}
		}
		spans = append(spans, s)
	}
	return spans, nil
}

// defaultPools is all of a range but the gateway.
func defaultPools(prefix netip.Prefix, gateway string) []compute.AddressRange {
	first, end := usable(prefix)
	gw, err := netip.ParseAddr(gateway)
	if err != nil || !(span{first, end}).contains(gw) {
		return pools([]span{{first, end}})
	}
	var list []span
	if first.Less(gw) {
		list = append(list, span{first, gw.Prev()})
	}
	if gw.Less(end) {
		list = append(list, span{gw.Next(), end})
	}
	return pools(list)
}

// checkSubnet refuses what cannot work.
func checkSubnet(sub *compute.Subnet, prefix netip.Prefix) error {
	if err := checkModes(sub, prefix); err != nil {
		return err
	}
	if sub.DHCP {
		if prefix.Bits() > prefix.Addr().BitLen()-2 {
			return invalid("Subnet has a prefix length that is incompatible with DHCP service enabled")
		}
		if prefix.Addr().IsMulticast() || prefix.Addr().IsLoopback() {
			return invalid("%s is no range of addresses for machines: multicast and loopback need enable_dhcp false", prefix)
		}
	}
	if err := checkGateway(sub, prefix); err != nil {
		return err
	}
	return checkHints(sub)
}

// checkGateway wants the gateway on the link and outside of the pools.
func checkGateway(sub *compute.Subnet, prefix netip.Prefix) error {
	if sub.Gateway == "" {
		return nil
	}
	gw, err := netip.ParseAddr(sub.Gateway)
	if err != nil || gw.Is4() != prefix.Addr().Is4() {
		return invalid("Gateway %s is of another IP version than the subnet", sub.Gateway)
	}
	linkLocal := gw.Is6() && gw.IsLinkLocalUnicast()
	if first, end := usable(prefix); !linkLocal && !(span{first, end}).contains(gw) && !(gw.Is6() && gw == prefix.Addr()) {
		return invalid("Gateway is not valid on subnet")
	}
	for _, s := range spansOf(sub) {
		if s.contains(gw) {
			return fail(compute.Conflict, "GatewayConflictWithAllocationPools", "Gateway ip %s conflicts with allocation pool %s.", gw, s)
		}
	}
	return nil
}

// checkModes checks how IPv6 cards get their addresses.
func checkModes(sub *compute.Subnet, prefix netip.Prefix) error {
	if sub.RAMode == "" && sub.AddressMode == "" {
		return nil
	}
	if sub.IPVersion == 4 {
		return invalid("ipv6_ra_mode and ipv6_address_mode are not valid when ip_version is 4")
	}
	if !sub.DHCP {
		return invalid("ipv6_ra_mode or ipv6_address_mode cannot be set when enable_dhcp is set to False")
	}
	if sub.RAMode != "" && sub.AddressMode != "" && sub.RAMode != sub.AddressMode {
		return invalid("ipv6_ra_mode set to '%s' with ipv6_address_mode set to '%s' is not valid. "+
			"If both attributes are set, they must be the same value", sub.RAMode, sub.AddressMode)
	}
	if (sub.RAMode == modeSLAAC || sub.RAMode == modeStateless || auto(sub)) && prefix.Bits() != 64 {
		return invalid("Invalid CIDR %s for IPv6 address mode. OpenStack uses the EUI-64 address format, "+
			"which requires the prefix to be /64", prefix)
	}
	return nil
}

// checkHints checks what DHCP tells guests.
func checkHints(sub *compute.Subnet) error {
	if len(sub.DNS) > nameserversMax {
		return fail(compute.Invalid, "DNSNameServersExhausted", "Unable to complete operation for %s. The number of DNS nameservers exceeds the limit %d.", sub.ID, nameserversMax)
	}
	if !distinct(sub.DNS) {
		return fail(compute.Invalid, "HTTPBadRequest", "Invalid input for dns_nameservers. Reason: Duplicate nameserver in the list.")
	}
	for _, s := range sub.DNS {
		if _, err := netip.ParseAddr(s); err != nil {
			return fail(compute.Invalid, "HTTPBadRequest", "Invalid input for dns_nameservers. Reason: '%s' is not a valid nameserver.", s)
		}
	}
	if len(sub.Routes) > hostRoutesMax {
		return fail(compute.Invalid, "HostRoutesExhausted", "Unable to complete operation for %s. The number of host routes exceeds the limit %d.", sub.ID, hostRoutesMax)
	}
	if !distinct(sub.Routes) {
		return fail(compute.Invalid, "HTTPBadRequest", "Invalid input for host_routes. Reason: Duplicate hostroute in the list.")
	}
	for _, r := range sub.Routes {
		if _, err := parseRoute(r); err != nil {
			return fail(compute.Invalid, "HTTPBadRequest", "Invalid input for host_routes. Reason: '%s via %s' is not a valid route.", r.Destination, r.NextHop)
		}
	}
	for _, t := range sub.ServiceTypes {
		if !strings.HasPrefix(t, "network:") && !strings.HasPrefix(t, "compute:") {
			return fail(compute.Invalid, "InvalidSubnetServiceType", "Subnet service type %s does not correspond to a valid device owner.", t)
		}
	}
	return nil
}

// auto says whether cards of a subnet make their addresses themselves.
func auto(sub *compute.Subnet) bool {
	return sub.AddressMode == modeSLAAC || sub.AddressMode == modeStateless
}

// checkOverlap refuses a range that another subnet of the network has a part of.
func (w *work) checkOverlap(networkID string, prefix netip.Prefix) error {
	subnets, err := w.subnetsOf(networkID)
	if err != nil {
		return err
	}
	for _, o := range subnets {
		if prefixOf(o).Overlaps(prefix) {
			return invalid("Requested subnet with cidr: %s for network: %s overlaps with another subnet", prefix, networkID)
		}
	}
	return nil
}

// subnetsOf gives the subnets of a network, oldest first.
func (w *work) subnetsOf(networkID string) ([]*compute.Subnet, error) {
	if list, ok := w.known.subnets[networkID]; ok {
		return list, nil
	}
	list, err := w.tx.Subnets.List(compute.Query{Where: compute.Where{"network_id": networkID}})
	slices.SortStableFunc(list, func(a, b *compute.Subnet) int { return a.Created.Compare(b.Created) })
	return list, err
}

// subnetAbsent is the answer for a subnet that is not there for the caller.
func subnetAbsent(id string) error {
	return fail(compute.NotFound, "SubnetNotFound", "Subnet %s could not be found.", id)
}

// SeesSubnet says whether a subnet is there for a caller, given its network. Of an
// external network that is not shared, members see no subnets.
func SeesSubnet(who compute.Caller, sub *compute.Subnet, n *compute.Network) bool {
	return who.Owns(sub.ProjectID) || who.Owns(n.ProjectID) || n.Shared
}

// subnet gives a subnet that the caller sees, and its network.
func (w *work) subnet(id string) (*compute.Subnet, *compute.Network, error) {
	sub, err := w.tx.Subnets.Get(id)
	if err != nil {
		return nil, nil, absent(err, subnetAbsent(id))
	}
	n, err := w.tx.Networks.Get(sub.NetworkID)
	if err != nil {
		return nil, nil, err
	}
	if !SeesSubnet(w.who, sub, n) {
		return nil, nil, subnetAbsent(id)
	}
	return sub, n, nil
}

// ownSubnet gives a subnet that the caller may change: theirs or on their network.
func (w *work) ownSubnet(id, rule string) (*compute.Subnet, error) {
	sub, n, err := w.subnet(id)
	if err != nil {
		return nil, err
	}
	if !w.who.Owns(sub.ProjectID) && !w.who.Owns(n.ProjectID) {
		return nil, denied(rule)
	}
	return sub, nil
}

// UpdateSubnet changes a subnet.
func (s *Service) UpdateSubnet(ctx context.Context, who compute.Caller, id string, a SubnetAttrs) (*compute.Subnet, error) {
	var sub *compute.Subnet
	err := s.write(ctx, who, "update subnet", func(w *work) (err error) {
		if sub, err = w.ownSubnet(id, "update_subnet"); err != nil {
			return err
		}
		prefix, before := prefixOf(sub), sub.Gateway
		if err := a.apply(sub, prefix); err != nil {
			return err
		}
		if err := checkSubnet(sub, prefix); err != nil {
			return err
		}
		if sub.Gateway != before && before != "" {
			if err := w.gatewayFree(sub, before); err != nil {
				return err
			}
		}
		sub.Revision++
		sub.Updated = w.at
		return w.tx.Subnets.Update(sub)
	})
	return sub, err
}

// gatewayFree refuses to move a gateway that a router has.
func (w *work) gatewayFree(sub *compute.Subnet, gateway string) error {
	taken, err := w.tx.Addresses.Get(compute.AddressID(sub.ID, gateway))
	if compute.IsKind(err, compute.NotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	p, err := w.tx.Ports.Get(taken.PortID)
	if err != nil {
		return err
	}
	if p.DeviceOwner == compute.OwnerRouterInterface {
		return fail(compute.Conflict, "GatewayIpInUse", "Current gateway ip %s already in use by port %s. Unable to update.", gateway, p.ID)
	}
	return nil
}

// DeleteSubnet removes a subnet that no port has an address of, but for those
// that cards made themselves.
func (s *Service) DeleteSubnet(ctx context.Context, who compute.Caller, id string) error {
	return s.write(ctx, who, "delete subnet", func(w *work) error {
		sub, err := w.ownSubnet(id, "delete_subnet")
		if err != nil {
			return err
		}
		taken, err := w.tx.Addresses.List(compute.Query{Where: compute.Where{"subnet_id": id}})
		if err != nil {
			return err
		}
		for _, a := range taken {
			p, err := w.tx.Ports.Get(a.PortID)
			if err != nil {
				return err
			}
			if !auto(sub) || p.DeviceOwner == compute.OwnerRouterInterface {
				return fail(compute.Conflict, "SubnetInUse",
					"Unable to complete operation on subnet %s: One or more ports have an IP allocation from this subnet.", id)
			}
			if err := w.dropFixed(p, compute.FixedIP{SubnetID: id, IP: a.IP}); err != nil {
				return err
			}
		}
		return w.dropSubnet(sub)
	})
}

// dropSubnet deletes a subnet's row and what goes with it.
func (w *work) dropSubnet(sub *compute.Subnet) error {
	if err := w.refund(sub.ProjectID, compute.QuotaSubnets, 1); err != nil {
		return err
	}
	if err := w.tx.Settings.Delete(cursorID(sub.ID)); err != nil && !compute.IsKind(err, compute.NotFound) {
		return err
	}
	return w.tx.Subnets.Delete(sub.ID)
}
