package audit_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/kamado/kamado/compute"
	"github.com/kamado/kamado/compute/openstack/audit"
)

// roles takes the name of a role as its token.
type roles struct{}

func (roles) Authenticate(_ context.Context, token string) (compute.Caller, error) {
	if token == "" {
		return compute.Caller{}, compute.Errorf(compute.Unauthorized, "no token")
	}
	return compute.Caller{UserID: "u", ProjectID: "p", Roles: []string{token}}, nil
}

func ask(t *testing.T, token, path string, asked *audit.Query) (int, map[string]any) {
	t.Helper()
	h := audit.New(audit.Deps{
		Auth: roles{}, Log: slog.New(slog.DiscardHandler),
		Trail: func(_ context.Context, q audit.Query) ([]compute.AuditEvent, error) {
			*asked = q
			return []compute.AuditEvent{{Time: time.Unix(1e9, 0), Service: "nova", UserID: "u", Action: "create", TargetKind: "servers", TargetID: "s",
				Outcome: compute.AuditSuccess, Status: 202}}, nil
		},
	})
	r := httptest.NewRequest("GET", path, nil)
	r.Header.Set("X-Auth-Token", token)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	var body map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil {
		t.Fatalf("%s: %v: %s", path, err, w.Body)
	}
	return w.Code, body
}

func TestOnlyAdministratorsRead(t *testing.T) {
	for token, want := range map[string]int{"": 401, "reader": 403, "member": 403, "admin": 200} {
		var q audit.Query
		if status, body := ask(t, token, "/v1/events", &q); status != want {
			t.Errorf("%q got %d, want %d: %v", token, status, want, body)
		}
	}
}

func TestQueryReachesTheTrail(t *testing.T) {
	var q audit.Query
	_, body := ask(t, "admin", "/v1/events?limit=7&user_id=u1&request_id=req-1&since=2026-11-22T21:00:00Z", &q)
	want := audit.Query{UserID: "u1", RequestID: "req-1", Limit: 7, Since: time.Date(2026, 11, 22, 21, 0, 0, 0, time.UTC)}
	if q != want {
		t.Errorf("asked %+v, want %+v", q, want)
	}
	e := body["events"].([]any)[0].(map[string]any)
	if e["target"] != "servers/s" || e["outcome"] != "success" || e["time"] != "2001-09-09T01:46:40Z" {
		t.Errorf("event = %v", e)
	}
	for _, bad := range []string{"limit=0", "limit=x", "limit=1001", "since=yesterday"} {
		if status, body := ask(t, "admin", "/v1/events?"+bad, &q); status != http.StatusBadRequest {
			t.Errorf("%s got %d: %v", bad, status, body)
		}
	}
}
