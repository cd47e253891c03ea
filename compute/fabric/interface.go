package fabric

import (
	"context"
	"slices"

	"github.com/kamado/kamado/compute"
)

// Interface is a router's port on a subnet, as the answer to adding or removing
// it says.
type Interface struct {
	Router    *compute.Router
	Port      *compute.Port
	SubnetIDs []string
}

// badRouter is a request to a router that makes no sense.
func badRouter(format string, args ...any) error {
	return fail(compute.Invalid, "BadRequest", "Bad router request: "+format+".", args...)
}

// AddInterface joins a router to a subnet, or to the subnets of a port.
func (s *Service) AddInterface(ctx context.Context, who compute.Caller, id, subnetID, portID string) (*Interface, error) {
	var made *Interface
	err := s.write(ctx, who, "add router interface", func(w *work) error {
		r, err := w.router(id)
		if err != nil {
			return err
		}
		var p *compute.Port
		switch {
		case subnetID != "" && portID != "":
			return badRouter("Cannot specify both subnet-id and port-id")
		case subnetID != "":
			p, err = w.joinSubnet(r, subnetID)
		case portID != "":
			p, err = w.joinPort(r, portID)
		default:
			return badRouter("Either subnet_id or port_id must be specified")
		}
		if err != nil {
			return err
		}
		made = &Interface{r, p, subnetsIn(p)}
		return w.storeRouter(r)
	})
	return made, err
}

func subnetsIn(p *compute.Port) []string {
	ids := make([]string, 0, len(p.FixedIPs))
	for _, f := range p.FixedIPs {
		ids = append(ids, f.SubnetID)
	}
	return ids
}

// joinSubnet makes a port with the subnet's gateway address for a router.
func (w *work) joinSubnet(r *compute.Router, id string) (*compute.Port, error) {
	sub, n, err := w.subnet(id)
	if err != nil {
		return nil, err
	}
	if !w.who.Owns(n.ProjectID) && !n.Shared {
		return nil, denied("add_router_interface")
	}
	if sub.Gateway == "" {
		return nil, badRouter("Subnet for router interface must have a gateway IP")
	}
	if sub.AddressMode != "" && sub.RAMode == "" {
		return nil, badRouter("IPv6 subnet %s configured to receive RAs from an external router cannot be added to Neutron Router", id)
	}
	if err := w.joinable(r, sub); err != nil {
		return nil, err
	}
	p := &compute.Port{ProjectID: r.ProjectID, NetworkID: sub.NetworkID, AdminStateUp: true, Status: statusActive, VNICType: vnicNormal,
		DeviceID: r.ID, DeviceOwner: compute.OwnerRouterInterface}
	return p, w.insertPort(p, Some([]FixedRequest{{SubnetID: sub.ID, IP: sub.Gateway}}))
}

// joinPort makes a port that the user made a router's.
func (w *work) joinPort(r *compute.Router, id string) (*compute.Port, error) {
	p, err := w.port(id)
	if err != nil {
		return nil, err
	}
	if p.DeviceID != "" {
		return nil, fail(compute.Conflict, "PortInUse",
			"Unable to complete operation on port %s for network %s. Port already has an attached device %s.", id, p.NetworkID, p.DeviceID)
	}
	if len(p.FixedIPs) == 0 {
		return nil, badRouter("Router port must have at least one fixed IP")
	}
	v4 := 0
	for _, f := range p.FixedIPs {
		sub, err := w.tx.Subnets.Get(f.SubnetID)
		if err != nil {
			return nil, err
		}
		if sub.IPVersion == 4 {
			v4++
		}
		if err := w.joinable(r, sub); err != nil {
			return nil, err
		}
	}
	if v4 > 1 {
		return nil, badRouter("Cannot have multiple IPv4 subnets on router port")
	}
	p.DeviceID, p.DeviceOwner, p.Status, p.SecurityGroupIDs = r.ID, compute.OwnerRouterInterface, statusActive, nil
	return p, w.storePort(p)
}

