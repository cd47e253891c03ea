package remote_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/api"
	"github.com/kamado/kamado/game/core/coretest"
	"github.com/kamado/kamado/game/core/remote"
)

// far is a game server that is asked over HTTP, with ways to disturb it.
type far struct {
	*httptest.Server
	cfg      remote.Config
	lost     atomic.Bool // answers are lost after the work was done
	requests atomic.Int64
	held     chan struct{} // while it is open, requests wait; nil: they do not
}

type nobodysGuard struct{}

func (nobodysGuard) Allowed(*http.Request) bool { return false }

// handler is the HTTP interface of servers.
func handler(s *coretest.Servers, audit api.Audit, events api.Events) http.Handler {
	return api.New(api.Deps{
		Guard: nobodysGuard{}, Audit: audit, Events: events, Identity: s.Identity, Points: s.Points, Entities: s.Entities, Locks: s.Locks, Config: s.Config,
		Log: slog.New(slog.DiscardHandler),
	})
}

// serve puts servers behind HTTP, with an admin service for who asks.
func serve(t *testing.T, s *coretest.Servers) *far {
	t.Helper()
	secret, err := s.Identity.CreateService(t.Context(), "socket", game.ScopeAdmin)
	if err != nil {
		t.Fatal(err)
	}
	h := handler(s, func(_ *http.Request, who, action, _ string, _ error) {
		if strings.Contains(action, "core/") {
			t.Errorf("%s of %s is in the audit", action, who)
		}
	}, func(e api.Event) { t.Errorf("the core tells %+v, which who asked tells", e) })
	f := &far{cfg: remote.Default()}
	f.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.requests.Add(1)
		if f.held != nil {
			<-f.held
		}
		if f.lost.Load() {
			h.ServeHTTP(httptest.NewRecorder(), r)
			panic(http.ErrAbortHandler)
		}
		h.ServeHTTP(w, r)
	}))
	t.Cleanup(f.Close)
	f.cfg.URL, f.cfg.Token = f.URL, secret
	f.cfg.TokenTerm = 0
	return f
}

func (f *far) open(t *testing.T) coretest.Through {
	t.Helper()
	c, err := remote.Open(f.cfg)
	if err != nil {
		t.Fatal(err)
	}
	return coretest.Through{Core: c, Lose: f.lost.Store}
}

// TestRemote: a core that is asked over HTTP keeps what a local one promises.
func TestRemote(t *testing.T) {
	t.Parallel()
	coretest.Run(t, func(t *testing.T, s *coretest.Servers) coretest.Through { return serve(t, s).open(t) })
}

// TestAway: what was never sent is not in doubt, and an error of this server's credential is nobody else's.
func TestAway(t *testing.T) {
	t.Parallel()
	s := coretest.Open(t, nil)
	f := serve(t, s)
	f.cfg.Token = "kamado-service.nobody.x"
	order := &game.Order{Op: game.OpSpend, Tx: "k", UID: 1, Amount: 1}
	var e *game.Error
	_, err := f.open(t).Points.Post(t.Context(), order)
	if !errors.As(err, &e) || e.Kind != game.Unavailable || e.Doubt {
		t.Errorf("with a credential that does not count: %+v", err)
	}
	if _, err := f.open(t).Identity.Authenticate(t.Context(), "x"); game.KindOf(err) != game.Unavailable {
		t.Errorf("whose bearer it is, with a credential that does not count: %v", err)
	}
	narrow, err := s.Identity.CreateService(t.Context(), "narrow", game.ScopePoints)
	if err != nil {
		t.Fatal(err)
	}
	f.cfg.Token = narrow
	if _, err := f.open(t).Points.Post(t.Context(), order); game.KindOf(err) != game.Unavailable {
		t.Errorf("with a credential of too few scopes: %v", err)
	}
	c := f.open(t)
	f.Close()
	_, err = c.Points.Post(t.Context(), order)
	if !errors.As(err, &e) || e.Kind != game.Unavailable || e.Doubt {
		t.Errorf("without a server: %+v, want no doubt", err)
	}
}

// TestCredentialIsReadAgain: another credential in the file is used once the old one does not count.
func TestCredentialIsReadAgain(t *testing.T) {
	t.Parallel()
	s := coretest.Open(t, nil)
	f := serve(t, s)
	file := filepath.Join(t.TempDir(), "token")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(f.cfg.Token)
	f.cfg.TokenFile, f.cfg.Token = file, ""
	c := f.open(t)
	if _, err := c.Points.Account(t.Context(), 1001); err != nil {
		t.Fatal(err)
	}
	secret, err := s.Identity.RenewService(t.Context(), "socket")
	if err != nil {
		t.Fatal(err)
	}
	write(secret)
	if _, err := c.Points.Account(t.Context(), 1001); err != nil {
		t.Errorf("after the credential was renewed: %v", err)
	}
}

