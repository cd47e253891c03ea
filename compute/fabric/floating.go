package fabric

import (
	"context"
	"net/netip"

	"github.com/kamado/kamado/compute"
)

// FloatingAttrs is what a request says of a floating address.
type FloatingAttrs struct {
	Description, ProjectID Opt[string]
	NetworkID, SubnetID    Opt[string] // the external network, and one of its subnets
	IP                     Opt[string] // a certain address
	PortID, FixedIP        Opt[string] // what it leads to; an empty PortID: nothing
}

// badFloating is a request for a floating address that makes no sense.
func badFloating(format string, args ...any) error {
	return fail(compute.Invalid, "BadRequest", "Bad floatingip request: "+format+".", args...)
}

// addr reads an address of a row.
func addr(s string) (netip.Addr, bool) {
	a, err := netip.ParseAddr(s)
	return a, err == nil
}

// CreateFloatingIPs makes floating addresses, all or none.
func (s *Service) CreateFloatingIPs(ctx context.Context, who compute.Caller, list []FloatingAttrs) ([]*compute.FloatingIP, error) {
	return createAll(ctx, s, who, "create floating IP", list, (*work).createFloating)
}

func (w *work) createFloating(a FloatingAttrs) (*compute.FloatingIP, error) {
	project, err := w.project(a.ProjectID)
	if err != nil {
		return nil, err
	}
	n, err := w.network(a.NetworkID.Value)
	if err != nil {
		return nil, err
	}
	if !n.External {
		return nil, badFloating("Network %s is not a valid external network", n.ID)
	}
	if a.IP.Value != "" && !w.who.Admin() {
		return nil, denied("create_floatingip:floating_ip_address")
	}
	if err := w.charge(project, compute.QuotaFloatingIPs, 1); err != nil {
		return nil, err
	}
	f := &compute.FloatingIP{ID: compute.NewID(), Description: a.Description.Value, ProjectID: project, NetworkID: n.ID,
		Status: statusDown, Created: w.at, Updated: w.at}
	p := &compute.Port{NetworkID: n.ID, AdminStateUp: true, Status: statusNA, VNICType: vnicNormal,
		DeviceID: f.ID, DeviceOwner: compute.OwnerFloatingIP}
	asked := Opt[[]FixedRequest]{}
	if a.IP.Value != "" || a.SubnetID.Value != "" {
		asked = Some([]FixedRequest{{SubnetID: a.SubnetID.Value, IP: a.IP.Value}})
	}
	if err := w.insertPort(p, asked); err != nil {
		return nil, err
	}
	for _, fixed := range p.FixedIPs {
		if ip, ok := addr(fixed.IP); ok && ip.Is4() {
			f.PortID, f.IP, f.SubnetID = p.ID, fixed.IP, fixed.SubnetID
		}
	}
	if f.IP == "" {
		return nil, fail(compute.Conflict, "ExternalIpAddressExhausted", "Unable to find any IP address on external network %s.", n.ID)
	}
	if err := w.lead(f, a); err != nil {
		return nil, err
	}
	if err := w.tx.FloatingIPs.Insert(f); err != nil {
		return nil, err
	}
	return f, w.refreshOf(f.FixedPortID)
}

// floatingAbsent is the answer for a floating address that is not there for the
// caller.
func floatingAbsent(id string) error {
	return fail(compute.NotFound, "FloatingIPNotFound", "Floating IP %s could not be found", id)
}

// floating gives a floating address of the caller's.
func (w *work) floating(id string) (*compute.FloatingIP, error) {
	f, err := w.tx.FloatingIPs.Get(id)
	if err != nil {
		return nil, absent(err, floatingAbsent(id))
	}
	if !w.who.Owns(f.ProjectID) {
		return nil, floatingAbsent(id)
	}
	return f, nil
}

// lead makes a floating address lead where a request says. It does not store it.
func (w *work) lead(f *compute.FloatingIP, a FloatingAttrs) error {
	if a.PortID.Value == "" {
		if a.FixedIP.Value != "" && (a.PortID.Set || f.FixedPortID == "") {
			return badFloating("fixed_ip_address cannot be specified without a port_id")
		}
		if !a.PortID.Set && a.FixedIP.Value == "" {
			return nil
		}
	}
	portID := a.PortID.Or(f.FixedPortID)
	f.FixedPortID, f.FixedIP, f.RouterID, f.Status = "", "", "", statusDown
	if portID == "" {
		return nil
	}
	p, err := w.port(portID)
	if err != nil {
		return err
	}
	if p.ProjectID != f.ProjectID && !w.who.Admin() {
		return badFloating("Port %s is associated with a different tenant than Floating IP %s and therefore cannot be bound", p.ID, f.ID)
	}
	fixed, err := innerAddress(p, a.FixedIP.Value)
	if err != nil {
		return err
	}
	if err := w.onlyOne(f, p, fixed); err != nil {
		return err
	}
	routerID, err := w.path(fixed.SubnetID, f.NetworkID)
	if err != nil {
		return err
	}
	if routerID == "" {
		return fail(compute.NotFound, "ExternalGatewayForFloatingIPNotFound", "External network %s is not reachable from subnet %s. "+
			"Therefore, cannot associate Port %s with a Floating IP.", f.NetworkID, fixed.SubnetID, p.ID)
	}
	f.FixedPortID, f.FixedIP, f.RouterID, f.Status = p.ID, fixed.IP, routerID, statusActive
	return nil
}

