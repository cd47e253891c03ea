package httpserver_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kamado/kamado/internal/httpserver"
	"github.com/kamado/kamado/internal/unit"
)

// running is a server on a free port that the test ends.
type running struct {
	*httpserver.Server
	url    string
	health *httpserver.Health
	reg    *prometheus.Registry
	log    *lockedBuffer
	stop   func() error // asks it to end and waits
}

var discardLog = slog.New(slog.DiscardHandler)

// lockedBuffer collects the log while handlers write it.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func start(t *testing.T, change func(*httpserver.Config), h http.HandlerFunc) *running {
	t.Helper()
	cfg := httpserver.Default()
	cfg.Addr = "127.0.0.1:0"
	if change != nil {
		change(&cfg)
	}
	r := &running{reg: prometheus.NewRegistry(), log: new(lockedBuffer)}
	log := slog.New(slog.NewJSONHandler(r.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	r.health = httpserver.NewHealth(log)
	var err error
	r.Server, err = httpserver.New(cfg, h, httpserver.Deps{Name: "test", Log: log, Health: r.health, Registerer: r.reg})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Listen(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.url = r.URL()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	r.stop = sync.OnceValue(func() error { cancel(); return <-done })
	t.Cleanup(func() { r.stop() })
	return r
}

// get answers the status and the body.
func get(t *testing.T, url string) (int, string) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// eventually polls a condition that another goroutine brings about.
func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for !cond() {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within 10 s", what)
		}
		time.Sleep(time.Millisecond)
	}
}

func TestProblemIsWhatRFC9457Says(t *testing.T) {
	s := start(t, nil, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Etag", `"x"`)
		httpserver.WriteProblem(w, r, httpserver.Problem{Type: "https://kamado.example/size", Title: "Bad size", Status: 400,
			Detail: "12x is no size", Extra: map[string]any{"part": "size", "status": 999}})
	})
	req, _ := http.NewRequest("GET", s.url, nil)
	req.Header.Set("X-Request-Id", "abc-1")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var got map[string]any
	if err := json.NewDecoder(resp.Body).Decode(&got); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"type": "https://kamado.example/size", "title": "Bad size", "status": 400.0, "detail": "12x is no size", "part": "size", "request_id": "abc-1"}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("problem is %v, want %v", got, want)
	}
	for name, want := range map[string]string{"Content-Type": "application/problem+json", "Cache-Control": "no-store", "Etag": "", "X-Request-Id": "abc-1"} {
		if got := resp.Header.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
}

func TestRequestID(t *testing.T) {
	s := start(t, nil, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, httpserver.RequestID(r)) })
	fresh := map[string]bool{}
	for _, tc := range []struct {
		sent string
		kept bool
	}{
		{"", false}, {"abc_DEF-1.2", true}, {"with space", false}, {`"quote"`, false}, {strings.Repeat("a", 64), true}, {strings.Repeat("a", 65), false},
	} {
		req, _ := http.NewRequest("GET", s.url, nil)
		if tc.sent != "" {
			req.Header.Set("X-Request-Id", tc.sent)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		id := resp.Header.Get("X-Request-Id")
		if id != string(body) {
			t.Errorf("sent %q: answer says %q, handler saw %q", tc.sent, id, body)
		}
		if tc.kept != (id == tc.sent) {
			t.Errorf("sent %q: id is %q, want it kept: %v", tc.sent, id, tc.kept)
		}
		if !tc.kept && (len(id) != 16 || fresh[id]) {
			t.Errorf("fresh id is %q, want 16 digits never seen before", id)
		}
		fresh[id] = true
	}
}

func TestAccessLog(t *testing.T) {
	for mode, want := range map[string]int{"all": 2, "errors": 1, "off": 0} {
		s := start(t, func(c *httpserver.Config) { c.AccessLog = mode }, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/broken" {
				w.WriteHeader(502)
			}
			io.WriteString(w, "12345")
		})
		get(t, s.url+"/fine?token=secret")
		get(t, s.url+"/broken")
		get(t, s.url+"/healthz")
		s.stop()
		n := strings.Count(s.log.String(), `"msg":"request"`)
		if n != want {
			t.Errorf("access log %s has %d requests, want %d:\n%s", mode, n, want, s.log)
		}
		if strings.Contains(s.log.String(), "secret") {
			t.Errorf("access log shows the query")
		}
		if mode == "all" && !strings.Contains(s.log.String(), `"path":"/fine","status":200,"bytes":5`) {
			t.Errorf("access log is %s", s.log)
		}
	}
}

