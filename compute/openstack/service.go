// Package openstack holds what the OpenStack dialects share: routes with the
// role that each needs, the caller of a request, bodies, errors and pages. A
// package below it speaks one dialect.
//
// Invariants. A route without a rule cannot be written: its Rule is a field of
// its line in the table, and a test of each dialect walks all of them with every
// role. A handler never writes an error itself: it returns a *compute.Error,
// and its service's Fault turns that into the dialect's own body. Bodies are
// bounded.
package openstack

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"

	"github.com/kamado/kamado/compute"
	"github.com/kamado/kamado/internal/httpserver"
	"github.com/kamado/kamado/internal/sqldb"
)

// BodyMax bounds a JSON body. Nova's user data is at most 64 KiB in base64, and
// five injected files of 10 KiB.
const BodyMax = 1 << 20

// Rule says who may call a route at all; a handler still asks whose a thing is.
type Rule uint8

// The rules. The zero value is none, and refuses everybody.
const (
	_        Rule = iota
	Open          // anybody, without a token
	AnyToken      // any valid token, scoped or not
	AsReader      // role reader (or member, admin) in the token's project
	AsMember      // role member (or admin)
	AsAdmin       // role admin
)

// Allows says whether a caller may call a route of the rule.
func (r Rule) Allows(c compute.Caller) bool {
	switch r {
	case Open, AnyToken:
		return true
	case AsReader:
		return c.Is(compute.RoleReader)
	case AsMember:
		return c.Is(compute.RoleMember)
	case AsAdmin:
		return c.Admin()
	}
	return false
}

// Route is one line of a dialect's table. Pattern is net/http's, without the
// method and relative to the service's mount point: "/v2.1/servers/{id}".
type Route struct {
	Method, Pattern string
	Rule            Rule
	Handle          func(w http.ResponseWriter, r *Request) error
}

// Request is a request with its caller.
type Request struct {
	*http.Request
	Caller compute.Caller

	noted *target
}

// Authenticator turns what the header X-Auth-Token holds into a caller. Its
// error is of kind Unauthorized when the token is none, over or revoked.
type Authenticator interface {
	Authenticate(ctx context.Context, token string) (compute.Caller, error)
}

// Service is a dialect: its table and its way to say errors.
type Service struct {
	Name string // "nova": for logs
	// Prefix is where it is mounted: "/compute". Public is the scheme and host that clients use, "https://cloud.example"; empty: as the
	// request says.
	Prefix, Public string
	Routes         []Route
	// Fault writes an error in the dialect's words. e.Kind is never Internal
	// without e.Detail being safe for clients.
	Fault func(w http.ResponseWriter, r *http.Request, e *compute.Error)
	Auth  Authenticator
	Log   *slog.Logger
	// Before is asked before a route's handler, for headers such as microversions;
	// it may change r. nil: nothing is asked.
	Before func(w http.ResponseWriter, r *Request) error
	// Audit is told of every request that may change something and shows a token.
	// nil: nobody is told.
	Audit func(context.Context, compute.AuditEvent)
}

