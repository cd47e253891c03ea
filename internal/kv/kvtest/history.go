package kvtest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/kamado/kamado/internal/kv"
)

// call is one operation of a history.
type call struct {
	op    byte // 'g', 'p' or 'd'
	key   string
	base  kv.Version
	value string
}

// outcome is what came of it.
type outcome struct {
	found    bool // of a get
	conflict bool
	doubt    bool
	version  kv.Version
	value    string
}

// register is a state of one key. Invariant: version is 0 or unknown, or at most newest.
type register struct {
	version kv.Version // 0: no value
	unknown bool       // a doubtful put made it; its version is above newest
	value   string
	newest  kv.Version // the greatest version so far
}

// registers says what single keys may do, one at a time.
var registers = (&porcupine.NondeterministicModel{
	Partition: registersPartition,
	Init:      func() []any { return []any{register{}} },
	Step: func(state, input, output any) []any {
		return step(state.(register), input.(call), output.(outcome))
	},
	Equal: func(a, b any) bool { return a == b },
}).ToModel()

func registersPartition(history []porcupine.Operation) [][]porcupine.Operation {
	byKey := map[string][]porcupine.Operation{}
	for _, o := range history {
		k := o.Input.(call).key
		byKey[k] = append(byKey[k], o)
	}
	var parts [][]porcupine.Operation
	for _, p := range byKey {
		parts = append(parts, p)
	}
	return parts
}

func step(r register, c call, o outcome) []any {
	if c.op == 'g' {
		switch {
		case !o.found && r.version == kv.Absent && !r.unknown:
			return []any{r}
		case o.found && r.unknown && o.value == r.value && o.version > r.newest:
			return []any{register{version: o.version, value: r.value, newest: o.version}}
		case o.found && !r.unknown && o.value == r.value && o.version == r.version:
			return []any{r}
		}
		return nil
	}
	match := c.base == kv.Any || !r.unknown && c.base == r.version || r.unknown && c.base > r.newest
	if o.conflict {
		if r.unknown && c.base != kv.Any || !match {
			return []any{r}
		}
		return nil
	}
	if !match {
		if o.doubt {
			return []any{r}
		}
		return nil
	}
	next := register{newest: r.newest}
	if r.unknown && c.base != kv.Any {
		next.newest = c.base
	}
	switch {
	case c.op == 'd':
	case o.doubt:
		next.unknown, next.value = true, c.value
	case o.version <= next.newest:
		return nil
	default:
		next.version, next.value, next.newest = o.version, c.value, o.version
	}
	if o.doubt {
		return []any{r, next}
	}
	return []any{next}
}

// history lets callers read and write few keys at random and asks Porcupine
// whether single registers could have answered so. Of an engine that is Stale the
// writes are judged, and reads only by what they may show at all.
func history(t *testing.T, s kv.Store) {
	const callers, calls, keys = 6, 60, 3
	g := group()
	begin := time.Now()
	end := time.Hour.Nanoseconds() // a doubtful write may happen at any time
	var mu sync.Mutex
	var ops []porcupine.Operation
	var wg sync.WaitGroup
	for id := range callers {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(id), 1))
			base := map[string]kv.Version{} // the last that this caller saw
			for n := range calls {
				c := choose(r, fmt.Sprint("k", r.IntN(keys)), fmt.Sprint(id, ".", n), base)
				op := porcupine.Operation{ClientId: id, Input: c, Call: time.Since(begin).Nanoseconds()}
				o, err := do(t, s, g, c)
				op.Output, op.Return = o, time.Since(begin).Nanoseconds()
				if o.doubt {
					op.Return = end
				}
				if err != nil {
					t.Errorf("%c %s: %v", c.op, c.key, err)
					return
				}
				base[c.key] = o.version
				mu.Lock()
				ops = append(ops, op)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if t.Failed() {
		return
	}
	judge(t, s, ops)
}

// choose gives a caller's next operation.
func choose(r *rand.Rand, key, value string, seen map[string]kv.Version) call {
	c := call{key: key, value: value, base: seen[key]}
	switch n := r.IntN(10); {
	case n < 4:
		return call{op: 'g', key: key}
	case n < 7:
		c.op = 'p'
	case n < 8:
		c.op, c.base = 'p', kv.Any
	case n < 9 && c.base != kv.Absent:
		c.op = 'd'
	default:
		c.op, c.base = 'p', kv.Absent
	}
	return c
}

func do(t *testing.T, s kv.Store, g string, c call) (outcome, error) {
	k := kv.Key{Group: g, Name: c.key}
	var o outcome
	var err error
	switch c.op {
	case 'g':
		var e kv.Entry
		e, err = s.Get(t.Context(), k)
		if errors.Is(err, kv.ErrNotFound) {
			return o, nil
		}
		o = outcome{found: err == nil, version: e.Version, value: string(e.Value)}
	case 'p':
		o.version, err = s.Put(t.Context(), k, []byte(c.value), c.base)
	case 'd':
		err = s.Delete(t.Context(), k, c.base)
	}
	if errors.Is(err, kv.ErrConflict) {
		return outcome{conflict: true}, nil
	}
	if errors.Is(err, kv.ErrDoubt) {
		return outcome{doubt: true}, nil
	}
	return o, err
}

func judge(t *testing.T, s kv.Store, ops []porcupine.Operation) {
	t.Helper()
	if _, ok := s.(kv.Stale); ok {
		ops = withoutReads(t, ops)
	}
	switch porcupine.CheckOperationsTimeout(registers, ops, 20*time.Second) {
	case porcupine.Illegal:
		t.Errorf("no order of these %d operations is one of single registers:\n%s", len(ops), explain(ops))
	case porcupine.Unknown:
		t.Logf("the history of %d operations was too hard to judge", len(ops))
	}
}

// withoutReads judges reads alone: a version shows the value that was written
// under it, or one in doubt; it gives the writes.
func withoutReads(t *testing.T, ops []porcupine.Operation) []porcupine.Operation {
	t.Helper()
	type state struct {
		key     string
		version kv.Version
	}
	written, doubtful := map[state]string{}, map[string]bool{}
	var writes []porcupine.Operation
	for _, op := range ops {
		c, o := op.Input.(call), op.Output.(outcome)
		if c.op == 'g' {
			continue
		}
		writes = append(writes, op)
		if o.doubt {
			doubtful[c.value] = true
		} else if !o.conflict {
			written[state{c.key, o.version}] = c.value
		}
	}
	for _, op := range ops {
		c, o := op.Input.(call), op.Output.(outcome)
		if c.op == 'g' && o.found && written[state{c.key, o.version}] != o.value && !doubtful[o.value] {
			t.Errorf("version %d of %s was read as %q and written as %q", o.version, c.key, o.value, written[state{c.key, o.version}])
		}
	}
	return writes
}
