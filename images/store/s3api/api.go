package s3api

import (
	"context"
	"crypto/rand"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kamado/kamado/images/store/cors"
	"github.com/kamado/kamado/images/store/parts"
	"github.com/kamado/kamado/images/store/shelf"
	"github.com/kamado/kamado/images/store/sigv4"
	"github.com/kamado/kamado/internal/httpserver"
)

// Bucket is what a bucket's name means.
type Bucket struct {
	Origin string
	Prefix string // before each key; empty, or ends in "/"
}

// Config is what is served.
type Config struct {
	Domain         string // host name below which buckets are host names; empty: in the path only
	Region         string // that clients are told; empty: us-east-1
	Buckets        map[string]Bucket
	AllowedOrigins []string // web pages that may use presigned URLs
}

// Deps are what the handler uses; all are needed but Now.
type Deps struct {
	Shelf    *shelf.Shelf
	Parts    *parts.Store
	Verifier *sigv4.Verifier
	Log      *slog.Logger
}

// Handler is the S3 interface, and a prometheus.Collector of its requests.
type Handler struct {
	cfg     Config
	deps    Deps
	started time.Time // what buckets say they were made at
	outer   http.Handler
	counts  map[string]*[statusClasses]atomic.Uint64 // by operation
}

const statusClasses = 6 // status/100

// New makes the handler.
func New(cfg Config, deps Deps) *Handler {
	h := &Handler{cfg: cfg, deps: deps, started: time.Now().UTC().Truncate(time.Second), counts: map[string]*[statusClasses]atomic.Uint64{}}
	for _, op := range operations {
		h.counts[op.name] = new([statusClasses]atomic.Uint64)
	}
	h.counts[refusedName] = new([statusClasses]atomic.Uint64)
	policy := cors.Policy{
		Origins: cfg.AllowedOrigins, Methods: "GET, HEAD, PUT, POST, DELETE",
		Headers: "authorization, content-type, content-md5, if-match, if-none-match, range, x-amz-date, x-amz-content-sha256, x-amz-user-agent, x-amz-acl, " +
			"x-amz-sdk-checksum-algorithm, x-amz-checksum-crc32, x-amz-checksum-crc32c, x-amz-checksum-crc64nvme, x-amz-checksum-sha1, x-amz-checksum-sha256",
		Exposed: "etag, content-range, x-amz-request-id",
	}
	h.outer = policy.Wrap(http.HandlerFunc(h.serve))
	return h
}

// Owns says whether a host name, with or without its port, is that of this
// interface: the domain, or one directly below it.
func (h *Handler) Owns(host string) bool {
	host = withoutPort(host)
	return h.cfg.Domain != "" && (host == h.cfg.Domain || strings.HasSuffix(host, "."+h.cfg.Domain))
}

func withoutPort(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	return strings.ToLower(host)
}

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) { h.outer.ServeHTTP(w, r) }

// call is one request on its way.
type call struct {
	h      *Handler
	w      http.ResponseWriter
	r      *http.Request
	id     string // request id
	bucket string
	key    string // as the client names it; empty: the bucket itself
	place  Bucket
	signed *sigv4.Signed
}

// ref names the object that the client calls key.
func (c *call) ref(key string) shelf.Ref {
	return shelf.Ref{Origin: c.place.Origin, Key: c.place.Prefix + key}
}

func (c *call) actor() shelf.Actor {
	return shelf.Actor{Via: "s3", Name: c.signed.AccessKey, RequestID: c.id}
}

func (c *call) ctx() context.Context { return c.r.Context() }

func (c *call) query(name string) string { return c.r.URL.Query().Get(name) }

// counted remembers the status of an answer.
type counted struct {
	http.ResponseWriter
	status int
}

func (c *counted) WriteHeader(status int) {
	if c.status == 0 {
		c.status = status
	}
	c.ResponseWriter.WriteHeader(status)
}

func (c *counted) Write(p []byte) (int, error) {
	if c.status == 0 {
		c.status = http.StatusOK
	}
	return c.ResponseWriter.Write(p)
}

// Unwrap is for http.ResponseController.
func (c *counted) Unwrap() http.ResponseWriter { return c.ResponseWriter }

// refusedName is the operation of requests that were refused before theirs was
// known.
const refusedName = "refused"

func (h *Handler) serve(w http.ResponseWriter, r *http.Request) {
	cw := &counted{ResponseWriter: w}
	c := &call{h: h, w: cw, r: r, id: httpserver.RequestID(r)}
	if c.id == "" {
		c.id = rand.Text()
	}
	name := refusedName
	defer func() { h.counts[name][cw.status/100%statusClasses].Add(1) }()
	defer shelf.Settle(w, r)
	cw.Header().Set("X-Amz-Request-Id", c.id)
	cw.Header().Set("Cache-Control", "private, no-cache")
	op, err := h.admit(c)
	if op != nil {
		name = op.name
	}
	if err == nil {
		err = op.do(c)
	}
	if err != nil {
		c.fail(err)
	}
}

// admit finds out what is asked and whether it may be.
func (h *Handler) admit(c *call) (*operation, error) {
	var err error
	if c.signed, err = h.deps.Verifier.Verify(c.r); err != nil {
		return nil, err
	}
	c.split()
	op, err := c.route()
	if err != nil {
		return nil, err
	}
	if op.write && c.signed.ReadOnly {
		return op, errReadOnly
	}
	for _, name := range promises {
		if c.r.Header.Get(name) != "" {
			return op, errPromise
		}
	}
	if c.bucket == "" {
		return op, nil
	}
	place, known := h.cfg.Buckets[c.bucket]
	if !known {
		return op, errNoBucket
	}
	c.place = place
	return op, nil
}

// promises are headers whose sender relies on something that is not done here.
var promises = []string{
	"X-Amz-Server-Side-Encryption", "X-Amz-Server-Side-Encryption-Customer-Algorithm", "X-Amz-Object-Lock-Mode", "X-Amz-Object-Lock-Legal-Hold",
	"X-Amz-Object-Lock-Retain-Until-Date", "X-Amz-Website-Redirect-Location", "X-Amz-Write-Offset-Bytes",
}

// split finds bucket and key in the host name or in the path.
func (c *call) split() {
	path := strings.TrimPrefix(c.r.URL.Path, "/")
	if d := c.h.cfg.Domain; d != "" {
		if name, ok := strings.CutSuffix(withoutPort(c.r.Host), "."+d); ok {
			c.bucket, c.key = name, path
			return
		}
	}
	c.bucket, c.key, _ = strings.Cut(path, "/")
}

var descRequests = prometheus.NewDesc("kamado_images_store_s3_requests_total",
	"Requests of S3 clients by operation and class of status (2xx, 3xx, 4xx, 5xx).", []string{"operation", "status"}, nil)

// Describe implements prometheus.Collector.
func (h *Handler) Describe(ch chan<- *prometheus.Desc) { ch <- descRequests }

// Collect implements prometheus.Collector.
func (h *Handler) Collect(ch chan<- prometheus.Metric) {
	for name, classes := range h.counts {
		for class := 2; class < statusClasses; class++ {
			ch <- prometheus.MustNewConstMetric(descRequests, prometheus.CounterValue, float64(classes[class].Load()), name, string(rune('0'+class))+"xx")
		}
	}
}
