package server_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/image/font/gofont/gobold"
	"golang.org/x/sys/unix"

	"github.com/kamado/kamado/images"
	"github.com/kamado/kamado/images/render"
	"github.com/kamado/kamado/images/server"
	"github.com/kamado/kamado/internal/httpserver"
	"github.com/kamado/kamado/internal/unit"
)

// photograph is a JPEG of a gradient with some texture.
func photograph(t *testing.T, width, height int) []byte {
	t.Helper()
	img := image.NewRGBA(image.Rect(0, 0, width, height))
	for y := range height {
		for x := range width {
			img.SetRGBA(x, y, color.RGBA{uint8(255 * x / width), uint8(255 * y / height), uint8((x*7 + y*3) % 64), 255})
		}
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, &jpeg.Options{Quality: 88}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// tree writes files and gives their directory.
func tree(t *testing.T, files map[string][]byte) string {
	t.Helper()
	dir := t.TempDir()
	for name, data := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// open lets everybody read and nobody administer.
type open struct{}

func (open) Reads(h http.Handler) http.Handler { return h }
func (open) Require(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer operator" {
			httpserver.WriteProblem(w, r, httpserver.Problem{Status: http.StatusUnauthorized})
			return
		}
		h.ServeHTTP(w, r)
	})
}

// start builds a room over a directory, changed by edit, and runs it.
func start(t *testing.T, originals string, edit func(*server.Options, *server.Deps)) *server.Server {
	t.Helper()
	opts := server.Options{Config: images.Default(), Data: t.TempDir()}
	opts.Config.Originals = originals
	opts.Config.Signing.InsecureUnsigned = true
	opts.Config.Mezzanine.Disk = 0 // nothing in the background
	deps := server.Deps{Log: slog.New(slog.DiscardHandler), Guard: open{}, Registerer: prometheus.NewPedanticRegistry()}
	if edit != nil {
		edit(&opts, &deps)
	}
	s, err := server.New(opts, deps)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run = %v", err)
		}
		if err := s.Close(); err != nil {
			t.Errorf("Close = %v", err)
		}
	})
	return s
}

type answer struct {
	*http.Response
	body []byte
}

func get(t *testing.T, s *server.Server, url string, headers ...string) answer {
	t.Helper()
	return do(t, s, httptest.NewRequestWithContext(t.Context(), "GET", url, nil), headers...)
}

func do(t *testing.T, s *server.Server, r *http.Request, headers ...string) answer {
	t.Helper()
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Add(name, value)
	}
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, r)
	res := w.Result()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{res, body}
}

func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		if cond() {
			return
		}
	}
	t.Fatalf("not within 30 s: %s", what)
}

// wantJPEG checks that an answer is a JPEG of a size.
func wantJPEG(t *testing.T, a answer, width, height int) {
	t.Helper()
	if a.StatusCode != 200 {
		t.Fatalf("status %d: %s", a.StatusCode, a.body)
	}
	img, err := jpeg.Decode(bytes.NewReader(a.body))
	if err != nil {
		t.Fatal(err)
	}
	if got := img.Bounds().Size(); got != image.Pt(width, height) {
		t.Errorf("size %v, want %dx%d", got, width, height)
	}
}

func TestAPhotographAtAnySize(t *testing.T) {
	t.Parallel()
	s := start(t, tree(t, map[string][]byte{"recipes/1.jpg": photograph(t, 1200, 900)}), nil)
	wantJPEG(t, get(t, s, "/recipes/1/480x360cq70/any.jpg"), 480, 360)
	wantJPEG(t, get(t, s, "/recipes/1/280/x"), 280, 210)
	wantJPEG(t, get(t, s, "/recipes/1/280x487s/x"), 280, 210)
	wantJPEG(t, get(t, s, "/recipes/1/2000x2000s/x"), 1200, 900)
	wantJPEG(t, get(t, s, "/i/-/w:100,h:100,fit:crop,q:50/recipes/1.jpg"), 100, 100)
}

