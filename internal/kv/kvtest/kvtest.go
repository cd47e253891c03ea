// Package kvtest holds what every engine of kv promises, as tests. A promise that
// is not here is not one. A test uses groups of its own, so that an engine that is
// slow to start may give the same place to all of them; only the Store is each
// test's own, which closes it.
package kvtest

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/kamado/kamado/internal/kv"
)

// Run tests an engine. fresh opens a Store; it may skip the test. Other Stores may
// be open on the same place.
func Run(t *testing.T, fresh func(t *testing.T) kv.Store) {
	for name, test := range map[string]func(*testing.T, kv.Store){
		"a value is read as it was written":               roundTrip,
		"an empty value is a value":                       empty,
		"a key without value is not found":                missing,
		"a write whose base is old changes nothing":       stale,
		"of writes on one version one succeeds":           race,
		"of creates of one key one succeeds":              createRace,
		"of deletes and puts on one version one succeeds": deleteRace,
		"versions grow, also when a key is made again":    grow,
		"any replaces whatever is there":                  anyBase,
		"bounds are kept":                                 bounds,
		"the biggest value under the longest key":         biggest,
		"values are their holder's own":                   memory,
		"groups and names are no prefixes of each other":  prefixes,
		"a list is in order and comes in pages":           list,
		"a list leaves out what was deleted":              listDeleted,
		"a scan gives every key once":                     scan,
		"a scan ends with its function's error":           scanError,
		"a scan bears writes, of its own function too":    scanWriting,
		"a context that has ended begins nothing":         cancelled,
		"a closed store does nothing":                     closed,
		"counters lose no step":                           counters,
		"a history is one that a single register had":     history,
		"what it says of itself makes sense":              itself,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := fresh(t)
			test(t, s)
			if err := s.Close(); err != nil {
				t.Errorf("Close = %v", err)
			}
		})
	}
}

// group is one that no other test has.
func group() string { return "g" + rand.Text() }

func put(t *testing.T, s kv.Store, k kv.Key, value string, base kv.Version) kv.Version {
	t.Helper()
	v, err := s.Put(t.Context(), k, []byte(value), base)
	if err != nil {
		t.Fatalf("Put(%s, base %d) = %v", k, base, err)
	}
	if v == kv.Absent || v == kv.Any {
		t.Fatalf("Put(%s, base %d) gave version %d, which is no version", k, base, v)
	}
	return v
}

// has wants that a key has a value.
func has(t *testing.T, s kv.Store, k kv.Key, value string, v kv.Version) {
	t.Helper()
	e, err := s.Get(t.Context(), k)
	if err != nil {
		t.Fatalf("Get(%s) = %v", k, err)
	}
	if e.Key != k || string(e.Value) != value || e.Version != v {
		t.Fatalf("Get(%s) = %s %q version %d, want %q version %d", k, e.Key, clip(e.Value), e.Version, clip([]byte(value)), v)
	}
}

func hasNot(t *testing.T, s kv.Store, k kv.Key) {
	t.Helper()
	if e, err := s.Get(t.Context(), k); !errors.Is(err, kv.ErrNotFound) {
		t.Fatalf("Get(%s) = %q, %v, want ErrNotFound", k, clip(e.Value), err)
	}
}

func clip(b []byte) []byte { return b[:min(len(b), 40)] }

func wants(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s = %v, want %v", what, err, want)
	}
}

func roundTrip(t *testing.T, s kv.Store) {
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	g := group()
	for i, value := range []string{"a", string(all), strings.Repeat("\x00", 1000), strings.Repeat("x", 70_000)} {
		k := kv.Key{Group: g, Name: fmt.Sprint("n", i)}
		has(t, s, k, value, put(t, s, k, value, kv.Absent))
	}
}

