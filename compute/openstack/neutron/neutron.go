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
	"context"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/kamado/kamado/compute"
	"github.com/kamado/kamado/compute/fabric"
	"github.com/kamado/kamado/compute/openstack"
)

// Prefix is where the service is mounted.
const Prefix = "/network"

// root is the path of the API below Prefix.
const root = "/v2.0"

// Deps is what the dialect needs.
type Deps struct {
	Fabric *fabric.Service
	Store  compute.Store
	Auth   openstack.Authenticator
	Log    *slog.Logger
	Public string           // scheme and host that clients use; empty: as each request says
	Zone   string           // the availability zone; empty: the default one
	Now    func() time.Time // for the age of hosts' heartbeats
	// HostUp says whether a host's last heartbeat is young enough, and when it was; nil: as its stored row says.
	HostUp func(hostID string) (bool, time.Time)
	// Audit is told of changes. May be nil.
	Audit func(context.Context, compute.AuditEvent)
}

// api is the handlers' surroundings.
type api struct {
	Deps
	service *openstack.Service
	kinds   []kind // of what is listed at the API's root
}

// kind names a resource at the API's root.
type kind struct{ name, collection string }

// New gives the handler; mount it behind http.StripPrefix(Prefix, …).
func New(d Deps) http.Handler {
	handler := service(d).Handler()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if trimmed, ok := strings.CutSuffix(r.URL.Path, ".json"); ok && !strings.Contains(r.URL.Path, "/tags/") { // some clients name the format
			r2 := *r
			u := *r.URL
			u.Path, u.RawPath = trimmed, strings.TrimSuffix(u.RawPath, ".json")
			r2.URL = &u
			r = &r2
		}
		handler.ServeHTTP(w, r)
	})
}

func service(d Deps) *openstack.Service {
	if d.Zone == "" {
		d.Zone = compute.Default().Zone
	}
	if d.Now == nil {
		d.Now = time.Now
	}
	s := &openstack.Service{Name: "neutron", Prefix: Prefix, Public: d.Public, Auth: d.Auth, Log: d.Log, Fault: fault, Audit: d.Audit}
	a := &api{Deps: d, service: s}
	s.Routes = []openstack.Route{
		{Method: "GET", Pattern: "/{$}", Rule: openstack.Open, Handle: a.versions},
		{Method: "GET", Pattern: root, Rule: openstack.Open, Handle: a.resources},
		{Method: "GET", Pattern: root + "/extensions", Rule: openstack.Open, Handle: a.extensions},
		{Method: "GET", Pattern: root + "/extensions/{alias}", Rule: openstack.Open, Handle: a.extension},
	}
	for _, routes := range [][]openstack.Route{
		networkResource(a).routes(), subnetResource(a).routes(), poolResource(a).routes(), portResource(a).routes(),
		routerResource(a).routes(), floatingResource(a).routes(), groupResource(a).routes(), ruleResource(a).routes(),
		a.routerRoutes(), a.quotaRoutes(), a.tagRoutes(), a.reportRoutes(),
	} {
		s.Routes = append(s.Routes, routes...)
	}
	return s
}

// versions is the list of versions, for clients that look for them.
func (a *api) versions(w http.ResponseWriter, r *openstack.Request) error {
	return openstack.WriteJSON(w, http.StatusOK, map[string]any{"versions": []any{map[string]any{
		"id": "v2.0", "status": "CURRENT", "links": []any{map[string]any{"rel": "self", "href": a.service.URL(r.Request) + root + "/"}},
	}}})
}

// resources is what lies below the API's root.
func (a *api) resources(w http.ResponseWriter, r *openstack.Request) error {
	list := []any{}
	for _, k := range a.kinds {
		list = append(list, map[string]any{"name": k.name, "collection": k.collection,
			"links": []any{map[string]any{"rel": "self", "href": a.service.URL(r.Request) + root + "/" + k.collection}}})
	}
	return openstack.WriteJSON(w, http.StatusOK, map[string]any{"resources": list})
}
