package cache_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/kamado/kamado/images/cache"
)

// of makes an entry of an original.
func of(key string, n int) *cache.Entry {
	e := entry('x', n)
	e.Label = cache.Label{Source: "photos", Key: key}
	return e
}

func isKey(key string) func(cache.Label) bool {
	return func(l cache.Label) bool { return l.Source == "photos" && l.Key == key }
}

// filesOf counts the entries on disk that hold bytes of an original.
func filesOf(t *testing.T, dir, key string) (n int) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if strings.Contains(string(b), key) {
			n++
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestSweepRemovesWhatMatchesAndNothingElse(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d, stop := runDisk(t, cache.DiskConfig{Dir: dir, BytesMax: 10 << 20})
	for i := range 400 {
		d.Put(cache.Sum(fmt.Sprint(i)), of(fmt.Sprintf("recipes/%d.jpg", i%4), 100+i))
		eventually(t, "it is written", func() bool { return d.Stats().Pending == 0 })
	}
	stop() // all are written
	d, _ = runDisk(t, cache.DiskConfig{Dir: dir, BytesMax: 10 << 20})
	n, err := d.Sweep(t.Context(), isKey("recipes/3.jpg"))
	if n != 100 || err != nil {
		t.Errorf("Sweep = %d, %v, want 100 entries removed", n, err)
	}
	if left := filesOf(t, dir, "recipes/3.jpg"); left != 0 {
		t.Errorf("%d files of the original are left", left)
	}
	for i := range 400 {
		if _, ok := d.Get(cache.Sum(fmt.Sprint(i))); ok != (i%4 != 3) {
			t.Fatalf("entry %d: found = %v", i, ok)
		}
	}
	if st := d.Stats(); st.Bytes != dirBytes(t, dir) || st.Removed != 100 || st.Looked != 400 {
		t.Errorf("stats = %+v, want %d bytes, 100 removed, 400 looked at", st, dirBytes(t, dir))
	}
}

func TestSweepRemovesWhatNobodyCanTell(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	bucket := filepath.Join(dir, "ab")
	if err := os.Mkdir(bucket, 0o700); err != nil {
		t.Fatal(err)
	}
	whole := cache.AppendEntry(nil, cache.Sum("a"), of("keep", 100))
	for name, b := range map[string][]byte{
		"old": append([]byte("KMR1"), whole[4:]...), "cut": whole[:50], "flipped": append(append([]byte{}, whole[:74]...), append([]byte{whole[74] ^ 1}, whole[75:]...)...), "whole": whole,
	} {
		if err := os.WriteFile(filepath.Join(bucket, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	d, _ := runDisk(t, cache.DiskConfig{Dir: dir, BytesMax: 10 << 20})
	if n, err := d.Sweep(t.Context(), func(cache.Label) bool { return false }); n != 3 || err != nil {
		t.Errorf("Sweep = %d, %v, want the 3 that are no entries", n, err)
	}
	if _, err := os.Stat(filepath.Join(bucket, "whole")); err != nil {
		t.Errorf("the whole entry: %v", err)
	}
}

// TestNothingOfARefusedOriginalStays takes an original down while many
// goroutines go on putting renditions of it, as requests do that were under way.
func TestNothingOfARefusedOriginalStays(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var down atomic.Bool
	refused := func(l cache.Label) bool { return down.Load() && l.Key == "bad" }
	d, stop := runDisk(t, cache.DiskConfig{Dir: dir, BytesMax: 10 << 20, Refused: refused})
	var wg sync.WaitGroup
	begun := make(chan struct{}, 4)
	for g := range 4 {
		wg.Go(func() {
			for i := range 300 {
				d.Put(cache.Sum(fmt.Sprint(g, i)), of([]string{"bad", "good"}[i%2], 500))
				if i == 20 {
					begun <- struct{}{}
				}
			}
		})
	}
	for range 4 {
		<-begun
	}
	eventually(t, "some are written", func() bool { return d.Stats().Writes > 0 })
	down.Store(true)
	if _, err := d.Sweep(t.Context(), refused); err != nil {
		t.Fatal(err)
	}
	if n := filesOf(t, dir, "bad"); n != 0 {
		t.Errorf("%d files of the original when Sweep returned, want 0", n)
	}
	wg.Wait()
	stop()
	if n := filesOf(t, dir, "bad"); n != 0 {
		t.Errorf("%d files of the original at the end, want 0", n)
	}
	if filesOf(t, dir, "good") == 0 {
		t.Error("nothing of the other original was kept")
	}
	if st := d.Stats(); st.Bytes != dirBytes(t, dir) {
		t.Errorf("%d bytes counted, %d on disk", st.Bytes, dirBytes(t, dir))
	}
}

func TestSweepKeepsItsPaceAndEndsWithItsContext(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	bucket := filepath.Join(dir, "00")
	if err := os.Mkdir(bucket, 0o700); err != nil {
		t.Fatal(err)
	}
	for i := range 600 {
		if err := os.WriteFile(filepath.Join(bucket, fmt.Sprint(i)), cache.AppendEntry(nil, cache.Key{}, of("a", 1)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	d, _ := runDisk(t, cache.DiskConfig{Dir: dir, BytesMax: 10 << 20, SweepRate: 1})
	ctx, cancel := context.WithCancelCause(t.Context())
	mine := errors.New("enough")
	looked := 0
	n, err := d.Sweep(ctx, func(cache.Label) bool {
		if looked++; looked == 100 {
			cancel(mine)
		}
		return false
	})
	if n != 0 || !errors.Is(err, mine) || looked >= 600 {
		t.Errorf("Sweep = %d, %v after %d files, want the context's cause before the rest", n, err, looked)
	}
}

func TestMemoryRemoveIf(t *testing.T) {
	t.Parallel()
	m := cache.NewMemory[int, int](64 << 20)
	for i := range 1000 {
		m.Add(i, i, 1000)
	}
	if n := m.RemoveIf(func(k, v int) bool { return k == v && k%2 == 1 }); n != 500 {
		t.Errorf("RemoveIf = %d, want 500", n)
	}
	for i := range 1000 {
		if _, ok := m.Get(i); ok != (i%2 == 0) {
			t.Fatalf("Get(%d) = %v", i, ok)
		}
	}
	if st := m.Stats(); st.Entries != 500 || st.Bytes != 500_000 {
		t.Errorf("stats = %+v, want 500 entries of 1000", st)
	}
	if n := cache.NewMemory[int, int](0).RemoveIf(func(int, int) bool { return true }); n != 0 {
		t.Errorf("RemoveIf of a cache that is off = %d", n)
	}
}

// BenchmarkSweep looks at 20,000 entries of 30 KB, of which none matches. The
// rate is off, so that it tells what a file costs.
func BenchmarkSweep(b *testing.B) {
	const files = 20_000
	dir := b.TempDir()
	for i := range files {
		key := cache.Sum(fmt.Sprint(i))
		path := filepath.Join(dir, key.String()[:2], key.String()[2:])
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			b.Fatal(err)
		}
		if err := os.WriteFile(path, cache.AppendEntry(nil, key, of(fmt.Sprintf("recipes/%d.jpg", i), 30_000)), 0o600); err != nil {
			b.Fatal(err)
		}
	}
	d, err := cache.OpenDisk(cache.DiskConfig{Dir: dir, BytesMax: 10 << 30, SweepRate: 1 << 30, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.Context())
	done := make(chan error, 1)
	go func() { done <- d.Run(ctx) }()
	for b.Loop() {
		if _, err := d.Sweep(ctx, func(cache.Label) bool { return false }); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/files, "ns/file")
	cancel()
	<-done
}
