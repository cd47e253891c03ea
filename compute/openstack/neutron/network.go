package neutron

import (
	"encoding/json"
	"slices"

	"github.com/kamado/kamado/compute"
	"github.com/kamado/kamado/compute/fabric"
)

type netAttrs = fabric.NetworkAttrs

func networkResource(a *api) *resource[compute.Network, netAttrs] {
	attrs := slices.Concat([]attr[netAttrs]{
		text("name", always, nameMax, func(n *netAttrs) *fabric.Opt[string] { return &n.Name }),
		text("description", always, descriptionMax, func(n *netAttrs) *fabric.Opt[string] { return &n.Description }),
		flag("admin_state_up", always, func(n *netAttrs) *fabric.Opt[bool] { return &n.AdminStateUp }),
		byAdmin(flag("shared", always, func(n *netAttrs) *fabric.Opt[bool] { return &n.Shared })),
		byAdmin(flag("router:external", always, func(n *netAttrs) *fabric.Opt[bool] { return &n.External })),
		byAdmin(flag("is_default", always, func(n *netAttrs) *fabric.Opt[bool] { return &n.IsDefault })),
		flag("port_security_enabled", always, func(n *netAttrs) *fabric.Opt[bool] { return &n.PortSecurity }),
		number("mtu", always, func(n *netAttrs) *fabric.Opt[int] { return &n.MTU }),
		byAdmin(text("provider:network_type", onCreate, nameMax, func(n *netAttrs) *fabric.Opt[string] { return &n.ProviderType })),
		byAdmin(text("provider:physical_network", onCreate, nameMax, func(n *netAttrs) *fabric.Opt[string] { return &n.ProviderPhysical })),
		byAdmin(number("provider:segmentation_id", onCreate, func(n *netAttrs) *fabric.Opt[int] { return &n.ProviderSegment })),
		list("availability_zone_hints", onCreate, func(n *netAttrs) *fabric.Opt[[]string] { return &n.ZoneHints }, itemText),
	}, owner(func(n *netAttrs) *fabric.Opt[string] { return &n.ProjectID }), standard[netAttrs](),
		shown[netAttrs]("subnets", "availability_zones", "ipv4_address_scope", "ipv6_address_scope"))
	return &resource[compute.Network, netAttrs]{
		api: a, singular: "network", plural: "networks", path: "networks", attrs: attrs,
		columns: map[string]string{"id": "id", "name": "name", "project_id": "project_id", "tenant_id": "project_id"},
		table:   func(tx *compute.Tx) compute.Table[compute.Network] { return tx.Networks },
		scopes:  networkScopes, id: func(n *compute.Network) string { return n.ID },
		find: a.Fabric.Network, views: networkViews,
		create: a.Fabric.CreateNetworks, update: a.Fabric.UpdateNetwork, remove: a.Fabric.DeleteNetwork,
	}
}

func networkScopes(tx *compute.Tx, who compute.Caller) ([]compute.Where, error) {
	own, err := ownScope(tx, who)
	if err != nil || who.Admin() {
		return own, err
	}
	return append(own, compute.Where{"shared": true}, compute.Where{"external": true}), nil
}

func networkViews(v *viewer, rows []*compute.Network) ([]view, error) {
	ids := make([]string, 0, len(rows))
	for _, n := range rows {
		ids = append(ids, n.ID)
	}
	subnets, err := v.tx.Subnets.List(compute.Query{Where: compute.Where{"network_id": ids}})
	if err != nil {
		return nil, err
	}
	of := map[string][]string{}
	for _, s := range subnets {
		of[s.NetworkID] = append(of[s.NetworkID], s.ID)
	}
	out := make([]view, 0, len(rows))
	for _, n := range rows {
		out = append(out, networkView(v, n, of[n.ID]))
	}
	return out, nil
}

