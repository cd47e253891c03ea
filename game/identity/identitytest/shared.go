package identitytest

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/identity"
)

// two are two servers on one database, with clocks of their own.
func two(w *World) [2]*Server {
	return [2]*Server{w.Open(Noon), w.Open(Noon.Add(3 * time.Second))}
}

func racePair(t *testing.T, w *World) {
	servers := two(w)
	const rounds, callers = 5, 6
	for round := range rounds {
		var mu sync.Mutex
		uids, created := map[game.UID]int{}, 0
		var wg sync.WaitGroup
		for i := range callers {
			wg.Go(func() {
				l, err := servers[i%2].LoginPair(t.Context(), google(fmt.Sprint("race", round)), here(1))
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					t.Error(err)
					return
				}
				uids[l.UID]++
				if l.Created {
					created++
				}
			})
		}
		wg.Wait()
		if len(uids) != 1 || created != 1 {
			t.Errorf("%d sign-ins at once with one pair give users %v, %d of them new", callers, uids, created)
		}
	}
	// Two users want to link one pair.
	a, b := guest(t, servers[0]), guest(t, servers[1])
	var wg sync.WaitGroup
	var errs [2]error
	for i, l := range []game.Login{a, b} {
		wg.Go(func() { _, errs[i] = servers[i].Link(t.Context(), l.UID, google("both")) })
	}
	wg.Wait()
	if (errs[0] == nil) == (errs[1] == nil) {
		t.Errorf("two users link one pair: %v, %v", errs[0], errs[1])
	}
}

func raceUIDs(t *testing.T, w *World) {
	servers := two(w)
	var mu sync.Mutex
	seen := map[game.UID]bool{}
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for range 40 {
				l, err := servers[i%2].CreateGuest(t.Context(), "", game.Client{})
				mu.Lock()
				if err != nil || seen[l.UID] {
					t.Errorf("user %v again, or %v", l.UID, err)
				}
				seen[l.UID] = true
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if len(seen) != 320 {
		t.Errorf("%d users, want 320", len(seen))
	}
}

func raceRefresh(t *testing.T, w *World) {
	servers := two(w)
	l := guest(t, servers[0])
	for range 5 {
		var mu sync.Mutex
		next := map[string]int{}
		var wg sync.WaitGroup
		for i := range 6 {
			wg.Go(func() {
				n, err := servers[i%2].Refresh(t.Context(), l.Refresh, here(1))
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					t.Error(err)
				}
				next[n.Refresh]++
			})
		}
		wg.Wait()
		if len(next) != 1 {
			t.Fatalf("one refresh token shown six times at once gives %d others", len(next))
		}
		for text := range next {
			l.Refresh = text
		}
	}
	believed(t, servers[1], refresh(t, servers[1], l), true, "after the races")
}

func raceStart(t *testing.T, w *World) {
	var servers [4]*Server
	dbs := [4]int{}
	var wg sync.WaitGroup
	var mu sync.Mutex
	created := 0
	for i := range dbs {
		db := w.place(t)
		wg.Go(func() {
			s := w.OpenOn(db, Noon)
			_, made, err := s.EnsureService(t.Context(), "main", game.ScopeAdmin)
			mu.Lock()
			defer mu.Unlock()
			servers[i] = s
			if err != nil {
				t.Error(err)
			}
			if made {
				created++
			}
		})
	}
	wg.Wait()
	if created != 1 {
		t.Errorf("the first service was made %d times", created)
	}
	l := guest(t, servers[0])
	for _, s := range servers {
		believed(t, s, l, true, "on each server")
		if n := len(s.Keys()); n != 1 {
			t.Errorf("%d keys, want 1", n)
		}
	}
}

// within polls a condition until the bound.
func within(t *testing.T, bound time.Duration, what string, is func() bool) {
	t.Helper()
	for start := time.Now(); !is(); time.Sleep(5 * time.Millisecond) { // a condition of another server is polled
		if time.Since(start) > bound {
			t.Errorf("%s: not within %v", what, bound)
			return
		}
	}
}

// run runs a server's background until the test ends.
func (s *Server) run(t *testing.T) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run = %v", err)
		}
	})
}

// seenMax is the promise, twice as long as on a machine that does nothing else.
const seenMax = 2 * time.Second

