package front_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kamado/kamado/images"
	"github.com/kamado/kamado/images/delivery"
	"github.com/kamado/kamado/images/front"
	"github.com/kamado/kamado/internal/httpserver"
)

func TestAColdMissDoesNotMakeAConnectionSlow(t *testing.T) {
	t.Parallel()
	h := newHouse(t, settings{})
	c := h.dial(t)
	for i, target := range []string{"/recipes/1/10x10cq70/a.jpg", "/recipes/1/11x11cq70/a.jpg", "/recipes/2/10x10cq70/a.jpg"} {
		target = h.sign(t, target, time.Time{})
		for range 4 {
			if r := c.get(target); r.StatusCode != 200 || len(said(r)) != pictureBytes {
				t.Fatalf("%s gives %d", target, r.StatusCode)
			}
		}
		// Rendered and from memory by net/http, twice by the front; all on one connection.
		if got := h.answered(t); got != float64(2*(i+1)) {
			t.Errorf("the front answered %v requests, want %d", got, 2*(i+1))
		}
	}
	if given := h.count(t, "kamado_images_front_requests_total", "given"); given != 0 {
		t.Errorf("%v connections were given away", given)
	}
	if open := h.count(t, "kamado_http_open_connections", ""); open != 1 {
		t.Errorf("%v connections are counted as open, want 1", open)
	}
}

func TestAReplacedOrRemovedOriginalIsSeenAtOnce(t *testing.T) {
	t.Parallel()
	h := newHouse(t, settings{})
	target := h.sign(t, "/recipes/1/10x10cq70/a.jpg", time.Time{})
	first := h.warm(t, target)
	c := h.dial(t)
	h.put(t, "recipes/1.jpg", "other")
	if r := c.get(target); !strings.HasPrefix(said(r), "other") || r.Header.Get("Etag") == first.Header.Get("Etag") {
		t.Errorf("a replaced original gives %s", r.Header)
	}
	h.warm(t, target)
	h.put(t, "recipes/1", "earlier name") // is tried before 1.jpg
	if r := c.get(target); !strings.HasPrefix(said(r), "earlier name") {
		t.Errorf("an original under an earlier name is not seen")
	}
	h.warm(t, target)
	must(t, os.Remove(filepath.Join(h.dir, "recipes/1")))
	must(t, os.Remove(filepath.Join(h.dir, "recipes/1.jpg")))
	before := h.answered(t)
	if r := c.get(target); r.StatusCode != http.StatusNotFound || h.answered(t) != before {
		t.Errorf("a removed original gives %d", r.StatusCode)
	}
}

func TestASymbolicLinkIsLeftToTheWholeWay(t *testing.T) {
	t.Parallel()
	h := newHouse(t, settings{})
	outside := filepath.Join(t.TempDir(), "secret.jpg")
	must(t, os.WriteFile(outside, []byte("secret"), 0o644))
	target := h.sign(t, "/recipes/1/10x10cq70/a.jpg", time.Time{})
	h.warm(t, target)
	must(t, os.Remove(filepath.Join(h.dir, "recipes/1.jpg")))
	must(t, os.Symlink(outside, filepath.Join(h.dir, "recipes/1.jpg")))
	if r := h.dial(t).get(target); r.StatusCode != http.StatusNotFound {
		t.Errorf("a link out of the directory gives %d", r.StatusCode)
	}
}

func TestASignatureIsGoodForItsTargetAndTime(t *testing.T) {
	t.Parallel()
	h := newHouse(t, settings{})
	expires := time.Now().Add(2 * time.Second).Truncate(time.Second)
	target := h.sign(t, "/recipes/1/10x10cq70/a.jpg", expires)
	if r := h.warm(t, target); r.StatusCode != 200 || strings.Contains(r.Header.Get("Cache-Control"), "2592000") {
		t.Fatalf("a URL that expires gives %d, %s", r.StatusCode, r.Header)
	}
	c := h.dial(t)
	if r := c.get(strings.Replace(target, "10x10", "12x12", 1)); r.StatusCode != http.StatusForbidden {
		t.Errorf("another size under the same signature gives %d", r.StatusCode)
	}
	for deadline := time.Now().Add(10 * time.Second); ; {
		r := c.get(target)
		if late := !time.Now().Before(expires); r.StatusCode == http.StatusForbidden && late {
			break
		}
		if r.StatusCode != 200 || time.Now().After(deadline) {
			t.Fatalf("before its expiry the URL gives %d", r.StatusCode)
		}
	}
}

