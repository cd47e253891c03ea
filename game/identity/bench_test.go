package identity_test

import (
	"log/slog"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/identity"
	"github.com/kamado/kamado/game/identity/identitytest"
)

func server(t testing.TB) *identity.Server {
	t.Helper()
	s, err := identity.Open(t.Context(), identitytest.Config(), identity.Deps{DB: open(t, filepath.Join(t.TempDir(), "db")), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestAuthenticateAgainAllocatesNothing(t *testing.T) {
	s := server(t)
	l, err := s.CreateGuest(t.Context(), "", game.Client{})
	if err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(100, func() {
		if _, err := s.Authenticate(t.Context(), l.Access); err != nil {
			t.Fatal(err)
		}
	}); n > 1 {
		t.Errorf("a token that was seen before costs %v allocations, want at most 1", n)
	}
}

func BenchmarkAuthenticate(b *testing.B) {
	s := server(b)
	l, err := s.CreateGuest(b.Context(), "", game.Client{})
	if err != nil {
		b.Fatal(err)
	}
	secret, err := s.CreateService(b.Context(), "bench", game.ScopePoints)
	if err != nil {
		b.Fatal(err)
	}
	for name, bearer := range map[string]string{"user": l.Access, "service": secret} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.Authenticate(b.Context(), bearer); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkRefresh(b *testing.B) {
	s := server(b)
	for name, callers := range map[string]int{"1": 1, "64": 32} {
		b.Run(name, func(b *testing.B) {
			b.SetParallelism(callers)
			var failed atomic.Int64
			b.RunParallel(func(p *testing.PB) {
				l, err := s.CreateGuest(b.Context(), "", game.Client{})
				for p.Next() {
					if err == nil {
						l, err = s.Refresh(b.Context(), l.Refresh, game.Client{})
					}
					if err != nil {
						failed.Add(1)
					}
				}
			})
			if failed.Load() > 0 {
				b.Errorf("%d failed", failed.Load())
			}
		})
	}
}

func BenchmarkCreateGuest(b *testing.B) {
	s := server(b)
	b.SetParallelism(32)
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			if _, err := s.CreateGuest(b.Context(), "", game.Client{}); err != nil {
				b.Error(err)
			}
		}
	})
}
