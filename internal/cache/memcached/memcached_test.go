package memcached_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kamado/kamado/internal/cache"
	"github.com/kamado/kamado/internal/cache/cachetest"
	"github.com/kamado/kamado/internal/cache/memcached"
	"github.com/kamado/kamado/internal/cache/memcachedtest"
)

func open(t testing.TB, cfg memcached.Config) *memcached.Engine {
	t.Helper()
	e, err := memcached.New(cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return e
}

// patient is for tests in which a slow machine must not look like a server that is away.
func patient(servers ...*memcachedtest.Server) memcached.Config {
	cfg := memcached.Default()
	for _, s := range servers {
		cfg.Servers = append(cfg.Servers, s.Addr)
	}
	cfg.Timeout, cfg.RetryAfter = 5*time.Second, 10*time.Millisecond
	return cfg
}

func TestEngine(t *testing.T) {
	t.Parallel()
	one, two := memcachedtest.Start(t), memcachedtest.Start(t)
	var users atomic.Int64
	for name, servers := range map[string][]*memcachedtest.Server{"one server": {one}, "two servers": {one, two}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cachetest.Run(t, func(t *testing.T) cache.Engine {
				cfg := patient(servers...)
				cfg.Prefix = fmt.Sprintf("user%d:", users.Add(1))
				return open(t, cfg)
			})
		})
	}
}

// TestStampsDoNotSurviveTheServer: a server that starts again counts from one again, so
// that the number of a lease of before is that of another one now.
func TestStampsDoNotSurviveTheServer(t *testing.T) {
	t.Parallel()
	server := memcachedtest.Start(t)
	slow, quick := open(t, patient(server)), open(t, patient(server))
	old, err := slow.Swap(t.Context(), 0, "k", nil, []byte("lease of the slow"), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	server.Restart()
	if _, err := eventually(t, func() (cache.Stamp, error) {
		return quick.Swap(t.Context(), 0, "k", nil, []byte("newest"), time.Minute)
	}); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if at, err := slow.Swap(t.Context(), 0, "k", old, []byte("old value"), time.Minute); err == nil {
			t.Fatalf("Swap by a stamp of before the restart gave %v, want an error", at)
		}
	}
	cell, err := eventually(t, func() (string, error) {
		cell, _, err := slow.Load(t.Context(), 0, "k")
		return string(cell), err
	})
	if cell != "newest" || err != nil {
		t.Errorf("Load = %q, %v, want %q", cell, err, "newest")
	}
}

// eventually tries while the server is away.
func eventually[T any](t *testing.T, fn func() (T, error)) (T, error) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		v, err := fn()
		if !errors.Is(err, cache.ErrAway) || time.Now().After(deadline) {
			return v, err
		}
	}
}

// TestStoppedServerCostsLittle: a server that stands still takes connections and requests. Each
// caller loses one Timeout at most, later ones nothing, and it is used again when it goes on.
func TestStoppedServerCostsLittle(t *testing.T) {
	t.Parallel()
	server := memcachedtest.Start(t)
	cfg := patient(server)
	cfg.Timeout, cfg.RetryAfter = 200*time.Millisecond, 2*time.Second
	e := open(t, cfg)
	if _, err := eventually(t, func() (cache.Stamp, error) {
		return e.Swap(t.Context(), 0, "k", nil, []byte("cell"), time.Minute)
	}); err != nil {
		t.Fatal(err)
	}
	server.Pause()
	start := time.Now()
	if _, _, err := e.Load(t.Context(), 0, "k"); !errors.Is(err, cache.ErrAway) {
		t.Fatalf("Load from a stopped server = %v, want ErrAway", err)
	}
	if took := time.Since(start); took > cfg.Timeout+20*time.Second {
		t.Errorf("it took %v, want about %v", took, cfg.Timeout)
	}
	start = time.Now()
	for range 1000 {
		if _, _, err := e.Load(t.Context(), 0, "k"); !errors.Is(err, cache.ErrAway) {
			t.Fatalf("Load from a server that rests = %v, want ErrAway", err)
		}
	}
	if took := time.Since(start); took > 20*time.Second { // each with its Timeout: 200 s
		t.Errorf("1000 requests to a server that rests took %v", took)
	}
	server.Resume()
	cell, err := eventually(t, func() (string, error) {
		cell, _, err := e.Load(t.Context(), 0, "k")
		return string(cell), err
	})
	if cell != "cell" || err != nil {
		t.Errorf("Load = %q, %v after it went on", cell, err)
	}
}

