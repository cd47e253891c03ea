package delivery_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/png"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kamado/kamado/images"
	"github.com/kamado/kamado/images/cache"
	"github.com/kamado/kamado/images/delivery"
	"github.com/kamado/kamado/images/origin"
	"github.com/kamado/kamado/images/queue"
	"github.com/kamado/kamado/internal/blob/fs"
)

// double renders by writing down what it was asked. Originals whose bytes
// begin with a word make it misbehave.
type double struct {
	sets    atomic.Int32
	renders atomic.Int32
	hold    chan struct{} // not nil: wait here, or for the context
	shared  bool          // what is made with others has other bytes
}

func (d *double) RenderSet(ctx context.Context, src []byte, wants []images.Rendition) []delivery.Made {
	d.sets.Add(1)
	made := make([]delivery.Made, len(wants))
	for i, want := range wants {
		made[i].Rendering, made[i].Err = d.render(ctx, src, want)
		if d.shared && len(wants) > 1 {
			made[i].Shared, made[i].Data = true, fmt.Appendf(made[i].Data, ", one of %d", len(wants))
		}
	}
	return made
}

func (d *double) render(ctx context.Context, src []byte, want images.Rendition) (delivery.Rendering, error) {
	d.renders.Add(1)
	if d.hold != nil {
		select {
		case <-d.hold:
		case <-ctx.Done():
			return delivery.Rendering{}, ctx.Err()
		}
	}
	word, _, _ := strings.Cut(strings.TrimPrefix(string(src), likeJPEG), " ")
	switch word {
	case "nonsense":
		return delivery.Rendering{}, images.Errorf(images.Unprocessable, "the original is not a picture")
	case "bomb":
		return delivery.Rendering{}, &images.Error{Kind: images.TooLarge, Part: "max_pixels", Detail: "too many pixels"}
	case "dead":
		return delivery.Rendering{}, images.Errorf(images.Unavailable, "the worker died")
	case "bug":
		return delivery.Rendering{}, errors.New("secret internals")
	case "panic":
		panic("broken invariant")
	}
	format := want.Format
	if format == images.FormatUnknown {
		format = images.JPEG
	}
	return delivery.Rendering{
		Data: fmt.Appendf(nil, "%s of %s", want, src), Format: format, Width: 480, Height: 360, Truncated: word == "truncated",
		Stages: []delivery.Stage{{Name: "decode", Duration: time.Millisecond}, {Name: "encode", Duration: time.Millisecond}},
	}, nil
}

// parse is a grammar of /kind/id/WxH[.ext][?p=] with "auto" and "denied" as
// extensions, enough for these tests.
func parse(r *http.Request) (images.Request, error) {
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	if len(parts) != 3 {
		return images.Request{}, images.Invalidf("path", "it has %d parts and not 3", len(parts))
	}
	req := images.Request{Grammar: "test", Kind: parts[0], ID: parts[1], Version: r.URL.Query().Get("p")}
	if s := r.URL.Query().Get("expires"); s != "" {
		d, err := time.ParseDuration(s)
		if err != nil {
			return req, err
		}
		req.Expires = time.Now().Add(d)
	}
	size, ext, _ := strings.Cut(parts[2], ".")
	if _, err := fmt.Sscanf(size, "%dx%d", &req.Rendition.Width, &req.Rendition.Height); err != nil {
		return req, images.Invalidf("size", "%q is not a size", size)
	}
	switch ext {
	case "denied":
		return req, images.Errorf(images.Denied, "the signature is missing")
	case "auto":
		req.Rendition.AutoFormat = true
	case "png":
		req.Rendition.Format = images.PNG
	}
	return req, nil
}

// bench is a handler over a directory of originals.
type bench struct {
	dir    string
	double *double
	events []delivery.Event
	mu     sync.Mutex
	http.Handler
}

type option func(*delivery.Config, *delivery.Deps)

