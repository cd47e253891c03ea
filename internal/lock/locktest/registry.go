package locktest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kamado/kamado/internal/lock"
)

// registries are the promises to holders elsewhere.
var registries = map[string]func(*testing.T, Open){
	"any server renews and takes back a grant":             anyServer,
	"a grant outlives the server that gave it":             serverDied,
	"who has it already is told so":                        same,
	"only who knows the session renews and gives back":     secret,
	"tokens grow over both ways":                           both,
	"a dead client's lock passes after its term":           deadClient,
	"a lapsed grant is lost for all servers":               lapsed,
	"a lapsed grant that nobody called lost can be kept":   revived,
	"those who wait get it in their order":                 queue,
	"waiting ends after its time":                          waitEnds,
	"waiters are bounded":                                  waiters,
	"a server watches by itself what it refused":           watched,
	"names are bounded":                                    bounded,
	"clients see pages of locks":                           pages,
	"bad names, holders, terms, waits, limits are refused": badClients,
	"no two clients work at once":                          clientExclusion,
}

// server opens one more server of remote locks, which watches until the test ends.
func server(t *testing.T, p Open, change func(*lock.Config)) *lock.Registry {
	t.Helper()
	c := lock.Default()
	if change != nil {
		change(&c)
	}
	r, err := lock.NewRegistry(view(t, p), c, nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run = %v", err)
		}
	})
	return r
}

func grant(t *testing.T, r *lock.Registry, holder string, term time.Duration) lock.Held {
	t.Helper()
	h, err := r.Acquire(t.Context(), "x", holder, term)
	if err != nil {
		t.Fatal(err)
	}
	if h.Name != "x" || h.Holder != holder || h.Term != term || h.Token == 0 || len(h.Session) < 26 {
		t.Fatalf("grant = %+v, want one of x to %s for %v", h, holder, term)
	}
	return h
}

func refused(t *testing.T, r *lock.Registry, by string) *lock.HeldError {
	t.Helper()
	_, err := r.Acquire(t.Context(), "x", "somebody", short)
	var who *lock.HeldError
	if !errors.As(err, &who) || !errors.Is(err, lock.ErrHeld) || who.Holder != by || who.Name != "x" {
		t.Fatalf("Acquire = %v, want it to be held by %s", err, by)
	}
	return who
}

func lost(t *testing.T, r *lock.Registry, h lock.Held) {
	t.Helper()
	if _, err := r.Renew(t.Context(), h.Name, h.Token, h.Session); !errors.Is(err, lock.ErrLost) {
		t.Errorf("Renew = %v, want ErrLost", err)
	}
}

func renew(t *testing.T, r *lock.Registry, h lock.Held) {
	t.Helper()
	if again, err := r.Renew(t.Context(), h.Name, h.Token, h.Session); err != nil || again != h {
		t.Fatalf("Renew = %+v, %v, want %+v", again, err, h)
	}
}

func giveBack(t *testing.T, r *lock.Registry, h lock.Held) {
	t.Helper()
	if err := r.Release(t.Context(), h.Name, h.Token, h.Session); err != nil {
		t.Fatalf("Release = %v", err)
	}
}

func anyServer(t *testing.T, p Open) {
	a, b, c := server(t, p, nil), server(t, p, nil), server(t, p, nil)
	h := grant(t, a, "client", long)
	if s, err := b.Look(t.Context(), "x"); err != nil || s.Name != "x" || s.Holder != "client" || s.Token != h.Token || s.Term != long || !s.Held || s.Wait <= 0 {
		t.Errorf("Look = %+v, %v", s, err)
	}
	renew(t, b, h)
	renew(t, c, h)
	refused(t, b, "client")
	giveBack(t, c, h)
	giveBack(t, a, h) // over already
	if s, err := a.Look(t.Context(), "x"); err != nil || s.Held || s.Holder != "" || s.Token != h.Token || s.Wait != 0 {
		t.Errorf("Look after Release = %+v, %v", s, err)
	}
	lost(t, a, h)
	if next := grant(t, b, "other", long); next.Token <= h.Token || next.Session == h.Session {
		t.Errorf("%+v after %+v", next, h)
	}
	giveBack(t, a, h) // over long ago: no error, and nothing is given back
	refused(t, a, "other")
}

func serverDied(t *testing.T, p Open) {
	h := grant(t, server(t, p, nil), "client", long)
	for range 3 { // each is another process
		renew(t, server(t, p, nil), h)
	}
	refused(t, server(t, p, nil), "client")
	giveBack(t, server(t, p, nil), h)
	grant(t, server(t, p, nil), "other", long)
}

