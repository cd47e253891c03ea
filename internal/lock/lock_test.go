package lock_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kamado/kamado/internal/lock"
	"github.com/kamado/kamado/internal/lock/locktest"
)

func TestMain(m *testing.M) { os.Exit(locktest.Main(m)) }

func TestMemory(t *testing.T) {
	locktest.Run(t, func(*testing.T) locktest.Open {
		m := &locktest.Memory{}
		return func(context.Context) (lock.Place, error) { return m, nil }
	})
}

func TestFence(t *testing.T) {
	var f lock.Fence
	for _, c := range []struct {
		token uint64
		want  lock.Fence
		stale bool
	}{{0, 0, false}, {1, 1, false}, {1, 1, false}, {5, 5, false}, {4, 5, true}, {0, 5, true}, {1<<64 - 1, 1<<64 - 1, false}, {1<<64 - 2, 1<<64 - 1, true}} {
		next, err := f.Admit(c.token)
		var which *lock.StaleError
		if next != c.want || errors.Is(err, lock.ErrStale) != c.stale || c.stale && (!errors.As(err, &which) || which.Token != c.token || which.Seen != uint64(f)) {
			t.Errorf("Fence(%d).Admit(%d) = %d, %v, want %d, stale %v", f, c.token, next, err, c.want, c.stale)
		}
		f = next
	}
}

func TestConfig(t *testing.T) {
	if err := lock.Default().Validate(); err != nil {
		t.Error(err)
	}
	err := lock.Config{PollMin: time.Second}.Validate()
	for _, name := range []string{"LocksMax", "WaitersMax", "WaitMax", "PollMin", "WatchesMax", "SightingsMax"} {
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("Validate = %v, want a complaint about %s", err, name)
		}
	}
	if _, err := lock.NewRegistry(&locktest.Memory{}, lock.Config{}, nil); err == nil {
		t.Error("a registry without bounds")
	}
}

func TestSecretIsNotLogged(t *testing.T) {
	var b bytes.Buffer
	slog.New(slog.NewJSONHandler(&b, nil)).Info("granted", "grant", lock.Held{Name: "x", Holder: "h", Token: 7, Session: "s3cret"})
	if got := b.String(); strings.Contains(got, "s3cret") || !strings.Contains(got, `"token":7`) {
		t.Error(got)
	}
}

func registry(t *testing.T, p lock.Place, m *lock.Metrics) *lock.Registry {
	t.Helper()
	r, err := lock.NewRegistry(p, lock.Default(), m)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestLostAnswers: what was done although its answer was lost is found to be done.
func TestLostAnswers(t *testing.T) {
	var lose atomic.Bool
	m := &locktest.Memory{After: func(op, _ string) error {
		if op == "swap" && lose.Swap(false) {
			return lock.ErrAway
		}
		return nil
	}}
	r, l := registry(t, m, nil), lock.NewLocker(m, "process", nil)
	lose.Store(true)
	h, err := r.Acquire(t.Context(), "x", "client", time.Hour)
	if err != nil || h.Token != 1 || lose.Load() {
		t.Fatalf("Acquire = %+v, %v, want its own first grant", h, err)
	}
	lose.Store(true)
	if again, err := r.Renew(t.Context(), "x", h.Token, h.Session); err != nil || again != h || lose.Load() {
		t.Errorf("Renew = %+v, %v", again, err)
	}
	lose.Store(true)
	if err := r.Release(t.Context(), "x", h.Token, h.Session); err != nil || lose.Load() {
		t.Errorf("Release = %v", err)
	}
	lose.Store(true)
	g, err := l.Acquire(t.Context(), "x", time.Hour)
	if err != nil || g.Token != 2 || lose.Load() {
		t.Fatalf("Acquire = %+v, %v", g, err)
	}
	lose.Store(true)
	if g, err = l.Renew(t.Context(), g); err != nil || lose.Load() {
		t.Errorf("Renew = %v", err)
	}
	lose.Store(true)
	if err := l.Release(t.Context(), g); err != nil || lose.Load() {
		t.Errorf("Release = %v", err)
	}
}

// TestGrantThatNobodyGot: a grant whose call failed blocks nobody who asks the same server.
func TestGrantThatNobodyGot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var away, dying atomic.Bool
		m := &locktest.Memory{
			Before: func(string, string) error {
				if away.Load() {
					return lock.ErrAway
				}
				return nil
			},
			After: func(op, _ string) error { // it goes away while it grants
				if op == "swap" && dying.Load() {
					away.Store(true)
					return lock.ErrAway
				}
				return nil
			},
		}
		a, b := registry(t, m, nil), registry(t, m, nil)
		h, err := a.Acquire(t.Context(), "x", "client", time.Second)
		if err != nil {
			t.Fatal(err)
		}
		if err := a.Release(t.Context(), "x", h.Token, h.Session); err != nil {
			t.Fatal(err)
		}
		dying.Store(true)
		if _, err := a.Acquire(t.Context(), "x", "client", time.Second); !errors.Is(err, lock.ErrAway) {
			t.Fatalf("Acquire = %v, want ErrAway", err)
		}
		dying.Store(false)
		away.Store(false)
		if _, err := b.Acquire(t.Context(), "x", "other", time.Second); !errors.Is(err, lock.ErrHeld) {
			t.Errorf("another server, which cannot know: %v, want ErrHeld", err)
		}
		if next, err := a.Acquire(t.Context(), "x", "client", time.Second); err != nil || next.Token <= h.Token+1 {
			t.Errorf("the same server: %+v, %v", next, err)
		}
	})
}

