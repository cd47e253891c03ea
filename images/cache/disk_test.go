package cache_test

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kamado/kamado/images/cache"
)

// runDisk opens a disk cache and runs it; stop ends it and waits.
func runDisk(t *testing.T, cfg cache.DiskConfig) (d *cache.Disk, stop func()) {
	t.Helper()
	cfg.Log = slog.New(slog.DiscardHandler)
	d, err := cache.OpenDisk(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- d.Run(ctx) }()
	eventually(t, "the sweep is over", d.Ready)
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run = %v", err)
		}
	}
	t.Cleanup(stop)
	return d, stop
}

func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if cond() {
			return
		}
	}
	t.Fatalf("not within 20 s: %s", what)
}

func entry(fill byte, n int) *cache.Entry {
	return &cache.Entry{
		Label: cache.Label{Source: "default", Key: "recipes/1.jpg", Owner: "u1"},
		Data:  bytes.Repeat([]byte{fill}, n), Format: 1, Flags: cache.FlagMezzanine, Width: 480, Height: 360,
		SourceWidth: 4000, SourceHeight: 3000, Modified: time.Unix(1_700_000_000, 0),
	}
}

// dirBytes adds up the files of a cache by looking at them.
func dirBytes(t *testing.T, dir string) (total int64) {
	t.Helper()
	err := filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		st, err := e.Info()
		if err == nil {
			total += st.Size()
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return total
}

func TestDiskSurvivesARestart(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "results")
	d, stop := runDisk(t, cache.DiskConfig{Dir: dir, BytesMax: 1 << 20})
	key, want := cache.Sum("a"), entry('x', 1000)
	if !d.Put(key, want) {
		t.Fatal("Put refused")
	}
	if got, ok := d.Get(key); !ok || !bytes.Equal(got.Data, want.Data) {
		t.Fatal("an entry that was just put is not found")
	}
	stop() // writes what is queued
	d, _ = runDisk(t, cache.DiskConfig{Dir: dir, BytesMax: 1 << 20})
	got, ok := d.Get(key)
	if !ok || !bytes.Equal(got.Data, want.Data) {
		t.Fatal("the entry did not survive the restart")
	}
	if got.Width != 480 || got.Height != 360 || got.SourceWidth != 4000 || got.SourceHeight != 3000 ||
		got.Format != 1 || got.Flags != cache.FlagMezzanine || got.Label != want.Label || !got.Modified.Equal(want.Modified) {
		t.Errorf("facts after the restart = %+v, want those of %+v", got, want)
	}
	if st := d.Stats(); st.Bytes != cache.EntrySize(want) {
		t.Errorf("bytes counted after the restart = %d, want %d", st.Bytes, cache.EntrySize(want))
	}
}

func TestDiskStaysWithinItsBytes(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "results")
	const bound = 100_000
	d, _ := runDisk(t, cache.DiskConfig{Dir: dir, BytesMax: bound})
	accepted := uint64(0)
	for i := range 300 {
		e := entry(byte(i), 500+i*10)
		eventually(t, "the queue takes an entry", func() bool { return d.Put(cache.Sum(fmt.Sprint(i)), e) })
		accepted++
		if st := d.Stats(); st.Bytes > bound {
			t.Fatalf("%d bytes counted, bound %d", st.Bytes, bound)
		}
	}
	eventually(t, "all are written", func() bool { return d.Stats().Writes == accepted })
	if got := dirBytes(t, dir); got > bound || got != d.Stats().Bytes {
		t.Errorf("%d bytes on disk, %d counted, bound %d", got, d.Stats().Bytes, bound)
	}
	if d.Stats().Evictions == 0 {
		t.Error("nothing was evicted")
	}
	if d.Put(cache.Sum("large"), entry('x', bound/4)) {
		t.Error("took an entry of a quarter of the cache")
	}
}

func TestDiskFindsDamage(t *testing.T) {
	t.Parallel()
	damage := map[string]func(b []byte) []byte{
		"empty, as after a crash before the data reached the disk": func([]byte) []byte { return nil },
		"cut in the header":          func(b []byte) []byte { return b[:20] },
		"cut in the data":            func(b []byte) []byte { return b[:len(b)-1] },
		"zeros, as after a crash":    func(b []byte) []byte { return make([]byte, len(b)) },
		"one bit of the data":        func(b []byte) []byte { b[len(b)-3] ^= 4; return b },
		"one bit of the width":       func(b []byte) []byte { b[32] ^= 1; return b },
		"one bit of the label":       func(b []byte) []byte { b[75] ^= 1; return b },
		"bytes after the end":        func(b []byte) []byte { return append(b, 0) },
		"file of another entry here": func([]byte) []byte { return cache.AppendEntry(nil, cache.Sum("other"), entry('y', 5)) },
	}
	for name, hurt := range damage {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "results")
			d, stop := runDisk(t, cache.DiskConfig{Dir: dir, BytesMax: 1 << 20})
			key := cache.Sum("a")
			d.Put(key, entry('x', 1000))
			stop()
			path := filepath.Join(dir, key.String()[:2], key.String()[2:])
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, hurt(b), 0o600); err != nil {
				t.Fatal(err)
			}
			d, _ = runDisk(t, cache.DiskConfig{Dir: dir, BytesMax: 1 << 20})
			if _, ok := d.Get(key); ok {
				t.Error("a damaged entry was served")
			}
			if st := d.Stats(); st.Damaged != 1 {
				t.Errorf("stats = %+v, want 1 damaged", st)
			}
			if _, err := os.Stat(path); err == nil {
				t.Error("the damaged file is still there")
			}
			if !d.Put(key, entry('z', 10)) {
				t.Error("the key does not accept a new entry")
			}
		})
	}
}