// stamps are revisions that a test changes.
type stamps struct{ now atomic.Value }

func (s *stamps) Revision(string, string, string, string) (string, error) {
	stamp := s.now.Load().(string)
	if stamp == "down" {
		return "", images.Errorf(images.NotFound, "it was taken down")
	}
	return stamp, nil
}

func TestAPurgeAndATakedownAreSeenAtOnce(t *testing.T) {
	t.Parallel()
	s := new(stamps)
	s.now.Store("")
	h := newHouse(t, settings{revisions: s})
	target := h.sign(t, "/recipes/1/10x10cq70/a.jpg", time.Time{})
	first := h.warm(t, target)
	c := h.dial(t)
	s.now.Store("1")
	if r := c.get(target); r.Header.Get("Etag") == first.Header.Get("Etag") || !strings.Contains(r.Header.Get("Server-Timing"), "rendered") {
		t.Errorf("after a purge: %s", r.Header)
	}
	h.warm(t, target)
	s.now.Store("down")
	if r := c.get(target); r.StatusCode != http.StatusNotFound {
		t.Errorf("after a takedown: %d", r.StatusCode)
	}
}

func TestAResultThatLeftTheCacheIsNotGiven(t *testing.T) {
	t.Parallel()
	h := newHouse(t, settings{memory: 40_000}) // room for one picture
	one, two := h.sign(t, "/recipes/1/10x10cq70/a.jpg", time.Time{}), h.sign(t, "/recipes/2/10x10cq70/a.jpg", time.Time{})
	h.warm(t, one)
	h.warm(t, two)
	before := h.answered(t)
	if r := h.dial(t).get(one); !strings.Contains(r.Header.Get("Server-Timing"), "rendered") || h.answered(t) != before {
		t.Errorf("a result that was evicted is given: %s", r.Header.Get("Server-Timing"))
	}
}

func TestEqualRequestsShareAnAnswerAndUnequalOnesDoNot(t *testing.T) {
	t.Parallel()
	h := newHouse(t, settings{})
	auto := h.sign(t, "/i/_/w:40,format:auto/recipes/1.jpg", time.Time{})
	h.warm(t, auto, "Accept: image/webp")
	h.warm(t, auto)
	before := h.answered(t)
	c := h.dial(t)
	for _, x := range [][2]string{{"Accept: image/webp", "image/webp"}, {"X: y", "image/jpeg"}, {"Accept: image/webp", "image/webp"}} {
		if r := c.get(auto, x[0], "X-Request-Id: mine-7"); r.Header.Get("Content-Type") != x[1] || r.Header.Get("X-Request-Id") != "mine-7" {
			t.Errorf("%s gives %s", x[0], r.Header)
		}
	}
	if got := h.answered(t) - before; got != 3 {
		t.Errorf("the front answered %v of 3 negotiated requests", got)
	}
	etag := c.get(auto).Header.Get("Etag")
	for range 3 {
		if r := c.get(auto, "If-None-Match: "+etag); r.StatusCode != http.StatusNotModified {
			t.Errorf("If-None-Match gives %d", r.StatusCode)
		}
	}
	if got := h.answered(t) - before; got != 6 {
		t.Errorf("the front answered %v requests, want 6: two of the three are 304", got)
	}
}