func TestPanicIsAProblemAndTheServerLives(t *testing.T) {
	s := start(t, nil, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/early":
			w.Header().Set("X-Half", "made")
			panic("secret detail")
		case "/late":
			io.WriteString(w, "half")
			http.NewResponseController(w).Flush()
			panic("late")
		case "/abort":
			panic(http.ErrAbortHandler)
		}
	})
	resp, err := http.Get(s.url + "/early")
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(resp.Body)
	resp.Body.Close()
	if resp.StatusCode != 500 || strings.Contains(string(body), "secret") || resp.Header.Get("X-Half") != "" || resp.Header.Get("X-Request-Id") == "" {
		t.Errorf("early panic answers %d %s %v", resp.StatusCode, body, resp.Header)
	}
	resp, err = http.Get(s.url + "/late")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(resp.Body); err == nil {
		t.Errorf("late panic gives a whole answer, want a cut connection")
	}
	resp.Body.Close()
	if resp, err := http.Get(s.url + "/abort"); err == nil {
		resp.Body.Close()
		t.Errorf("aborting handler answers %d, want a cut connection", resp.StatusCode)
	}
	if code, _ := get(t, s.url+"/fine"); code != 200 {
		t.Errorf("request after panics answers %d", code)
	}
	s.stop()
	if n := strings.Count(s.log.String(), "handler panicked"); n != 2 {
		t.Errorf("log tells of %d panics, want 2 (an abort is none)", n)
	}
	if !strings.Contains(s.log.String(), "server_test.go") {
		t.Errorf("log of a panic has no stack")
	}
}

func TestBodyLimit(t *testing.T) {
	s := start(t, func(c *httpserver.Config) { c.BodyBytesMax = 10 }, func(w http.ResponseWriter, r *http.Request) {
		var tooLarge *http.MaxBytesError
		if _, err := io.ReadAll(r.Body); errors.As(err, &tooLarge) {
			httpserver.WriteProblem(w, r, httpserver.Problem{Status: http.StatusRequestEntityTooLarge})
		}
	})
	for _, tc := range []struct {
		n    int
		want int
	}{{10, 200}, {11, 413}} {
		resp, err := http.Post(s.url, "text/plain", strings.NewReader(strings.Repeat("x", tc.n)))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != tc.want {
			t.Errorf("%d bytes answer %d, want %d", tc.n, resp.StatusCode, tc.want)
		}
	}
}

func TestHeaderLimit(t *testing.T) {
	s := start(t, func(c *httpserver.Config) { c.HeaderBytesMax = 8 * unit.KiB }, func(http.ResponseWriter, *http.Request) {})
	for _, tc := range []struct{ n, want int }{{7 << 10, 200}, {9 << 10, 431}} {
		req, _ := http.NewRequest("GET", s.url, nil)
		req.Header.Set("X-Long", strings.Repeat("x", tc.n))
		req.Close = true // a connection that was used before has read up to 4 KiB ahead
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != tc.want {
			t.Errorf("head of %d bytes answers %d, want %d", tc.n, resp.StatusCode, tc.want)
		}
	}
}

func TestInFlightLimit(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	s := start(t, func(c *httpserver.Config) { c.InFlightMax = 1 }, func(http.ResponseWriter, *http.Request) {
		entered <- struct{}{}
		<-release
	})
	first := make(chan int)
	go func() { code, _ := get(t, s.url); first <- code }()
	<-entered
	resp, err := http.Get(s.url)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 503 || resp.Header.Get("Retry-After") != "1" || resp.Header.Get("Content-Type") != httpserver.ProblemMediaType {
		t.Errorf("second request answers %d %v, want 503 with Retry-After", resp.StatusCode, resp.Header)
	}
	if code, _ := get(t, s.url+"/healthz"); code != 200 {
		t.Errorf("/healthz at the limit answers %d, want 200", code)
	}
	close(release)
	if code := <-first; code != 200 {
		t.Errorf("first request answers %d, want 200", code)
	}
	go func() { <-entered }()
	if code, _ := get(t, s.url); code != 200 {
		t.Errorf("request after the first ended answers %d, want 200", code)
	}
	if n := s.refused(t, "in_flight"); n != 1 {
		t.Errorf("metric counts %v refused requests, want 1", n)
	}
}

