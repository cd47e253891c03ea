package fabric

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/kamado/kamado/compute"
)

// PortAttrs is what a request says of a port.
type PortAttrs struct {
	Name, Description, ProjectID Opt[string]
	NetworkID                    Opt[string]
	AdminStateUp, PortSecurity   Opt[bool]
	MAC                          Opt[string]
	FixedIPs                     Opt[[]FixedRequest]
	DeviceID, DeviceOwner        Opt[string]
	Groups                       Opt[[]string] // ids; given and nil: the default group
	Pairs                        Opt[[]compute.AddressPair]
	DHCP                         Opt[[]compute.DHCPOption] // an empty Value takes the option away
	VNICType, HostID             Opt[string]
}

// Statuses of ports, routers and floating addresses.
const (
	statusActive = "ACTIVE"
	statusDown   = "DOWN"
	statusNA     = "N/A"
)

// vnicNormal is the one kind of card that hosts here plug.
const vnicNormal = "normal"

// CreatePorts makes ports, all or none.
func (s *Service) CreatePorts(ctx context.Context, who compute.Caller, list []PortAttrs) ([]*compute.Port, error) {
	return createAll(ctx, s, who, "create port", list, (*work).createPort)
}

// createPort makes a port as a request says.
func (w *work) createPort(a PortAttrs) (*compute.Port, error) {
	project, err := w.project(a.ProjectID)
	if err != nil {
		return nil, err
	}
	n, err := w.network(a.NetworkID.Value)
	if err != nil {
		return nil, err
	}
	if err := w.mayPort(n, a, "create_port"); err != nil {
		return nil, err
	}
	p := &compute.Port{ProjectID: project, NetworkID: n.ID, AdminStateUp: true, PortSecurity: n.PortSecurity, VNICType: vnicNormal, Status: statusDown}
	if err := w.applyPort(p, a); err != nil {
		return nil, err
	}
	if err := w.chooseGroups(p, a.Groups); err != nil {
		return nil, err
	}
	return p, w.insertPort(p, a.FixedIPs)
}

// insertPort gives a new port its id, MAC and addresses, charges for it and
// stores it. Preconditions: its network, project and owner are set.
func (w *work) insertPort(p *compute.Port, asked Opt[[]FixedRequest]) (err error) {
	p.ID, p.Created, p.Updated = compute.NewID(), w.at, w.at
	if err := w.charge(p.ProjectID, compute.QuotaPorts, 1); err != nil {
		return err
	}
	if p.MAC == "" {
		if p.MAC, err = w.newMAC(p.NetworkID); err != nil {
			return err
		}
	}
	p.AllowedPairs = pairsOf(p.AllowedPairs, p.MAC)
	if asked.Set {
		p.FixedIPs, err = w.chooseFixed(p, asked.Value, nil)
	} else {
		p.FixedIPs, err = w.anyFixed(p)
	}
	if err != nil {
		return err
	}
	err = w.tx.Ports.Insert(p)
	if compute.IsKind(err, compute.Conflict) {
		return macInUse(p)
	}
	return err
}

func macInUse(p *compute.Port) error {
	return fail(compute.Conflict, "MacAddressInUse", "Unable to complete operation for network %s. The mac address %s is in use.", p.NetworkID, p.MAC)
}

// mayPort refuses what only a network's owner may ask of a port: what lets it be
// somebody else on the network.
func (w *work) mayPort(n *compute.Network, a PortAttrs, rule string) error {
	if w.who.Owns(n.ProjectID) {
		if a.HostID.Set && !w.who.Admin() {
			return denied(rule + ":binding:host_id")
		}
		return nil
	}
	switch {
	case n.External && !n.Shared:
		return denied(rule)
	case a.MAC.Set && a.MAC.Value != "":
		return denied(rule + ":mac_address")
	case a.PortSecurity.Set && !a.PortSecurity.Value:
		return denied(rule + ":port_security_enabled")
	case len(a.Pairs.Value) > 0:
		return denied(rule + ":allowed_address_pairs")
	case strings.HasPrefix(a.DeviceOwner.Value, "network:"):
		return denied(rule + ":device_owner")
	case a.HostID.Set:
		return denied(rule + ":binding:host_id")
	}
	return nil
}

