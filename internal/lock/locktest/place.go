package locktest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/kamado/kamado/internal/lock"
)

// places are the promises of a place to package lock.
var places = map[string]func(*testing.T, Open){
	"a lease is what was swapped in last":    swaps,
	"of swaps of one version one succeeds":   races,
	"a list has all names once and in order": lists,
	"a prefix is one of the bytes of a name": prefixes,
}

func lease(holder string, token uint64) lock.Lease {
	return lock.Lease{Holder: holder, Session: "s" + holder, Token: token, Term: long}
}

func swaps(t *testing.T, p Open) {
	a, b := view(t, p), view(t, p)
	if row, err := a.Read(t.Context(), "x"); err != nil || row != (lock.Row{Name: "x"}) {
		t.Errorf("Read of no lease = %+v, %v", row, err)
	}
	if _, err := a.Swap(t.Context(), "x", 7, lease("a", 1)); !errors.Is(err, lock.ErrMoved) {
		t.Errorf("Swap of no lease at a version = %v, want ErrMoved", err)
	}
	last := lock.Row{Name: "x"}
	for i := range uint64(5) {
		by, other := a, b
		if i%2 == 1 {
			by, other = b, a
		}
		next := lease(fmt.Sprint(i), 1<<62+i)
		if i == 3 {
			next = lock.Lease{Token: 1<<62 + i, Term: long} // given back
		}
		row, err := by.Swap(t.Context(), "x", last.Version, next)
		if err != nil || row.Lease != next || row.Name != "x" || row.Version <= last.Version {
			t.Fatalf("Swap = %+v, %v after %+v", row, err, last)
		}
		if seen, err := other.Read(t.Context(), "x"); err != nil || seen != row {
			t.Fatalf("Read = %+v, %v, want %+v", seen, err, row)
		}
		if _, err := other.Swap(t.Context(), "x", last.Version, next); !errors.Is(err, lock.ErrMoved) {
			t.Fatalf("Swap of an older version = %v, want ErrMoved", err)
		}
		last = row
	}
}

func races(t *testing.T, p Open) {
	var views []lock.Place
	for range 4 {
		views = append(views, view(t, p))
	}
	version := int64(0)
	for turn := range 5 {
		var won atomic.Int32
		var wg sync.WaitGroup
		next := make(chan int64, len(views))
		for i, v := range views {
			wg.Go(func() {
				row, err := v.Swap(t.Context(), "x", version, lease(fmt.Sprint(i), uint64(turn+1)))
				switch {
				case err == nil:
					won.Add(1)
					next <- row.Version
				case !errors.Is(err, lock.ErrMoved):
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if won.Load() != 1 {
			t.Fatalf("%d of %d swaps of one version succeeded", won.Load(), len(views))
		}
		version = <-next
	}
}

// strange are names in the order of their bytes.
var strange = []string{"!", "%25", "%2f", ".", "..", "/", "A", "Z", "a", "a b", "a/b", "a0", "aa", "a\u007f", "b", "x'; --", "zookeeper", "ä", "鍵", "\U0010ffff"}

func lists(t *testing.T, p Open) {
	v := view(t, p)
	for i, name := range slices.Backward(strange) {
		if _, err := v.Swap(t.Context(), name, 0, lease("h", uint64(i+1))); err != nil {
			t.Fatalf("%q: %v", name, err)
		}
	}
	for _, limit := range []int{1, 3, len(strange), lock.ListMax} {
		var all []string
		after := ""
		for {
			rows, err := v.List(t.Context(), "", after, limit)
			if err != nil || len(rows) > limit {
				t.Fatalf("List of %d = %d rows, %v", limit, len(rows), err)
			}
			if len(rows) == 0 {
				break
			}
			for _, row := range rows {
				if read, err := v.Read(t.Context(), row.Name); err != nil || read != row {
					t.Fatalf("a list has %+v, Read has %+v, %v", row, read, err)
				}
				all = append(all, row.Name)
			}
			after = all[len(all)-1]
		}
		if !slices.Equal(all, strange) {
			t.Errorf("pages of %d: %q, want %q", limit, all, strange)
		}
	}
	if n, err := v.Count(t.Context()); err != nil || n != len(strange) {
		t.Errorf("Count = %d, %v, want %d", n, err, len(strange))
	}
}

func prefixes(t *testing.T, p Open) {
	v := view(t, p)
	for i, name := range strange {
		if _, err := v.Swap(t.Context(), name, 0, lease("h", uint64(i+1))); err != nil {
			t.Fatalf("%q: %v", name, err)
		}
	}
	for _, prefix := range append(strange, "no such", "%2", "a\U0010ffff", "\ud7ff") {
		var want, got []string
		for _, name := range strange {
			if strings.HasPrefix(name, prefix) {
				want = append(want, name)
			}
		}
		rows, err := v.List(t.Context(), prefix, "", lock.ListMax)
		if err != nil {
			t.Fatal(err)
		}
		for _, row := range rows {
			got = append(got, row.Name)
		}
		if !slices.Equal(got, want) {
			t.Errorf("names with %q: %q, want %q", prefix, got, want)
		}
	}
}