// refused reads kamado_http_refused_total of one reason.
func (r *running) refused(t *testing.T, reason string) float64 {
	t.Helper()
	families, err := r.reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == "kamado_http_refused_total" && m.GetLabel()[0].GetValue() == reason {
				return m.GetCounter().GetValue()
			}
		}
	}
	t.Fatalf("no metric kamado_http_refused_total of %s", reason)
	return 0
}

func TestConnectionLimit(t *testing.T) {
	s := start(t, func(c *httpserver.Config) { c.ConnectionsMax = 2 }, func(http.ResponseWriter, *http.Request) {})
	dial := func() net.Conn {
		c, err := net.Dial("tcp", s.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	served := func(c net.Conn) bool {
		c.SetDeadline(time.Now().Add(5 * time.Second))
		fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		line, err := bufio.NewReader(c).ReadString('\n')
		return err == nil && strings.Contains(line, "200")
	}
	a, b := dial(), dial()
	if !served(a) || !served(b) {
		t.Fatal("two connections within the limit are not served")
	}
	if served(dial()) {
		t.Error("third connection is served, want it closed")
	}
	if n := s.refused(t, "connections"); n != 1 {
		t.Errorf("metric counts %v refused connections, want 1", n)
	}
	a.Close()
	eventually(t, "a closed connection gives its place to another", func() bool { return served(dial()) })
}

func TestSlowClientsAreCutOff(t *testing.T) {
	const limit = 50 * time.Millisecond
	s := start(t, func(c *httpserver.Config) {
		c.ReadHeaderTimeout, c.ReadTimeout, c.WriteTimeout, c.IdleTimeout = limit, limit, limit, limit
	}, func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.ReadAll(r.Body); err != nil {
			return
		}
		if r.URL.Path == "/large" {
			chunk := make([]byte, 1<<20)
			for range 64 { // far more than the kernel buffers for a client that does not read
				if _, err := w.Write(chunk); err != nil {
					return
				}
			}
		}
	})
	for name, say := range map[string]string{
		"nothing":             "",
		"half a head":         "GET / HTTP/1.1\r\nHost:",
		"half a body":         "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc",
		"no second request":   "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
		"asks and reads late": "GET /large HTTP/1.1\r\nHost: x\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, err := net.Dial("tcp", s.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			io.WriteString(c, say)
			if name == "asks and reads late" {
				eventually(t, "the handler gives up", func() bool { return strings.Contains(s.log.String(), `"path":"/large"`) })
			}
			c.SetReadDeadline(time.Now().Add(10 * time.Second))
			if _, err := io.Copy(io.Discard, c); errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("connection is still open after 10 s, want it closed after %v", limit)
			}
		})
	}
}

func TestDrain(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	s := start(t, func(c *httpserver.Config) { c.DrainDelay = 300 * time.Millisecond }, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/slow":
			entered <- struct{}{}
			<-release
			io.WriteString(w, "whole")
		case "/stream":
			entered <- struct{}{}
			<-httpserver.Draining(r.Context())
		}
	})
	if code, _ := get(t, s.url+"/readyz"); code != 200 {
		t.Fatalf("/readyz before the end answers %d", code)
	}
	slow, stream := make(chan string), make(chan int)
	go func() { _, body := get(t, s.url+"/slow"); slow <- body }()
	<-entered
	go func() { code, _ := get(t, s.url+"/stream"); stream <- code }()
	<-entered
	stopped := make(chan error)
	go func() { stopped <- s.stop() }()
	eventually(t, "/readyz says 503 while requests are still answered", func() bool {
		code, _ := get(t, s.url+"/readyz")
		return code == 503
	})
	if code, _ := get(t, s.url+"/fine"); code != 200 {
		t.Errorf("request during the delay answers %d, want 200", code)
	}
	<-stream // ends itself
	eventually(t, "the listener is closed", func() bool {
		c, err := net.Dial("tcp", s.Addr().String())
		if err == nil {
			c.Close()
		}
		return err != nil
	})
	select {
	case err := <-stopped:
		t.Fatalf("Run returned %v with a request in work", err)
	default:
	}
	close(release)
	if body := <-slow; body != "whole" {
		t.Errorf("request in work got %q, want the whole answer", body)
	}
	if err := <-stopped; err != nil {
		t.Errorf("Run = %v, want nil", err)
	}
}

