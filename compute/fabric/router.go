package fabric

import (
	"context"
	"net/netip"
	"slices"

	"github.com/kamado/kamado/compute"
)

// RouterAttrs is what a request says of a router.
type RouterAttrs struct {
	Name, Description, ProjectID Opt[string]
	AdminStateUp                 Opt[bool]
	Gateway                      Opt[*Gateway] // nil: none
	Routes                       Opt[[]compute.Route]
	ZoneHints                    Opt[[]string]
}

// Gateway is the external side of a router as a request asks for it.
type Gateway struct {
	NetworkID string
	SNAT      Opt[bool]
	Fixed     []FixedRequest // empty: any address
}

// CreateRouters makes routers, all or none.
func (s *Service) CreateRouters(ctx context.Context, who compute.Caller, list []RouterAttrs) ([]*compute.Router, error) {
	return createAll(ctx, s, who, "create router", list, (*work).createRouter)
}

func (w *work) createRouter(a RouterAttrs) (*compute.Router, error) {
	project, err := w.project(a.ProjectID)
	if err != nil {
		return nil, err
	}
	if err := w.charge(project, compute.QuotaRouters, 1); err != nil {
		return nil, err
	}
	for _, zone := range a.ZoneHints.Value {
		if zone != w.cfg.Zone {
			return nil, fail(compute.NotFound, "AvailabilityZoneNotFound", "AvailabilityZone %s could not be found.", zone)
		}
	}
	r := &compute.Router{ID: compute.NewID(), ProjectID: project, AdminStateUp: true, Status: statusActive, SNAT: true,
		ZoneHints: a.ZoneHints.Value, Created: w.at, Updated: w.at}
	if err := w.tx.Routers.Insert(r); err != nil {
		return nil, err
	}
	if err := w.applyRouter(r, a); err != nil {
		return nil, err
	}
	return r, w.tx.Routers.Update(r)
}

// applyRouter changes what a request may change.
func (w *work) applyRouter(r *compute.Router, a RouterAttrs) error {
	a.Name.to(&r.Name)
	a.Description.to(&r.Description)
	a.AdminStateUp.to(&r.AdminStateUp)
	if a.Gateway.Set {
		if err := w.setGateway(r, a.Gateway.Value); err != nil {
			return err
		}
	}
	if a.Routes.Set {
		if err := w.checkRoutes(r, a.Routes.Value); err != nil {
			return err
		}
		r.Routes = a.Routes.Value
	}
	return nil
}

// routerAbsent is the answer for a router that is not there for the caller.
func routerAbsent(id string) error {
	return fail(compute.NotFound, "RouterNotFound", "Router %s could not be found", id)
}

// router gives a router of the caller's.
func (w *work) router(id string) (*compute.Router, error) {
	r, err := w.tx.Routers.Get(id)
	if err != nil {
		return nil, absent(err, routerAbsent(id))
	}
	if !w.who.Owns(r.ProjectID) {
		return nil, routerAbsent(id)
	}
	return r, nil
}

// storeRouter stores a changed router.
func (w *work) storeRouter(r *compute.Router) error {
	r.Revision++
	r.Updated = w.at
	return w.tx.Routers.Update(r)
}

// UpdateRouter changes a router.
func (s *Service) UpdateRouter(ctx context.Context, who compute.Caller, id string, a RouterAttrs) (*compute.Router, error) {
	var r *compute.Router
	err := s.write(ctx, who, "update router", func(w *work) (err error) {
		if r, err = w.router(id); err != nil {
			return err
		}
		if err := w.applyRouter(r, a); err != nil {
			return err
		}
		return w.storeRouter(r)
	})
	return r, err
}

// ChangeRoutes adds routes to a router's, and takes some away.
func (s *Service) ChangeRoutes(ctx context.Context, who compute.Caller, id string, add, remove []compute.Route) (*compute.Router, error) {
	var r *compute.Router
	err := s.write(ctx, who, "change routes", func(w *work) (err error) {
		if r, err = w.router(id); err != nil {
			return err
		}
		routes := slices.DeleteFunc(slices.Clone(r.Routes), func(x compute.Route) bool { return slices.Contains(remove, x) })
		for _, x := range add {
			if !slices.Contains(routes, x) {
				routes = append(routes, x)
			}
		}
		if err := w.checkRoutes(r, routes); err != nil {
			return err
		}
		r.Routes = routes
		return w.storeRouter(r)
	})
	return r, err
}

// routerPorts finds a router's ports, the gateway's with them.
func routerPorts(id string) compute.Where {
	return compute.Where{"device_id": id, "device_owner": []string{compute.OwnerRouterInterface, compute.OwnerRouterGateway}}
}

// innerPorts gives a router's ports on the inside.
func (w *work) innerPorts(id string) ([]*compute.Port, error) {
	return w.tx.Ports.List(compute.Query{Where: compute.Where{"device_id": id, "device_owner": compute.OwnerRouterInterface}})
}