func empty(t *testing.T, s kv.Store) {
	k := kv.Key{Group: group(), Name: "n"}
	v := put(t, s, k, "", kv.Absent)
	has(t, s, k, "", v)
	_, err := s.Put(t.Context(), k, []byte("x"), kv.Absent)
	wants(t, "Put on top of an empty value", err, kv.ErrConflict)
	if es, err := s.List(t.Context(), k.Group, "", 10); err != nil || len(es) != 1 || len(es[0].Value) != 0 {
		t.Errorf("List = %v, %v, want the empty value", es, err)
	}
	v2, err := s.Put(t.Context(), k, nil, v)
	if err != nil {
		t.Fatal(err)
	}
	has(t, s, k, "", v2)
}

func missing(t *testing.T, s kv.Store) {
	k := kv.Key{Group: group(), Name: "n"}
	hasNot(t, s, k)
	_, err := s.Put(t.Context(), k, []byte("x"), 1)
	wants(t, "Put with a base on a key without value", err, kv.ErrConflict)
	wants(t, "Delete with a base of a key without value", s.Delete(t.Context(), k, 1), kv.ErrConflict)
	if err := s.Delete(t.Context(), k, kv.Any); err != nil {
		t.Errorf("Delete of any of a key without value = %v", err)
	}
	wants(t, "Delete of absent", s.Delete(t.Context(), k, kv.Absent), kv.ErrInvalid)
	hasNot(t, s, k)
	if es, err := s.List(t.Context(), k.Group, "", 10); err != nil || len(es) != 0 {
		t.Errorf("List of a group without keys = %v, %v", es, err)
	}
}

func stale(t *testing.T, s kv.Store) {
	k := kv.Key{Group: group(), Name: "n"}
	first := put(t, s, k, "1", kv.Absent)
	second := put(t, s, k, "2", first)
	for _, base := range []kv.Version{kv.Absent, first, second + 1, kv.Any - 1, first - 1} {
		if base == second {
			continue
		}
		_, err := s.Put(t.Context(), k, []byte("bad"), base)
		wants(t, fmt.Sprintf("Put with base %d while the version is %d", base, second), err, kv.ErrConflict)
		if base != kv.Absent {
			wants(t, fmt.Sprintf("Delete with base %d while the version is %d", base, second), s.Delete(t.Context(), k, base), kv.ErrConflict)
		}
		has(t, s, k, "2", second)
	}
	if err := s.Delete(t.Context(), k, second); err != nil {
		t.Fatal(err)
	}
	for _, base := range []kv.Version{first, second} {
		_, err := s.Put(t.Context(), k, []byte("bad"), base)
		wants(t, "Put with a base from before the delete", err, kv.ErrConflict)
		wants(t, "Delete with a base from before the delete", s.Delete(t.Context(), k, base), kv.ErrConflict)
	}
	hasNot(t, s, k)
}

// contest lets 8 callers do work at once and counts those who succeed; the others
// must be told of a conflict. A write in doubt may count as either.
func contest(t *testing.T, work func(i int) error) (won []int, doubt bool) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	start := make(chan struct{})
	for i := range 8 {
		wg.Go(func() {
			<-start
			err := work(i)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				won = append(won, i)
			case errors.Is(err, kv.ErrDoubt):
				doubt = true
			case !errors.Is(err, kv.ErrConflict):
				t.Error(err)
			}
		})
	}
	close(start)
	wg.Wait()
	if len(won) > 1 || len(won) == 0 && !doubt {
		t.Fatalf("%d of 8 writes on one version succeeded, want 1", len(won))
	}
	return won, doubt
}

// races is how often a race is run.
const races = 30

func race(t *testing.T, s kv.Store) {
	k := kv.Key{Group: group(), Name: "n"}
	put(t, s, k, "-", kv.Absent)
	for range races {
		e, err := s.Get(t.Context(), k)
		if err != nil {
			t.Fatal(err)
		}
		won, doubt := contest(t, func(i int) error {
			_, err := s.Put(t.Context(), k, []byte{byte('0' + i)}, e.Version)
			return err
		})
		if after, err := s.Get(t.Context(), k); !doubt && (err != nil || string(after.Value) != string(rune('0'+won[0])) || after.Version <= e.Version) {
			t.Fatalf("%d won the race, and the value is %q version %d, %v", won[0], after.Value, after.Version, err)
		}
	}
}

