package cache

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/kamado/kamado/internal/kv"
)

// The simulator runs several processes over one engine, one board and one store,
// one step at a time, in an order that a seed decides. A step lies before and behind every
// effect. Between steps cells are evicted, servers start again, processes
// are cut off or die, late requests arrive, and the clock goes on.

// actor is a goroutine that runs only when the world lets it.
type actor struct {
	process int
	resume  chan bool // false: end
	wake    time.Time
	done    bool
}

// world is the simulated everything.
type world struct {
	how     trial
	rng     *rand.Rand
	now     time.Time
	actors  []*actor
	current *actor
	yielded chan *actor

	engine model
	store  map[string]uint64 // newest version by key
	board  map[string]Notice
	cut    []bool   // by process: the engine does not answer it
	late   []func() // effects that arrive later, or never

	acked    map[string]uint64 // newest version whose Write has returned
	returned map[string]uint64 // newest version that any Read or Write has returned
	faults   []string
	counts   map[string]int
}

// trial is one kind of run.
type trial struct {
	// rough lets marks be lost: only what Write has returned is held then.
	rough   bool
	actions int
	// make gives what a process reads and writes through.
	make func(w *world, process int) through
	// recurring stamps: those of a control, which begin anew with the server, which does so often.
	recurring bool
}

// through is Through, or a control.
type through interface {
	Read(context.Context, string, func(context.Context) (Value, error)) (Value, error)
	Write(context.Context, string, func(context.Context) (Value, error)) (Value, error)
	Tend(context.Context) error
}

// step lets others run.
func (w *world) step() {
	me := w.current
	w.yielded <- me
	if !<-me.resume {
		runtime.Goexit()
	}
}

func (w *world) chance(one int) bool { return w.rng.IntN(one) == 0 }

func (w *world) sleep(_ context.Context, d time.Duration) error {
	w.current.wake = w.now.Add(d)
	w.step()
	return nil
}

func (w *world) start(process int, fn func()) {
	a := &actor{process: process, resume: make(chan bool)}
	w.actors = append(w.actors, a)
	go func() {
		defer func() {
			a.done = true
			w.yielded <- a
		}()
		if <-a.resume {
			fn()
		}
	}()
}

// run lets one actor go to its next step.
func (w *world) run(a *actor, on bool) {
	w.current = a
	a.resume <- on
	<-w.yielded
}

const (
	simProcesses = 3
	simKeys      = 3
)

// simConfig has short times, so that a run sees the cache turned off and on several times.
func simConfig() Config {
	return Config{
		ValueLife: 20 * time.Second, AbsentLife: time.Second, LeaseLife: time.Second, MarkLife: 4 * time.Second,
		Term: 300 * time.Millisecond, Rest: time.Second, Patience: 400 * time.Millisecond, ValueBytesMax: 1000,
	}
}

func simulate(seed uint64, how trial) *world {
	w := &world{
		how: how, rng: rand.New(rand.NewPCG(seed, 1)), now: time.Unix(1_000_000, 0), yielded: make(chan *actor),
		store: map[string]uint64{}, board: map[string]Notice{}, cut: make([]bool, simProcesses),
		acked: map[string]uint64{}, returned: map[string]uint64{}, counts: map[string]int{},
	}
	w.engine = model{w: w, cells: map[string]modelCell{}}
	for p := range simProcesses {
		t := how.make(w, p)
		w.start(p, func() {
			for {
				_ = t.Tend(context.Background())
				_ = w.sleep(context.Background(), simConfig().Term/4)
			}
		})
		for range 2 {
			w.start(p, func() { w.reader(t) })
			w.start(p, func() { w.writer(t) })
		}
	}
	for range how.actions {
		w.nature()
		w.schedule()
		if len(w.faults) > 0 {
			break
		}
	}
	for _, a := range w.actors {
		if !a.done {
			w.run(a, false)
		}
	}
	return w
}

// schedule lets one of those run who can.
func (w *world) schedule() {
	var ready []*actor
	var next *actor
	for _, a := range w.actors {
		switch {
		case a.done:
		case !a.wake.After(w.now):
			ready = append(ready, a)
		case next == nil || a.wake.Before(next.wake):
			next = a
		}
	}
	switch {
	case len(ready) > 0:
		w.run(ready[w.rng.IntN(len(ready))], true)
	case next != nil:
		w.now = next.wake
	}
}

