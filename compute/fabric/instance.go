package fabric

import (
	"github.com/kamado/kamado/compute"
)

// Want is a card that a request for an instance asks for: on a network, an
// existing port, or with one address.
type Want struct{ NetworkID, PortID, FixedIP, Tag string }

// The two words that stand for a list of wants.
const (
	WantAuto = "auto" // NetworkID of a single Want: as if nothing was asked
	WantNone = "none" // NetworkID of a single Want: no card at all
)

// Plug gives a new instance its ports: it makes them, or claims those that were
// asked for, with MAC, addresses and groups, charges quota, and fills inst.Ports,
// KeepPorts, Addresses and Groups. The caller stores inst. wants nil or one
// WantAuto: the single network that the project may use (its own or shared, not
// external), none when there is none, Conflict when there are several. groups
// are names or ids of the project's security groups; empty: "default". hostID
// may be empty until the instance is placed (see Bind).
//
// Errors: Invalid "NetworkNotFound", "PortNotFound", "SecurityGroupNotFound",
// "NetworkRequiresSubnet", "FixedIpNotFound"; Conflict "NetworkAmbiguous",
// "PortInUse", "IpAddressAlreadyAllocated"; Denied "ExternalNetworkAttachForbidden";
// OverQuota; Exhausted "IpAddressGenerationFailure".
func (s *Service) Plug(tx *compute.Tx, who compute.Caller, inst *compute.Instance, wants []Want, groups []string, hostID string) error {
	return s.within(tx, who).plug(inst, wants, groups, hostID)
}

// Unplug takes all ports from an instance: its own are deleted, the user's
// (KeepPorts) are freed, floating addresses lead nowhere. The caller stores inst.
func (s *Service) Unplug(tx *compute.Tx, inst *compute.Instance) error {
	return s.within(tx, System()).unplug(inst)
}

// PlugOne gives an instance one more port and returns it. The caller stores inst.
func (s *Service) PlugOne(tx *compute.Tx, who compute.Caller, inst *compute.Instance, want Want) (*compute.Port, error) {
	return s.within(tx, who).plugOne(inst, want)
}

// UnplugOne takes one port from an instance; NotFound "PortNotFound" when it has
// no such port. The caller stores inst.
func (s *Service) UnplugOne(tx *compute.Tx, inst *compute.Instance, portID string) error {
	return s.within(tx, System()).unplugOne(inst, portID)
}

// Bind says on which host the ports of an instance are; empty: on none. An ACTIVE
// port is one that a host plugs. The caller stores inst.
func (s *Service) Bind(tx *compute.Tx, inst *compute.Instance, hostID string) error {
	return s.within(tx, System()).bind(inst, hostID)
}

// AddGroup puts all ports of an instance into a security group, named or by id
// ("SecurityGroupNotFound"). The caller stores inst.
func (s *Service) AddGroup(tx *compute.Tx, who compute.Caller, inst *compute.Instance, group string) error {
	return s.within(tx, who).addGroup(inst, group)
}

// RemoveGroup takes all ports of an instance out of a security group; NotFound
// when none is in it. The caller stores inst.
func (s *Service) RemoveGroup(tx *compute.Tx, who compute.Caller, inst *compute.Instance, group string) error {
	return s.within(tx, who).removeGroup(inst, group)
}