func same(t *testing.T, p Open) {
	r := server(t, p, nil)
	grant(t, r, "client", long)
	_, err := r.Acquire(t.Context(), "x", "client", long)
	var who *lock.HeldError
	if !errors.As(err, &who) || who.Holder != "client" || who.Wait <= 0 || who.Wait > long+long/lock.DriftMax {
		t.Errorf("Acquire by the same holder = %+v", err)
	}
}

func secret(t *testing.T, p Open) {
	r := server(t, p, nil)
	h := grant(t, r, "client", long)
	for _, wrong := range []lock.Held{
		{Name: "x", Token: h.Token}, {Name: "x", Token: h.Token, Session: h.Session + "A"}, {Name: "x", Token: h.Token + 1, Session: h.Session},
		{Name: "y", Token: h.Token, Session: h.Session},
	} {
		lost(t, r, wrong)
		if err := r.Release(t.Context(), wrong.Name, wrong.Token, wrong.Session); !errors.Is(err, lock.ErrLost) {
			t.Errorf("Release of %+v = %v, want ErrLost", wrong, err)
		}
	}
	row, err := view(t, p).Read(t.Context(), "x")
	if err != nil || row.Session == "" || strings.Contains(fmt.Sprint(row), h.Session) {
		t.Errorf("the place keeps %+v, %v: want no secret in it", row, err)
	}
	lost(t, r, lock.Held{Name: "x", Token: h.Token, Session: row.Session})
	refused(t, r, "client")
	renew(t, r, h)
}

func both(t *testing.T, p Open) {
	r, l := server(t, p, nil), open(t, p, "process")
	last := uint64(0)
	for range 3 {
		h := grant(t, r, "client", long)
		held(t, l, "client")
		giveBack(t, r, h)
		g := acquire(t, l, long)
		refused(t, r, "process")
		if err := l.Release(t.Context(), g); err != nil {
			t.Fatal(err)
		}
		if h.Token <= last || g.Token <= h.Token {
			t.Fatalf("tokens %d, %d, %d", last, h.Token, g.Token)
		}
		last = g.Token
	}
}

func deadClient(t *testing.T, p Open) {
	a, b := server(t, p, nil), server(t, p, nil)
	before := time.Now()
	h := grant(t, a, "dead", short)
	next, err := b.AcquireWait(t.Context(), "x", "alive", long, 20*time.Second)
	if err != nil || next.Token <= h.Token {
		t.Fatalf("AcquireWait = %+v, %v", next, err)
	}
	if took := time.Since(before); took < short+short/lock.DriftMax || next.Waited < short || next.Waited > took {
		t.Errorf("it passed after %v, of which it waited %v", took, next.Waited)
	}
	lost(t, a, h)
	lost(t, b, h)
	giveBack(t, a, h)
	refused(t, a, "alive")
	var fence lock.Fence
	if fence, err = fence.Admit(next.Token); err != nil {
		t.Fatal(err)
	}
	if _, err := fence.Admit(h.Token); !errors.Is(err, lock.ErrStale) {
		t.Errorf("the late write of a dead holder: %v, want ErrStale", err)
	}
}

// until polls a condition.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) { // a condition is polled
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}

// stale waits until a server knows that the lock's lease has stood still for too long.
func stale(t *testing.T, r *lock.Registry) {
	t.Helper()
	until(t, "the lease is old", func() bool {
		s, err := r.Look(t.Context(), "x")
		if err != nil {
			t.Fatal(err)
		}
		return s.Held && s.Wait == 0
	})
}

func lapsed(t *testing.T, p Open) {
	a, b := server(t, p, nil), server(t, p, nil)
	h := grant(t, a, "client", short)
	stale(t, b)
	lost(t, b, h) // b did not give it, and saw its end
	lost(t, a, h)
	lost(t, server(t, p, nil), h) // saw nothing
	if s, err := a.Look(t.Context(), "x"); err != nil || s.Held {
		t.Errorf("Look = %+v, %v, want it to be free", s, err)
	}
	grant(t, a, "other", long) // at once
}

func revived(t *testing.T, p Open) {
	a := server(t, p, nil)
	h := grant(t, a, "client", short)
	stale(t, a)
	b := server(t, p, nil) // starts when all is over
	renew(t, b, h)
	renew(t, a, h) // it has the same version as everybody
	refused(t, b, "client")
}

