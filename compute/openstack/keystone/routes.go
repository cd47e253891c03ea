package keystone

import "github.com/kamado/kamado/compute/openstack"

func (a *api) routes() []openstack.Route { return nil }
