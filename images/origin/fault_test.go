package origin_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/kamado/kamado/images"
	"github.com/kamado/kamado/images/cache"
	"github.com/kamado/kamado/images/origin"
	"github.com/kamado/kamado/internal/blob"
	"github.com/kamado/kamado/internal/blob/faultproxy"
	"github.com/kamado/kamado/internal/blob/s3"
	"github.com/kamado/kamado/internal/blob/s3test"
	"github.com/kamado/kamado/internal/blob/web"
)

// The sources' timeout is shortTimeout where a fault is to reach it and else so
// long that a loaded machine does not. boundedTime is what one fetch may take at
// most: two questions and two reads, and the machine's own load.
const (
	shortTimeout = 400 * time.Millisecond
	longTimeout  = 10 * time.Second
	boundedTime  = 60 * time.Second
)

// far is a far-away store behind a proxy that spoils answers, with one original
// k/1, and the same store without the proxy.
type far struct {
	proxy  *faultproxy.Proxy
	store  blob.Store
	direct blob.Store
	data   []byte
}

// noise is what no encoder of a test could make by chance.
func noise(n int) []byte {
	data := make([]byte, n)
	r := rand.New(rand.NewPCG(1, 2))
	for i := range data {
		data[i] = byte(r.Uint32())
	}
	return data
}

// farBucket is a bucket of a real S3 server.
func farBucket(t *testing.T) *far {
	server := s3test.Start(t)
	cfg := server.Config(t)
	cfg.BackoffMin, cfg.BackoffMax = time.Millisecond, 5*time.Millisecond
	direct := closing(t, cfg)
	data := noise(50_000)
	if _, err := direct.Put(t.Context(), "k/1", bytes.NewReader(data), int64(len(data)), blob.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	p := faultproxy.Start(t, server.URL)
	cfg.Endpoint = p.URL
	return &far{p, closing(t, cfg), direct, data}
}

func closing(t *testing.T, cfg s3.Config) *s3.Store {
	s, err := s3.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// farServer is a web server.
func farServer(t *testing.T) *far {
	data := noise(50_000)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/k/1" {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		w.Header().Set("ETag", `"one"`)
		w.Header().Set("Content-Length", strconv.Itoa(len(data)))
		if r.Method != http.MethodHead {
			_, _ = w.Write(data)
		}
	}))
	t.Cleanup(srv.Close)
	p := faultproxy.Start(t, srv.URL)
	open := func(base string) *web.Store {
		cfg := web.Default()
		cfg.Bases, cfg.AllowNetworks = []string{base}, []string{"127.0.0.1"}
		cfg.BackoffMin, cfg.BackoffMax = time.Millisecond, 5*time.Millisecond
		s, err := web.Open(cfg)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		return s
	}
	return &far{p, open(p.URL), open(srv.URL), data}
}

// faulty is a Finder over a far-away source and a healthy one, with both caches
// of originals on.
type faulty struct {
	*far
	*origin.Finder
}