func queue(t *testing.T, p Open) {
	r := server(t, p, nil)
	h := grant(t, r, "first", long)
	var mu sync.Mutex
	var order []int
	var wg sync.WaitGroup
	for i := range 4 {
		turn := make(chan struct{})
		wg.Go(func() {
			close(turn)
			got, err := r.AcquireWait(t.Context(), "x", fmt.Sprint(i), long, 20*time.Second)
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			order = append(order, i)
			mu.Unlock()
			if err := r.Release(t.Context(), "x", got.Token, got.Session); err != nil {
				t.Error(err)
			}
		})
		<-turn
		until(t, "it waits", func() bool { return r.Waiters() == i+1 })
	}
	giveBack(t, r, h)
	wg.Wait()
	if !slices.Equal(order, []int{0, 1, 2, 3}) {
		t.Errorf("order %v", order)
	}
	if n := r.Waiters(); n != 0 {
		t.Errorf("%d wait", n)
	}
}

func waitEnds(t *testing.T, p Open) {
	r := server(t, p, nil)
	h := grant(t, r, "client", long)
	for _, wait := range []time.Duration{0, short / 2} {
		var wg sync.WaitGroup
		for range 2 { // one that asks and one behind it
			wg.Go(func() {
				before := time.Now()
				_, err := r.AcquireWait(t.Context(), "x", "other", long, wait)
				var who *lock.HeldError
				if took := time.Since(before); !errors.As(err, &who) || took < wait {
					t.Errorf("AcquireWait = %v after %v, want ErrHeld after %v", err, took, wait)
				}
			})
		}
		wg.Wait()
	}
	ctx, cancel := context.WithTimeout(t.Context(), short/4)
	defer cancel()
	if _, err := r.AcquireWait(ctx, "x", "other", long, long/100); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("AcquireWait whose caller went away = %v", err)
	}
	renew(t, r, h)
}

func waiters(t *testing.T, p Open) {
	r := server(t, p, func(c *lock.Config) { c.WaitersMax = 2 })
	grant(t, r, "client", long)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			if _, err := r.AcquireWait(ctx, "x", "other", long, time.Minute); !errors.Is(err, context.Canceled) {
				t.Errorf("AcquireWait = %v", err)
			}
		})
	}
	until(t, "two wait", func() bool { return r.Waiters() == 2 })
	_, err := r.AcquireWait(ctx, "y", "other", long, time.Minute)
	var which *lock.ExhaustedError
	if !errors.Is(err, lock.ErrExhausted) || !errors.As(err, &which) || which.Limit != 2 || which.Setting != "WaitersMax" {
		t.Errorf("the third who waits: %v, want ErrExhausted", err)
	}
	if _, err := r.Acquire(ctx, "y", "other", long); err != nil {
		t.Errorf("who does not wait: %v", err)
	}
	cancel()
	wg.Wait()
}

func watched(t *testing.T, p Open) {
	a, b := server(t, p, nil), server(t, p, nil)
	h := grant(t, a, "client", 2*short)
	refused(t, b, "client")
	time.Sleep(short / 2) // the holder lives on for a while, and nobody asks b again
	renew(t, a, h)
	time.Sleep(8 * short) // b would need another term and a tenth, if it had not watched
	grant(t, b, "other", long)
}

func bounded(t *testing.T, p Open) {
	r := server(t, p, func(c *lock.Config) { c.LocksMax = 3 })
	for i := range 3 {
		h, err := r.Acquire(t.Context(), fmt.Sprint(i), "client", long)
		if err != nil {
			t.Fatal(err)
		}
		giveBack(t, r, h)
	}
	for _, server := range []*lock.Registry{r, server(t, p, func(c *lock.Config) { c.LocksMax = 3 })} {
		_, err := server.Acquire(t.Context(), "3", "client", long)
		var which *lock.ExhaustedError
		if !errors.As(err, &which) || which.Limit != 3 || which.Setting != "LocksMax" {
			t.Errorf("Acquire of a fourth name = %v, want ErrExhausted", err)
		}
	}
	if _, err := r.Acquire(t.Context(), "0", "client", long); err != nil {
		t.Errorf("Acquire of a name that is there = %v", err)
	}
}

func pages(t *testing.T, p Open) {
	r := server(t, p, nil)
	for i := range 5 {
		h, err := r.Acquire(t.Context(), fmt.Sprintf("area/%d", i), "client", long)
		if err != nil {
			t.Fatal(err)
		}
		if i%2 == 1 {
			giveBack(t, r, h)
		}
	}
	if _, err := r.Acquire(t.Context(), "areas", "client", long); err != nil {
		t.Fatal(err)
	}
	var all []string
	for after := ""; ; after = all[len(all)-1] {
		page, err := r.List(t.Context(), "area/", after, 2)
		if err != nil {
			t.Fatal(err)
		}
		if len(page) == 0 {
			break
		}
		for _, s := range page {
			held := len(all)%2 == 0
			if s.Held != held || (s.Holder == "client") != held || s.Token != 1 || s.Term != long || (s.Wait > 0) != held {
				t.Errorf("%+v, want held %v", s, held)
			}
			all = append(all, s.Name)
		}
	}
	if want := []string{"area/0", "area/1", "area/2", "area/3", "area/4"}; !slices.Equal(all, want) {
		t.Errorf("List = %q, want %q", all, want)
	}
}

