package fabric

import (
	"net/netip"
	"slices"

	"github.com/kamado/kamado/compute"
)

// plug gives a new instance its ports.
func (w *work) plug(inst *compute.Instance, wants []Want, groups []string, hostID string) error {
	w.inst = inst
	w.known.networks, w.known.subnets, w.known.ports = map[string]*compute.Network{}, map[string][]*compute.Subnet{}, map[string]*compute.Port{}
	wants, err := w.resolveWants(inst, wants)
	if err != nil {
		return err
	}
	ids, err := w.groupsNamed(inst.ProjectID, groups)
	if err != nil {
		return err
	}
	for _, want := range wants {
		if _, err := w.attach(inst, want, ids, hostID); err != nil {
			return err
		}
	}
	return w.fill(inst)
}

// resolveWants turns "auto" into the network that a project has.
func (w *work) resolveWants(inst *compute.Instance, wants []Want) ([]Want, error) {
	if len(wants) == 1 && wants[0].NetworkID == WantNone {
		return nil, nil
	}
	if len(wants) > 0 && !(len(wants) == 1 && wants[0].NetworkID == WantAuto) {
		return wants, nil
	}
	found := map[string]*compute.Network{}
	for _, where := range []compute.Where{{"project_id": inst.ProjectID}, {"shared": true}} {
		list, err := w.tx.Networks.List(compute.Query{Where: where})
		if err != nil {
			return nil, err
		}
		for _, n := range list {
			if !n.External {
				found[n.ID] = n
			}
		}
	}
	switch len(found) {
	case 0:
		return nil, nil
	case 1:
		for id, n := range found {
			if w.known.networks != nil {
				w.known.networks[id] = n
			}
			return []Want{{NetworkID: id}}, nil
		}
	}
	return nil, fail(compute.Conflict, "NetworkAmbiguous",
		"Multiple possible networks found, use a Network ID to be more specific.")
}

// attach makes or claims one port.
func (w *work) attach(inst *compute.Instance, want Want, groups []string, hostID string) (*compute.Port, error) {
	if want.PortID != "" {
		return w.claim(inst, want.PortID, hostID)
	}
	n, err := w.knownNetwork(want.NetworkID)
	if compute.IsKind(err, compute.NotFound) || err == nil && !w.mayUse(n, inst.ProjectID) {
		return nil, fail(compute.Invalid, "NetworkNotFound", "Network %s could not be found.", want.NetworkID)
	}
	if err != nil {
		return nil, err
	}
	if n.External && !n.Shared && !w.who.Owns(n.ProjectID) {
		return nil, fail(compute.Denied, "ExternalNetworkAttachForbidden", "It is not allowed to create an interface on external network %s", n.ID)
	}
	subnets, err := w.subnetsOf(n.ID)
	if err != nil {
		return nil, err
	}
	if w.known.subnets != nil {
		w.known.subnets[n.ID] = subnets
	}
	if len(subnets) == 0 {
		return nil, fail(compute.Invalid, "NetworkRequiresSubnet", "Network %s requires a subnet in order to boot instances on.", n.ID)
	}
	p := &compute.Port{
		ProjectID: inst.ProjectID, NetworkID: n.ID, AdminStateUp: true, PortSecurity: n.PortSecurity, VNICType: vnicNormal,
		DeviceID: inst.ID, DeviceOwner: ownerOf(inst), HostID: hostID, Status: portStatus(hostID), DNSName: inst.Hostname,
	}
	if n.PortSecurity {
		p.SecurityGroupIDs = groups
	}
	asked := Opt[[]FixedRequest]{}
	if want.FixedIP != "" {
		if _, err := netip.ParseAddr(want.FixedIP); err != nil {
			return nil, fail(compute.Invalid, "FixedIpNotFound", "Invalid fixed IP Address %s in request", want.FixedIP)
		}
		asked = Some([]FixedRequest{{IP: want.FixedIP}})
	}
	if err := w.insertPort(p, asked); err != nil {
		return nil, err
	}
	inst.Ports = append(inst.Ports, p.ID)
	if w.known.ports != nil {
		w.known.ports[p.ID] = p
	}
	return p, nil
}

// knownNetwork gives a network, which plug reads once.
func (w *work) knownNetwork(id string) (*compute.Network, error) {
	if n, ok := w.known.networks[id]; ok {
		return n, nil
	}
	n, err := w.tx.Networks.Get(id)
	if err == nil && w.known.networks != nil {
		w.known.networks[id] = n
	}
	return n, err
}