// TestLinesSpareTheEngine: of those who wait for one lock only one asks.
func TestLinesSpareTheEngine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int64
		m := &locktest.Memory{Before: func(string, string) error { asked.Add(1); return nil }}
		r := registry(t, m, nil)
		h, err := r.Acquire(t.Context(), "x", "client", time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		asked.Store(0)
		const wait, many = 30 * time.Second, 500
		var served atomic.Int64
		var wg sync.WaitGroup
		for i := range many {
			wg.Go(func() {
				got, err := r.AcquireWait(t.Context(), "x", fmt.Sprint(i), time.Hour, wait)
				if err != nil {
					t.Error(err)
					return
				}
				served.Add(1)
				if err := r.Release(t.Context(), "x", got.Token, got.Session); err != nil {
					t.Error(err)
				}
			})
		}
		time.Sleep(wait / 2)
		synctest.Wait()
		// From 20 ms to 500 ms, with a quarter more on average.
		if n := asked.Load(); n > 40 || n < 20 {
			t.Errorf("%d who wait asked the engine %d times in %v", many, n, wait/2)
		}
		if r.Waiters() != many {
			t.Errorf("%d wait", r.Waiters())
		}
		before := time.Now()
		if err := r.Release(t.Context(), "x", h.Token, h.Session); err != nil {
			t.Fatal(err)
		}
		wg.Wait()
		if served.Load() != many || time.Since(before) != 0 {
			t.Errorf("%d were served within %v of the release: want all at once, each by the one before it", served.Load(), time.Since(before))
		}
	})
}

// TestWaitersSeeTheDeadAtOnce: a dead holder's lock passes when its time is over, not at the next poll.
func TestWaitersSeeTheDeadAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &locktest.Memory{}
		if _, err := registry(t, m, nil).Acquire(t.Context(), "x", "dead", 10*time.Second); err != nil {
			t.Fatal(err)
		}
		before := time.Now()
		h, err := registry(t, m, nil).AcquireWait(t.Context(), "x", "alive", time.Second, time.Minute)
		if took := time.Since(before); err != nil || took < 11*time.Second || took > 11*time.Second+2*time.Millisecond || h.Waited != took {
			t.Errorf("AcquireWait = %+v, %v after %v, want it after 11s", h, err, took)
		}
	})
}

