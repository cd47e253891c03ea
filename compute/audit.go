package compute

import "time"

// The outcomes of what was asked.
const (
	AuditSuccess = "success"
	AuditDenied  = "denied"  // the caller may not: 401, 403
	AuditFailure = "failure" // the request was wrong, or this program failed
)

// AuditEvent is one line of the audit trail: who asked for which change, and
// what came of it. It holds no secret and no body.
type AuditEvent struct {
	Time              time.Time
	Service           string // "keystone", "nova", …
	UserID, ProjectID string // of the caller; empty when nobody is known
	Action            string // create, update, delete, authenticate, or an action's own name
	TargetKind        string // "servers", "users/password", "token"
	TargetID          string // may be empty
	Outcome           string
	Status            int    // of HTTP; 0 when there was none
	RequestID, Remote string // Remote is the client's address, without the port
}