// mayUse says whether an instance of a project may be on a network that the
// caller names.
func (w *work) mayUse(n *compute.Network, project string) bool {
	return n.ProjectID == project || SeesNetwork(w.who, n)
}

// claim makes a port that the user made an instance's card.
func (w *work) claim(inst *compute.Instance, portID, hostID string) (*compute.Port, error) {
	p, err := w.port(portID)
	if compute.IsKind(err, compute.NotFound) {
		return nil, fail(compute.Invalid, "PortNotFound", "Port id %s could not be found.", portID)
	}
	if err != nil {
		return nil, err
	}
	if p.DeviceID != "" || slices.Contains(inst.Ports, p.ID) {
		return nil, fail(compute.Conflict, "PortInUse", "Port %s is still in use.", portID)
	}
	p.DeviceID, p.DeviceOwner, p.HostID, p.Status = inst.ID, ownerOf(inst), hostID, portStatus(hostID)
	p.DNSName = inst.Hostname
	inst.Ports = append(inst.Ports, p.ID)
	inst.KeepPorts = append(inst.KeepPorts, p.ID)
	return p, w.storePort(p)
}

func ownerOf(inst *compute.Instance) string {
	if inst.Zone == "" {
		return compute.OwnerCompute + "nova"
	}
	return compute.OwnerCompute + inst.Zone
}

func portStatus(hostID string) string {
	if hostID == "" {
		return statusDown
	}
	return statusActive
}

func (w *work) unplug(inst *compute.Instance) error {
	w.inst = inst
	for _, id := range slices.Clone(inst.Ports) {
		if err := w.detach(inst, id); err != nil {
			return err
		}
	}
	inst.Ports, inst.KeepPorts = nil, nil
	return w.fill(inst)
}

// detach deletes a port of an instance, or frees it when the user made it.
func (w *work) detach(inst *compute.Instance, id string) error {
	keep := slices.Contains(inst.KeepPorts, id)
	inst.Ports, inst.KeepPorts = without(inst.Ports, id), without(inst.KeepPorts, id)
	p, err := w.tx.Ports.Get(id)
	if compute.IsKind(err, compute.NotFound) { // somebody deleted it
		return nil
	}
	if err != nil || p.DeviceID != inst.ID {
		return err
	}
	if !keep {
		return w.dropPort(p)
	}
	if err := w.loosenFloating(p.ID, ""); err != nil {
		return err
	}
	p.DeviceID, p.DeviceOwner, p.HostID, p.Status, p.DNSName = "", "", "", statusDown, ""
	return w.storePort(p)
}

func (w *work) plugOne(inst *compute.Instance, want Want) (*compute.Port, error) {
	w.inst = inst
	wants, err := w.resolveWants(inst, []Want{want})
	if err == nil && want == (Want{}) {
		wants, err = w.resolveWants(inst, nil)
	}
	if err != nil {
		return nil, err
	}
	if len(wants) == 0 {
		return nil, fail(compute.Invalid, "NetworkNotFound", "No network is there for the interface.")
	}
	g, err := w.defaultGroup(inst.ProjectID)
	if err != nil {
		return nil, err
	}
	p, err := w.attach(inst, wants[0], []string{g.ID}, inst.HostID)
	if err != nil {
		return nil, err
	}
	return p, w.fill(inst)
}

func (w *work) unplugOne(inst *compute.Instance, portID string) error {
	w.inst = inst
	if !slices.Contains(inst.Ports, portID) {
		return fail(compute.NotFound, "PortNotFound", "Port id %s could not be found.", portID)
	}
	if err := w.detach(inst, portID); err != nil {
		return err
	}
	return w.fill(inst)
}

func (w *work) bind(inst *compute.Instance, hostID string) error {
	w.inst = inst
	for _, id := range inst.Ports {
		p, err := w.tx.Ports.Get(id)
		if compute.IsKind(err, compute.NotFound) {
			continue
		}
		if err != nil {
			return err
		}
		if p.HostID == hostID && p.Status == portStatus(hostID) {
			continue
		}
		p.HostID, p.Status = hostID, portStatus(hostID)
		p.Revision++
		p.Updated = w.at
		if err := w.tx.Ports.Update(p); err != nil {
			return err
		}
	}
	return w.fill(inst)
}