func badClients(t *testing.T, p Open) {
	r := server(t, p, nil)
	many := strings.Repeat("n", 256)
	for _, c := range []struct {
		name, holder string
		term, wait   time.Duration
	}{
		{"", "h", long, 0},
		{many, "h", long, 0},
		{"\x00", "h", long, 0},
		{"\xff", "h", long, 0},
		{"x", "", long, 0},
		{"x", many, long, 0},
		{"x", "\x00", long, 0},
		{"x", "h", lock.TermMin - 1, 0},
		{"x", "h", lock.TermMax + 1, 1},
		{"x", "h", long, lock.Default().WaitMax + 1},
	} {
		if _, err := r.AcquireWait(t.Context(), c.name, c.holder, c.term, c.wait); !errors.Is(err, lock.ErrInvalid) {
			t.Errorf("AcquireWait(%.5q, %.5q, %v, %v) = %v, want ErrInvalid", c.name, c.holder, c.term, c.wait, err)
		}
	}
	for _, limit := range []int{-1, 0, lock.ListMax + 1} {
		if _, err := r.List(t.Context(), "", "", limit); !errors.Is(err, lock.ErrInvalid) {
			t.Errorf("List of %d = %v, want ErrInvalid", limit, err)
		}
	}
	_, e1 := r.Renew(t.Context(), "\xff", 1, "")
	_, e2 := r.Look(t.Context(), "\xff")
	_, e3 := r.List(t.Context(), "\xff", "", 1)
	for i, err := range []error{e1, e2, e3, r.Release(t.Context(), "\xff", 1, "")} {
		if !errors.Is(err, lock.ErrInvalid) {
			t.Errorf("%d: %v, want ErrInvalid", i, err)
		}
	}
	if s, err := r.Look(t.Context(), "nobody asked for it"); err != nil || s != (lock.Status{Name: "nobody asked for it"}) {
		t.Errorf("Look = %+v, %v", s, err)
	}
}

// clientExclusion lets clients work through three servers, renew through others,
// and stall beyond their term: what they do while they believe in their grants
// never overlaps, and tokens tell the order.
func clientExclusion(t *testing.T, p Open) {
	servers := []*lock.Registry{server(t, p, nil), server(t, p, nil), server(t, p, nil)}
	var mu sync.Mutex
	var spans []span
	var wg sync.WaitGroup
	began := time.Now()
	more := func() bool { // for a while, and for longer on a busy machine
		mu.Lock()
		defer mu.Unlock()
		took := time.Since(began)
		return took < 4*short || len(spans) < 4 && took < 20*time.Second
	}
	for i := range 6 {
		wg.Go(func() {
			for turn := i; more(); turn++ {
				via := func(n int) *lock.Registry { return servers[(turn+n)%len(servers)] }
				asked := time.Now()
				h, err := via(0).AcquireWait(t.Context(), "x", fmt.Sprint(i), lock.TermMin, short/4)
				if errors.Is(err, lock.ErrHeld) {
					continue
				}
				if err != nil {
					t.Error(err)
					return
				}
				from := time.Now()
				until := asked.Add(h.Waited + h.Term)
				if turn%3 == 0 { // dies: what it did counts up to the end of its grant
					mu.Lock()
					spans = append(spans, span{from, until, h.Token})
					mu.Unlock()
					time.Sleep(2 * h.Term)
					if _, err := via(1).Renew(t.Context(), "x", h.Token, h.Session); err == nil { // nobody took it
						via(2).Release(t.Context(), "x", h.Token, h.Session) //nolint:errcheck // the next one waits for its term
					}
					continue
				}
				time.Sleep(h.Term / 5)
				asked = time.Now()
				if _, err := via(1).Renew(t.Context(), "x", h.Token, h.Session); err == nil {
					until = asked.Add(h.Term)
				}
				to := time.Now()
				if to.After(until) {
					to = until
				}
				mu.Lock()
				spans = append(spans, span{from, to, h.Token})
				mu.Unlock()
				if err := via(2).Release(t.Context(), "x", h.Token, h.Session); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	apart(t, spans)
}
