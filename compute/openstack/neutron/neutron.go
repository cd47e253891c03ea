// Package neutron speaks Neutron's v2.0 dialect: networks, subnets, ports,
// routers, floating addresses, security groups, their quotas and tags, as JSON
// over HTTP. The rules are in compute/fabric; here lie names of attributes, their
// types, who may give them, filters, pages and the words of errors.
//
// Invariants. An attribute that is in no table is refused, and one that is shown
// is in the table of its resource. Only extensions that work are listed. What is
// not the caller's answers exactly as what does not exist.
package neutron

import (
	"log/slog"
	"net/http"

	"github.com/kamado/kamado/compute"
	"github.com/kamado/kamado/compute/fabric"
	"github.com/kamado/kamado/compute/openstack"
)

// Prefix is where the service is mounted.
const Prefix = "/network"

// Deps is what the dialect needs.
type Deps struct {
	Fabric *fabric.Service
	Store  compute.Store
	Auth   openstack.Authenticator
	Log    *slog.Logger
	Public string // scheme and host that clients use; empty: as each request says
}

// New gives the handler; mount it behind http.StripPrefix(Prefix, …).
func New(d Deps) http.Handler {
	s := &openstack.Service{Name: "neutron", Prefix: Prefix, Public: d.Public, Auth: d.Auth, Log: d.Log}
	return s.Handler()
}