func (w *work) addGroup(inst *compute.Instance, group string) error {
	ids, err := w.groupsNamed(inst.ProjectID, []string{group})
	if err != nil {
		return err
	}
	_, err = w.eachPort(inst, func(p *compute.Port) bool {
		if !p.PortSecurity || slices.Contains(p.SecurityGroupIDs, ids[0]) {
			return false
		}
		p.SecurityGroupIDs = append(p.SecurityGroupIDs, ids[0])
		return true
	})
	return err
}

func (w *work) removeGroup(inst *compute.Instance, group string) error {
	ids, err := w.groupsNamed(inst.ProjectID, []string{group})
	if err != nil {
		return err
	}
	changed, err := w.eachPort(inst, func(p *compute.Port) bool {
		if !slices.Contains(p.SecurityGroupIDs, ids[0]) {
			return false
		}
		p.SecurityGroupIDs = without(p.SecurityGroupIDs, ids[0])
		return true
	})
	if err == nil && changed == 0 {
		return fail(compute.NotFound, "SecurityGroupNotFound", "Security group %s is not associated with the instance %s", group, inst.ID)
	}
	return err
}

// eachPort changes ports of an instance and counts those that change said yes to.
func (w *work) eachPort(inst *compute.Instance, change func(*compute.Port) bool) (int, error) {
	w.inst = inst
	n := 0
	for _, id := range inst.Ports {
		p, err := w.tx.Ports.Get(id)
		if err != nil {
			return n, err
		}
		if !change(p) {
			continue
		}
		n++
		if err := w.storePort(p); err != nil {
			return n, err
		}
	}
	return n, w.fill(inst)
}

// refreshInstance writes anew what clients see of the ports of the instance that
// has p; nothing when none has it.
func (w *work) refreshInstance(p *compute.Port) error {
	if !ofInstance(p) || w.inst != nil && w.inst.ID == p.DeviceID { // the caller stores it
		return nil
	}
	inst, err := w.tx.Instances.Get(p.DeviceID)
	if compute.IsKind(err, compute.NotFound) || err == nil && !inst.HasPort(p) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := w.fill(inst); err != nil {
		return err
	}
	return w.tx.Instances.Update(inst)
}

// fill sets an instance's ports to those that are there, and its addresses and
// groups to theirs.
func (w *work) fill(inst *compute.Instance) error {
	var ports []string
	var addresses []compute.InstanceAddress
	var groups []string
	for _, id := range inst.Ports {
		p, made := w.known.ports[id]
		var err error
		if !made {
			p, err = w.tx.Ports.Get(id)
		}
		if compute.IsKind(err, compute.NotFound) || err == nil && !inst.HasPort(p) {
			inst.KeepPorts = without(inst.KeepPorts, id)
			continue
		}
		if err != nil {
			return err
		}
		ports = append(ports, id)
		list, err := w.addressesOf(p, made)
		if err != nil {
			return err
		}
		addresses = append(addresses, list...)
		for _, gid := range p.SecurityGroupIDs {
			g, err := w.tx.SecurityGroups.Get(gid)
			if err != nil {
				return err
			}
			if !slices.Contains(groups, g.Name) {
				groups = append(groups, g.Name)
			}
		}
	}
	inst.Ports, inst.Addresses, inst.Groups = ports, addresses, groups
	return nil
}

// addressesOf gives what clients see of one port: fixed addresses, then floating
// ones, of which a port that was just made has none.
func (w *work) addressesOf(p *compute.Port, made bool) ([]compute.InstanceAddress, error) {
	n, err := w.knownNetwork(p.NetworkID)
	if err != nil {
		return nil, err
	}
	var fips []*compute.FloatingIP
	if !made {
		if fips, err = w.tx.FloatingIPs.List(compute.Query{Where: compute.Where{"fixed_port_id": p.ID}}); err != nil {
			return nil, err
		}
	}
	var list []compute.InstanceAddress
	add := func(ip, kind string) {
		version := 4
		if a, err := netip.ParseAddr(ip); err == nil && a.Is6() {
			version = 6
		}
		list = append(list, compute.InstanceAddress{Network: n.Name, IP: ip, Version: version, MAC: p.MAC, Type: kind, PortID: p.ID})
	}
	for _, f := range p.FixedIPs {
		add(f.IP, "fixed")
	}
	for _, f := range fips {
		add(f.IP, "floating")
	}
	return list, nil
}
