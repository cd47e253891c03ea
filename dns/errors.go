package dns

import (
	"errors"
	"strings"
)

// Kind classes errors by what a client or an operator can do about them. Each
// protocol turns a Kind into its own fault in one table.
type Kind uint8

// The kinds, with the HTTP status and the RCODE that they become. Internal is the
// zero value: whatever nobody classified.
const (
	Internal    Kind = iota // 500, SERVFAIL: a broken promise of this program
	Invalid                 // 400, FORMERR: the request is wrong
	Denied                  // 403, REFUSED: not by this member or this key
	NotFound                // 404, NXDOMAIN: no such record, zone or member
	Conflict                // 409, REFUSED: is there already, or excludes what is there
	TooLarge                // 413, REFUSED: over a bound of this server
	Exhausted               // 507, SERVFAIL: no space left where it must be kept
	Unavailable             // 503, SERVFAIL: may succeed later

	kindCount
)

var kindNames = [kindCount]string{"internal", "invalid", "denied", "not found", "conflict", "too large", "exhausted", "unavailable"}

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
	Op     string // what was being done: "add record"; for the operator
	Kind   Kind
	Detail string // for the client: what is wrong with which thing, and what would be right
	Err    error  // the cause, for the operator; may be nil
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