func newFaulty(t *testing.T, f *far, timeout time.Duration) *faulty {
	disk, err := cache.OpenDisk(cache.DiskConfig{Dir: t.TempDir(), BytesMax: 64 << 20, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- disk.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	source := func(name string, s blob.Store) origin.Source {
		return origin.Source{Name: name, Store: s, Remote: true, Fresh: -1, Timeout: timeout, Names: []string{""}}
	}
	finder := newFinder(t, origin.Config{
		Sources:    []origin.Source{source("default", f.store), source("healthy", f.direct)},
		Routes:     []origin.Route{{Source: "default"}, {Host: "healthy.example", Source: "healthy"}},
		CacheBytes: 8 << 20, CacheDisk: disk,
	})
	return &faulty{f, finder}
}

// fetch asks for the original under a version of its own, so that only the
// source answers, unless its body is cached.
func (f *faulty) fetch(t *testing.T, host string) (data []byte, cached bool, err error) {
	t.Helper()
	began := time.Now()
	defer func() {
		if took := time.Since(began); took > boundedTime {
			t.Errorf("it took %v, want at most %v", took, boundedTime)
		}
	}()
	o, err := f.Find(t.Context(), origin.Ref{Host: host, Kind: "k", ID: "1"})
	if err != nil {
		return nil, false, err
	}
	body, err := f.Read(t.Context(), &o)
	if err != nil {
		return nil, false, err
	}
	defer body.Release()
	return bytes.Clone(body.Data), body.Cached, nil
}

// heals wants the original again, by itself, whole, and not out of a cache.
func (f *faulty) heals(t *testing.T) {
	t.Helper()
	f.proxy.Heal()
	for deadline := time.Now().Add(boundedTime); ; time.Sleep(10 * time.Millisecond) {
		data, cached, err := f.fetch(t, "")
		if err == nil {
			if cached || !bytes.Equal(data, f.data) {
				t.Errorf("after the fault: %d bytes, from a cache: %v; want the %d from the source", len(data), cached, len(f.data))
			}
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("it does not heal: %v", err)
		}
	}
}

// fault is a way to spoil the answers to a method.
type faultCase struct {
	name  string
	on    string // method; empty: all
	fault func(p *faultproxy.Proxy) faultproxy.Fault
	want  images.Kind
	once  bool // one such answer is healed without anybody seeing it
}

const fine images.Kind = 255 // no error at all

func plainFault(f faultproxy.Fault) func(*faultproxy.Proxy) faultproxy.Fault {
	return func(*faultproxy.Proxy) faultproxy.Fault { return f }
}

func silentFault(p *faultproxy.Proxy) faultproxy.Fault { return p.Silent() }

func faults(size int64) []faultCase {
	stall := func(p *faultproxy.Proxy) faultproxy.Fault { return p.Stall(2000) }
	drip := func(p *faultproxy.Proxy) faultproxy.Fault { return p.Drip(100, 20*time.Millisecond) }
	slow := func(p *faultproxy.Proxy) faultproxy.Fault { return p.Slow(20 * time.Millisecond) }
	return []faultCase{
		{"slow, but in time", "", slow, fine, true},
		{"too slow to begin", "GET", silentFault, images.Timeout, false},
		{"too slow to say whether it is there", "HEAD", silentFault, images.Timeout, false},
		{"too slow in the body", "GET", drip, images.Timeout, false},
		{"stalled in the body", "GET", stall, images.Timeout, false},
		{"500 when read", "GET", plainFault(faultproxy.Status(500)), images.Unavailable, true},
		{"500 when asked", "HEAD", plainFault(faultproxy.Status(500)), images.Unavailable, true},
		{"503", "", plainFault(faultproxy.Status(503)), images.Unavailable, true},
		{"429", "", plainFault(faultproxy.Status(429)), images.Unavailable, true},
		{"403 when read", "GET", plainFault(faultproxy.Status(403)), images.Unavailable, false},
		{"cut before the first byte", "GET", plainFault(faultproxy.Truncate(0)), images.Unavailable, true},
		{"cut in the middle", "GET", plainFault(faultproxy.Truncate(size / 2)), images.Unavailable, true},
		{"cut before the last byte", "GET", plainFault(faultproxy.Truncate(size - 1)), images.Unavailable, true},
		{"a length too long", "GET", plainFault(faultproxy.Length(10)), images.Unavailable, true},
		{"a length too short", "GET", plainFault(faultproxy.Length(-10)), images.Unavailable, true},
		{"reset before the head", "GET", plainFault(faultproxy.Reset(-1)), images.Unavailable, true},
		{"reset when asked", "HEAD", plainFault(faultproxy.Reset(-1)), images.Unavailable, true},
		{"reset in the middle", "GET", plainFault(faultproxy.Reset(size / 2)), images.Unavailable, true},
	}
}

// TestFaultsOfFarOrigins spoils the answers of a real S3 server and of a web
// server. Whatever happens, the error is of the right kind and comes in time, the
// other origin serves on, nothing damaged is cached, and the original is there
// again when the fault is over.
func TestFaultsOfFarOrigins(t *testing.T) {
	t.Parallel()
	for name, open := range map[string]func(*testing.T) *far{"bucket": farBucket, "web server": farServer} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := open(t)
			for _, c := range faults(int64(len(f.data))) {
				t.Run(c.name, func(t *testing.T) {
					timeout := longTimeout
					if c.want == images.Timeout {
						timeout = shortTimeout
					}
					newFaulty(t, f, timeout).spoil(t, c)
				})
			}
		})
	}
}