func networkView(v *viewer, n *compute.Network, subnets []string) view {
	if subnets == nil {
		subnets = []string{}
	}
	out := view{
		"name": n.Name, "admin_state_up": n.AdminStateUp, "status": "ACTIVE", "shared": n.Shared, "router:external": n.External,
		"port_security_enabled": n.PortSecurity, "mtu": n.MTU, "subnets": subnets,
		"availability_zone_hints": orEmpty(n.ZoneHints), "availability_zones": []string{v.zone},
		"ipv4_address_scope": nil, "ipv6_address_scope": nil,
	}
	if n.External {
		out["is_default"] = n.IsDefault
	}
	if v.who.Admin() {
		out["provider:network_type"], out["provider:physical_network"] = n.ProviderType, orNull(n.ProviderPhysical)
		out["provider:segmentation_id"] = nil
		if n.ProviderSegment != 0 {
			out["provider:segmentation_id"] = n.ProviderSegment
		}
	}
	return stamp(out, n.ID, n.ProjectID, n.Description, n.Tags, n.Revision, n.Created, n.Updated)
}

// orEmpty is a list that JSON writes as [] rather than null.
func orEmpty[T any](l []T) []T {
	if l == nil {
		return []T{}
	}
	return l
}

type subAttrs = fabric.SubnetAttrs

func subnetResource(a *api) *resource[compute.Subnet, subAttrs] {
	attrs := slices.Concat([]attr[subAttrs]{
		text("name", always, nameMax, func(s *subAttrs) *fabric.Opt[string] { return &s.Name }),
		text("description", always, descriptionMax, func(s *subAttrs) *fabric.Opt[string] { return &s.Description }),
		needed(text("network_id", onCreate, nameMax, func(s *subAttrs) *fabric.Opt[string] { return &s.NetworkID })),
		text("cidr", onCreate, nameMax, func(s *subAttrs) *fabric.Opt[string] { return &s.CIDR }),
		number("ip_version", onCreate, func(s *subAttrs) *fabric.Opt[int] { return &s.IPVersion }),
		number("prefixlen", onCreate, func(s *subAttrs) *fabric.Opt[int] { return &s.PrefixLen }),
		text("gateway_ip", always, nameMax, func(s *subAttrs) *fabric.Opt[string] { return &s.Gateway }),
		flag("enable_dhcp", always, func(s *subAttrs) *fabric.Opt[bool] { return &s.DHCP }),
		list("allocation_pools", always, func(s *subAttrs) *fabric.Opt[[]compute.AddressRange] { return &s.Pools }, itemPool),
		list("dns_nameservers", always, func(s *subAttrs) *fabric.Opt[[]string] { return &s.DNS }, itemText),
		list("host_routes", always, func(s *subAttrs) *fabric.Opt[[]compute.Route] { return &s.Routes }, itemRoute),
		{name: "ipv6_ra_mode", when: onCreate, set: ipv6Mode("ipv6_ra_mode", func(s *subAttrs) *fabric.Opt[string] { return &s.RAMode })},
		{name: "ipv6_address_mode", when: onCreate, set: ipv6Mode("ipv6_address_mode", func(s *subAttrs) *fabric.Opt[string] { return &s.AddressMode })},
		text("subnetpool_id", onCreate, nameMax, func(s *subAttrs) *fabric.Opt[string] { return &s.SubnetPoolID }),
		flag("use_default_subnetpool", onCreate, func(s *subAttrs) *fabric.Opt[bool] { return &s.DefaultPool }),
		byAdmin(list("service_types", always, func(s *subAttrs) *fabric.Opt[[]string] { return &s.ServiceTypes }, itemText)),
	}, owner(func(s *subAttrs) *fabric.Opt[string] { return &s.ProjectID }), standard[subAttrs]())
	return &resource[compute.Subnet, subAttrs]{
		api: a, singular: "subnet", plural: "subnets", path: "subnets", attrs: attrs,
		columns: map[string]string{"id": "id", "name": "name", "network_id": "network_id", "project_id": "project_id",
			"tenant_id": "project_id", "subnetpool_id": "subnet_pool_id"},
		table:  func(tx *compute.Tx) compute.Table[compute.Subnet] { return tx.Subnets },
		scopes: subnetScopes, id: func(s *compute.Subnet) string { return s.ID },
		find: a.Fabric.Subnet, views: subnetViews,
		create: a.Fabric.CreateSubnets, update: a.Fabric.UpdateSubnet, remove: a.Fabric.DeleteSubnet,
	}
}

