package console

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/kamado/kamado/internal/httpserver"
)

// Bounds of the feed.
const (
	streamsMax   = 32              // pages that follow at once
	feedInterval = time.Second     // between samples
	statesEvery  = 5               // samples between looks at the services
	feedWrite    = 5 * time.Second // for a client to take an event
)

// sample is one point of the charts.
type sample struct {
	Time     int64   `json:"time"`     // Unix milliseconds
	Requests float64 `json:"requests"` // answered a second
	Rendered float64 `json:"rendered"` // made a second
	Hits     float64 `json:"hits"`     // percent of requests answered from a cache
	Busy     float64 `json:"busy"`     // percent of the places in use
}

// live is the feed: a sample every second and the table of services now and
// then, as server-sent events, for as long as the page is open.
func (c *Console) live(w http.ResponseWriter, r *http.Request) {
	if c.streams.Add(1) > streamsMax {
		c.streams.Add(-1)
		w.Header().Set("Retry-After", "10")
		httpserver.WriteProblem(w, r, httpserver.Problem{Status: http.StatusServiceUnavailable, Detail: "as many pages follow as may; try again in a while"})
		return
	}
	defer c.streams.Add(-1)
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	feed := feed{w: w, control: http.NewResponseController(w)}
	ticker := time.NewTicker(feedInterval)
	defer ticker.Stop()
	var last stats
	var lastAt time.Time
	for n := 0; ; n++ {
		now := time.Now()
		if s, err := c.images.stats(r.Context()); err == nil {
			if !lastAt.IsZero() {
				feed.sendJSON("sample", difference(last, s, now, now.Sub(lastAt)))
			}
			last, lastAt = s, now
		}
		if n%statesEvery == 0 {
			feed.send("services", c.servicesFragment(r.Context()))
		}
		if feed.flush() != nil {
			return
		}
		select {
		case <-r.Context().Done():
			return
		case <-httpserver.Draining(r.Context()):
			return // or the process would wait for a page that somebody left open
		case <-ticker.C:
		}
	}
}

// difference is what happened between two looks at the counters.
func difference(a, b stats, at time.Time, took time.Duration) sample {
	// A service that was restarted counts from 0 again.
	delta := func(from, to uint64) float64 {
		if to < from {
			return float64(to)
		}
		return float64(to - from)
	}
	requests, rendered := delta(a.requests(), b.requests()), delta(a.Queue.Admitted, b.Queue.Admitted)
	out := sample{Time: at.UnixMilli(), Requests: requests / took.Seconds(), Rendered: rendered / took.Seconds()}
	if requests > 0 {
		out.Hits = 100 * max(0, requests-rendered) / requests
	}
	if b.Queue.Places > 0 {
		out.Busy = 100 * float64(b.Queue.Busy) / float64(b.Queue.Places)
	}
	return out
}

// serviceStates asks every service whether it is ready.
func (c *Console) serviceStates(ctx context.Context) []serviceState {
	states := make([]serviceState, len(c.cfg.Services))
	done := make(chan struct{})
	for i, s := range c.cfg.Services {
		go func() {
			start := time.Now()
			err := ready(ctx, c.cfg.Client, s.URL)
			states[i] = serviceState{Service: s, Up: err == nil, Took: time.Since(start)}
			done <- struct{}{}
		}()
	}
	for range states {
		<-done
	}
	return states
}

func (c *Console) servicesFragment(ctx context.Context) string {
	var b bytes.Buffer
	if err := c.templates.ExecuteTemplate(&b, "services", c.serviceStates(ctx)); err != nil {
		c.cfg.Log.Error("render services", "error", err)
		return ""
	}
	return b.String()
}

// feed writes server-sent events. The first error ends it.
type feed struct {
	w       http.ResponseWriter
	control *http.ResponseController
	err     error
}

func (f *feed) sendJSON(event string, v any) {
	data, err := json.Marshal(v)
	if err != nil {
		f.err = err
		return
	}
	f.send(event, string(data))
}

// send writes an event; each line of data is a field of its own.
func (f *feed) send(event, data string) {
	if f.err != nil {
		return
	}
	// The listener's limit for a whole answer does not fit a stream; each
	// event has its own. Writers that have none need none.
	_ = f.control.SetWriteDeadline(time.Now().Add(feedWrite))
	text := "event: " + event + "\n"
	for line := range strings.SplitSeq(strings.TrimRight(data, "\n"), "\n") {
		text += "data: " + line + "\n"
	}
	_, f.err = fmt.Fprint(f.w, text+"\n")
}

func (f *feed) flush() error {
	if f.err == nil {
		f.err = f.control.Flush()
	}
	return f.err
}