func TestDrainHasAnEnd(t *testing.T) {
	entered := make(chan struct{})
	cut := make(chan struct{})
	s := start(t, func(c *httpserver.Config) { c.DrainTimeout = 50 * time.Millisecond }, func(w http.ResponseWriter, r *http.Request) {
		close(entered)
		<-r.Context().Done()
		close(cut)
	})
	go http.Get(s.url)
	<-entered
	if err := s.stop(); err == nil || !strings.Contains(err.Error(), "were cut off") {
		t.Errorf("Run = %v, want that requests were cut off", err)
	}
	<-cut
}

func TestHealth(t *testing.T) {
	s := start(t, nil, func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(418) })
	var mu sync.Mutex
	var broken error
	s.health.AddCheck("store", func(context.Context) error { mu.Lock(); defer mu.Unlock(); return broken })
	s.health.AddCheck("codec", func(context.Context) error { return nil })
	if code, body := get(t, s.url+"/healthz"); code != 200 || body != `{"status":"ok"}`+"\n" {
		t.Errorf("/healthz answers %d %s", code, body)
	}
	if code, body := get(t, s.url+"/readyz"); code != 200 || body != `{"status":"ready","checks":{"codec":"ok","store":"ok"}}`+"\n" {
		t.Errorf("/readyz answers %d %s", code, body)
	}
	mu.Lock()
	broken = errors.New("disk 7 is gone")
	mu.Unlock()
	eventually(t, "/readyz sees the failure", func() bool {
		code, body := get(t, s.url+"/readyz")
		return code == 503 && body == `{"status":"not ready","checks":{"codec":"ok","store":"failing"}}`+"\n"
	})
	if n := strings.Count(s.log.String(), "disk 7 is gone"); n != 1 {
		t.Errorf("log tells of the failure %d times, want once", n)
	}
	mu.Lock()
	broken = nil
	mu.Unlock()
	eventually(t, "/readyz sees the recovery", func() bool {
		code, _ := get(t, s.url+"/readyz")
		return code == 200 && strings.Contains(s.log.String(), "passes again")
	})
}

func TestH2COnlyWhenAsked(t *testing.T) {
	for _, on := range []bool{false, true} {
		s := start(t, func(c *httpserver.Config) { c.H2C = on }, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.Proto) })
		protocols := new(http.Protocols)
		protocols.SetUnencryptedHTTP2(true)
		client := &http.Client{Transport: &http.Transport{Protocols: protocols}}
		resp, err := client.Get(s.url)
		if (err == nil) != on {
			t.Errorf("h2c %v: request gives %v", on, err)
		}
		if err == nil {
			body, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			if string(body) != "HTTP/2.0" {
				t.Errorf("h2c gives %s", body)
			}
		}
		client.CloseIdleConnections()
	}
}

func TestConfigComplaints(t *testing.T) {
	cfg := httpserver.Default()
	if err := cfg.Validate(); err != nil {
		t.Errorf("Validate of the default = %v", err)
	}
	cfg.ReadTimeout, cfg.InFlightMax, cfg.AccessLog, cfg.TLS.CertFile = 0, 0, "some", "cert.pem"
	err := cfg.Validate()
	for _, want := range []string{"read_timeout", "in_flight_max", "access_log", "tls.key_file"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Validate = %v, want a complaint about %s", err, want)
		}
	}
}

func TestAddressInUse(t *testing.T) {
	s := start(t, nil, func(http.ResponseWriter, *http.Request) {})
	cfg := httpserver.Default()
	cfg.Addr = s.Addr().String()
	other, err := httpserver.New(cfg, http.NotFoundHandler(), httpserver.Deps{Name: "other", Log: discardLog, Health: s.health})
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "address already in use") {
		t.Errorf("Run on a taken address = %v", err)
	}
}
