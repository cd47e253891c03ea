package lock_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kamado/kamado/internal/lock"
	"github.com/kamado/kamado/internal/lock/locktest"
)

// simTerm is the term of all locks of the simulation.
const simTerm = time.Second

// far is a place behind a bad network: a request may take long to arrive, and its
// answer as long to come back; who waits for longer than patience is told that it is away, and
// the request is done nevertheless, perhaps much later.
type far struct {
	*locktest.Memory
	random *dice
	under  *sync.WaitGroup // requests under way
	broken bool            // the control: it swaps whatever version is there
}

// dice is a source of chance for many goroutines.
type dice struct {
	mu sync.Mutex
	r  *rand.Rand
}

func (d *dice) n(n int) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.r.IntN(n)
}

// delay is short most of the time, and at times longer than a term.
func (d *dice) delay() time.Duration {
	if d.n(8) == 0 {
		return time.Duration(d.n(2000)) * time.Millisecond
	}
	return time.Duration(d.n(20)) * time.Millisecond
}

const patience = 800 * time.Millisecond

// late runs f behind the network.
func late[T any](ctx context.Context, p far, f func(context.Context) (T, error)) (answer T, err error) {
	there, back := p.random.delay(), p.random.delay()
	type result struct {
		answer T
		err    error
	}
	done := make(chan result, 1)
	p.under.Go(func() {
		time.Sleep(there)
		a, err := f(context.WithoutCancel(ctx))
		time.Sleep(back)
		done <- result{a, err}
	})
	select {
	case r := <-done:
		return r.answer, r.err
	case <-time.After(patience):
		return answer, fmt.Errorf("%w: no answer", lock.ErrAway)
	case <-ctx.Done():
		return answer, ctx.Err()
	}
}

func (p far) Read(ctx context.Context, name string) (lock.Row, error) {
	return late(ctx, p, func(ctx context.Context) (lock.Row, error) { return p.Memory.Read(ctx, name) })
}

func (p far) Swap(ctx context.Context, name string, version int64, next lock.Lease) (lock.Row, error) {
	return late(ctx, p, func(ctx context.Context) (lock.Row, error) {
		if p.broken {
			row, err := p.Memory.Read(ctx, name)
			if err != nil {
				return row, err
			}
			version = row.Version
		}
		return p.Memory.Swap(ctx, name, version, next)
	})
}

// world is what all holders do, and the store that the lock guards.
type world struct {
	t      *testing.T
	random *dice

	mu       sync.Mutex
	until    map[int]time.Time // of those who believe that they have the lock
	fence    lock.Fence
	writes   int
	refused  int // late writes that the fence refused
	breaches []string
}

// believe is what a holder thinks from now on; the zero time: that it has nothing.
func (w *world) believe(who int, until time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.until[who] = until
}

// write is one write under a token. Whoever believes in its grant is alone, and never refused.
func (w *world) write(who int, token uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	valid := now.Before(w.until[who])
	fence, err := w.fence.Admit(token)
	w.fence = fence
	switch {
	case err == nil:
		w.writes++
	case valid:
		w.breaches = append(w.breaches, fmt.Sprintf("%d believes in its grant, and its write is refused: %v", who, err))
	default:
		w.refused++
	}
	for other, until := range w.until {
		if valid && other != who && now.Before(until) {
			w.breaches = append(w.breaches, fmt.Sprintf("%d writes under token %d while %d believes to have the lock for %v", who, token, other, until.Sub(now)))
		}
	}
}

