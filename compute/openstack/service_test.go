package openstack_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/kamado/kamado/compute"
	"github.com/kamado/kamado/compute/openstack"
	"github.com/kamado/kamado/internal/sqldb"
)

// tokens are callers by what they show.
type tokens map[string]compute.Caller

func (t tokens) Authenticate(_ context.Context, token string) (compute.Caller, error) {
	c, ok := t[token]
	if !ok {
		return c, compute.Errorf(compute.Unauthorized, "Who are you?")
	}
	return c, nil
}

var people = tokens{
	"admin":  {UserID: "a", Roles: []string{"admin"}},
	"member": {UserID: "m", ProjectID: "p", Roles: []string{"member"}},
	"reader": {UserID: "r", ProjectID: "p", Roles: []string{"reader"}},
	"none":   {UserID: "n"},
	"robot": {UserID: "m", ProjectID: "p", Roles: []string{"member"}, AccessRules: []compute.AccessRule{
		{Service: "compute", Method: "GET", Path: "/v2/things/*"}, {Service: "compute", Method: "POST", Path: "/v2/things/{id}/action"}, {Service: "image", Method: "GET", Path: "/**"}}},
}

// service has one route for each rule.
func service(events *[]compute.AuditEvent) *openstack.Service {
	ok := func(w http.ResponseWriter, r *openstack.Request) error {
		return openstack.WriteJSON(w, 200, map[string]string{"user": r.Caller.UserID, "url": r.URL.Path})
	}
	return &openstack.Service{
		Name: "thing", Prefix: "/compute", Auth: people, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
		Fault: func(w http.ResponseWriter, _ *http.Request, e *compute.Error) {
			status := map[compute.Kind]int{compute.Internal: 500, compute.Invalid: 400, compute.Unauthorized: 401, compute.Denied: 403, compute.NotFound: 404, compute.TooLarge: 413}[e.Kind]
			if e.Name == "MethodNotAllowed" {
				status = 405
			}
			_ = openstack.WriteJSON(w, status, map[string]string{"message": e.Detail})
		},
		Audit: func(_ context.Context, e compute.AuditEvent) { *events = append(*events, e) },
		Routes: []openstack.Route{
			{Method: "GET", Pattern: "/{$}", Rule: openstack.Open, Handle: ok},
			{Method: "POST", Pattern: "/v2/open", Rule: openstack.Open, Handle: ok},
			{Method: "GET", Pattern: "/v2/any", Rule: openstack.AnyToken, Handle: ok},
			{Method: "GET", Pattern: "/v2/things/{id}", Rule: openstack.AsReader, Handle: ok},
			{Method: "DELETE", Pattern: "/v2/things/{id}", Rule: openstack.AsMember, Handle: ok},
			{Method: "POST", Pattern: "/v2/things/{id}/action", Rule: openstack.AsMember, Handle: ok},
			{Method: "POST", Pattern: "/v2/things", Rule: openstack.AsMember, Handle: func(w http.ResponseWriter, r *openstack.Request) error {
				var body struct{ Size int }
				if err := r.Decode(&body); err != nil {
					return err
				}
				r.Note("things", "new")
				return openstack.WriteJSON(w, 201, body)
			}},
			{Method: "PUT", Pattern: "/v2/hosts/{host}", Rule: openstack.AsAdmin, Handle: ok},
			{Method: "GET", Pattern: "/v2/broken", Rule: openstack.AnyToken, Handle: func(http.ResponseWriter, *openstack.Request) error {
				return errors.New("the password is 1234")
			}},
			{Method: "GET", Pattern: "/v2/ruleless", Handle: ok},
		},
	}
}

func ask(s *openstack.Service, who, method, path, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Header.Set("X-Auth-Token", who)
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, r)
	return w
}

func TestRulesAndRoutes(t *testing.T) {
	for _, c := range []struct {
		name, who, method, path, body string
		want                          int
	}{
		{"open without a token", "", "GET", "/", "", 200},
		{"any token", "none", "GET", "/v2/any", "", 200},
		{"no token", "", "GET", "/v2/any", "", 401},
		{"a reader reads", "reader", "GET", "/v2/things/1", "", 200},
		{"a slash at the end", "reader", "GET", "/v2/things/1/", "", 200},
		{"a HEAD is a GET", "reader", "HEAD", "/v2/things/1", "", 200},
		{"no role reads nothing", "none", "GET", "/v2/things/1", "", 403},
		{"a reader changes nothing", "reader", "DELETE", "/v2/things/1", "", 403},
		{"a member changes", "member", "DELETE", "/v2/things/1", "", 200},
		{"an administrator is a member", "admin", "DELETE", "/v2/things/1", "", 200},
		{"a member does not administer", "member", "PUT", "/v2/hosts/1", "", 403},
		{"an administrator does", "admin", "PUT", "/v2/hosts/1", "", 200},
		{"no route", "admin", "GET", "/v2/nothing", "", 404},
		{"a NUL in an id", "reader", "GET", "/v2/things/%00", "", 404},
		{"a NUL in a query", "reader", "GET", "/v2/things/1?name=%00", "", 404},
		{"another method", "admin", "PATCH", "/v2/things/1", "", 405},
		{"a route without a rule is closed", "admin", "GET", "/v2/ruleless", "", 403},
		{"malformed JSON", "member", "POST", "/v2/things", "{", 400},
		{"a wrong type", "member", "POST", "/v2/things", `{"Size":"x"}`, 400},
		{"a huge body", "member", "POST", "/v2/things", strings.Repeat(" ", openstack.BodyMax+1), 413},
		{"an error inside", "admin", "GET", "/v2/broken", "", 500},
		{"an access rule lets pass", "robot", "GET", "/v2/things/1", "", 200},
		{"an access rule with a name", "robot", "POST", "/v2/things/1/action", "", 200},
		{"access rules refuse the rest", "robot", "DELETE", "/v2/things/1", "", 401},
		{"an access rule of another service", "robot", "GET", "/v2/any", "", 401},
	} {
		t.Run(c.name, func(t *testing.T) {
			var events []compute.AuditEvent
			w := ask(service(&events), c.who, c.method, c.path, c.body)
			if w.Code != c.want {
				t.Errorf("%s %s as %q = %d %s, want %d", c.method, c.path, c.who, w.Code, w.Body, c.want)
			}
			if !strings.HasPrefix(w.Header().Get("X-Openstack-Request-Id"), "req-") {
				t.Errorf("request id = %q", w.Header().Get("X-Openstack-Request-Id"))
			}
			if strings.Contains(w.Body.String(), "1234") {
				t.Errorf("the inside of an error got out: %s", w.Body)
			}
		})
	}
}

