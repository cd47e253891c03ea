package api

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/kamado/kamado/dns"
	"github.com/kamado/kamado/internal/httpserver"
)

// Prefix begins every path of the interface.
const Prefix = "/v1/"

// Bounds of requests and pages.
const (
	bodyBytesMax = 1 << 20  // of most requests
	fileBytesMax = 64 << 20 // of a master file
	pageDefault  = 1000
	pageMax      = 10_000
	historyMax   = 1000
)

//go:embed openapi.yaml
var openapi []byte

// Node is what the interface asks. Every method that changes something returns
// after it is on disk.
type Node interface {
	Self() string
	Domain() dns.Name
	Status() dns.Status

	Add(ctx context.Context, rec dns.Record) (dns.Owned, error)
	Remove(ctx context.Context, id dns.RecordID) error
	Records(name dns.Name) []dns.Owned // of all names when empty, in the order of name, owner, type, data
	Set(name dns.Name) dns.Set
	SetPolicy(ctx context.Context, name dns.Name, p dns.Policy) error

	Zones() []dns.Zone
	CreateZone(ctx context.Context, apex dns.Name) error
	DeleteZone(ctx context.Context, apex dns.Name) error
	ZoneRRs(apex dns.Name) (serial uint32, rrs []dns.RR, err error) // without the SOA
	Transfer(apex dns.Name) ([]dns.RR, error)                       // the whole zone, SOA first
	Change(ctx context.Context, zone dns.Name, changes []dns.Change) (serial uint32, err error)

	Members() []dns.Member
	RemoveMember(ctx context.Context, node string) error
	Leave(ctx context.Context) error

	Explain(name dns.Name, t dns.Type, client netip.Addr) dns.Explanation
	Watch(ctx context.Context, after uint64) <-chan dns.Event // closed when ctx ends or the watcher is too slow
	History(name dns.Name, most int) []dns.Event              // newest first

	Keys() []dns.Key
	InstallKey(ctx context.Context, key string) error // base64; makes one when empty
	UseKey(ctx context.Context, id string) error
	RemoveKey(ctx context.Context, id string) error
}

// Checks is what the interface asks of the health checks.
type Checks interface {
	// Heartbeat tells the state of a record whose check is "ttl:…".
	Heartbeat(id dns.RecordID, healthy bool, output string) error
	// Active says whether this member is the effective active one of a name.
	Active(name dns.Name) (active bool, why string)
}

// Zonefile reads and writes master files.
type Zonefile interface {
	Read(r io.Reader, apex dns.Name) ([]dns.RR, error)
	Write(w io.Writer, apex dns.Name, rrs []dns.RR) error
}

// Guard decides who may; operator.Guard is the real one.
type Guard interface {
	Require(http.Handler) http.Handler
	Reads(http.Handler) http.Handler
}

// Audit is told of every change that was asked for.
type Audit func(r *http.Request, action, subject string, err error)

// Deps are what the interface uses; all are needed.
type Deps struct {
	Guard  Guard
	Node   Node
	Checks Checks
	Files  Zonefile
	Audit  Audit
	Log    *slog.Logger
}

type api struct {
	Deps
	watchers chan struct{} // a place for each open watch
}

// watchersMax bounds the watches that are open at one time.
const watchersMax = 256

// route is one row of the interface; openapi.yaml has the same rows.
type route struct {
	method, path string
	change       bool // needs the operator's credential
	do           func(r *http.Request) (any, error)
}

func (a *api) routes() []route {
	return []route{
		{"GET", "status", false, a.status},
		{"GET", "records", false, a.listRecords},
		{"POST", "records", true, a.addRecord},
		{"DELETE", "records", true, a.removeRecords},
		{"GET", "records/{id}", false, a.showRecord},
		{"DELETE", "records/{id}", true, a.removeRecord},
		{"POST", "records/{id}/heartbeat", true, a.heartbeat},
		{"GET", "health", false, a.listHealth},
		{"GET", "names/{name}", false, a.showName},
		{"PUT", "names/{name}/policy", true, a.setPolicy},
		{"GET", "zones", false, a.listZones},
		{"POST", "zones", true, a.createZone},
		{"DELETE", "zones/{zone}", true, a.deleteZone},
		{"GET", "zones/{zone}/records", false, a.zoneRecords},
		{"POST", "zones/{zone}/changes", true, a.changeZone},
		{"PUT", "zones/{zone}/file", true, a.importZone},
		{"GET", "members", false, a.listMembers},
		{"DELETE", "members/{node}", true, a.removeMember},
		{"POST", "leave", true, a.leave},
		{"GET", "explain", false, a.explain},
		{"GET", "active/{name}", false, a.active},
		{"GET", "history", false, a.history},
		{"GET", "keys", true, a.listKeys},
		{"POST", "keys", true, a.installKey},
		{"PUT", "keys/{id}", true, a.useKey},
		{"DELETE", "keys/{id}", true, a.removeKey},
	}
}

