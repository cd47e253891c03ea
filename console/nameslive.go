package console

import (
	"context"
	"net/http"
	"time"

	"github.com/kamado/kamado/internal/httpserver"
)

// Times of the feed of names.
const (
	namesGap   = 250 * time.Millisecond // changes closer to each other are told once
	namesAlive = 15 * time.Second       // between signs of life
)

// namesLive tells a page that something changed, so that it asks again: what and
// how is the page's own matter.
func (c *Console) namesLive(w http.ResponseWriter, r *http.Request) {
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
	feed.send("still", "")
	ctx, cancel := context.WithCancel(r.Context())
	changed, ended := make(chan struct{}, 1), make(chan struct{})
	go func() {
		defer close(ended)
		_ = c.names.watch(ctx, func() { // the browser comes again when it fails
			select {
			case changed <- struct{}{}:
			default:
			}
		})
	}()
	defer func() { cancel(); <-ended }()
	c.relay(r, &feed, changed, ended)
}

// relay sends an event for each change until the watch, the client or the server ends.
func (c *Console) relay(r *http.Request, feed *feed, changed, ended <-chan struct{}) {
	alive := time.NewTicker(namesAlive)
	defer alive.Stop()
	for feed.flush() == nil {
		select {
		case <-alive.C:
			feed.send("still", "")
			continue
		case <-changed:
		case <-ended:
			return
		case <-r.Context().Done():
			return
		case <-httpserver.Draining(r.Context()):
			return // or the process would wait for a page that somebody left open
		}
		feed.send("changed", "")
		if feed.flush() != nil {
			return
		}
		select {
		case <-time.After(namesGap):
		case <-r.Context().Done():
			return
		}
	}
}