// TestInFlightIsBounded: with a stopped server, more requests than InFlightMax wait and fail, with
// the bound in the error and in the metric.
func TestInFlightIsBounded(t *testing.T) {
	t.Parallel()
	server := memcachedtest.Start(t)
	cfg := patient(server)
	cfg.Timeout, cfg.RetryAfter, cfg.InFlightMax, cfg.ConnectionsMax = 300*time.Millisecond, 10*time.Second, 2, 1
	r := prometheus.NewPedanticRegistry()
	e, err := memcached.New(cfg, r)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	if _, err := eventually(t, func() (bool, error) { return true, e.Probe(t.Context(), 0) }); err != nil {
		t.Fatal(err)
	}
	server.Pause()
	defer server.Resume()
	var all sync.WaitGroup
	var bounded, away atomic.Int64
	for range 16 {
		all.Go(func() {
			_, _, err := e.Load(t.Context(), 0, "k")
			if err == nil || !errors.Is(err, cache.ErrAway) {
				t.Errorf("Load from a stopped server = %v, want ErrAway", err)
			} else if strings.Contains(err.Error(), "in-flight max is 2") {
				bounded.Add(1)
			} else {
				away.Add(1)
			}
		})
	}
	all.Wait()
	if bounded.Load() == 0 || away.Load() == 0 {
		t.Errorf("%d callers were told of the bound, %d that it is away, want some of both", bounded.Load(), away.Load())
	}
	if got := counted(t, r, "kamado_cache_memcached_requests_total", "full"); got != float64(bounded.Load()) {
		t.Errorf("requests_total{result=full} = %v, want %d", got, bounded.Load())
	}
	if got := counted(t, r, "kamado_cache_memcached_in_flight", ""); got > 2 {
		t.Errorf("in_flight = %v, want at most 2", got)
	}
}

