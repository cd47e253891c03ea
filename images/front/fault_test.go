package front_test

import (
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kamado/kamado/images/cache"
	"github.com/kamado/kamado/images/delivery"
	"github.com/kamado/kamado/internal/httpserver"
)

// TestAPanicCostsOneConnection: also where the request was waiting behind one that
// net/http answered, so that the loop comes to it another way.
func TestAPanicCostsOneConnection(t *testing.T) {
	t.Parallel()
	var broken atomic.Bool
	h := newHouse(t, settings{heard: func(e delivery.Event) {
		if broken.Load() && strings.Contains(e.Rendition, "10") && e.Outcome == delivery.OutcomeMemory {
			panic("broken listener")
		}
	}})
	target, other := h.sign(t, "/recipes/1/10x10cq70/a.jpg", time.Time{}), h.sign(t, "/recipes/1/11x11cq70/a.jpg", time.Time{})
	h.warm(t, target)
	h.warm(t, other)
	broken.Store(true)
	request := "GET " + target + " HTTP/1.1\r\nHost: pictures\r\n\r\n"
	for _, begin := range []string{request, "GET /nothing HTTP/1.1\r\nHost: pictures\r\n\r\n" + request} {
		bystander, c := h.dial(t), h.dial(t)
		bystander.get(other)
		c.say(begin)
		if _, err := io.ReadAll(c.in); err != nil {
			t.Errorf("the connection of the panic behind %q: %v", begin[:20], err)
		}
		if r := bystander.get(other); r.StatusCode != http.StatusOK {
			t.Errorf("a bystander gets %d", r.StatusCode)
		}
	}
	for deadline := time.Now().Add(10 * time.Second); h.count(t, "kamado_http_open_connections", "") > 4; {
		if time.Now().After(deadline) {
			t.Fatal("connections that panicked are counted as open")
		}
		time.Sleep(5 * time.Millisecond) // polls what the server counts
	}
}

// TestAClientWithoutPauseIsNotCutOff: it always has the beginning of a request
// under way, and yet each of its heads came in time.
func TestAClientWithoutPauseIsNotCutOff(t *testing.T) {
	t.Parallel()
	cfg := httpserver.Default()
	cfg.ReadHeaderTimeout, cfg.AccessLog = 3*time.Second, httpserver.AccessLogOff
	h := newHouse(t, settings{http: cfg})
	target := h.sign(t, "/recipes/1/10x10cq70/a.jpg", time.Time{})
	h.warm(t, target)
	request := "HEAD " + target + " HTTP/1.1\r\nHost: pictures\r\n\r\n"
	c := h.dial(t)
	c.say(request[:20])
	for began := time.Now(); time.Since(began) < cfg.ReadHeaderTimeout+cfg.ReadHeaderTimeout/2; {
		c.say(request[20:] + request[:20])
		if r := c.hear("HEAD"); r.StatusCode != http.StatusOK {
			t.Fatalf("status %d", r.StatusCode)
		}
		time.Sleep(20 * time.Millisecond) // a client's pace
	}
}

// TestAnswersThatNobodyTakesAreBounded: pictures are held for clients that do not
// read, as many as requests may be in work.
func TestAnswersThatNobodyTakesAreBounded(t *testing.T) {
	t.Parallel()
	cfg := httpserver.Default()
	cfg.InFlightMax, cfg.AccessLog = 2, httpserver.AccessLogOff
	h := newHouse(t, settings{http: cfg})
	target := h.sign(t, "/recipes/1/10x10cq70/a.jpg", time.Time{})
	h.warm(t, target)
	asked := strings.Repeat("GET "+target+" HTTP/1.1\r\nHost: pictures\r\n\r\n", 400)
	lazy := []*client{h.dial(t), h.dial(t)}
	for _, c := range lazy {
		go func() { _, _ = io.WriteString(c, asked) }() // the server takes what it likes of it
	}
	waitFor := func(n float64) {
		t.Helper()
		for deadline := time.Now().Add(10 * time.Second); h.count(t, "kamado_http_in_flight_requests", "") != n; {
			if time.Now().After(deadline) {
				t.Fatalf("%v requests are in work, want %v", h.count(t, "kamado_http_in_flight_requests", ""), n)
			}
			time.Sleep(5 * time.Millisecond) // polls what the server counts
		}
	}
	waitFor(2)
	if r := h.dial(t).get(target); r.StatusCode != http.StatusServiceUnavailable || r.Header.Get("Retry-After") == "" {
		t.Errorf("beyond the bound: %d", r.StatusCode)
	}
	for _, c := range lazy {
		c.Close()
	}
	waitFor(0)
	if r := h.dial(t).get(target); r.StatusCode != http.StatusOK {
		t.Errorf("when they have left: %d", r.StatusCode)
	}
}

// TestATakedownLeavesNoBytes: no sheet keeps a picture that nobody may see.
func TestATakedownLeavesNoBytes(t *testing.T) {
	t.Parallel()
	h := newHouse(t, settings{})
	one, two := h.sign(t, "/recipes/1/10x10cq70/a.jpg", time.Time{}), h.sign(t, "/recipes/2/10x10cq70/a.jpg", time.Time{})
	c := h.dial(t)
	for range 20 {
		c.get(one)
		c.get(two)
	}
	if n := h.count(t, "kamado_images_front_sheets", ""); n != 2 {
		t.Fatalf("%v sheets, want 2", n)
	}
	if n := h.front.RemoveIf(func(l cache.Label) bool { return l == cache.Label{Source: "dir", Key: "recipes/1.jpg"} }); n != 1 {
		t.Errorf("%d answers were removed, want 1", n)
	}
	if sheets, answers := h.count(t, "kamado_images_front_sheets", ""), h.count(t, "kamado_images_front_answers", ""); sheets != 1 || answers != 1 {
		t.Errorf("%v sheets and %v answers are left, want 1 of each", sheets, answers)
	}
}