// TestRunLooksWhenSomebodyWasRefused and rests otherwise.
func TestRunLooksWhenSomebodyWasRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int64
		var away atomic.Bool
		m := &locktest.Memory{Before: func(string, string) error {
			asked.Add(1)
			if away.Load() {
				return lock.ErrAway
			}
			return nil
		}}
		a, b := registry(t, m, nil), registry(t, m, nil)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- b.Run(ctx) }()
		h, err := a.Acquire(t.Context(), "x", "client", 8*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		asked.Store(0)
		time.Sleep(time.Hour)
		if n := asked.Load(); n != 0 {
			t.Errorf("nobody was refused, and it looked %d times", n)
		}
		if _, err := b.Acquire(t.Context(), "x", "other", 8*time.Second); !errors.Is(err, lock.ErrHeld) {
			t.Fatal(err)
		}
		time.Sleep(4 * time.Second)
		if _, err := a.Renew(t.Context(), "x", h.Token, h.Session); err == nil {
			t.Error("Renew after an hour succeeded: the server that gave it knows better")
		}
		h, err = a.Acquire(t.Context(), "x", "client", 8*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.Acquire(t.Context(), "x", "other", 8*time.Second); !errors.Is(err, lock.ErrHeld) {
			t.Fatal(err)
		}
		time.Sleep(4 * time.Second)
		if _, err := a.Renew(t.Context(), "x", h.Token, h.Session); err != nil {
			t.Fatal(err)
		}
		away.Store(true) // for a while
		time.Sleep(1500 * time.Millisecond)
		away.Store(false)
		time.Sleep(9500 * time.Millisecond)
		if _, err := b.Acquire(t.Context(), "x", "other", 8*time.Second); err != nil {
			t.Errorf("b watched for longer than a term and a tenth: %v", err)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// TestRenewalDecidesTheEnd: while a renewal is under way, its outcome decides whether
// the process has the lock.
func TestRenewalDecidesTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := atomic.Bool{}
		m := &locktest.Memory{After: func(op, _ string) error {
			if op == "swap" && slow.Load() {
				time.Sleep(2 * time.Second)
			}
			return nil
		}}
		l := lock.NewLocker(m, "process", nil)
		g, err := l.Acquire(t.Context(), "x", time.Second)
		if err != nil {
			t.Fatal(err)
		}
		slow.Store(true)
		var wg sync.WaitGroup
		wg.Go(func() { l.Renew(t.Context(), g) }) //nolint:errcheck // it comes too late
		time.Sleep(1500 * time.Millisecond)       // the old grant is over
		if _, err := l.Acquire(t.Context(), "x", time.Second); !errors.Is(err, lock.ErrHeld) {
			t.Errorf("Acquire during the renewal = %v, want ErrHeld", err)
		}
		wg.Wait()
		slow.Store(false)
		if next, err := l.Acquire(t.Context(), "x", time.Second); err != nil || next.Token <= g.Token {
			t.Errorf("Acquire after it = %+v, %v", next, err)
		}
	})
}

func TestMetrics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		away := atomic.Bool{}
		m := &locktest.Memory{Before: func(string, string) error {
			if away.Load() {
				return lock.ErrAway
			}
			return nil
		}}
		reg := prometheus.NewRegistry()
		metrics, err := lock.NewMetrics(reg)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := lock.NewMetrics(reg); err == nil {
			t.Error("the same metrics twice")
		}
		if _, err := lock.NewMetrics(nil); err != nil {
			t.Error(err)
		}
		r := registry(t, m, metrics)
		h, err := r.Acquire(t.Context(), "x", "client", time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		r.Renew(t.Context(), "x", h.Token, h.Session)                          //nolint:errcheck // counted
		r.Renew(t.Context(), "x", h.Token, "no")                               //nolint:errcheck // counted
		r.Acquire(t.Context(), "x", "other", time.Hour)                        //nolint:errcheck // counted
		r.Acquire(t.Context(), "", "other", time.Hour)                         //nolint:errcheck // counted
		go r.AcquireWait(t.Context(), "x", "other", time.Hour, 10*time.Second) //nolint:errcheck // counted
		synctest.Wait()
		want := map[string]float64{"grants_total": 1, "renewals_total": 1, "losses_total": 1, "refusals_total/held": 1, "refusals_total/invalid": 1, "waiters": 1, "watches": 1, "sightings": 1}
		counts(t, reg, want)
		time.Sleep(11 * time.Second)
		away.Store(true)
		r.Look(t.Context(), "x") //nolint:errcheck // counted
		away.Store(false)
		r.Release(t.Context(), "x", h.Token, h.Session) //nolint:errcheck // counted
		want["refusals_total/held"], want["waiters"], want["sightings"], want["releases_total"], want["errors_total/look"] = 2, 0, 0, 1, 1
		counts(t, reg, want)
		// It is free: whoever watches forgets it.
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- r.Run(ctx) }()
		time.Sleep(time.Minute)
		want["watches"] = 0
		counts(t, reg, want)
		cancel()
		<-done
	})
}

// counts compares all metrics; "name/value" has a second label.
func counts(t *testing.T, reg *prometheus.Registry, want map[string]float64) {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			name := strings.TrimPrefix(f.GetName(), "kamado_lock_")
			for _, l := range m.GetLabel() {
				if l.GetName() != "engine" {
					name += "/" + l.GetValue()
				} else if l.GetValue() != "memory" {
					t.Errorf("%s of engine %s", name, l.GetValue())
				}
			}
			got[name] = m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("metrics are %v, want %v", got, want)
	}
}