func (f *faulty) spoil(t *testing.T, c faultCase) {
	defer f.proxy.Heal()
	f.proxy.InjectOn(c.on, faultproxy.Forever, c.fault(f.proxy))
	data, _, err := f.fetch(t, "")
	if c.want == fine {
		if err != nil || !bytes.Equal(data, f.data) {
			t.Errorf("%d bytes, %v, want all", len(data), err)
		}
		return
	}
	if err == nil || images.KindOf(err) != c.want {
		t.Errorf("%d bytes, %v, want kind %v", len(data), err, c.want)
	}
	if errors.Is(err, context.Canceled) {
		t.Errorf("%v passes for a caller that left", err)
	}
	if data, _, err := f.fetch(t, "healthy.example"); err != nil || !bytes.Equal(data, f.data) {
		t.Errorf("the healthy origin meanwhile: %d bytes, %v", len(data), err)
	}
	st := f.Stats()
	if st.Originals.Bytes > int64(len(f.data))*3/2 { // the healthy one's
		t.Errorf("%d bytes are cached during the fault", st.Originals.Bytes)
	}
	if s := st.Sources[0]; s.Name != "default" || s.Errors == 0 || s.LastError == "" || s.Reach != origin.ReachFailing {
		t.Errorf("the statistics do not tell of the fault: %+v", s)
	}
	if s := st.Sources[1]; s.Errors != 0 || s.Reach != origin.ReachGood || s.Samples == 0 || s.P99 < s.P50 || s.P50 <= 0 {
		t.Errorf("the statistics of the healthy origin: %+v", s)
	}
	f.heals(t)
	if s := f.Stats().Sources[0]; s.Reach != origin.ReachGood || s.LastError == "" {
		t.Errorf("the statistics do not tell of the recovery: %+v", s)
	}
	if !c.once {
		return
	}
	// The body is cached by now: a Finder of its own asks again.
	fresh := newFaulty(t, f.far, longTimeout)
	f.proxy.InjectOn(c.on, 1, c.fault(f.proxy))
	if data, _, err := fresh.fetch(t, ""); err != nil || !bytes.Equal(data, f.data) {
		t.Errorf("once: %d bytes, %v, want nobody to see it", len(data), err)
	}
}

// TestADeadFarOriginSpendsItsBudgetOnly lets a bucket and a web server die under
// load: most requests cost nothing, and the healthy one sees none of it.
func TestADeadFarOriginSpendsItsBudgetOnly(t *testing.T) {
	t.Parallel()
	for name, open := range map[string]func(*testing.T) *far{"bucket": farBucket, "web server": farServer} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFaulty(t, open(t), longTimeout)
			f.proxy.Inject(faultproxy.Forever, faultproxy.Status(500))
			for i := range 200 {
				_, err := f.Find(t.Context(), origin.Ref{Kind: "k", ID: fmt.Sprint(i)})
				if images.KindOf(err) != images.Unavailable {
					t.Fatalf("request %d: %v, want unavailable", i, err)
				}
			}
			st := f.Stats().Sources[0]
			if !st.Spent || st.Reach != origin.ReachSpent || st.Spared < 100 || st.Requests+st.Spared != 200 || st.Requests != st.Errors {
				t.Errorf("after 200 requests: %+v", st)
			}
			if data, _, err := f.fetch(t, "healthy.example"); err != nil || !bytes.Equal(data, f.data) {
				t.Errorf("the healthy origin meanwhile: %d bytes, %v", len(data), err)
			}
			f.heals(t)
		})
	}
}

// TestOneVersionHasOneLength: a web server has no checksum, so a length that
// changes under one ETag is all that tells.
func TestOneVersionHasOneLength(t *testing.T) {
	t.Parallel()
	r := &remote{objects: map[string]string{"k/1": "content"}}
	f := newFinder(t, origin.Config{Sources: []origin.Source{{Name: "default", Store: shorter{r}, Remote: true, Fresh: -1}}, CacheBytes: 1 << 20})
	if got, err := fetch(t.Context(), f, origin.Ref{Kind: "k", ID: "1"}); images.KindOf(err) != images.Unavailable || !errors.Is(err, blob.ErrShort) {
		t.Errorf("%q, %v, want it refused as short", got, err)
	}
	if f.Stats().Originals.Bytes != 0 {
		t.Error("it was cached")
	}
}

// shorter gives bodies one byte short, and announces them so.
type shorter struct{ *remote }

