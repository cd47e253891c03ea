package jetstream

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kamado/kamado/internal/kv"
)

// A child is a process with one node. It is told what to do by lines on its
// standard input, and answers with "R" and JSON. Its writers report what was
// acknowledged by lines that start with another letter, as soon as it was: a kill
// takes back none of them.
//
//	C shard time group/name version         a create was acknowledged
//	S shard time group/name base version    a step of a chain was acknowledged
//	D shard time group/name base            a step of a chain is in doubt
//	X words                                 a promise was broken
//	O                                       a read was old, which is allowed

// order is one of the parent's.
type order struct {
	Do          string // load, rest, shards, stepdown, remove, move, grow, rebalance, leave, verify, puts
	Shard, Node string
	Keys        []sureKey
	Count       int
}

// sureKey is a key that was acknowledged.
type sureKey struct {
	Group, Name string
	Version     kv.Version
}

// answer of a child.
type answer struct {
	Name   string
	Err    string
	Shards []kv.Shard
	Lost   []string
	Formed time.Duration
	Bench  benchResult
}

// benchResult is what some callers reached.
type benchResult struct {
	Puts     int
	Took     time.Duration
	P50, P99 time.Duration
}

func (r benchResult) perSecond() float64 { return float64(r.Puts) / r.Took.Seconds() }

// bench lets callers put for a while: creates, or steps of a chain to each caller.
func bench(s kv.Store, run string, callers int, chains bool, d time.Duration) (benchResult, error) {
	var mu sync.Mutex
	var all []time.Duration
	var failed error
	var wg sync.WaitGroup
	value := make([]byte, 200)
	began := time.Now()
	for id := range callers {
		wg.Go(func() {
			var took []time.Duration
			var err error
			base := kv.Absent
			for n := 0; time.Since(began) < d && err == nil; n++ {
				k := kv.Key{Group: fmt.Sprintf("%s-%d-%d", run, id, n%50), Name: fmt.Sprint("n", n)}
				if chains {
					k = kv.Key{Group: fmt.Sprintf("%s-%d", run, id), Name: "n"}
				}
				at := time.Now()
				var v kv.Version
				if v, err = s.Put(context.Background(), k, value, base); chains {
					base = v
				}
				took = append(took, time.Since(at))
			}
			mu.Lock()
			defer mu.Unlock()
			all = append(all, took...)
			failed = errors.Join(failed, err)
		})
	}
	wg.Wait()
	r := benchResult{Puts: len(all), Took: time.Since(began)}
	slices.Sort(all)
	if len(all) > 0 {
		r.P50, r.P99 = all[len(all)/2], all[len(all)*99/100]
	}
	return r, failed
}

// setup is how a child is started.
type setup struct {
	Config
	Early, Slow bool
}

// benchTime is how long one figure is measured.
const benchTime = 4 * time.Second

const childEnv = "KAMADO_KV_CHILD"