func otherServer(t *testing.T, w *World) {
	servers := two(w)
	a, b := servers[0], servers[1]
	b.run(t)
	refused := func(l game.Login) func() bool {
		return func() bool {
			_, err := b.Authenticate(t.Context(), l.Access)
			return game.KindOf(err) == game.Unauthenticated
		}
	}
	l := guest(t, a)
	believed(t, b, l, true, "on the other server")
	ok(t, a.SignOut(t.Context(), l.UID, l.Session))
	within(t, seenMax, "a sign-out", refused(l))
	l = guest(t, a)
	believed(t, b, l, true, "on the other server")
	ok(t, a.Ban(t.Context(), l.UID, game.Restriction{}))
	within(t, seenMax, "a ban", refused(l))
	l = guest(t, a)
	ok(t, a.Mute(t.Context(), l.UID, game.Restriction{}))
	within(t, seenMax, "a mute", func() bool {
		p, err := b.Authenticate(t.Context(), l.Access)
		return err == nil && p.MutedUntil.Equal(game.MutedForever)
	})
	// What is new is asked for out of turn; what ended is seen by the poll.
	secret := must[string](t)(a.CreateService(t.Context(), "late", game.ScopePoints))
	b.Clock.Pass(time.Second)
	must[game.Principal](t)(b.Authenticate(t.Context(), secret))
	ok(t, a.RevokeService(t.Context(), "late"))
	within(t, seenMax, "a revoked service", func() bool { _, err := b.Authenticate(t.Context(), secret); return err != nil })
	ok(t, a.RevokeKey(t.Context(), a.Keys()[0].ID))
	within(t, seenMax, "a revoked key", refused(l))
	b.Clock.Pass(time.Second)
	believed(t, b, guest(t, a), true, "a token of a key that the other server has just made")
	if err := b.Ready(); err != nil {
		t.Errorf("Ready = %v", err)
	}
	b.Clock.Pass(time.Minute)
	within(t, seenMax, "ready again after a pause", func() bool { return b.Ready() == nil })
	c, g := account(t, a, "ann@example.org"), guest(t, a)
	if got := must[game.UID](t)(b.Canonical(t.Context(), g.UID)); got != g.UID {
		t.Errorf("Canonical = %v", got)
	}
	must[game.Merge](t)(a.Merge(t.Context(), c.UID, g.UID, func(context.Context, game.Merge) error { return nil }))
	within(t, seenMax, "a merge", func() bool { got, err := b.Canonical(t.Context(), g.UID); return err == nil && got == c.UID })
}

func otherClock(t *testing.T, w *World) {
	db := w.place(t)
	a, b := w.OpenOn(db, Noon), w.Open(Noon.Add(-time.Hour))
	b.run(t)
	l := guest(t, a)
	believed(t, b, l, false, "a token of the future")
	l2 := refresh(t, b, l)
	believed(t, b, l2, true, "refreshed there")
	believed(t, a, l2, false, "where it ended an hour ago")
	l3 := refresh(t, a, l2)
	believed(t, a, l3, true, "refreshed here")
	ok(t, b.SignOut(t.Context(), l.UID, l.Session))
	ok(t, a.Tend(t.Context()))
	believed(t, a, l3, false, "signed out by a server whose clock is behind")
	if x, y := guest(t, a), guest(t, b); x.UID == y.UID {
		t.Errorf("user %v twice", x.UID)
	}
	if n := countRows(t, db, "SELECT COUNT(*) FROM identity_keys"); n != 1 {
		t.Errorf("%d keys", n)
	}
}

func mergeWaits(t *testing.T, w *World) {
	servers := two(w)
	a, b := servers[0], servers[1]
	b.run(t)
	acc, g := account(t, a, "ann@example.org"), guest(t, a)
	believed(t, b, g, true, "before the merge")
	m, err := a.Merge(t.Context(), acc.UID, g.UID, func(_ context.Context, m game.Merge) error {
		believed(t, b, g, false, "when belongings are moved")
		return nil
	})
	if err != nil || m.State != game.MergeDone || m.MoveAfter.Sub(m.Begun) < identity.PollEvery {
		t.Errorf("Merge = %+v, %v", m, err)
	}
}