// TestBearersAreRemembered: one that counted is asked about once in a term, one that did not each time, and no more are
// remembered than may be.
func TestBearersAreRemembered(t *testing.T) {
	t.Parallel()
	s := coretest.Open(t, nil)
	f := serve(t, s)
	f.cfg.TokenTerm, f.cfg.TokensMax = time.Minute, 3
	registry := prometheus.NewRegistry()
	f.cfg.Registerer = registry
	c := f.open(t)
	l := s.Guest(t)
	for range 5 {
		if _, err := c.Identity.Authenticate(t.Context(), l.Access); err != nil {
			t.Fatal(err)
		}
	}
	if n := f.requests.Load(); n != 1 {
		t.Errorf("%d requests about one bearer, want 1", n)
	}
	for range 3 {
		if _, err := c.Identity.Authenticate(t.Context(), "x"); game.KindOf(err) != game.Unauthenticated {
			t.Error(err)
		}
	}
	if n := f.requests.Load(); n != 4 {
		t.Errorf("%d requests after three about a bad bearer, want 4", n)
	}
	for range 10 {
		if _, err := c.Identity.Authenticate(t.Context(), s.Guest(t).Access); err != nil {
			t.Fatal(err)
		}
	}
	if n := gauge(t, registry, "kamado_game_core_tokens"); n < 1 || n > 6 {
		t.Errorf("%v bearers are remembered, want at most 6", n)
	}
}

func gauge(t *testing.T, r *prometheus.Registry, name string) float64 {
	t.Helper()
	all, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range all {
		if f.GetName() == name {
			return f.GetMetric()[0].GetGauge().GetValue()
		}
	}
	t.Fatalf("no metric %s", name)
	return 0
}

// TestBearersGoTogether: while the core answers, those who ask gather, and each gets its own answer.
func TestBearersGoTogether(t *testing.T) {
	t.Parallel()
	s := coretest.Open(t, nil)
	f := serve(t, s)
	f.held = make(chan struct{})
	registry := prometheus.NewRegistry()
	f.cfg.Registerer = registry
	c := f.open(t)
	const users = 60
	var wg sync.WaitGroup
	for i := range users {
		l := s.Guest(t)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		wg.Go(func() {
			bearer, want := l.Access, game.Unauthenticated
			if i%3 == 0 {
				bearer = fmt.Sprint("bad ", i)
			}
			p, err := c.Identity.Authenticate(ctx, bearer)
			switch {
			case i%3 == 0 && game.KindOf(err) != want:
				t.Errorf("a bad bearer: %v", err)
			case i%3 != 0 && (err != nil || p.UID != l.UID):
				t.Errorf("user %v is %v, %v", l.UID, p.UID, err)
			}
		})
	}
	deadline := time.Now().Add(10 * time.Second)
	for gauge(t, registry, "kamado_game_core_waiting") < users-4 && time.Now().Before(deadline) {
		time.Sleep(time.Millisecond) // another goroutine is waited for, through a metric
	}
	close(f.held)
	wg.Wait()
	if n := f.requests.Load(); n > 8 {
		t.Errorf("%d requests about %d bearers, want at most 8", n, users)
	}
}

// TestWaitsAreBounded: a core that does not answer holds up no more requests than may be, and those whose context ends leave.
func TestWaitsAreBounded(t *testing.T) {
	t.Parallel()
	s := coretest.Open(t, nil)
	f := serve(t, s)
	f.held = make(chan struct{})
	f.cfg.Connections, f.cfg.RequestsMax = 1, 3
	c := f.open(t)
	ctx, cancel := context.WithCancel(t.Context())
	var full atomic.Int64
	var wg sync.WaitGroup
	some := make(chan struct{})
	for range 10 {
		wg.Go(func() {
			_, err := c.Points.Account(ctx, 1001)
			if err != nil && strings.Contains(err.Error(), "which is the most") {
				if full.Add(1) == 7 {
					close(some)
				}
			}
		})
	}
	<-some // all but RequestsMax were refused, and at once
	cancel()
	wg.Wait()
	close(f.held)
	if full.Load() != 7 {
		t.Errorf("%d of 10 requests were refused, want 7", full.Load())
	}
}

// TestConfig: what is wrong with a configuration is said before anything is asked.
func TestConfig(t *testing.T) {
	t.Parallel()
	good := remote.Default()
	good.URL, good.Token = "http://127.0.0.1:1", "x"
	if _, err := remote.Open(good); err != nil {
		t.Fatal(err)
	}
	for what, change := range map[string]func(*remote.Config){
		"no credential": func(c *remote.Config) { c.Token = "" }, "no file": func(c *remote.Config) { c.TokenFile = "/nonexistent" }, "no URL": func(c *remote.Config) { c.URL = "127.0.0.1" },
		"time": func(c *remote.Config) { c.Timeout = 0 }, "connections": func(c *remote.Config) { c.Connections = 0 }, "requests": func(c *remote.Config) { c.RequestsMax = 1 },
		"tokens": func(c *remote.Config) { c.TokensMax = 0 }, "term": func(c *remote.Config) { c.TokenTerm = time.Hour },
	} {
		bad := good
		change(&bad)
		if _, err := remote.Open(bad); err == nil {
			t.Errorf("%s: no error", what)
		}
	}
}