// ipv6Mode reads how IPv6 cards get their addresses.
func ipv6Mode(name string, field func(*subAttrs) *fabric.Opt[string]) func(*subAttrs, any) error {
	return func(s *subAttrs, v any) error {
		if v == nil {
			return nil
		}
		mode, err := toText(name, v, nameMax)
		if err != nil {
			return err
		}
		if !slices.Contains([]string{"dhcpv6-stateful", "dhcpv6-stateless", "slaac"}, mode) {
			return badValue(name, "'%s' is not in ['dhcpv6-stateful', 'dhcpv6-stateless', 'slaac']", plainly(v))
		}
		*field(s) = fabric.Some(mode)
		return nil
	}
}

func itemPool(name string, v any) (compute.AddressRange, error) {
	m, err := itemKeys(name, v, "start", "end")
	return compute.AddressRange{Start: m["start"], End: m["end"]}, err
}

func itemRoute(name string, v any) (compute.Route, error) {
	m, err := itemKeys(name, v, "destination", "nexthop")
	if err == nil && (m["destination"] == "" || m["nexthop"] == "") {
		err = badValue(name, "a route has a destination and a nexthop")
	}
	return compute.Route{Destination: m["destination"], NextHop: m["nexthop"]}, err
}

// subnetScopes are a caller's subnets, and those on the caller's and on shared
// networks.
func subnetScopes(tx *compute.Tx, who compute.Caller) ([]compute.Where, error) {
	own, err := ownScope(tx, who)
	if err != nil || who.Admin() {
		return own, err
	}
	ids := []string{}
	for _, where := range append(slices.Clone(own), compute.Where{"shared": true}) {
		nets, err := tx.Networks.List(compute.Query{Where: where})
		if err != nil {
			return nil, err
		}
		for _, n := range nets {
			ids = append(ids, n.ID)
		}
	}
	return append(own, compute.Where{"network_id": ids}), nil
}

func subnetViews(_ *viewer, rows []*compute.Subnet) ([]view, error) {
	out := make([]view, 0, len(rows))
	for _, s := range rows {
		pools := make([]view, 0, len(s.Pools))
		for _, p := range s.Pools {
			pools = append(pools, view{"start": p.Start, "end": p.End})
		}
		out = append(out, stamp(view{
			"name": s.Name, "network_id": s.NetworkID, "ip_version": s.IPVersion, "cidr": s.CIDR, "gateway_ip": orNull(s.Gateway),
			"enable_dhcp": s.DHCP, "allocation_pools": pools, "dns_nameservers": orEmpty(s.DNS), "host_routes": routeViews(s.Routes),
			"ipv6_ra_mode": orNull(s.RAMode), "ipv6_address_mode": orNull(s.AddressMode), "subnetpool_id": orNull(s.SubnetPoolID),
			"service_types": orEmpty(s.ServiceTypes),
		}, s.ID, s.ProjectID, s.Description, s.Tags, s.Revision, s.Created, s.Updated))
	}
	return out, nil
}

func routeViews(list []compute.Route) []view {
	out := make([]view, 0, len(list))
	for _, r := range list {
		out = append(out, view{"destination": r.Destination, "nexthop": r.NextHop})
	}
	return out
}

type poolAttrs = fabric.SubnetPoolAttrs