// setGateway gives a router its external side, or takes it.
func (w *work) setGateway(r *compute.Router, g *Gateway) error {
	if g == nil || g.NetworkID == "" {
		return w.clearGateway(r)
	}
	if !w.who.Admin() && (g.SNAT.Set && g.SNAT.Value != r.SNAT || len(g.Fixed) > 0) {
		return denied("update_router:external_gateway_info")
	}
	n, err := w.network(g.NetworkID)
	if err != nil {
		return err
	}
	if !n.External {
		return fail(compute.Invalid, "BadRequest", "Bad router request: Network %s is not an external network.", n.ID)
	}
	r.SNAT = g.SNAT.Or(true)
	if r.GatewayNetworkID == n.ID && len(g.Fixed) == 0 {
		return nil
	}
	if r.GatewayNetworkID == n.ID {
		return w.moveGateway(r, g.Fixed)
	}
	if err := w.clearGateway(r); err != nil {
		return err
	}
	p := &compute.Port{NetworkID: n.ID, AdminStateUp: true, Status: statusActive, VNICType: vnicNormal,
		DeviceID: r.ID, DeviceOwner: compute.OwnerRouterGateway}
	if err := w.insertPort(p, Opt[[]FixedRequest]{Set: len(g.Fixed) > 0, Value: g.Fixed}); err != nil {
		return err
	}
	r.GatewayNetworkID, r.GatewayPortID, r.GatewayIPs = n.ID, p.ID, p.FixedIPs
	return w.gatewayApart(r, p)
}

// gatewayApart refuses a gateway whose subnet overlaps with one inside.
func (w *work) gatewayApart(r *compute.Router, gateway *compute.Port) error {
	for _, f := range gateway.FixedIPs {
		sub, err := w.tx.Subnets.Get(f.SubnetID)
		if err != nil {
			return err
		}
		if err := w.apart(r, sub); err != nil {
			return err
		}
	}
	return nil
}

// moveGateway gives a router's gateway other addresses on the same network.
func (w *work) moveGateway(r *compute.Router, asked []FixedRequest) error {
	p, err := w.tx.Ports.Get(r.GatewayPortID)
	if err != nil {
		return err
	}
	if err := w.replaceFixed(p, asked); err != nil {
		return err
	}
	r.GatewayIPs = p.FixedIPs
	return w.storePort(p)
}

// clearGateway takes a router's external side, which no floating address may need.
func (w *work) clearGateway(r *compute.Router) error {
	if r.GatewayPortID == "" {
		return nil
	}
	used, err := w.tx.FloatingIPs.Count(compute.Query{Where: compute.Where{"router_id": r.ID}})
	if err != nil {
		return err
	}
	if used > 0 {
		return fail(compute.Conflict, "RouterExternalGatewayInUseByFloatingIp", "Gateway cannot be updated for router %s, "+
			"since a gateway to external network %s is required by one or more floating IPs.", r.ID, r.GatewayNetworkID)
	}
	p, err := w.tx.Ports.Get(r.GatewayPortID)
	if err != nil {
		return err
	}
	if err := w.dropPort(p); err != nil {
		return err
	}
	r.GatewayNetworkID, r.GatewayPortID, r.GatewayIPs = "", "", nil
	return nil
}

// parseRoute reads a route; both parts are of one IP version.
func parseRoute(r compute.Route) (netip.Prefix, error) {
	dest, err := netip.ParsePrefix(r.Destination)
	if err != nil {
		return dest, err
	}
	hop, err := netip.ParseAddr(r.NextHop)
	if err == nil && hop.Is4() != dest.Addr().Is4() {
		err = &netipMismatch{}
	}
	return dest, err
}

// netipMismatch is a route between IP versions.
type netipMismatch struct{}

func (*netipMismatch) Error() string { return "destination and next hop are of different IP versions" }

// checkRoutes wants each next hop on a subnet of the router, and not the router.
func (w *work) checkRoutes(r *compute.Router, routes []compute.Route) error {
	if len(routes) > extraRoutesMax {
		return fail(compute.Invalid, "RoutesExhausted", "Unable to complete operation for %s. The number of routes exceeds the maximum %d.", r.ID, extraRoutesMax)
	}
	if len(routes) == 0 {
		return nil
	}
	if !distinct(routes) {
		return fail(compute.Invalid, "HTTPBadRequest", "Invalid input for routes. Reason: Duplicate route in the list.")
	}
	ports, err := w.tx.Ports.List(compute.Query{Where: routerPorts(r.ID)})
	if err != nil {
		return err
	}
	var links []netip.Prefix
	own := map[string]bool{}
	for _, p := range ports {
		for _, f := range p.FixedIPs {
			sub, err := w.tx.Subnets.Get(f.SubnetID)
			if err != nil {
				return err
			}
			links, own[f.IP] = append(links, prefixOf(sub)), true
		}
	}
	for _, route := range routes {
		if _, err := parseRoute(route); err != nil {
			return fail(compute.Invalid, "HTTPBadRequest", "Invalid input for routes. Reason: '%s via %s' is not a valid route.", route.Destination, route.NextHop)
		}
		hop := netip.MustParseAddr(route.NextHop)
		if !slices.ContainsFunc(links, func(l netip.Prefix) bool { return l.Contains(hop) }) {
			return fail(compute.Invalid, "InvalidRoutes", "Invalid format for routes: %s via %s, the nexthop is not connected with router.", route.Destination, route.NextHop)
		}
		if own[hop.String()] {
			return fail(compute.Invalid, "InvalidRoutes", "Invalid format for routes: %s via %s, the nexthop is used by router.", route.Destination, route.NextHop)
		}
	}
	return nil
}

// DeleteRouter removes a router that has no port inside.
func (s *Service) DeleteRouter(ctx context.Context, who compute.Caller, id string) error {
	return s.write(ctx, who, "delete router", func(w *work) error {
		r, err := w.router(id)
		if err != nil {
			return err
		}
		ports, err := w.innerPorts(id)
		if err != nil {
			return err
		}
		if len(ports) > 0 {
			return fail(compute.Conflict, "RouterInUse", "Router %s still has ports", id)
		}
		if err := w.clearGateway(r); err != nil {
			return err
		}
		if err := w.refund(r.ProjectID, compute.QuotaRouters, 1); err != nil {
			return err
		}
		return w.tx.Routers.Delete(id)
	})
}
