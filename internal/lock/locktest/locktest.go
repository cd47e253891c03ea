// Package locktest holds what every engine of lock promises, as tests. A promise
// that is not here is not one. The tests take real time, in terms of some tenths
// of a second.
package locktest

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kamado/kamado/internal/lock"
)

// Open opens the view that one more process has of one place of locks.
type Open func(ctx context.Context) (lock.Place, error)

// Terms of the tests: short ones are waited for, a long one outlives the test.
const (
	short = 400 * time.Millisecond
	long  = time.Hour
)

// together is how many tests run at once, whatever the number of processors is: they
// wait much more than they work.
const together = "8"

// Main runs the tests of a package, as its TestMain, and gives the code to exit with.
func Main(m *testing.M) int {
	flag.Parse()
	if err := flag.Set("test.parallel", together); err != nil {
		panic(err)
	}
	return m.Run()
}

// Run tests an engine. fresh gives a new, empty place; it may skip the test.
func Run(t *testing.T, fresh func(t *testing.T) Open) {
	for _, group := range []map[string]func(*testing.T, Open){places, lockers, registries} {
		for name, test := range group {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				test(t, fresh(t))
			})
		}
	}
}

// lockers are the promises to a holder that is the process itself.
var lockers = map[string]func(*testing.T, Open){
	"one of many gets it":                             one,
	"a lock that was given back is free at once":      release,
	"tokens grow":                                     tokens,
	"renewals keep others out":                        renewals,
	"a dead holder's lock passes after its term":      dead,
	"a holder that stood still too long has lost":     stalled,
	"a grant that is over cannot be renewed":          over,
	"its own ended lock is free for a holder at once": again,
	"an old grant cannot give back a newer one":       late,
	"a holder that starts again is another one":       restart,
	"who looks often takes over as soon as who asks":  looking,
	"locks of other names are other locks":            names,
	"bad names and terms are refused":                 bad,
	"no two work at once":                             exclusion,
}

func view(t *testing.T, p Open) lock.Place {
	t.Helper()
	place, err := p(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return place
}

func open(t *testing.T, p Open, holder string) *lock.Locker {
	t.Helper()
	return lock.NewLocker(view(t, p), holder, nil)
}

func acquire(t *testing.T, l *lock.Locker, term time.Duration) lock.Grant {
	t.Helper()
	before := time.Now()
	g, err := l.Acquire(t.Context(), "x", term)
	if err != nil {
		t.Fatal(err)
	}
	if g.Name != "x" || g.Term != term || g.Token == 0 || g.Until.Before(before.Add(term)) || g.Until.After(time.Now().Add(term)) {
		t.Fatalf("grant = %+v, want one of x for %v", g, term)
	}
	return g
}

// eventually asks until it gets the lock.
func eventually(t *testing.T, l *lock.Locker, term time.Duration) lock.Grant {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) { // a condition is polled
		g, err := l.Acquire(t.Context(), "x", term)
		if err == nil {
			return g
		}
		if !errors.Is(err, lock.ErrHeld) {
			t.Fatal(err)
		}
	}
	t.Fatal("the lock does not come")
	return lock.Grant{}
}

func held(t *testing.T, l *lock.Locker, by string) {
	t.Helper()
	_, err := l.Acquire(t.Context(), "x", short)
	var who *lock.HeldError
	if !errors.Is(err, lock.ErrHeld) || !errors.As(err, &who) || !strings.Contains(who.Holder, by) {
		t.Fatalf("Acquire = %v, want it to be held by %s", err, by)
	}
}

