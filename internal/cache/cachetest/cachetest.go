// Package cachetest holds what every engine of cache promises. An engine's test
// calls Run with a function that makes one; a promise that is not tested here
// is none. Not for production code.
package cachetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kamado/kamado/internal/cache"
)

// patience bounds every wait for a life to end, or for a server.
const patience = 15 * time.Second

// Run tries an engine; open makes one that is empty, or gives other keys than any before.
func Run(t *testing.T, open func(t *testing.T) cache.Engine) {
	for _, c := range []struct {
		name string
		try  func(*testing.T, cache.Engine)
	}{
		{"a cell is given back with its stamp", givesBack},
		{"a stamp is good for one change", goodOnce},
		{"a stamp of a removed cell is refused for ever", neverAgain},
		{"a cell ends with its life", ends},
		{"keys of every form are apart", keys},
		{"cells of every size", sizes},
		{"of many swaps of one stamp one wins", race},
		{"increments by compare-and-set are never lost", counting},
		{"parts answer and are stable", parts},
		{"a context that is over", over},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			e := open(t)
			t.Cleanup(func() {
				if err := e.Close(); err != nil {
					t.Errorf("close: %v", err)
				}
			})
			c.try(t, e)
		})
	}
}

func put(t *testing.T, e cache.Engine, key string, at cache.Stamp, cell string) cache.Stamp {
	t.Helper()
	s, err := e.Swap(t.Context(), e.Part(key), key, at, []byte(cell), time.Minute)
	if err != nil || s == nil {
		t.Fatalf("Swap(%.40q) = %v, %v", key, s, err)
	}
	return s
}

func load(t *testing.T, e cache.Engine, key, want string) cache.Stamp {
	t.Helper()
	cell, at, err := e.Load(t.Context(), e.Part(key), key)
	if err != nil || string(cell) != want || (cell == nil) != (at == nil) {
		t.Fatalf("Load(%.40q) = %.40q, %v, %v, want %.40q", key, cell, at, err, want)
	}
	return at
}

func refused(t *testing.T, e cache.Engine, key string, at cache.Stamp) {
	t.Helper()
	if _, err := e.Swap(t.Context(), e.Part(key), key, at, []byte("late"), time.Minute); !errors.Is(err, cache.ErrRefused) {
		t.Fatalf("Swap by a stamp that is over = %v, want ErrRefused", err)
	}
}

func givesBack(t *testing.T, e cache.Engine) {
	load(t, e, "k", "")
	first := put(t, e, "k", nil, "one")
	load(t, e, "k", "one")
	put(t, e, "k", first, "two") // by the stamp that Swap gave
	second := put(t, e, "k", load(t, e, "k", "two"), "three")
	load(t, e, "k", "three")
	if err := e.Remove(t.Context(), e.Part("k"), "k", second); err != nil {
		t.Errorf("Remove = %v", err)
	}
	load(t, e, "k", "")
	if err := e.Remove(t.Context(), e.Part("k"), "k", second); err != nil {
		t.Errorf("Remove of what is not there = %v", err)
	}
}

func goodOnce(t *testing.T, e cache.Engine) {
	first := put(t, e, "k", nil, "same")
	refused(t, e, "k", nil)
	put(t, e, "k", first, "same") // the same bytes are another cell
	refused(t, e, "k", first)
	if err := e.Remove(t.Context(), e.Part("k"), "k", first); !errors.Is(err, cache.ErrRefused) {
		t.Errorf("Remove by a stamp that is over = %v, want ErrRefused", err)
	}
	load(t, e, "k", "same")
}

func neverAgain(t *testing.T, e cache.Engine) {
	seen := map[cache.Stamp]bool{}
	var all []cache.Stamp
	for range 50 {
		at := put(t, e, "k", nil, "lease")
		if seen[at] {
			t.Fatalf("the stamp %v came again", at)
		}
		seen[at] = true
		all = append(all, at)
		if err := e.Remove(t.Context(), e.Part("k"), "k", at); err != nil {
			t.Fatal(err)
		}
		refused(t, e, "k", at)
	}
	put(t, e, "k", nil, "lease")
	for _, at := range all {
		refused(t, e, "k", at)
	}
}

func ends(t *testing.T, e cache.Engine) {
	at, err := e.Swap(t.Context(), e.Part("k"), "k", nil, []byte("short"), cache.LifeMin)
	if err != nil {
		t.Fatal(err)
	}
	put(t, e, "long", nil, "long")
	start := time.Now()
	for {
		cell, _, err := e.Load(t.Context(), e.Part("k"), "k")
		if err != nil {
			t.Fatal(err)
		}
		if cell == nil {
			break
		}
		if time.Since(start) > patience {
			t.Fatalf("a cell with a life of %v was there after %v", cache.LifeMin, patience)
		}
		time.Sleep(20 * time.Millisecond) // between two looks at another process's clock
	}
	refused(t, e, "k", at)
	put(t, e, "k", nil, "next")
	load(t, e, "long", "long")
}

