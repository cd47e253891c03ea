package fabric

import (
	"context"

	"github.com/kamado/kamado/compute"
)

// Bounds of tags, as Neutron has them.
const (
	TagLengthMax = 255 // characters
	tagsMax      = 50  // of one thing
)

// Tagged is a kind of thing that carries tags, by its name in paths.
type Tagged string

// The kinds of things that carry tags.
const (
	TagNetworks       Tagged = "networks"
	TagSubnets        Tagged = "subnets"
	TagPorts          Tagged = "ports"
	TagRouters        Tagged = "routers"
	TagSubnetPools    Tagged = "subnetpools"
	TagFloatingIPs    Tagged = "floatingips"
	TagSecurityGroups Tagged = "security-groups"
)

// ChangeTags has fn change the tags of a thing and stores them.
func (s *Service) ChangeTags(ctx context.Context, who compute.Caller, kind Tagged, id string, fn func([]string) ([]string, error)) error {
	return s.write(ctx, who, "change tags", func(w *work) error {
		tags, store, err := w.tagged(kind, id)
		if err != nil {
			return err
		}
		changed, err := fn(*tags)
		if err != nil {
			return err
		}
		if len(changed) > tagsMax {
			return invalid("at most %d tags are kept", tagsMax)
		}
		*tags = changed
		return store()
	})
}

// tagged gives the tags of a thing that the caller may change, and how to store
// the thing.
func (w *work) tagged(kind Tagged, id string) (*[]string, func() error, error) {
	switch kind {
	case TagNetworks:
		n, err := w.ownNetwork(id, "update_network")
		if err != nil {
			return nil, nil, err
		}
		return &n.Tags, func() error { n.Revision++; n.Updated = w.at; return w.tx.Networks.Update(n) }, nil
	case TagSubnets:
		sub, err := w.ownSubnet(id, "update_subnet")
		if err != nil {
			return nil, nil, err
		}
		return &sub.Tags, func() error { sub.Revision++; sub.Updated = w.at; return w.tx.Subnets.Update(sub) }, nil
	case TagPorts:
		p, err := w.port(id)
		if err != nil {
			return nil, nil, err
		}
		return &p.Tags, func() error { return w.storePort(p) }, nil
	case TagRouters:
		r, err := w.router(id)
		if err != nil {
			return nil, nil, err
		}
		return &r.Tags, func() error { return w.storeRouter(r) }, nil
	case TagSubnetPools:
		p, err := w.ownPool(id, "update_subnetpool")
		if err != nil {
			return nil, nil, err
		}
		return &p.Tags, func() error { p.Revision++; p.Updated = w.at; return w.tx.SubnetPools.Update(p) }, nil
	case TagFloatingIPs:
		f, err := w.floating(id)
		if err != nil {
			return nil, nil, err
		}
		return &f.Tags, func() error { return w.storeFloating(f) }, nil
	case TagSecurityGroups:
		g, err := w.group(id)
		if err != nil {
			return nil, nil, err
		}
		return &g.Tags, func() error { g.Revision++; g.Updated = w.at; return w.tx.SecurityGroups.Update(g) }, nil
	}
	return nil, nil, fail(compute.NotFound, "TagResourceNotFound", "Resource %s %s could not be found.", kind, id)
}
