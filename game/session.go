package game

import (
	"fmt"
	"math/bits"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// Session is one sign-in of a user on one device. It lives as long as its refresh
// tokens are exchanged in time, and ends by a sign-out, a ban, or when a refresh
// token is used again that was exchanged already.
type Session struct {
	ID      string    `json:"id"`
	UID     UID       `json:"uid"`
	Created time.Time `json:"created"`
	Used    time.Time `json:"used"`    // last exchange of its refresh token
	Expires time.Time `json:"expires"` // when it ends if it is not used
	Client  Client    `json:"client"`
}

// AgentBytesMax bounds what a client says of itself; more is cut off.
const AgentBytesMax = 200

// Client is where a request came from, as its user and an operator see it.
type Client struct {
	Address netip.Addr `json:"address"` // the invalid address: not known, and not limited
	Agent   string     `json:"agent,omitempty"`
}

// Login is what a client gets that proved who it is. It holds secrets.
type Login struct {
	UID     UID    `json:"uid"`
	Session string `json:"session"`
	// Created: the user did not exist before.
	Created        bool      `json:"created"`
	Access         string    `json:"access_token"`
	AccessExpires  time.Time `json:"access_expires"`
	Refresh        string    `json:"refresh_token"`
	RefreshExpires time.Time `json:"refresh_expires"`
	// DeviceSecret is what a new guest keeps, and signs in with later. It is shown this once.
	DeviceSecret string `json:"device_secret,omitempty"`
}

// Event is what the event log is told of a sign-in: the type, whose it was, and how.
func (l *Login) Event(p Provider) (kind, subject string, attributes map[string]string) {
	kind = "user.signed_in"
	if l.Created {
		kind = "user.created"
	}
	return kind, l.UID.String(), map[string]string{"provider": string(p), "session": l.Session}
}

// Scope is a set of rights of a service.
type Scope uint8

// The scopes. Admin includes all others.
const (
	ScopePoints Scope = 1 << iota
	ScopeEntities
	ScopeLocks
	ScopeIdentity
	ScopeAdmin

	scopesAll = ScopePoints | ScopeEntities | ScopeLocks | ScopeIdentity | ScopeAdmin
)

var scopeNames = [...]string{"points", "entities", "locks", "identity", "admin"}

// ParseScopes reads names of scopes, in any order.
func ParseScopes(names []string) (Scope, error) {
	var s Scope
next:
	for _, n := range names {
		for i, known := range scopeNames {
			if n == known {
				s |= 1 << i
				continue next
			}
		}
		return 0, Errorf(Invalid, "%.40q is no scope: want some of %s", n, strings.Join(scopeNames[:], ", "))
	}
	if s == 0 {
		return 0, Errorf(Invalid, "no scope: want some of %s", strings.Join(scopeNames[:], ", "))
	}
	return s, nil
}

// Names lists the scopes of a set.
func (s Scope) Names() []string {
	list := make([]string, 0, bits.OnesCount8(uint8(s)))
	for i, n := range scopeNames {
		if s&(1<<i) != 0 {
			list = append(list, n)
		}
	}
	return list
}

func (s Scope) String() string { return strings.Join(s.Names(), ",") }

// MarshalText makes of it a list with commas.
func (s Scope) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// ServiceCredential is what is known of another program that acts here, without its secret.
type ServiceCredential struct {
	Name    string    `json:"name"`
	Scopes  []string  `json:"scopes"`
	Created time.Time `json:"created"`
	Revoked time.Time `json:"revoked,omitzero"`
}

// ServiceNameBytesMax bounds the name of a service.
const ServiceNameBytesMax = 64

// CheckServiceName judges the name of a service: lower-case letters, digits, hyphens, underscores and dots.
func CheckServiceName(name string) error {
	ok := name != "" && len(name) <= ServiceNameBytesMax
	for i := range len(name) {
		ok = ok && (isAlphanumeric(name[i]) || strings.IndexByte("-_.", name[i]) >= 0)
	}
	// A dot at the end, or two, would make its credential hard to read.
	if !ok || !isAlphanumeric(name[0]) || !isAlphanumeric(name[len(name)-1]) {
		return Errorf(Invalid, "%.70q is no name of a service: want 1 to %d lower-case letters, digits, and -_. inside", name, ServiceNameBytesMax)
	}
	return nil
}

// PrincipalKind says what a principal is.
type PrincipalKind uint8

// The kinds of principals. The zero value is nobody and may do nothing.
const (
	Nobody PrincipalKind = iota
	ByUser
	ByService
	ByOperator
)

// Principal is who makes a request, once that is proved.
type Principal struct {
	Kind    PrincipalKind
	UID     UID       // of a user
	Session string    // of a user
	Expires time.Time // of a user: when the token ends, and a long connection must have shown the next one
	// MutedUntil is the end of a mute; zero: none was in force. Forever is MutedForever.
	MutedUntil time.Time
	Service    string // of a service
	Scopes     Scope  // of a service
}

// MutedForever is the MutedUntil of a mute without end.
var MutedForever = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)

// OperatorPrincipal is who has the credential of the data directory.
func OperatorPrincipal() Principal { return Principal{Kind: ByOperator, Scopes: scopesAll} }

// Name is who it is, for logs and for what is kept of an order.
func (p Principal) Name() string {
	switch p.Kind {
	case ByUser: // the usual one, with one allocation
		var text [32]byte
		return string(strconv.AppendUint(append(text[:0], "user "...), uint64(p.UID), 10))
	case ByService:
		return "service " + p.Service
	case ByOperator:
		return "operator"
	}
	return "nobody"
}

// Has says whether it has a scope. A user has none.
func (p Principal) Has(s Scope) bool {
	switch p.Kind {
	case ByOperator:
		return true
	case ByService:
		return p.Scopes&(s|ScopeAdmin) != 0
	}
	return false
}

// For says whether it may act for a user with this right: as that user itself, or by
// the scope. The error is Denied, or Unauthenticated for nobody.
func (p Principal) For(uid UID, s Scope) error {
	switch {
	case p.Kind == Nobody:
		return Errorf(Unauthenticated, "no credential")
	case p.Kind == ByUser && p.UID == uid && uid != 0, p.Has(s):
		return nil
	case p.Kind == ByUser:
		return Errorf(Denied, "the token of user %v does not act for another user", p.UID)
	}
	return Errorf(Denied, "the credential of service %s has not the scope %v", p.Service, s)
}

// Wants is the error of a principal without a scope; nil when it has it.
func (p Principal) Wants(s Scope) error {
	switch {
	case p.Has(s):
		return nil
	case p.Kind == Nobody:
		return Errorf(Unauthenticated, "no credential")
	case p.Kind == ByUser:
		return Errorf(Denied, "a user's token has not the scope %v", s)
	}
	return Errorf(Denied, "the credential of service %s has not the scope %v", p.Service, s)
}

// RetryAfter is the cause of an error of kind Limited that tells when it may work again; errors.As finds it.
type RetryAfter time.Duration

func (r RetryAfter) Error() string {
	return fmt.Sprintf("try again in %v", time.Duration(r).Round(time.Second))
}
