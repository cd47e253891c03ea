package fabric

import (
	"github.com/kamado/kamado/compute"
	"github.com/kamado/kamado/compute/network"
)

// State is everything that must exist on a host: the networks that have a port
// there, the routers that touch them with all that those join, floating
// addresses, and who is in the groups that rules name.
func (s *Service) State(tx *compute.Tx, hostID string) (network.State, error) {
	return network.State{}, compute.Errorf(compute.Unavailable, "networks are not there yet")
}