func createRace(t *testing.T, s kv.Store) {
	g := group()
	for r := range races {
		k := kv.Key{Group: g, Name: fmt.Sprint("n", r)}
		contest(t, func(i int) error {
			_, err := s.Put(t.Context(), k, []byte{byte(i)}, kv.Absent)
			return err
		})
	}
}

func deleteRace(t *testing.T, s kv.Store) {
	k := kv.Key{Group: group(), Name: "n"}
	for range races {
		v := put(t, s, k, "-", kv.Any)
		won, doubt := contest(t, func(i int) error {
			if i%2 == 0 {
				return s.Delete(t.Context(), k, v)
			}
			_, err := s.Put(t.Context(), k, []byte{byte(i)}, v)
			return err
		})
		if _, err := s.Get(t.Context(), k); !doubt && errors.Is(err, kv.ErrNotFound) != (won[0]%2 == 0) {
			t.Fatalf("%d won (even ones delete), and Get = %v", won[0], err)
		}
	}
}

func grow(t *testing.T, s kv.Store) {
	k := kv.Key{Group: group(), Name: "n"}
	var last kv.Version
	later := func(v kv.Version) {
		t.Helper()
		if v <= last {
			t.Fatalf("version %d after version %d", v, last)
		}
		last = v
	}
	for range 5 {
		later(put(t, s, k, "a", kv.Absent))
		later(put(t, s, k, "a", last)) // the same value is another state
		later(put(t, s, k, "b", kv.Any))
		if err := s.Delete(t.Context(), k, last); err != nil {
			t.Fatal(err)
		}
		later(put(t, s, k, "c", kv.Any))
		if err := s.Delete(t.Context(), k, kv.Any); err != nil {
			t.Fatal(err)
		}
	}
}

func anyBase(t *testing.T, s kv.Store) {
	k := kv.Key{Group: group(), Name: "n"}
	has(t, s, k, "1", put(t, s, k, "1", kv.Any))
	has(t, s, k, "2", put(t, s, k, "2", kv.Any))
	if err := s.Delete(t.Context(), k, kv.Any); err != nil {
		t.Fatal(err)
	}
	hasNot(t, s, k)
	if err := s.Delete(t.Context(), k, kv.Any); err != nil {
		t.Fatal(err)
	}
	has(t, s, k, "3", put(t, s, k, "3", kv.Absent))
}

func bounds(t *testing.T, s kv.Store) {
	good := kv.Key{Group: group(), Name: "n"}
	for _, k := range []kv.Key{{}, {Group: good.Group}, {Name: "n"}, {Group: "a.b", Name: "n"}, {Group: "a", Name: "b*"}, {Group: "a", Name: "n."}, {Group: ">", Name: "n"}} {
		_, err := s.Get(t.Context(), k)
		wants(t, fmt.Sprintf("Get(%q)", k), err, kv.ErrInvalid)
		_, err = s.Put(t.Context(), k, nil, kv.Any)
		wants(t, fmt.Sprintf("Put(%q)", k), err, kv.ErrInvalid)
		wants(t, fmt.Sprintf("Delete(%q)", k), s.Delete(t.Context(), k, kv.Any), kv.ErrInvalid)
	}
	_, err := s.Put(t.Context(), good, make([]byte, kv.ValueBytesMax+1), kv.Any)
	wants(t, "Put of too big a value", err, kv.ErrInvalid)
	hasNot(t, s, good)
	for _, c := range []struct {
		group, after string
		limit        int
	}{{"", "", 1}, {"*", "", 1}, {good.Group, "", 0}, {good.Group, "", kv.ListMax + 1}, {good.Group, "..", 1}, {good.Group, "", -1}} {
		_, err := s.List(t.Context(), c.group, c.after, c.limit)
		wants(t, fmt.Sprintf("List(%q, %q, %d)", c.group, c.after, c.limit), err, kv.ErrInvalid)
	}
}

