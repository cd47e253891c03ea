package fabric

import (
	"context"
	"slices"
	"strings"

	"github.com/kamado/kamado/compute"
)

// NetworkAttrs is what a request says of a network.
type NetworkAttrs struct {
	Name, Description, ProjectID   Opt[string]
	AdminStateUp, Shared, External Opt[bool]
	IsDefault, PortSecurity        Opt[bool]
	MTU                            Opt[int]
	ProviderType, ProviderPhysical Opt[string]
	ProviderSegment                Opt[int]
	ZoneHints                      Opt[[]string]
}

// Types of networks that this program makes. Others would need segments between
// hosts.
const (
	typeLocal = "local" // on its host
	typeFlat  = "flat"  // a physical network's, external ones by default
)

// Bounds of an MTU: IPv4's least (RFC 791 §3.2) and the largest packet.
const (
	mtuMin = 68
	mtuMax = 65535
)

// CreateNetworks makes networks, all or none.
func (s *Service) CreateNetworks(ctx context.Context, who compute.Caller, list []NetworkAttrs) ([]*compute.Network, error) {
	return createAll(ctx, s, who, "create network", list, (*work).createNetwork)
}

func (w *work) createNetwork(a NetworkAttrs) (*compute.Network, error) {
	project, err := w.project(a.ProjectID)
	if err != nil {
		return nil, err
	}
	if err := w.charge(project, compute.QuotaNetworks, 1); err != nil {
		return nil, err
	}
	if project != "" {
		if _, err := w.defaultGroup(project); err != nil {
			return nil, err
		}
	}
	n := &compute.Network{
		ID: compute.NewID(), ProjectID: project, AdminStateUp: true, PortSecurity: true, MTU: w.cfg.MTU,
		ProviderType: typeLocal, Created: w.at, Updated: w.at,
	}
	if a.External.Value {
		n.ProviderType, n.ProviderPhysical = typeFlat, "external-"+n.ID[:8]
	}
	a.ProviderType.to(&n.ProviderType)
	if a.ProviderType.Set {
		n.ProviderPhysical = ""
	}
	a.ProviderPhysical.to(&n.ProviderPhysical)
	a.ProviderSegment.to(&n.ProviderSegment)
	if err := w.checkProvider(n); err != nil {
		return nil, err
	}
	for _, zone := range a.ZoneHints.Value {
		if zone != w.cfg.Zone {
			return nil, fail(compute.NotFound, "AvailabilityZoneNotFound", "AvailabilityZone %s could not be found.", zone)
		}
	}
	n.ZoneHints = a.ZoneHints.Value
	if err := a.apply(n); err != nil {
		return nil, err
	}
	if err := w.oneDefault(n); err != nil {
		return nil, err
	}
	return n, w.tx.Networks.Insert(n)
}

// checkProvider refuses kinds of networks that no engine here makes, and a
// physical network that another network has.
func (w *work) checkProvider(n *compute.Network) error {
	switch n.ProviderType {
	case typeLocal:
		if n.ProviderPhysical != "" || n.ProviderSegment != 0 {
			return invalid("provider:physical_network and provider:segmentation_id are not for networks of the type local")
		}
		return nil
	case typeFlat:
	default:
		return invalid("network_type value '%s' not supported", n.ProviderType)
	}
	if n.ProviderPhysical == "" {
		return invalid("physical_network required for flat provider network")
	}
	if n.ProviderSegment != 0 {
		return invalid("segmentation_id is not for networks of the type flat")
	}
	others, err := w.tx.Networks.List(compute.Query{})
	if err != nil {
		return err
	}
	for _, o := range others {
		if o.ProviderType == typeFlat && o.ProviderPhysical == n.ProviderPhysical {
			return fail(compute.Conflict, "FlatNetworkInUse", "Unable to create the flat network. Physical network %s is in use.", n.ProviderPhysical)
		}
	}
	return nil
}

// apply changes what a request may change at any time.
func (a NetworkAttrs) apply(n *compute.Network) error {
	a.Name.to(&n.Name)
	a.Description.to(&n.Description)
	a.AdminStateUp.to(&n.AdminStateUp)
	a.Shared.to(&n.Shared)
	a.External.to(&n.External)
	a.IsDefault.to(&n.IsDefault)
	a.PortSecurity.to(&n.PortSecurity)
	if a.MTU.Set && a.MTU.Value != 0 {
		if a.MTU.Value < mtuMin || a.MTU.Value > mtuMax {
			return invalid("mtu %d is not in %d to %d", a.MTU.Value, mtuMin, mtuMax)
		}
		n.MTU = a.MTU.Value
	}
	return nil
}

// oneDefault refuses a second external network that is the default.
func (w *work) oneDefault(n *compute.Network) error {
	if !n.IsDefault {
		return nil
	}
	others, err := w.tx.Networks.List(compute.Query{Where: compute.Where{"external": true}})
	if err != nil {
		return err
	}
	for _, o := range others {
		if o.IsDefault && o.ID != n.ID {
			return fail(compute.Conflict, "DefaultExternalNetworkExists", "A default external network already exists: %s.", o.ID)
		}
	}
	return nil
}

