package cache_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kamado/kamado/internal/cache"
	"github.com/kamado/kamado/internal/cache/memory"
	"github.com/kamado/kamado/internal/kv"
	"github.com/kamado/kamado/internal/kv/pebble"
)

// fixture is a Through over memory whose engine and board can be away.
type fixture struct {
	*cache.Through
	engine   *fragile
	board    *fragileBoard
	registry *prometheus.Registry
	loads    int
	// there is what the store has.
	there cache.Value
}

// fragile is an engine that is away when a test says so.
type fragile struct {
	cache.Engine
	mu   sync.Mutex
	away bool
	// swapping is called once, before the next Swap; what it returns is the Swap's error, though it is done.
	swapping func() error
}

func (f *fragile) hook() func() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	fn := f.swapping
	f.swapping = nil
	return fn
}

func (f *fragile) set(away bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.away = away
}

func (f *fragile) err() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.away {
		return cache.ErrAway
	}
	return nil
}

func (f *fragile) Load(ctx context.Context, part int, key string) ([]byte, cache.Stamp, error) {
	if err := f.err(); err != nil {
		return nil, nil, err
	}
	return f.Engine.Load(ctx, part, key)
}

func (f *fragile) Swap(ctx context.Context, part int, key string, at cache.Stamp, cell []byte, life time.Duration) (cache.Stamp, error) {
	if err := f.err(); err != nil {
		return nil, err
	}
	var lost error
	if fn := f.hook(); fn != nil {
		lost = fn()
	}
	put, err := f.Engine.Swap(ctx, part, key, at, cell, life)
	if lost != nil {
		return nil, lost
	}
	return put, err
}

func (f *fragile) Remove(ctx context.Context, part int, key string, at cache.Stamp) error {
	if err := f.err(); err != nil {
		return err
	}
	return f.Engine.Remove(ctx, part, key, at)
}

func (f *fragile) Probe(context.Context, int) error { return f.err() }

// fragileBoard is a board that is away when a test says so.
type fragileBoard struct {
	cache.Board
	fragile
}

func (f *fragileBoard) Read(ctx context.Context, part string) (cache.Notice, error) {
	if err := f.err(); err != nil {
		return cache.Notice{}, err
	}
	return f.Board.Read(ctx, part)
}

func (f *fragileBoard) Replace(ctx context.Context, part string, old, next cache.Notice) error {
	if err := f.err(); err != nil {
		return err
	}
	return f.Board.Replace(ctx, part, old, next)
}

// quick has times for tests that wait for real.
func quick() cache.Config {
	cfg := cache.Default()
	cfg.Term, cfg.Rest, cfg.Patience = 200*time.Millisecond, 400*time.Millisecond, 10*time.Millisecond
	return cfg
}

func newFixture(t *testing.T, cfg cache.Config) *fixture {
	t.Helper()
	m, err := memory.New(memory.Default(), nil)
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{engine: &fragile{Engine: m}, board: &fragileBoard{Board: cache.NewSole()}, registry: prometheus.NewPedanticRegistry()}
	f.Through, err = cache.New(cfg, cache.Deps{Engine: f.engine, Board: f.board, Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Registry: f.registry})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// run keeps the board fresh until the end of the test.
func (f *fixture) run(t *testing.T) *fixture {
	t.Helper()
	if err := f.Tend(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- f.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run = %v", err)
		}
	})
	return f
}

func (f *fixture) load(context.Context) (cache.Value, error) {
	f.loads++
	return f.there, nil
}

// wants reads, and says whether the value came with a load.
func (f *fixture) wants(t *testing.T, key, value string, loads int) {
	t.Helper()
	before := f.loads
	v, err := f.Read(t.Context(), key, f.load)
	if err != nil || string(v.Bytes) != value || f.loads-before != loads {
		t.Errorf("Read(%q) = %q, %v with %d loads, want %q with %d", key, v.Bytes, err, f.loads-before, value, loads)
	}
}

