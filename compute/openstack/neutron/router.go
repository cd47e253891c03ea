package neutron

import (
	"context"
	"net/http"
	"slices"

	"github.com/kamado/kamado/compute"
	"github.com/kamado/kamado/compute/fabric"
	"github.com/kamado/kamado/compute/openstack"
)

// ensureDefault makes the default group of a caller's project before groups are
// listed.
func (a *api) ensureDefault(ctx context.Context, who compute.Caller) error {
	return a.Fabric.EnsureDefaultGroup(ctx, who.ProjectID)
}

type routerAttrs = fabric.RouterAttrs

func routerResource(a *api) *resource[compute.Router, routerAttrs] {
	attrs := slices.Concat([]attr[routerAttrs]{
		text("name", always, nameMax, func(r *routerAttrs) *fabric.Opt[string] { return &r.Name }),
		text("description", always, descriptionMax, func(r *routerAttrs) *fabric.Opt[string] { return &r.Description }),
		flag("admin_state_up", always, func(r *routerAttrs) *fabric.Opt[bool] { return &r.AdminStateUp }),
		{name: "external_gateway_info", when: always, set: routerGateway},
		list("routes", onUpdate, func(r *routerAttrs) *fabric.Opt[[]compute.Route] { return &r.Routes }, itemRoute),
		list("availability_zone_hints", onCreate, func(r *routerAttrs) *fabric.Opt[[]string] { return &r.ZoneHints }, itemText),
	}, owner(func(r *routerAttrs) *fabric.Opt[string] { return &r.ProjectID }), standard[routerAttrs](), shown[routerAttrs]("availability_zones"))
	return &resource[compute.Router, routerAttrs]{
		api: a, singular: "router", plural: "routers", path: "routers", attrs: attrs,
		columns: map[string]string{"id": "id", "project_id": "project_id", "tenant_id": "project_id"},
		table:   func(tx *compute.Tx) compute.Table[compute.Router] { return tx.Routers },
		scopes:  ownScope, id: func(r *compute.Router) string { return r.ID },
		find: a.Fabric.Router, views: routerViews,
		create: a.Fabric.CreateRouters, update: a.Fabric.UpdateRouter, remove: a.Fabric.DeleteRouter,
	}
}

// routerGateway reads the external side of a router; null or {} is none.
func routerGateway(r *routerAttrs, v any) error {
	const name = "external_gateway_info"
	r.Gateway = fabric.Some[*fabric.Gateway](nil)
	if v == nil {
		return nil
	}
	m, ok := v.(map[string]any)
	if !ok {
		return badValue(name, "'%s' is not a dictionary", plainly(v))
	}
	if len(m) == 0 {
		return nil
	}
	g := &fabric.Gateway{}
	for key, v := range m {
		var err error
		switch key {
		case "network_id":
			g.NetworkID, err = toText(name, v, nameMax)
		case "enable_snat":
			var on bool
			on, err = toFlag(name, v)
			g.SNAT = fabric.Some(on)
		case "external_fixed_ips":
			g.Fixed, err = toList(name, v, itemFixed)
		default:
			err = badValue(name, "unexpected key '%s'", plainly(key))
		}
		if err != nil {
			return err
		}
	}
	if g.NetworkID == "" {
		return badValue(name, "a gateway has a network_id")
	}
	r.Gateway = fabric.Some(g)
	return nil
}

func routerViews(v *viewer, rows []*compute.Router) ([]view, error) {
	out := make([]view, 0, len(rows))
	for _, r := range rows {
		var gateway any
		if r.GatewayNetworkID != "" {
			ips := make([]view, 0, len(r.GatewayIPs))
			for _, f := range r.GatewayIPs {
				ips = append(ips, view{"subnet_id": f.SubnetID, "ip_address": f.IP})
			}
			gateway = view{"network_id": r.GatewayNetworkID, "enable_snat": r.SNAT, "external_fixed_ips": ips}
		}
		out = append(out, stamp(view{
			"name": r.Name, "admin_state_up": r.AdminStateUp, "status": r.Status, "external_gateway_info": gateway,
			"routes": routeViews(r.Routes), "availability_zone_hints": orEmpty(r.ZoneHints), "availability_zones": []string{v.zone},
		}, r.ID, r.ProjectID, r.Description, r.Tags, r.Revision, r.Created, r.Updated))
	}
	return out, nil
}

// routerRoutes are what is done to routers besides changing them.
func (a *api) routerRoutes() []openstack.Route {
	one := root + "/routers/{id}"
	put := func(verb string, handle func(http.ResponseWriter, *openstack.Request) error) openstack.Route {
		return openstack.Route{Method: "PUT", Pattern: one + "/" + verb, Rule: openstack.AsMember, Handle: handle}
	}
	return []openstack.Route{
		put("add_router_interface", a.interfaceVerb(a.Fabric.AddInterface)),
		put("remove_router_interface", a.interfaceVerb(a.Fabric.RemoveInterface)),
		put("add_extraroutes", a.routesVerb(func(list []compute.Route) (add, remove []compute.Route) { return list, nil })),
		put("remove_extraroutes", a.routesVerb(func(list []compute.Route) (add, remove []compute.Route) { return nil, list })),
	}
}