func TestSignedURLs(t *testing.T) {
	t.Parallel()
	var data string
	s := start(t, tree(t, map[string][]byte{"recipes/1.jpg": photograph(t, 200, 150)}), func(o *server.Options, _ *server.Deps) {
		o.Config.Signing.InsecureUnsigned = false
		data = o.Data
	})
	file, made := s.Keys()
	if st, err := os.Stat(filepath.Join(data, server.KeysFile)); err != nil || !made || file == "" || st.Mode().Perm() != 0o600 {
		t.Fatalf("key file %q made %v: %v, %v", file, made, st, err)
	}
	path := "/recipes/1/80x60cq70/any.jpg"
	if a := get(t, s, path); a.StatusCode != 403 {
		t.Errorf("without a signature: %d, want 403", a.StatusCode)
	}
	body := strings.NewReader(`{"path":"` + path + `"}`)
	if a := do(t, s, httptest.NewRequestWithContext(t.Context(), "POST", "/-/api/v1/sign", body)); a.StatusCode != 401 {
		t.Errorf("signing without a credential: %d, want 401", a.StatusCode)
	}
	body = strings.NewReader(`{"path":"` + path + `"}`)
	a := do(t, s, httptest.NewRequestWithContext(t.Context(), "POST", "/-/api/v1/sign", body), "Authorization: Bearer operator")
	var signed struct{ Path string }
	if err := json.Unmarshal(a.body, &signed); err != nil || a.StatusCode != 200 {
		t.Fatalf("sign: %d %s", a.StatusCode, a.body)
	}
	wantJPEG(t, get(t, s, signed.Path), 80, 60)
	if a := get(t, s, strings.Replace(signed.Path, "80x60", "81x60", 1)); a.StatusCode != 403 {
		t.Errorf("another size with that signature: %d, want 403", a.StatusCode)
	}
	// The next start finds the key again.
	again := start(t, tree(t, map[string][]byte{"recipes/1.jpg": photograph(t, 200, 150)}), func(o *server.Options, _ *server.Deps) {
		o.Config.Signing.InsecureUnsigned = false
		o.Keys = file // the first one still holds its data directory
	})
	if _, made := again.Keys(); made {
		t.Error("a second start made another key")
	}
	wantJPEG(t, get(t, again, signed.Path), 80, 60)
}

func TestTheInterfaceListsDescribesAndCounts(t *testing.T) {
	t.Parallel()
	s := start(t, tree(t, map[string][]byte{
		"recipes/1.jpg": photograph(t, 200, 150), "recipes/2.jpg": photograph(t, 100, 50), "recipes/bad.jpg": []byte("no picture"),
	}), nil)
	var page struct {
		Originals []struct {
			Key   string
			Bytes int64
		}
		Next string
	}
	a := get(t, s, "/-/api/v1/originals?prefix=recipes/&limit=1")
	if err := json.Unmarshal(a.body, &page); err != nil || len(page.Originals) != 1 || page.Originals[0].Key != "recipes/1.jpg" || page.Next != "recipes/1.jpg" {
		t.Errorf("first page: %s", a.body)
	}
	a = get(t, s, "/-/api/v1/originals?limit=5&after="+page.Next)
	page.Next = ""
	if err := json.Unmarshal(a.body, &page); err != nil || len(page.Originals) != 2 || page.Next != "" {
		t.Errorf("last page: %s", a.body)
	}
	for _, key := range []string{"recipes/1.jpg", "recipes/1"} {
		var info struct {
			Key, Format   string
			Width, Height int
		}
		a = get(t, s, "/-/api/v1/info/"+key)
		if err := json.Unmarshal(a.body, &info); err != nil || info.Key != "recipes/1.jpg" || info.Format != "jpeg" || info.Width != 200 || info.Height != 150 {
			t.Errorf("info of %s: %s", key, a.body)
		}
	}
	for url, status := range map[string]int{
		"/-/api/v1/info/recipes/none": 404, "/-/api/v1/info/recipes/bad.jpg": 422, "/-/api/v1/originals?limit=0": 400,
		"/-/api/v1/originals?origin=none": 404, "/-/api/v1/nothing": 404,
	} {
		if a := get(t, s, url); a.StatusCode != status {
			t.Errorf("%s = %d, want %d", url, a.StatusCode, status)
		}
	}
	get(t, s, "/recipes/1/80/x")
	var stats server.Stats
	if a = get(t, s, "/-/api/v1/stats"); json.Unmarshal(a.body, &stats) != nil || stats.Queue.Admitted != 1 || stats.Memory.Entries != 1 {
		t.Errorf("stats: %s", a.body)
	}
}

