package httpserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// requestIDHeader is read from requests and written to answers, in the canonical form that http.Header uses as its key.
const requestIDHeader = "X-Request-Id"

// requestIDLenMax bounds an id that a client brought.
const requestIDLenMax = 64

// front is what every request passes before the handler: identity, health, limits, measurement, and the net below a panic. It
// is on the path of every picture, so it allocates no context, no closure and no copy of the request unless it traces.
type front struct {
	next    http.Handler
	log     *slog.Logger
	health  *Health
	metrics *metrics
	tracer  trace.Tracer // nil: no spans

	accessLog   string
	bodyMax     int64
	inFlightMax int64
	inFlight    atomic.Int64
}

// RequestID is the id of a request that came through a Server: the client's, if it sent a usable one, else a fresh one.
// It is empty for other requests.
func RequestID(r *http.Request) string {
	if v := r.Header[requestIDHeader]; len(v) > 0 {
		return v[0]
	}
	return ""
}

// ServeHTTP implements http.Handler.
func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	identify(w, r)
	switch r.URL.Path {
	case "/healthz":
		f.health.ServeHealthz(w, r)
		return
	case "/readyz":
		f.health.ServeReadyz(w, r)
		return
	}
	a := answers.Get().(*answer)
	*a = answer{ResponseWriter: w, start: time.Now()}
	f.metrics.inFlight.Inc()
	inFlight := f.inFlight.Add(1)
	var span trace.Span
	if f.tracer != nil {
		r, span = f.startSpan(r)
	}
	defer f.finish(a, r, span)
	if inFlight > f.inFlightMax {
		f.metrics.refusedInFlight.Inc()
		w.Header().Set("Retry-After", "1")
		WriteProblem(a, r, Problem{Status: http.StatusServiceUnavailable, Detail: "too many requests are in work; try again in a second"})
		return
	}
	if r.Body != nil && r.Body != http.NoBody {
		// The server's own writer, not ours: it closes the connection of a body that goes on.
		r.Body = http.MaxBytesReader(w, r.Body, f.bodyMax)
	}
	f.next.ServeHTTP(a, r)
}

// identify gives request and answer the same id. The header maps share the one-element slice.
func identify(w http.ResponseWriter, r *http.Request) {
	id := r.Header[requestIDHeader]
	if len(id) != 1 || !usableID(id[0]) {
		fresh := freshID()
		id = []string{string(fresh[:])}
		r.Header[requestIDHeader] = id
	}
	w.Header()[requestIDHeader] = id
}

// freshID is 16 hex digits. It identifies; it is no secret.
func freshID() (b [16]byte) {
	n := rand.Uint64()
	for i := range b {
		b[i] = "0123456789abcdef"[n&15]
		n >>= 4
	}
	return b
}

// usableID keeps what goes into logs and headers short and plain.
func usableID[T string | []byte](s T) bool {
	if len(s) == 0 || len(s) > requestIDLenMax {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_' || c == '.') {
			return false
		}
	}
	return true
}

// finish is deferred around the handler: it turns a panic into a problem, measures and logs. The answer goes back to the
// pool, so a handler must not use its writer after it returned.
func (f *front) finish(a *answer, r *http.Request, span trace.Span) {
	panicked := recover()
	if panicked != nil {
		f.recovered(a, r, panicked)
	}
	if a.status == 0 {
		a.status = http.StatusOK // net/http's own answer to a handler that wrote nothing
	}
	took := time.Since(a.start)
	f.inFlight.Add(-1)
	f.metrics.inFlight.Dec()
	f.metrics.observe(a.status, took, a.written)
	f.access(r, a, took)
	if span != nil {
		endSpan(span, a)
	}
	headersSent := a.sent
	*a = answer{}
	answers.Put(a)
	if panicked != nil && headersSent {
		// The client has part of an answer: only cutting the connection tells it so.
		panic(http.ErrAbortHandler)
	}
}

