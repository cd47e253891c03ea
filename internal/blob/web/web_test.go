package web_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kamado/kamado/internal/blob"
	"github.com/kamado/kamado/internal/blob/blobtest"
	"github.com/kamado/kamado/internal/blob/faultproxy"
	"github.com/kamado/kamado/internal/blob/fs"
	"github.com/kamado/kamado/internal/blob/web"
)

// halves is a directory that is written as such and read over HTTP.
type halves struct {
	blob.Store
	web *web.Store
}

func (h halves) Get(ctx context.Context, key string) (*blob.Object, error) {
	return h.web.Get(ctx, key)
}
func (h halves) Stat(ctx context.Context, key string) (blob.Info, error) { return h.web.Stat(ctx, key) }

// TestConformance holds what is read over HTTP to the promises of every store.
func TestConformance(t *testing.T) {
	t.Parallel()
	blobtest.Run(t, func(t *testing.T) blob.Store {
		dir, err := fs.Open(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { dir.Close() })
		s := at(t, func(w http.ResponseWriter, r *http.Request) { serveObject(w, r, dir) }, nil)
		return halves{dir, s}
	})
}

// serveObject answers with an object as a web server does.
func serveObject(w http.ResponseWriter, r *http.Request, from blob.Store) {
	key, err := url.PathUnescape(strings.TrimPrefix(r.URL.EscapedPath(), "/"))
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	o, err := from.Get(r.Context(), key)
	switch {
	case errors.Is(err, blob.ErrNotFound), errors.Is(err, blob.ErrInvalidKey):
		w.WriteHeader(http.StatusNotFound)
		return
	case err != nil:
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	defer o.Close()
	w.Header().Set("ETag", `"`+o.ETag+`"`)
	w.Header().Set("Last-Modified", o.ModTime.UTC().Format(http.TimeFormat))
	w.Header().Set("Content-Length", strconv.FormatInt(o.Size, 10))
	if r.Method != http.MethodHead {
		_, _ = io.Copy(w, o)
	}
}

func TestItIsReadOnly(t *testing.T) {
	t.Parallel()
	s := at(t, text("x"), nil)
	if _, err := s.Put(t.Context(), "k", strings.NewReader("x"), 1, blob.PutOptions{}); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("Put = %v", err)
	}
	if err := s.Delete(t.Context(), "k"); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("Delete = %v", err)
	}
	if _, err := s.List(t.Context(), "", "", 0); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("List = %v", err)
	}
}

func TestStatusesHaveTheirWords(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		status   int
		want     error
		requests int32 // of one Get; each has three attempts
	}{
		{404, blob.ErrNotFound, 1}, {410, blob.ErrNotFound, 1}, {401, blob.ErrDenied, 1}, {403, blob.ErrDenied, 1}, {451, blob.ErrDenied, 1},
		{400, blob.ErrInvalidKey, 1}, {414, blob.ErrInvalidKey, 1}, {500, blob.ErrUnavailable, 3}, {502, blob.ErrUnavailable, 3},
		{503, blob.ErrUnavailable, 3}, {429, blob.ErrUnavailable, 3}, {408, blob.ErrUnavailable, 3}, {418, blob.ErrUnavailable, 1}, {204, blob.ErrUnavailable, 1},
		{300, blob.ErrUnavailable, 1}, {206, blob.ErrUnavailable, 1},
	} {
		var n atomic.Int32
		s := at(t, func(w http.ResponseWriter, _ *http.Request) { n.Add(1); w.WriteHeader(c.status) }, nil)
		if _, err := s.Get(t.Context(), "k"); !errors.Is(err, c.want) {
			t.Errorf("%d: Get = %v, want %v", c.status, err, c.want)
		}
		if got := n.Load(); got != c.requests {
			t.Errorf("%d: %d requests, want %d", c.status, got, c.requests)
		}
		if _, err := s.Stat(t.Context(), "k"); !errors.Is(err, c.want) && c.status != 206 {
			t.Errorf("%d: Stat = %v, want %v", c.status, err, c.want)
		}
	}
}

