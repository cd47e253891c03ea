package entity_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/entity"
	"github.com/kamado/kamado/internal/kv"
	"github.com/kamado/kamado/internal/kv/pebble"
)

func openStore(t *testing.T) (*entity.Store, kv.Store) {
	t.Helper()
	engine, err := pebble.Open(filepath.Join(t.TempDir(), "kv"), pebble.Default())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = engine.Close() })
	return entity.New(engine, nil, entity.Config{BytesMax: 1000}), engine
}

func put(t *testing.T, s *entity.Store, w entity.Write) uint64 {
	t.Helper()
	v, err := s.Put(t.Context(), w)
	if err != nil {
		t.Fatalf("Put(%+v): %v", w, err)
	}
	return v
}

func refused(t *testing.T, s *entity.Store, w entity.Write, want game.Kind) {
	t.Helper()
	if _, err := s.Put(t.Context(), w); game.KindOf(err) != want {
		t.Errorf("Put(%+v) = %v, want kind %v", w, err, want)
	}
}

func TestWritesBuildOnTheirBase(t *testing.T) {
	t.Parallel()
	s, _ := openStore(t)
	w := entity.Write{UID: 7, Name: "avatar", Value: []byte("hat"), Type: "text/plain"}
	v1 := put(t, s, w)
	refused(t, s, w, game.Conflict) // it must be absent
	w.Base, w.Value = entity.Base{Version: v1}, []byte("cap")
	v2 := put(t, s, w)
	refused(t, s, w, game.Conflict)
	got, err := s.Get(t.Context(), 7, "avatar")
	if err != nil || string(got.Value) != "cap" || got.Type != "text/plain" || got.Version != v2 || v2 <= v1 {
		t.Errorf("Get = %+v, %v after versions %d, %d", got, err, v1, v2)
	}
	put(t, s, entity.Write{UID: 7, Name: "avatar", Delete: true, Base: entity.Base{Version: v2}})
	refused(t, s, entity.Write{UID: 7, Name: "avatar", Delete: true, Base: entity.AnyBase}, game.NotFound)
	if _, err := s.Get(t.Context(), 7, "avatar"); game.KindOf(err) != game.NotFound {
		t.Errorf("Get of what was deleted: %v", err)
	}
	w.Base = entity.Base{}
	if v3 := put(t, s, w); v3 <= v2 {
		t.Errorf("version %d after %d and a deletion", v3, v2)
	}
	refused(t, s, entity.Write{UID: 7, Name: "big", Value: make([]byte, 1001)}, game.TooLarge)
	refused(t, s, entity.Write{UID: 7, Name: "../x"}, game.Invalid)
}

func TestOlderTokensOfALockAreRefused(t *testing.T) {
	t.Parallel()
	s, _ := openStore(t)
	w := entity.Write{UID: 7, Name: "room", Value: []byte("a"), Base: entity.AnyBase, Fence: 5}
	put(t, s, w)
	w.Fence = 4
	refused(t, s, w, game.Conflict)
	w.Fence = 0
	refused(t, s, w, game.Conflict) // a lock was used, so who has none comes late too
	w.Fence = 5
	put(t, s, w) // the same holder writes often
	put(t, s, entity.Write{UID: 7, Name: "room", Delete: true, Base: entity.AnyBase, Fence: 6})
	w.Fence = 5
	refused(t, s, w, game.Conflict) // the fence outlives the entity
	if list, _, err := s.List(t.Context(), 7, "", 10); err != nil || len(list) != 0 {
		t.Errorf("List = %v, %v, want nothing", list, err)
	}
	w.Fence, w.Base = 6, entity.Base{}
	put(t, s, w)
}