// Handler serves the table. Paths are relative: mount it behind
// http.StripPrefix. A trailing slash is ignored.
func (s *Service) Handler() http.Handler {
	mux := http.NewServeMux()
	for _, route := range s.Routes {
		mux.HandleFunc(route.Method+" "+route.Pattern, func(w http.ResponseWriter, r *http.Request) { s.serve(w, r, route) })
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Openstack-Request-Id", RequestID(r))
		w.Header().Set("Cache-Control", "no-store")
		if p := r.URL.Path; p == "" || len(p) > 1 && strings.HasSuffix(p, "/") {
			r2 := *r
			u := *r.URL
			u.Path, u.RawPath = strings.TrimRight(p, "/"), strings.TrimRight(u.RawPath, "/")
			if u.Path == "" {
				u.Path = "/"
			}
			r2.URL = &u
			r = &r2
		}
		if strings.ContainsRune(r.URL.Path, 0) || strings.Contains(r.URL.RawQuery, "%00") { // no id or name has it, and PostgreSQL no text
			s.Fault(w, r, compute.Errorf(compute.NotFound, "The resource could not be found."))
			return
		}
		if _, pattern := mux.Handler(r); pattern == "" {
			s.unrouted(w, r, mux)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// unrouted answers for a path that is not in the table, or not with this method.
func (s *Service) unrouted(w http.ResponseWriter, r *http.Request, mux *http.ServeMux) {
	for _, method := range []string{"GET", "POST", "PUT", "PATCH", "DELETE"} {
		other := *r
		other.Method = method
		if _, pattern := mux.Handler(&other); pattern != "" {
			w.Header().Add("Allow", method)
		}
	}
	if w.Header().Get("Allow") != "" {
		s.Fault(w, r, &compute.Error{Kind: compute.Invalid, Name: "MethodNotAllowed", Detail: "The method is not allowed for this resource."})
		return
	}
	s.Fault(w, r, compute.Errorf(compute.NotFound, "The resource could not be found."))
}

func (s *Service) serve(w http.ResponseWriter, r *http.Request, route Route) {
	req := &Request{Request: r}
	if s.Audit != nil && route.Rule != Open && r.Method != http.MethodGet && r.Method != http.MethodHead {
		seen := &statusWriter{ResponseWriter: w}
		defer func() { s.Audit(r.Context(), s.auditEvent(req, route, seen.status)) }()
		w = seen
	}
	if err := s.admit(req, route); err != nil {
		s.Error(w, r, err)
		return
	}
	if s.Before != nil {
		if err := s.Before(w, req); err != nil {
			s.Error(w, r, err)
			return
		}
	}
	if err := route.Handle(w, req); err != nil {
		s.Error(w, r, err)
	}
}

// admit finds the caller and says whether the route is for it.
func (s *Service) admit(r *Request, route Route) error {
	if route.Rule == Open {
		return nil
	}
	caller, err := s.Auth.Authenticate(r.Context(), r.Header.Get("X-Auth-Token"))
	if err != nil {
		return err
	}
	r.Caller = caller
	r.Caller.RequestID = RequestID(r.Request)
	if !route.Rule.Allows(r.Caller) {
		return compute.Errorf(compute.Denied, "Policy doesn't allow %s %s to be performed.", r.Method, route.Pattern)
	}
	if rules := r.Caller.AccessRules; len(rules) > 0 && !allowed(rules, s.kind(), r.Method, r.URL.Path) {
		return compute.Errorf(compute.Unauthorized, "The access rules of the application credential do not allow this request.")
	}
	return nil
}

// kind is the service's type in the catalog, which access rules name: the last
// part of its prefix.
func (s *Service) kind() string { return s.Prefix[strings.LastIndex(s.Prefix, "/")+1:] }

// Error answers an error: what a client may see of it, and the rest in the log.
func (s *Service) Error(w http.ResponseWriter, r *http.Request, err error) {
	var e *compute.Error
	if errors.As(err, &e); e == nil {
		if detail := storeDetail(err); detail != "" {
			s.Log.Warn("a request met a store that does not take it", "service", s.Name, "method", r.Method, "path", r.URL.Path, "request", RequestID(r), "error", err)
			w.Header().Set("Retry-After", storeRetry)
			s.Fault(w, r, &compute.Error{Kind: compute.Unavailable, Detail: detail})
			return
		}
	}
	if e == nil || e.Kind == compute.Internal {
		if r.Context().Err() != nil { // the client went away
			return
		}
		s.Log.Error("request failed", "service", s.Name, "method", r.Method, "path", r.URL.Path, "request", RequestID(r), "error", err)
		e = &compute.Error{Kind: compute.Internal, Detail: "Unexpected API Error. The request's id is " + RequestID(r) + "."}
	}
	s.Fault(w, r, e)
}

// storeRetry is after how many seconds a client may try a store again.
const storeRetry = "5"

// storeDetail says what a client is told of a store that works again later;
// empty: the error is another one.
func storeDetail(err error) string {
	switch {
	case errors.Is(err, sqldb.ErrFull):
		return "The server has no space left to keep this. Nothing was changed; try again later."
	case errors.Is(err, sqldb.ErrBusy):
		return "The server has too much to write. Nothing was changed; try again later."
	case errors.Is(err, sqldb.ErrAway):
		return "The database of the server does not answer. Try again later."
	}
	return ""
}

// URL is where clients reach the service, without a slash at the end.
func (s *Service) URL(r *http.Request) string { return Origin(r, s.Public) + s.Prefix }

// Origin is the scheme and host that clients use: public when it is set, else as the request says.
func Origin(r *http.Request, public string) string {
	if public != "" {
		return public
	}
	if r.TLS != nil {
		return "https://" + r.Host
	}
	return "http://" + r.Host
}

// RequestID is the request's id as OpenStack spells it: "req-" and a UUID.
func RequestID(r *http.Request) string {
	id := httpserver.RequestID(r)
	if strings.HasPrefix(id, "req-") {
		return id
	}
	return "req-" + id
}

// Decode reads the JSON body into v. Unknown keys are let through: clients send
// some.
func (r *Request) Decode(v any) error {
	body, err := r.ReadBody()
	if err != nil {
		return err
	}
	if err := json.Unmarshal(body, v); err != nil {
		return compute.Errorf(compute.Invalid, "The body of the request is not what is expected here: %s", jsonError(err))
	}
	return nil
}

// ReadBody reads the whole body, at most BodyMax bytes.
func (r *Request) ReadBody() ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(r.Body, BodyMax+1))
	if err != nil {
		return nil, compute.Errorf(compute.Invalid, "The body of the request could not be read.")
	}
	if len(body) > BodyMax {
		return nil, compute.Errorf(compute.TooLarge, "The body of the request is over %d bytes.", BodyMax)
	}
	return body, nil
}

// jsonError says what is wrong with JSON without the names of Go's types.
func jsonError(err error) string {
	var t *json.UnmarshalTypeError
	if errors.As(err, &t) {
		return "'" + t.Field + "' must not be a " + t.Value + "."
	}
	return "malformed JSON."
}

// WriteJSON answers with a status and a body.
func WriteJSON(w http.ResponseWriter, status int, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(b) // a client that went away is nobody to tell
	return nil
}
