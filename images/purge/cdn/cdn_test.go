package cdn_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kamado/kamado/images"
	"github.com/kamado/kamado/images/purge"
	"github.com/kamado/kamado/images/purge/cdn"
	"github.com/kamado/kamado/internal/disk/disktest"
)

var quiet = slog.New(slog.DiscardHandler)

// order makes an order; n gives it a place in time.
func order(t testing.TB, n int, tag string) purge.Order {
	t.Helper()
	target, err := purge.ParseTarget(tag)
	if err != nil {
		t.Fatal(err)
	}
	return purge.Order{ID: purge.ID{Time: int64(n), Node: "a.0", Counter: uint64(n)}, Action: purge.Purge, Target: target}
}

// recorder is a CDN that writes down what it is told.
type recorder struct {
	*httptest.Server
	mu    sync.Mutex
	calls []string // method, path, body
	heads []http.Header
	times []time.Time
	fail  func(n int) (status int, retryAfter string) // of the n-th call; 0: 200
}

func record(t *testing.T) *recorder {
	t.Helper()
	r := &recorder{}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		b, _ := io.ReadAll(req.Body)
		r.mu.Lock()
		defer r.mu.Unlock()
		r.calls = append(r.calls, req.Method+" "+req.URL.String()+" "+string(b))
		r.heads = append(r.heads, req.Header.Clone())
		r.times = append(r.times, time.Now())
		if r.fail != nil {
			if status, after := r.fail(len(r.calls)); status != 0 {
				if after != "" {
					w.Header().Set("Retry-After", after)
				}
				w.WriteHeader(status)
			}
		}
	}))
	t.Cleanup(r.Close)
	return r
}

func (r *recorder) got() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.calls)
}

// hook opens a hook; run runs it until the test, or stop, ends it.
func hook(t *testing.T, cfg cdn.Config, deps cdn.Deps) (h *cdn.Hook, run func() (stop func())) {
	t.Helper()
	if cfg.Name == "" {
		cfg.Name = "test"
	}
	if cfg.Dir == "" {
		cfg.Dir = t.TempDir()
	}
	deps.Log = quiet
	h, err := cdn.Open(cfg, deps)
	if err != nil {
		t.Fatal(err)
	}
	return h, func() func() {
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- h.Run(ctx) }()
		var once sync.Once
		stop := func() {
			once.Do(func() {
				cancel()
				if err := <-done; err != nil {
					t.Errorf("Run = %v", err)
				}
				if err := h.Close(); err != nil {
					t.Error(err)
				}
			})
		}
		t.Cleanup(stop)
		return stop
	}
}

func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if cond() {
			return
		}
	}
	t.Fatalf("not within 20 s: %s", what)
}

func TestEachOrderIsToldTwice(t *testing.T) {
	t.Parallel()
	r := record(t)
	h, run := hook(t, cdn.Config{CDN: images.CDN{Method: "PURGE", URL: r.URL + "/{{.Token}}", Rate: 1000, Again: 20 * time.Millisecond}}, cdn.Deps{})
	run()
	if err := h.Tell(order(t, 1, "kind/recipes"), order(t, 2, "owner/u1")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "nothing waits", func() bool { return h.Stats().Waiting == 0 })
	got := r.got()
	slices.Sort(got)
	if want := []string{"PURGE /kind-recipes ", "PURGE /kind-recipes ", "PURGE /owner-u1 ", "PURGE /owner-u1 "}; !slices.Equal(got, want) {
		t.Errorf("told %q, want %q", got, want)
	}
	if s := h.Stats(); s.Told != 2 || s.Sent != 4 || s.Failed != 0 || h.Told() != order(t, 2, "all").ID {
		t.Errorf("stats %+v, told up to %v", s, h.Told())
	}
}

