package keystone

import "github.com/kamado/kamado/compute/openstack"

// Routes is the table, for the test that walks it.
func Routes() []openstack.Route { return (&api{}).routes() }

// Statuses is the table of kinds.
var Statuses = statuses
