package openstack

import (
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/kamado/kamado/compute"
)

// target is what a request was about, as its handler noted it.
type target struct{ kind, id string }

// Note tells the audit trail what a request turned out to be about: the id of
// what it made, above all.
func (r *Request) Note(kind, id string) { r.noted = &target{kind, id} }

// actions names what methods do.
var actions = map[string]string{"POST": "create", "PUT": "update", "PATCH": "update", "DELETE": "delete"}

// auditEvent is the line of the audit trail for an answered request. Without a
// note, the target is what the pattern says: of "/v2.1/servers/{id}/action",
// "servers/action" and the id.
func (s *Service) auditEvent(r *Request, route Route, status int) compute.AuditEvent {
	e := compute.AuditEvent{
		Time: time.Now(), Service: s.Name, UserID: r.Caller.UserID, ProjectID: r.Caller.ProjectID, Action: actions[r.Method],
		Outcome: compute.AuditSuccess, Status: status, RequestID: RequestID(r.Request), Remote: r.RemoteAddr,
	}
	if host, _, err := net.SplitHostPort(r.RemoteAddr); err == nil {
		e.Remote = host
	}
	switch {
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		e.Outcome = compute.AuditDenied
	case status >= 400:
		e.Outcome = compute.AuditFailure
	}
	if r.noted != nil {
		e.TargetKind, e.TargetID = r.noted.kind, r.noted.id
		return e
	}
	var kind []string
	for i, part := range strings.Split(strings.Trim(route.Pattern, "/"), "/") {
		switch {
		case strings.HasPrefix(part, "{"):
			e.TargetID = r.PathValue(strings.Trim(part, "{}."))
		case i > 0: // the first is the version
			kind = append(kind, part)
		}
	}
	e.TargetKind = strings.Join(kind, "/")
	return e
}

// statusWriter remembers the status that was answered.
type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	if w.status == 0 && status >= 200 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *statusWriter) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return w.ResponseWriter.Write(b)
}

// Unwrap is for http.ResponseController.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// allowed says whether one of the access rules lets a request pass. In a rule's
// path "*" and "{name}" stand for one part, "**" for any number of them.
func allowed(rules []compute.AccessRule, service, method, path string) bool {
	parts := strings.Split(strings.Trim(path, "/"), "/")
	for _, rule := range rules {
		if rule.Service == service && rule.Method == method && matches(strings.Split(strings.Trim(rule.Path, "/"), "/"), parts) {
			return true
		}
	}
	return false
}

// matches compares a rule's path with a request's, both in parts. Its work is
// bounded by the product of their lengths.
func matches(rule, parts []string) bool {
	// reach[j] says whether the rule so far matches the first j parts.
	reach := make([]bool, len(parts)+1)
	reach[0] = true
	for _, want := range rule {
		next := make([]bool, len(parts)+1)
		for j := range reach {
			switch {
			case want == "**":
				next[j] = reach[j] || j > 0 && next[j-1]
			case j > 0 && reach[j-1]:
				next[j] = want == parts[j-1] || want == "*" || strings.HasPrefix(want, "{") && strings.HasSuffix(want, "}")
			}
		}
		reach = next
	}
	return reach[len(parts)]
}
