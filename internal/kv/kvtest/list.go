package kvtest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/kamado/kamado/internal/kv"
)

func list(t *testing.T, s kv.Store) {
	g := group()
	var want []string
	for i := range 25 {
		name := fmt.Sprintf("n%d", i*7%25) // n10 comes before n2
		want = append(want, name)
		put(t, s, kv.Key{Group: g, Name: name}, "value of "+name, kv.Absent)
	}
	slices.Sort(want)
	for _, limit := range []int{1, 7, 24, 25, 26, kv.ListMax} {
		var got []string
		after := ""
		for {
			es, err := s.List(t.Context(), g, after, limit)
			if err != nil {
				t.Fatal(err)
			}
			if len(es) > limit {
				t.Fatalf("List with limit %d gave %d", limit, len(es))
			}
			for _, e := range es {
				if string(e.Value) != "value of "+e.Key.Name || e.Key.Group != g || e.Version == kv.Absent {
					t.Fatalf("List gave %+v", e)
				}
				got = append(got, e.Key.Name)
				after = e.Key.Name
			}
			if len(es) < limit {
				break
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("pages of %d gave %v, want %v", limit, got, want)
		}
	}
	es, err := s.List(t.Context(), g, "n11x", 2) // a name that is not there
	if err != nil {
		t.Fatal(err)
	}
	wantNames(t, es, "n12", "n13")
	if es, err = s.List(t.Context(), g, "z", 2); err != nil || len(es) != 0 {
		t.Errorf("List from behind the last = %v, %v", es, err)
	}
}

func listDeleted(t *testing.T, s kv.Store) {
	g := group()
	for _, name := range []string{"a", "b", "c", "d"} {
		put(t, s, kv.Key{Group: g, Name: name}, name, kv.Absent)
	}
	for _, name := range []string{"a", "c"} {
		if err := s.Delete(t.Context(), kv.Key{Group: g, Name: name}, kv.Any); err != nil {
			t.Fatal(err)
		}
	}
	es, err := s.List(t.Context(), g, "", 2) // a full page, in spite of the gaps
	if err != nil {
		t.Fatal(err)
	}
	wantNames(t, es, "b", "d")
	put(t, s, kv.Key{Group: g, Name: "c"}, "again", kv.Absent)
	if es, err = s.List(t.Context(), g, "b", 2); err != nil {
		t.Fatal(err)
	}
	wantNames(t, es, "c", "d")
	if string(es[0].Value) != "again" {
		t.Errorf("List gave the old value %q", es[0].Value)
	}
}

func scan(t *testing.T, s kv.Store) {
	prefix := group()
	want := map[kv.Key]kv.Version{}
	for i := range 40 {
		k := kv.Key{Group: fmt.Sprint(prefix, "_", i%10), Name: fmt.Sprint("n", i)}
		want[k] = put(t, s, k, k.String(), kv.Absent)
	}
	gone := kv.Key{Group: prefix + "_0", Name: "gone"}
	put(t, s, gone, "", kv.Absent)
	if err := s.Delete(t.Context(), gone, kv.Any); err != nil {
		t.Fatal(err)
	}
	err := s.Scan(t.Context(), func(e kv.Entry) error {
		if !strings.HasPrefix(e.Key.Group, prefix) {
			return nil // of another test
		}
		if v, ok := want[e.Key]; !ok || v != e.Version || string(e.Value) != e.Key.String() {
			t.Errorf("Scan gave %s version %d: twice, or never written", e.Key, e.Version)
		}
		delete(want, e.Key)
		return nil
	})
	if err != nil || len(want) != 0 {
		t.Errorf("Scan = %v, and left out %v", err, want)
	}
}

func scanError(t *testing.T, s kv.Store) {
	g := group()
	for i := range 5 {
		put(t, s, kv.Key{Group: g, Name: fmt.Sprint(i)}, "", kv.Absent)
	}
	enough := errors.New("enough")
	n := 0
	err := s.Scan(t.Context(), func(kv.Entry) error {
		if n++; n == 3 {
			return enough
		}
		return nil
	})
	if !errors.Is(err, enough) || n != 3 {
		t.Errorf("Scan = %v after %d entries, want its function's error after 3", err, n)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	n = 0
	err = s.Scan(ctx, func(kv.Entry) error {
		if n++; n == 2 {
			cancel()
		}
		return nil
	})
	if !errors.Is(err, context.Canceled) || n != 2 {
		t.Errorf("Scan = %v after %d entries, want that its context ended after 2", err, n)
	}
}

func scanWriting(t *testing.T, s kv.Store) {
	g := group()
	const keys = 30
	for i := range keys {
		put(t, s, kv.Key{Group: g, Name: fmt.Sprint("old", i)}, "0", kv.Absent)
	}
	seen := map[string]int{}
	err := s.Scan(t.Context(), func(e kv.Entry) error {
		if e.Key.Group != g {
			return nil
		}
		seen[e.Key.Name]++
		if !strings.HasPrefix(e.Key.Name, "old") {
			return nil
		}
		// Another key changes, and a new one comes; both may be seen or not.
		for _, name := range []string{fmt.Sprint("old", (len(seen)*7)%keys), "new" + e.Key.Name} {
			if _, err := s.Put(t.Context(), kv.Key{Group: g, Name: name}, []byte("1"), kv.Any); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for i := range keys {
		if n := seen[fmt.Sprint("old", i)]; n != 1 {
			t.Errorf("Scan gave old%d %d times", i, n)
		}
	}
	for name, n := range seen {
		if n != 1 {
			t.Errorf("Scan gave %s %d times", name, n)
		}
	}
}
