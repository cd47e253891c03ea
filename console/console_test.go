package console_test

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/kamado/kamado/console"
	"github.com/kamado/kamado/internal/httpserver"
)

const token = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

// service is a pictures' service as far as its public interface goes.
type service struct {
	*httptest.Server
	signing bool
	empty   bool
	asked   http.Header // of the last picture
	ordered []string    // orders that were given
}

func newService(t *testing.T) *service {
	t.Helper()
	s := &service{signing: true}
	mux := http.NewServeMux()
	operator := func(h http.HandlerFunc) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Authorization") != "Bearer "+token {
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			w.Header().Set("Content-Type", "application/json")
			h(w, r)
		}
	}
	mux.HandleFunc("GET /-/api/v1/originals", operator(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.FormValue("prefix"), "..") {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		if s.empty || r.FormValue("prefix") == "nothing" {
			io.WriteString(w, `{"originals":[]}`)
			return
		}
		io.WriteString(w, `{"originals":[{"key":"recipes/1 & 2.jpg","bytes":1234567},{"key":"recipes/肉.png","bytes":12}],"next":"recipes/肉.png"}`)
	}))
	mux.HandleFunc("GET /-/api/v1/info/{key...}", operator(func(w http.ResponseWriter, r *http.Request) {
		if r.PathValue("key") == "gone.jpg" {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		json.NewEncoder(w).Encode(map[string]any{"key": r.PathValue("key"), "bytes": 1234567, "format": "jpeg", "width": 4000, "height": 3000, "orientation": 6, "frames": 2, "alpha": true, "bits": 16, "progressive": true})
	}))
	mux.HandleFunc("GET /-/api/v1/stats", operator(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, `{"queue":{"busy":1,"places":2,"admitted":1234},"result_cache_memory":{"hits":3,"misses":1,"bytes":10,"bytes_max":100},"origin":{"sources":[{"name":"default"},{"name":"far","remote":true,"budget_spent":true,"reach":"spent","requests":9,"errors":4,"last_error":"<connection refused>","latency_p50_seconds":0.02,"latency_p99_seconds":1.5}]},"codec":{"Busy":1}}`)
	}))
	mux.HandleFunc("GET /-/api/v1/traffic", operator(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, `{"minutes":[{"start":"2026-05-26T19:00:00Z","requests":4,"hits":2,"rendered":1,"errors":1,"bytes":4000,"time":8000000}],"top":[{"original":"recipes/<1>","requests":3,"bytes":4000}],"slowest":[{"original":"recipes/2","rendition":"w:480","outcome":"rendered","took":120000000}],"errors":[{"original":"recipes/9","status":404,"detail":"there is no such original"}]}`)
	}))
	mux.HandleFunc("GET /-/api/v1/orders", operator(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, `{"orders":[{"id":"1","action":"takedown","target":"key/default/recipes/1.jpg","reason":"<asked>"},{"id":"2","action":"takedown","target":"kind/recipes"},{"id":"3","action":"purge","target":"all"}]}`)
	}))
	mux.HandleFunc("GET /-/api/v1/purge/status", operator(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, `{"node":"tofu-1","peers":[{"url":"http://10.0.0.2:7701","node":"tofu-2","reachable":true,"equal":true,"swept":true},{"url":"http://10.0.0.3:7701","error":"refused"}]}`)
	}))
	mux.HandleFunc("POST /-/api/v1/{action}", operator(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		s.ordered = append(s.ordered, r.PathValue("action")+" "+string(body))
		if strings.Contains(string(body), "nonsense") {
			w.WriteHeader(http.StatusBadRequest)
			io.WriteString(w, `{"detail":"\"nonsense\" is not a tag"}`)
			return
		}
		io.WriteString(w, `{"id":"4"}`)
	}))
	mux.HandleFunc("POST /-/api/v1/sign", operator(func(w http.ResponseWriter, r *http.Request) {
		if !s.signing {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		var body struct{ Path string }
		json.NewDecoder(r.Body).Decode(&body)
		json.NewEncoder(w).Encode(map[string]string{"path": strings.Replace(body.Path, "/-/", "/signed/", 1)})
	}))
	mux.HandleFunc("GET /readyz", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("GET /i/", func(w http.ResponseWriter, r *http.Request) {
		s.asked = r.Header
		if strings.HasPrefix(r.URL.Path, "/i/-/") == s.signing {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		w.Header().Set("Content-Type", "image/jpeg")
		w.Header().Set("Server-Timing", "decode;dur=1")
		w.Header().Set("Set-Cookie", "a=b")
		io.WriteString(w, r.URL.EscapedPath())
	})
	s.Server = httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

// guard lets everybody read, and takes who has a cookie for the operator.
type guard struct{}

func (guard) Allowed(r *http.Request) bool      { _, err := r.Cookie("operator"); return err == nil }
func (guard) Reads(h http.Handler) http.Handler { return h }
func (guard) Require(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !(guard{}).Allowed(r) {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		h.ServeHTTP(w, r)
	})
}
func (guard) CSRFToken(r *http.Request) string {
	if !(guard{}).Allowed(r) {
		return ""
	}
	return "csrf-of-session"
}
func (guard) Login(w http.ResponseWriter, _ *http.Request)     { io.WriteString(w, "logged in") }
func (guard) Logout(w http.ResponseWriter, _ *http.Request)    { io.WriteString(w, "logged out") }
func (guard) IssueLink(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "link") }

func build(t *testing.T, s *service) http.Handler {
	t.Helper()
	c, err := console.New(console.Config{
		Images: s.URL, ImagesPublic: "https://img.example.com", Token: token, Version: "1.2.3", Guard: guard{}, Log: slog.New(slog.DiscardHandler),
		Presets:  []console.Preset{{Name: "thumb", Options: "w:180,h:180,fit:crop"}},
		Services: []console.Service{{Name: "images", URL: s.URL}, {Name: "admin", URL: "http://127.0.0.1:1"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return c.Handler()
}

type answer struct {
	status int
	header http.Header
	body   string
}

func get(h http.Handler, target string, change ...func(*http.Request)) answer {
	r := httptest.NewRequest(http.MethodGet, target, nil)
	for _, c := range change {
		c(r)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return answer{w.Code, w.Header(), w.Body.String()}
}

func asOperator(r *http.Request) { r.AddCookie(&http.Cookie{Name: "operator", Value: "yes"}) }
func byHTMX(r *http.Request)     { r.Header.Set("Hx-Request", "true") }

// look is a look at one page, and what is seen there.
type look struct {
	name, target string
	status       int
	has, hasNot  []string
}

// at holds an answer against it. No page has the operator's token, or what a template could not write.
func (c *look) at(t *testing.T, got answer) {
	t.Helper()
	if got.status != c.status {
		t.Errorf("%s: GET %s = %d, want %d", c.name, c.target, got.status, c.status)
	}
	for _, text := range c.has {
		if !strings.Contains(got.body, text) {
			t.Errorf("%s: GET %s lacks %q", c.name, c.target, text)
		}
	}
	for _, text := range append(c.hasNot, token, "ZgotmplZ", "<no value>") {
		if strings.Contains(got.body, text) {
			t.Errorf("%s: GET %s has %q", c.name, c.target, text)
		}
	}
}

// formsHaveTokens wants the token of the session in each form that changes something.
func (c *look) formsHaveTokens(t *testing.T, got answer) {
	t.Helper()
	if forms, tokens := strings.Count(got.body, `method="post"`), strings.Count(got.body, `name="csrf_token" value="csrf-of-session"`); forms != tokens {
		t.Errorf("%s: GET %s has %d forms and %d tokens of the session", c.name, c.target, forms, tokens)
	}
}

func TestPages(t *testing.T) {
	h := build(t, newService(t))
	for _, c := range []look{
		{"the overview lists the services and a few originals", "/", 200, []string{"Pictures</th>", "Ready", "Not ready", "sse-connect=\"/live\"", "1 &amp; 2.jpg", "Version 1.2.3"}, nil},
		{"the gallery shows originals by thumbnails", "/images", 200, []string{`src="/pictures/w:480,h:360,fit:crop,q:72,format:jpeg/recipes/1%20%26%202.jpg"`, "1.2 MB", "Show more", "after=recipes"}, nil},
		{"the gallery says that a filter finds nothing", "/images?prefix=nothing", 200, []string{"No original begins with “nothing”."}, []string{"<img"}},
		{"the gallery says the same of a filter that no name can begin with", "/images?prefix=../", 200, []string{"No original begins with “../”."}, []string{"<img"}},
		{"the playground shows one original", "/images/playground?key=recipes/1.jpg", 200, []string{"4000 × 3000", "16 bit", "progressive", "EXIF orientation 6", "2 frames", "transparent", `data-key="recipes/1.jpg"`}, nil},
		{"the playground begins with the first original", "/images/playground", 302, nil, nil},
		{"an original that is gone", "/images/playground?key=gone.jpg", 404, []string{"There is nothing here"}, nil},
		{"presets are shown on an original", "/images/presets", 200, []string{"w:180,h:180,fit:crop", "/pictures/preset:thumb/recipes/1%20%26%202.jpg"}, nil},
		{"the state of caches and queue", "/images/stats", 200, []string{"75.0 %", "1\u2009234", "Off", "Fails too often"}, nil},
		{"the traffic of the last hour", "/images/traffic", 200, []string{"recipes/&lt;1&gt;", "50.0 %", "w:480", "120ms", "there is no such original", "&lt;connection refused&gt;", `height="50"`}, nil},
		{"orders that hold, and the fleet", "/images/orders", 200, []string{"key/default/recipes/1.jpg", "&lt;asked&gt;", "tofu-2", "Does not answer", `value="recipes/1.jpg"`, `name="by" value="tag"`, "kamado images takedown recipes/1"}, nil},
		{"an address that is none", "/nowhere", 404, []string{"There is nothing here"}, nil},
	} {
		got := get(h, c.target)
		c.at(t, got)
		if policy := got.header.Get("Content-Security-Policy"); !strings.Contains(policy, "default-src 'none'") || strings.Contains(policy, "unsafe") {
			t.Errorf("%s: its policy is %q", c.name, policy)
		}
	}
}

func TestHTMXGetsFragments(t *testing.T) {
	h := build(t, newService(t))
	for _, target := range []string{"/images", "/images?after=a", "/images/stats", "/images/traffic", "/images/orders"} {
		if got := get(h, target, byHTMX); got.status != 200 || strings.Contains(got.body, "<html") {
			t.Errorf("GET %s by htmx = %d, a whole page: %.80s", target, got.status, got.body)
		}
		if got := get(h, target); !strings.Contains(got.body, "<html") || !strings.Contains(got.header.Get("Vary"), "Hx-Request") {
			t.Errorf("GET %s by a browser is no whole page, or caches mix it up with the fragment", target)
		}
	}
}

func TestOnlyTheOperatorGetsSignedURLs(t *testing.T) {
	s := newService(t)
	type written struct {
		URL            string
		Signed, Needed bool
	}
	ask := func(h http.Handler, query string, change ...func(*http.Request)) (out map[string]written) {
		t.Helper()
		got := get(h, "/images/url?"+query, change...)
		if got.status != 200 || json.Unmarshal([]byte(got.body), &out) != nil {
			t.Fatalf("GET /images/url?%s = %d: %s", query, got.status, got.body)
		}
		return out
	}
	h := build(t, s)
	if got := ask(h, "options=w:480,blur:1&key=a/b.jpg")["native"]; got != (written{"https://img.example.com/i/-/w:480,blur:1/a/b.jpg", false, true}) {
		t.Errorf("a reader is given %+v, want the URL without its signature", got)
	}
	if got := ask(h, "options=w:480,blur:1&key=a/b.jpg", asOperator)["native"]; got != (written{"https://img.example.com/i/signed/w:480,blur:1/a/b.jpg", true, true}) {
		t.Errorf("the operator is given %+v, want the signed URL", got)
	}
	unsigned := newService(t)
	unsigned.signing = false
	if got := ask(build(t, unsigned), "options=whole&key=a")["native"]; got != (written{"https://img.example.com/i/-/whole/a", false, false}) {
		t.Errorf("where URLs need no signature a reader is given %+v", got)
	}
}

func TestTOFUIsOfferedWhereItCanSayTheRendition(t *testing.T) {
	s := newService(t)
	s.signing = false
	h := build(t, s)
	for query, want := range map[string]string{
		"key=recipes/1.jpg&options=w:480,h:360,fit:crop,q:70,format:jpeg":   "/recipes/1.jpg/480x360cq70/any.jpg",
		"key=recipes/1.jpg&options=w:480,h:360,fit:shrink,q:70,format:webp": "/recipes/1.jpg/480x360sq70/any.webp",
		"key=recipes/1.jpg&options=w:480,h:360,fit:crop,q:70":               "/recipes/1.jpg/480x360cq70/00000000000000000000000000000000",
		"key=recipes/1.jpg&options=w:480":                                   "/recipes/1.jpg/480/any",
		"key=recipes/%E8%82%89.jpg&options=w:480,h:360,format:png":          "/recipes/%E8%82%89.jpg/480x360/any.png",
		"key=recipes/1.jpg&options=h:480":                                   "",
		"key=recipes/1.jpg&options=w:480,h:360,fit:pad":                     "",
		"key=recipes/1.jpg&options=w:480,rotate:90":                         "",
		"key=a/b/c.jpg&options=w:480":                                       "",
		"key=c.jpg&options=w:480":                                           "",
		"key=i/c.jpg&options=w:480":                                         "",
	} {
		var out map[string]struct{ URL string }
		if err := json.Unmarshal([]byte(get(h, "/images/url?"+query).body), &out); err != nil {
			t.Fatal(err)
		}
		if got := strings.TrimPrefix(out["tofu"].URL, "https://img.example.com"); got != want {
			t.Errorf("the TOFU URL of %s = %q, want %q", query, got, want)
		}
	}
}

func TestPicturesPassThrough(t *testing.T) {
	s := newService(t)
	h := build(t, s)
	got := get(h, "/pictures/w:480/recipes/1%20%26%202.jpg", asOperator, func(r *http.Request) {
		r.Header.Set("Authorization", "Bearer "+token)
		r.Header.Set("Accept", "image/webp")
	})
	if got.status != 200 || got.body != "/i/signed/w:480/recipes/1%20%26%202.jpg" || got.header.Get("Server-Timing") == "" {
		t.Errorf("a picture = %d %q with %v, want it signed, with its Server-Timing", got.status, got.body, got.header)
	}
	if s.asked.Get("Cookie") != "" || s.asked.Get("Authorization") != "" || s.asked.Get("Accept") != "image/webp" {
		t.Errorf("the service was sent %v, want no credential and the Accept header", s.asked)
	}
	if got.header.Get("Set-Cookie") != "" {
		t.Errorf("the service set a cookie of the console's")
	}
	s.Close()
	if got := get(h, "/pictures/w:480/a.jpg"); got.status != http.StatusBadGateway {
		t.Errorf("a picture of a service that is down = %d, want 502", got.status)
	}
	if got := get(h, "/images"); got.status != http.StatusBadGateway || !strings.Contains(got.body, "does not answer") {
		t.Errorf("the gallery of a service that is down = %d, want 502 and a page that says so", got.status)
	}
}

func TestFeedSendsSamplesAndServices(t *testing.T) {
	server := httptest.NewServer(build(t, newService(t)))
	defer server.Close()
	res, err := http.Get(server.URL + "/live")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if kind := res.Header.Get("Content-Type"); kind != "text/event-stream" {
		t.Fatalf("the feed is %q", kind)
	}
	want := map[string]bool{"event: services": true, "event: sample": true}
	lines := bufio.NewScanner(res.Body)
	for len(want) > 0 && lines.Scan() {
		delete(want, lines.Text())
	}
	if len(want) > 0 {
		t.Errorf("the feed ended without %v", want)
	}
}

// A page that somebody left open must not hold the end of the process up.
func TestFeedEndsWhenTheServerStops(t *testing.T) {
	cfg := httpserver.Default()
	cfg.Addr, cfg.AccessLog = "127.0.0.1:0", httpserver.AccessLogOff
	quiet := slog.New(slog.DiscardHandler)
	server, err := httpserver.New(cfg, build(t, newService(t)), httpserver.Deps{Name: "console", Log: quiet, Health: httpserver.NewHealth(quiet)})
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Listen(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- server.Run(ctx) }()
	res, err := http.Get(server.URL() + "/live")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	stop()
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("the server ended with %v", err)
		}
	case <-time.After(cfg.DrainTimeout / 2):
		t.Errorf("with a feed open the server did not stop within %v", cfg.DrainTimeout/2)
	}
}

func TestRefusalsAreProblems(t *testing.T) {
	got := get(build(t, newService(t)), "/images", func(r *http.Request) { r.Method = http.MethodDelete })
	if got.status != http.StatusMethodNotAllowed || got.header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("DELETE = %d %s, want a 405 problem", got.status, got.header.Get("Content-Type"))
	}
}

func TestFeedIsBounded(t *testing.T) {
	server := httptest.NewServer(build(t, newService(t)))
	defer server.Close()
	refused := false
	for range 40 {
		res, err := http.Get(server.URL + "/live")
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		refused = refused || res.StatusCode == http.StatusServiceUnavailable && res.Header.Get("Retry-After") != ""
	}
	if !refused {
		t.Error("40 feeds at once, and none was refused")
	}
}

func TestSessionsAreShownAndEnded(t *testing.T) {
	h := build(t, newService(t))
	if got := get(h, "/", asOperator); !strings.Contains(got.body, "Sign out") || !strings.Contains(got.body, "csrf-of-session") {
		t.Error("an operator's page has no way to sign out")
	}
	if got := get(h, "/"); strings.Contains(got.body, "Sign out") || !strings.Contains(got.body, "login link") {
		t.Error("a reader's page does not say how to sign in")
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/logout", nil))
	if w.Code != http.StatusUnauthorized {
		t.Errorf("signing out without a session = %d, want 401", w.Code)
	}
}

func TestStaticFilesAreKeptForGood(t *testing.T) {
	h := build(t, newService(t))
	page := get(h, "/images/playground?key=a.jpg").body
	found := 0
	for part := range strings.SplitSeq(page, `"`) {
		if !strings.HasPrefix(part, "/static/") {
			continue
		}
		found++
		if got := get(h, part); got.status != 200 || !strings.Contains(got.header.Get("Cache-Control"), "immutable") || got.header.Get("Content-Type") == "" {
			t.Errorf("GET %s = %d, %v", part, got.status, got.header)
		}
	}
	if found < 7 {
		t.Errorf("the page names %d static files, want its scripts and styles", found)
	}
	if got := get(h, "/static/console.css"); got.status != 404 {
		t.Errorf("a static file without its version = %d, want 404", got.status)
	}
}

func TestConfigIsChecked(t *testing.T) {
	for _, cfg := range []console.Config{
		{Guard: guard{}, Log: slog.New(slog.DiscardHandler)},
		{Images: "127.0.0.1:7701", Guard: guard{}, Log: slog.New(slog.DiscardHandler)},
		{Images: "http://127.0.0.1:7701/path", Guard: guard{}, Log: slog.New(slog.DiscardHandler)},
		{Images: "http://127.0.0.1:7701"},
	} {
		if _, err := console.New(cfg); err == nil {
			t.Errorf("New(%+v) takes it", cfg)
		}
	}
}

// TestOrdersAreGiven: what the buttons send, what is said afterwards, and what is
// refused.
func TestOrdersAreGiven(t *testing.T) {
	s := newService(t)
	h := build(t, s)
	for _, c := range []struct {
		action string
		form   url.Values
		want   string
	}{
		{"purge", url.Values{"by": {"key"}, "what": {" recipes/1 "}}, `purge {"key":"recipes/1","reason":"","wait":3}`},
		{"takedown", url.Values{"by": {"tag"}, "what": {"kind/recipes"}, "reason": {"asked"}}, `takedown {"reason":"asked","tag":"kind/recipes","wait":3}`},
		{"restore", url.Values{"by": {"key"}, "what": {"a/b.jpg"}}, `restore {"key":"a/b.jpg","reason":"","wait":3}`},
	} {
		got := post(h, "/images/orders/"+c.action, c.form, asOperator)
		if got.status != http.StatusSeeOther || got.header.Get("Location") != "/images/orders?done="+c.action || s.ordered[len(s.ordered)-1] != c.want {
			t.Errorf("%s: %d to %q, %q, want %q", c.action, got.status, got.header.Get("Location"), s.ordered, c.want)
		}
		if got := get(h, "/images/orders?done="+c.action); !strings.Contains(got.body, `role="status"`) {
			t.Errorf("%s: nothing says that it was done", c.action)
		}
	}
	if got := post(h, "/images/orders/purge", url.Values{"by": {"tag"}, "what": {"nonsense"}}, asOperator); got.status != 400 || !strings.Contains(got.body, "is not a tag") {
		t.Errorf("what is refused: %d", got.status)
	}
	before := len(s.ordered)
	if got := post(h, "/images/orders/purge", url.Values{"what": {"recipes/1"}}); got.status < 400 || len(s.ordered) != before {
		t.Errorf("a reader may give orders: %d", got.status)
	}
	if got := post(h, "/images/orders/delete", url.Values{"what": {"recipes/1"}}, asOperator); got.status != 404 {
		t.Errorf("an order that is none: %d", got.status)
	}
}
