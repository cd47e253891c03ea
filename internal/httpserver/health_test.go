package httpserver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// TestStuckCheckHoldsNobody asks a check that ignores its context: the answer comes in time, about the other checks too, the
// stuck one is not started again on top of itself, and it passes once it has come back.
func TestStuckCheckHoldsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := NewHealth(slog.New(slog.DiscardHandler))
		release, runs := make(chan struct{}), new(atomic.Int32)
		h.AddCheck("stuck", func(context.Context) error { runs.Add(1); <-release; return nil })
		h.AddCheck("well", func(context.Context) error { return nil })
		for turn := range 3 {
			start := time.Now()
			got := h.Ready(t.Context())
			if took := time.Since(start); took > checkTimeout {
				t.Fatalf("turn %d: Ready took %v, want at most %v", turn, took, checkTimeout)
			}
			if !errors.Is(got[0].Err, ErrCheckStuck) || got[1].Err != nil {
				t.Fatalf("turn %d: Ready = %v, want only the stuck check to fail", turn, got)
			}
			time.Sleep(checkLife)
		}
		if runs.Load() != 1 {
			t.Errorf("the stuck check was started %d times, want 1", runs.Load())
		}
		close(release)
		synctest.Wait()
		if got := h.Ready(t.Context()); got[0].Err != nil {
			t.Errorf("after the check came back, Ready = %v, want no failure", got)
		}
	})
}

// TestStartingIsNoTrouble: a service that is not up yet is told once and without alarm, one that fails then with it.
func TestStartingIsNoTrouble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told bytes.Buffer
		h := NewHealth(slog.New(slog.NewTextHandler(&told, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey || a.Key == "waiting_for" || a.Key == "error" {
				return slog.Attr{}
			}
			return a
		}})))
		var state error
		h.AddCheck("cloud", func(context.Context) error { return state })
		starting := fmt.Errorf("no host yet: %w", ErrStarting)
		for _, state = range []error{starting, starting, nil, nil, errors.New("down"), starting, nil} {
			if got := h.Ready(t.Context())[0].Err; !errors.Is(got, state) {
				t.Errorf("Ready = %v, want %v", got, state)
			}
			time.Sleep(checkLife)
		}
		want := `level=INFO msg="a service is starting" check=cloud
level=INFO msg="a service has started" check=cloud
level=WARN msg="readiness check fails" check=cloud
level=INFO msg="readiness check passes again" check=cloud
`
		if told.String() != want {
			t.Errorf("logged\n%swant\n%s", told.String(), want)
		}
	})
}

// TestHealthIsReadOnly: the paths of health speak problems about methods, like every other path.
func TestHealthIsReadOnly(t *testing.T) {
	f := newTestFront(t, AccessLogOff)
	for _, path := range []string{"/healthz", "/readyz"} {
		for method, want := range map[string]int{"GET": 200, "HEAD": 200, "POST": 405, "DELETE": 405} {
			w := httptest.NewRecorder()
			f.ServeHTTP(w, httptest.NewRequest(method, path, nil))
			if w.Code != want {
				t.Errorf("%s %s gives %d, want %d", method, path, w.Code, want)
			}
			if want == 405 && (w.Header().Get("Content-Type") != ProblemMediaType || w.Header().Get("Allow") != "GET, HEAD") {
				t.Errorf("%s %s gives %v, want a problem with Allow", method, path, w.Header())
			}
		}
	}
}

// TestDrainDelayIsSpentOnce stops a server of a process that has not been ready for longer than the delay: nobody needs more time.
func TestDrainDelayIsSpentOnce(t *testing.T) {
	cfg := Default()
	cfg.Addr, cfg.DrainDelay = "127.0.0.1:0", time.Hour
	health := NewHealth(slog.New(slog.DiscardHandler))
	since := time.Now().Add(-2 * cfg.DrainDelay)
	health.draining.Store(&since)
	s, err := New(cfg, nil, Deps{Name: "second", Log: slog.New(slog.DiscardHandler), Health: health})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	select {
	case err := <-done:
		if err != nil {
			t.Fatal(err)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("the server waits for its own delay after another one did")
	}
}