// networkAbsent is the answer for a network that is not there for the caller.
func networkAbsent(id string) error {
	return fail(compute.NotFound, "NetworkNotFound", "Network %s could not be found.", id)
}

// SeesNetwork says whether a network is there for a caller.
func SeesNetwork(who compute.Caller, n *compute.Network) bool {
	return who.Owns(n.ProjectID) || n.Shared || n.External
}

// network gives a network that the caller sees.
func (w *work) network(id string) (*compute.Network, error) {
	n, err := w.tx.Networks.Get(id)
	if err != nil {
		return nil, absent(err, networkAbsent(id))
	}
	if !SeesNetwork(w.who, n) {
		return nil, networkAbsent(id)
	}
	return n, nil
}

// ownNetwork gives a network that is the caller's.
func (w *work) ownNetwork(id, rule string) (*compute.Network, error) {
	n, err := w.network(id)
	if err == nil && !w.who.Owns(n.ProjectID) {
		return nil, denied(rule)
	}
	return n, err
}

// UpdateNetwork changes a network.
func (s *Service) UpdateNetwork(ctx context.Context, who compute.Caller, id string, a NetworkAttrs) (*compute.Network, error) {
	var n *compute.Network
	err := s.write(ctx, who, "update network", func(w *work) (err error) {
		if n, err = w.ownNetwork(id, "update_network"); err != nil {
			return err
		}
		before := *n
		if err := a.apply(n); err != nil {
			return err
		}
		if err := w.checkNetworkUse(&before, n); err != nil {
			return err
		}
		if err := w.oneDefault(n); err != nil {
			return err
		}
		n.Revision++
		n.Updated = w.at
		if err := w.tx.Networks.Update(n); err != nil {
			return err
		}
		if before.Name != n.Name {
			return w.renamed(n.ID)
		}
		return nil
	})
	return n, err
}

// checkNetworkUse refuses to take from others what they use.
func (w *work) checkNetworkUse(before, after *compute.Network) error {
	if before.Shared && !after.Shared {
		ports, err := w.tx.Ports.List(compute.Query{Where: compute.Where{"network_id": after.ID}})
		if err != nil {
			return err
		}
		if slices.ContainsFunc(ports, func(p *compute.Port) bool { return p.ProjectID != "" && p.ProjectID != after.ProjectID }) {
			return fail(compute.Conflict, "InvalidSharedSetting",
				"Unable to reconfigure sharing settings for network %s. Multiple tenants are using it.", after.ID)
		}
	}
	if before.External && !after.External {
		n, err := w.tx.Ports.Count(compute.Query{Where: compute.Where{"network_id": after.ID,
			"device_owner": []string{compute.OwnerRouterGateway, compute.OwnerFloatingIP}}})
		if err != nil {
			return err
		}
		if n > 0 {
			return fail(compute.Conflict, "ExternalNetworkInUse",
				"External network %s cannot be updated to be made non-external, since it has existing gateway ports.", after.ID)
		}
	}
	return nil
}

// renamed writes the network's name anew into the addresses of its instances.
func (w *work) renamed(networkID string) error {
	ports, err := w.tx.Ports.List(compute.Query{Where: compute.Where{"network_id": networkID}})
	if err != nil {
		return err
	}
	for _, p := range ports {
		if err := w.refreshInstance(p); err != nil {
			return err
		}
	}
	return nil
}

// ofInstance says whether a port calls itself an instance's card: whoever made it
// may have written so. Whether it is, the instance says (compute.Instance.HasPort).
func ofInstance(p *compute.Port) bool {
	return p.DeviceID != "" && strings.HasPrefix(p.DeviceOwner, compute.OwnerCompute)
}

// DeleteNetwork removes a network with its subnets. Ports other than those of
// floating addresses that lead nowhere keep it.
func (s *Service) DeleteNetwork(ctx context.Context, who compute.Caller, id string) error {
	return s.write(ctx, who, "delete network", func(w *work) error {
		n, err := w.ownNetwork(id, "delete_network")
		if err != nil {
			return err
		}
		fips, err := w.tx.FloatingIPs.List(compute.Query{Where: compute.Where{"network_id": id}})
		if err != nil {
			return err
		}
		for _, f := range fips {
			if f.FixedPortID == "" {
				if err := w.dropFloating(f); err != nil {
					return err
				}
			}
		}
		if left, err := w.tx.Ports.Count(compute.Query{Where: compute.Where{"network_id": id}}); err != nil {
			return err
		} else if left > 0 {
			return fail(compute.Conflict, "NetworkInUse",
				"Unable to complete operation on network %s. There are one or more ports still in use on the network.", id)
		}
		subnets, err := w.subnetsOf(id)
		if err != nil {
			return err
		}
		for _, sub := range subnets {
			if err := w.dropSubnet(sub); err != nil {
				return err
			}
		}
		if err := w.refund(n.ProjectID, compute.QuotaNetworks, 1); err != nil {
			return err
		}
		return w.tx.Networks.Delete(id)
	})
}
