package mongodb_test

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kamado/kamado/internal/kv"
	"github.com/kamado/kamado/internal/kv/mongodb"
	"github.com/kamado/kamado/internal/kv/mongodbtest"
	"github.com/kamado/kamado/internal/telemetry"
)

// gate is a proxy before the server that can hold back what the server answers.
type gate struct {
	uri    string
	behind string

	mu   sync.Mutex
	open chan struct{} // closed: answers pass
}

func newGate(t *testing.T, server *mongodbtest.Server) *gate {
	t.Helper()
	if server.Real {
		t.Skip("a real cluster's members are not behind a proxy")
	}
	u, err := url.Parse(server.URI)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := &gate{behind: u.Host, open: make(chan struct{}), uri: "mongodb://" + l.Addr().String() + "/"}
	close(g.open)
	var all sync.WaitGroup
	ended := make(chan struct{})
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() { g.pass(c, ended) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		close(ended)
		all.Wait()
	})
	return g
}

func (g *gate) pass(client net.Conn, ended <-chan struct{}) {
	defer client.Close()
	server, err := net.Dial("tcp", g.behind)
	if err != nil {
		return
	}
	defer server.Close()
	var both sync.WaitGroup
	both.Go(func() {
		defer server.Close()
		b := make([]byte, 1<<16)
		for {
			n, err := client.Read(b)
			if err != nil {
				return
			}
			if _, err := server.Write(b[:n]); err != nil {
				return
			}
		}
	})
	both.Go(func() {
		defer client.Close()
		b := make([]byte, 1<<16)
		for {
			n, err := server.Read(b)
			if err != nil {
				return
			}
			g.mu.Lock()
			open := g.open
			g.mu.Unlock()
			select {
			case <-open:
			case <-ended:
				return
			}
			if _, err := client.Write(b[:n]); err != nil {
				return
			}
		}
	})
	done := make(chan struct{})
	go func() {
		both.Wait()
		close(done)
	}()
	select {
	case <-ended:
		client.Close()
		server.Close()
		<-done
	case <-done:
	}
}

func (g *gate) shut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.open = make(chan struct{})
}

func (g *gate) release() {
	g.mu.Lock()
	defer g.mu.Unlock()
	close(g.open)
}

// TestExhaustedPoolSaysSo: 64 callers on a pool of 2 before a server that answers nothing. Those
// without a slot are told quickly which bound it is, with a metric; when the server answers
// again, so does the store.
func TestExhaustedPoolSaysSo(t *testing.T) {
	t.Parallel()
	g := newGate(t, mongodbtest.Start(t))
	r := prometheus.NewPedanticRegistry()
	cfg := mongodb.Default()
	cfg.URI, cfg.Database = telemetry.Secret(g.uri), "kamado_test_pool"
	cfg.PoolMax, cfg.PoolQueue, cfg.PoolWait, cfg.Timeout = 2, 32, 100*time.Millisecond, 20*time.Second
	s := open(t, cfg, r)
	key := func(i int) kv.Key { return kv.Key{Group: "pool", Name: fmt.Sprint("n", i)} }
	if _, err := s.Put(t.Context(), key(0), []byte("before"), kv.Absent); err != nil {
		t.Fatal(err)
	}
	g.shut()
	const callers = 64
	var full, queue, served atomic.Int64
	var all, refusals sync.WaitGroup
	refusals.Add(callers - cfg.PoolMax)
	start := time.Now()
	for i := range callers {
		all.Go(func() {
			_, err := s.Put(t.Context(), key(i+1), []byte("x"), kv.Absent)
			var exhausted *kv.ExhaustedError
			switch {
			case err == nil:
				served.Add(1)
				return
			case !errors.As(err, &exhausted) || !errors.Is(err, kv.ErrExhausted):
				t.Errorf("Put = %v, want an ExhaustedError", err)
			case exhausted.Setting == "pool max" && exhausted.Limit == cfg.PoolMax && strings.Contains(err.Error(), "connections to mongodb"):
				full.Add(1)
			case exhausted.Setting == "pool queue" && exhausted.Limit == cfg.PoolQueue:
				queue.Add(1)
			default:
				t.Errorf("Put = %v with limit %d", err, exhausted.Limit)
			}
			refusals.Done()
		})
	}
	refusals.Wait()
	if took := time.Since(start); took > cfg.PoolWait+10*time.Second {
		t.Errorf("the last of those without a slot was told after %v, want about %v", took, cfg.PoolWait)
	}
	if got := value(t, r, "kamado_kv_mongodb_slots_in_use", ""); got != float64(cfg.PoolMax) {
		t.Errorf("slots_in_use = %v, want %d", got, cfg.PoolMax)
	}
	g.release()
	all.Wait()
	if served.Load() != int64(cfg.PoolMax) || full.Load() == 0 || queue.Load() == 0 {
		t.Errorf("%d were served, %d told of the pool and %d of its queue, want %d and some of both", served.Load(), full.Load(), queue.Load(), cfg.PoolMax)
	}
	for reason, want := range map[string]int64{"pool": full.Load(), "queue": queue.Load()} {
		if got := value(t, r, "kamado_kv_mongodb_refused_total", reason); got != float64(want) {
			t.Errorf("refused_total{reason=%q} = %v, want %d", reason, got, want)
		}
	}
	if e, err := s.Get(t.Context(), key(0)); err != nil || string(e.Value) != "before" {
		t.Errorf("Get after the server answers again = %q, %v", e.Value, err)
	}
	if got := value(t, r, "kamado_kv_mongodb_connections", ""); got > float64(cfg.PoolMax) || got == 0 {
		t.Errorf("connections = %v, want 1 to %d", got, cfg.PoolMax)
	}
	if got := value(t, r, "kamado_kv_mongodb_waiting", ""); got != 0 {
		t.Errorf("waiting = %v, want 0", got)
	}
}