func TestAFaultOnceIsHealedByAnotherAttempt(t *testing.T) {
	t.Parallel()
	var n atomic.Int32
	var heard []int
	s := at(t, func(w http.ResponseWriter, r *http.Request) {
		if n.Add(1) == 1 {
			w.Header().Set("Retry-After", "3600") // bounded by BackoffMax
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		text("fine")(w, r)
	}, func(c *web.Config) {
		c.OnRetry = func(_ string, attempt int, _ error) { heard = append(heard, attempt) }
	})
	if b, _, err := blob.GetAll(t.Context(), s, "k", nil, 0); string(b) != "fine" {
		t.Errorf("%q, %v", b, err)
	}
	if len(heard) != 1 || heard[0] != 1 || s.Stats().Retries != 1 {
		t.Errorf("retries heard of: %v, counted: %d, want the first attempt", heard, s.Stats().Retries)
	}
}

func TestMirrorsAreAskedInTurn(t *testing.T) {
	t.Parallel()
	port, _ := serve(t, outside, 0, text("the other"))
	s := at(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }, func(c *web.Config) {
		c.Bases = append(c.Bases, fmt.Sprintf("http://%s:%d/mirror", outside, port))
	})
	if b, _, err := blob.GetAll(t.Context(), s, "k", nil, 0); string(b) != "the other" {
		t.Errorf("%q, %v", b, err)
	}
}

// TestVersions wants of every kind of server that Stat and Get agree, that equal
// bytes keep their ETag, and that other bytes have another.
func TestVersions(t *testing.T) {
	t.Parallel()
	day := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, c := range []struct {
		name string
		head func(h http.Header, content string)
		ways string // c: chunked; r: no ranges; h: HEAD refused; f: HEAD forbidden
	}{
		{"a strong tag", strongTag, ""},
		{"a strong tag, chunked", strongTag, "c"},
		{"a strong tag, HEAD refused", strongTag, "h"},
		{"a strong tag, HEAD refused, no ranges", strongTag, "hr"},
		{"a strong tag, HEAD forbidden", strongTag, "f"},
		{"a weak tag, chunked, no HEAD, no ranges", func(h http.Header, s string) { h.Set("ETag", fmt.Sprintf(`W/"%x"`, sha256.Sum256([]byte(s)))) }, "chr"},
		{"a date", func(h http.Header, s string) { h.Set("Last-Modified", dated(day, s)) }, ""},
		{"a date, chunked", func(h http.Header, s string) { h.Set("Last-Modified", dated(day, s)) }, "c"},
		{"a long tag", func(h http.Header, s string) { h.Set("ETag", `"`+strings.Repeat("x", 500)+s+`"`) }, ""},
		{"nothing", func(http.Header, string) {}, ""},
		{"nothing, chunked", func(http.Header, string) {}, "c"},
		{"nothing, HEAD refused", func(http.Header, string) {}, "h"},
		{"nothing, HEAD refused, no ranges", func(http.Header, string) {}, "hr"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var mu sync.Mutex
			content := ""
			s := at(t, func(w http.ResponseWriter, r *http.Request) {
				mu.Lock()
				defer mu.Unlock()
				answer(w, r, content, c.head, c.ways)
			}, nil)
			seen := map[string]string{}
			for i, text := range []string{"first", "second", "the third", ""} {
				mu.Lock()
				content = text
				mu.Unlock()
				for range 2 {
					in, err := s.Stat(t.Context(), "k/1.jpg")
					if err != nil {
						t.Fatalf("Stat of %q = %v", text, err)
					}
					b, got, err := blob.GetAll(t.Context(), s, "k/1.jpg", nil, 0)
					if err != nil || string(b) != text {
						t.Fatalf("Get = %q, %v, want %q", b, err, text)
					}
					if in.ETag != got.ETag || in.Size != int64(len(text)) || got.Size != in.Size || !in.ModTime.Equal(got.ModTime) || in.ETag == "" {
						t.Errorf("Stat = %+v, Get = %+v, want the same of %d bytes", in, got, len(text))
					}
					if other, ok := seen[in.ETag]; ok && other != text {
						t.Errorf("the ETag %q is of %q and %q", in.ETag, other, text)
					}
					seen[in.ETag] = text
				}
				if len(seen) != i+1 {
					t.Errorf("%d ETags for %d versions: %v", len(seen), i+1, seen)
				}
			}
		})
	}
}

func strongTag(h http.Header, s string) {
	h.Set("ETag", fmt.Sprintf(`"%x"`, sha256.Sum256([]byte(s))))
}

// dated gives every content a day of its own.
func dated(day time.Time, s string) string {
	return day.Add(time.Duration(len(s)) * 24 * time.Hour).Format(http.TimeFormat)
}