// applyPort changes what a request may change, but for addresses and groups. A
// device may be named that is absent, or somebody else's: it is a note, of which
// nothing comes. What has a port says so itself (compute.Instance.HasPort); only a
// router has what says that it is the router's, so nobody may write that.
func (w *work) applyPort(p *compute.Port, a PortAttrs) error {
	if a.DeviceOwner.Set && a.DeviceOwner.Value != p.DeviceOwner && ofService(a.DeviceOwner.Value) {
		return fail(compute.Invalid, "HTTPBadRequest",
			"Invalid input for device_owner. Reason: a port becomes '%s' by an interface, a gateway or a floating IP.", a.DeviceOwner.Value)
	}
	a.Name.to(&p.Name)
	a.Description.to(&p.Description)
	a.AdminStateUp.to(&p.AdminStateUp)
	a.DeviceID.to(&p.DeviceID)
	a.DeviceOwner.to(&p.DeviceOwner)
	a.HostID.to(&p.HostID)
	a.PortSecurity.to(&p.PortSecurity)
	if a.VNICType.Set && a.VNICType.Value != vnicNormal {
		return invalid("binding:vnic_type '%s' is not in ['%s']", a.VNICType.Value, vnicNormal)
	}
	if a.MAC.Set && a.MAC.Value != "" {
		mac, err := parseMAC(a.MAC.Value)
		if err != nil {
			return fail(compute.Invalid, "HTTPBadRequest", "Invalid input for mac_address. Reason: '%s' is not a valid MAC address.", a.MAC.Value)
		}
		p.MAC = mac
	}
	if a.Pairs.Set {
		if err := checkPairs(a.Pairs.Value); err != nil {
			return err
		}
		p.AllowedPairs = slices.Clone(a.Pairs.Value)
	}
	if len(p.AllowedPairs) > 0 && !p.PortSecurity {
		return fail(compute.Conflict, "AddressPairAndPortSecurityRequired", "Port Security must be enabled in order to have allowed address pairs on a port.")
	}
	if a.DHCP.Set {
		p.ExtraDHCP = mergeOptions(p.ExtraDHCP, a.DHCP.Value)
		if len(p.ExtraDHCP) > dhcpOptionsMax {
			return invalid("at most %d extra_dhcp_opts are kept", dhcpOptionsMax)
		}
	}
	return nil
}

// parseMAC gives a unicast Ethernet address in lower case with colons.
func parseMAC(s string) (string, error) {
	hw, err := net.ParseMAC(s)
	if err != nil {
		return "", err
	}
	if len(hw) != 6 || hw[0]&1 == 1 || hw.String() == "00:00:00:00:00:00" {
		return "", &net.AddrError{Err: "not a card's address", Addr: s}
	}
	return hw.String(), nil
}

// checkPairs checks further senders.
func checkPairs(list []compute.AddressPair) error {
	if len(list) > pairsMax {
		return fail(compute.Invalid, "AllowedAddressPairExhausted", "The number of allowed address pair exceeds the maximum %d.", pairsMax)
	}
	for i, pair := range list {
		if pair.IP == "" {
			return fail(compute.Invalid, "AllowedAddressPairsMissingIP", "AllowedAddressPair must contain ip_address")
		}
		_, errPrefix := netip.ParsePrefix(pair.IP)
		_, errAddr := netip.ParseAddr(pair.IP)
		if errPrefix != nil && errAddr != nil {
			return fail(compute.Invalid, "HTTPBadRequest", "Invalid input for allowed_address_pairs. Reason: '%s' is not a valid IP address.", pair.IP)
		}
		if pair.MAC != "" {
			mac, err := parseMAC(pair.MAC)
			if err != nil {
				return fail(compute.Invalid, "HTTPBadRequest", "Invalid input for allowed_address_pairs. Reason: '%s' is not a valid MAC address.", pair.MAC)
			}
			list[i].MAC = mac
		}
		if slices.Contains(list[:i], list[i]) {
			return fail(compute.Invalid, "DuplicateAddressPairInRequest", "Request contains duplicate address pair: mac_address %s ip_address %s.", pair.MAC, pair.IP)
		}
	}
	return nil
}

