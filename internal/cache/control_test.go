package cache

import (
	"context"
	"testing"
	"time"
)

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
		"a cache that looks, loads and puts":                 {make: func(w *world, p int) through { return naive{view{&w.engine, p}} }},
		"an engine that does not compare":                    {make: func(w *world, p int) through { return build(w, simConfig(), blind{view{&w.engine, p}}) }},
		"stamps that come again after a restart":             {rough: true, recurring: true, make: real},
		"processes with other lists, without a common board": {make: other(false)},
		"writers that do not mark":                           {make: func(w *world, p int) through { return hasty{build(w, simConfig(), view{&w.engine, p})} }},
		"writers that do not turn the cache off":             {rough: true, make: func(w *world, p int) through { return lax{build(w, simConfig(), view{&w.engine, p})} }},
		"a process that trusts its notice too long": {rough: true, make: func(w *world, p int) through {
			if p > 0 {
				return real(w, p)
			}
			return &sleepy{Through: build(w, longer, view{&w.engine, p})}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			how.actions, how.pause = 12000, often
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
