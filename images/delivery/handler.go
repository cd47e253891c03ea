package delivery

import (
	"bytes"
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/kamado/kamado/images"
	"github.com/kamado/kamado/images/cache"
	"github.com/kamado/kamado/images/origin"
	"github.com/kamado/kamado/internal/httpserver"
)

// Handler answers requests for pictures. Safe for concurrent use.
type Handler struct {
	cfg  Config
	deps Deps
	work cache.Group[cache.Key, made]

	batches batches

	cacheControl, truncatedCacheControl []string
	errorCacheControl                   []string
}

// Header values that never change, shared by all answers.
var (
	valueNosniff = []string{"nosniff"}
	valueAny     = []string{"*"}
	valueExposed = []string{"Server-Timing, X-Request-Id"}
	valueBytes   = []string{"bytes"}
	valueAccept  = []string{"Accept"}
)

// New makes a Handler.
func New(cfg Config, deps Deps) *Handler {
	if cfg.Time <= 0 {
		cfg.Time = time.Duration(images.DefaultLimits().Time)
	}
	if deps.Metrics == nil {
		deps.Metrics = NewMetrics()
	}
	h := &Handler{cfg: cfg, deps: deps}
	h.cacheControl = []string{maxAge(cfg.Caching.MaxAge, cfg.Caching.Immutable)}
	h.truncatedCacheControl = []string{maxAge(min(cfg.Caching.TruncatedMaxAge, cfg.Caching.MaxAge), false)}
	h.errorCacheControl = []string{maxAge(cfg.Caching.ErrorMaxAge, false)}
	return h
}

func maxAge(d time.Duration, immutable bool) string {
	v := "public, max-age=" + strconv.FormatInt(int64(d/time.Second), 10)
	if immutable {
		v += ", immutable"
	}
	return v
}

// visit is one request on its way. It lives on the stack of ServeHTTP.
type visit struct {
	start    time.Time
	req      images.Request
	original origin.Original
	timing   timing
	outcome  Outcome
	status   int
	bytes    int
	format   string
	detail   string
	varies   bool // Accept decided something
	plain    bool // Accept named none of the formats that could be chosen
}

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	v := visit{start: time.Now()}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header()["Allow"] = []string{"GET, HEAD"}
		h.fail(w, r, &v, errMethod)
	} else if err := h.serve(w, r, &v); err != nil {
		h.fail(w, r, &v, err)
	}
	h.tell(r, &v)
}

// tell counts the request and reports it.
func (h *Handler) tell(r *http.Request, v *visit) {
	took := time.Since(v.start)
	h.deps.Metrics.observe(v, took)
	if h.deps.Events == nil {
		return
	}
	e := Event{
		Time: v.start, RequestID: httpserver.RequestID(r), Grammar: v.req.Grammar, Origin: v.original.Source,
		Owner: v.req.Owner, Outcome: v.outcome, Status: v.status, Format: v.format, Bytes: v.bytes, Took: took, Detail: v.detail,
	}
	if v.req.Grammar != "" {
		e.Original, e.Rendition = v.req.Original(), v.req.Rendition.String()
	}
	h.deps.Events(e)
}

// serve answers with a picture or returns an error before it wrote anything.
func (h *Handler) serve(w http.ResponseWriter, r *http.Request, v *visit) (err error) {
	if v.req, err = h.deps.Parse(r); err != nil {
		return err
	}
	h.negotiate(r, v)
	v.original, err = h.deps.Originals.Find(r.Context(), origin.Ref{
		Host: r.Host, Kind: v.req.Kind, ID: v.req.ID, Key: v.req.Key, Version: v.req.Version,
	})
	if err != nil {
		return err
	}
	v.timing.origin = time.Since(v.start)
	spelling := v.req.Rendition.String()
	if v.plain {
		spelling += plainMark
	}
	key := h.key(spelling, &v.original)
	if match := r.Header["If-None-Match"]; len(match) > 0 {
		if tag, flags, ok := matches(match, key, v.req.Version); ok {
			h.notModified(w, v, tag, flags)
			return nil
		}
	}
	res, err := h.result(r.Context(), v, key, spelling)
	if err != nil {
		return err
	}
	h.write(w, r, v, res)
	return nil
}

// plainMark tells the key of a negotiated rendition in a plain format from the
// one in the original's format; no spelling has this letter.
const plainMark = "\x00plain"

// key names the result of a rendition of an original.
func (h *Handler) key(spelling string, o *origin.Original) cache.Key {
	return cache.Sum(h.cfg.Salt, spelling, o.Source, o.Key, o.ETag)
}

// resultFlags are the ways in which a result of one key may have come to be;
// each has its own ETag.
var resultFlags = [...]cache.Flags{0, cache.FlagMezzanine, cache.FlagTruncated}