func TestAllowHeader(t *testing.T) {
	var events []compute.AuditEvent
	w := ask(service(&events), "admin", "PUT", "/v2/things/1", "")
	if got := strings.Join(w.Header().Values("Allow"), " "); w.Code != 405 || got != "GET DELETE" {
		t.Errorf("= %d with Allow %q, want 405 with GET DELETE", w.Code, got)
	}
}

// TestAudit says which requests leave which line.
func TestAudit(t *testing.T) {
	for _, c := range []struct{ who, method, path, body, want string }{
		{"reader", "GET", "/v2/things/1", "", ""},
		{"", "POST", "/v2/open", "", ""},
		{"member", "DELETE", "/v2/things/1", "", "m p delete things 1 success 200"},
		{"reader", "DELETE", "/v2/things/1", "", "r p delete things 1 denied 403"},
		{"", "DELETE", "/v2/things/1", "", "  delete things 1 denied 401"},
		{"member", "POST", "/v2/things/7/action", "{}", "m p create things/action 7 success 200"},
		{"member", "POST", "/v2/things", "{}", "m p create things new success 201"},
		{"member", "POST", "/v2/things", "{", "m p create things  failure 400"},
	} {
		var events []compute.AuditEvent
		ask(service(&events), c.who, c.method, c.path, c.body)
		got := ""
		for _, e := range events {
			b, _ := json.Marshal(e.Status)
			got += strings.Join([]string{e.UserID, e.ProjectID, e.Action, e.TargetKind, e.TargetID, e.Outcome, string(b)}, " ")
			if e.Service != "thing" || e.Remote != "192.0.2.1" || e.RequestID == "" || e.Time.IsZero() {
				t.Errorf("event = %+v", e)
			}
		}
		if got != c.want {
			t.Errorf("%s %s as %q = %q, want %q", c.method, c.path, c.who, got, c.want)
		}
	}
}

func TestMatches(t *testing.T) {
	for _, c := range []struct {
		rule, path string
		want       bool
	}{
		{"/v2.1/servers", "/v2.1/servers", true},
		{"/v2.1/servers", "/v2.1/servers/1", false},
		{"/v2.1/servers/*", "/v2.1/servers/1", true},
		{"/v2.1/servers/*", "/v2.1/servers/1/ips", false},
		{"/v2.1/servers/*/ips", "/v2.1/servers/1/ips", true},
		{"/v2.1/servers/{id}/ips", "/v2.1/servers/1/ips", true},
		{"/v2.1/**", "/v2.1/servers/1/ips", true},
		{"/v2.1/**", "/v2.1", true},
		{"/**/ips", "/v2.1/servers/1/ips", true},
		{"/**/ips", "/v2.1/servers/1", false},
		{"/v2.1/serv*", "/v2.1/servers", false},
	} {
		if got := openstack.Matches(c.rule, c.path); got != c.want {
			t.Errorf("Matches(%q, %q) = %v, want %v", c.rule, c.path, got, c.want)
		}
	}
}

func TestOrigin(t *testing.T) {
	r := httptest.NewRequest("GET", "http://cloud.example:8774/x", nil)
	if got := openstack.Origin(r, ""); got != "http://cloud.example:8774" {
		t.Errorf("Origin = %q", got)
	}
	if got := openstack.Origin(r, "https://public.example"); got != "https://public.example" {
		t.Errorf("Origin with public = %q", got)
	}
}

// TestAStoreThatIsFullIsNoFaultOfTheProgram answers 503 with a word to the client,
// and no inner text.
func TestAStoreThatIsFullIsNoFaultOfTheProgram(t *testing.T) {
	for _, cause := range []error{sqldb.ErrFull, sqldb.ErrBusy, sqldb.ErrAway} {
		var log strings.Builder
		s := service(new([]compute.AuditEvent))
		s.Log = slog.New(slog.NewTextHandler(&log, nil))
		var got *compute.Error
		s.Fault = func(w http.ResponseWriter, _ *http.Request, e *compute.Error) { got = e; w.WriteHeader(503) }
		w := httptest.NewRecorder()
		s.Error(w, httptest.NewRequest("POST", "/v2/things", nil), fmt.Errorf("create: %w: commit: table t", cause))
		if got == nil || got.Kind != compute.Unavailable || got.Detail == "" || strings.Contains(got.Detail, "table") || w.Header().Get("Retry-After") == "" {
			t.Errorf("%v: answer %+v, %v", cause, got, w.Header())
		}
		if strings.Contains(log.String(), "request failed") {
			t.Errorf("%v is logged as a broken promise: %s", cause, log.String())
		}
	}
}