func TestCachesCanBeOff(t *testing.T) {
	t.Parallel()
	s := start(t, tree(t, map[string][]byte{"recipes/1.jpg": photograph(t, 200, 150)}), func(o *server.Options, _ *server.Deps) {
		o.Config.ResultCache = images.Cache{}
	})
	for range 3 {
		if a := get(t, s, "/recipes/1/80/x"); !strings.Contains(a.Header.Get("Server-Timing"), "cache;desc=rendered") {
			t.Errorf("Server-Timing %q, want every request rendered", a.Header.Get("Server-Timing"))
		}
	}
}

func TestResultsSurviveARestart(t *testing.T) {
	t.Parallel()
	dir, data := tree(t, map[string][]byte{"recipes/1.jpg": photograph(t, 200, 150)}), t.TempDir()
	keep := func(o *server.Options, _ *server.Deps) { o.Data = data }
	var want answer
	t.Run("first", func(t *testing.T) {
		s := start(t, dir, keep)
		eventually(t, "the cache is counted", func() bool {
			want = get(t, s, fmt.Sprintf("/recipes/1/%d/x", 20+time.Now().Nanosecond()%100))
			return s.Stats().Disk.Writes > 0
		})
		want = get(t, s, "/recipes/1/150/x")
	})
	t.Run("second", func(t *testing.T) {
		s := start(t, dir, keep)
		got := get(t, s, "/recipes/1/150/x")
		if !bytes.Equal(got.body, want.body) || got.Header.Get("Etag") != want.Header.Get("Etag") || !strings.Contains(got.Header.Get("Server-Timing"), "cache;desc=disk") {
			t.Errorf("after the restart: %q, ETag %q and before %q", got.Header.Get("Server-Timing"), got.Header.Get("Etag"), want.Header.Get("Etag"))
		}
	})
}

// A text is drawn anew after its fonts changed, and not while they stay.
func TestOtherFontsAreOtherResults(t *testing.T) {
	t.Parallel()
	dir, data := tree(t, map[string][]byte{"recipes/1.jpg": photograph(t, 200, 150)}), t.TempDir()
	files := tree(t, map[string][]byte{"bold.ttf": gobold.TTF})
	const text = "/i/-/w:150,text:S2FtYWRv/recipes/1.jpg"
	ask := func(name string, fonts ...string) (a answer) {
		t.Run(name, func(t *testing.T) {
			s := start(t, dir, func(o *server.Options, _ *server.Deps) { o.Data, o.Config.Fonts = data, fonts })
			eventually(t, "the cache is counted", func() bool {
				get(t, s, fmt.Sprintf("/recipes/1/%d/x", 20+time.Now().Nanosecond()%100))
				return s.Stats().Disk.Writes > 0
			})
			a = get(t, s, text)
			wantJPEG(t, a, 150, 113)
		})
		return a
	}
	builtin := ask("none")
	bold := ask("bold", filepath.Join(files, "bold.ttf"))
	again := ask("bold again", filepath.Join(files, "bold.ttf"))
	if bytes.Equal(bold.body, builtin.body) || bold.Header.Get("Etag") == builtin.Header.Get("Etag") {
		t.Error("with other fonts the picture of before was sent")
	}
	if !bytes.Equal(again.body, bold.body) || !strings.Contains(again.Header.Get("Server-Timing"), "cache;desc=disk") {
		t.Errorf("with the same fonts: %q, not from the cache", again.Header.Get("Server-Timing"))
	}
}

