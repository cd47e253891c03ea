package images

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Kind classes errors by what a client or an operator can do about them. The
// number beside each is the HTTP status it becomes.
type Kind uint8

// The kinds. Internal is the zero value: whatever nobody classified.
const (
	Internal      Kind = iota // 500: a broken promise of this program
	Invalid                   // 400: the URL is wrong; Part says where
	Denied                    // 403: the signature is missing, wrong or expired
	NotFound                  // 404: no such original
	TooLarge                  // 413: the original or the rendition is over a limit
	Unprocessable             // 422: the original is not a picture that can be shown
	Exhausted                 // 503 with Retry-After: the queue is full
	Unavailable               // 502: the origin or a worker failed; may succeed later
	Timeout                   // 504: the origin or the work took too long
	Gone                      // 410: the original was taken down

	kindCount
)

var kindNames = [kindCount]string{"internal", "invalid", "denied", "not found", "too large", "unprocessable", "exhausted", "unavailable", "timeout", "gone"}

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
	Op     string // what was being done: "parse url", "decode"; for the operator
	Kind   Kind
	Part   string // which part of the URL or which limit: "quality", "max_pixels"; may be empty
	Detail string // for the client: what is wrong and what would be right; no internals
	Err    error  // the cause, for the operator; may be nil

	// RetryAfter is when to come back, for Exhausted and Unavailable; zero
	// leaves it to the server.
	RetryAfter time.Duration
}

func (e *Error) Error() string {
	var b strings.Builder
	for _, s := range []string{e.Op, e.Part, e.Detail} {
		if s == "" {
			continue
		}
		if b.Len() > 0 {
			b.WriteString(": ")
		}
		b.WriteString(s)
	}
	if e.Err != nil {
		if b.Len() > 0 {
			b.WriteString(": ")
		}
		b.WriteString(e.Err.Error())
	}
	if b.Len() == 0 {
		return e.Kind.String()
	}
	return b.String()
}

func (e *Error) Unwrap() error { return e.Err }

// KindOf is the kind of the outermost *Error in err's chain, Internal when
// there is none.
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return Internal
}

// Invalidf is an Invalid error about one part of a URL.
func Invalidf(part, format string, args ...any) *Error {
	return &Error{Kind: Invalid, Part: part, Detail: fmt.Sprintf(format, args...)}
}

// Errorf is an error of a kind with a text for the client. A cause is kept by
// Wrap, not by a verb in the text.
func Errorf(kind Kind, format string, args ...any) *Error {
	return &Error{Kind: kind, Detail: fmt.Sprintf(format, args...)}
}

// Wrap classes an error without changing what it says: op for the operator,
// detail for the client.
func Wrap(kind Kind, op, detail string, err error) *Error {
	return &Error{Op: op, Kind: kind, Detail: detail, Err: err}
}
