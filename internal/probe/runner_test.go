package probe_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kamado/kamado/internal/probe"
	"github.com/prometheus/client_golang/prometheus"
)

var errDown = errors.New("down")

// log collects updates.
type log struct {
	mu   sync.Mutex
	list []probe.Update
}

func (l *log) add(u probe.Update) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.list = append(l.list, u)
}

func (l *log) changes() (list []probe.Update) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, u := range l.list {
		if u.Changed {
			list = append(list, u)
		}
	}
	return list
}

// run runs a runner until the test's bubble ends it.
func run(t *testing.T, c probe.Check, cfg probe.RunnerConfig) *probe.Runner {
	t.Helper()
	r := probe.NewRunner(c, cfg)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("Run = %v", err)
		}
	})
	return r
}

func TestAttemptsKeepTheBeat(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		var starts []time.Duration
		spec := probe.Fake(func(ctx context.Context) (string, error) {
			starts = append(starts, time.Since(begin))
			switch len(starts) {
			case 2: // longer than an interval: the third start is left out
				time.Sleep(1500 * time.Millisecond)
			case 3: // hangs until its timeout
				<-ctx.Done()
				return "", ctx.Err()
			}
			return "fine", nil
		})
		var l log
		run(t, probe.Check{Spec: spec, Interval: time.Second, Timeout: 2500 * time.Millisecond}, probe.RunnerConfig{Delay: 100 * time.Millisecond, Report: l.add})
		time.Sleep(8 * time.Second)
		synctest.Wait()
		want := []time.Duration{100, 1100, 3100, 6100, 7100}
		for i := range want {
			want[i] *= time.Millisecond
		}
		if fmt.Sprint(starts) != fmt.Sprint(want) {
			t.Errorf("starts %v, want %v", starts, want)
		}
		if l.list[2].Text != "timeout" || l.list[2].Took != 2500*time.Millisecond {
			t.Errorf("the attempt that hung: %+v", l.list[2])
		}
	})
}

func TestFailureIsSeenInTime(t *testing.T) {
	t.Parallel()
	for _, threshold := range []int{1, 2, 5} {
		synctest.Test(t, func(t *testing.T) {
			var down atomic.Bool
			spec := probe.Fake(func(context.Context) (string, error) {
				if down.Load() {
					return "", errDown
				}
				return "", nil
			})
			var l log
			run(t, probe.Check{Spec: spec, Interval: time.Second, Timeout: time.Second, Limits: probe.Limits{Healthy: 1, Unhealthy: threshold}}, probe.RunnerConfig{Report: l.add})
			time.Sleep(10*time.Second + time.Millisecond) // just after an attempt: the worst moment
			down.Store(true)
			died := time.Now()
			time.Sleep(20 * time.Second)
			synctest.Wait()
			c := l.changes()
			if len(c) != 2 || c[1].State != probe.Unhealthy {
				t.Fatalf("changes %+v", c)
			}
			if took := c[1].Since.Sub(died); took > time.Duration(threshold)*time.Second {
				t.Errorf("seen after %v with a threshold of %d", took, threshold)
			}
		})
	}
}

func TestUndecidedIsNotReported(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		spec := probe.Fake(func(context.Context) (string, error) { return "", fmt.Errorf("%w: busy", probe.ErrUndecided) })
		var l log
		r := run(t, probe.Check{Spec: spec, Limits: probe.Limits{Initial: probe.Healthy}}, probe.RunnerConfig{Report: l.add})
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if v := r.Verdict(); len(l.list) != 0 || v.State != probe.Healthy || v.Text != "undecided: busy" || v.Results != 0 {
			t.Errorf("reported %v, verdict %+v", l.list, v)
		}
	})
}

func TestPanicIsAFailure(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		spec := probe.Fake(func(context.Context) (string, error) { panic("a bug") })
		r := run(t, probe.Check{Spec: spec}, probe.RunnerConfig{})
		time.Sleep(time.Second / 2)
		synctest.Wait()
		if v := r.Verdict(); v.State != probe.Unhealthy || v.Text != "panic: a bug" {
			t.Errorf("verdict %+v", v)
		}
	})
}

func TestHeartbeats(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		spec, err := probe.Parse("ttl:10s")
		if err != nil {
			t.Fatal(err)
		}
		var l log
		r := run(t, probe.Check{Spec: spec, Limits: probe.Limits{Healthy: 3, Unhealthy: 3}}, probe.RunnerConfig{Report: l.add})
		expect := func(state probe.State, text string) {
			t.Helper()
			synctest.Wait()
			if v := r.Verdict(); v.State != state || v.Text != text {
				t.Fatalf("%s %q, want %s %q", v.State, v.Text, state, text)
			}
		}
		time.Sleep(9 * time.Second)
		expect(probe.Unknown, "")
		if err := r.Beat("all well", nil); err != nil {
			t.Fatal(err)
		}
		expect(probe.Healthy, "all well")
		time.Sleep(9 * time.Second)
		r.Beat("still", nil) //nolint:errcheck // it took the first
		time.Sleep(9 * time.Second)
		expect(probe.Healthy, "still")
		time.Sleep(time.Second)
		expect(probe.Unhealthy, "no heartbeat for 10s")
		r.Beat("", nil) //nolint:errcheck // the same
		expect(probe.Healthy, "")
		r.Beat("", errDown) //nolint:errcheck // the same
		expect(probe.Unhealthy, "down")
		if len(l.changes()) != 4 {
			t.Errorf("changes %+v", l.changes())
		}
	})
	synctest.Test(t, func(t *testing.T) {
		spec, _ := probe.Parse("ttl:10s")
		r := probe.NewRunner(probe.Check{Spec: spec}, probe.RunnerConfig{})
		var err error
		n := 0
		for ; err == nil && n < 1000; n++ {
			err = r.Beat("", nil)
		}
		if !errors.Is(err, probe.ErrBusy) || n != 17 {
			t.Errorf("after %d heartbeats that nobody takes: %v", n, err)
		}
	})
	r := probe.NewRunner(probe.Check{Spec: probe.Fake(nil)}, probe.RunnerConfig{})
	if err := r.Beat("", nil); !errors.Is(err, probe.ErrNoHeartbeat) {
		t.Errorf("Beat of a polled check = %v", err)
	}
	if err := probe.NewRunner(probe.Check{}, probe.RunnerConfig{}).Run(t.Context()); err == nil {
		t.Error("a check without a spec runs")
	}
}