func TestAMezzanineIsMadeAndUsed(t *testing.T) {
	t.Parallel()
	s := start(t, tree(t, map[string][]byte{"recipes/1.jpg": photograph(t, 2400, 1800)}), func(o *server.Options, _ *server.Deps) {
		o.Config.ResultCache = images.Cache{}
		o.Config.Mezzanine.Disk = unit.GiB
	})
	first := get(t, s, "/recipes/1/480x360cq70/x.jpg")
	wantJPEG(t, first, 480, 360)
	eventually(t, "a mezzanine is used", func() bool {
		return strings.Contains(get(t, s, "/recipes/1/480x360cq70/x.jpg").Header.Get("Server-Timing"), "source;desc=mezzanine")
	})
	second := get(t, s, "/recipes/1/480x360cq70/x.jpg")
	wantJPEG(t, second, 480, 360)
	if first.Header.Get("Etag") == second.Header.Get("Etag") {
		t.Error("other bytes have the same strong ETag")
	}
	a, _ := jpeg.Decode(bytes.NewReader(first.body))
	b, _ := jpeg.Decode(bytes.NewReader(second.body))
	for _, p := range []image.Point{{10, 10}, {240, 180}, {470, 350}, {30, 300}} {
		r1, g1, _, _ := a.At(p.X, p.Y).RGBA()
		r2, g2, _, _ := b.At(p.X, p.Y).RGBA()
		if d := max(diff(r1, r2), diff(g1, g2)); d > 6<<8 {
			t.Errorf("at %v the mezzanine's rendition differs by %d of 255", p, d>>8)
		}
	}
	for _, tag := range []string{first.Header.Get("Etag"), second.Header.Get("Etag")} {
		if a := get(t, s, "/recipes/1/480x360cq70/x.jpg", "If-None-Match: "+tag); a.StatusCode != 304 {
			t.Errorf("If-None-Match %s = %d, want 304 for either", tag, a.StatusCode)
		}
	}
}

func diff(a, b uint32) uint32 { return max(a, b) - min(a, b) }

// bucket is an S3 server for reading that can be told to misbehave; it does
// not look at signatures.
type bucket struct {
	mu      sync.Mutex
	objects map[string][]byte
	fault   string // "", "down", "slow", "short"
}

func (b *bucket) set(fault string) { b.mu.Lock(); b.fault = fault; b.mu.Unlock() }

func (b *bucket) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b.mu.Lock()
	fault := b.fault
	data, ok := b.objects[strings.TrimPrefix(r.URL.Path, "/photos/")]
	b.mu.Unlock()
	switch {
	case fault == "down":
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	case fault == "slow":
		<-r.Context().Done()
		return
	case !ok:
		w.Header().Set("Content-Type", "application/xml")
		w.WriteHeader(http.StatusNotFound)
		if r.Method == http.MethodGet {
			_, _ = io.WriteString(w, `<?xml version="1.0"?><Error><Code>NoSuchKey</Code><Message>none</Message></Error>`)
		}
		return
	}
	w.Header().Set("ETag", fmt.Sprintf(`"%x"`, len(data)))
	w.Header().Set("Last-Modified", "Sun, 22 Nov 2026 10:00:00 GMT")
	w.Header().Set("Content-Length", fmt.Sprint(len(data)))
	if r.Method == http.MethodHead {
		return
	}
	if fault == "short" {
		_, _ = w.Write(data[:len(data)/2])
		panic(http.ErrAbortHandler)
	}
	_, _ = w.Write(data)
}

func TestAnOriginOnS3ThatFailsAndRecovers(t *testing.T) {
	t.Parallel()
	b := &bucket{objects: map[string][]byte{"food/recipes/1.jpg": photograph(t, 200, 150)}}
	remote := httptest.NewServer(b)
	t.Cleanup(remote.Close)
	s := start(t, "", func(o *server.Options, d *server.Deps) {
		o.Config.Originals = "s3://photos/food?path_style=true&endpoint=" + remote.URL
		o.Config.ResultCache = images.Cache{}
		d.Getenv = func(string) string { return "" }
	})
	wantJPEG(t, get(t, s, "/recipes/1/80/x"), 80, 60)
	if a := get(t, s, "/recipes/2/80/x"); a.StatusCode != 404 {
		t.Errorf("an object that is not there: %d %s", a.StatusCode, a.body)
	}
	for fault, status := range map[string]int{"down": 502, "short": 502} {
		b.set(fault)
		if a := get(t, s, "/recipes/1/81/x?p="+fault); a.StatusCode != status {
			t.Errorf("%s: %d %s, want %d", fault, a.StatusCode, a.body, status)
		}
		b.set("")
		eventually(t, "it recovers from "+fault, func() bool { return get(t, s, "/recipes/1/82/x?p="+fault).StatusCode == 200 })
	}
}

