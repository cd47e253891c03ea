package game

import (
	"errors"
	"fmt"
	"strings"
)

// Kind classes errors by what a client or an operator can do about them. Each
// protocol turns a Kind into its own fault in one table.
type Kind uint8

// The kinds, with the HTTP status that they become. Internal is the zero value:
// whatever nobody classified.
const (
	Internal        Kind = iota // 500: a broken promise of this program
	Invalid                     // 400: the request is wrong
	Unauthenticated             // 401: no credential, or one that is not valid (any more)
	Denied                      // 403: the credential does not give this right
	NotFound                    // 404: no such user, reservation, entity or lock
	Conflict                    // 409: excludes what is there: same transaction id with another body, an old version, a held lock
	Insufficient                // 409: the balance does not suffice; nothing was moved
	TooLarge                    // 413: over a bound of this server
	Limited                     // 429: too many attempts; later it may work
	Exhausted                   // 507: no space left where it must be kept
	Unavailable                 // 503: may succeed later

	kindCount
)

var kindNames = [kindCount]string{
	"internal", "invalid", "unauthenticated", "denied", "not found", "conflict", "insufficient", "too large", "limited", "exhausted", "unavailable",
}

func (k Kind) String() string {
	if k < kindCount {
		return kindNames[k]
	}
	return kindNames[Internal]
}

// Kinds lists all kinds, for tables that must be complete.
func Kinds() []Kind {
	list := make([]Kind, kindCount)
	for i := range list {
		list[i] = Kind(i)
	}
	return list
}

// Error is every error of this room that a client may see.
type Error struct {
	Op     string // what was being done: "grant points"; for the operator
	Kind   Kind
	Detail string // for the client: what is wrong with which thing, and what would be right
	Err    error  // the cause, for the operator; may be nil. A RetryAfter tells when a further try makes sense
	// Doubt: the change may have happened, or may happen later. The same request with
	// the same transaction id tells.
	Doubt bool
}

func (e *Error) Error() string {
	var parts []string
	for _, s := range []string{e.Op, e.Detail} {
		if s != "" {
			parts = append(parts, s)
		}
	}
	if e.Err != nil {
		parts = append(parts, e.Err.Error())
	}
	if len(parts) == 0 {
		return e.Kind.String()
	}
	return strings.Join(parts, ": ")
}

func (e *Error) Unwrap() error { return e.Err }

// KindOf is the kind of err; Internal for anything that is no Error.
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return Internal
}

// Errorf makes an error of a kind whose text a client may see.
func Errorf(kind Kind, format string, args ...any) error {
	return &Error{Kind: kind, Detail: fmt.Sprintf(format, args...)}
}
