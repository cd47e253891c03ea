package delivery

import (
	"context"
	"errors"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/kamado/kamado/images"
	"github.com/kamado/kamado/images/cache"
	"github.com/kamado/kamado/internal/httpserver"
)

// retryAfter is when to come back where an error does not say. Unit: seconds
// after rounding; the queue's longest wait is of this order.
const retryAfter = time.Second

// errMethod is the error of a method that pictures do not have.
var errMethod = errors.New("pictures can be read with GET and HEAD only")

// fault is how a kind of error is answered.
type fault struct {
	status int
	title  string
	keep   bool // caches may keep the answer for Caching.ErrorMaxAge
	retry  bool // Retry-After is sent
}

// faults is the one table from kinds to HTTP.
var faults = map[images.Kind]fault{
	images.Internal:      {status: http.StatusInternalServerError, title: "Internal error"},
	images.Invalid:       {status: http.StatusBadRequest, title: "The URL is not right", keep: true},
	images.Denied:        {status: http.StatusForbidden, title: "The signature is not right"},
	images.NotFound:      {status: http.StatusNotFound, title: "No such original", keep: true},
	images.TooLarge:      {status: http.StatusRequestEntityTooLarge, title: "Over a limit", keep: true},
	images.Unprocessable: {status: http.StatusUnprocessableEntity, title: "Not a picture that can be shown", keep: true},
	images.Exhausted:     {status: http.StatusServiceUnavailable, title: "Too busy", retry: true},
	images.Unavailable:   {status: http.StatusBadGateway, title: "The original cannot be read now", retry: true},
	images.Timeout:       {status: http.StatusGatewayTimeout, title: "It took too long"},
	images.Gone:          {status: http.StatusGone, title: "Taken down", keep: true},
}

// Status is the HTTP status of a kind of error, for every part of the room that
// speaks HTTP.
func Status(k images.Kind) int { return faults[k].status }

// failure is an error in the words of an answer.
type failure struct {
	fault
	kind   string
	part   string
	detail string
	retry  time.Duration
}

// describe finds the words for an error. What nobody classified is an internal
// error and says nothing more.
func describe(err error) failure {
	if errors.Is(err, errMethod) {
		return failure{fault: fault{status: http.StatusMethodNotAllowed, title: "Method not allowed"}, kind: "method", detail: err.Error()}
	}
	var known *images.Error
	if !errors.As(err, &known) {
		known = &images.Error{Kind: images.Internal}
		if errors.Is(err, context.DeadlineExceeded) {
			known = &images.Error{Kind: images.Timeout, Detail: "the request took longer than allowed"}
		}
	}
	f := failure{fault: faults[known.Kind], kind: known.Kind.String(), part: known.Part, detail: known.Detail, retry: known.RetryAfter}
	if known.Kind == images.Internal {
		f.detail = "something went wrong here; the request id leads the operator to it"
	}
	if f.retry == 0 {
		f.retry = retryAfter
	}
	return f
}

// fail answers with an error: JSON, or a picture for those who want pictures.
func (h *Handler) fail(w http.ResponseWriter, r *http.Request, v *visit, err error) {
	v.outcome, v.detail = OutcomeError, err.Error()
	if r.Context().Err() != nil {
		v.outcome, v.status = OutcomeGone, statusGone
		return
	}
	f := describe(err)
	v.status = f.status
	h.log(r, v, f, err)
	header := w.Header()
	header["Cache-Control"] = []string{"no-store"}
	if f.keep {
		header["Cache-Control"] = h.errorCacheControl
	}
	if f.fault.retry {
		header["Retry-After"] = []string{strconv.Itoa(int(math.Ceil(f.retry.Seconds())))}
	}
	h.open(header, v)
	header["Vary"] = valueAccept // JSON or a picture
	header["Server-Timing"] = []string{v.timing.header(OutcomeError, time.Since(v.start))}
	if wantsPicture(r.Header["Accept"]) {
		h.failWithPicture(w, r, v, f)
		return
	}
	extra := map[string]any{"kind": f.kind}
	if f.part != "" {
		extra["part"] = f.part
	}
	httpserver.WriteProblem(w, r, httpserver.Problem{Title: f.title, Status: f.status, Detail: f.detail, Extra: extra})
}

// statusGone is counted for requests whose client left; nobody receives it.
const statusGone = 499

// log tells the operator what a client must not know. Errors of clients are
// the clients' matter.
func (h *Handler) log(r *http.Request, v *visit, f failure, err error) {
	if f.status < 500 || f.status == http.StatusServiceUnavailable {
		return
	}
	attrs := []any{"status", f.status, "request_id", httpserver.RequestID(r), "err", err}
	if v.req.Grammar != "" {
		attrs = append(attrs, "original", v.req.Original(), "rendition", v.req.Rendition.String())
	}
	var panicked *cache.PanicError
	if errors.As(err, &panicked) {
		attrs = append(attrs, "stack", string(panicked.Stack))
	}
	if f.status == http.StatusInternalServerError {
		h.deps.Log.Error("picture not delivered", attrs...)
		return
	}
	h.deps.Log.Warn("picture not delivered", attrs...)
}

// failWithPicture answers with the configured picture, or with one that has
// the error written on it, in the size that was asked for.
func (h *Handler) failWithPicture(w http.ResponseWriter, r *http.Request, v *visit, f failure) {
	var data []byte
	format := images.PNG
	if h.cfg.Fallback != nil {
		data, format = h.cfg.Fallback.Data, h.cfg.Fallback.Format
	} else {
		width, height := errorPictureSize(v.req.Rendition)
		data = drawError(width, height, strconv.Itoa(f.status)+" "+f.title, sentence(f))
	}
	header := w.Header()
	header["Content-Type"] = []string{format.MediaType()}
	header["Content-Length"] = []string{strconv.Itoa(len(data))}
	header["Content-Disposition"] = []string{"inline"}
	header["X-Content-Type-Options"] = valueNosniff
	w.WriteHeader(f.status)
	if r.Method != http.MethodHead {
		v.bytes, _ = w.Write(data)
	}
}

// sentence is what is wrong, for a person.
func sentence(f failure) string {
	if f.part == "" {
		return f.detail
	}
	return f.part + ": " + f.detail
}