// nature does what nobody asked for.
func (w *world) nature() {
	if w.chance(4) {
		w.now = w.now.Add(time.Duration(w.rng.IntN(8)) * time.Millisecond)
	}
	if w.chance(500) {
		w.now = w.now.Add(time.Duration(w.rng.IntN(200)) * time.Millisecond)
	}
	if w.chance(30) {
		w.engine.evict()
	}
	if w.chance(4000) {
		w.cut[w.rng.IntN(len(w.cut))] = true
	}
	if w.chance(150) {
		w.cut[w.rng.IntN(len(w.cut))] = false
	}
	if len(w.late) > 0 && w.chance(40) {
		i := w.rng.IntN(len(w.late))
		fn := w.late[i]
		w.late = append(w.late[:i], w.late[i+1:]...)
		fn()
	}
	if w.chance(1500) { // a process dies in the middle of something, and another one is there
		a := w.actors[1+w.rng.IntN(len(w.actors)-1)]
		if !a.done && a.process != 0 && len(w.actors) > 8 && w.counts["died"] < 2 {
			w.counts["died"]++
			w.run(a, false)
		}
	}
	if !w.how.rough {
		return
	}
	if w.chance(300) || w.how.recurring && w.chance(30) {
		w.engine.restart()
	}
	if w.chance(1000) {
		w.now = w.now.Add(time.Duration(w.rng.IntN(8)) * time.Second)
	}
}

func (w *world) key() string { return fmt.Sprintf("k%d", w.rng.IntN(simKeys)) }

func (w *world) reader(t through) {
	for {
		key := w.key()
		acked, returned := w.acked[key], w.returned[key]
		v, err := t.Read(context.Background(), key, func(context.Context) (Value, error) { return w.load(key) })
		if err == nil {
			w.check(key, v.Version, acked, returned, "read")
		}
		if w.chance(3) {
			_ = w.sleep(context.Background(), time.Duration(w.rng.IntN(40))*time.Millisecond)
		}
	}
}

func (w *world) check(key string, got, acked, returned uint64, what string) {
	w.counts[what]++
	if got < acked {
		w.faults = append(w.faults, fmt.Sprintf("%s of %s gave %d, but %d was acknowledged before it began", what, key, got, acked))
	}
	if !w.how.rough && got < returned {
		w.faults = append(w.faults, fmt.Sprintf("%s of %s gave %d, but somebody had got %d before it began", what, key, got, returned))
	}
	w.returned[key] = max(w.returned[key], got)
}

func (w *world) writer(t through) {
	for {
		key := w.key()
		acked, returned := w.acked[key], w.returned[key]
		v, err := t.Write(context.Background(), key, func(context.Context) (Value, error) { return w.write(key) })
		switch {
		case err == nil:
			w.check(key, v.Version, acked, returned, "write")
			w.acked[key] = max(w.acked[key], v.Version)
		case errors.Is(err, ErrUnsettled):
			w.counts["unsettled"]++
		case errors.Is(err, kv.ErrDoubt):
			w.counts["doubt"]++
		}
		_ = w.sleep(context.Background(), time.Duration(w.rng.IntN(500))*time.Millisecond)
	}
}

func (w *world) load(key string) (Value, error) {
	w.step()
	v := w.store[key]
	w.counts["load"]++
	w.step()
	return Value{Version: v, Bytes: []byte(strconv.FormatUint(v, 10)), Absent: v == 0}, nil
}

func (w *world) write(key string) (Value, error) {
	began := w.now
	w.step()
	if !w.how.rough && w.now.Sub(began) > simConfig().writeMax() {
		w.counts["slow"]++
		return Value{}, kv.ErrAway // its context ended: the promise is about such writers only
	}
	apply := func() uint64 {
		w.store[key]++
		return w.store[key]
	}
	if w.chance(50) {
		switch w.rng.IntN(3) {
		case 0:
			return Value{}, kv.ErrConflict
		case 1:
			apply()
		case 2:
			if w.how.rough {
				w.late = append(w.late, func() { apply() })
			}
		}
		w.step()
		return Value{}, kv.ErrDoubt
	}
	v := apply()
	w.step()
	out := Value{Version: v, Bytes: []byte(strconv.FormatUint(v, 10))}
	if w.chance(8) {
		out.Bytes = nil
	}
	return out, nil
}

// model is the engine: the cells of one server, seen by all processes.
type model struct {
	w     *world
	cells map[string]modelCell
	stamp uint64
	// life is the server's: late requests of an earlier one never arrive.
	life int
}

type modelCell struct {
	bytes []byte
	stamp uint64
	until time.Time
}

type modelStamp struct {
	life  int
	stamp uint64
}

func (m *model) restart() {
	m.cells, m.life = map[string]modelCell{}, m.life+1
	if m.w.how.recurring {
		m.life, m.stamp = 0, 0
	}
}

// evict takes one cell away; a mark only where that may be.
func (m *model) evict() {
	for _, key := range m.keys() {
		if c, _ := decode(key, m.cells[key].bytes); (c.kind != kindMark || m.w.how.rough) && m.w.chance(len(m.cells)) {
			delete(m.cells, key)
			return
		}
	}
}

