package neutron

import (
	"encoding/json"
	"slices"

	"github.com/kamado/kamado/compute"
	"github.com/kamado/kamado/compute/fabric"
)

type portAttrs = fabric.PortAttrs

func portResource(a *api) *resource[compute.Port, portAttrs] {
	attrs := slices.Concat([]attr[portAttrs]{
		text("name", always, nameMax, func(p *portAttrs) *fabric.Opt[string] { return &p.Name }),
		text("description", always, descriptionMax, func(p *portAttrs) *fabric.Opt[string] { return &p.Description }),
		needed(text("network_id", onCreate, nameMax, func(p *portAttrs) *fabric.Opt[string] { return &p.NetworkID })),
		flag("admin_state_up", always, func(p *portAttrs) *fabric.Opt[bool] { return &p.AdminStateUp }),
		text("mac_address", always, nameMax, func(p *portAttrs) *fabric.Opt[string] { return &p.MAC }),
		list("fixed_ips", always, func(p *portAttrs) *fabric.Opt[[]fabric.FixedRequest] { return &p.FixedIPs }, itemFixed),
		text("device_id", always, nameMax, func(p *portAttrs) *fabric.Opt[string] { return &p.DeviceID }),
		text("device_owner", always, nameMax, func(p *portAttrs) *fabric.Opt[string] { return &p.DeviceOwner }),
		{name: "security_groups", when: always, set: portGroups},
		flag("port_security_enabled", always, func(p *portAttrs) *fabric.Opt[bool] { return &p.PortSecurity }),
		list("allowed_address_pairs", always, func(p *portAttrs) *fabric.Opt[[]compute.AddressPair] { return &p.Pairs }, itemPair),
		list("extra_dhcp_opts", always, func(p *portAttrs) *fabric.Opt[[]compute.DHCPOption] { return &p.DHCP }, itemOption),
		text("binding:vnic_type", always, nameMax, func(p *portAttrs) *fabric.Opt[string] { return &p.VNICType }),
		byAdmin(text("binding:host_id", always, nameMax, func(p *portAttrs) *fabric.Opt[string] { return &p.HostID })),
		byAdmin(attr[portAttrs]{name: "binding:profile", when: always, set: portProfile}),
	}, owner(func(p *portAttrs) *fabric.Opt[string] { return &p.ProjectID }), standard[portAttrs](),
		shown[portAttrs]("binding:vif_type", "binding:vif_details"))
	return &resource[compute.Port, portAttrs]{
		api: a, singular: "port", plural: "ports", path: "ports", attrs: attrs,
		columns: map[string]string{"id": "id", "network_id": "network_id", "device_id": "device_id", "device_owner": "device_owner",
			"project_id": "project_id", "tenant_id": "project_id"},
		table:  func(tx *compute.Tx) compute.Table[compute.Port] { return tx.Ports },
		scopes: portScopes, id: func(p *compute.Port) string { return p.ID },
		find: a.Fabric.Port, views: portViews,
		create: a.Fabric.CreatePorts, update: a.Fabric.UpdatePort, remove: a.Fabric.DeletePort,
	}
}

func itemFixed(name string, v any) (fabric.FixedRequest, error) {
	m, err := itemKeys(name, v, "subnet_id", "ip_address")
	return fabric.FixedRequest{SubnetID: m["subnet_id"], IP: m["ip_address"]}, err
}

func itemPair(name string, v any) (compute.AddressPair, error) {
	m, err := itemKeys(name, v, "ip_address", "mac_address")
	return compute.AddressPair{IP: m["ip_address"], MAC: m["mac_address"]}, err
}

func itemOption(name string, v any) (compute.DHCPOption, error) {
	m, err := itemKeys(name, v, "opt_name", "opt_value", "ip_version")
	if err != nil {
		return compute.DHCPOption{}, err
	}
	if m["opt_name"] == "" {
		return compute.DHCPOption{}, badValue(name, "an option has an opt_name")
	}
	o := compute.DHCPOption{Name: m["opt_name"], Value: m["opt_value"], IPVersion: 4}
	switch m["ip_version"] {
	case "", "4":
	case "6":
		o.IPVersion = 6
	default:
		return o, badValue(name, "'%s' is not in [4, 6]", plainly(m["ip_version"]))
	}
	return o, nil
}

// portGroups reads the groups of a port: null asks for the default one.
func portGroups(p *portAttrs, v any) error {
	if v == nil {
		p.Groups = fabric.Opt[[]string]{Set: true}
		return nil
	}
	ids, err := toList("security_groups", v, itemText)
	p.Groups = fabric.Some(ids)
	return err
}