func newBench(t *testing.T, originals map[string]string, options ...option) *bench {
	t.Helper()
	b := &bench{dir: t.TempDir(), double: &double{}}
	for name, content := range originals {
		b.put(t, name, content)
	}
	store, err := fs.Open(b.dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	deps := delivery.Deps{
		Parse: parse, Originals: finder(t, origin.Source{Name: "default", Store: store}), Renderer: b.double,
		Places: queue.New(queue.Config{Places: 4, Waiting: 200}),
		Memory: cache.NewMemory[cache.Key, *delivery.Result](1 << 20),
		Log:    slog.New(slog.DiscardHandler),
		Events: func(e delivery.Event) { b.mu.Lock(); b.events = append(b.events, e); b.mu.Unlock() },
	}
	cfg := delivery.Config{Caching: images.Default().Caching, Negotiable: []images.Format{images.AVIF, images.WebP}}
	for _, o := range options {
		o(&cfg, &deps)
	}
	b.Handler = delivery.New(cfg, deps)
	return b
}

func finder(t *testing.T, source origin.Source) *origin.Finder {
	t.Helper()
	f, err := origin.New(origin.Config{Sources: []origin.Source{source}, Routes: []origin.Route{{Source: source.Name}}, BytesMax: 1000})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func (b *bench) put(t *testing.T, name, content string) {
	t.Helper()
	path := filepath.Join(b.dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// do makes one request; headers are "Name: value" lines.
func (b *bench) do(t *testing.T, method, url string, headers ...string) *http.Response {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, url, nil)
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Add(name, value)
	}
	w := httptest.NewRecorder()
	b.ServeHTTP(w, r)
	return w.Result()
}

func body(t *testing.T, r *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// likeJPEG begins an original whose decode may be begun anew: for a nanosecond a byte.
const likeJPEG = "\xff\xd8\xff"

var originals = map[string]string{
	"recipes/1.jpg": "photo one", "recipes/2.png": "photo two", "recipes/bad.jpg": "nonsense", "recipes/bomb.png": "bomb",
	"recipes/dead.webp": "dead", "recipes/bug.jpg": "bug", "recipes/panic.jpg": "panic", "recipes/cut.jpg": "truncated half",
	"recipes/large.jpg": strings.Repeat("x", 1001),
	"recipes/young.jpg": likeJPEG + "young " + strings.Repeat("x", 900), "recipes/youngpanic.jpg": likeJPEG + "panic " + strings.Repeat("x", 900),
}

func TestEveryKindOfErrorHasItsStatus(t *testing.T) {
	t.Parallel()
	b := newBench(t, originals)
	for _, c := range []struct {
		name, method, url, kind string
		status                  int
		says                    string
		header, value           string
	}{
		{"a path with too few parts", "GET", "/recipes/1", "invalid", 400, "parts", "Cache-Control", "public, max-age=10"},
		{"a size that is none", "GET", "/recipes/1/big", "invalid", 400, `"size"`, "", ""},
		{"a signature that is missing", "GET", "/recipes/1/4x3.denied", "denied", 403, "signature", "Cache-Control", "no-store"},
		{"an original that is not there", "GET", "/recipes/9/4x3", "not found", 404, "no such original", "Cache-Control", "public, max-age=10"},
		{"a kind that is not there", "GET", "/cats/1/4x3", "not found", 404, "", "", ""},
		{"a method that changes", "POST", "/recipes/1/4x3", "method", 405, "GET", "Allow", "GET, HEAD"},
		{"an original with too many bytes", "GET", "/recipes/large/4x3", "too large", 413, "max_bytes", "", ""},
		{"an original with too many pixels", "GET", "/recipes/bomb/4x3", "too large", 413, "max_pixels", "", ""},
		{"an original that is no picture", "GET", "/recipes/bad/4x3", "unprocessable", 422, "not a picture", "Cache-Control", "public, max-age=10"},
		{"a worker that died", "GET", "/recipes/dead/4x3", "unavailable", 502, "worker", "Retry-After", "1"},
		{"an error nobody classified", "GET", "/recipes/bug/4x3", "internal", 500, "request id", "Cache-Control", "no-store"},
		{"a panic", "GET", "/recipes/panic/4x3", "internal", 500, "request id", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := b.do(t, c.method, c.url)
			text := body(t, r)
			if r.StatusCode != c.status || r.Header.Get("Content-Type") != "application/problem+json" {
				t.Fatalf("%s %s = %d %s, want %d problem+json: %s", c.method, c.url, r.StatusCode, r.Header.Get("Content-Type"), c.status, text)
			}
			var problem map[string]any
			if err := json.Unmarshal([]byte(text), &problem); err != nil {
				t.Fatal(err)
			}
			if problem["kind"] != c.kind || problem["status"] != float64(c.status) || !strings.Contains(text, c.says) {
				t.Errorf("body %s, want kind %q and %q", text, c.kind, c.says)
			}
			if strings.Contains(text, "secret") || strings.Contains(text, "invariant") || strings.Contains(text, b.dir) {
				t.Errorf("internals crossed the wire: %s", text)
			}
			if c.header != "" && r.Header.Get(c.header) != c.value {
				t.Errorf("%s = %q, want %q", c.header, r.Header.Get(c.header), c.value)
			}
			if r.Header.Get("Vary") != "Accept" {
				t.Errorf("Vary = %q, want Accept", r.Header.Get("Vary"))
			}
		})
	}
}

func TestAPictureHasItsHeaders(t *testing.T) {
	t.Parallel()
	b := newBench(t, originals)
	r := b.do(t, "GET", "/recipes/1/48x36")
	text := body(t, r)
	if r.StatusCode != 200 || !strings.HasSuffix(text, "of photo one") {
		t.Fatalf("GET = %d %q", r.StatusCode, text)
	}
	for name, want := range map[string]string{
		"Content-Type": "image/jpeg", "Content-Length": fmt.Sprint(len(text)), "Cache-Control": "public, max-age=2592000",
		"X-Content-Type-Options": "nosniff", "Content-Disposition": `inline; filename="1.jpg"`, "Timing-Allow-Origin": "*",
		"Access-Control-Allow-Origin": "*", "Vary": "", "Accept-Ranges": "bytes",
	} {
		if got := r.Header.Get(name); got != want {
			t.Errorf("%s = %q, want %q", name, got, want)
		}
	}
	if tag := r.Header.Get("Etag"); len(tag) != 34 || tag[0] != '"' {
		t.Errorf("ETag = %q, want a strong one of 32 hex digits", tag)
	}
	if _, err := http.ParseTime(r.Header.Get("Last-Modified")); err != nil {
		t.Errorf("Last-Modified: %v", err)
	}
	timing := r.Header.Get("Server-Timing")
	for _, want := range []string{"cache;desc=rendered", "origin;dur=", "queue;dur=", "decode;dur=1.000", "encode;dur=1.000", "total;dur="} {
		if !strings.Contains(timing, want) {
			t.Errorf("Server-Timing = %q, want %q in it", timing, want)
		}
	}
	if exposed := r.Header.Get("Access-Control-Expose-Headers"); !strings.Contains(exposed, "Server-Timing") {
		t.Errorf("Server-Timing is not exposed: %q", exposed)
	}
	again := b.do(t, "GET", "/recipes/1/48x36")
	if body(t, again) != text || !strings.Contains(again.Header.Get("Server-Timing"), "cache;desc=memory") || b.double.renders.Load() != 1 {
		t.Errorf("the second request: %q, %d renders, want the same from memory", again.Header.Get("Server-Timing"), b.double.renders.Load())
	}
}

func TestHeadIsGetWithoutABody(t *testing.T) {
	t.Parallel()
	b := newBench(t, originals)
	for _, url := range []string{"/recipes/1/48x36", "/recipes/9/48x36"} {
		head, get := b.do(t, "HEAD", url), b.do(t, "GET", url)
		if text := body(t, head); text != "" {
			t.Errorf("HEAD %s has the body %q", url, text)
		}
		for _, name := range []string{"Content-Type", "Content-Length", "Etag", "Cache-Control", "Last-Modified"} {
			if head.Header.Get(name) != get.Header.Get(name) {
				t.Errorf("HEAD %s: %s = %q, GET says %q", url, name, head.Header.Get(name), get.Header.Get(name))
			}
		}
		if head.StatusCode != get.StatusCode {
			t.Errorf("HEAD %s = %d, GET %d", url, head.StatusCode, get.StatusCode)
		}
	}
}

func TestNotModifiedNeedsNoRendering(t *testing.T) {
	t.Parallel()
	b := newBench(t, originals, func(_ *delivery.Config, d *delivery.Deps) { d.Memory = nil })
	tag := b.do(t, "GET", "/recipes/1/48x36").Header.Get("Etag")
	for _, match := range []string{tag, `"other", ` + tag, "W/" + tag} {
		r := b.do(t, "GET", "/recipes/1/48x36", "If-None-Match: "+match)
		if r.StatusCode != 304 || r.Header.Get("Etag") != tag || r.Header.Get("Cache-Control") == "" || body(t, r) != "" {
			t.Errorf("If-None-Match: %s gave %d, ETag %q", match, r.StatusCode, r.Header.Get("Etag"))
		}
	}
	if n := b.double.renders.Load(); n != 1 {
		t.Errorf("%d renders, want 1: a 304 needs none", n)
	}
	if r := b.do(t, "GET", "/recipes/1/48x36", "If-None-Match: *"); r.StatusCode != 304 {
		t.Errorf("If-None-Match: * gave %d, want 304", r.StatusCode)
	}
	if r := b.do(t, "GET", "/recipes/9/48x36", "If-None-Match: *"); r.StatusCode != 404 {
		t.Errorf("If-None-Match: * of nothing gave %d, want 404", r.StatusCode)
	}
	if r := b.do(t, "GET", "/recipes/1/49x36", "If-None-Match: "+tag); r.StatusCode != 200 {
		t.Errorf("the tag of another size gave %d, want 200", r.StatusCode)
	}
}

func TestAReplacedOriginalIsServedAnew(t *testing.T) {
	t.Parallel()
	b := newBench(t, originals)
	first := b.do(t, "GET", "/recipes/1/48x36")
	b.put(t, "recipes/1.jpg", "photo changed")
	second := b.do(t, "GET", "/recipes/1/48x36", "If-None-Match: "+first.Header.Get("Etag"))
	if second.StatusCode != 200 || !strings.HasSuffix(body(t, second), "of photo changed") || second.Header.Get("Etag") == first.Header.Get("Etag") {
		t.Errorf("after replacing the original: %d, ETag %q and before %q", second.StatusCode, second.Header.Get("Etag"), first.Header.Get("Etag"))
	}
}

func TestTheVersionEntersTheETag(t *testing.T) {
	t.Parallel()
	b := newBench(t, originals)
	plain, one, two := b.do(t, "GET", "/recipes/1/4x3"), b.do(t, "GET", "/recipes/1/4x3?p=1"), b.do(t, "GET", "/recipes/1/4x3?p=2")
	a, c, d := plain.Header.Get("Etag"), one.Header.Get("Etag"), two.Header.Get("Etag")
	if a == c || c == d || a == d {
		t.Errorf("ETags %q, %q, %q, want three", a, c, d)
	}
	if r := b.do(t, "GET", "/recipes/1/4x3?p=1", "If-None-Match: "+c); r.StatusCode != 304 {
		t.Errorf("the tag of its own version gave %d, want 304", r.StatusCode)
	}
	if r := b.do(t, "GET", "/recipes/1/4x3?p=2", "If-None-Match: "+c); r.StatusCode != 200 {
		t.Errorf("the tag of an older version gave %d, want 200", r.StatusCode)
	}
}

func TestRange(t *testing.T) {
	t.Parallel()
	b := newBench(t, originals)
	whole := body(t, b.do(t, "GET", "/recipes/1/48x36"))
	tag := b.do(t, "GET", "/recipes/1/48x36").Header.Get("Etag")
	for _, c := range []struct {
		name    string
		headers []string
		status  int
		want    string
		rng     string
	}{
		{"a part", []string{"Range: bytes=2-5"}, 206, whole[2:6], fmt.Sprintf("bytes 2-5/%d", len(whole))},
		{"the end", []string{"Range: bytes=-3"}, 206, whole[len(whole)-3:], ""},
		{"a part of the same", []string{"Range: bytes=0-0", "If-Range: " + tag}, 206, whole[:1], ""},
		{"a part of another", []string{"Range: bytes=0-0", `If-Range: "x"`}, 200, whole, ""},
		{"a part behind the end", []string{"Range: bytes=9999-"}, 416, "", fmt.Sprintf("bytes */%d", len(whole))},
		{"if it is another", []string{`If-Match: "x"`}, 412, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := b.do(t, "GET", "/recipes/1/48x36", c.headers...)
			text := body(t, r)
			if r.StatusCode != c.status || c.status < 300 && text != c.want {
				t.Errorf("%v = %d %q, want %d %q", c.headers, r.StatusCode, text, c.status, c.want)
			}
			if c.rng != "" && r.Header.Get("Content-Range") != c.rng {
				t.Errorf("Content-Range = %q, want %q", r.Header.Get("Content-Range"), c.rng)
			}
		})
	}
}

func TestVaryOnlyWhereAcceptDecides(t *testing.T) {
	t.Parallel()
	b := newBench(t, originals)
	for _, c := range []struct{ url, accept, contentType, vary string }{
		{"/recipes/1/4x3", "image/avif,image/webp,*/*", "image/jpeg", ""},
		{"/recipes/1/4x3.auto", "image/avif,image/webp,image/*,*/*;q=0.8", "image/avif", "Accept"},
		{"/recipes/1/4x3.auto", "image/webp;q=0.9, */*", "image/webp", "Accept"},
		{"/recipes/1/4x3.auto", "image/avif;q=0, IMAGE/WebP", "image/webp", "Accept"},
		{"/recipes/1/4x3.auto", "image/*", "image/jpeg", "Accept"},
		{"/recipes/1/4x3.auto", "", "image/jpeg", "Accept"},
	} {
		r := b.do(t, "GET", c.url, "Accept: "+c.accept)
		if r.Header.Get("Content-Type") != c.contentType || r.Header.Get("Vary") != c.vary {
			t.Errorf("%s with Accept %q: %s, Vary %q, want %s, %q", c.url, c.accept,
				r.Header.Get("Content-Type"), r.Header.Get("Vary"), c.contentType, c.vary)
		}
	}
	// An original that is itself of a negotiable format, for a client that
	// does not name it.
	webp := newBench(t, map[string]string{"recipes/1.webp": "RIFF....WEBPVP8 ", "recipes/2.png": "\x89PNG\r\n\x1a\n"})
	plain := body(t, webp.do(t, "GET", "/recipes/1/4x3.auto", "Accept: image/*"))
	if own := body(t, webp.do(t, "GET", "/recipes/1/4x3")); !strings.Contains(plain, "format:jpeg") || strings.Contains(own, "format:jpeg") {
		t.Errorf("a WebP for a client without WebP: %q, not negotiated: %q", plain, own)
	}
	if got := body(t, webp.do(t, "GET", "/recipes/2/4x3.auto", "Accept: image/*")); strings.Contains(got, "format:jpeg") {
		t.Errorf("a PNG for a client without WebP: %q, want it in its own format", got)
	}
	all := newBench(t, originals, func(c *delivery.Config, _ *delivery.Deps) { c.NegotiateAll = true })
	if r := all.do(t, "GET", "/recipes/1/4x3", "Accept: image/webp"); r.Header.Get("Content-Type") != "image/webp" || r.Header.Get("Vary") != "Accept" {
		t.Errorf("with everything negotiated: %s, Vary %q", r.Header.Get("Content-Type"), r.Header.Get("Vary"))
	}
	if r := all.do(t, "GET", "/recipes/1/4x3.png", "Accept: image/webp"); r.Header.Get("Content-Type") != "image/png" || r.Header.Get("Vary") != "" {
		t.Errorf("a format that is named: %s, Vary %q", r.Header.Get("Content-Type"), r.Header.Get("Vary"))
	}
}

func TestATruncatedOriginalIsKeptForAShortTime(t *testing.T) {
	t.Parallel()
	b := newBench(t, originals)
	for range 2 { // rendered, then from memory
		r := b.do(t, "GET", "/recipes/cut/4x3")
		if r.StatusCode != 200 || r.Header.Get("Cache-Control") != "public, max-age=60" {
			t.Errorf("a truncated original: %d, Cache-Control %q", r.StatusCode, r.Header.Get("Cache-Control"))
		}
		if again := b.do(t, "GET", "/recipes/cut/4x3", "If-None-Match: "+r.Header.Get("Etag")); again.StatusCode != 304 || again.Header.Get("Cache-Control") != "public, max-age=60" {
			t.Errorf("304 of a truncated original: %d, Cache-Control %q", again.StatusCode, again.Header.Get("Cache-Control"))
		}
	}
}

func TestNoCacheKeepsAPictureLongerThanItsURLIsGood(t *testing.T) {
	t.Parallel()
	b := newBench(t, originals)
	for url, want := range map[string][2]int{
		"/recipes/1/4x3?expires=100s": {95, 100}, "/recipes/1/4x3?expires=10000h": {2592000, 2592000}, "/recipes/cut/4x3?expires=5s": {1, 5},
		"/recipes/cut/4x3?expires=100s": {60, 60},
	} {
		var got int
		r := b.do(t, "GET", url)
		if _, err := fmt.Sscanf(r.Header.Get("Cache-Control"), "public, max-age=%d", &got); err != nil || got < want[0] || got > want[1] {
			t.Errorf("%s: Cache-Control %q, want %d to %d seconds", url, r.Header.Get("Cache-Control"), want[0], want[1])
		}
		again := b.do(t, "GET", url, "If-None-Match: "+r.Header.Get("Etag"))
		if _, err := fmt.Sscanf(again.Header.Get("Cache-Control"), "public, max-age=%d", &got); again.StatusCode != 304 || err != nil || got > want[1] {
			t.Errorf("%s: 304 with Cache-Control %q", url, again.Header.Get("Cache-Control"))
		}
	}
}

// TestNoCacheShowsAStalePictureLongerThanItsURLIsGood: what caches may do with an
// old answer ends with the URL, too.
func TestNoCacheShowsAStalePictureLongerThanItsURLIsGood(t *testing.T) {
	t.Parallel()
	b := newBench(t, originals, func(c *delivery.Config, _ *delivery.Deps) {
		c.Caching.MaxAge, c.Caching.StaleWhileRevalidate, c.Caching.StaleIfError = time.Minute, time.Hour, 2*time.Hour
	})
	for url, want := range map[string]string{
		"/recipes/1/4x3":               "public, max-age=60, stale-while-revalidate=3600, stale-if-error=7200",
		"/recipes/1/4x3?expires=3h":    "public, max-age=60, stale-while-revalidate=3600, stale-if-error=7200",
		"/recipes/1/4x3?expires=119m":  "public, max-age=60",
		"/recipes/1/4x3?expires=70s":   "public, max-age=60",
		"/recipes/cut/4x3?expires=70s": "public, max-age=60",
	} {
		if got := b.do(t, "GET", url).Header.Get("Cache-Control"); got != want {
			t.Errorf("%s: Cache-Control %q, want %q", url, got, want)
		}
	}
}

func TestErrorsArePicturesForThoseWhoWantPictures(t *testing.T) {
	t.Parallel()
	b := newBench(t, originals)
	img := "Accept: image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8"
	r := b.do(t, "GET", "/recipes/9/320x200", img)
	if r.StatusCode != 404 || r.Header.Get("Content-Type") != "image/png" || r.Header.Get("Vary") != "Accept" {
		t.Fatalf("%d %s, Vary %q", r.StatusCode, r.Header.Get("Content-Type"), r.Header.Get("Vary"))
	}
	pic, err := png.Decode(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	if pic.Bounds() != image.Rect(0, 0, 320, 200) {
		t.Errorf("the picture is %v, want the size that was asked for", pic.Bounds())
	}
	ink := map[any]int{}
	for y := range 200 {
		for x := range 320 {
			ink[pic.At(x, y)]++
		}
	}
	if len(ink) != 3 {
		t.Errorf("%d colours, want paper, bar and letters", len(ink))
	}
	page := "Accept: text/html,application/xhtml+xml,image/avif,*/*;q=0.8"
	for _, accept := range []string{page, "Accept: */*", "Accept: application/json", "X: y"} {
		if r := b.do(t, "GET", "/recipes/9/320x200", accept); r.Header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("with %s: %s, want JSON", accept, r.Header.Get("Content-Type"))
		}
	}
	own := newBench(t, originals, func(c *delivery.Config, _ *delivery.Deps) {
		c.Fallback = &delivery.Fallback{Data: []byte("own"), Format: images.GIF}
	})
	if r := own.do(t, "GET", "/recipes/9/320x200", img); r.StatusCode != 404 || r.Header.Get("Content-Type") != "image/gif" || body(t, r) != "own" {
		t.Errorf("the configured picture was not shown: %d %s", r.StatusCode, r.Header.Get("Content-Type"))
	}
}

// changing is a store whose original is replaced between Stat and Get.
func TestFileNamesAreHarmless(t *testing.T) {
	t.Parallel()
	b := newBench(t, map[string]string{"k/a\"b;é.tar.jpg": "x", "k/" + strings.Repeat("n", 200) + ".jpg": "x"})
	for id, want := range map[string]string{
		`a%22b;%C3%A9.tar`:       `inline; filename="a_b___.tar.jpg"`,
		strings.Repeat("n", 200): `inline; filename="` + strings.Repeat("n", 80) + `.jpg"`,
	} {
		if got := b.do(t, "GET", "/k/"+id+"/4x3").Header.Get("Content-Disposition"); got != want {
			t.Errorf("Content-Disposition = %q, want %q", got, want)
		}
	}
}
