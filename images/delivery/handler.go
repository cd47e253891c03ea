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

	batches  batches
	upgrades upgrades

	cacheControl, truncatedCacheControl, passingCacheControl, errorCacheControl []string

	vary []string // of negotiated answers
}

// Header values that never change, shared by all answers.
var (
	valueNosniff = []string{"nosniff"}
	valueAny     = []string{"*"}
	valueExposed = []string{"Server-Timing, X-Request-Id"}
	valueBytes   = []string{"bytes"}
	valueAccept  = []string{"Accept"}
	valueHints   = []string{acceptedHints}
)

// New makes a Handler.
func New(cfg Config, deps Deps) *Handler {
	if cfg.Time <= 0 {
		cfg.Time = time.Duration(images.DefaultLimits().Time)
	}
	if deps.Metrics == nil {
		deps.Metrics = NewMetrics()
	}
	if cfg.BackgroundShare <= 0 || cfg.BackgroundShare > 1 {
		cfg.BackgroundShare = images.Default().Negotiation.BackgroundShare
	}
	h := &Handler{cfg: cfg, deps: deps, vary: valueAccept}
	h.upgrades.pending = make(chan *task, upgradesPending)
	h.upgrades.queued = make(map[cache.Key]struct{})
	h.upgrades.resting = cache.NewMemory[cache.Key, time.Time](failedRemembered)
	if cfg.Hints {
		h.vary = []string{"Accept, " + hintNames}
	}
	c := cfg.Caching
	stale := staleness(c)
	h.cacheControl = []string{maxAge(c.MaxAge, c.Immutable) + stale}
	h.truncatedCacheControl = []string{maxAge(min(c.TruncatedMaxAge, c.MaxAge), false)}
	h.passingCacheControl = []string{maxAge(min(c.PassingMaxAge, c.MaxAge), false)}
	h.errorCacheControl = []string{maxAge(c.ErrorMaxAge, false)}
	return h
}

func maxAge(d time.Duration, immutable bool) string {
	v := "public, max-age=" + seconds(d)
	if immutable {
		v += ", immutable"
	}
	return v
}

// staleness is what caches may do with an answer that is too old (RFC 5861).
func staleness(c images.Caching) string {
	v := ""
	if c.StaleWhileRevalidate > 0 {
		v += ", stale-while-revalidate=" + seconds(c.StaleWhileRevalidate)
	}
	if c.StaleIfError > 0 {
		v += ", stale-if-error=" + seconds(c.StaleIfError)
	}
	return v
}

func seconds(d time.Duration) string { return strconv.FormatInt(int64(d/time.Second), 10) }

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
	varies   bool // Accept or a hint decided something
	plain    bool // Accept named none of the formats that could be chosen
	passing  bool // a better format is being made
	spelling string
	key      cache.Key
	set      *batch // see task
	arrive   func()
	err      error // of Many
}

// spell names the result that is wanted.
func (v *visit) spell(h *Handler) {
	v.spelling = v.req.Rendition.String()
	if v.plain {
		v.spelling += plainMark
	}
	v.key = h.key(v.spelling, &v.original)
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
	e := h.event(v)
	e.Time, e.RequestID, e.Bytes, e.Took, e.Detail = v.start, httpserver.RequestID(r), v.bytes, took, v.detail
	h.deps.Events(e)
}

// serve answers with a picture or returns an error before it wrote anything.
func (h *Handler) serve(w http.ResponseWriter, r *http.Request, v *visit) (err error) {
	if err := h.find(r, v); err != nil {
		return err
	}
	if match := r.Header["If-None-Match"]; len(match) > 0 {
		if tag, ok := matches(match, v.key, v.req.Version); ok {
			h.notModified(w, v, tag)
			h.keep(r, w.Header(), v, v.key, nil)
			return nil
		}
	}
	res, err := h.result(r.Context(), r, v)
	if err != nil {
		return err
	}
	h.write(w, r, v, res)
	h.keep(r, w.Header(), v, v.key, res)
	return nil
}

// plainMark tells the key of a negotiated rendition in a plain format from the
// one in the original's format; no spelling has this letter.
const plainMark = "\x00plain"

// key names the result of a rendition of an original.
func (h *Handler) key(spelling string, o *origin.Original) cache.Key {
	return cache.Sum(h.cfg.Salt, spelling, o.Identity())
}