// portProfile takes an empty profile, as clients send one, and refuses others:
// no host here reads it.
func portProfile(_ *portAttrs, v any) error {
	if m, ok := v.(map[string]any); v == nil || ok && len(m) == 0 {
		return nil
	}
	return badValue("binding:profile", "no host has a use for '%s'", plainly(v))
}

// portScopes are a caller's ports, and all on the caller's networks.
func portScopes(tx *compute.Tx, who compute.Caller) ([]compute.Where, error) {
	own, err := ownScope(tx, who)
	if err != nil || who.Admin() || len(own) == 0 {
		return own, err
	}
	nets, err := tx.Networks.List(compute.Query{Where: own[0]})
	if err != nil || len(nets) == 0 {
		return own, err
	}
	ids := make([]string, 0, len(nets))
	for _, n := range nets {
		ids = append(ids, n.ID)
	}
	return append(own, compute.Where{"network_id": ids}), nil
}

func portViews(v *viewer, rows []*compute.Port) ([]view, error) {
	out := make([]view, 0, len(rows))
	for _, p := range rows {
		out = append(out, portView(v, p))
	}
	return out, nil
}

func portView(v *viewer, p *compute.Port) view {
	fixed := make([]view, 0, len(p.FixedIPs))
	for _, f := range p.FixedIPs {
		fixed = append(fixed, view{"subnet_id": f.SubnetID, "ip_address": f.IP})
	}
	pairs := make([]view, 0, len(p.AllowedPairs))
	for _, a := range p.AllowedPairs {
		pairs = append(pairs, view{"ip_address": a.IP, "mac_address": a.MAC})
	}
	options := make([]view, 0, len(p.ExtraDHCP))
	for _, o := range p.ExtraDHCP {
		options = append(options, view{"opt_name": o.Name, "opt_value": o.Value, "ip_version": o.IPVersion})
	}
	out := view{
		"name": p.Name, "network_id": p.NetworkID, "admin_state_up": p.AdminStateUp, "status": p.Status, "mac_address": p.MAC,
		"fixed_ips": fixed, "device_id": p.DeviceID, "device_owner": p.DeviceOwner, "security_groups": orEmpty(p.SecurityGroupIDs),
		"port_security_enabled": p.PortSecurity, "allowed_address_pairs": pairs, "extra_dhcp_opts": options,
		"binding:vnic_type": p.VNICType,
	}
	if v.who.Admin() {
		out["binding:host_id"], out["binding:profile"] = p.HostID, view{}
		out["binding:vif_type"], out["binding:vif_details"] = "unbound", view{}
		if p.HostID != "" {
			out["binding:vif_type"], out["binding:vif_details"] = "bridge", view{"port_filter": true}
		}
	}
	return stamp(out, p.ID, p.ProjectID, p.Description, p.Tags, p.Revision, p.Created, p.Updated)
}

type groupAttrs = fabric.GroupAttrs

func groupResource(a *api) *resource[compute.SecurityGroup, groupAttrs] {
	attrs := slices.Concat([]attr[groupAttrs]{
		needed(text("name", always, nameMax, func(g *groupAttrs) *fabric.Opt[string] { return &g.Name })),
		text("description", always, descriptionMax, func(g *groupAttrs) *fabric.Opt[string] { return &g.Description }),
	}, owner(func(g *groupAttrs) *fabric.Opt[string] { return &g.ProjectID }), standard[groupAttrs](),
		shown[groupAttrs]("security_group_rules", "shared"))
	return &resource[compute.SecurityGroup, groupAttrs]{
		api: a, singular: "security_group", plural: "security_groups", path: "security-groups", attrs: attrs,
		columns: map[string]string{"id": "id", "name": "name", "project_id": "project_id", "tenant_id": "project_id"},
		table:   func(tx *compute.Tx) compute.Table[compute.SecurityGroup] { return tx.SecurityGroups },
		scopes:  ownScope, id: func(g *compute.SecurityGroup) string { return g.ID },
		find: a.Fabric.Group, views: groupViews, first: a.ensureDefault,
		create: a.Fabric.CreateGroups, update: a.Fabric.UpdateGroup, remove: a.Fabric.DeleteGroup,
	}
}

func groupViews(v *viewer, rows []*compute.SecurityGroup) ([]view, error) {
	ids := make([]string, 0, len(rows))
	for _, g := range rows {
		ids = append(ids, g.ID)
	}
	rules, err := v.tx.SecurityRules.List(compute.Query{Where: compute.Where{"group_id": ids}})
	if err != nil {
		return nil, err
	}
	of := map[string][]view{}
	for _, r := range rules {
		of[r.GroupID] = append(of[r.GroupID], ruleView(r))
	}
	out := make([]view, 0, len(rows))
	for _, g := range rows {
		out = append(out, stamp(view{"name": g.Name, "stateful": g.Stateful, "shared": false, "security_group_rules": orEmpty(of[g.ID])},
			g.ID, g.ProjectID, g.Description, g.Tags, g.Revision, g.Created, g.Updated))
	}
	return out, nil
}