// keys are the last generations' only: those before are of no use to anybody.
func (m *model) keys() []string {
	var all []string
	for key := range m.cells {
		all = append(all, key)
	}
	// The order must be that of the seed.
	for i := range all {
		for j := i; j > 0 && all[j] < all[j-1]; j-- {
			all[j], all[j-1] = all[j-1], all[j]
		}
	}
	return all
}

func (m *model) at(key string) (modelCell, bool) {
	c, ok := m.cells[key]
	if ok && !m.w.now.Before(c.until) {
		delete(m.cells, key)
		return modelCell{}, false
	}
	return c, ok
}

// do is one request: it may get lost on its way, or its answer, or come late.
func (m *model) do(process int, effect func() error) error {
	w := m.w
	w.step()
	if w.cut[process] {
		return ErrAway
	}
	if w.chance(60) {
		switch life := m.life; w.rng.IntN(3) {
		case 0:
			_ = effect()
		case 1:
			w.late = append(w.late, func() {
				if m.life == life {
					_ = effect()
				}
			})
		}
		w.step()
		return ErrAway
	}
	err := effect()
	w.step()
	return err
}

// view is the engine of one process.
type view struct {
	*model
	process int
}

func (v view) Parts() []string                  { return []string{"model"} }
func (v view) Part(string) int                  { return 0 }
func (v view) Close() error                     { return nil }
func (v view) Probe(context.Context, int) error { return v.do(v.process, func() error { return nil }) }