func counted(t *testing.T, r *prometheus.Registry, name, result string) float64 {
	t.Helper()
	all, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range all {
		for _, m := range f.GetMetric() {
			of := ""
			for _, l := range m.GetLabel() {
				if l.GetName() == "result" {
					of = l.GetValue()
				}
			}
			if f.GetName() == name && of == result {
				return m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	t.Fatalf("no metric %s{result=%q}", name, result)
	return 0
}

func TestNoServer(t *testing.T) {
	t.Parallel()
	server := memcachedtest.Start(t)
	e := open(t, patient(server))
	server.Kill()
	if _, _, err := e.Load(t.Context(), 0, "k"); !errors.Is(err, cache.ErrAway) {
		t.Errorf("Load = %v, want ErrAway", err)
	}
	if err := e.Close(); err != nil {
		t.Error(err)
	}
	if _, _, err := e.Load(t.Context(), 0, "k"); !errors.Is(err, cache.ErrAway) {
		t.Errorf("Load of a closed engine = %v, want ErrAway", err)
	}
}

func TestConfigIsChecked(t *testing.T) {
	t.Parallel()
	for want, change := range map[string]func(*memcached.Config){
		"0 servers":       func(c *memcached.Config) { c.Servers = nil },
		"want host:port":  func(c *memcached.Config) { c.Servers = []string{"host"} },
		"named twice":     func(c *memcached.Config) { c.Servers = append(c.Servers, c.Servers[0]) },
		"prefix":          func(c *memcached.Config) { c.Prefix = "a b" },
		"timeout":         func(c *memcached.Config) { c.Timeout = 0 },
		"retry after":     func(c *memcached.Config) { c.RetryAfter = time.Minute },
		"connections max": func(c *memcached.Config) { c.ConnectionsMax = 0 },
		"in-flight max":   func(c *memcached.Config) { c.InFlightMax = 0 },
		"cell bytes max":  func(c *memcached.Config) { c.CellBytesMax = 0 },
	} {
		cfg := memcached.Default()
		cfg.Servers = []string{"127.0.0.1:11211"}
		change(&cfg)
		if _, err := memcached.New(cfg, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("New = %v, want a complaint with %q", err, want)
		}
	}
}

// store is the model behind the cache: a version for each key.
type store struct {
	mu       sync.Mutex
	versions map[string]uint64
	acked    map[string]uint64
}

func (s *store) load(key string) cache.Value {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := s.versions[key]
	return cache.Value{Version: v, Bytes: fmt.Appendf(nil, "%s=%d", key, v), Absent: v == 0}
}

func (s *store) write(key string) cache.Value {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.versions[key]++
	return cache.Value{Version: s.versions[key], Bytes: fmt.Appendf(nil, "%s=%d", key, s.versions[key])}
}

func (s *store) ackedOf(key string) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.acked[key]
}

func (s *store) ack(key string, v uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.acked[key] = max(s.acked[key], v)
}

// TestFaultsUnderLoad has four processes' worth of readers and writers over two
// servers of little memory, which are killed, started again, stopped and let go on all the time. No read
// gives an older value than one that was acknowledged before it began, and in the end
// the cache is in use again.
func TestFaultsUnderLoad(t *testing.T) {
	t.Parallel()
	length := 6 * time.Second
	if os.Getenv("KAMADO_TEST_ALL") != "" {
		length = time.Minute
	}
	servers := []*memcachedtest.Server{memcachedtest.Start(t, "-m", "2"), memcachedtest.Start(t, "-m", "2")}
	cfg := cache.Config{
		ValueLife: 5 * time.Second, AbsentLife: time.Second, LeaseLife: time.Second, MarkLife: 5 * time.Second,
		Term: 400 * time.Millisecond, Rest: 800 * time.Millisecond, Patience: 200 * time.Millisecond, ValueBytesMax: 1000,
	}
	ctx, cancel := context.WithCancel(t.Context())
	board, model := cache.NewSole(), &store{versions: map[string]uint64{}, acked: map[string]uint64{}}
	var background, load sync.WaitGroup
	var reads, loads, writes, unsettled atomic.Int64
	var stop atomic.Bool
	var throughs []*cache.Through
	for process := range 4 {
		mc := patient(servers...)
		mc.Timeout, mc.RetryAfter = 100*time.Millisecond, 50*time.Millisecond
		th, err := cache.New(cfg, cache.Deps{Engine: open(t, mc), Board: board, Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
		if err != nil {
			t.Fatal(err)
		}
		throughs = append(throughs, th)
		background.Go(func() { _ = th.Run(ctx) })
		w := worker{t: t, through: th, model: model, reads: &reads, loads: &loads, writes: &writes, unsettled: &unsettled, stop: &stop}
		for i := range 3 {
			load.Go(func() { w.read(rand.New(rand.NewPCG(uint64(process), uint64(i)))) })
		}
		load.Go(func() { w.write(rand.New(rand.NewPCG(uint64(process), 99))) })
	}
	rng := rand.New(rand.NewPCG(7, 7))
	for deadline := time.Now().Add(length); time.Now().Before(deadline); {
		s := servers[rng.IntN(len(servers))]
		time.Sleep(time.Duration(200+rng.IntN(600)) * time.Millisecond) // the load goes on meanwhile
		switch rng.IntN(3) {
		case 0:
			s.Restart()
		default:
			s.Pause()
			time.Sleep(time.Duration(rng.IntN(700)) * time.Millisecond)
			s.Resume()
		}
	}
	stop.Store(true)
	load.Wait()
	t.Logf("%d reads, of which %d loaded, %d writes, %d unsettled", reads.Load(), loads.Load(), writes.Load(), unsettled.Load())
	if reads.Load() == loads.Load() || writes.Load() == 0 {
		t.Error("no copy was ever used, or nothing was written: the test shows nothing")
	}
	usedAgain(t, throughs[0])
	cancel()
	background.Wait()
}

// usedAgain waits until a second read of a key needs no load.
func usedAgain(t *testing.T, th *cache.Through) {
	t.Helper()
	for _, key := range []string{"k1", "k2", "k3", "k4"} {
		for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
			loaded := false
			if _, err := th.Read(t.Context(), key, func(context.Context) (cache.Value, error) {
				loaded = true
				return cache.Value{Version: 1 << 60, Bytes: []byte("x")}, nil
			}); err != nil {
				t.Fatal(err)
			}
			if !loaded {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("key %s is still loaded each time, long after the last fault", key)
			}
		}
	}
}

type worker struct {
	t                               *testing.T
	through                         *cache.Through
	model                           *store
	reads, loads, writes, unsettled *atomic.Int64
	stop                            *atomic.Bool
}

func key(rng *rand.Rand) string { return fmt.Sprintf("k%d", rng.IntN(40)) }

func (w worker) read(rng *rand.Rand) {
	for !w.stop.Load() {
		k := key(rng)
		acked := w.model.ackedOf(k)
		v, err := w.through.Read(w.t.Context(), k, func(context.Context) (cache.Value, error) {
			v := w.model.load(k)
			w.loads.Add(1)
			if rng.IntN(20) == 0 {
				time.Sleep(time.Duration(rng.IntN(50)) * time.Millisecond) // a slow store
			}
			return v, nil
		})
		w.reads.Add(1)
		if err != nil || v.Version < acked {
			w.t.Errorf("Read(%s) = version %d, %v, but %d was acknowledged before", k, v.Version, err, acked)
			return
		}
		if want := fmt.Sprintf("%s=%d", k, v.Version); !v.Absent && string(v.Bytes) != want {
			w.t.Errorf("Read(%s) = %q of version %d", k, v.Bytes, v.Version)
			return
		}
		time.Sleep(time.Duration(rng.IntN(2000)) * time.Microsecond) // the machine has other tests to run
	}
}

func (w worker) write(rng *rand.Rand) {
	for !w.stop.Load() {
		k := key(rng)
		v, err := w.through.Write(w.t.Context(), k, func(context.Context) (cache.Value, error) { return w.model.write(k), nil })
		switch {
		case err == nil:
			w.writes.Add(1)
			w.model.ack(k, v.Version)
		case errors.Is(err, cache.ErrUnsettled):
			w.unsettled.Add(1)
		case !errors.Is(err, cache.ErrAway):
			w.t.Errorf("Write(%s) = %v", k, err)
			return
		}
		time.Sleep(time.Duration(rng.IntN(20)) * time.Millisecond) // the machine has other tests to run
	}
}

func BenchmarkThrough(b *testing.B) {
	server := memcachedtest.Start(b)
	e := open(b, patient(server))
	b.Run("load", func(b *testing.B) {
		if _, err := e.Swap(b.Context(), 0, "k", nil, make([]byte, 200), time.Hour); err != nil {
			b.Fatal(err)
		}
		b.ReportAllocs()
		for b.Loop() {
			if _, _, err := e.Load(b.Context(), 0, "k"); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("load of 64", func(b *testing.B) {
		b.SetParallelism(32)
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if _, _, err := e.Load(b.Context(), 0, "k"); err != nil {
					b.Fatal(err)
				}
			}
		})
	})
}