func keys(t *testing.T, e cache.Engine) {
	long := strings.Repeat("x", cache.KeyBytesMax-1)
	all := []string{"a", "A", "a b", "a\r\nmd a\r\n", "ä", "\x00", "a\tb", long + "1", long + "2", "sha256:a", strings.Repeat("y", 240), strings.Repeat("y", 241)}
	for _, k := range all {
		put(t, e, k, nil, "of "+k)
	}
	for _, k := range all {
		load(t, e, k, "of "+k)
	}
}

func sizes(t *testing.T, e cache.Engine) {
	for _, n := range []int{1, 2, 4095, 4096, 4097, 65536, 100_000} {
		cell := bytes.Repeat([]byte("\r\n\x00E"), n/4+1)[:n]
		key := fmt.Sprint("size", n)
		if _, err := e.Swap(t.Context(), e.Part(key), key, nil, bytes.Clone(cell), time.Minute); err != nil {
			t.Fatalf("Swap of %d bytes = %v", n, err)
		}
		load(t, e, key, string(cell))
	}
	at := put(t, e, "large", nil, "before")
	if _, err := e.Swap(t.Context(), e.Part("large"), "large", at, make([]byte, 64<<20), time.Minute); !errors.Is(err, cache.ErrLarge) {
		t.Errorf("Swap of 64 MiB = %v, want ErrLarge", err)
	}
}

func race(t *testing.T, e cache.Engine) {
	const callers, rounds = 8, 40
	at := put(t, e, "k", nil, "start")
	for round := range rounds {
		var won atomic.Int64
		var next atomic.Value
		var all sync.WaitGroup
		for c := range callers {
			all.Go(func() {
				s, err := e.Swap(t.Context(), e.Part("k"), "k", at, fmt.Appendf(nil, "%d/%d", round, c), time.Minute)
				switch {
				case err == nil:
					won.Add(1)
					next.Store(s)
				case !errors.Is(err, cache.ErrRefused):
					t.Errorf("Swap = %v", err)
				}
			})
		}
		all.Wait()
		if won.Load() != 1 {
			t.Fatalf("%d of %d swaps of one stamp won, want 1", won.Load(), callers)
		}
		at = next.Load()
	}
}

func counting(t *testing.T, e cache.Engine) {
	const callers, each = 4, 50
	put(t, e, "n", nil, "0")
	var all sync.WaitGroup
	for range callers {
		all.Go(func() {
			for done := 0; done < each; {
				cell, at, err := e.Load(t.Context(), e.Part("n"), "n")
				if err != nil {
					t.Errorf("Load = %v", err)
					return
				}
				var n int
				if _, err := fmt.Sscan(string(cell), &n); err != nil {
					t.Errorf("cell %q: %v", cell, err)
					return
				}
				_, err = e.Swap(t.Context(), e.Part("n"), "n", at, fmt.Append(nil, n+1), time.Minute)
				switch {
				case err == nil:
					done++
				case !errors.Is(err, cache.ErrRefused):
					t.Errorf("Swap = %v", err)
					return
				}
			}
		})
	}
	all.Wait()
	load(t, e, "n", fmt.Sprint(callers*each))
}

func parts(t *testing.T, e cache.Engine) {
	names := e.Parts()
	if len(names) == 0 {
		t.Fatal("no parts")
	}
	for i := range names {
		if err := e.Probe(t.Context(), i); err != nil {
			t.Errorf("Probe(%s) = %v", names[i], err)
		}
	}
	for i := range 100 {
		key := fmt.Sprint("key", i)
		p := e.Part(key)
		if p < 0 || p >= len(names) || p != e.Part(key) {
			t.Errorf("Part(%q) = %d, then %d, of %d", key, p, e.Part(key), len(names))
		}
	}
}

func over(t *testing.T, e cache.Engine) {
	put(t, e, "k", nil, "cell")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	// Either outcome is good; what must not be is another error, or that the engine is broken afterwards.
	for range 20 {
		if _, _, err := e.Load(ctx, e.Part("k"), "k"); err != nil && !errors.Is(err, cache.ErrAway) {
			t.Errorf("Load = %v, want nil or ErrAway", err)
		}
	}
	load(t, e, "k", "cell")
}
