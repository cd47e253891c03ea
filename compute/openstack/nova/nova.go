// Package nova speaks the compute dialect of OpenStack: Nova's API v2.1 with its
// microversions.
//
// Vocabulary. A server is what this room calls an instance; a microversion is
// the shape of requests and answers that a client asked for, 2.1 when it asked
// for none. An extension is a name from the time before microversions, kept for
// clients that look for it.
//
// Invariants. Shows and lists read the Store and nothing else; whatever changes
// an instance goes through Control. An answer has exactly the fields of its
// microversion. A route outside of its range of microversions answers 404, as
// if it were not there. What belongs to another project answers 404 as well.
//
// Start reading at routes.go; server.go holds the shape of a server.
package nova

import (
	"context"
	"log/slog"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/kamado/kamado/compute"
	"github.com/kamado/kamado/compute/openstack"
)

// LimitMax is the most rows in one page, as Nova's [api]max_limit.
const LimitMax = 1000

// Deps is what the dialect stands on. Store, Control, Images, Networks, Auth and
// Log must be there.
type Deps struct {
	Store   compute.Store
	Control Control
	Images  Images
	// Networks makes security groups and floating addresses for clients from before 2.36.
	Networks Networks
	Auth     openstack.Authenticator
	Log      *slog.Logger
	// Public is the scheme and host that clients use; empty: as the request says.
	Public string
	// Prefix is where it is mounted; empty: "/compute".
	Prefix string
	// ImageURL makes the address of a machine image for a request's origin; nil:
	// origin + "/image/images/" + id.
	ImageURL func(origin, id string) string
	// Consoles gives addresses of consoles; nil: none are offered.
	Consoles Consoles
	// Audit is told of changes. May be nil.
	Audit func(context.Context, compute.AuditEvent)
	// Zone is that of hosts in no aggregate with a zone; empty: compute.Default's.
	Zone string
	Now  func() time.Time
}

// Consoles gives an address at which a browser shows an instance's console.
type Consoles interface {
	// ConsoleURL makes a token for the console and the address with it. kind is
	// "novnc" or "serial". Its error is of kind Unsupported for another.
	ConsoleURL(ctx context.Context, instanceID, kind string) (string, error)
}

// API is the dialect.
type API struct {
	Deps
	svc *openstack.Service
}

// New makes the handler of the dialect, relative to its mount point.
func New(d Deps) http.Handler {
	a := newAPI(d)
	next := a.svc.Handler()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Compute-Request-Id", openstack.RequestID(r))
		r = modern(r)
		if emptyID(r.URL.Path) {
			fault(w, r, compute.Errorf(compute.NotFound, "The resource could not be found."))
			return
		}
		next.ServeHTTP(w, r)
	})
}

func newAPI(d Deps) *API {
	if d.Prefix == "" {
		d.Prefix = "/compute"
	}
	if d.Zone == "" {
		d.Zone = compute.Default().Zone
	}
	if d.Now == nil {
		d.Now = time.Now
	}
	if d.ImageURL == nil {
		d.ImageURL = func(origin, id string) string { return origin + "/image/images/" + id }
	}
	a := &API{Deps: d}
	a.svc = &openstack.Service{Name: "nova", Prefix: d.Prefix, Public: d.Public, Fault: fault, Auth: d.Auth, Log: d.Log, Audit: d.Audit}
	for _, rt := range a.routes() {
		a.svc.Routes = append(a.svc.Routes, openstack.Route{Method: rt.method, Pattern: rt.pattern, Rule: rt.rule, Handle: a.handler(rt)})
	}
	return a
}

// emptyID says whether a path asks for the thing with an empty id: what would be
// the list without its slash.
func emptyID(path string) bool {
	noun, slash := strings.CutSuffix(strings.TrimPrefix(path, "/v2.1/"), "/")
	return slash && noun != "" && !strings.Contains(noun, "/")
}

// legacyPath matches the paths of clients from before microversions: under /v2,
// or with the project in it, as /v2.1/<project>/servers.
var legacyPath = regexp.MustCompile(`^/v2(\.1)?(/[0-9a-f]{32})?(/|$)`)

// modern gives the request as the table knows it: without the project, which the
// token says, and from /v2 as 2.1, whatever microversion it asks for.
func modern(r *http.Request) *http.Request {
	m := legacyPath.FindStringSubmatch(r.URL.Path)
	rest := ""
	if m != nil {
		rest = strings.TrimRight(r.URL.Path[len(m[0]):], "/")
	}
	if m == nil || m[1] != "" && m[2] == "" || m[1] == "" && m[2] == "" && rest == "" {
		return r // nothing to do; the document of /v2 is a route of its own
	}
	r2, u := *r, *r.URL
	u.Path, u.RawPath = "/v2.1/"+rest, ""
	r2.URL = &u
	if m[1] == "" {
		r2.Header = r.Header.Clone()
		r2.Header.Del(headerVersion)
		r2.Header.Del(headerLegacyVersion)
	}
	return &r2
}

// route is one line of the table: openstack.Route with the first and the last
// minor microversion that have it (0: no bound).
type route struct {
	method, pattern string
	rule            openstack.Rule
	min, max        minor
	handle          func(*call) error
}

// call is one request on its way: who asks, and in which microversion.
type call struct {
	*openstack.Request
	w   http.ResponseWriter
	api *API
	v   minor
}

func (a *API) handler(rt route) func(http.ResponseWriter, *openstack.Request) error {
	return func(w http.ResponseWriter, r *openstack.Request) error {
		c := &call{Request: r, w: w, api: a, v: minorMin}
		if rt.rule == openstack.Open { // version documents have no microversion
			return rt.handle(c)
		}
		v, err := negotiate(r.Header)
		if err != nil {
			return err
		}
		c.v = v
		echo(w.Header(), v)
		if v < rt.min || rt.max != 0 && v > rt.max {
			return compute.Errorf(compute.NotFound, "API version %s is not supported on this method.", v)
		}
		return rt.handle(c)
	}
}

// read runs fn in one consistent view of the store.
func (c *call) read(fn func(*compute.Tx) error) error { return c.api.Store.Read(c.Context(), fn) }

func (c *call) write(fn func(*compute.Tx) error) error { return c.api.Store.Write(c.Context(), fn) }

// base is the address of the service for links, without a version.
func (c *call) base() string { return c.api.svc.URL(c.Request.Request) }

// json answers with a body.
func (c *call) json(status int, v any) error { return openstack.WriteJSON(c.w, status, v) }

// raw answers with a body that is JSON already.
func (c *call) raw(status int, body []byte) error {
	c.w.Header().Set("Content-Type", "application/json")
	c.w.WriteHeader(status)
	_, _ = c.w.Write(body) // a client that went away is nobody to tell
	return nil
}

// empty answers without a body.
func (c *call) empty(status int) error {
	c.w.WriteHeader(status)
	return nil
}

// object is a JSON object to be written.
type object map[string]any

// stamp writes a time as Nova does.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05Z") }

// stampMicro writes a time as Nova's extensions do, null for none.
func stampMicro(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UTC().Format("2006-01-02T15:04:05.000000")
}

// orNil is null for an empty string.
func orNil(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// list makes a nil slice an empty one: "[]", not "null".
func list[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}

// pairs makes a nil map an empty one.
func pairs(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return m
}
