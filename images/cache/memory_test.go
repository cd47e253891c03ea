package cache_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/kamado/kamado/images/cache"
)

func TestMemoryStaysWithinItsBytes(t *testing.T) {
	t.Parallel()
	m := cache.NewMemory[int, int](1000)
	for i := range 500 {
		m.Add(i, i, int64(1+i%97))
		if st := m.Stats(); st.Bytes > st.BytesMax {
			t.Fatalf("after %d entries: %d bytes held, bound %d", i+1, st.Bytes, st.BytesMax)
		}
	}
	if st := m.Stats(); st.Evictions == 0 || st.Entries == 0 {
		t.Errorf("stats = %+v, want evictions and entries", st)
	}
}

func TestMemoryKeepsWhatIsAskedFor(t *testing.T) {
	t.Parallel()
	m := cache.NewMemory[string, int](10)
	m.Add("hot", 1, 1)
	for i := range 1000 {
		if _, ok := m.Get("hot"); !ok {
			t.Fatalf("the entry that is asked for each time was evicted after %d others", i)
		}
		m.Add(fmt.Sprint(i), i, 1)
	}
}

func TestMemoryReplacesAndRemoves(t *testing.T) {
	t.Parallel()
	m := cache.NewMemory[string, int](10)
	m.Add("a", 1, 4)
	m.Add("a", 2, 5)
	if v, ok := m.Get("a"); !ok || v != 2 {
		t.Errorf("Get after replacing = %v, %v, want 2, true", v, ok)
	}
	if st := m.Stats(); st.Bytes != 5 || st.Entries != 1 {
		t.Errorf("stats after replacing = %+v, want 5 bytes in 1 entry", st)
	}
	m.Remove("a")
	m.Remove("a")
	if _, ok := m.Get("a"); ok {
		t.Error("Get after Remove found the entry")
	}
	if m.Add("large", 1, 11) {
		t.Error("Add took an entry larger than the cache")
	}
	m.Add("b", 1, 10)
	m.Add("c", 1, 10)
	if st := m.Stats(); st.Entries != 1 || st.Bytes != 10 {
		t.Errorf("stats after two entries of the full size = %+v, want one", st)
	}
}

func TestMemoryOffFindsNothing(t *testing.T) {
	t.Parallel()
	m := cache.NewMemory[string, int](0)
	if m != nil {
		t.Fatal("NewMemory(0) is not nil")
	}
	m.Add("a", 1, 1)
	m.Remove("a")
	if _, ok := m.Get("a"); ok || m.Stats().Entries != 0 {
		t.Error("a cache that is off holds something")
	}
}

func TestMemoryUnderConcurrentUse(t *testing.T) {
	t.Parallel()
	m := cache.NewMemory[int, int](64 << 20)
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 5000 {
				k := (i*7 + g) % 300
				if v, ok := m.Get(k); ok && v != k {
					t.Errorf("Get(%d) = %d", k, v)
				}
				m.Add(k, k, 1<<20)
			}
		})
	}
	wg.Wait()
	if st := m.Stats(); st.Bytes > st.BytesMax || st.Bytes != int64(st.Entries)<<20 {
		t.Errorf("stats = %+v, want bytes equal to the entries' and within the bound", st)
	}
}

func TestMemoryHitAllocatesNothing(t *testing.T) {
	m := cache.NewMemory[cache.Key, *cache.Entry](64 << 20)
	key := cache.Sum("a", "b")
	m.Add(key, &cache.Entry{}, 100)
	if n := testing.AllocsPerRun(100, func() { m.Get(key) }); n != 0 {
		t.Errorf("a hit allocates %v times, want 0", n)
	}
	if n := testing.AllocsPerRun(100, func() { key = cache.Sum("w480h360q70", "recipes/1.jpg", "etag") }); n != 0 {
		t.Errorf("Sum allocates %v times, want 0", n)
	}
}

func TestSumKeepsPartsApart(t *testing.T) {
	t.Parallel()
	if cache.Sum("a", "bc") == cache.Sum("ab", "c") || cache.Sum("a") == cache.Sum("a", "") {
		t.Error("different parts gave the same key")
	}
	if got, want := cache.Sum("a", "bc"), cache.Sum([]string{"a", "bc"}...); got != want {
		t.Errorf("equal parts gave the keys %v and %v", got, want)
	}
}

func BenchmarkMemoryHit(b *testing.B) {
	m := cache.NewMemory[cache.Key, *cache.Entry](64 << 20)
	key := cache.Sum("a")
	m.Add(key, &cache.Entry{}, 100)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			m.Get(key)
		}
	})
}