func (f *fixture) write(t *testing.T, key, value string, version uint64) {
	t.Helper()
	_, err := f.Write(t.Context(), key, func(context.Context) (cache.Value, error) {
		f.there = cache.Value{Version: version, Bytes: []byte(value)}
		return f.there, nil
	})
	if err != nil {
		t.Errorf("Write(%q) = %v", key, err)
	}
}

func (f *fixture) count(t *testing.T, name, result string) (n float64) {
	t.Helper()
	all, err := f.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range all {
		for _, m := range family.GetMetric() {
			if family.GetName() == name && m.GetLabel()[0].GetValue() == result {
				n += m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return n
}

func TestReadsAreServedFromCopies(t *testing.T) {
	t.Parallel()
	f := newFixture(t, cache.Default())
	f.there = cache.Value{Version: 1, Bytes: []byte("one")}
	f.wants(t, "k", "one", 1) // the board was not looked at: nothing is cached
	f.wants(t, "k", "one", 1)
	f.run(t)
	f.wants(t, "k", "one", 1)
	f.wants(t, "k", "one", 0)
	f.write(t, "k", "two", 2)
	f.wants(t, "k", "two", 0) // the writer put it
	if _, err := f.Write(t.Context(), "k", func(context.Context) (cache.Value, error) {
		f.there = cache.Value{Version: 3, Bytes: []byte("three")}
		return cache.Value{Version: 3}, nil // says nothing of the bytes
	}); err != nil {
		t.Error(err)
	}
	f.wants(t, "k", "three", 1)
	f.wants(t, "k", "three", 0)
	for result, want := range map[string]float64{"hit": 3, "miss": 2, "off": 2} {
		if got := f.count(t, "kamado_cache_reads_total", result); got != want {
			t.Errorf("reads_total{result=%q} = %v, want %v", result, got, want)
		}
	}
	if got := f.count(t, "kamado_cache_writes_total", "settled"); got != 2 {
		t.Errorf("writes_total{result=settled} = %v, want 2", got)
	}
	if got := f.count(t, "kamado_cache_on", "memory"); got != 1 {
		t.Errorf("on{part=memory} = %v, want 1", got)
	}
}

func TestAbsenceIsKeptUntilSomebodyWrites(t *testing.T) {
	t.Parallel()
	f := newFixture(t, cache.Default()).run(t)
	f.there = cache.Value{Absent: true}
	f.wants(t, "k", "", 1)
	f.wants(t, "k", "", 0)
	f.write(t, "k", "one", 1)
	f.wants(t, "k", "one", 0)
	if _, err := f.Write(t.Context(), "k", func(context.Context) (cache.Value, error) { // a delete
		f.there = cache.Value{Absent: true}
		return f.there, nil
	}); err != nil {
		t.Error(err)
	}
	f.wants(t, "k", "", 1)
	f.wants(t, "k", "", 0)

	none := cache.Default()
	none.AbsentLife = 0
	f = newFixture(t, none).run(t)
	f.there = cache.Value{Absent: true}
	f.wants(t, "k", "", 1)
	f.wants(t, "k", "", 1)
}

func TestLargeValuesAndLongKeysAreLoaded(t *testing.T) {
	t.Parallel()
	cfg := cache.Default()
	cfg.ValueBytesMax = 10
	f := newFixture(t, cfg).run(t)
	f.write(t, "k", "short", 1)
	f.wants(t, "k", "short", 0)
	f.write(t, "k", "longer than that", 2)
	f.wants(t, "k", "longer than that", 1)
	f.wants(t, "k", "longer than that", 1)
	long := strings.Repeat("k", cache.KeyBytesMax)
	f.write(t, long, "x", 3)
	f.wants(t, long, "x", 1)
	f.wants(t, long, "x", 1)
}

func TestFailedLoadLeavesNoLease(t *testing.T) {
	t.Parallel()
	f := newFixture(t, cache.Default()).run(t)
	broken := errors.New("broken")
	if _, err := f.Read(t.Context(), "k", func(context.Context) (cache.Value, error) { return cache.Value{}, broken }); !errors.Is(err, broken) {
		t.Errorf("Read = %v, want the error of load", err)
	}
	f.there = cache.Value{Version: 1, Bytes: []byte("one")}
	f.wants(t, "k", "one", 1)
	f.wants(t, "k", "one", 0)
}

// TestFillOfASlowReaderIsRefused: the reader loaded before the write, and comes back after it.
func TestFillOfASlowReaderIsRefused(t *testing.T) {
	t.Parallel()
	f := newFixture(t, cache.Default()).run(t)
	f.there = cache.Value{Version: 1, Bytes: []byte("old")}
	v, err := f.Read(t.Context(), "k", func(context.Context) (cache.Value, error) {
		old := f.there
		f.write(t, "k", "new", 2)
		return old, nil
	})
	if err != nil || string(v.Bytes) != "old" {
		t.Errorf("the slow reader got %q, %v", v.Bytes, err)
	}
	f.wants(t, "k", "new", 0)
	if got := f.count(t, "kamado_cache_fills_total", "refused"); got != 1 {
		t.Errorf("fills_total{result=refused} = %v, want 1", got)
	}
}

// TestWritersWhoMeet: of two writers at a time neither puts its value, and readers load meanwhile.
func TestWritersWhoMeet(t *testing.T) {
	t.Parallel()
	f := newFixture(t, cache.Default()).run(t)
	if _, err := f.Write(t.Context(), "k", func(context.Context) (cache.Value, error) {
		f.write(t, "k", "inner", 1)
		f.wants(t, "k", "inner", 1)
		f.there = cache.Value{Version: 2, Bytes: []byte("outer")}
		return f.there, nil
	}); err != nil {
		t.Error(err)
	}
	f.wants(t, "k", "outer", 1)
	f.wants(t, "k", "outer", 0)
}

// TestLostAnswerEndsNobodyElsesMark: the answer to the end of one of two writers is lost, and it tries again.
func TestLostAnswerEndsNobodyElsesMark(t *testing.T) {
	t.Parallel()
	f := newFixture(t, cache.Default()).run(t)
	if _, err := f.Write(t.Context(), "k", func(context.Context) (cache.Value, error) {
		if _, err := f.Write(t.Context(), "k", func(context.Context) (cache.Value, error) {
			f.engine.mu.Lock()
			defer f.engine.mu.Unlock()
			f.engine.swapping = func() error { return cache.ErrAway }
			return cache.Value{Version: 1, Bytes: []byte("inner")}, nil
		}); err != nil {
			t.Error(err)
		}
		f.there = cache.Value{Version: 1, Bytes: []byte("inner")}
		f.wants(t, "k", "inner", 1)
		f.wants(t, "k", "inner", 1) // the outer one is not done: nobody fills
		f.there = cache.Value{Version: 2, Bytes: []byte("outer")}
		return f.there, nil
	}); err != nil {
		t.Error(err)
	}
	f.wants(t, "k", "outer", 1)
}

// TestSettlesWhereReadersAre: while a writer settles, the part was off and is on again, and somebody filled
// what he had loaded before the write.
func TestSettlesWhereReadersAre(t *testing.T) {
	t.Parallel()
	f := newFixture(t, cache.Default())
	if err := f.Tend(t.Context()); err != nil {
		t.Fatal(err)
	}
	old := cache.Value{Version: 1, Bytes: []byte("old")}
	turn := func() error {
		n, err := f.board.Read(t.Context(), "memory")
		if err != nil {
			return err
		}
		if err := f.board.Replace(t.Context(), "memory", n, cache.Notice{Position: n.Position + 4, Owner: n.Owner}); err != nil {
			t.Error(err)
		}
		if err := f.Tend(t.Context()); err != nil {
			t.Error(err)
		}
		if _, err := f.Read(t.Context(), "k", func(context.Context) (cache.Value, error) { return old, nil }); err != nil {
			t.Error(err)
		}
		return nil
	}
	if _, err := f.Write(t.Context(), "k", func(context.Context) (cache.Value, error) {
		f.engine.mu.Lock()
		defer f.engine.mu.Unlock()
		f.engine.swapping = turn
		f.there = cache.Value{Version: 2, Bytes: []byte("new")}
		return f.there, nil
	}); err != nil {
		t.Error(err)
	}
	f.wants(t, "k", "new", 1)
}

// TestErrorsOfAStore: after one that says that nothing was written copies go on; in doubt
// everybody loads.
func TestErrorsOfAStore(t *testing.T) {
	t.Parallel()
	plain := errors.New("refused by a rule")
	for _, c := range []struct {
		err    error
		doubt  bool
		result string
	}{
		{kv.ErrConflict, false, "failed"},
		{&kv.ExhaustedError{What: "x"}, false, "failed"},
		{cache.Unwritten(plain), false, "failed"},
		{kv.ErrDoubt, true, "doubt"},
		{errors.Join(kv.ErrAway, kv.ErrDoubt), true, "doubt"},
		{plain, true, "doubt"},
		{context.DeadlineExceeded, true, "doubt"},
	} {
		f := newFixture(t, cache.Default()).run(t)
		f.write(t, "k", "one", 1)
		if _, err := f.Write(t.Context(), "k", func(context.Context) (cache.Value, error) { return cache.Value{}, c.err }); !errors.Is(err, c.err) {
			t.Errorf("Write = %v, want %v", err, c.err)
		}
		f.wants(t, "k", "one", 1)
		again := 0
		if c.doubt {
			again = 1
		}
		f.wants(t, "k", "one", again)
		if got := f.count(t, "kamado_cache_writes_total", c.result); got != 1 {
			t.Errorf("%v: writes_total{result=%q} = %v, want 1", c.err, c.result, got)
		}
	}
	if !errors.Is(cache.Unwritten(plain), plain) || cache.Unwritten(nil) != nil {
		t.Error("Unwritten hides its error")
	}
}

// TestAwayIsTurnedOffAndOnAgain: the engine goes away and comes back with an old value.
func TestAwayIsTurnedOffAndOnAgain(t *testing.T) {
	t.Parallel()
	f := newFixture(t, quick()).run(t)
	f.write(t, "k", "old", 1)
	f.wants(t, "k", "old", 0)
	f.engine.set(true)
	f.wants(t, "k", "old", 1)
	start := time.Now()
	f.write(t, "k", "new", 2)
	if took := time.Since(start); took < quick().Term {
		t.Errorf("the first write took %v, less than others may trust their notice", took)
	}
	f.engine.set(false) // it still has the old value
	f.wants(t, "k", "new", 1)
	start = time.Now()
	f.write(t, "k2", "x", 1) // the part is off: nothing to wait for
	f.there = cache.Value{Version: 2, Bytes: []byte("new")}
	for {
		before := f.loads
		v, err := f.Read(t.Context(), "k", f.load)
		if err != nil || string(v.Bytes) != "new" {
			t.Fatalf("Read = %q, %v", v.Bytes, err)
		}
		if f.loads == before {
			break
		}
		if time.Since(start) > 20*time.Second {
			t.Fatal("the part is not turned on again")
		}
		time.Sleep(5 * time.Millisecond) // between two looks at what Run does
	}
	if got := f.count(t, "kamado_cache_offs_total", "memory"); got != 1 {
		t.Errorf("offs_total = %v, want 1", got)
	}
	if got := f.count(t, "kamado_cache_writes_total", "unmarked"); got < 1 {
		t.Errorf("writes_total{result=unmarked} = %v, want some", got)
	}
}

// TestNobodyToTell: the engine and the board go away during the write. It is written, and the error says so.
func TestNobodyToTell(t *testing.T) {
	t.Parallel()
	f := newFixture(t, quick())
	if err := f.Tend(t.Context()); err != nil {
		t.Fatal(err)
	}
	v, err := f.Write(t.Context(), "k", func(context.Context) (cache.Value, error) {
		f.engine.set(true)
		f.board.set(true)
		return cache.Value{Version: 7, Bytes: []byte("x")}, nil
	})
	var unsettled *cache.UnsettledError
	if !errors.As(err, &unsettled) || !errors.Is(err, cache.ErrUnsettled) || unsettled.Version != 7 || v.Version != 7 {
		t.Errorf("Write = %v, %v, want an UnsettledError of version 7", v, err)
	}
	called := false
	if _, err := f.Write(t.Context(), "k", func(context.Context) (cache.Value, error) {
		called = true
		return cache.Value{}, nil
	}); !errors.Is(err, cache.ErrAway) || called {
		t.Errorf("Write with engine and board away = %v (the store was called: %v), want ErrAway before it", err, called)
	}
	if got := f.count(t, "kamado_cache_writes_total", "unsettled"); got != 1 {
		t.Errorf("writes_total{result=unsettled} = %v, want 1", got)
	}
}

func TestConfigIsChecked(t *testing.T) {
	t.Parallel()
	if err := cache.Default().Validate(); err != nil {
		t.Errorf("Default: %v", err)
	}
	err := cache.Config{Rest: time.Nanosecond, AbsentLife: 1}.Validate()
	for _, want := range []string{"value life", "absent life", "lease life", "mark life", "term", "rest", "value bytes max"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Validate = %v, want a complaint about %s", err, want)
		}
	}
}

// staleStore is a store that says that its reads may be old.
type staleStore struct{ kv.Store }

func (staleStore) Staleness() string { return "in tests" }

func TestBoardInAStore(t *testing.T) {
	t.Parallel()
	for name, wrap := range map[string]func(kv.Store) kv.Store{
		"sure reads":  func(s kv.Store) kv.Store { return s },
		"stale reads": func(s kv.Store) kv.Store { return staleStore{s} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, err := pebble.Open(filepath.Join(t.TempDir(), "kv"), pebble.Default())
			if err != nil {
				t.Fatal(err)
			}
			defer p.Close()
			boards := []cache.Board{cache.NewBoard(wrap(p), "cache"), cache.NewBoard(wrap(p), "cache")}
			tryBoard(t, boards)
		})
	}
	b := cache.NewSole()
	tryBoard(t, []cache.Board{b, b})
}

// tryBoard has 8 callers step on; each step is taken by one.
func tryBoard(t *testing.T, boards []cache.Board) {
	t.Helper()
	const part, steps, callers = "memcached 10.0.0.1:11211", 25, 8
	if n, err := boards[0].Read(t.Context(), part); err != nil || n != (cache.Notice{}) {
		t.Fatalf("Read of a new board = %v, %v, want the zero notice", n, err)
	}
	var mu sync.Mutex
	taken := map[uint64]int{}
	var all sync.WaitGroup
	for c := range callers {
		board := boards[c%len(boards)]
		all.Go(func() {
			for {
				n, err := board.Read(t.Context(), part)
				if errors.Is(err, kv.ErrConflict) {
					continue // the readers of a stale store get in each other's way
				}
				if err != nil {
					t.Errorf("Read = %v", err)
					return
				}
				if n.Position >= steps {
					return
				}
				if board.Replace(t.Context(), part, n, cache.Notice{Position: n.Position + 1, Owner: "me"}) == nil {
					mu.Lock()
					taken[n.Position]++
					mu.Unlock()
				}
			}
		})
	}
	all.Wait()
	for p := range uint64(steps) {
		if taken[p] != 1 {
			t.Errorf("the step from %d was taken %d times, want once", p, taken[p])
		}
	}
	if n, err := boards[0].Read(t.Context(), "another part"); err != nil || n != (cache.Notice{}) {
		t.Errorf("the notice of another part = %v, %v", n, err)
	}
}

func BenchmarkRead(b *testing.B) {
	m, err := memory.New(memory.Default(), nil)
	if err != nil {
		b.Fatal(err)
	}
	th, err := cache.New(cache.Default(), cache.Deps{Engine: m, Board: cache.NewSole(), Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err != nil {
		b.Fatal(err)
	}
	if err := th.Tend(b.Context()); err != nil {
		b.Fatal(err)
	}
	load := func(context.Context) (cache.Value, error) {
		return cache.Value{Version: 1, Bytes: make([]byte, 200)}, nil
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := th.Read(b.Context(), "u1.profile", load); err != nil {
			b.Fatal(err)
		}
	}
}