func TestASlowOriginIsATimeout(t *testing.T) {
	t.Parallel()
	b := &bucket{objects: map[string][]byte{"recipes/1.jpg": photograph(t, 200, 150)}, fault: "slow"}
	remote := httptest.NewServer(b)
	t.Cleanup(remote.Close)
	s := start(t, "", func(o *server.Options, d *server.Deps) {
		o.Config.Originals = ""
		o.Config.Origins = map[string]images.Origin{"default": {
			S3: images.S3{Endpoint: remote.URL, Bucket: "photos", PathStyle: true}, Timeout: 300 * time.Millisecond,
		}}
		d.Getenv = func(string) string { return "" }
	})
	if a := get(t, s, "/recipes/1/80/x"); a.StatusCode != 504 {
		t.Errorf("a slow origin: %d %s, want 504", a.StatusCode, a.body)
	}
	b.set("")
	eventually(t, "it recovers", func() bool { return get(t, s, "/recipes/1/80/x").StatusCode == 200 })
}

func TestKindsAndHostsLeadToTheirOrigins(t *testing.T) {
	t.Parallel()
	one := tree(t, map[string][]byte{"recipes/1.jpg": photograph(t, 100, 50)})
	two := tree(t, map[string][]byte{"pets/cats/1.jpg": photograph(t, 60, 60), "recipes/1.jpg": photograph(t, 30, 60)})
	s := start(t, one, func(o *server.Options, _ *server.Deps) {
		o.Config.Origins = map[string]images.Origin{"two": {Dir: two}}
		o.Config.Kinds = map[string]images.Source{"cats": {Origin: "two", Prefix: "pets/"}}
		o.Config.Hosts = map[string]images.Source{"two.example": {Origin: "two"}}
	})
	wantJPEG(t, get(t, s, "http://one.example/recipes/1/20s/x"), 20, 10)
	wantJPEG(t, get(t, s, "http://one.example/cats/1/20/x"), 20, 20)
	wantJPEG(t, get(t, s, "http://two.example:80/recipes/1/20/x"), 20, 40)
}

func TestTheFileSaysImmutableAndWhereMezzaninesLie(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "elsewhere")
	s := start(t, tree(t, map[string][]byte{"k/1.jpg": photograph(t, 40, 30)}), func(o *server.Options, _ *server.Deps) {
		o.Config.Caching.Immutable = true
		o.Config.Mezzanine = images.Mezzanine{Disk: unit.MiB, Dir: dir}
	})
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/k/1/20/x", nil))
	if got := w.Header().Get("Cache-Control"); !strings.HasSuffix(got, ", immutable") {
		t.Errorf("Cache-Control is %q, want it immutable", got)
	}
	if _, err := os.Stat(dir); err != nil {
		t.Errorf("the directory of mezzanines was not made: %v", err)
	}
}

func TestTheMemoryExpectedHoldsTheCaches(t *testing.T) {
	bare := start(t, t.TempDir(), func(o *server.Options, _ *server.Deps) {
		o.Config.Limits.Concurrency = 1
		o.Config.ResultCache = images.Cache{}
	}).Memory()
	full := start(t, t.TempDir(), func(o *server.Options, _ *server.Deps) {
		o.Config.Limits.Concurrency = 3
		o.Config.ResultCache = images.Cache{Memory: 10 * unit.MiB}
	}).Memory()
	if want := bare + 2*render.DefaultScratch + 10*unit.MiB; full != want {
		t.Errorf("two more at once and 10 MiB of cache make %v of %v, want %v", full, bare, want)
	}
}

func TestReadinessFollowsTheDirectory(t *testing.T) {
	t.Parallel()
	dir := tree(t, map[string][]byte{"recipes/1.jpg": photograph(t, 100, 50)})
	s := start(t, dir, nil)
	health := httpserver.NewHealth(slog.New(slog.DiscardHandler))
	s.AddChecks(health)
	for _, c := range health.Ready(t.Context()) {
		if c.Err != nil {
			t.Errorf("check %q: %v", c.Name, c.Err)
		}
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is not ready any more", func() bool {
		for _, c := range health.Ready(t.Context()) {
			if c.Err != nil {
				return true
			}
		}
		return false
	})
}