func biggest(t *testing.T, s kv.Store) {
	k := kv.Key{Group: (group() + strings.Repeat("g", kv.GroupBytesMax))[:kv.GroupBytesMax], Name: strings.Repeat("n", kv.NameBytesMax)}
	value := string(bytes.Repeat([]byte("0123456789abcdef"), kv.ValueBytesMax/16))
	v := put(t, s, k, value, kv.Absent)
	has(t, s, k, value, v)
	for i := range 4 {
		put(t, s, kv.Key{Group: k.Group, Name: fmt.Sprint("m", i)}, value, kv.Absent)
	}
	es, err := s.List(t.Context(), k.Group, "", 10)
	if err != nil || len(es) != 5 {
		t.Fatalf("List of 5 biggest values = %d, %v", len(es), err)
	}
	for _, e := range es {
		if string(e.Value) != value {
			t.Errorf("List: %s has another value", e.Key)
		}
	}
}

func memory(t *testing.T, s kv.Store) {
	k := kv.Key{Group: group(), Name: "n"}
	b := []byte("mine")
	v, err := s.Put(t.Context(), k, b, kv.Absent)
	if err != nil {
		t.Fatal(err)
	}
	copy(b, "xxxx")
	has(t, s, k, "mine", v)
	e, err := s.Get(t.Context(), k)
	if err != nil {
		t.Fatal(err)
	}
	es, err := s.List(t.Context(), k.Group, "", 1)
	if err != nil || len(es) != 1 {
		t.Fatalf("List = %v, %v", es, err)
	}
	copy(e.Value, "yyyy")
	has(t, s, k, "mine", v)
	copy(es[0].Value, "zzzz")
	has(t, s, k, "mine", v)
	var kept []byte
	err = s.Scan(t.Context(), func(e kv.Entry) error {
		if e.Key == k {
			kept = e.Value
		}
		return nil
	})
	put(t, s, k, "late", v)
	if err != nil || string(kept) != "mine" || string(e.Value) != "yyyy" {
		t.Errorf("a scanned value became %q (%v), one that was got %q", kept, err, e.Value)
	}
}

func prefixes(t *testing.T, s kv.Store) {
	g := group()
	keys := []kv.Key{{Group: g, Name: "a"}, {Group: g, Name: "a.b"}, {Group: g, Name: "ab"}, {Group: g + "a", Name: "b"}, {Group: g + "a", Name: "a"}, {Group: g, Name: "A"}, {Group: g, Name: "a-b"}, {Group: g, Name: "a_b"}}
	for _, k := range keys {
		put(t, s, k, k.String(), kv.Absent)
	}
	for _, k := range keys {
		if e, err := s.Get(t.Context(), k); err != nil || string(e.Value) != k.String() {
			t.Errorf("Get(%s) = %q, %v", k, e.Value, err)
		}
	}
	es, err := s.List(t.Context(), g, "", 100)
	if err != nil {
		t.Fatal(err)
	}
	wantNames(t, es, "A", "a", "a-b", "a.b", "a_b", "ab")
	if es, err = s.List(t.Context(), g+"a", "", 100); err != nil {
		t.Fatal(err)
	}
	wantNames(t, es, "a", "b")
}

func wantNames(t *testing.T, es []kv.Entry, want ...string) {
	t.Helper()
	var got []string
	for _, e := range es {
		got = append(got, e.Key.Name)
	}
	if strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("List gave %v, want %v", got, want)
	}
}