// runGroup runs a group until the test ends.
func runGroup[K comparable](t *testing.T, g *probe.Group[K]) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		g.Run(ctx) //nolint:errcheck // ends with ctx
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
}

func TestGroupAddsAndRemoves(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		got := map[string]int{}
		g := probe.NewGroup(probe.GroupConfig{ChecksMax: 3, Seed: 1}, func(key string, u probe.Update) {
			mu.Lock()
			defer mu.Unlock()
			got[key]++
		})
		take := func() map[string]int {
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			was := got
			got = map[string]int{}
			return was
		}
		fine := probe.Fake(func(context.Context) (string, error) { return "", nil })
		add := func(key string, interval time.Duration) {
			t.Helper()
			if err := g.Add(key, probe.Check{Spec: fine, Interval: interval}, time.Time{}); err != nil {
				t.Fatal(err)
			}
		}
		add("before", time.Second)
		runGroup(t, g)
		add("after", time.Second)
		add("slow", 10*time.Second)
		time.Sleep(9500 * time.Millisecond)
		if n := take(); n["before"] != 10 || n["after"] != 10 || n["slow"] != 1 {
			t.Errorf("attempts %v", n)
		}
		if err := g.Add("one more", probe.Check{Spec: fine}, time.Time{}); !errors.Is(err, probe.ErrChecks) {
			t.Errorf("a check over the bound: %v", err)
		}
		if err := g.Add("none", probe.Check{}, time.Time{}); err == nil {
			t.Error("a check without a spec was added")
		}
		g.Remove("before")
		g.Remove("never there")
		add("after", 2*time.Second) // in place of the other
		time.Sleep(10 * time.Second)
		if n := take(); n["before"] != 0 || n["after"] != 5 || g.Len() != 2 || g.Runner("before") != nil || g.Runner("after").Check().Interval != 2*time.Second {
			t.Errorf("attempts %v of %d checks", n, g.Len())
		}
	})
}

func TestGroupSpreadsAndBounds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const checks, bound, programs = 2000, 50, 5
		var now, most, nowPrograms, mostPrograms atomic.Int32
		begin := time.Now()
		var inTenth [10]atomic.Int32
		work := func(now, most *atomic.Int32) func(context.Context) (string, error) {
			return func(context.Context) (string, error) {
				if d := time.Since(begin); d < time.Second {
					inTenth[d/(time.Second/10)].Add(1)
				}
				for n := now.Add(1); ; {
					m := most.Load()
					if n <= m || most.CompareAndSwap(m, n) {
						break
					}
				}
				time.Sleep(20 * time.Millisecond)
				now.Add(-1)
				return "", nil
			}
		}
		g := probe.NewGroup[int](probe.GroupConfig{AttemptsMax: bound, ProgramsMax: programs, Seed: 7}, nil)
		for i := range checks {
			spec := probe.Fake(work(&now, &most))
			if i%100 == 0 {
				spec = probe.FakeProgram(work(&nowPrograms, &mostPrograms))
			}
			if err := g.Add(i, probe.Check{Spec: spec, Interval: time.Second}, time.Time{}); err != nil {
				t.Fatal(err)
			}
		}
		runGroup(t, g)
		time.Sleep(1200 * time.Millisecond)
		for i := range inTenth {
			if n := inTenth[i].Load(); n < checks/40 || n > checks*2/5 {
				t.Errorf("%d of %d attempts began in tenth %d of the first second", n, checks, i)
			}
		}
		if m, p := most.Load(), mostPrograms.Load(); m > bound || m < bound/2 || p > programs || p < 2 {
			t.Errorf("%d attempts and %d programs at once, bounds %d and %d", m, p, bound, programs)
		}
	})
}

func TestGroupWaitsForAPlace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := probe.NewGroup[int](probe.GroupConfig{AttemptsMax: 1, ProgramsMax: 1, Seed: 1}, nil)
		for i := range 3 {
			g.Add(i, probe.Check{Spec: probe.FakeProgram(func(ctx context.Context) (string, error) { time.Sleep(time.Second); return "", nil }), Interval: 10 * time.Second, Timeout: time.Minute}, time.Time{}) //nolint:errcheck // below the bound
		}
		reg := prometheus.NewRegistry()
		reg.MustRegister(g)
		runGroup(t, g)
		time.Sleep(3500 * time.Millisecond)
		synctest.Wait()
		got := gather(t, reg)
		for name, want := range map[string]float64{
			"kamado_probe_attempts_total exec passed": 3, "kamado_probe_busy": 0, "kamado_probe_programs": 0, "kamado_probe_checks": 3, "kamado_probe_waits_total": 2,
		} {
			if v, ok := got[name]; !ok || v != want {
				t.Errorf("%s = %v, want %v of %v", name, v, want, got)
			}
		}
	})
}

// gather gives counters and gauges by name and values of labels.
func gather(t *testing.T, reg *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, f := range families {
		for _, m := range f.Metric {
			name := f.GetName()
			for _, l := range m.Label {
				name += " " + l.GetValue()
			}
			got[name] = m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	return got
}