func (v view) Load(_ context.Context, _ int, key string) (cell []byte, at Stamp, err error) {
	err = v.do(v.process, func() error {
		if c, ok := v.at(key); ok {
			cell, at = c.bytes, modelStamp{v.life, c.stamp}
		}
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	return cell, at, nil
}

func (v view) holds(key string, at Stamp) bool {
	c, ok := v.at(key)
	if !ok {
		return at == nil
	}
	return at == modelStamp{v.life, c.stamp}
}

func (v view) Swap(_ context.Context, _ int, key string, at Stamp, cell []byte, life time.Duration) (put Stamp, err error) {
	err = v.do(v.process, func() error {
		if !v.holds(key, at) {
			return ErrRefused
		}
		v.stamp++
		v.cells[key] = modelCell{bytes: cell, stamp: v.stamp, until: v.w.now.Add(life)}
		put = modelStamp{v.life, v.stamp}
		return nil
	})
	return put, err
}

func (v view) Remove(_ context.Context, _ int, key string, at Stamp) error {
	return v.do(v.process, func() error {
		if _, ok := v.at(key); ok && !v.holds(key, at) {
			return ErrRefused
		}
		delete(v.cells, key)
		return nil
	})
}

// simBoard is the board in the store.
type simBoard struct{ w *world }

func (b simBoard) Read(_ context.Context, part string) (Notice, error) {
	b.w.step()
	n := b.w.board[part]
	fails := b.w.chance(100)
	b.w.step()
	if fails {
		return Notice{}, kv.ErrAway
	}
	return n, nil
}

func (b simBoard) Replace(_ context.Context, part string, old, next Notice) error {
	b.w.step()
	if b.w.board[part] != old || b.w.chance(100) {
		return ErrRefused
	}
	b.w.board[part] = next
	b.w.counts[fmt.Sprint("place ", next.place())]++
	fails := b.w.chance(100)
	b.w.step()
	if fails {
		return kv.ErrDoubt
	}
	return nil
}

// build makes the real thing in the simulated world.
func build(w *world, cfg Config, engine Engine) *Through {
	t, err := New(cfg, Deps{Engine: engine, Board: simBoard{w}, Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err != nil {
		panic(err)
	}
	t.first = 0
	t.now, t.sleep = func() time.Time { return w.now }, w.sleep
	t.enter = func(_ context.Context, g *guard) error {
		for {
			select {
			case g.turn <- struct{}{}:
				return nil
			default:
				w.step()
			}
		}
	}
	return t
}

func real(w *world, process int) through { return build(w, simConfig(), view{&w.engine, process}) }

// TestOldValuesNeverComeBack is the simulation. KAMADO_TEST_SEED runs one seed.
func TestOldValuesNeverComeBack(t *testing.T) {
	t.Parallel()
	seeds := uint64(60)
	if os.Getenv("KAMADO_TEST_ALL") != "" {
		seeds = 2000
	}
	first := uint64(0)
	if s := os.Getenv("KAMADO_TEST_SEED"); s != "" {
		first, _ = strconv.ParseUint(s, 10, 64)
		seeds = 1
	}
	for _, rough := range []bool{false, true} {
		t.Run(fmt.Sprintf("rough=%v", rough), func(t *testing.T) {
			t.Parallel()
			sum := map[string]int{}
			for seed := first; seed < first+seeds; seed++ {
				w := simulate(seed, trial{rough: rough, actions: 12000, make: real})
				for _, f := range w.faults {
					t.Fatalf("seed %d: %s", seed, f)
				}
				for what, n := range w.counts {
					sum[what] += n
				}
			}
			t.Logf("%v", sum)
			if hits := sum["read"] - sum["load"]; hits < sum["read"]/20 {
				t.Errorf("%d of %d reads found a copy: the simulation shows nothing of them", hits, sum["read"])
			}
			for _, what := range []string{"read", "write", "doubt", "place 0", "place 1", "place 2", "place 3"} {
				if sum[what] == 0 && seeds > 1 {
					t.Errorf("no %s in any run: the simulation shows nothing of it", what)
				}
			}
		})
	}
}

// naive is the cache that everybody writes first: look, load, put; and put after a write.
type naive struct{ engine Engine }

func (n naive) Tend(context.Context) error { return nil }

func (n naive) put(ctx context.Context, key string, v Value) {
	_, at, _ := n.engine.Load(ctx, 0, key)
	_, _ = n.engine.Swap(ctx, 0, key, at, cell{kind: kindValue, version: v.Version, bytes: v.Bytes}.encode(key), time.Minute)
}

func (n naive) Read(ctx context.Context, key string, load func(context.Context) (Value, error)) (Value, error) {
	if raw, _, err := n.engine.Load(ctx, 0, key); err == nil && raw != nil {
		c, _ := decode(key, raw)
		return Value{Version: c.version, Bytes: c.bytes}, nil
	}
	v, err := load(ctx)
	if err == nil {
		n.put(ctx, key, v)
	}
	return v, err
}

func (n naive) Write(ctx context.Context, key string, store func(context.Context) (Value, error)) (Value, error) {
	v, err := store(ctx)
	if err == nil {
		n.put(ctx, key, v)
	}
	return v, err
}

// blind is an engine whose compare-and-set does not compare.
type blind struct{ view }

func (b blind) Swap(ctx context.Context, _ int, key string, _ Stamp, cell []byte, life time.Duration) (put Stamp, err error) {
	err = b.do(b.process, func() error {
		b.stamp++
		b.cells[key] = modelCell{bytes: cell, stamp: b.stamp, until: b.w.now.Add(life)}
		put = modelStamp{b.life, b.stamp}
		return nil
	})
	return put, err
}

// hasty does not mark: it settles only.
type hasty struct{ *Through }

func (h hasty) Write(ctx context.Context, key string, store func(context.Context) (Value, error)) (Value, error) {
	v, err := store(ctx)
	if err == nil {
		_, err = h.finish(ctx, key, ticket{}, cell{})
	}
	return v, err
}

// lax says that it wrote when it could not tell the cache.
type lax struct{ *Through }

func (l lax) Write(ctx context.Context, key string, store func(context.Context) (Value, error)) (Value, error) {
	v, err := store(ctx)
	if at, ok := l.readable(key); ok && err == nil {
		_ = l.lift(ctx, at, 0, cell{})
	}
	return v, err
}

// sleepy looks at the board once in a long time.
type sleepy struct {
	*Through
	turns int
}

func (s *sleepy) Tend(ctx context.Context) error {
	if s.turns++; s.turns%60 != 1 {
		return nil
	}
	return s.Through.Tend(ctx)
}

// TestControlsFail shows that the simulator sees what is wrong.
func TestControlsFail(t *testing.T) {
	t.Parallel()
	longer := simConfig()
	longer.Term, longer.Rest = 20*longer.Term, 60*longer.Term
	for name, how := range map[string]trial{
		"a cache that looks, loads and puts":     {make: func(w *world, p int) through { return naive{view{&w.engine, p}} }},
		"an engine that does not compare":        {make: func(w *world, p int) through { return build(w, simConfig(), blind{view{&w.engine, p}}) }},
		"stamps that come again after a restart": {rough: true, recurring: true, make: real},
		"writers that do not mark":               {make: func(w *world, p int) through { return hasty{build(w, simConfig(), view{&w.engine, p})} }},
		"writers that do not turn the cache off": {rough: true, make: func(w *world, p int) through { return lax{build(w, simConfig(), view{&w.engine, p})} }},
		"a process that trusts its notice too long": {rough: true, make: func(w *world, p int) through {
			if p > 0 {
				return real(w, p)
			}
			return &sleepy{Through: build(w, longer, view{&w.engine, p})}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			how.actions = 12000
			for seed := range uint64(400) {
				if w := simulate(seed, how); len(w.faults) > 0 {
					t.Logf("seed %d: %s", seed, w.faults[0])
					return
				}
			}
			t.Error("no fault was found")
		})
	}
}
