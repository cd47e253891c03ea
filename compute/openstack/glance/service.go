// Package glance speaks OpenStack's Image API v2: machine images, their bytes,
// members and tags, for the clients that others wrote. It holds no rule about
// images but the spelling of requests and answers; package registry decides.
//
// Invariants. An image that a caller may not see answers as one that is not
// there. Errors have the bodies of WebOb, which Glance is written with: HTML, or
// JSON for clients that prefer that. What is not offered (tasks, locations,
// several stores) has no route.
package glance

import (
	"context"
	"encoding/json"
	"fmt"
	"html"
	"log/slog"
	"net/http"
	"strings"

	"github.com/kamado/kamado/compute"
	"github.com/kamado/kamado/compute/openstack"
	"github.com/kamado/kamado/compute/registry"
)

// Prefix is where the service is mounted when nobody says otherwise.
const Prefix = "/image"

// Deps is what the service works with.
type Deps struct {
	Registry *registry.Service
	Store    compute.Store
	Auth     openstack.Authenticator
	Log      *slog.Logger
	Prefix   string                                    // where it is mounted; empty: Prefix
	Public   string                                    // see openstack.Service
	Audit    func(context.Context, compute.AuditEvent) // see openstack.Service
}

type service struct {
	Deps
	openstack.Service
}

// New gives the handler of the Image API, with paths relative to its mount
// point.
func New(d Deps) http.Handler {
	if d.Prefix == "" {
		d.Prefix = Prefix
	}
	s := &service{Deps: d}
	s.Service = openstack.Service{Name: "glance", Prefix: d.Prefix, Public: d.Public, Routes: s.routes(), Fault: fault, Auth: d.Auth, Log: d.Log, Audit: d.Audit}
	h := s.Service.Handler()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v2/images/" { // an image with an empty id, not the list
			w.Header().Set("X-Openstack-Request-Id", openstack.RequestID(r))
			fault(w, r, compute.Errorf(compute.NotFound, "The resource could not be found."))
			return
		}
		h.ServeHTTP(w, r)
	})
}

// routes is the table of the dialect.
func (s *service) routes() []openstack.Route {
	const image = "/v2/images/{id}"
	routes := []openstack.Route{
		{Method: "GET", Pattern: "/{$}", Rule: openstack.Open, Handle: s.choices(http.StatusMultipleChoices)},
		{Method: "GET", Pattern: "/versions", Rule: openstack.Open, Handle: s.choices(http.StatusOK)},
		{Method: "GET", Pattern: "/v2", Rule: openstack.Open, Handle: s.choices(http.StatusMultipleChoices)},

		{Method: "GET", Pattern: "/v2/images", Rule: openstack.AsReader, Handle: s.list},
		{Method: "POST", Pattern: "/v2/images", Rule: openstack.AsMember, Handle: s.create},
		{Method: "GET", Pattern: image, Rule: openstack.AsReader, Handle: s.show},
		{Method: "PATCH", Pattern: image, Rule: openstack.AsMember, Handle: s.update},
		{Method: "DELETE", Pattern: image, Rule: openstack.AsMember, Handle: s.delete},

		{Method: "GET", Pattern: image + "/file", Rule: openstack.AsReader, Handle: s.download},
		{Method: "PUT", Pattern: image + "/file", Rule: openstack.AsMember, Handle: s.upload},
		{Method: "PUT", Pattern: image + "/stage", Rule: openstack.AsMember, Handle: s.stage},
		{Method: "POST", Pattern: image + "/import", Rule: openstack.AsMember, Handle: s.importStaged},
		{Method: "POST", Pattern: image + "/actions/deactivate", Rule: openstack.AsMember, Handle: s.setActive(false)},
		{Method: "POST", Pattern: image + "/actions/reactivate", Rule: openstack.AsMember, Handle: s.setActive(true)},

		{Method: "PUT", Pattern: image + "/tags/{tag}", Rule: openstack.AsMember, Handle: s.addTag},
		{Method: "DELETE", Pattern: image + "/tags/{tag}", Rule: openstack.AsMember, Handle: s.removeTag},

		{Method: "GET", Pattern: image + "/members", Rule: openstack.AsReader, Handle: s.members},
		{Method: "POST", Pattern: image + "/members", Rule: openstack.AsMember, Handle: s.addMember},
		{Method: "GET", Pattern: image + "/members/{member}", Rule: openstack.AsReader, Handle: s.member},
		{Method: "PUT", Pattern: image + "/members/{member}", Rule: openstack.AsMember, Handle: s.setMember},
		{Method: "DELETE", Pattern: image + "/members/{member}", Rule: openstack.AsMember, Handle: s.removeMember},

		{Method: "GET", Pattern: "/v2/info/import", Rule: openstack.AnyToken, Handle: s.infoImport},
		{Method: "GET", Pattern: "/v2/info/usage", Rule: openstack.AsReader, Handle: s.infoUsage},
		{Method: "GET", Pattern: "/v2/schemas/{name}", Rule: openstack.AnyToken, Handle: s.schema},
	}
	return append(routes, s.metadefRoutes()...)
}

// statuses says which HTTP status each kind of error has here.
var statuses = map[compute.Kind]int{
	compute.Internal: 500, compute.Invalid: 400, compute.Unauthorized: 401, compute.Denied: 403, compute.NotFound: 404, compute.Conflict: 409,
	compute.TooLarge: 413, compute.OverQuota: 413, compute.Unsupported: 501, compute.Exhausted: 503, compute.Unavailable: 503,
	compute.Unprocessable: 422, compute.UnsupportedMediaType: 415,
}

// The names of errors that have a status of their own.
const (
	methodNotAllowed = "MethodNotAllowed"
	badRange         = "RangeNotSatisfiable"
)

// fault writes an error as WebOb does.
func fault(w http.ResponseWriter, r *http.Request, e *compute.Error) {
	status := statuses[e.Kind]
	switch e.Name {
	case methodNotAllowed:
		status = http.StatusMethodNotAllowed
	case badRange:
		status = http.StatusRequestedRangeNotSatisfiable
	}
	if status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Keystone uri="`+openstack.Origin(r, "")+`/identity"`)
	}
	if status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "1")
	}
	title := http.StatusText(status)
	text := html.EscapeString(e.Detail) + "<br /><br />\n\n\n"
	var body []byte
	if prefersJSON(r) {
		w.Header().Set("Content-Type", "application/json")
		body, _ = json.Marshal(map[string]string{"message": text, "code": fmt.Sprintf("%d %s", status, title), "title": title}) // texts alone: it cannot fail
	} else {
		w.Header().Set("Content-Type", "text/html; charset=UTF-8")
		body = fmt.Appendf(nil, "<html>\n <head>\n  <title>%d %s</title>\n </head>\n <body>\n  <h1>%d %s</h1>\n  %s </body>\n</html>", status, title, status, title, text)
	}
	w.WriteHeader(status)
	_, _ = w.Write(body) // a client that went away is nobody to tell
}

// prefersJSON says whether a client takes JSON and no HTML.
func prefersJSON(r *http.Request) bool {
	accept := r.Header.Get("Accept")
	return strings.Contains(accept, "application/json") && !strings.Contains(accept, "html") && !strings.Contains(accept, "*/*")
}

func noContent(w http.ResponseWriter) error {
	w.Header().Set("Content-Type", "text/html; charset=UTF-8")
	w.WriteHeader(http.StatusNoContent)
	return nil
}
