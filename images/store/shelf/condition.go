package shelf

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/kamado/kamado/internal/blob"
)

// Condition is what must hold of an object (RFC 9110 13.1). Tags are compared
// with both ETags of an object, the store's and S3's, with or without quotes:
// each protocol shows one of them, and neither can be mistaken for the other.
type Condition struct {
	Match     string // If-Match: a list of tags, or *; empty: not asked
	NoneMatch string // If-None-Match
	// Reads only; ignored when the tag condition of the same direction is there.
	ModifiedSince, UnmodifiedSince time.Time
}

// ConditionOf reads a request's headers. Times that cannot be read count as not
// given (RFC 9110 13.1.3).
func ConditionOf(h http.Header) Condition {
	c := Condition{Match: strings.Join(h.Values("If-Match"), ","), NoneMatch: strings.Join(h.Values("If-None-Match"), ",")}
	c.ModifiedSince, _ = http.ParseTime(h.Get("If-Modified-Since"))
	c.UnmodifiedSince, _ = http.ParseTime(h.Get("If-Unmodified-Since"))
	return c
}

func (c Condition) set() bool { return c.Match != "" || c.NoneMatch != "" }

// check looks at what a write would replace: whether it is there, and whether
// the tags allow it.
func (s *Shelf) check(ctx context.Context, ref Ref, c Condition) (there bool, err error) {
	o, err := s.stat(ctx, ref)
	switch {
	case errors.Is(err, blob.ErrNotFound):
		if c.Match != "" {
			return false, fmt.Errorf("%w: there is no such object", ErrPrecondition)
		}
		return false, nil
	case err != nil:
		return false, err
	case c.Match != "" && !matches(c.Match, o):
		return true, fmt.Errorf("%w: the object has another ETag", ErrPrecondition)
	case c.NoneMatch != "" && matches(c.NoneMatch, o):
		return true, fmt.Errorf("%w: the object is there", ErrPrecondition)
	}
	return true, nil
}

// Holds judges a read in the order of RFC 9110 13.2.2.
func (c Condition) Holds(o Object) (notModified bool, err error) {
	modified := o.ModTime.Truncate(time.Second) // what Last-Modified can say
	switch {
	case c.Match != "":
		if !matches(c.Match, o) {
			return false, ErrPrecondition
		}
	case !c.UnmodifiedSince.IsZero() && modified.After(c.UnmodifiedSince):
		return false, ErrPrecondition
	}
	if c.NoneMatch != "" {
		return matches(c.NoneMatch, o), nil
	}
	return !c.ModifiedSince.IsZero() && !modified.After(c.ModifiedSince), nil
}

// matches compares a list of entity tags (RFC 9110 8.8.3) with an object's. Weak
// ones match too: no object here changes in a way that its tag does not show.
func matches(list string, o Object) bool {
	for tag := range strings.SplitSeq(list, ",") {
		tag = strings.TrimPrefix(strings.TrimSpace(tag), "W/")
		if tag == "*" {
			return true
		}
		if tag = strings.Trim(tag, `"`); tag != "" && (tag == o.ETag || tag == o.MD5) {
			return true
		}
	}
	return false
}
