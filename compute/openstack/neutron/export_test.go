package neutron

import (
	"github.com/kamado/kamado/compute"
	"github.com/kamado/kamado/compute/fabric"
	"github.com/kamado/kamado/compute/openstack"
)

// Routes is the whole table, for tests that walk it.
func Routes() []openstack.Route {
	return service(Deps{Fabric: fabric.New(nil, fabric.DefaultConfig(), nil, nil)}).Routes
}

// Faults says which kinds of errors have a fault.
func Faults(k compute.Kind) (status int, ok bool) {
	f, ok := faults[k]
	return f.status, ok
}