// answer is a web server with its ways.
func answer(w http.ResponseWriter, r *http.Request, content string, head func(http.Header, string), ways string) {
	has := func(way string) bool { return strings.Contains(ways, way) }
	if r.Method == http.MethodHead && has("h") {
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	if r.Method == http.MethodHead && has("f") {
		w.WriteHeader(http.StatusForbidden)
		return
	}
	head(w.Header(), content)
	switch {
	case w.Header().Get("ETag") != "" && r.Header.Get("If-None-Match") == w.Header().Get("ETag"):
		w.WriteHeader(http.StatusNotModified)
	case r.Header.Get("Range") == "bytes=0-0" && !has("r") && content == "":
		w.Header().Set("Content-Range", "bytes */0")
		w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
	case r.Header.Get("Range") == "bytes=0-0" && !has("r"):
		w.Header().Set("Content-Range", fmt.Sprintf("bytes 0-0/%d", len(content)))
		w.WriteHeader(http.StatusPartialContent)
		_, _ = io.WriteString(w, content[:1])
	case has("c"):
		_ = http.NewResponseController(w).Flush()
		_, _ = io.WriteString(w, content)
	default:
		w.Header().Set("Content-Length", strconv.Itoa(len(content)))
		_, _ = io.WriteString(w, content)
	}
}

// TestAKnownVersionIsNotSentAgain counts the bodies that a server without
// lengths has to send.
func TestAKnownVersionIsNotSentAgain(t *testing.T) {
	t.Parallel()
	var bodies, heads atomic.Int32
	s := at(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodHead {
			heads.Add(1)
		} else if r.Header.Get("If-None-Match") == "" {
			bodies.Add(1)
		}
		answer(w, r, "content", strongTag, "chr")
	}, nil)
	for range 5 {
		if in, err := s.Stat(t.Context(), "k"); err != nil || in.Size != 7 {
			t.Fatalf("Stat = %+v, %v", in, err)
		}
	}
	if bodies.Load() != 2 { // a try for the first byte, and the one read
		t.Errorf("%d bodies for five questions, want 2", bodies.Load())
	}
	if heads.Load() != 1 {
		t.Errorf("HEAD was tried %d times at a server that refuses it, want once", heads.Load())
	}
}

