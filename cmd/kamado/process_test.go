package main

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestAdminRefusesWithProblems walks paths of the admin listener that are none.
func TestAdminRefusesWithProblems(t *testing.T) {
	c := newConfiguration()
	c.Data, c.Admin = t.TempDir(), "127.0.0.1:0"
	p, err := newApp(strings.NewReader(""), io.Discard, io.Discard, nil).newProcess(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- p.run(ctx) }()
	defer func() { cancel(); <-done }()
	for _, path := range []string{"/", "/nope", "/metrics/", "/health/x"} {
		resp, err := http.Get(p.admin.URL() + path)
		if err != nil {
			t.Fatal(err)
		}
		var problem struct{ Status int }
		err = json.NewDecoder(resp.Body).Decode(&problem)
		resp.Body.Close()
		if err != nil || resp.StatusCode != 404 || problem.Status != 404 {
			t.Errorf("GET %s gives %s %q, want a problem 404", path, resp.Status, resp.Header.Get("Content-Type"))
		}
	}
}

// TestPartsMayDrainAsLongAsConfigured: the group must not give up on a listener that only does what the settings allow.
func TestPartsMayDrainAsLongAsConfigured(t *testing.T) {
	c := newConfiguration()
	for _, promise := range [][2]time.Duration{{20 * time.Second, 30 * time.Second}, {0, 10 * time.Minute}} {
		c.HTTP.DrainDelay, c.HTTP.DrainTimeout = promise[0], promise[1]
		c.Data = filepath.Join(t.TempDir(), "data")
		p, err := newApp(strings.NewReader(""), io.Discard, io.Discard, nil).newProcess(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		if promised := c.HTTP.DrainDelay + c.HTTP.DrainTimeout; p.group.StopTimeout <= promised {
			t.Errorf("a part may take %v to stop, but its settings promise %v", p.group.StopTimeout, promised)
		}
	}
}

// TestTwoListenersShareChallenges: the services of a process all speak TLS, and only one can have the address of HTTP-01.
func TestTwoListenersShareChallenges(t *testing.T) {
	c := newConfiguration()
	c.Data = t.TempDir()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c.HTTP.TLS.ACME.Domains, c.HTTP.TLS.ACME.HTTPAddr = []string{"img.example.com"}, l.Addr().String()
	l.Close()
	p, err := newApp(strings.NewReader(""), io.Discard, io.Discard, nil).newProcess(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"images", "console"} {
		if _, err := p.listen(t.Context(), name, "127.0.0.1:0", http.NotFoundHandler()); err != nil {
			t.Errorf("listener of %s: %v", name, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.run(ctx); err != nil {
		t.Fatal(err)
	}
}