// TestSilentServerIsDoubt: what was sent and not answered may be there, and is when one looks; what was not
// sent is not.
func TestSilentServerIsDoubt(t *testing.T) {
	t.Parallel()
	g := newGate(t, mongodbtest.Start(t))
	cfg := mongodb.Default()
	cfg.URI, cfg.Database, cfg.Timeout = telemetry.Secret(g.uri), "kamado_test_doubt", 300*time.Millisecond
	var s kv.Store
	for deadline := time.Now().Add(20 * time.Second); s == nil; { // a slow machine may need longer to open
		opened, err := mongodb.Open(t.Context(), cfg, mongodb.Deps{Log: quiet()})
		if err == nil {
			s = opened
		} else if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
	defer s.Close()
	k := kv.Key{Group: "doubt", Name: "n"}
	v, err := s.Put(t.Context(), k, []byte("1"), kv.Absent)
	if err != nil {
		t.Fatal(err)
	}
	g.shut()
	if _, err := s.Put(t.Context(), k, []byte("2"), v); !errors.Is(err, kv.ErrDoubt) {
		t.Errorf("Put whose answer is held back = %v, want ErrDoubt", err)
	}
	if _, err := s.Get(t.Context(), k); !errors.Is(err, kv.ErrAway) {
		t.Errorf("Get whose answer is held back = %v, want ErrAway", err)
	}
	g.release()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		e, err := s.Get(t.Context(), k)
		if err == nil {
			if string(e.Value) != "2" || e.Version <= v {
				t.Errorf("Get = %q version %d, want what was in doubt", e.Value, e.Version)
			}
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("Get long after the server answers again = %v", err)
		}
	}
	if _, err := s.Put(t.Context(), k, []byte("2"), v); !errors.Is(err, kv.ErrConflict) {
		t.Errorf("Put again on the same base = %v, want ErrConflict", err)
	}
}

// value is a metric's; of is the value of one of its labels, if any is wanted.
func value(t *testing.T, r *prometheus.Registry, name, of string) float64 {
	t.Helper()
	all, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range all {
		for _, m := range f.GetMetric() {
			fits := of == ""
			for _, l := range m.GetLabel() {
				fits = fits || l.GetValue() == of
			}
			if f.GetName() == name && fits {
				return m.GetGauge().GetValue() + m.GetCounter().GetValue()
			}
		}
	}
	t.Fatalf("no metric %s{%s}", name, of)
	return 0
}