func TestEventsAndMetricsCountWhatTheFrontAnswers(t *testing.T) {
	t.Parallel()
	h := newHouse(t, settings{})
	target := h.sign(t, "/recipes/1/10x10cq70/a.jpg?u=me", time.Time{})
	h.warm(t, target)
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.events) != 3 {
		t.Fatalf("%d events of 3 requests", len(h.events))
	}
	want, got := h.events[1], h.events[2]
	if got.RequestID == "" || got.RequestID == want.RequestID || got.Took <= 0 || got.Time.Before(want.Time) {
		t.Errorf("event %+v", got)
	}
	want.RequestID, want.Took, want.Time = got.RequestID, got.Took, got.Time
	if got != want || got.Outcome != delivery.OutcomeMemory {
		t.Errorf("event %+v, want %+v", got, want)
	}
	if n := h.count(t, "kamado_http_requests_total", "2xx"); n != 3 {
		t.Errorf("the server counts %v requests, want 3", n)
	}
}

func TestSlowAndSilentClientsAreCutOff(t *testing.T) {
	t.Parallel()
	cfg := httpserver.Default()
	cfg.ReadHeaderTimeout, cfg.IdleTimeout, cfg.WriteTimeout = 300*time.Millisecond, 400*time.Millisecond, 500*time.Millisecond
	cfg.AccessLog = httpserver.AccessLogOff
	h := newHouse(t, settings{http: cfg})
	target := h.sign(t, "/recipes/1/10x10cq70/a.jpg", time.Time{})
	h.warm(t, target)
	for name, begin := range map[string]string{
		"no byte at all": "", "half a head": "GET " + target + " HTTP/1.1\r\nHost: pi",
	} {
		c := h.dial(t)
		c.say(begin)
		if b, err := io.ReadAll(c.in); len(b) > 0 || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: %q, %v; want the end", name, b, err)
		}
	}
	idle := h.dial(t)
	idle.get(target)
	if b, err := io.ReadAll(idle.in); len(b) > 0 || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("an idle connection: %q, %v; want the end", b, err)
	}
	// More than the buffers of both sides take, asked for and not read.
	lazy := h.dial(t)
	for range 400 {
		if _, err := io.WriteString(lazy, "GET "+target+" HTTP/1.1\r\nHost: pictures\r\n\r\n"); err != nil {
			break
		}
	}
	for deadline := time.Now().Add(15 * time.Second); h.count(t, "kamado_http_open_connections", "") > 0; {
		if time.Now().After(deadline) {
			t.Fatal("a client that does not read keeps its connection")
		}
		time.Sleep(10 * time.Millisecond) // polls what the server counts
	}
}

func TestConnectionsAreBounded(t *testing.T) {
	t.Parallel()
	cfg := httpserver.Default()
	cfg.ConnectionsMax, cfg.AccessLog = 2, httpserver.AccessLogOff
	h := newHouse(t, settings{http: cfg})
	target := h.sign(t, "/recipes/1/10x10cq70/a.jpg", time.Time{})
	a, b := h.dial(t), h.dial(t)
	a.get(target)
	b.get(target)
	third := h.dial(t)
	if got, _ := io.ReadAll(third.in); len(got) > 0 {
		t.Errorf("the third connection got %q", got)
	}
	if n := h.count(t, "kamado_http_refused_total", "connections"); n != 1 {
		t.Errorf("%v connections are counted as refused", n)
	}
	a.Close()
	for deadline := time.Now().Add(15 * time.Second); h.count(t, "kamado_http_open_connections", "") > 1; {
		if time.Now().After(deadline) {
			t.Fatal("a closed connection is counted as open")
		}
		time.Sleep(5 * time.Millisecond) // polls what the server counts
	}
	if r := h.dial(t).get(target); r.StatusCode != 200 {
		t.Errorf("after one left: %d", r.StatusCode)
	}
}

func TestAnOrderlyEnd(t *testing.T) {
	t.Parallel()
	cfg := httpserver.Default()
	cfg.DrainDelay, cfg.AccessLog = 500*time.Millisecond, httpserver.AccessLogOff
	h := newHouse(t, settings{http: cfg})
	target := h.sign(t, "/recipes/1/10x10cq70/a.jpg", time.Time{})
	h.warm(t, target)
	idle := h.dial(t)
	idle.get(target)
	h.stop()
	// While it drains, answers say that the connection ends.
	for deadline := time.Now().Add(10 * time.Second); ; {
		c := h.dial(t)
		if r := c.get(target); r.Close {
			if _, err := c.in.ReadByte(); !errors.Is(err, io.EOF) {
				t.Errorf("behind the last answer: %v", err)
			}
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("a server that drains keeps connections")
		}
	}
	select {
	case err := <-h.ended:
		must(t, err)
	case <-time.After(20 * time.Second):
		t.Fatal("the server does not end")
	}
	if _, err := idle.in.ReadByte(); !errors.Is(err, io.EOF) {
		t.Errorf("an idle connection after the end: %v", err)
	}
}