func (s shorter) Get(ctx context.Context, key string) (*blob.Object, error) {
	o, err := s.remote.Get(ctx, key)
	if err == nil {
		o.Size--
		o.ReadCloser = io.NopCloser(io.LimitReader(o.ReadCloser, o.Size))
	}
	return o, err
}

// TestHostsInURLsHaveBudgetsOfTheirOwn sends whole URLs to a source by its name,
// past routes and prefixes.
func TestHostsInURLsHaveBudgetsOfTheirOwn(t *testing.T) {
	t.Parallel()
	r := &remote{objects: map[string]string{"http://a.example/1.jpg": "one", "http://b.example/2.jpg": "two"}}
	source := r.source()
	source.Name = "urls"
	source.Fresh = -1
	dead := true
	source.Store = hostDown{r, func(key string) bool { return dead && strings.HasPrefix(key, "http://a.example/") }}
	f := newFinder(t, origin.Config{
		Sources: []origin.Source{directory(t, map[string]string{"p/k/1": "plain"}), source},
		Routes:  []origin.Route{{Source: "default", Prefix: "p/"}},
	})
	for range 100 {
		if _, err := f.Find(t.Context(), origin.Ref{Source: "urls", Key: "http://a.example/1.jpg"}); images.KindOf(err) != images.Unavailable {
			t.Fatalf("%v, want unavailable", err)
		}
	}
	if n := r.stats.Load(); n > 20 {
		t.Errorf("the dead host was asked %d times, want at most 20", n)
	}
	if st := f.Stats().Sources[1]; st.HostsSpent != 1 || st.Spent {
		t.Errorf("%+v, want one host spent and not the source", st)
	}
	if got, err := fetch(t.Context(), f, origin.Ref{Source: "urls", Key: "http://b.example/2.jpg"}); got != "two" {
		t.Errorf("another host: %q, %v", got, err)
	}
	if got, err := fetch(t.Context(), f, origin.Ref{Kind: "k", ID: "1"}); got != "plain" {
		t.Errorf("a plain key: %q, %v", got, err)
	}
	// Hosts that come and go keep the number of budgets bounded.
	for i := range 3000 {
		_, _ = f.Find(t.Context(), origin.Ref{Source: "urls", Key: fmt.Sprintf("https://h%d.example/x", i)})
	}
	if _, err := f.Find(t.Context(), origin.Ref{Key: "http://b.example/2.jpg"}); images.KindOf(err) != images.Invalid {
		t.Errorf("a URL at a directory: %v, want invalid", err)
	}
	if _, err := f.Find(t.Context(), origin.Ref{Source: "nowhere", Key: "http://b.example/2.jpg"}); images.KindOf(err) != images.NotFound {
		t.Errorf("a source that is not there: %v, want not found", err)
	}
}

// hostDown is a store some of whose keys fail.
type hostDown struct {
	*remote
	down func(key string) bool
}

func (h hostDown) Stat(ctx context.Context, key string) (blob.Info, error) {
	in, err := h.remote.Stat(ctx, key)
	if h.down(key) {
		return blob.Info{}, blob.ErrUnavailable
	}
	return in, err
}

// TestTheLastErrorTellsNoSecrets looks at what the console would show.
func TestTheLastErrorTellsNoSecrets(t *testing.T) {
	t.Parallel()
	r := &remote{stat: func(context.Context) error {
		return fmt.Errorf("%w: Get \"https://key:hush@host/b/k?X-Amz-Signature=hush&x=1\": refused\n\x1b[31m%s", blob.ErrUnavailable, strings.Repeat("x", 1000))
	}}
	f := newFinder(t, origin.Config{Sources: []origin.Source{r.source()}})
	if st := f.Stats().Sources[0]; st.Reach != origin.ReachUnknown {
		t.Errorf("before the first call: %+v", st)
	}
	_, _ = f.Find(t.Context(), origin.Ref{Kind: "k", ID: "1"})
	st := f.Stats().Sources[0]
	if strings.Contains(st.LastError, "hush") || strings.ContainsAny(st.LastError, "\n\x1b") || len(st.LastError) > 400 || !strings.Contains(st.LastError, "https://host/b/k?...") {
		t.Errorf("last error %q", st.LastError)
	}
	if _, err := f.List(t.Context(), "default", "", "", 1); images.KindOf(err) != images.Invalid {
		t.Errorf("a list of what cannot be listed: %v, want invalid", err)
	}
}