func one(t *testing.T, p Open) {
	var got, refused atomic.Int32
	var wg sync.WaitGroup
	for i := range 8 {
		l := open(t, p, fmt.Sprint("holder", i))
		wg.Go(func() {
			switch _, err := l.Acquire(t.Context(), "x", long); {
			case err == nil:
				got.Add(1)
			case errors.Is(err, lock.ErrHeld):
				refused.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got.Load() != 1 || refused.Load() != 7 {
		t.Errorf("%d of 8 have the lock, %d were told that it is held", got.Load(), refused.Load())
	}
}

func release(t *testing.T, p Open) {
	a, b := open(t, p, "a"), open(t, p, "b")
	g := acquire(t, a, long)
	held(t, b, "a")
	held(t, a, "a")
	if s, err := b.Look(t.Context(), "x"); err != nil || s.Holder != "a" || s.Token != g.Token {
		t.Errorf("Look = %+v, %v", s, err)
	}
	if err := a.Release(t.Context(), g); err != nil {
		t.Fatal(err)
	}
	if s, err := b.Look(t.Context(), "x"); err != nil || s.Holder != "" {
		t.Errorf("Look after Release = %+v, %v", s, err)
	}
	acquire(t, b, long)
	if err := a.Release(t.Context(), g); err != nil {
		t.Errorf("Release of what is over = %v, want nil", err)
	}
	held(t, a, "b")
}

func tokens(t *testing.T, p Open) {
	last := uint64(0)
	for i := range 5 {
		l := open(t, p, fmt.Sprint("holder", i))
		g := acquire(t, l, long)
		if g.Token <= last {
			t.Fatalf("token %d after %d", g.Token, last)
		}
		last = g.Token
		renewed, err := l.Renew(t.Context(), g)
		if err != nil || renewed.Token != g.Token {
			t.Fatalf("Renew = %+v, %v, want the same token", renewed, err)
		}
		if err := l.Release(t.Context(), renewed); err != nil {
			t.Fatal(err)
		}
	}
}

func renewals(t *testing.T, p Open) {
	a, b := open(t, p, "a"), open(t, p, "b")
	g := acquire(t, a, 2*short)
	for end := time.Now().Add(3 * short); time.Now().Before(end); time.Sleep(short / 8) {
		renewed, err := a.Renew(t.Context(), g)
		if err != nil || !renewed.Until.After(g.Until) {
			t.Fatalf("Renew = %+v, %v after %+v", renewed, err, g)
		}
		g = renewed
		held(t, b, "a")
	}
}

func dead(t *testing.T, p Open) {
	a, b := open(t, p, "a"), open(t, p, "b")
	g := acquire(t, a, short)
	next := eventually(t, b, short)
	if now := time.Now(); now.Before(g.Until) || now.After(g.Until.Add(short+5*time.Second)) {
		t.Errorf("it passed %v after the end of the first grant", now.Sub(g.Until))
	}
	if next.Token <= g.Token {
		t.Errorf("token %d after %d", next.Token, g.Token)
	}
}

func stalled(t *testing.T, p Open) {
	a, b := open(t, p, "a"), open(t, p, "b")
	g := acquire(t, a, short)
	eventually(t, b, long)
	if _, err := a.Renew(t.Context(), g); !errors.Is(err, lock.ErrLost) {
		t.Errorf("Renew of a lock that passed on = %v, want ErrLost", err)
	}
	// The same, when the clock of the one who stalled says that it did not.
	g.Until = time.Now().Add(time.Hour)
	if _, err := a.Renew(t.Context(), g); !errors.Is(err, lock.ErrLost) {
		t.Errorf("Renew with a wrong clock = %v, want ErrLost", err)
	}
	held(t, a, "b")
}

func over(t *testing.T, p Open) {
	a := open(t, p, "a")
	g := acquire(t, a, lock.TermMin)
	for !time.Now().After(g.Until) {
		time.Sleep(time.Millisecond)
	}
	if _, err := a.Renew(t.Context(), g); !errors.Is(err, lock.ErrLost) {
		t.Errorf("Renew after the end = %v, want ErrLost", err)
	}
}

func again(t *testing.T, p Open) {
	a := open(t, p, "a")
	g := acquire(t, a, 3*short)
	held(t, a, "a")
	for !time.Now().After(g.Until) {
		time.Sleep(time.Millisecond)
	}
	if next := acquire(t, a, long); next.Token <= g.Token {
		t.Errorf("token %d after %d", next.Token, g.Token)
	}
	held(t, open(t, p, "b"), "a")
}

func late(t *testing.T, p Open) {
	a, b := open(t, p, "a"), open(t, p, "b")
	old := acquire(t, a, long)
	if err := a.Release(t.Context(), old); err != nil {
		t.Fatal(err)
	}
	acquire(t, a, long)
	if err := a.Release(t.Context(), old); err != nil {
		t.Fatal(err)
	}
	held(t, b, "a")
	if _, err := a.Renew(t.Context(), old); !errors.Is(err, lock.ErrLost) {
		t.Errorf("Renew of an older grant = %v, want ErrLost", err)
	}
}

func restart(t *testing.T, p Open) {
	g := acquire(t, open(t, p, "a"), long)
	again := open(t, p, "a")
	held(t, again, "a")
	if _, err := again.Renew(t.Context(), g); !errors.Is(err, lock.ErrLost) {
		t.Errorf("another process renewed the grant: %v", err)
	}
}

func looking(t *testing.T, p Open) {
	a, b := open(t, p, "a"), open(t, p, "b")
	g := acquire(t, a, short)
	for time.Now().Before(g.Until.Add(2 * short)) {
		if s, err := b.Look(t.Context(), "x"); err != nil || s.Holder != "a" && s.Holder != "" {
			t.Fatalf("Look = %+v, %v", s, err)
		}
		time.Sleep(short / 10)
	}
	acquire(t, b, short) // the first time that it asks
}

func names(t *testing.T, p Open) {
	a, b := open(t, p, "a"), open(t, p, "b")
	acquire(t, a, long)
	for _, name := range []string{"X", "x ", "y", "ä", "x'; --", strings.Repeat("n", lock.NameBytesMax)} {
		if _, err := b.Acquire(t.Context(), name, long); err != nil {
			t.Errorf("Acquire(%q) = %v", name, err)
		}
	}
	if s, err := a.Look(t.Context(), "nobody asked for it"); err != nil || s != (lock.Status{Name: "nobody asked for it"}) {
		t.Errorf("Look = %+v, %v", s, err)
	}
}

func bad(t *testing.T, p Open) {
	a := open(t, p, "a")
	for name, term := range map[string]time.Duration{"": long, strings.Repeat("n", lock.NameBytesMax+1): long, "short": lock.TermMin - 1, "long": lock.TermMax + 1, "\x00": long, "\xff": long} {
		if _, err := a.Acquire(t.Context(), name, term); !errors.Is(err, lock.ErrInvalid) {
			t.Errorf("Acquire(%.10q, %v) = %v", name, term, err)
		}
	}
}

// exclusion lets holders work, stall beyond their term and go on: what they do
// while they believe in their grants never overlaps, and a guarded store that
// refuses older tokens never sees an older one that believed itself valid.
func exclusion(t *testing.T, p Open) {
	var mu sync.Mutex
	var spans []span
	var wg sync.WaitGroup
	began := time.Now()
	more := func() bool { // for a while, and for longer on a busy machine
		mu.Lock()
		defer mu.Unlock()
		took := time.Since(began)
		return took < 3*short || len(spans) < 4 && took < 20*time.Second
	}
	for i := range 4 {
		l := open(t, p, fmt.Sprint("holder", i))
		wg.Go(func() {
			for turn := 0; more(); turn++ {
				g, err := l.Acquire(t.Context(), "x", short/2)
				if err != nil {
					time.Sleep(2 * time.Millisecond)
					continue
				}
				from := time.Now()
				if turn%2 == 0 { // works, renews once, gives back
					time.Sleep(short / 10)
					if renewed, err := l.Renew(t.Context(), g); err == nil {
						g = renewed
					}
					mu.Lock()
					spans = append(spans, span{from, time.Now(), g.Token})
					mu.Unlock()
					if err := l.Release(t.Context(), g); err != nil {
						t.Error(err)
					}
					continue
				}
				mu.Lock() // dies: what it did counts up to the end of its grant
				spans = append(spans, span{from, g.Until, g.Token})
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	apart(t, spans)
}

// span is a time during which a holder believed in its grant.
type span struct {
	from, to time.Time
	token    uint64
}

// apart judges that no two believed at once, and that tokens tell the order.
func apart(t *testing.T, spans []span) {
	t.Helper()
	for i, a := range spans {
		for _, b := range spans[i+1:] {
			if a.from.Before(b.to) && b.from.Before(a.to) || a.token == b.token || a.from.Before(b.from) != (a.token < b.token) {
				t.Errorf("two worked at once, or in another order than their tokens: %v %v", a, b)
			}
		}
	}
	if len(spans) < 4 {
		t.Errorf("%d turns, want some", len(spans))
	}
}
