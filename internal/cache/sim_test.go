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
	"strings"
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

// Pauses of writers: seldom leaves the cache on for some time, where each write turns it off.
const (
	often  = 500 * time.Millisecond
	seldom = 30 * time.Second
)

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
	// pause is how long a writer does nothing at most.
	pause time.Duration
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
		_ = w.sleep(context.Background(), time.Duration(w.rng.Int64N(int64(w.how.pause))))
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
		if c, _ := decode(strings.TrimPrefix(key, otherServer), m.cells[key].bytes); (c.kind != kindMark || m.w.how.rough) && m.w.chance(len(m.cells)) {
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
type simBoard struct {
	w *world
	// prefix of the names of parts, where not all have the same board.
	prefix string
}

func (b simBoard) Read(_ context.Context, part string) (Notice, error) {
	b.w.step()
	n := b.w.board[b.prefix+part]
	fails := b.w.chance(100)
	b.w.step()
	if fails {
		return Notice{}, kv.ErrAway
	}
	return n, nil
}

func (b simBoard) Replace(_ context.Context, part string, old, next Notice) error {
	b.w.step()
	if b.w.board[b.prefix+part] != old || b.w.chance(100) {
		return ErrRefused
	}
	b.w.board[b.prefix+part] = next
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
	t, err := New(cfg, Deps{Engine: engine, Board: simBoard{w, ""}, Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
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

// elsewhere is the view of a process with another list of parts, whose cells are on another server.
type elsewhere struct{ view }

func (e elsewhere) Parts() []string { return []string{"model", "other"} }
func (e elsewhere) Part(string) int { return 1 }

func (e elsewhere) Load(ctx context.Context, part int, key string) ([]byte, Stamp, error) {
	return e.view.Load(ctx, part, otherServer+key)
}

func (e elsewhere) Swap(ctx context.Context, part int, key string, at Stamp, cell []byte, life time.Duration) (Stamp, error) {
	return e.view.Swap(ctx, part, otherServer+key, at, cell, life)
}

func (e elsewhere) Remove(ctx context.Context, part int, key string, at Stamp) error {
	return e.view.Remove(ctx, part, otherServer+key, at)
}

const otherServer = "other/"

// other gives one of the processes another list of parts. Without a common board nobody knows.
func other(common bool) func(w *world, process int) through {
	return func(w *world, process int) through {
		if process > 0 {
			return real(w, process)
		}
		t := build(w, simConfig(), elsewhere{view{&w.engine, process}})
		if !common {
			t.Board = simBoard{w, otherServer}
		}
		return t
	}
}

func real(w *world, process int) through { return build(w, simConfig(), view{&w.engine, process}) }

// TestOldValuesNeverComeBack is the simulation. KAMADO_TEST_SEED runs one seed.
func TestOldValuesNeverComeBack(t *testing.T) {
	t.Parallel()
	seeds := uint64(15)
	if os.Getenv("KAMADO_TEST_ALL") != "" {
		seeds = 1000
	}
	first := uint64(0)
	if s := os.Getenv("KAMADO_TEST_SEED"); s != "" {
		first, _ = strconv.ParseUint(s, 10, 64)
		seeds = 1
	}
	for name, how := range map[string]trial{
		"marks are never lost":               {make: real, pause: often},
		"marks are lost":                     {make: real, pause: often, rough: true},
		"one process has another list":       {make: other(true), pause: seldom},
		"one has another list, and all fail": {make: other(true), pause: seldom, rough: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			how.actions = 12000
			sum := map[string]int{}
			for seed := first; seed < first+seeds; seed++ {
				w := simulate(seed, how)
				for _, f := range w.faults {
					t.Fatalf("seed %d: %s", seed, f)
				}
				for what, n := range w.counts {
					sum[what] += n
				}
			}
			t.Logf("%v", sum)
			if hits := sum["read"] - sum["load"]; hits < sum["read"]/50 {
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