func TestTheConfiguredFallbackIsShown(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	if err := png.Encode(&b, image.NewGray(image.Rect(0, 0, 3, 3))); err != nil {
		t.Fatal(err)
	}
	dir := tree(t, map[string][]byte{"recipes/1.jpg": photograph(t, 100, 50), "sorry.png": b.Bytes()})
	s := start(t, dir, func(o *server.Options, _ *server.Deps) { o.Config.Caching.Fallback = filepath.Join(dir, "sorry.png") })
	if a := get(t, s, "/recipes/9/20/x", "Accept: image/*"); a.StatusCode != 404 || !bytes.Equal(a.body, b.Bytes()) || a.Header.Get("Content-Type") != "image/png" {
		t.Errorf("%d %s", a.StatusCode, a.Header.Get("Content-Type"))
	}
}

func TestWhatCannotBeBuiltIsSaid(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, c := range map[string]struct {
		edit func(*server.Options)
		says string
	}{
		"no originals":          {func(o *server.Options) { o.Config.Originals = "" }, "no originals"},
		"no directory":          {func(o *server.Options) { o.Config.Originals = filepath.Join(dir, "none") }, "none"},
		"a bad bucket":          {func(o *server.Options) { o.Config.Originals = "s3://b?region=r&colour=red" }, "colour"},
		"no key file":           {func(o *server.Options) { o.Config.Signing = images.Signing{KeyFile: filepath.Join(dir, "keys")} }, "keys"},
		"no such worker":        {func(o *server.Options) { o.Config.Codec.Path = filepath.Join(dir, "codec") }, "codec"},
		"no fallback":           {func(o *server.Options) { o.Config.Caching.Fallback = filepath.Join(dir, "f.png") }, "f.png"},
		"a wrong configuration": {func(o *server.Options) { o.Config.Quality.JPEG = 0 }, "quality"},
	} {
		t.Run(name, func(t *testing.T) {
			opts := server.Options{Config: images.Default(), Data: t.TempDir()}
			opts.Config.Originals, opts.Config.Signing.InsecureUnsigned = dir, true
			c.edit(&opts)
			_, err := server.New(opts, server.Deps{Log: slog.New(slog.DiscardHandler)})
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("New = %v, want an error with %q", err, c.says)
			}
		})
	}
}

func TestACacheInMemoryIsBoundedAndSaid(t *testing.T) {
	t.Parallel()
	var st unix.Statfs_t
	if err := unix.Statfs("/dev/shm", &st); err != nil || st.Type != unix.TMPFS_MAGIC {
		t.Skip("needs a tmpfs at /dev/shm")
	}
	dir, err := os.MkdirTemp("/dev/shm", "kamado-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	var said bytes.Buffer
	opts := server.Options{Config: images.Default(), Data: t.TempDir()}
	opts.Config.Originals, opts.Config.Signing.InsecureUnsigned = t.TempDir(), true
	opts.Config.ResultCache = images.Cache{Disk: 1 << 50, Dir: dir}
	s, err := server.New(opts, server.Deps{Log: slog.New(slog.NewTextHandler(&said, nil))})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if got, size := s.Stats().Disk.BytesMax, int64(st.Blocks)*st.Bsize; got > size/4 {
		t.Errorf("the cache may take %d bytes of a file system in memory of %d", got, size)
	}
	if !strings.Contains(said.String(), "tmpfs") {
		t.Errorf("nothing is said about it: %s", said.String())
	}
}

func TestMetricsAreWellFormed(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewPedanticRegistry()
	s := start(t, tree(t, map[string][]byte{"recipes/1.jpg": photograph(t, 100, 50)}), func(_ *server.Options, d *server.Deps) { d.Registerer = registry })
	get(t, s, "/recipes/1/20/x")
	get(t, s, "/recipes/9/20/x")
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("../../docs/reference/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if !strings.HasPrefix(f.GetName(), "kamado_images_") {
			t.Errorf("%s does not begin with kamado_images_", f.GetName())
		}
		if !strings.Contains(string(page), "`"+f.GetName()+"`") {
			t.Errorf("docs/reference/metrics.md does not list %s", f.GetName())
		}
	}
}