// pairsOf completes pairs that name no MAC with the port's own.
func pairsOf(list []compute.AddressPair, mac string) []compute.AddressPair {
	for i := range list {
		if list[i].MAC == "" {
			list[i].MAC = mac
		}
	}
	return list
}

// mergeOptions changes DHCP options by name and version; an empty value takes one
// away.
func mergeOptions(have, given []compute.DHCPOption) []compute.DHCPOption {
	have = slices.Clone(have)
	for _, o := range given {
		have = slices.DeleteFunc(have, func(h compute.DHCPOption) bool { return h.Name == o.Name && h.IPVersion == o.IPVersion })
		if o.Value != "" {
			have = append(have, o)
		}
	}
	return have
}

// chooseGroups sets the groups of a port: those given, else the default one.
func (w *work) chooseGroups(p *compute.Port, given Opt[[]string]) error {
	if given.Set && given.Value != nil {
		if len(given.Value) > 0 && !p.PortSecurity {
			return fail(compute.Invalid, "PortSecurityAndIPRequiredForSecurityGroups",
				"Port security must be enabled and port must have an IP address in order to use security groups.")
		}
		if len(given.Value) > groupsMax {
			return invalid("at most %d security_groups are kept", groupsMax)
		}
		p.SecurityGroupIDs = nil
		for _, id := range given.Value {
			if _, err := w.group(id); err != nil {
				return err
			}
			if !slices.Contains(p.SecurityGroupIDs, id) {
				p.SecurityGroupIDs = append(p.SecurityGroupIDs, id)
			}
		}
		return nil
	}
	if !p.PortSecurity || strings.HasPrefix(p.DeviceOwner, "network:") || p.ProjectID == "" {
		p.SecurityGroupIDs = nil
		return nil
	}
	g, err := w.defaultGroup(p.ProjectID)
	if err != nil {
		return err
	}
	p.SecurityGroupIDs = []string{g.ID}
	return nil
}

// portAbsent is the answer for a port that is not there for the caller.
func portAbsent(id string) error {
	return fail(compute.NotFound, "PortNotFound", "Port %s could not be found.", id)
}

// port gives a port that the caller sees: theirs or on their network.
func (w *work) port(id string) (*compute.Port, error) {
	p, err := w.tx.Ports.Get(id)
	if err != nil {
		return nil, absent(err, portAbsent(id))
	}
	if w.who.Owns(p.ProjectID) {
		return p, nil
	}
	n, err := w.tx.Networks.Get(p.NetworkID)
	if err != nil {
		return nil, err
	}
	if !w.who.Owns(n.ProjectID) {
		return nil, portAbsent(id)
	}
	return p, nil
}

// storePort stores a changed port, and what clients see of it in its instance.
func (w *work) storePort(p *compute.Port) error {
	p.Revision++
	p.Updated = w.at
	err := w.tx.Ports.Update(p)
	if compute.IsKind(err, compute.Conflict) {
		return macInUse(p)
	}
	if err != nil {
		return err
	}
	return w.refreshInstance(p)
}

// UpdatePort changes a port.
func (s *Service) UpdatePort(ctx context.Context, who compute.Caller, id string, a PortAttrs) (*compute.Port, error) {
	var p *compute.Port
	err := s.write(ctx, who, "update port", func(w *work) (err error) {
		if p, err = w.port(id); err != nil {
			return err
		}
		return w.updatePort(p, a)
	})
	return p, err
}