// matches finds the ETag of a possible result of the key in If-None-Match. The
// key is made of the identity of the original, so nothing need be rendered to
// know that the client has the picture, in whichever bytes. "*" is left to the end, because only a
// rendered picture shows that there is one.
func matches(match []string, key cache.Key, version string) (tag string, ok bool) {
	name := `"` + tagName(key, version) // in hex of fixed form: no other tag contains it
	for _, line := range match {
		for _, rest, found := strings.Cut(line, name); found; _, rest, found = strings.Cut(rest, name) {
			if mark, _, ended := strings.Cut(rest, `"`); ended && marks.MatchString(mark) {
				return name + mark + `"`, true
			}
		}
	}
	return "", false
}

func (h *Handler) notModified(w http.ResponseWriter, v *visit, tag string) {
	header := w.Header()
	header["Etag"] = []string{tag}
	cacheControl := h.cacheControl
	if ofTruncated(tag) {
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
// no cache shows the picture for longer than the URL is good, not as a stale one
// either.
func (h *Handler) untilExpiry(value []string, v *visit) []string {
	if v.req.Expires.IsZero() {
		return value
	}
	c := h.cfg.Caching
	age, stale := c.MaxAge, max(c.StaleWhileRevalidate, c.StaleIfError)
	switch value[0] {
	case h.truncatedCacheControl[0]:
		age, stale = min(age, c.TruncatedMaxAge), 0
	case h.passingCacheControl[0]:
		age, stale = min(age, c.PassingMaxAge), 0
	}
	left := max(v.req.Expires.Sub(v.start), 0)
	if left >= age+stale {
		return value
	}
	return []string{maxAge(min(left, age), false)}
}

// open sets what every answer with a picture's headers has.
func (h *Handler) open(header http.Header, v *visit) {
	header["Access-Control-Allow-Origin"] = valueAny
	header["Access-Control-Expose-Headers"] = valueExposed
	header["Timing-Allow-Origin"] = valueAny
	if v.varies {
		header["Vary"] = h.vary
		if h.cfg.Hints {
			header["Accept-Ch"] = valueHints
		}
	}
	if h.deps.Tags != nil && v.original.Key != "" {
		header["Surrogate-Key"] = []string{strings.Join(h.deps.Tags(v.original.Source, v.original.Key, v.req.Kind, v.req.Owner), " ")}
	}
}

// result finds the result that is wanted in the caches, or has it made.
func (h *Handler) result(ctx context.Context, r *http.Request, v *visit) (*Result, error) {
	if res, ok := h.cached(v); ok {
		return res, nil
	}
	if h.later(v) {
		h.interim(r, v)
		if res, ok := h.cached(v); ok {
			return res, nil
		}
	}
	// The shared work must not hold on to this request: it may outlive it.
	t := task{start: v.start, original: v.original, want: v.req.Rendition, plain: v.plain, key: v.key, spelling: v.spelling, owner: v.req.Owner, set: v.set, arrive: v.arrive}
	// A set does not wait for what another request has made: that may wait for
	// what this set makes.
	done, shared, err := h.work.DoTelling(ctx, v.key, func(ctx context.Context) (made, error) { return h.make(ctx, &t) }, v.arrive)
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

// cached finds a result in the caches.
func (h *Handler) cached(v *visit) (*Result, bool) {
	if res, ok := h.deps.Memory.Get(v.key); ok {
		v.outcome = OutcomeMemory
		return res, true
	}
	if e, ok := h.deps.Disk.Get(v.key); ok {
		v.outcome = OutcomeDisk
		res := h.newResult(v.key, v.original.Key, e)
		h.deps.Memory.Add(v.key, res, res.cost())
		return res, true
	}
	return nil, false
}

// conditions are the request headers that http.ServeContent knows what to do
// with.
var conditions = [...]string{"Range", "If-Range", "If-None-Match", "If-Match", "If-Modified-Since", "If-Unmodified-Since"}

// write answers with a result.
func (h *Handler) write(w http.ResponseWriter, r *http.Request, v *visit, res *Result) {
	header := w.Header()
	header["Content-Type"] = res.contentType
	header["Content-Disposition"] = res.disposition
	if v.req.FileName != "" || v.req.Attachment {
		header["Content-Disposition"] = []string{disposition(v, res)}
	}
	header["Cache-Control"] = h.untilExpiry(res.cacheControl, v)
	if v.passing {
		header["Cache-Control"] = h.untilExpiry(h.passingCacheControl, v)
	}
	header["X-Content-Type-Options"] = valueNosniff
	header["Accept-Ranges"] = valueBytes
	h.open(header, v)
	header["Etag"] = res.etag
	if v.req.Version != "" {
		header["Etag"] = []string{res.tag(v.req.Version)}
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