// client is a holder elsewhere, which uses any of the servers.
func (w *world) client(who int, servers []*lock.Registry, end time.Time) {
	any := func() *lock.Registry {
		time.Sleep(w.random.delay()) // the way there
		return servers[w.random.n(len(servers))]
	}
	for time.Now().Before(end) {
		asked := time.Now()
		h, err := any().AcquireWait(w.t.Context(), "x", fmt.Sprint(who), simTerm, time.Duration(w.random.n(3000))*time.Millisecond)
		if err != nil {
			continue
		}
		time.Sleep(w.random.delay()) // the way back
		w.believe(who, asked.Add(h.Waited+h.Term))
		for w.random.n(8) != 0 {
			time.Sleep(w.random.delay()) // it stands still
			w.write(who, h.Token)
			asked = time.Now()
			_, err := any().Renew(w.t.Context(), "x", h.Token, h.Session)
			if errors.Is(err, lock.ErrLost) {
				w.believe(who, time.Time{})
				w.write(who, h.Token) // though it knows better
				break
			}
			if err == nil {
				w.believe(who, asked.Add(h.Term))
			}
		}
		w.believe(who, time.Time{})
		if w.random.n(2) == 0 { // else it dies, and comes back as another one
			any().Release(w.t.Context(), "x", h.Token, h.Session) //nolint:errcheck // it ends by itself
		}
	}
}

// process is a holder that uses the place itself.
func (w *world) process(who int, l *lock.Locker, end time.Time) {
	for time.Now().Before(end) {
		time.Sleep(w.random.delay())
		g, err := l.Acquire(w.t.Context(), "x", simTerm)
		if err != nil {
			continue
		}
		w.believe(who, g.Until)
		for w.random.n(8) != 0 {
			time.Sleep(w.random.delay())
			w.write(who, g.Token)
			renewed, err := l.Renew(w.t.Context(), g)
			if errors.Is(err, lock.ErrLost) {
				break
			}
			if err == nil {
				g = renewed
				w.believe(who, g.Until)
			}
		}
		w.believe(who, time.Time{})
		if w.random.n(2) == 0 {
			l.Release(w.t.Context(), g) //nolint:errcheck // it ends by itself
		}
	}
}

// simulate lets six holders fight for a lock for some minutes of virtual time.
func simulate(t *testing.T, seed uint64, broken bool) *world {
	w := &world{t: t, random: &dice{r: rand.New(rand.NewPCG(seed, 1))}, until: map[int]time.Time{}}
	synctest.Test(t, func(t *testing.T) {
		w.t = t
		memory := &locktest.Memory{}
		var running, holders, under sync.WaitGroup
		place := func() lock.Place { return far{memory, w.random, &under, broken} }
		ctx, cancel := context.WithCancel(t.Context())
		var servers []*lock.Registry
		for range 3 {
			r, err := lock.NewRegistry(place(), lock.Default(), nil)
			if err != nil {
				t.Fatal(err)
			}
			running.Go(func() { r.Run(ctx) }) //nolint:errcheck // it gives none
			servers = append(servers, r)
		}
		end := time.Now().Add(3 * time.Minute)
		for who := range 4 {
			holders.Go(func() { w.client(who, servers, end) })
		}
		for who := range 2 {
			l := lock.NewLocker(place(), fmt.Sprint("process", who), nil)
			holders.Go(func() { w.process(10+who, l, end) })
		}
		holders.Wait()
		cancel()
		running.Wait()
		under.Wait()
	})
	return w
}

func TestNoTwoBelieve(t *testing.T) {
	writes, refused, seeds := 0, 0, uint64(12)
	if os.Getenv("KAMADO_TEST_ALL") != "" {
		seeds = 400
	}
	for seed := range seeds {
		w := simulate(t, seed, false)
		for _, b := range w.breaches {
			t.Errorf("seed %d: %s", seed, b)
		}
		writes, refused = writes+w.writes, refused+w.refused
	}
	if writes < 2000 || refused < 10 {
		t.Errorf("%d writes and %d late ones that were refused: too few to prove anything", writes, refused)
	}
	t.Logf("%d writes, %d late ones refused", writes, refused)
}

// TestBreachIsSeen is the control: without compare-and-set the simulation finds breaches.
func TestBreachIsSeen(t *testing.T) {
	for seed := range uint64(20) {
		if len(simulate(t, seed, true).breaches) > 0 {
			return
		}
	}
	t.Error("a place without compare-and-set keeps all promises: the simulation proves nothing")
}