func (w *work) updatePort(p *compute.Port, a PortAttrs) error {
	n, err := w.tx.Networks.Get(p.NetworkID)
	if err != nil {
		return err
	}
	if err := w.mayPort(n, a, "update_port"); err != nil {
		return err
	}
	if err := w.mayMove(p, a); err != nil {
		return err
	}
	before := *p
	if err := w.applyPort(p, a); err != nil {
		return err
	}
	if !p.PortSecurity && before.PortSecurity && !a.Groups.Set && len(p.SecurityGroupIDs) > 0 {
		return fail(compute.Conflict, "PortSecurityPortHasSecurityGroup",
			"Port has security group associated. Cannot disable port security or IP address until security group is removed.")
	}
	p.AllowedPairs = pairsOf(p.AllowedPairs, p.MAC)
	if a.Groups.Set {
		if err := w.chooseGroups(p, Some(append([]string{}, a.Groups.Value...))); err != nil {
			return err
		}
	}
	if a.FixedIPs.Set {
		if err := w.replaceFixed(p, a.FixedIPs.Value); err != nil {
			return err
		}
	}
	return w.storePort(p)
}

// mayMove refuses to change the device or the MAC of a port that a host plugs,
// or that is a router's.
func (w *work) mayMove(p *compute.Port, a PortAttrs) error {
	moves := a.DeviceID.Set && a.DeviceID.Value != p.DeviceID || a.DeviceOwner.Set && a.DeviceOwner.Value != p.DeviceOwner
	if a.MAC.Set && !strings.EqualFold(a.MAC.Value, p.MAC) {
		if !w.who.Admin() {
			return denied("update_port:mac_address")
		}
		moves = true
	}
	if !moves {
		return nil
	}
	if isService(p) || ofInstance(p) && p.HostID != "" {
		return fail(compute.Conflict, "PortBound", "Unable to complete operation on port %s, port is already bound to device %s.", p.ID, p.DeviceID)
	}
	return nil
}

// isService says whether a port is a router's or a floating address's own.
func isService(p *compute.Port) bool { return p.DeviceID != "" && ofService(p.DeviceOwner) }

func ofService(owner string) bool {
	return owner == compute.OwnerRouterInterface || owner == compute.OwnerRouterGateway || owner == compute.OwnerFloatingIP
}

// replaceFixed gives a port other addresses; those that stay are kept.
func (w *work) replaceFixed(p *compute.Port, asked []FixedRequest) error {
	before := p.FixedIPs
	now, err := w.chooseFixed(p, asked, before)
	if err != nil {
		return err
	}
	p.FixedIPs = now
	for _, f := range before {
		if slices.Contains(now, f) {
			continue
		}
		if err := w.tx.Addresses.Delete(compute.AddressID(f.SubnetID, f.IP)); err != nil {
			return err
		}
		if err := w.loosenFloating(p.ID, f.IP); err != nil {
			return err
		}
	}
	return nil
}

// DeletePort removes a port that is no router's and no floating address's own. An
// instance that has it loses it.
func (s *Service) DeletePort(ctx context.Context, who compute.Caller, id string) error {
	return s.write(ctx, who, "delete port", func(w *work) error {
		p, err := w.port(id)
		if err != nil {
			return err
		}
		if isService(p) {
			return fail(compute.Conflict, "ServicePortInUse",
				"Port %s cannot be deleted directly via the port API: has device owner %s.", id, p.DeviceOwner)
		}
		return w.dropPort(p)
	})
}

// dropPort deletes a port with its addresses; floating ones lead nowhere then.
func (w *work) dropPort(p *compute.Port) error {
	if err := w.loosenFloating(p.ID, ""); err != nil {
		return err
	}
	for _, f := range p.FixedIPs {
		if err := w.tx.Addresses.Delete(compute.AddressID(f.SubnetID, f.IP)); err != nil {
			return err
		}
	}
	if err := w.refund(p.ProjectID, compute.QuotaPorts, 1); err != nil {
		return err
	}
	if err := w.tx.Ports.Delete(p.ID); err != nil {
		return err
	}
	return w.refreshInstance(p)
}