func TestPicturesThatAreAskedForOftenAreSentFromSheets(t *testing.T) {
	t.Parallel()
	h := newHouse(t, settings{front: front.Config{SheetBytes: 8 * pictureBytes}})
	c := h.dial(t)
	for i := range 12 {
		target := h.sign(t, fmt.Sprintf("/recipes/1/10x%dcq30/a.jpg", 10+i), time.Time{})
		want := said(c.get(target))
		for range 30 {
			if got := said(c.get(target)); got != want {
				t.Fatalf("an answer has other bytes: %s", difference(got, want))
			}
		}
	}
	sheets, bytes := h.count(t, "kamado_images_front_sheets", ""), h.count(t, "kamado_images_front_sheet_bytes", "")
	if sheets != 8 || bytes != 8*pictureBytes {
		t.Errorf("%v sheets of %v bytes, want 8 within the bound", sheets, bytes)
	}
	// A sheet that is taken away while a client reads slowly is whole for it.
	target := h.sign(t, "/recipes/1/10x10cq30/a.jpg", time.Time{})
	for range 20 {
		c.get(target)
	}
	slow := h.dial(t)
	const asked = 300
	go func() {
		_, _ = io.WriteString(slow, strings.Repeat("GET "+target+" HTTP/1.1\r\nHost: pictures\r\n\r\n", asked))
	}()
	want := said(slow.hear("GET"))
	for i := range 12 { // others push it out
		other := h.sign(t, fmt.Sprintf("/recipes/2/10x%dcq30/a.jpg", 10+i), time.Time{})
		for range 20 {
			c.get(other)
		}
	}
	for range asked - 1 {
		if got := said(slow.hear("GET")); got != want {
			t.Fatalf("a slow client gets other bytes: %s", difference(got, want))
		}
	}
}

func TestTheTableIsBounded(t *testing.T) {
	t.Parallel()
	const bound = 16 * 4096
	h := newHouse(t, settings{front: front.Config{TableBytes: bound}})
	c := h.dial(t)
	for i := range 100 {
		target := h.sign(t, fmt.Sprintf("/recipes/1/10x%dcq30/a.jpg", 10+i), time.Time{})
		for range 3 {
			c.get(target)
		}
	}
	held, evicted := h.count(t, "kamado_images_front_bytes", ""), h.count(t, "kamado_images_front_evictions_total", "")
	if held > bound || held == 0 || evicted == 0 {
		t.Errorf("%v bytes are held after %v evictions, bound %d", held, evicted, bound)
	}
}

func TestAClientThatLeavesCancelsItsWork(t *testing.T) {
	t.Parallel()
	came, gone := make(chan struct{}), make(chan error, 1)
	handler := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(came)
		<-r.Context().Done()
		gone <- context.Cause(r.Context())
	})
	cfg := httpserver.Default()
	cfg.Addr = "127.0.0.1:0"
	log := quiet()
	s, err := httpserver.New(cfg, handler, httpserver.Deps{Name: "x", Log: log, Health: httpserver.NewHealth(log), Front: front.New(front.Config{})})
	must(t, err)
	must(t, s.Listen(t.Context()))
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = s.Run(ctx) // the test is about its connections
	}()
	t.Cleanup(func() {
		stop()
		<-done
	})
	c := (&house{Server: s}).dial(t)
	c.say("GET /x HTTP/1.1\r\nHost: pictures\r\n\r\n")
	<-came
	c.Close()
	select {
	case <-gone:
	case <-time.After(20 * time.Second):
		t.Fatal("the work of a client that left goes on")
	}
}
