package main

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/kamado/kamado/images/server"
	"github.com/kamado/kamado/internal/eventlog/segment"
)

func TestEventText(t *testing.T) {
	for _, c := range []struct {
		text string
		most int
		want string
	}{
		{"recipes/1", 20, "recipes/1"},
		{"", 20, ""},
		{"a\xffb", 20, `a\xffb`},
		{"寿司寿司", 10, "寿司…"},
		{strings.Repeat("\xfe", 9), 12, `\xfe\xfe…`},
		{strings.Repeat("a", 21), 20, strings.Repeat("a", 17) + "…"},
	} {
		got := eventText(c.text, c.most)
		if got != c.want || len(got) > c.most || !utf8.ValidString(got) {
			t.Errorf("eventText(%q, %d) = %q, want %q", c.text, c.most, got, c.want)
		}
	}
}

// TestEveryRequestIsAnEvent gives the log what a hostile client can make of an original's name: none of it may be dropped, and
// what the log counts is among the metrics.
func TestEveryRequestIsAnEvent(t *testing.T) {
	c := newConfiguration()
	c.Data, c.Admin = t.TempDir(), "127.0.0.1:0"
	p, err := newApp(strings.NewReader(""), io.Discard, io.Discard, nil).newProcess(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	log, err := p.addEvents()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- p.run(ctx) }()
	give := pictureEvents(log)
	originals := []string{"recipes/1", "recipes/" + strings.Repeat("a", 10000), "recipes/\xff\xfe", strings.Repeat("寿", segment.FieldBytesMax)}
	for _, o := range originals {
		give(server.Event{Original: o, Owner: o, Rendition: o, Detail: o})
	}
	resp, err := http.Get(p.admin.URL() + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	metrics, _ := io.ReadAll(resp.Body)
	resp.Body.Close()
	if !strings.Contains(string(metrics), "\nkamado_eventlog_dropped_total 0\n") {
		t.Errorf("metrics lack kamado_eventlog_dropped_total 0")
	}
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if s := log.Stats(); s.Appended != int64(len(originals)) || s.Dropped != 0 {
		t.Errorf("of %d events %d were written and %d dropped", len(originals), s.Appended, s.Dropped)
	}
}

// TestEventsAreConfigured says something about events that cannot be, which has to be noticed.
func TestEventsAreConfigured(t *testing.T) {
	var stderr strings.Builder
	a := newApp(strings.NewReader(""), io.Discard, &stderr, []string{"KAMADO_EVENTS_QUEUE=0"})
	if code := a.execute(t.Context(), []string{"config", "check"}); code != exitUsage || !strings.Contains(stderr.String(), "KAMADO_EVENTS_QUEUE: events: queue 0") {
		t.Errorf("a queue of 0 exits %d: %s", code, &stderr)
	}
}

// TestOneProcessPerDataDirectory starts a second one: it says what is in its way.
func TestOneProcessPerDataDirectory(t *testing.T) {
	data := t.TempDir()
	upOnFreePorts(t, data)
	var stderr strings.Builder
	a := newApp(strings.NewReader(""), io.Discard, &stderr, []string{"KAMADO_ADMIN=127.0.0.1:0", "KAMADO_IMAGES_HTTP=127.0.0.1:0", "KAMADO_CONSOLE_HTTP=127.0.0.1:0"})
	code := a.execute(t.Context(), []string{"up", "--data", data})
	want := "kamado: start images: open event log " + data + "/events: event log in use\n  another kamado works on " + data + "; name another directory with --data\n"
	if code != exitFailed || !strings.HasSuffix(stderr.String(), want) {
		t.Errorf("a second process exits %d and says %q, want 1 and %q", code, &stderr, want)
	}
}
