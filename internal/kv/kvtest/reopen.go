package kvtest

import (
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"testing"

	"github.com/kamado/kamado/internal/kv"
)

// RunReopen tests an engine that keeps its values in a directory of this machine.
// open opens the directory, which need not exist.
func RunReopen(t *testing.T, open func(t *testing.T, dir string) kv.Store) {
	for name, test := range map[string]func(*testing.T, func(*testing.T, string) kv.Store){
		"values and versions outlive a restart": restart,
		"a snapshot is of one moment":           snapshot,
		"a snapshot leaves the store alone":     snapshotApart,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, open)
		})
	}
}

func shut(t *testing.T, s kv.Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatalf("Close = %v", err)
	}
}

func restart(t *testing.T, open func(*testing.T, string) kv.Store) {
	dir := filepath.Join(t.TempDir(), "kv")
	g := group()
	a, b, gone := kv.Key{Group: g, Name: "a"}, kv.Key{Group: g, Name: "b"}, kv.Key{Group: g, Name: "gone"}
	s := open(t, dir)
	put(t, s, a, "1", kv.Absent)
	first := put(t, s, gone, "x", kv.Absent)
	var last kv.Version
	for range 5 {
		if err := s.Delete(t.Context(), gone, kv.Any); err != nil {
			t.Fatal(err)
		}
		shut(t, s)
		s = open(t, dir)
		hasNot(t, s, gone)
		_, err := s.Put(t.Context(), gone, nil, first)
		wants(t, "Put with a base from before the restart", err, kv.ErrConflict)
		v := put(t, s, gone, "y", kv.Absent)
		if v <= first || v <= last {
			t.Fatalf("version %d after a restart, and %d before", v, max(first, last))
		}
		last = v
	}
	v := put(t, s, b, "2", kv.Absent)
	shut(t, s)
	s = open(t, dir)
	has(t, s, b, "2", v)
	has(t, s, gone, "y", last)
	shut(t, s)
}

func snapshot(t *testing.T, open func(*testing.T, string) kv.Store) {
	s := open(t, filepath.Join(t.TempDir(), "kv"))
	defer shut(t, s)
	snap, ok := s.(kv.Snapshotter)
	if !ok {
		t.Skip("this engine has no snapshots")
	}
	// x is always written before y: a moment has x = y or x = y + 1.
	x, y := kv.Key{Group: group(), Name: "x"}, kv.Key{Group: group(), Name: "y"}
	stop, going := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := 1; ; i++ {
			for _, k := range []kv.Key{x, y} {
				if _, err := s.Put(t.Context(), k, fmt.Append(nil, i), kv.Any); err != nil {
					t.Error(err)
				}
			}
			if i == 20 {
				close(going)
			}
			select {
			case <-stop:
				return
			default:
			}
		}
	})
	<-going
	dir := filepath.Join(t.TempDir(), "copy")
	sure := put(t, s, kv.Key{Group: x.Group, Name: "sure"}, "1", kv.Absent)
	err := snap.Snapshot(t.Context(), dir)
	close(stop)
	wg.Wait()
	if err != nil {
		t.Fatal(err)
	}
	c := open(t, dir)
	defer shut(t, c)
	has(t, c, kv.Key{Group: x.Group, Name: "sure"}, "1", sure)
	var n [2]int
	for i, k := range []kv.Key{x, y} {
		e, err := c.Get(t.Context(), k)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := fmt.Sscan(string(e.Value), &n[i]); err != nil {
			t.Fatal(err)
		}
	}
	if n[0] != n[1] && n[0] != n[1]+1 || n[1] < 20 {
		t.Errorf("the snapshot has x = %d and y = %d, which no moment had", n[0], n[1])
	}
}

func snapshotApart(t *testing.T, open func(*testing.T, string) kv.Store) {
	s := open(t, filepath.Join(t.TempDir(), "kv"))
	defer shut(t, s)
	snap, ok := s.(kv.Snapshotter)
	if !ok {
		t.Skip("this engine has no snapshots")
	}
	k := kv.Key{Group: group(), Name: "n"}
	v := put(t, s, k, "1", kv.Absent)
	dir := filepath.Join(t.TempDir(), "copy")
	if err := snap.Snapshot(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	if err := snap.Snapshot(t.Context(), dir); err == nil {
		t.Error("a snapshot went into a directory that exists")
	}
	v2 := put(t, s, k, "2", v)
	c := open(t, dir)
	defer shut(t, c)
	has(t, c, k, "1", v)
	v3 := put(t, c, k, "3", v)
	has(t, s, k, "2", v2)
	has(t, c, k, "3", v3)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := snap.Snapshot(t.Context(), dir+"2"); !errors.Is(err, kv.ErrClosed) {
		t.Errorf("Snapshot of a closed store = %v, want ErrClosed", err)
	}
}
