package upload

import (
	"encoding/json"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/kamado/kamado/images"
	"github.com/kamado/kamado/images/signature"
	"github.com/kamado/kamado/images/store/cors"
	"github.com/kamado/kamado/images/store/shelf"
	"github.com/kamado/kamado/internal/httpserver"
)

// Bounds of a page of the list.
const (
	pageDefault = 100
	pageMax     = 1000
)

// Guard lets requests through that carry the operator's credential; operator.Guard
// is the real one.
type Guard interface {
	Require(http.Handler) http.Handler
}

// Config is how uploads are taken.
type Config struct {
	Origin         string   // where they go
	AllowedOrigins []string // pages that may send with signed URLs
}

// Deps are what the handler uses. Shelf is needed.
type Deps struct {
	Shelf *shelf.Shelf
	Guard Guard            // nil: signed URLs only
	Keys  *signature.Keys  // nil: no signed URLs
	Now   func() time.Time // nil: time.Now
}

// Stored is the answer to a PUT.
type Stored struct {
	Key    string `json:"key"`
	ETag   string `json:"etag"`
	Bytes  int64  `json:"bytes"`
	MD5    string `json:"md5"`              // of the bytes, in hex
	Format string `json:"format,omitempty"` // absent: no picture
	Width  int    `json:"width,omitempty"`  // pixels, upright
	Height int    `json:"height,omitempty"`
	// TakenDown: a takedown of the key is in force and stays so: nothing of what was
	// sent is shown before it is restored.
	TakenDown bool `json:"taken_down,omitempty"`
}

// Original is one original in a list.
type Original struct {
	Key      string    `json:"key"`
	Bytes    int64     `json:"bytes"`
	ETag     string    `json:"etag"`
	Modified time.Time `json:"modified"`
}

// Page is a page of originals in the order of their keys.
type Page struct {
	Originals []Original `json:"originals"`
	Next      string     `json:"next,omitempty"` // give it as after=; empty: there are no more
}

// New makes the handler; mount it at Prefix.
func New(cfg Config, deps Deps) http.Handler {
	if deps.Now == nil {
		deps.Now = time.Now
	}
	h := &handler{cfg: cfg, deps: deps}
	var operator http.Handler = http.HandlerFunc(h.nobody)
	if deps.Guard != nil {
		operator = deps.Guard.Require(answer(h.asOperator))
	}
	policy := cors.Policy{
		Origins: cfg.AllowedOrigins, Methods: "GET, HEAD, PUT, DELETE",
		Headers: "content-type, content-md5, if-match, if-none-match, range, x-amz-checksum-sha1, x-amz-checksum-sha256, x-amz-checksum-crc32, x-amz-checksum-crc32c, x-amz-checksum-crc64nvme",
		Exposed: "etag, content-range, retry-after, x-request-id",
	}
	byURL := answer(h.bySignature)
	return policy.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if signed(r.URL) {
			byURL.ServeHTTP(w, r)
			return
		}
		operator.ServeHTTP(w, r)
	}))
}

type handler struct {
	cfg  Config
	deps Deps
}

func (h *handler) nobody(w http.ResponseWriter, r *http.Request) {
	fail(w, r, images.Errorf(images.Denied, "the URL has to be signed and is not"))
}

// visit is one request that may.
type visit struct {
	key   string
	by    shelf.Actor
	grant *Grant // nil: the operator
}

// keyOf reads the key from the path, in its one spelling.
func keyOf(r *http.Request) (string, error) {
	segments, err := images.Segments(r.URL)
	if err != nil {
		return "", err
	}
	if len(segments) < 2 || segments[0] != strings.Trim(Prefix, "/") {
		return "", images.Errorf(images.NotFound, "originals are at %s", Prefix)
	}
	for _, s := range segments[1:] {
		if strings.Contains(s, "/") {
			return "", images.Invalidf("key", "a part of it has a slash")
		}
	}
	return strings.Join(segments[1:], "/"), nil
}

func (h *handler) bySignature(w http.ResponseWriter, r *http.Request) error {
	key, err := keyOf(r)
	if err != nil {
		return err
	}
	g, sig, err := parseGrant(r.Method, key, r.URL)
	if err != nil {
		return err
	}
	if err := verify(h.deps.Keys, &g, sig, h.deps.Now()); err != nil {
		return err
	}
	if g.Type != "" && !sameType(g.Type, r.Header.Get("Content-Type")) {
		return &images.Error{Kind: images.Denied, Part: "type", Detail: "the Content-Type is not the signed one"}
	}
	return h.serve(w, r, &visit{key: key, grant: &g, by: actor(r, "signed url")})
}