// joinable refuses a subnet that a router has already, or one that overlaps with
// one of its own.
func (w *work) joinable(r *compute.Router, sub *compute.Subnet) error {
	if err := w.apart(r, sub); err != nil {
		return err
	}
	if r.GatewayPortID == "" {
		return nil
	}
	for _, f := range r.GatewayIPs {
		outer, err := w.tx.Subnets.Get(f.SubnetID)
		if err != nil {
			return err
		}
		if prefixOf(outer).Overlaps(prefixOf(sub)) {
			return badRouter("Cidr %s of subnet %s overlaps with cidr %s of subnet %s", sub.CIDR, sub.ID, outer.CIDR, outer.ID)
		}
	}
	return nil
}

// apart refuses a subnet that overlaps with one inside of a router.
func (w *work) apart(r *compute.Router, sub *compute.Subnet) error {
	ports, err := w.innerPorts(r.ID)
	if err != nil {
		return err
	}
	for _, p := range ports {
		for _, f := range p.FixedIPs {
			if f.SubnetID == sub.ID {
				return badRouter("Router already has a port on subnet %s", sub.ID)
			}
			inner, err := w.tx.Subnets.Get(f.SubnetID)
			if err != nil {
				return err
			}
			if prefixOf(inner).Overlaps(prefixOf(sub)) {
				return badRouter("Cidr %s of subnet %s overlaps with cidr %s of subnet %s", sub.CIDR, sub.ID, inner.CIDR, inner.ID)
			}
		}
	}
	return nil
}

// RemoveInterface parts a router from a subnet or a port, and deletes the port.
func (s *Service) RemoveInterface(ctx context.Context, who compute.Caller, id, subnetID, portID string) (*Interface, error) {
	var gone *Interface
	err := s.write(ctx, who, "remove router interface", func(w *work) error {
		r, err := w.router(id)
		if err != nil {
			return err
		}
		if subnetID == "" && portID == "" {
			return badRouter("Either subnet_id or port_id must be specified")
		}
		p, err := w.interfaceOn(r, subnetID, portID)
		if err != nil {
			return err
		}
		if err := w.interfaceFree(r, p); err != nil {
			return err
		}
		gone = &Interface{r, p, subnetsIn(p)}
		if err := w.dropPort(p); err != nil {
			return err
		}
		return w.storeRouter(r)
	})
	return gone, err
}

// interfaceOn finds a router's port by subnet, by id, or by both.
func (w *work) interfaceOn(r *compute.Router, subnetID, portID string) (*compute.Port, error) {
	ports, err := w.innerPorts(r.ID)
	if err != nil {
		return nil, err
	}
	for _, p := range ports {
		if portID != "" && p.ID != portID {
			continue
		}
		if subnetID == "" || slices.Contains(subnetsIn(p), subnetID) {
			return p, nil
		}
		if portID != "" {
			return nil, fail(compute.Conflict, "SubnetMismatchForPort", "Subnet on port %s does not match the requested subnet %s.", portID, subnetID)
		}
	}
	if portID != "" {
		return nil, fail(compute.NotFound, "RouterInterfaceNotFound", "Router %s does not have an interface with id %s", r.ID, portID)
	}
	return nil, fail(compute.NotFound, "RouterInterfaceNotFoundForSubnet", "Router %s has no interface on subnet %s", r.ID, subnetID)
}

// interfaceFree refuses to take a port that a floating address or a route needs.
func (w *work) interfaceFree(r *compute.Router, p *compute.Port) error {
	fips, err := w.tx.FloatingIPs.List(compute.Query{Where: compute.Where{"router_id": r.ID}})
	if err != nil {
		return err
	}
	for _, f := range p.FixedIPs {
		sub, err := w.tx.Subnets.Get(f.SubnetID)
		if err != nil {
			return err
		}
		for _, fip := range fips {
			if _, err := w.tx.Addresses.Get(compute.AddressID(sub.ID, fip.FixedIP)); err == nil {
				return fail(compute.Conflict, "RouterInterfaceInUseByFloatingIP", "Router interface for subnet %s on router %s "+
					"cannot be deleted, as it is required by one or more floating IPs.", sub.ID, r.ID)
			} else if !compute.IsKind(err, compute.NotFound) {
				return err
			}
		}
		for _, route := range r.Routes {
			if hop, ok := addr(route.NextHop); ok && prefixOf(sub).Contains(hop) {
				return fail(compute.Conflict, "RouterInterfaceInUseByRoute", "Router interface for subnet %s on router %s "+
					"cannot be deleted, as it is required by one or more routes.", sub.ID, r.ID)
			}
		}
	}
	return nil
}