func cancelled(t *testing.T, s kv.Store) {
	k := kv.Key{Group: group(), Name: "n"}
	v := put(t, s, k, "1", kv.Absent)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := s.Get(ctx, k)
	wants(t, "Get", err, context.Canceled)
	_, err = s.Put(ctx, k, []byte("2"), v)
	wants(t, "Put", err, context.Canceled)
	wants(t, "Delete", s.Delete(ctx, k, v), context.Canceled)
	_, err = s.List(ctx, k.Group, "", 1)
	wants(t, "List", err, context.Canceled)
	wants(t, "Scan", s.Scan(ctx, func(kv.Entry) error { return nil }), context.Canceled)
	has(t, s, k, "1", v)
}

func closed(t *testing.T, s kv.Store) {
	k := kv.Key{Group: group(), Name: "n"}
	v := put(t, s, k, "1", kv.Absent)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	_, err := s.Get(t.Context(), k)
	wants(t, "Get", err, kv.ErrClosed)
	_, err = s.Put(t.Context(), k, []byte("2"), v)
	wants(t, "Put", err, kv.ErrClosed)
	wants(t, "Delete", s.Delete(t.Context(), k, v), kv.ErrClosed)
	_, err = s.List(t.Context(), k.Group, "", 1)
	wants(t, "List", err, kv.ErrClosed)
	wants(t, "Scan", s.Scan(t.Context(), func(kv.Entry) error { return nil }), kv.ErrClosed)
}

// itself: optional abilities say something that can be used.
func itself(t *testing.T, s kv.Store) {
	if stale, ok := s.(kv.Stale); ok && stale.Staleness() == "" {
		t.Error("Staleness says nothing")
	}
	if f, ok := s.(kv.Fallible); ok {
		select {
		case <-f.Stopped():
			t.Error("a healthy store has stopped")
		default:
		}
		if err := f.Fault(); err != nil {
			t.Errorf("a healthy store has the fault %v", err)
		}
	}
	sharded, ok := s.(kv.Sharded)
	if !ok {
		return
	}
	shards, err := sharded.Shards(t.Context())
	if err != nil || len(shards) == 0 {
		t.Fatalf("Shards = %v, %v", shards, err)
	}
	names := map[string]bool{}
	for _, sh := range shards {
		leaders := 0
		for _, r := range sh.Replicas {
			if r.Leader && r.Node != sh.Leader {
				t.Errorf("shard %s is led by %q, and replica %q leads", sh.Name, sh.Leader, r.Node)
			}
			if r.Leader {
				leaders++
			}
		}
		if sh.Name == "" || names[sh.Name] || leaders > 1 {
			t.Errorf("shard %+v: want a name of its own and at most one leader", sh)
		}
		names[sh.Name] = true
	}
}

// counters: callers add to one number by compare-and-set.
func counters(t *testing.T, s kv.Store) {
	k := kv.Key{Group: group(), Name: "n"}
	put(t, s, k, "0", kv.Absent)
	const callers, steps = 4, 15
	var sure, doubts atomic.Int64
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			for done := 0; done < steps; {
				e, err := s.Get(t.Context(), k)
				if err != nil {
					t.Error(err)
					return
				}
				var n int
				if _, err := fmt.Sscan(string(e.Value), &n); err != nil {
					t.Error(err)
					return
				}
				switch _, err = s.Put(t.Context(), k, fmt.Append(nil, n+1), e.Version); {
				case err == nil:
					sure.Add(1)
					done++
				case errors.Is(err, kv.ErrDoubt):
					doubts.Add(1)
					done++
				case !errors.Is(err, kv.ErrConflict):
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	e, err := s.Get(t.Context(), k)
	if err != nil {
		t.Fatal(err)
	}
	var n int64
	if _, err := fmt.Sscan(string(e.Value), &n); err != nil || n < sure.Load() || n > sure.Load()+doubts.Load() {
		t.Errorf("the counter is %q after %d steps and %d doubtful ones", e.Value, sure.Load(), doubts.Load())
	}
}