func TestSpoiledBodiesAreNoticed(t *testing.T) {
	t.Parallel()
	data := bytes.Repeat([]byte("kamado "), 10_000)
	port, _ := serve(t, outside, 0, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"1"`)
		sum := sha256.Sum256(data)
		w.Header().Set("Repr-Digest", "md5=:AAAA:, sha-256=:"+base64.StdEncoding.EncodeToString(sum[:])+":")
		w.Header().Set("Content-Length", strconv.Itoa(len(data)))
		_, _ = w.Write(data)
	}))
	p := faultproxy.Start(t, fmt.Sprintf("http://%s:%d", outside, port))
	cfg := config()
	cfg.Bases, cfg.AllowNetworks = []string{p.URL}, []string{"127.0.0.1"}
	s := open(t, cfg)
	for _, c := range []struct {
		name  string
		fault faultproxy.Fault
		want  error
	}{
		{"cut after 0 bytes", faultproxy.Truncate(0), blob.ErrShort},
		{"cut after 1000 bytes", faultproxy.Truncate(1000), blob.ErrShort},
		{"cut before the last byte", faultproxy.Truncate(int64(len(data)) - 1), blob.ErrShort},
		{"announced longer", faultproxy.Length(10), blob.ErrShort},
		{"announced shorter", faultproxy.Length(-10), blob.ErrShort}, // the digest tells
		{"reset in the middle", faultproxy.Reset(1000), blob.ErrUnavailable},
		{"reset before the head", faultproxy.Reset(-1), blob.ErrUnavailable},
	} {
		t.Run(c.name, func(t *testing.T) {
			p.Inject(faultproxy.Forever, c.fault)
			if b, _, err := blob.GetAll(t.Context(), s, "k", nil, 0); !errors.Is(err, c.want) {
				t.Errorf("GetAll = %d bytes, %v, want %v", len(b), err, c.want)
			}
			p.Heal()
			if b, _, err := blob.GetAll(t.Context(), s, "k", nil, 0); err != nil || !bytes.Equal(b, data) {
				t.Errorf("the next Get = %d bytes, %v", len(b), err)
			}
		})
	}
}

// TestAnswersThatAreNoObjects are refused before a byte of them is believed.
func TestAnswersThatAreNoObjects(t *testing.T) {
	t.Parallel()
	raw := func(answer string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			c, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				panic(err)
			}
			_, _ = io.WriteString(c, answer)
			c.Close()
		}
	}
	small := func(c *web.Config) { c.BytesMax = 10; c.HeaderBytesMax = 2 << 10 }
	for _, c := range []struct {
		name   string
		answer http.HandlerFunc
		want   error
	}{
		{"packed", raw("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Encoding: gzip\r\nETag: \"1\"\r\n\r\nxx"), blob.ErrUnavailable},
		{"ends with the connection", raw("HTTP/1.1 200 OK\r\nETag: \"1\"\r\n\r\nhalf"), blob.ErrUnavailable},
		{"HTTP/1.0 without a length", raw("HTTP/1.0 200 OK\r\nETag: \"1\"\r\n\r\nhalf"), blob.ErrUnavailable},
		{"chunks that end early", raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"), blob.ErrShort},
		{"two lengths", raw("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nxxx"), blob.ErrUnavailable},
		{"a length that is none", raw("HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nxxx"), blob.ErrUnavailable},
		{"no HTTP", raw("SSH-2.0-x\r\n"), blob.ErrUnavailable},
		{"an endless head", raw("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nETag: \"1\"\r\n" + strings.Repeat("X-A: "+strings.Repeat("a", 1000)+"\r\n", 10) + "\r\nxx"), blob.ErrUnavailable},
		{"a long object", text("12345678901"), blob.ErrTooLarge},
		{"a long object in chunks", func(w http.ResponseWriter, _ *http.Request) {
			for range 100 {
				_, _ = io.WriteString(w, "0123456789")
				_ = http.NewResponseController(w).Flush()
			}
		}, blob.ErrTooLarge},
		{"a login page", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusFound) }, web.ErrRefused},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := at(t, c.answer, small)
			if b, _, err := blob.GetAll(t.Context(), s, "k", nil, 0); !errors.Is(err, c.want) {
				t.Errorf("GetAll = %q, %v, want %v", b, err, c.want)
			}
			if in, err := s.Stat(t.Context(), "k"); err == nil && c.name == "a long object" {
				t.Errorf("Stat = %+v", in)
			}
		})
	}
}

// TestTLS wants certificates checked, and no way from https to http.
func TestTLS(t *testing.T) {
	t.Parallel()
	plain, _ := serve(t, outside, 0, text("plain"))
	var mu sync.Mutex
	to := ""
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if r.URL.Path == "/down" {
			http.Redirect(w, r, to, http.StatusFound)
			return
		}
		text("safe")(w, r)
	}))
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	l, err := net.Listen("tcp", outside+":0")
	if err != nil {
		t.Fatal(err)
	}
	srv.Listener.Close()
	srv.Listener = l
	srv.StartTLS()
	t.Cleanup(srv.Close)
	mu.Lock()
	to = fmt.Sprintf("http://example.com:%d/x", plain)
	mu.Unlock()
	cfg := config(plain, l.Addr().(*net.TCPAddr).Port)
	cfg.Bases = []string{fmt.Sprintf("https://example.com:%d/", l.Addr().(*net.TCPAddr).Port)} // the name of httptest's certificate
	cfg.Hosts = []string{"example.com"}
	cfg.Resolver = resolver(t, func(string, int) []string { return []string{outside} })
	cfg.RootCAs = x509.NewCertPool()
	cfg.RootCAs.AddCert(srv.Certificate())
	s := open(t, cfg)
	if b, _, err := blob.GetAll(t.Context(), s, "k", nil, 0); string(b) != "safe" {
		t.Errorf("%q, %v", b, err)
	}
	if b, _, err := blob.GetAll(t.Context(), s, "down", nil, 0); !errors.Is(err, web.ErrRefused) {
		t.Errorf("https that leads to http: %q, %v, want ErrRefused", b, err)
	}
	cfg.RootCAs = x509.NewCertPool()
	if b, _, err := blob.GetAll(t.Context(), open(t, cfg), "k", nil, 0); !errors.Is(err, blob.ErrUnavailable) {
		t.Errorf("an unknown certificate: %q, %v, want ErrUnavailable", b, err)
	}
}

// TestNoProxyIsAsked is not parallel: it changes the environment.
func TestNoProxyIsAsked(t *testing.T) {
	proxy, connections := serve(t, inside, 0, text("by a proxy"))
	for _, name := range []string{"HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY"} {
		t.Setenv(name, fmt.Sprintf("http://%s:%d", inside, proxy))
	}
	port, _ := serve(t, outside, 0, text("direct"))
	cfg := config(port)
	cfg.Bases = []string{fmt.Sprintf("http://img.example:%d", port)}
	cfg.Resolver = resolver(t, func(string, int) []string { return []string{outside} })
	if b, _, err := blob.GetAll(t.Context(), open(t, cfg), "k", nil, 0); string(b) != "direct" || connections.Load() != 0 {
		t.Errorf("%q, %v and %d connections to the proxy", b, err, connections.Load())
	}
}

func TestRequestsSayWhatTheyWant(t *testing.T) {
	t.Parallel()
	var got http.Header
	s := at(t, func(w http.ResponseWriter, r *http.Request) {
		got = r.Header.Clone()
		w.Header().Set("Set-Cookie", "a=b")
		text("x")(w, r)
	}, nil)
	for range 2 {
		if _, _, err := blob.GetAll(t.Context(), s, "k", nil, 0); err != nil {
			t.Fatal(err)
		}
	}
	if got.Get("Accept-Encoding") != "identity" || got.Get("User-Agent") != "kamado" || len(got["Cookie"])+len(got["Authorization"])+len(got["Referer"]) != 0 {
		t.Errorf("headers sent: %v", got)
	}
}

func TestConnectionsAreKeptAndBounded(t *testing.T) {
	t.Parallel()
	var at, most atomic.Int32
	release := make(chan struct{})
	port, connections := serve(t, outside, 0, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if n := at.Add(1); n > most.Load() {
			most.Store(n)
		}
		if r.URL.Path == "/wait" {
			<-release
		}
		at.Add(-1)
		text("x")(w, r)
	}))
	cfg := config()
	cfg.Bases = []string{fmt.Sprintf("http://%s:%d", outside, port)}
	cfg.Connections, cfg.IdleConnections = 3, 2
	s := open(t, cfg)
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() { _, _, _ = blob.GetAll(t.Context(), s, "wait", nil, 0) })
	}
	for deadline := time.Now().Add(5 * time.Second); at.Load() < 3 && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
	close(release)
	wg.Wait()
	if most.Load() != 3 {
		t.Errorf("%d requests at once, want 3", most.Load())
	}
	before := connections.Load()
	for range 20 {
		if _, _, err := blob.GetAll(t.Context(), s, "k", nil, 0); err != nil {
			t.Fatal(err)
		}
	}
	if n := connections.Load() - before; n > 1 {
		t.Errorf("%d connections for 20 requests in a row, want the ones that are there", n)
	}
}

func TestErrorsTellNoSecrets(t *testing.T) {
	t.Parallel()
	cfg := config(1)
	cfg.URLKeys, cfg.Hosts = true, []string{outside}
	s := open(t, cfg)
	_, err := s.Get(t.Context(), "http://"+outside+":1/x?token=secret")
	if err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("error %v, want one without the query", err)
	}
}

func TestValidateNamesEveryFault(t *testing.T) {
	t.Parallel()
	good := web.Default()
	good.Bases = []string{"https://img.example.com/x"}
	if err := good.Validate(); err != nil {
		t.Fatalf("Validate of the default with a base = %v", err)
	}
	for field, spoil := range map[string]func(*web.Config){
		"bases":            func(c *web.Config) { c.Bases = nil },
		"bases ":           func(c *web.Config) { c.Bases = []string{"https://u:p@h/"} },
		"bases  ":          func(c *web.Config) { c.Bases = []string{"https://h/?q"} },
		"allow_hosts":      func(c *web.Config) { c.URLKeys = true },
		"allow_hosts ":     func(c *web.Config) { c.Hosts = []string{"Big.example"} },
		"allow_hosts  ":    func(c *web.Config) { c.Hosts = []string{"*.1.2"} },
		"allow_hosts   ":   func(c *web.Config) { c.Hosts = []string{"a.*.example"} },
		"allow_ports":      func(c *web.Config) { c.Ports = []int{0} },
		"allow_schemes":    func(c *web.Config) { c.Schemes = []string{"ftp"} },
		"allow_networks":   func(c *web.Config) { c.AllowNetworks = []string{"x"} },
		"dial_timeout":     func(c *web.Config) { c.DialTimeout = 0 },
		"stall":            func(c *web.Config) { c.Stall = 0 },
		"whole":            func(c *web.Config) { c.Whole = 0 },
		"attempts":         func(c *web.Config) { c.Attempts = 11 },
		"backoff":          func(c *web.Config) { c.BackoffMax = 0 },
		"connections":      func(c *web.Config) { c.Connections = 0 },
		"idle_connections": func(c *web.Config) { c.IdleConnections = 0 },
		"header_bytes_max": func(c *web.Config) { c.HeaderBytesMax = 1 },
		"bytes_max":        func(c *web.Config) { c.BytesMax = 0 },
		"user_agent":       func(c *web.Config) { c.UserAgent = "a\r\nb" },
	} {
		cfg := good
		spoil(&cfg)
		if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), strings.TrimSpace(field)) {
			t.Errorf("Validate with a bad %s = %v", field, err)
		}
	}
}