// innerAddress gives the IPv4 address of a port that a floating one leads to.
func innerAddress(p *compute.Port, asked string) (compute.FixedIP, error) {
	var v4 []compute.FixedIP
	for _, f := range p.FixedIPs {
		if ip, ok := addr(f.IP); ok && ip.Is4() && (asked == "" || sameAddress(asked, f.IP)) {
			v4 = append(v4, f)
		}
	}
	switch {
	case len(v4) == 1:
		return v4[0], nil
	case asked != "":
		return compute.FixedIP{}, badFloating("Port %s does not have fixed ip %s", p.ID, asked)
	case len(v4) == 0:
		return compute.FixedIP{}, badFloating("Cannot add floating IP to port %s that has no fixed IPv4 addresses", p.ID)
	}
	return compute.FixedIP{}, badFloating("Port %s has multiple fixed IPv4 addresses. Must provide a specific IPv4 address when assigning a floating IP", p.ID)
}

// onlyOne refuses a second floating address of one network for a fixed one.
func (w *work) onlyOne(f *compute.FloatingIP, p *compute.Port, fixed compute.FixedIP) error {
	others, err := w.tx.FloatingIPs.List(compute.Query{Where: compute.Where{"fixed_port_id": p.ID}})
	if err != nil {
		return err
	}
	for _, o := range others {
		if o.ID != f.ID && o.FixedIP == fixed.IP && o.NetworkID == f.NetworkID {
			return fail(compute.Conflict, "FloatingIPPortAlreadyAssociated", "Cannot associate floating IP %s (%s) with port %s using fixed IP %s, "+
				"as that fixed IP already has a floating IP on external network %s.", f.IP, f.ID, p.ID, fixed.IP, f.NetworkID)
		}
	}
	return nil
}

// path finds the router that joins a subnet to an external network, the gateway's
// own before others; empty: none.
func (w *work) path(subnetID, externalID string) (string, error) {
	sub, err := w.tx.Subnets.Get(subnetID)
	if err != nil {
		return "", err
	}
	ports, err := w.tx.Ports.List(compute.Query{Where: compute.Where{"network_id": sub.NetworkID, "device_owner": compute.OwnerRouterInterface}})
	if err != nil {
		return "", err
	}
	found := ""
	for _, p := range ports {
		for _, f := range p.FixedIPs {
			if f.SubnetID != subnetID {
				continue
			}
			r, err := w.tx.Routers.Get(p.DeviceID)
			if err != nil {
				return "", err
			}
			if r.GatewayNetworkID == externalID && (found == "" || f.IP == sub.Gateway) {
				found = r.ID
			}
		}
	}
	return found, nil
}

// refreshOf writes anew what the instance of a port shows; "" is no port.
func (w *work) refreshOf(portID string) error {
	if portID == "" {
		return nil
	}
	p, err := w.tx.Ports.Get(portID)
	if compute.IsKind(err, compute.NotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	return w.refreshInstance(p)
}

// UpdateFloatingIP makes a floating address lead elsewhere, or nowhere.
func (s *Service) UpdateFloatingIP(ctx context.Context, who compute.Caller, id string, a FloatingAttrs) (*compute.FloatingIP, error) {
	var f *compute.FloatingIP
	err := s.write(ctx, who, "update floating IP", func(w *work) (err error) {
		if f, err = w.floating(id); err != nil {
			return err
		}
		before := f.FixedPortID
		a.Description.to(&f.Description)
		if err := w.lead(f, a); err != nil {
			return err
		}
		if err := w.storeFloating(f); err != nil {
			return err
		}
		if before != f.FixedPortID {
			if err := w.refreshOf(before); err != nil {
				return err
			}
		}
		return w.refreshOf(f.FixedPortID)
	})
	return f, err
}

func (w *work) storeFloating(f *compute.FloatingIP) error {
	f.Revision++
	f.Updated = w.at
	return w.tx.FloatingIPs.Update(f)
}

// loosenFloating makes the floating addresses of a port's address (empty: of all
// of them) lead nowhere. The caller refreshes the port's instance.
func (w *work) loosenFloating(portID, ip string) error {
	list, err := w.tx.FloatingIPs.List(compute.Query{Where: compute.Where{"fixed_port_id": portID}})
	if err != nil {
		return err
	}
	for _, f := range list {
		if ip != "" && f.FixedIP != ip {
			continue
		}
		f.FixedPortID, f.FixedIP, f.RouterID, f.Status = "", "", "", statusDown
		if err := w.storeFloating(f); err != nil {
			return err
		}
	}
	return nil
}

// DeleteFloatingIP gives a floating address back.
func (s *Service) DeleteFloatingIP(ctx context.Context, who compute.Caller, id string) error {
	return s.write(ctx, who, "delete floating IP", func(w *work) error {
		f, err := w.floating(id)
		if err != nil {
			return err
		}
		return w.dropFloating(f)
	})
}

func (w *work) dropFloating(f *compute.FloatingIP) error {
	if err := w.tx.FloatingIPs.Delete(f.ID); err != nil {
		return err
	}
	p, err := w.tx.Ports.Get(f.PortID)
	if err != nil {
		return err
	}
	if err := w.dropPort(p); err != nil {
		return err
	}
	if err := w.refund(f.ProjectID, compute.QuotaFloatingIPs, 1); err != nil {
		return err
	}
	return w.refreshOf(f.FixedPortID)
}
