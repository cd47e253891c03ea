package fabric

import "github.com/kamado/kamado/compute"

// The finders give a thing by its id inside a caller's Read, NotFound under the
// thing's own name when it is not there or not the caller's to see.

// Network finds a network.
func (s *Service) Network(tx *compute.Tx, who compute.Caller, id string) (*compute.Network, error) {
	return s.within(tx, who).network(id)
}

// Subnet finds a subnet.
func (s *Service) Subnet(tx *compute.Tx, who compute.Caller, id string) (*compute.Subnet, error) {
	sub, _, err := s.within(tx, who).subnet(id)
	return sub, err
}

// SubnetPool finds a subnet pool.
func (s *Service) SubnetPool(tx *compute.Tx, who compute.Caller, id string) (*compute.SubnetPool, error) {
	return s.within(tx, who).pool(id)
}

// Port finds a port.
func (s *Service) Port(tx *compute.Tx, who compute.Caller, id string) (*compute.Port, error) {
	return s.within(tx, who).port(id)
}

// Router finds a router.
func (s *Service) Router(tx *compute.Tx, who compute.Caller, id string) (*compute.Router, error) {
	return s.within(tx, who).router(id)
}

// FloatingIP finds a floating address.
func (s *Service) FloatingIP(tx *compute.Tx, who compute.Caller, id string) (*compute.FloatingIP, error) {
	return s.within(tx, who).floating(id)
}

// Group finds a security group.
func (s *Service) Group(tx *compute.Tx, who compute.Caller, id string) (*compute.SecurityGroup, error) {
	return s.within(tx, who).group(id)
}

// Rule finds a rule of a security group.
func (s *Service) Rule(tx *compute.Tx, who compute.Caller, id string) (*compute.SecurityRule, error) {
	r, err := tx.SecurityRules.Get(id)
	if err != nil {
		return nil, absent(err, ruleAbsent(id))
	}
	if !who.Owns(r.ProjectID) {
		return nil, ruleAbsent(id)
	}
	return r, nil
}
