package upload

import (
	"context"
	"errors"
	"net/http"
	"strconv"

	"github.com/kamado/kamado/images"
	"github.com/kamado/kamado/images/delivery"
	"github.com/kamado/kamado/images/store/shelf"
	"github.com/kamado/kamado/internal/blob"
	"github.com/kamado/kamado/internal/httpserver"
)

var errMethod = errors.New("method not allowed")

// retryAfter is when to come back after a 503. Unit: seconds.
const retryAfter = 5

// statusGone is what logs show for a client that left.
const statusGone = 499

// faults is what each error becomes. Internal detail is not in it.
var faults = []struct {
	is     error
	status int
	kind   string
	detail string
}{
	{errMethod, http.StatusMethodNotAllowed, "invalid", "originals are put, read and deleted"},
	{shelf.ErrTooLarge, http.StatusRequestEntityTooLarge, "too large", "the body has more bytes than are allowed"},
	{shelf.ErrChecksum, http.StatusBadRequest, "checksum", "the body is not the one whose checksum was announced"},
	{shelf.ErrIncomplete, http.StatusBadRequest, "incomplete", "the body ended before its announced length"},
	{shelf.ErrStalled, http.StatusRequestTimeout, "timeout", "the body came too slowly"},
	{shelf.ErrPrecondition, http.StatusPreconditionFailed, "condition", "the condition of the request does not hold"},
	{shelf.ErrConflict, http.StatusConflict, "conflict", "the original changed meanwhile; try again"},
	{shelf.ErrFull, http.StatusInsufficientStorage, "full", "there is no room for the original"},
	{shelf.ErrBusy, http.StatusServiceUnavailable, "exhausted", "too many uploads at once; try again"},
	{blob.ErrInvalidKey, http.StatusBadRequest, "invalid", "no original can have this key, or another one is in its way"},
	{blob.ErrNotFound, http.StatusNotFound, "not found", "there is no such original"},
	{blob.ErrRange, http.StatusRequestedRangeNotSatisfiable, "invalid", "the range lies outside of the original"},
	{blob.ErrDenied, http.StatusForbidden, "denied", "the origin cannot be written"},
	{blob.ErrUnavailable, http.StatusServiceUnavailable, "unavailable", "the origin cannot be used now"},
	{context.Canceled, statusGone, "gone", "the client left"},
	{context.DeadlineExceeded, http.StatusServiceUnavailable, "timeout", "it took too long"},
}

// problem turns an error into an answer.
func problem(err error) httpserver.Problem {
	var known *images.Error
	if errors.As(err, &known) {
		p := httpserver.Problem{Status: delivery.Status(known.Kind), Detail: known.Detail, Extra: map[string]any{"kind": known.Kind.String()}}
		if known.Part != "" {
			p.Extra["part"] = known.Part
		}
		return p
	}
	for _, f := range faults {
		if errors.Is(err, f.is) {
			return httpserver.Problem{Status: f.status, Detail: f.detail, Extra: map[string]any{"kind": f.kind}}
		}
	}
	return httpserver.Problem{Status: http.StatusInternalServerError, Extra: map[string]any{"kind": images.Internal.String()}}
}

func fail(w http.ResponseWriter, r *http.Request, err error) {
	p := problem(err)
	if p.Status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", strconv.Itoa(retryAfter))
	}
	httpserver.WriteProblem(w, r, p)
}

// answer turns what do gives as an error into a problem.
func answer(do func(http.ResponseWriter, *http.Request) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer shelf.Settle(w, r)
		if err := do(w, r); err != nil {
			fail(w, r, err)
		}
	})
}
