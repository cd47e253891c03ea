// Package audit shows administrators the trail of what was asked of the cloud:
// who asked for which change, and what came of it. It is no dialect of OpenStack
// but speaks like one, so that the same token and the same catalog lead to it.
//
// Invariants. Only administrators read the trail, nobody writes it here, and a
// page is bounded. It holds no secret: compute.AuditEvent has none.
package audit

import (
	"context"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/kamado/kamado/compute"
	"github.com/kamado/kamado/compute/openstack"
)

// Prefix is where the handler is mounted, and Type what the catalog calls it.
const (
	Prefix = "/audit"
	Type   = "audit"
)

// Bounds of a page.
const (
	LimitDefault = 100
	LimitMax     = 1000
)

// Query says which events are asked for; empty fields match every one.
type Query struct {
	UserID, RequestID string
	Since, Until      time.Time // Since <= Time < Until
	Limit             int
}

// Deps is what the handler needs.
type Deps struct {
	// Trail gives the newest events that match, newest first.
	Trail  func(ctx context.Context, q Query) ([]compute.AuditEvent, error)
	Auth   openstack.Authenticator
	Log    *slog.Logger
	Public string // scheme and host; empty: as the request says
}

// New gives the handler, to be mounted at Prefix behind http.StripPrefix.
func New(d Deps) http.Handler {
	s := &openstack.Service{Name: "audit", Prefix: Prefix, Public: d.Public, Auth: d.Auth, Log: d.Log, Fault: fault}
	s.Routes = []openstack.Route{{Method: "GET", Pattern: "/v1/events", Rule: openstack.AsAdmin, Handle: d.list}}
	return s.Handler()
}

// event is one line of the trail as JSON.
type event struct {
	Time      time.Time `json:"time"`
	Service   string    `json:"service"`
	UserID    string    `json:"user_id"`
	ProjectID string    `json:"project_id"`
	Action    string    `json:"action"`
	Target    string    `json:"target"` // kind, and behind a slash the id where one is known
	Outcome   string    `json:"outcome"`
	Status    int       `json:"status"`
	RequestID string    `json:"request_id"`
	Remote    string    `json:"remote"`
}

func (d Deps) list(w http.ResponseWriter, r *openstack.Request) error {
	q, err := parse(r.Request)
	if err != nil {
		return err
	}
	trail, err := d.Trail(r.Context(), q)
	if err != nil {
		return err
	}
	list := make([]event, 0, len(trail))
	for _, e := range trail {
		target := e.TargetKind
		if e.TargetID != "" {
			target += "/" + e.TargetID
		}
		list = append(list, event{e.Time.UTC(), e.Service, e.UserID, e.ProjectID, e.Action, target, e.Outcome, e.Status, e.RequestID, e.Remote})
	}
	return openstack.WriteJSON(w, http.StatusOK, map[string]any{"events": list})
}

// parse reads the query string.
func parse(r *http.Request) (Query, error) {
	v := r.URL.Query()
	q := Query{UserID: v.Get("user_id"), RequestID: v.Get("request_id"), Limit: LimitDefault}
	if s := v.Get("limit"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 || n > LimitMax {
			return q, compute.Errorf(compute.Invalid, "limit must be 1 to %d.", LimitMax)
		}
		q.Limit = n
	}
	for name, at := range map[string]*time.Time{"since": &q.Since, "until": &q.Until} {
		s := v.Get(name)
		if s == "" {
			continue
		}
		t, err := time.Parse(time.RFC3339, s)
		if err != nil {
			return q, compute.Errorf(compute.Invalid, "%s must be a time like 2026-11-22T21:00:00Z.", name)
		}
		*at = t
	}
	return q, nil
}

// statuses are those of HTTP by kind; what is not here is 500.
var statuses = map[compute.Kind]int{
	compute.Invalid: http.StatusBadRequest, compute.Unauthorized: http.StatusUnauthorized, compute.Denied: http.StatusForbidden,
	compute.NotFound: http.StatusNotFound, compute.Unavailable: http.StatusServiceUnavailable,
}

func fault(w http.ResponseWriter, _ *http.Request, e *compute.Error) {
	status, ok := statuses[e.Kind]
	if !ok {
		status = http.StatusInternalServerError
	}
	if e.Name == "MethodNotAllowed" {
		status = http.StatusMethodNotAllowed
	}
	_ = openstack.WriteJSON(w, status, map[string]any{"error": map[string]any{"code": status, "title": http.StatusText(status), "message": e.Detail}}) // a number and two texts
}