// New makes the handler of everything below Prefix.
func New(deps Deps) http.Handler {
	a := &api{Deps: deps, watchers: make(chan struct{}, watchersMax)}
	mux := http.NewServeMux()
	for _, r := range a.routes() {
		h := answer(r.do)
		if r.change {
			h = deps.Guard.Require(a.audited(r, h))
		} else {
			h = deps.Guard.Reads(h)
		}
		mux.Handle(r.method+" "+Prefix+r.path, h)
	}
	mux.Handle("GET "+Prefix+"zones/{zone}/file", deps.Guard.Reads(http.HandlerFunc(a.exportZone)))
	mux.Handle("GET "+Prefix+"watch", deps.Guard.Reads(http.HandlerFunc(a.watch)))
	mux.Handle("GET "+Prefix+"openapi.yaml", deps.Guard.Reads(http.HandlerFunc(serveOpenAPI)))
	return httpserver.Routes(mux)
}

func serveOpenAPI(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/yaml")
	_, _ = w.Write(openapi) // a client that left is nobody to tell
}

// outcome carries the error of a handler to the audit.
type outcome struct{ err error }

type outcomeKey struct{}

// audited writes down each change with how it ended.
func (a *api) audited(r route, next http.Handler) http.Handler {
	action := r.method + " " + r.path
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if r.method == http.MethodGet {
			next.ServeHTTP(w, req)
			return
		}
		o := &outcome{}
		req = req.WithContext(context.WithValue(req.Context(), outcomeKey{}, o))
		next.ServeHTTP(w, req)
		a.Audit(req, action, req.URL.Path, o.err)
	})
}

// answer turns what do gives into JSON, and its error into a problem.
func answer(do func(r *http.Request) (any, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v, err := do(r)
		if o, ok := r.Context().Value(outcomeKey{}).(*outcome); ok {
			o.err = err
		}
		if err != nil {
			problem(w, r, err)
			return
		}
		body, err := json.Marshal(v)
		if err != nil {
			problem(w, r, err)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		if c, ok := v.(created); ok {
			w.Header().Set("Location", c.location())
			w.WriteHeader(http.StatusCreated)
		}
		_, _ = w.Write(append(body, '\n')) // a client that left is nobody to tell
	})
}

// created is an answer to something that was made.
type created interface{ location() string }

// statusOf is the one table from kinds to HTTP.
var statusOf = map[dns.Kind]int{
	dns.Internal: http.StatusInternalServerError, dns.Invalid: http.StatusBadRequest, dns.Denied: http.StatusForbidden, dns.NotFound: http.StatusNotFound,
	dns.Conflict: http.StatusConflict, dns.TooLarge: http.StatusRequestEntityTooLarge, dns.Exhausted: http.StatusInsufficientStorage,
	dns.Unavailable: http.StatusServiceUnavailable,
}

// retryAfter is when what is unavailable is worth another try.
const retryAfter = time.Second

func problem(w http.ResponseWriter, r *http.Request, err error) {
	p := httpserver.Problem{Status: http.StatusInternalServerError}
	var known *dns.Error
	if errors.As(err, &known) {
		p.Status = statusOf[known.Kind]
		if known.Kind != dns.Internal {
			p.Detail = known.Detail
			p.Extra = map[string]any{"kind": known.Kind.String()}
		}
		if known.Kind == dns.Unavailable {
			w.Header().Set("Retry-After", strconv.Itoa(int(retryAfter/time.Second)))
		}
	}
	httpserver.WriteProblem(w, r, p)
}

// body reads a JSON request; an unknown field is an error, so that a misspelt one is no silent default.
func body(r *http.Request, to any) error {
	dec := json.NewDecoder(http.MaxBytesReader(nil, r.Body, bodyBytesMax))
	dec.DisallowUnknownFields()
	if err := dec.Decode(to); err != nil {
		var large *http.MaxBytesError
		if errors.As(err, &large) {
			return &dns.Error{Kind: dns.TooLarge, Detail: fmt.Sprintf("a request of more than %d bytes", large.Limit)}
		}
		return invalid(fmt.Errorf("the body is not the JSON that is wanted: %w", err))
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return invalid(errors.New("something stands behind the JSON of the body"))
	}
	return nil
}

// name reads a name of a path or a query; relative ones lie under the domain.
func (a *api) name(text string) (dns.Name, error) {
	n, err := dns.ResolveName(text, a.Node.Domain())
	if err != nil {
		return "", invalid(err)
	}
	return n, nil
}

// zoneName reads the name of a zone, which is always absolute.
func zoneName(text string) (dns.Name, error) {
	n, err := dns.ParseName(text)
	if err != nil {
		return "", invalid(err)
	}
	return n, nil
}

// number reads a number of a query.
func number(r *http.Request, key string, otherwise, most int) (int, error) {
	text := r.URL.Query().Get(key)
	if text == "" {
		return otherwise, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > most {
		return 0, invalid(fmt.Errorf("%s is %q, want a number from 1 to %d", key, strings.ToValidUTF8(text, "?"), most))
	}
	return n, nil
}