// sameType compares media types without their parameters.
func sameType(a, b string) bool {
	ta, _, erra := mime.ParseMediaType(a)
	tb, _, errb := mime.ParseMediaType(b)
	return erra == nil && errb == nil && ta == tb
}

func actor(r *http.Request, name string) shelf.Actor {
	return shelf.Actor{Via: "upload", Name: name, RequestID: httpserver.RequestID(r)}
}

func (h *handler) asOperator(w http.ResponseWriter, r *http.Request) error {
	if r.URL.Path == Prefix {
		return h.list(w, r)
	}
	key, err := keyOf(r)
	if err == nil {
		_, err = images.Query(r.URL) // none is known
	}
	if err == nil {
		err = images.CheckKey(key)
	}
	if err != nil {
		return err
	}
	return h.serve(w, r, &visit{key: key, by: actor(r, "operator")})
}

func (h *handler) serve(w http.ResponseWriter, r *http.Request, v *visit) error {
	ref := shelf.Ref{Origin: h.cfg.Origin, Key: v.key}
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		if v.grant != nil && h.deps.Shelf.TakenDown(ref) { // the operator may look at what was hidden
			return images.Errorf(images.Gone, "this picture was taken down")
		}
		return h.deps.Shelf.Serve(w, r, ref, func(o shelf.Object) shelf.Serving {
			return shelf.Serving{ETag: o.ETag, Header: http.Header{"Cache-Control": {"private, no-cache"}}}
		})
	case http.MethodPut:
		return h.put(w, r, ref, v)
	case http.MethodDelete:
		if err := h.deps.Shelf.Delete(r.Context(), ref, shelf.ConditionOf(r.Header), v.by); err != nil {
			return err
		}
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	w.Header().Set("Allow", "GET, HEAD, PUT, DELETE")
	return errMethod
}

func (h *handler) put(w http.ResponseWriter, r *http.Request, ref shelf.Ref, v *visit) error {
	body := shelf.Body{Reader: shelf.Incoming(w, r, h.deps.Shelf.Stall()), Size: r.ContentLength}
	write := shelf.Write{If: shelf.ConditionOf(r.Header), By: v.by}
	if v.grant != nil {
		body.Max = v.grant.MaxBytes
		if v.grant.New {
			write.If.NoneMatch = "*"
		}
	}
	var err error
	if body.Sums, err = shelf.Announced(r.Header); err != nil {
		return images.Invalidf("checksum", "%v", err)
	}
	o, err := h.deps.Shelf.Put(r.Context(), ref, body, write)
	if err != nil {
		return err
	}
	s := Stored{Key: o.Key, ETag: o.ETag, Bytes: o.Size, MD5: o.BodyMD5, Width: o.Facts.Width, Height: o.Facts.Height, TakenDown: h.deps.Shelf.TakenDown(ref)}
	if o.Format != images.FormatUnknown {
		s.Format = o.Format.String()
	}
	w.Header().Set("ETag", `"`+o.ETag+`"`)
	return writeJSON(w, s)
}

func (h *handler) list(w http.ResponseWriter, r *http.Request) error {
	if r.Method != http.MethodGet {
		w.Header().Set("Allow", "GET")
		return errMethod
	}
	q, err := images.Query(r.URL, "prefix", "after", "limit")
	if err != nil {
		return err
	}
	limit := pageDefault
	if s := q["limit"]; s != "" {
		if limit, err = strconv.Atoi(s); err != nil || limit < 1 || limit > pageMax {
			return images.Invalidf("limit", "it is not a number from 1 to %d", pageMax)
		}
	}
	list, err := h.deps.Shelf.List(r.Context(), h.cfg.Origin, q["prefix"], q["after"], limit)
	if err != nil {
		return err
	}
	page := Page{Originals: make([]Original, len(list))}
	for i, o := range list {
		page.Originals[i] = Original{Key: o.Key, Bytes: o.Size, ETag: o.ETag, Modified: o.ModTime.UTC()}
	}
	if len(list) == limit {
		page.Next = list[len(list)-1].Key
	}
	return writeJSON(w, page)
}

func writeJSON(w http.ResponseWriter, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	_, _ = w.Write(append(body, '\n')) // a client that left is nobody to tell
	return nil
}
