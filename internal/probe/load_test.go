package probe_test

import (
	"fmt"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/kamado/kamado/internal/probe"
)

// cpu is the processor time of this process.
func cpu(t testing.TB) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// TestManyChecksCostLittle runs many checks, and sees all of their deaths within
// interval x threshold + 200 ms. The long form is the figure: a thousand at a
// second. The short one is lighter, because its machine does other things too.
func TestManyChecksCostLittle(t *testing.T) {
	const threshold = 2
	checks, interval, timeout := 200, 250*time.Millisecond, 10*time.Second
	if os.Getenv("KAMADO_TEST_ALL") != "" {
		checks, interval, timeout = 1000, probe.IntervalDefault, probe.TimeoutDefault
	}
	l, err := net.Listen("tcp", closedPort(t)) // its port stays closed after its death
	if err != nil {
		t.Fatal(err)
	}
	go func() { // ends with the listener
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.Close() //nolint:errcheck // it was accepted: alive
		}
	}()
	spec, err := probe.Parse("tcp:" + l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	state := map[int]probe.State{}
	var last time.Time
	g := probe.NewGroup(probe.GroupConfig{}, func(key int, u probe.Update) {
		if u.Changed {
			mu.Lock()
			defer mu.Unlock()
			state[key], last = u.State, time.Now()
		}
	})
	for i := range checks {
		if err := g.Add(i, probe.Check{Spec: spec, Interval: interval, Timeout: timeout, Limits: probe.Limits{Healthy: 1, Unhealthy: threshold}}, time.Time{}); err != nil {
			t.Fatal(err)
		}
	}
	runGroup(t, g)
	all := func(want probe.State) {
		t.Helper()
		for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) { // a condition is polled
			mu.Lock()
			n := 0
			for _, s := range state {
				if s == want {
					n++
				}
			}
			mu.Unlock()
			if n == checks {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("%d of %d are %v", n, checks, want)
			}
		}
	}
	all(probe.Healthy)
	before, begin := cpu(t), time.Now()
	time.Sleep(4 * interval) // what is measured
	used, wall := cpu(t)-before, time.Since(begin)
	perAttempt := used / time.Duration(checks*int(wall/interval))
	t.Logf("%d checks at %v: %.1f %% of a processor, %v an attempt, the listener's part included", checks, interval, 100*used.Seconds()/wall.Seconds(), perAttempt)
	if perAttempt > 500*time.Microsecond*slack {
		t.Errorf("an attempt costs %v", perAttempt)
	}
	died := time.Now()
	l.Close() //nolint:errcheck // the death of all
	all(probe.Unhealthy)
	took := last.Sub(died)
	t.Logf("the last death was seen after %v", took)
	if bound := threshold*interval + 200*time.Millisecond*slack; took > bound {
		t.Errorf("the last death was seen after %v, want at most %v", took, bound)
	}
}

func BenchmarkAttempt(b *testing.B) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	go func() { // ends with the listener
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			fmt.Fprint(c, "220 ready\r\n") //nolint:errcheck // the client may be gone
			c.Close()                      //nolint:errcheck // it was accepted
		}
	}()
	spec, err := probe.Parse("tcp:" + l.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := spec.Attempt(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}