func TestOrdersGoInBatchesAtARate(t *testing.T) {
	t.Parallel()
	r := record(t)
	cfg := images.CDN{URL: r.URL + "/{{join .Tokens \"+\"}}", Body: `{{json .Tags}}`, Batch: 10, Rate: 20, Again: -1}
	h, run := hook(t, cdn.Config{CDN: cfg}, cdn.Deps{})
	var orders []purge.Order
	for i := range 45 {
		orders = append(orders, order(t, i+1, fmt.Sprintf("kind/k%d", i/2))) // each twice
	}
	if err := h.Tell(orders...); err != nil {
		t.Fatal(err)
	}
	run()
	eventually(t, "nothing waits", func() bool { return h.Stats().Waiting == 0 })
	got := r.got()
	if len(got) != 5 || !strings.Contains(got[0], `/kind-k0+kind-k1+kind-k2+kind-k3+kind-k4 ["kind/k0","kind/k1","kind/k2","kind/k3","kind/k4"]`) {
		t.Errorf("told %q", got)
	}
	if took := r.times[4].Sub(r.times[0]); took < 120*time.Millisecond { // 200 ms, but for a first one that came late
		t.Errorf("5 requests at 20 a second took %v", took)
	}
}

// TestQueueOutlivesTheProcess stops the hook while the CDN is down, cuts the
// power, and starts it again: each order is told.
func TestQueueOutlivesTheProcess(t *testing.T) {
	t.Parallel()
	r := record(t)
	r.fail = func(n int) (int, string) { return map[bool]int{true: 503}[n <= 3], "" }
	d := disktest.New(disktest.Faults{})
	cfg := cdn.Config{CDN: images.CDN{URL: r.URL + "/{{.Token}}", Rate: 1000, Again: 20 * time.Millisecond}, Dir: "d", PauseMin: 10 * time.Millisecond}
	h, run := hook(t, cfg, cdn.Deps{Disk: d})
	stop := run()
	if err := h.Tell(order(t, 1, "kind/a"), order(t, 2, "kind/b")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a request failed", func() bool { return h.Stats().Failed > 0 })
	stop()
	d.CutPower()
	d = d.Restart(rand.New(rand.NewPCG(1, 1)))
	h, run = hook(t, cfg, cdn.Deps{Disk: d})
	if h.Stats().Waiting != 2 || h.Told() != order(t, 2, "all").ID {
		t.Fatalf("after the restart: %+v, told up to %v", h.Stats(), h.Told())
	}
	stop = run()
	eventually(t, "nothing waits", func() bool { return h.Stats().Waiting == 0 })
	stop()
	h, _ = hook(t, cfg, cdn.Deps{Disk: d})
	if h.Stats().Waiting != 0 {
		t.Errorf("what was told waits again after a restart: %+v", h.Stats())
	}
	for _, token := range []string{"/kind-a", "/kind-b"} {
		n := 0
		for _, c := range r.got() {
			if strings.Contains(c, token) {
				n++
			}
		}
		if n < 2 {
			t.Errorf("%s was told %d times", token, n)
		}
	}
}

func TestCDNThatSaysNoIsTriedAndThenGivenUp(t *testing.T) {
	t.Parallel()
	r := record(t)
	r.fail = func(int) (int, string) { return 401, "" }
	var said bytes.Buffer
	var events []cdn.Event
	h, err := cdn.Open(cdn.Config{Name: "test", Dir: t.TempDir(), PauseMin: time.Millisecond, CDN: images.CDN{URL: r.URL, Rate: 1000, Tries: 4}},
		cdn.Deps{Log: slog.New(slog.NewTextHandler(&said, nil)), Events: func(e cdn.Event) { events = append(events, e) }})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- h.Run(ctx) }()
	if err := h.Tell(order(t, 1, "kind/a")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is given up", func() bool { return h.Stats().GaveUp == 1 && h.Stats().Failed == 4 })
	cancel()
	<-done
	if s := h.Stats(); s.Waiting != 0 || !s.Down || len(events) != 4 || !events[3].GaveUp || events[0].Status != 401 {
		t.Errorf("stats %+v, events %+v", s, events)
	}
	if n := strings.Count(said.String(), "cdn cannot be told of orders"); n != 1 || !strings.Contains(said.String(), "cdn was not told of orders") {
		t.Errorf("said %d times that it cannot: %s", n, said.String())
	}
}

func TestNothingThereToPurgeIsYes(t *testing.T) {
	t.Parallel()
	r := record(t)
	r.fail = func(n int) (int, string) { return []int{404, 412}[n-1], "" }
	h, run := hook(t, cdn.Config{CDN: images.CDN{Method: "PURGE", URL: r.URL, Rate: 1000, Again: time.Millisecond}}, cdn.Deps{})
	run()
	if err := h.Tell(order(t, 1, "all")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "nothing waits", func() bool { s := h.Stats(); return s.Waiting == 0 && s.Failed == 0 })
}

func TestFullQueueBecomesOnePurgeOfAll(t *testing.T) {
	t.Parallel()
	r := record(t)
	h, run := hook(t, cdn.Config{QueueMax: 5, CDN: images.CDN{URL: r.URL + "/{{.Token}}", Rate: 1000, Again: -1}}, cdn.Deps{})
	for i := range 6 {
		if err := h.Tell(order(t, i+1, fmt.Sprintf("kind/k%d", i))); err != nil {
			t.Fatal(err)
		}
	}
	if s := h.Stats(); s.Waiting != 1 || s.Folds != 1 || h.Told() != order(t, 6, "all").ID {
		t.Fatalf("stats %+v", s)
	}
	run()
	eventually(t, "nothing waits", func() bool { return h.Stats().Waiting == 0 })
	if got := r.got(); len(got) != 1 || got[0] != "POST /kamado " {
		t.Errorf("told %q", got)
	}
}

func TestRetryAfterIsHeeded(t *testing.T) {
	t.Parallel()
	r := record(t)
	r.fail = func(n int) (int, string) { return map[int]int{1: 429}[n], "1" }
	h, run := hook(t, cdn.Config{PauseMin: time.Millisecond, CDN: images.CDN{URL: r.URL, Rate: 1000, Again: -1}}, cdn.Deps{})
	run()
	if err := h.Tell(order(t, 1, "all")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "nothing waits", func() bool { return h.Stats().Waiting == 0 })
	if wait := r.times[1].Sub(r.times[0]); wait < 900*time.Millisecond {
		t.Errorf("asked again after %v, the CDN wanted 1 s", wait)
	}
}

func TestBeginLeavesOutWhatWasBefore(t *testing.T) {
	t.Parallel()
	h, _ := hook(t, cdn.Config{CDN: images.CDN{URL: "http://127.0.0.1"}, Begin: order(t, 9, "all").ID}, cdn.Deps{})
	if h.Told().Counter != 9 {
		t.Errorf("told up to %v", h.Told())
	}
}

func TestExamplesWriteWhatTheirCDNsWant(t *testing.T) {
	t.Parallel()
	orders := []purge.Order{order(t, 1, "kind/recipes"), order(t, 2, "key/default/recipes/ü 1.jpg")}
	key := orders[1].Target.Token()
	for name, want := range map[string][4]string{ // URL, body, header, its value
		"varnish":    {"http://127.0.0.1:6081/", "", "X-Surrogate-Keys", "kind-recipes|" + key},
		"fastly":     {"https://api.fastly.com/service/SERVICE/purge", "", "Surrogate-Key", "kind-recipes " + key},
		"cloudflare": {"https://api.cloudflare.com/client/v4/zones/ZONE/purge_cache", `{"tags":["kind-recipes","` + key + `"]}`, "Authorization", "Bearer s3cret"},
		"akamai":     {"http://127.0.0.1:9000/ccu/v3/delete/tag/production", `{"objects":["kind-recipes","` + key + `"]}`, "Content-Type", "application/json"},
	} {
		url, body, headers, err := cdn.Render(cdn.Examples()[name], "s3cret", orders...)
		if err != nil || url != want[0] || body != want[1] || headers[want[2]][0] != want[3] {
			t.Errorf("%s: %q %q %q, %v, want %q", name, url, body, headers, err, want)
		}
	}
	url, _, _, err := cdn.Render(images.CDN{Method: "PURGE", URL: "http://x/{{path .Name}}?t={{query .Tag}}"}, "", orders[1])
	if err != nil || url != "http://x/recipes/%C3%BC%201.jpg?t=key%2Fdefault%2Frecipes%2F%C3%BC+1.jpg" {
		t.Errorf("path and query: %q, %v", url, err)
	}
}

func TestTemplatesThatCannotWorkAreRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]images.CDN{
		"a field that is not there": {URL: "http://x/{{.Password}}"},
		"no template":               {URL: "http://x/{{"},
		"no URL":                    {URL: "{{.Token}}"},
		"a file":                    {URL: "file:///etc/passwd"},
		"a header with a new line":  {URL: "http://x/", Headers: map[string]string{"X": "a\nb: {{.Token}}"}},
		"a name of no header":       {URL: "http://x/", Headers: map[string]string{"X Y": "a"}},
		"a method of two words":     {URL: "http://x/", Method: "PURGE /"},
		"a body without end":        {URL: "http://x/", Body: `{{define "a"}}xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx{{template "a"}}{{end}}{{template "a"}}`},
		"an unknown function":       {URL: "http://x/{{exec .Token}}"},
	} {
		if _, err := cdn.Open(cdn.Config{Name: "test", Dir: t.TempDir(), CDN: c}, cdn.Deps{Log: quiet}); err == nil {
			t.Errorf("%s: it was taken", name)
		}
	}
}

