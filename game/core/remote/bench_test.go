package remote_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/core/coretest"
	"github.com/kamado/kamado/game/core/remote"
)

// far side of a benchmark, without the checks of a test.
func benchCore(b *testing.B, s *coretest.Servers) remote.Config {
	b.Helper()
	secret, err := s.Identity.CreateService(b.Context(), "socket", game.ScopeAdmin)
	if err != nil {
		b.Fatal(err)
	}
	h := handler(s, func(*http.Request, string, string, string, error) {}, nil)
	server := httptest.NewServer(h)
	b.Cleanup(server.Close)
	cfg := remote.Default()
	cfg.URL, cfg.Token, cfg.TokenTerm = server.URL, secret, 0
	return cfg
}

// many has callers that do something one after another.
func many(b *testing.B, callers int, do func(caller int, i int64) error) {
	b.ResetTimer()
	var n atomic.Int64
	var wg sync.WaitGroup
	for c := range callers {
		wg.Go(func() {
			for i := n.Add(1); i <= int64(b.N); i = n.Add(1) {
				if err := do(c, i); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "calls/s")
}

// BenchmarkRemote has 1,024 callers of a core over HTTP: durable orders, and bearers of which each is asked about.
func BenchmarkRemote(b *testing.B) {
	s := coretest.Open(b, nil)
	c, err := remote.Open(benchCore(b, s))
	if err != nil {
		b.Fatal(err)
	}
	const callers = 1024
	access := make([]string, callers)
	for i := range access {
		access[i] = s.Guest(b).Access
	}
	b.Run("orders", func(b *testing.B) {
		many(b, callers, func(caller int, i int64) error {
			_, err := c.Points.Post(context.Background(), &game.Order{Op: game.OpGrant, Tx: fmt.Sprint(b.N, " ", i), UID: game.UID(caller + 1), Amount: 1})
			return err
		})
	})
	b.Run("bearers", func(b *testing.B) {
		many(b, callers, func(caller int, _ int64) error {
			_, err := c.Identity.Authenticate(context.Background(), access[caller])
			return err
		})
	})
}