func TestOneOfManyWinsEachVersion(t *testing.T) {
	t.Parallel()
	s, _ := openStore(t)
	base := entity.Base{}
	for round := range 20 {
		var won atomic.Uint64
		var winners atomic.Int32
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				v, err := s.Put(t.Context(), entity.Write{UID: 1, Name: "x", Value: fmt.Append(nil, i), Base: base})
				if err == nil {
					won.Store(v)
					winners.Add(1)
				} else if game.KindOf(err) != game.Conflict {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if winners.Load() != 1 {
			t.Fatalf("round %d: %d winners, want 1", round, winners.Load())
		}
		base = entity.Base{Version: won.Load()}
	}
}

func TestListAndMove(t *testing.T) {
	t.Parallel()
	s, _ := openStore(t)
	for i := range 25 {
		put(t, s, entity.Write{UID: 1, Name: fmt.Sprintf("e%02d", i), Value: []byte("one")})
	}
	put(t, s, entity.Write{UID: 2, Name: "e03", Value: []byte("two")})
	var names []string
	for after := ""; ; {
		list, next, err := s.List(t.Context(), 1, after, 10)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range list {
			names = append(names, e.Name)
		}
		if after = next; next == "" {
			break
		}
	}
	if len(names) != 25 || names[0] != "e00" || names[24] != "e24" {
		t.Errorf("listed %v", names)
	}
	if err := s.Move(t.Context(), 1, 2); err != nil {
		t.Fatal(err)
	}
	if list, _, _ := s.List(t.Context(), 1, "", 100); len(list) != 0 {
		t.Errorf("%d entities stayed", len(list))
	}
	list, _, _ := s.List(t.Context(), 2, "", 100)
	if len(list) != 25 || string(list[3].Value) != "two" || string(list[4].Value) != "one" {
		t.Errorf("moved %d, e03 = %q", len(list), list[3].Value)
	}
}

// doubtful is an engine that loses the answer of some writes: they happened, happen later, or never.
type doubtful struct {
	kv.Store
	next func() string
	late func() // a write that is still under way
}

func (d *doubtful) Put(ctx context.Context, k kv.Key, value []byte, base kv.Version) (kv.Version, error) {
	switch d.next() {
	case "happened":
		_, _ = d.Store.Put(ctx, k, value, base)
		return 0, kv.ErrDoubt
	case "never":
		return 0, kv.ErrDoubt
	case "later":
		d.late = func() { _, _ = d.Store.Put(ctx, k, value, base) }
		return 0, kv.ErrDoubt
	}
	return d.Store.Put(ctx, k, value, base)
}

func (d *doubtful) Get(ctx context.Context, k kv.Key) (kv.Entry, error) {
	e, err := d.Store.Get(ctx, k)
	if d.late != nil { // it happens between the read and the next write
		d.late()
		d.late = nil
	}
	return e, err
}

// TestDoubtIsResolved: whatever became of a write without an answer, what is told of it is true.
func TestDoubtIsResolved(t *testing.T) {
	t.Parallel()
	for _, fate := range []string{"happened", "never", "later"} {
		_, engine := openStore(t)
		script := []string{fate}
		d := &doubtful{Store: engine, next: func() string {
			if len(script) == 0 {
				return "answered"
			}
			s := script[0]
			script = script[1:]
			return s
		}}
		s := entity.New(d, nil, entity.Config{BytesMax: 100})
		v, err := s.Put(t.Context(), entity.Write{UID: 1, Name: "x", Value: []byte(fate)})
		if err != nil {
			t.Fatalf("%s: %v", fate, err)
		}
		if got, err := s.Get(t.Context(), 1, "x"); err != nil || got.Version != v || string(got.Value) != fate {
			t.Errorf("%s: Get = %+v, %v; want version %d", fate, got, err, v)
		}
	}
}

// TestDoubtThatCannotBeResolvedIsTold: others wrote on top, so nobody knows.
func TestDoubtThatCannotBeResolvedIsTold(t *testing.T) {
	t.Parallel()
	s, engine := openStore(t)
	first := true
	d := &doubtful{Store: engine, next: func() string {
		if first {
			first = false
			put(t, s, entity.Write{UID: 1, Name: "x", Value: []byte("another"), Base: entity.AnyBase})
			return "never"
		}
		return "answered"
	}}
	_, err := entity.New(d, nil, entity.Config{BytesMax: 100}).Put(t.Context(), entity.Write{UID: 1, Name: "x", Value: []byte("mine"), Base: entity.AnyBase})
	var e *game.Error
	if !errors.As(err, &e) || !e.Doubt || e.Kind != game.Unavailable {
		t.Errorf("Put = %v, want a doubt", err)
	}
}