func TestEntriesOfTheFormBeforeAreMisses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d, stop := runDisk(t, cache.DiskConfig{Dir: dir, BytesMax: 1 << 20})
	key := cache.Sum("a")
	d.Put(key, entry('x', 1000))
	stop()
	path := filepath.Join(dir, key.String()[:2], key.String()[2:])
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[3] = '1'
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	d, _ = runDisk(t, cache.DiskConfig{Dir: dir, BytesMax: 1 << 20})
	if _, ok := d.Get(key); ok || d.Stats().Damaged != 0 || d.Stats().Misses != 1 || d.Stats().Bytes != 0 {
		t.Errorf("found %v, stats %+v, want a miss, and the file gone", ok, d.Stats())
	}
}

func TestDiskRemovesLeftoversOfACrash(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "ab"), 0o700); err != nil {
		t.Fatal(err)
	}
	left := filepath.Join(dir, "ab", ".tmp-0123")
	if err := os.WriteFile(left, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	runDisk(t, cache.DiskConfig{Dir: dir, BytesMax: 1 << 20})
	if _, err := os.Stat(left); err == nil {
		t.Error("the temporary file of a crash is still there")
	}
}

func TestDiskShrinksToASmallerBound(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d, stop := runDisk(t, cache.DiskConfig{Dir: dir, BytesMax: 1 << 20})
	for i := range 100 {
		d.Put(cache.Sum(fmt.Sprint(i)), entry('x', 1000))
	}
	stop()
	runDisk(t, cache.DiskConfig{Dir: dir, BytesMax: 20_000})
	if got := dirBytes(t, dir); got > 20_000 {
		t.Errorf("%d bytes after a restart with a bound of 20000", got)
	}
}

func TestDiskEvictsTheLeastRecentlyUsedFirst(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d, stop := runDisk(t, cache.DiskConfig{Dir: dir, BytesMax: 1 << 20, TouchAfter: time.Minute})
	// 40 entries of one bucket, so that order within it is what decides.
	var keys []cache.Key
	for i := 0; len(keys) < 40; i++ {
		if k := cache.Sum(fmt.Sprint(i)); k[0] == 7 {
			keys = append(keys, k)
			d.Put(k, entry('x', 1000))
		}
	}
	stop()
	hour := time.Now().Add(-time.Hour)
	for i, k := range keys {
		at := hour.Add(time.Duration(i) * time.Second)
		if err := os.Chtimes(filepath.Join(dir, k.String()[:2], k.String()[2:]), at, at); err != nil {
			t.Fatal(err)
		}
	}
	d, stop = runDisk(t, cache.DiskConfig{Dir: dir, BytesMax: 1 << 20, TouchAfter: time.Minute})
	d.Get(keys[0]) // the oldest becomes the newest
	stop()
	d, _ = runDisk(t, cache.DiskConfig{Dir: dir, BytesMax: 30_000})
	if _, ok := d.Get(keys[0]); !ok {
		t.Error("the entry that was just used was evicted")
	}
	if _, ok := d.Get(keys[1]); ok {
		t.Error("the least recently used entry was kept")
	}
	if _, ok := d.Get(keys[39]); !ok {
		t.Error("a young entry was evicted")
	}
}

func TestDiskThatCannotWriteCountsAndGoesOn(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	key := cache.Sum("a")
	// A file where the bucket's directory would be: no write can succeed, for root neither.
	if err := os.WriteFile(filepath.Join(dir, key.String()[:2]), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	var said strings.Builder
	d, err := cache.OpenDisk(cache.DiskConfig{Dir: dir, BytesMax: 1 << 20, Log: slog.New(slog.NewTextHandler(&said, nil))})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- d.Run(ctx) }()
	eventually(t, "the sweep is over", d.Ready)
	for range 3 {
		d.Put(key, entry('x', 10))
		eventually(t, "the queue is empty", func() bool { return d.Stats().Pending == 0 })
	}
	eventually(t, "three failures", func() bool { return d.Stats().Failures >= 3 })
	cancel()
	<-done
	if n := strings.Count(said.String(), "cannot write"); n != 1 {
		t.Errorf("said %d times that it cannot write, want once: %s", n, said.String())
	}
}

func FuzzDecodeEntry(f *testing.F) {
	key := cache.Sum("seed")
	good := cache.AppendEntry(nil, key, entry('x', 40))
	f.Add(good)
	f.Add(good[:30])
	bare := entry('x', 3)
	bare.Label = cache.Label{}
	f.Add(cache.AppendEntry(nil, key, bare))
	f.Add([]byte{})
	f.Add(append(bytes.Clone(good), 1))
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := cache.DecodeEntry(b, key)
		if err != nil {
			return
		}
		if again := cache.AppendEntry(nil, key, e); !bytes.Equal(again, b) {
			t.Errorf("decoded and encoded again differs:\n%x\n%x", b, again)
		}
	})
}
