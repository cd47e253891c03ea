// Package keystone speaks OpenStack's Identity API v3: versions, tokens, the
// catalog, and what administrators do with users, projects, roles, groups and
// domains. The rules are in compute/identity; shows and lists are read from the
// store.
//
// Invariants. A password, a token or a secret is answered once, to whoever made
// it. What is not the caller's is answered as if it were absent.
package keystone

import (
	"context"
	"log/slog"
	"net/http"

	"github.com/kamado/kamado/compute"
	"github.com/kamado/kamado/compute/identity"
	"github.com/kamado/kamado/compute/openstack"
)

// Prefix is where the handler is mounted.
const Prefix = "/identity"

// CatalogEntry is a service that this program serves by itself.
type CatalogEntry struct {
	Type   string // compute, image, network, identity
	Name   string // nova, glance, neutron, keystone
	Region string // empty: RegionOne
	URL    string // what clients use, for all interfaces
}

// Deps is what the dialect needs.
type Deps struct {
	Identity *identity.Service
	Store    compute.Store
	// Catalog gives the services behind a scheme and host such as
	// "http://127.0.0.1:8774".
	Catalog func(base string) []CatalogEntry
	Log     *slog.Logger
	Public  string // scheme and host; empty: as the request says
	// Audit is told of changes; logins it hears from Identity. May be nil.
	Audit func(context.Context, compute.AuditEvent)
}

type api struct {
	Deps
	service *openstack.Service
}

// New gives the handler, to be mounted at Prefix and Prefix+"/" behind
// http.StripPrefix.
func New(d Deps) http.Handler {
	a := &api{Deps: d}
	a.service = &openstack.Service{Name: "keystone", Prefix: Prefix, Public: d.Public, Auth: d.Identity, Log: d.Log, Fault: a.fault, Audit: d.Audit}
	a.service.Routes = a.routes()
	return a.service.Handler()
}
