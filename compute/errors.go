package compute

import (
	"errors"
	"fmt"
	"strings"
)

// Kind classes errors by what a client or an operator can do about them. Each
// protocol turns a Kind into its own fault in one table.
type Kind uint8

// The kinds, with the HTTP status that most protocols give them. Internal is
// the zero value: whatever nobody classified.
const (
	Internal             Kind = iota // 500: a broken promise of this program
	Invalid                          // 400: the request is wrong
	Unauthorized                     // 401: no token, or one that is over
	Denied                           // 403: the caller's roles do not allow it
	NotFound                         // 404: no such thing, or not the caller's
	Conflict                         // 409: not in this state, or already there
	TooLarge                         // 413: over a bound of this server
	OverQuota                        // 403 in Nova, 409 in Neutron, 413 in Glance and Cinder
	Unsupported                      // 501 or 400: known, and not offered by this engine
	Exhausted                        // 503: no host or no address left
	Unavailable                      // 503: a part does not answer; may succeed later
	Unprocessable                    // 422 or 400: understood, and not possible
	UnsupportedMediaType             // 415: the body's type is not taken here

	kindCount
)

var kindNames = [kindCount]string{"internal", "invalid", "unauthorized", "denied", "not found", "conflict", "too large",
	"over quota", "unsupported", "exhausted", "unavailable", "unprocessable", "unsupported media type"}

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
	Op   string // what was being done: "create server"; for the operator
	Kind Kind
	// Name is the condition's own name where clients branch on it, as Neutron
	// spells it: "SubnetInUse", "OverQuota", "IpAddressInUse". May be empty.
	Name   string
	Detail string // for the client: what is wrong with which thing; no internals
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

// Errorf makes an Error whose text the client may see.
func Errorf(kind Kind, format string, args ...any) *Error {
	return &Error{Kind: kind, Detail: fmt.Sprintf(format, args...)}
}

// Absent is the one answer for a thing that is not there and for one that is
// not the caller's: "No instance 3f… exists." to taste of the protocol.
func Absent(noun, id string) *Error {
	return &Error{Kind: NotFound, Detail: fmt.Sprintf("%s %s could not be found.", noun, id)}
}

// KindOf gives the kind of an error's first Error, Internal when it has none.
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return Internal
}

// IsKind says whether err is of a kind.
func IsKind(err error, k Kind) bool { return err != nil && KindOf(err) == k }