// matches finds the ETag of a possible result of the key in If-None-Match. The
// key is made of the identity of the original, so nothing need be rendered to
// know that the client has the result. "*" is left to the end, because only a
// rendered picture shows that there is one.
func matches(match []string, key cache.Key, version string) (tag string, flags cache.Flags, ok bool) {
	for _, flags := range resultFlags {
		tag := withVersion(tagOf(key, flags), version)
		for _, line := range match {
			if strings.Contains(line, tag) { // quoted hex of fixed form: no other tag contains one
				return tag, flags, true
			}
		}
	}
	return "", 0, false
}

func (h *Handler) notModified(w http.ResponseWriter, v *visit, tag string, flags cache.Flags) {
	header := w.Header()
	header["Etag"] = []string{tag}
	cacheControl := h.cacheControl
	if flags&cache.FlagTruncated != 0 {
		cacheControl = h.truncatedCacheControl
	}
	header["Cache-Control"] = h.untilExpiry(cacheControl, v)
	h.open(header, v)
	if !v.original.Modified.IsZero() {
		header["Last-Modified"] = []string{v.original.Modified.UTC().Format(httpTime)}
	}
	v.outcome, v.status = OutcomeNotModified, http.StatusNotModified
	w.WriteHeader(http.StatusNotModified)
}

// untilExpiry shortens Cache-Control for a URL whose signature expires, so that
// no cache shows the picture for longer than the URL is good.
func (h *Handler) untilExpiry(value []string, v *visit) []string {
	if v.req.Expires.IsZero() {
		return value
	}
	left := max(v.req.Expires.Sub(v.start), 0)
	if left >= h.cfg.Caching.MaxAge {
		return value
	}
	if value[0] == h.truncatedCacheControl[0] {
		left = min(left, h.cfg.Caching.TruncatedMaxAge)
	}
	return []string{maxAge(left, false)}
}

// open sets what every answer with a picture's headers has.
func (h *Handler) open(header http.Header, v *visit) {
	header["Access-Control-Allow-Origin"] = valueAny
	header["Access-Control-Expose-Headers"] = valueExposed
	header["Timing-Allow-Origin"] = valueAny
	if v.varies {
		header["Vary"] = valueAccept
	}
}

// result finds the result of a key in the caches, or has it made.
func (h *Handler) result(ctx context.Context, v *visit, key cache.Key, spelling string) (*Result, error) {
	if res, ok := h.deps.Memory.Get(key); ok {
		v.outcome = OutcomeMemory
		return res, nil
	}
	if e, ok := h.deps.Disk.Get(key); ok {
		v.outcome = OutcomeDisk
		res := h.newResult(key, v.original.Key, e)
		h.deps.Memory.Add(key, res, res.cost())
		return res, nil
	}
	// The shared work must not hold on to this request: it may outlive it.
	t := task{start: v.start, original: v.original, want: v.req.Rendition, plain: v.plain, key: key, spelling: spelling}
	done, shared, err := h.work.Do(ctx, key, func(ctx context.Context) (made, error) { return h.make(ctx, &t) })
	v.outcome = OutcomeRendered
	if shared {
		v.outcome = OutcomeShared
	}
	if err != nil {
		return nil, err
	}
	v.timing.add(done.timing)
	return done.result, nil
}

// conditions are the request headers that http.ServeContent knows what to do
// with.
var conditions = [...]string{"Range", "If-Range", "If-None-Match", "If-Match", "If-Modified-Since", "If-Unmodified-Since"}

// write answers with a result.
func (h *Handler) write(w http.ResponseWriter, r *http.Request, v *visit, res *Result) {
	header := w.Header()
	header["Content-Type"] = res.contentType
	header["Content-Disposition"] = res.disposition
	header["Cache-Control"] = h.untilExpiry(res.cacheControl, v)
	header["X-Content-Type-Options"] = valueNosniff
	header["Accept-Ranges"] = valueBytes
	h.open(header, v)
	header["Etag"] = res.etag
	if v.req.Version != "" {
		header["Etag"] = []string{withVersion(res.tag, v.req.Version)}
	}
	if res.lastModified != nil {
		header["Last-Modified"] = res.lastModified
	}
	header["Server-Timing"] = []string{v.timing.header(v.outcome, time.Since(v.start))}
	v.status, v.format = http.StatusOK, images.Format(res.entry.Format).String()
	for _, name := range conditions {
		if _, ok := r.Header[name]; ok {
			counted := &countingWriter{ResponseWriter: w}
			http.ServeContent(counted, r, "", res.entry.Modified, bytes.NewReader(res.entry.Data))
			v.status, v.bytes = counted.status, counted.bytes
			return
		}
	}
	header["Content-Length"] = res.contentLength
	w.WriteHeader(http.StatusOK)
	if r.Method == http.MethodGet {
		v.bytes, _ = w.Write(res.entry.Data) // a client that left is nobody to tell
	}
}

// countingWriter notes what http.ServeContent answered.
type countingWriter struct {
	http.ResponseWriter
	status, bytes int
}

func (c *countingWriter) WriteHeader(status int) {
	c.status = status
	c.ResponseWriter.WriteHeader(status)
}

func (c *countingWriter) Write(b []byte) (int, error) {
	n, err := c.ResponseWriter.Write(b)
	c.bytes += n
	return n, err
}