func poolResource(a *api) *resource[compute.SubnetPool, poolAttrs] {
	length := func(name string, field func(*poolAttrs) *fabric.Opt[int]) attr[poolAttrs] {
		return number(name, always, field)
	}
	attrs := slices.Concat([]attr[poolAttrs]{
		needed(text("name", always, nameMax, func(p *poolAttrs) *fabric.Opt[string] { return &p.Name })),
		text("description", always, descriptionMax, func(p *poolAttrs) *fabric.Opt[string] { return &p.Description }),
		needed(list("prefixes", always, func(p *poolAttrs) *fabric.Opt[[]string] { return &p.Prefixes }, itemText)),
		length("default_prefixlen", func(p *poolAttrs) *fabric.Opt[int] { return &p.DefaultPrefix }),
		length("min_prefixlen", func(p *poolAttrs) *fabric.Opt[int] { return &p.MinPrefix }),
		length("max_prefixlen", func(p *poolAttrs) *fabric.Opt[int] { return &p.MaxPrefix }),
		{name: "default_quota", when: always, set: poolQuota},
		byAdmin(flag("shared", onCreate, func(p *poolAttrs) *fabric.Opt[bool] { return &p.Shared })),
		byAdmin(flag("is_default", always, func(p *poolAttrs) *fabric.Opt[bool] { return &p.IsDefault })),
		{name: "address_scope_id", when: always, set: func(_ *poolAttrs, v any) error {
			if !empty(v) {
				return &compute.Error{Kind: compute.NotFound, Name: "AddressScopeNotFound", Detail: "Address scope " + plainly(v) + " could not be found"}
			}
			return nil
		}},
	}, owner(func(p *poolAttrs) *fabric.Opt[string] { return &p.ProjectID }), standard[poolAttrs](), shown[poolAttrs]("ip_version"))
	return &resource[compute.SubnetPool, poolAttrs]{
		api: a, singular: "subnetpool", plural: "subnetpools", path: "subnetpools", attrs: attrs,
		columns: map[string]string{"id": "id", "name": "name", "project_id": "project_id", "tenant_id": "project_id"},
		table:   func(tx *compute.Tx) compute.Table[compute.SubnetPool] { return tx.SubnetPools },
		scopes:  poolScopes, id: func(p *compute.SubnetPool) string { return p.ID },
		find: a.Fabric.SubnetPool, views: poolViews,
		create: a.Fabric.CreateSubnetPools, update: a.Fabric.UpdateSubnetPool, remove: a.Fabric.DeleteSubnetPool,
	}
}

// poolQuota reads a pool's quota; null is none.
func poolQuota(p *poolAttrs, v any) error {
	if v == nil {
		p.DefaultQuota = fabric.Some(0)
		return nil
	}
	if _, ok := v.(json.Number); !ok {
		return badValue("default_quota", "'%s' is not an integer", plainly(v))
	}
	n, err := toNumber("default_quota", v)
	p.DefaultQuota = fabric.Some(n)
	return err
}

// poolScopes are a caller's pools and those that are shared.
func poolScopes(tx *compute.Tx, who compute.Caller) ([]compute.Where, error) {
	own, err := ownScope(tx, who)
	if err != nil || who.Admin() {
		return own, err
	}
	all, err := tx.SubnetPools.List(compute.Query{}) // few: an administrator's
	if err != nil {
		return nil, err
	}
	ids := []string{}
	for _, p := range all {
		if p.Shared {
			ids = append(ids, p.ID)
		}
	}
	return append(own, compute.Where{"id": ids}), nil
}

func poolViews(_ *viewer, rows []*compute.SubnetPool) ([]view, error) {
	out := make([]view, 0, len(rows))
	for _, p := range rows {
		v := view{
			"name": p.Name, "prefixes": orEmpty(p.Prefixes), "ip_version": p.IPVersion, "default_prefixlen": p.DefaultPrefix,
			"min_prefixlen": p.MinPrefix, "max_prefixlen": p.MaxPrefix, "default_quota": nil, "shared": p.Shared,
			"is_default": p.IsDefault, "address_scope_id": nil,
		}
		if p.DefaultQuota > 0 {
			v["default_quota"] = p.DefaultQuota
		}
		out = append(out, stamp(v, p.ID, p.ProjectID, p.Description, p.Tags, p.Revision, p.Created, p.Updated))
	}
	return out, nil
}