// recovered reports a panic of a handler, and answers if nothing was answered. It sets a.sent when the connection must be cut.
func (f *front) recovered(a *answer, r *http.Request, panicked any) {
	if err, ok := panicked.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		a.sent = true
		return
	}
	f.metrics.panics.Inc()
	f.log.LogAttrs(r.Context(), slog.LevelError, "handler panicked", slog.String("id", RequestID(r)),
		slog.String("method", r.Method), slog.String("path", r.URL.Path),
		slog.String("panic", fmt.Sprint(panicked)), slog.String("stack", string(debug.Stack())))
	if a.sent {
		return
	}
	clear(a.Header())
	a.Header()[requestIDHeader] = r.Header[requestIDHeader]
	WriteProblem(a, r, Problem{Status: http.StatusInternalServerError, Detail: "internal error; the operator finds it in the log by the request id"})
	a.sent = false // this answer is whole
}

func (f *front) access(r *http.Request, a *answer, took time.Duration) {
	if logs(f.accessLog, a.status) {
		logAnswer(r.Context(), f.log, Answered{ID: RequestID(r), Method: r.Method, Path: r.URL.Path, Status: a.status,
			Bytes: a.written, Took: took, Remote: r.RemoteAddr})
	}
}

// startSpan begins the server's span, as a child of the client's if it sent one (W3C Trace Context).
func (f *front) startSpan(r *http.Request) (*http.Request, trace.Span) {
	ctx := propagation.TraceContext{}.Extract(r.Context(), propagation.HeaderCarrier(r.Header))
	ctx, span := f.tracer.Start(ctx, r.Method, trace.WithSpanKind(trace.SpanKindServer), trace.WithAttributes(
		attribute.String("http.request.method", r.Method), attribute.String("url.path", r.URL.Path),
		attribute.String("kamado.request_id", RequestID(r))))
	return r.WithContext(ctx), span
}

func endSpan(span trace.Span, a *answer) {
	span.SetAttributes(attribute.Int("http.response.status_code", a.status), attribute.Int64("http.response.body.size", a.written))
	if a.status >= 500 {
		span.SetStatus(codes.Error, http.StatusText(a.status))
	}
	span.End()
}

// answers recycles the writers that note what was answered.
var answers = sync.Pool{New: func() any { return new(answer) }}

// answer is the writer that handlers get. It notes the status and the bytes.
type answer struct {
	http.ResponseWriter
	start   time.Time
	status  int   // 0 until the head is written
	written int64 // bytes of body
	sent    bool  // the head is written
}

func (a *answer) WriteHeader(status int) {
	if status >= 200 && !a.sent || status == http.StatusSwitchingProtocols {
		a.status, a.sent = status, true
	}
	a.ResponseWriter.WriteHeader(status)
}

func (a *answer) Write(p []byte) (int, error) {
	a.implicit()
	n, err := a.ResponseWriter.Write(p)
	a.written += int64(n)
	return n, err
}

// ReadFrom keeps the server's way of sending a file without copying it.
func (a *answer) ReadFrom(src io.Reader) (int64, error) {
	a.implicit()
	n, err := io.Copy(a.ResponseWriter, src)
	a.written += n
	return n, err
}

func (a *answer) implicit() {
	if !a.sent {
		a.status, a.sent = http.StatusOK, true
	}
}

// Flush implements http.Flusher for handlers that ask the old way.
func (a *answer) Flush() {
	a.implicit()
	_ = http.NewResponseController(a.ResponseWriter).Flush() // a writer that cannot flush has nothing to flush
}

// Unwrap lets http.ResponseController reach the server's writer.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// drainingKey finds the channel that closes when the server begins to stop.
type drainingKey struct{}

// Draining gives a channel that closes when the server of a request begins to stop, nil outside of a Server. An answer without
// an end, such as an event stream, ends itself then; requests with an end need not care.
func Draining(ctx context.Context) <-chan struct{} {
	c, _ := ctx.Value(drainingKey{}).(chan struct{})
	return c
}