type ruleAttrs = fabric.RuleAttrs

func ruleResource(a *api) *resource[compute.SecurityRule, ruleAttrs] {
	attrs := slices.Concat([]attr[ruleAttrs]{
		needed(text("security_group_id", onCreate, nameMax, func(r *ruleAttrs) *fabric.Opt[string] { return &r.GroupID })),
		needed(text("direction", onCreate, nameMax, func(r *ruleAttrs) *fabric.Opt[string] { return &r.Direction })),
		text("description", onCreate, descriptionMax, func(r *ruleAttrs) *fabric.Opt[string] { return &r.Description }),
		{name: "ethertype", when: onCreate, set: ruleEther},
		{name: "protocol", when: onCreate, set: ruleProtocol},
		rulePort("port_range_min", func(r *ruleAttrs) *fabric.Opt[*int] { return &r.PortMin }),
		rulePort("port_range_max", func(r *ruleAttrs) *fabric.Opt[*int] { return &r.PortMax }),
		text("remote_group_id", onCreate, nameMax, func(r *ruleAttrs) *fabric.Opt[string] { return &r.RemoteGroupID }),
		text("remote_ip_prefix", onCreate, nameMax, func(r *ruleAttrs) *fabric.Opt[string] { return &r.RemotePrefix }),
	}, owner(func(r *ruleAttrs) *fabric.Opt[string] { return &r.ProjectID }), standard[ruleAttrs](), shown[ruleAttrs]("normalized_cidr"))
	return &resource[compute.SecurityRule, ruleAttrs]{
		api: a, singular: "security_group_rule", plural: "security_group_rules", path: "security-group-rules", attrs: attrs,
		columns: map[string]string{"id": "id", "security_group_id": "group_id", "remote_group_id": "remote_group_id",
			"project_id": "project_id", "tenant_id": "project_id"},
		table:  func(tx *compute.Tx) compute.Table[compute.SecurityRule] { return tx.SecurityRules },
		scopes: ownScope, id: func(r *compute.SecurityRule) string { return r.ID },
		find: a.Fabric.Rule, views: ruleViews, first: a.ensureDefault,
		create: a.Fabric.CreateRules, remove: a.Fabric.DeleteRule,
	}
}

func ruleEther(r *ruleAttrs, v any) error {
	if v == nil {
		return nil
	}
	s, ok := v.(string)
	if !ok {
		return badValue("ethertype", "'%s' is not a valid string", plainly(v))
	}
	r.EtherType = fabric.Some(plainly(s))
	return nil
}

// ruleProtocol reads a protocol's name or number.
func ruleProtocol(r *ruleAttrs, v any) error {
	if n, ok := v.(json.Number); ok {
		v = n.String()
	}
	s, err := toText("protocol", v, nameMax)
	r.Protocol = fabric.Some(s)
	return err
}

// rulePort reads an end of a range of ports; null is open.
func rulePort(name string, field func(*ruleAttrs) *fabric.Opt[*int]) attr[ruleAttrs] {
	return attr[ruleAttrs]{name: name, when: onCreate, set: func(r *ruleAttrs, v any) error {
		if v == nil {
			return nil
		}
		n, err := toNumber(name, v)
		if err == nil {
			*field(r) = fabric.Some(&n)
		}
		return err
	}}
}

func ruleViews(_ *viewer, rows []*compute.SecurityRule) ([]view, error) {
	out := make([]view, 0, len(rows))
	for _, r := range rows {
		out = append(out, ruleView(r))
	}
	return out, nil
}

func ruleView(r *compute.SecurityRule) view {
	orNil := func(p *int) any {
		if p == nil {
			return nil
		}
		return *p
	}
	return stamp(view{
		"security_group_id": r.GroupID, "direction": r.Direction, "ethertype": r.EtherType, "protocol": orNull(r.Protocol),
		"port_range_min": orNil(r.PortMin), "port_range_max": orNil(r.PortMax), "remote_group_id": orNull(r.RemoteGroupID),
		"remote_ip_prefix": orNull(r.RemotePrefix), "normalized_cidr": orNull(fabric.MaskedPrefix(r.RemotePrefix)),
	}, r.ID, r.ProjectID, r.Description, nil, r.Revision, r.Created, r.Updated)
}