func TestHooksOfAllCDNs(t *testing.T) {
	t.Parallel()
	a, b := record(t), record(t)
	hooks, err := cdn.OpenAll(map[string]images.CDN{
		"one": {URL: a.URL + "/{{.Token}}", Rate: 1000, Again: -1}, "two": {URL: b.URL + "/{{.Token}}", Rate: 1000, Again: -1},
	}, t.TempDir(), purge.ID{}, cdn.Deps{Log: quiet})
	if err != nil {
		t.Fatal(err)
	}
	defer hooks.Close()
	reg := prometheus.NewPedanticRegistry()
	if err := reg.Register(hooks); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- hooks.Run(ctx) }()
	if err := hooks.Tell(order(t, 1, "all")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "both are told", func() bool { return len(a.got()) == 1 && len(b.got()) == 1 })
	if hooks.Told() != order(t, 1, "all").ID || len(hooks.Status().([]cdn.Stats)) != 2 {
		t.Errorf("told up to %v, status %+v", hooks.Told(), hooks.Status())
	}
	if families, err := reg.Gather(); err != nil || len(families) != 5 {
		t.Errorf("%d families of metrics, %v", len(families), err)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func FuzzParseRecord(f *testing.F) {
	f.Add([]byte("\x02\x05"))
	f.Add([]byte("\x0400000000000001-a.0-1"))
	f.Add([]byte("\x01\x01" + `{"id":"00000000000001-a.0-1","action":"purge","target":"kind/a"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		once, err := cdn.ParseRecordAndBack(b)
		if err != nil {
			return
		}
		if twice, err := cdn.ParseRecordAndBack(once); err != nil || !bytes.Equal(once, twice) {
			t.Errorf("%q is written as %q and then %q, %v", b, once, twice, err)
		}
	})
}

func FuzzTemplates(f *testing.F) {
	for _, c := range cdn.Examples() {
		f.Add(c.URL, c.Body, c.Headers["Surrogate-Key"], "recipes/1.jpg")
	}
	f.Add("http://x/{{query .Name}}", "{{json .}}", "{{.Reason}}", "a b\"c")
	f.Fuzz(func(t *testing.T, url, body, header, key string) {
		o := purge.Order{ID: purge.ID{Time: 1, Node: "a.0", Counter: 1}, Action: purge.Purge, Target: purge.Key("default", key)}
		if o.Validate() != nil || strings.Count(url+body+header, "{{") > 8 || strings.Contains(url+body+header, "range") {
			return
		}
		u, b, _, err := cdn.Render(images.CDN{URL: url, Body: body, Headers: map[string]string{"X": header}}, "s", o)
		if err == nil && (!strings.HasPrefix(u, "http") || len(b) > 1<<20) {
			t.Errorf("%q, %d bytes of body", u, len(b))
		}
	})
}