func TestMain(m *testing.M) {
	if text := os.Getenv(childEnv); text != "" {
		if err := child(text); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// mouth writes lines, one at a time.
type mouth struct{ mu sync.Mutex }

func (m *mouth) say(format string, args ...any) {
	m.mu.Lock()
	defer m.mu.Unlock()
	fmt.Fprintf(os.Stdout, format+"\n", args...)
}

func child(text string) error {
	var c setup
	if err := json.Unmarshal([]byte(text), &c); err != nil {
		return err
	}
	began := time.Now()
	c.Log = testLog()
	n, err := Start(c.Config)
	if err != nil {
		return err
	}
	sc := DefaultStore()
	sc.early = c.Early
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	s, err := OpenStore(ctx, n, sc)
	if err != nil {
		return err
	}
	w := &worker{s: s, id: n.Name(), slow: c.Slow}
	w.reply(answer{Name: n.Name(), Formed: time.Since(began)})
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(nil, 256<<20)
	for in.Scan() {
		var o order
		if err := json.Unmarshal(in.Bytes(), &o); err != nil {
			return err
		}
		w.obey(o)
	}
	w.rest()
	_ = s.Close()
	n.Close()
	return nil
}

// worker is a child's inside.
type worker struct {
	mouth
	s    *Store
	id   string
	slow bool
	stop chan struct{}
	wg   sync.WaitGroup
}

func (w *worker) reply(a answer) {
	b, err := json.Marshal(a)
	if err != nil {
		panic(err)
	}
	w.say("R%s", bytes.TrimSpace(b))
}

func (w *worker) obey(o order) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var a answer
	var err error
	switch o.Do {
	case "load":
		w.load()
	case "rest":
		w.rest()
	case "shards":
		a.Shards, err = w.s.Shards(ctx)
	case "stepdown":
		err = w.s.StepDown(ctx, o.Shard, o.Node)
	case "remove":
		err = w.s.RemoveNode(ctx, o.Node)
	case "move":
		err = w.s.MoveReplica(ctx, o.Shard, o.Node)
	case "rebalance":
		err = w.s.Rebalance(ctx)
	case "leave":
		err = w.s.Leave(ctx)
	case "verify":
		a.Lost, err = w.verify(ctx, o.Keys)
	case "puts":
		for i := range o.Count {
			k := kv.Key{Group: "p0", Name: fmt.Sprint("n", i)}
			if _, e := w.s.Put(ctx, k, []byte("x"), kv.Absent); e != nil {
				err = e
			}
		}
	case "bench", "chains":
		a.Bench, err = bench(w.s, o.Node, o.Count, o.Do == "chains", benchTime)
	default:
		err = fmt.Errorf("unknown order %q", o.Do)
	}
	if err != nil {
		a.Err = err.Error()
	}
	w.reply(a)
}

// load starts one writer to each shard.
func (w *worker) load() {
	w.stop = make(chan struct{})
	for shard := range w.s.c.Shards {
		w.wg.Go(func() { w.write(shard) })
	}
}

func (w *worker) rest() {
	if w.stop != nil {
		close(w.stop)
		w.wg.Wait()
		w.stop = nil
	}
}

// groupOf gives the i-th group with a prefix that lies on a shard.
func groupOf(s *Store, prefix string, shard, i int) string {
	for n := 0; ; n++ {
		g := fmt.Sprint(prefix, n)
		if at, _ := s.place(g); at == shard {
			if i == 0 {
				return g
			}
			i--
		}
	}
}

// write creates keys and makes steps of the shard's chain, in turn.
func (w *worker) write(shard int) {
	run := fmt.Sprint(time.Now().UnixNano())
	var groups []string
	for i := range 10 {
		groups = append(groups, groupOf(w.s, "c", shard, i))
	}
	chain := kv.Key{Group: groupOf(w.s, "chain", shard, 0), Name: "n"}
	var bases []kv.Version // that the chain had; the writer tries an old one now and then
	for n := 0; ; n++ {
		select {
		case <-w.stop:
			return
		default:
		}
		if w.slow {
			time.Sleep(5 * time.Millisecond) // the pace of the load
		}
		if n%2 == 0 {
			w.create(shard, kv.Key{Group: groups[n/2%len(groups)], Name: w.id + "." + run + "." + fmt.Sprint(n)}, n)
			continue
		}
		bases = w.step(shard, chain, bases)
	}
}

func (w *worker) create(shard int, k kv.Key, n int) {
	ctx := context.Background()
	v, err := w.s.Put(ctx, k, []byte(k.String()), kv.Absent)
	if err != nil {
		return // in doubt, or not done: nobody was told of it
	}
	w.say("C %d %d %s %d", shard, time.Now().UnixNano(), k, v)
	if n%8 == 0 && !w.s.c.early {
		e, err := w.s.Get(ctx, k)
		if errors.Is(err, kv.ErrNotFound) || err == nil && e.Version != v {
			w.say("O")
		}
	}
}

// chainValue is the value of a chain.
type chainValue struct {
	By   string
	Base kv.Version
	N    int
}

func (w *worker) step(shard int, k kv.Key, bases []kv.Version) []kv.Version {
	ctx := context.Background()
	e, err := w.s.Get(ctx, k)
	if err != nil && !errors.Is(err, kv.ErrNotFound) {
		return bases
	}
	var old chainValue
	if len(e.Value) > 0 {
		if err := json.Unmarshal(e.Value, &old); err != nil {
			w.say("X chain %s holds %q", k, e.Value)
		}
	}
	value, _ := json.Marshal(chainValue{By: w.id, Base: e.Version, N: old.N + 1})
	if len(bases) > 2 && rand.IntN(10) == 0 { // a base that is surely old
		if _, err := w.s.Put(ctx, k, value, bases[rand.IntN(len(bases)-1)]); err == nil && !w.s.c.early {
			w.say("X a stale step of %s was accepted", k)
		}
	}
	v, err := w.s.Put(ctx, k, value, e.Version)
	switch {
	case err == nil:
		w.say("S %d %d %s %d %d", shard, time.Now().UnixNano(), k, e.Version, v)
		bases = append(bases, v)
	case errors.Is(err, kv.ErrDoubt):
		w.say("D %d %d %s %d", shard, time.Now().UnixNano(), k, e.Version)
	}
	return bases
}

// verify looks up keys and gives those that are not as they were acknowledged.
func (w *worker) verify(ctx context.Context, keys []sureKey) (lost []string, err error) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	next := make(chan sureKey)
	for range 16 {
		wg.Go(func() {
			for k := range next {
				key := kv.Key{Group: k.Group, Name: k.Name}
				e, e2 := w.s.Get(ctx, key)
				for try := 0; e2 != nil && !errors.Is(e2, kv.ErrNotFound) && try < 5; try++ {
					e, e2 = w.s.Get(ctx, key)
				}
				bad := e2 != nil || e.Version != k.Version && k.Version > 1 || !strings.HasPrefix(k.Group, "chain") && string(e.Value) != key.String()
				mu.Lock()
				if bad {
					lost = append(lost, fmt.Sprintf("%s version %d: %v, version %d", key, k.Version, e2, e.Version))
				}
				mu.Unlock()
			}
		})
	}
	for _, k := range keys {
		next <- k
	}
	close(next)
	wg.Wait()
	return lost, nil
}