// interfaceVerb joins or parts a router and a subnet.
func (a *api) interfaceVerb(do func(ctx context.Context, who compute.Caller, id, subnetID, portID string) (*fabric.Interface, error)) func(http.ResponseWriter, *openstack.Request) error {
	return func(w http.ResponseWriter, r *openstack.Request) error {
		body, err := readBody(r)
		if err != nil {
			return err
		}
		ids := map[string]string{}
		for _, key := range []string{"subnet_id", "port_id"} {
			if ids[key], err = toText(key, body[key], nameMax); err != nil {
				return err
			}
		}
		i, err := do(r.Context(), r.Caller, r.PathValue("id"), ids["subnet_id"], ids["port_id"])
		if err != nil {
			return err
		}
		subnet := ids["subnet_id"]
		if subnet == "" && len(i.SubnetIDs) > 0 {
			subnet = i.SubnetIDs[0]
		}
		return openstack.WriteJSON(w, http.StatusOK, map[string]any{
			"id": i.Router.ID, "tenant_id": i.Router.ProjectID, "project_id": i.Router.ProjectID, "port_id": i.Port.ID,
			"network_id": i.Port.NetworkID, "subnet_id": orNull(subnet), "subnet_ids": orEmpty(i.SubnetIDs),
		})
	}
}

// routesVerb adds or takes routes of a router without the others being named.
func (a *api) routesVerb(split func([]compute.Route) (add, remove []compute.Route)) func(http.ResponseWriter, *openstack.Request) error {
	return func(w http.ResponseWriter, r *openstack.Request) error {
		bodies, _, err := readBodies(r, "router", "")
		if err != nil {
			return err
		}
		given, err := toList("routes", bodies[0]["routes"], itemRoute)
		if err != nil {
			return err
		}
		add, remove := split(given)
		row, err := a.Fabric.ChangeRoutes(r.Context(), r.Caller, r.PathValue("id"), add, remove)
		if err != nil {
			return err
		}
		views, err := routerViews(&viewer{who: r.Caller, zone: a.Zone}, []*compute.Router{row})
		if err != nil {
			return err
		}
		return openstack.WriteJSON(w, http.StatusOK, map[string]any{"router": views[0]})
	}
}

type floatAttrs = fabric.FloatingAttrs

func floatingResource(a *api) *resource[compute.FloatingIP, floatAttrs] {
	attrs := slices.Concat([]attr[floatAttrs]{
		needed(text("floating_network_id", onCreate, nameMax, func(f *floatAttrs) *fabric.Opt[string] { return &f.NetworkID })),
		text("floating_ip_address", onCreate, nameMax, func(f *floatAttrs) *fabric.Opt[string] { return &f.IP }),
		text("subnet_id", onCreate, nameMax, func(f *floatAttrs) *fabric.Opt[string] { return &f.SubnetID }),
		text("port_id", always, nameMax, func(f *floatAttrs) *fabric.Opt[string] { return &f.PortID }),
		text("fixed_ip_address", always, nameMax, func(f *floatAttrs) *fabric.Opt[string] { return &f.FixedIP }),
		text("description", always, descriptionMax, func(f *floatAttrs) *fabric.Opt[string] { return &f.Description }),
	}, owner(func(f *floatAttrs) *fabric.Opt[string] { return &f.ProjectID }), standard[floatAttrs](), shown[floatAttrs]("router_id", "port_details"))
	return &resource[compute.FloatingIP, floatAttrs]{
		api: a, singular: "floatingip", plural: "floatingips", path: "floatingips", attrs: attrs,
		columns: map[string]string{"id": "id", "floating_network_id": "network_id", "port_id": "fixed_port_id", "router_id": "router_id",
			"floating_ip_address": "ip", "project_id": "project_id", "tenant_id": "project_id"},
		table:  func(tx *compute.Tx) compute.Table[compute.FloatingIP] { return tx.FloatingIPs },
		scopes: ownScope, id: func(f *compute.FloatingIP) string { return f.ID },
		find: a.Fabric.FloatingIP, views: floatingViews,
		create: a.Fabric.CreateFloatingIPs, update: a.Fabric.UpdateFloatingIP, remove: a.Fabric.DeleteFloatingIP,
	}
}

func floatingViews(v *viewer, rows []*compute.FloatingIP) ([]view, error) {
	var ids []string
	for _, f := range rows {
		if f.FixedPortID != "" {
			ids = append(ids, f.FixedPortID)
		}
	}
	details := map[string]view{}
	ports, err := v.tx.Ports.List(compute.Query{Where: compute.Where{"id": ids}})
	if err != nil {
		return nil, err
	}
	for _, p := range ports {
		details[p.ID] = view{"name": p.Name, "network_id": p.NetworkID, "mac_address": p.MAC, "admin_state_up": p.AdminStateUp,
			"status": p.Status, "device_id": p.DeviceID, "device_owner": p.DeviceOwner}
	}
	out := make([]view, 0, len(rows))
	for _, f := range rows {
		one := view{
			"floating_network_id": f.NetworkID, "floating_ip_address": f.IP, "port_id": orNull(f.FixedPortID),
			"fixed_ip_address": orNull(f.FixedIP), "router_id": orNull(f.RouterID), "status": f.Status, "port_details": nil,
		}
		if d, ok := details[f.FixedPortID]; ok {
			one["port_details"] = d
		}
		out = append(out, stamp(one, f.ID, f.ProjectID, f.Description, f.Tags, f.Revision, f.Created, f.Updated))
	}
	return out, nil
}
