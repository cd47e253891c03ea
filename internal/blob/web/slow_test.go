package web_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/kamado/kamado/internal/blob"
	"github.com/kamado/kamado/internal/blob/web"
)

// silent never answers, until the client goes or the test ends.
func silent(end <-chan struct{}) http.HandlerFunc {
	return func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
		case <-end:
		}
	}
}

// half gives 4 of 10 bytes, and then nothing.
func half(end <-chan struct{}) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "10")
		w.Header().Set("ETag", `"1"`)
		_, _ = io.WriteString(w, "half")
		_ = http.NewResponseController(w).Flush()
		silent(end)(w, r)
	}
}

func patient(c *web.Config) {
	c.Attempts, c.HeaderTimeout, c.Stall, c.Whole = 1, time.Minute, time.Minute, time.Minute
}

func TestSlowServers(t *testing.T) {
	t.Parallel()
	const limit = 150 * time.Millisecond
	hang := make(chan struct{})
	t.Cleanup(func() { close(hang) })
	drip := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "1000000")
		w.Header().Set("ETag", `"1"`)
		tick := time.NewTicker(limit / 10)
		defer tick.Stop()
		for {
			select {
			case <-r.Context().Done():
				return
			case <-hang:
				return
			case <-tick.C:
			}
			_, _ = io.WriteString(w, "x")
			_ = http.NewResponseController(w).Flush()
		}
	}
	for _, c := range []struct {
		name string
		h    http.HandlerFunc
		tune func(*web.Config)
	}{
		{"no head", silent(hang), func(c *web.Config) { patient(c); c.HeaderTimeout = limit }},
		{"no head within the whole time", silent(hang), func(c *web.Config) { patient(c); c.Whole = limit }},
		{"a body that stalls", half(hang), func(c *web.Config) { patient(c); c.Stall = limit }},
		{"a body that drips", drip, func(c *web.Config) { patient(c); c.Whole = 3 * limit }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := at(t, c.h, c.tune)
			if b, _, err := blob.GetAll(t.Context(), s, "k", nil, 0); !errors.Is(err, blob.ErrUnavailable) || errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("GetAll = %d bytes, %v, want ErrUnavailable and no error of a context", len(b), err)
			}
		})
	}
}

func TestTheCallerGoesAway(t *testing.T) {
	t.Parallel()
	hang := make(chan struct{})
	t.Cleanup(func() { close(hang) })
	s := at(t, half(hang), patient)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	o, err := s.Get(ctx, "k")
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	if _, err := io.ReadFull(o, make([]byte, 4)); err != nil {
		t.Fatal(err)
	}
	cancel()
	if _, err := o.Read(make([]byte, 10)); !errors.Is(err, context.Canceled) || errors.Is(err, blob.ErrUnavailable) {
		t.Errorf("Read = %v, want context.Canceled", err)
	}
	if _, err := s.Get(ctx, "k"); !errors.Is(err, context.Canceled) {
		t.Errorf("Get = %v, want context.Canceled", err)
	}
}
