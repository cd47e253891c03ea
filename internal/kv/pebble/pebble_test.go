package pebble

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/kamado/kamado/internal/kv"
	"github.com/kamado/kamado/internal/kv/kvtest"
)

func open(t *testing.T, dir string, change ...func(*Config)) *Store {
	t.Helper()
	c := Default()
	c.FreeBytesMin = 0
	for _, f := range change {
		f(&c)
	}
	s, err := Open(dir, c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestStore(t *testing.T) {
	t.Parallel()
	kvtest.Run(t, func(t *testing.T) kv.Store { return open(t, filepath.Join(t.TempDir(), "kv")) })
}

func TestReopen(t *testing.T) {
	t.Parallel()
	kvtest.RunReopen(t, func(t *testing.T, dir string) kv.Store { return open(t, dir) })
}

func TestConfig(t *testing.T) {
	t.Parallel()
	if err := Default().Validate(); err != nil {
		t.Error(err)
	}
	_, err := Open(t.TempDir(), Config{FreeBytesMin: -1})
	for _, name := range []string{"cache_bytes", "memtable_bytes", "queue =", "queue_bytes", "free_bytes_min"} {
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("Open with nothing set = %v, want a word on %s", err, name)
		}
	}
}

func TestOneProcessOnly(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "kv")
	open(t, dir)
	if s, err := Open(dir, Default()); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("a second Open = %v, %v", s, err)
	}
}

var key = kv.Key{Group: "u1", Name: "a"}

// TestVersionsPassABackup: a store that is put back gives no version again that it
// gave after the backup.
func TestVersionsPassABackup(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, filepath.Join(dir, "kv"))
	v, err := s.Put(t.Context(), key, []byte("1"), kv.Any)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Snapshot(t.Context(), filepath.Join(dir, "backup")); err != nil {
		t.Fatal(err)
	}
	later, err := s.Put(t.Context(), key, []byte("2"), v)
	if err != nil {
		t.Fatal(err)
	}
	back := open(t, filepath.Join(dir, "backup"))
	other, err := back.Put(t.Context(), key, []byte("other"), v)
	if err != nil || other <= later {
		t.Errorf("the store that was put back gives version %d (%v); %d was given before", other, err, later)
	}
}

// TestVersionsWhenTheClockGoesBack: they grow, over a restart too.
func TestVersionsWhenTheClockGoesBack(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "kv")
	var last kv.Version
	for _, year := range []int{2030, 2020, 1960} {
		s := open(t, dir, func(c *Config) {
			c.Now = func() time.Time { return time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC) }
		})
		for range 3 {
			v, err := s.Put(t.Context(), key, nil, kv.Any)
			if err != nil || v <= last {
				t.Fatalf("in %d: version %d, %v after %d", year, v, err, last)
			}
			last = v
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestQueueIsBounded(t *testing.T) {
	t.Parallel()
	f := newFaulty()
	s := open(t, "/kv", f.set, func(c *Config) { c.Queue, c.QueueBytes = 3, kv.ValueBytesMax })
	hold := make(chan struct{})
	f.hold.Store(&hold)
	var wg sync.WaitGroup
	for i := range 3 {
		wg.Go(func() {
			if _, err := s.Put(t.Context(), kv.Key{Group: "q", Name: fmt.Sprint(i)}, nil, kv.Absent); err != nil {
				t.Error(err)
			}
		})
	}
	eventually(t, func() bool { return s.writes.Load() == 3 })
	var what *kv.ExhaustedError
	if _, err := s.Put(t.Context(), key, nil, kv.Absent); !errors.As(err, &what) || what.Setting != "queue" {
		t.Errorf("Put into a full queue = %v, want it exhausted", err)
	}
	f.hold.Store(nil)
	close(hold)
	wg.Wait()
	s.bytes.Store(1)
	if _, err := s.Put(t.Context(), key, make([]byte, kv.ValueBytesMax), kv.Any); !errors.As(err, &what) || what.Setting != "queue_bytes" {
		t.Errorf("Put of too many bytes = %v, want it exhausted", err)
	}
	s.bytes.Store(0)
	if _, err := s.Put(t.Context(), key, nil, kv.Any); err != nil {
		t.Error(err)
	}
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	r := prometheus.NewPedanticRegistry()
	s := open(t, filepath.Join(t.TempDir(), "kv"))
	if err := s.Register(r); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Put(t.Context(), key, []byte("x"), kv.Any); err != nil {
		t.Fatal(err)
	}
	fams, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, f := range fams {
		for _, m := range f.GetMetric() {
			got[f.GetName()] = m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	if got["kamado_kv_pebble_writes_total"] != 1 || got["kamado_kv_pebble_disk_bytes"] == 0 || got["kamado_kv_pebble_stopped"] != 0 {
		t.Errorf("metrics = %v", got)
	}
}

// TestTheEngineSpeaksIntoTheLog: at Debug what it does, at Warn what it complains of.
func TestTheEngineSpeaksIntoTheLog(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	var mu sync.Mutex
	log := slog.New(slog.NewTextHandler(locked{&mu, &b}, &slog.HandlerOptions{Level: slog.LevelDebug}))
	s := open(t, filepath.Join(t.TempDir(), "kv"), func(c *Config) { c.Log = log })
	words{s}.Errorf("bad %d", 7)
	mu.Lock()
	defer mu.Unlock()
	if got := b.String(); !strings.Contains(got, `level=WARN msg="engine of entities complains" said="bad 7"`) || strings.Count(got, "level=WARN") != 1 {
		t.Errorf("log = %s", got)
	}
}

type locked struct {
	mu *sync.Mutex
	b  *bytes.Buffer
}

func (l locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// FuzzRecord: what is not a record of ours is told, and nothing else happens.
func FuzzRecord(f *testing.F) {
	f.Add(appendKey(nil, key), []byte("\x00\x00\x00\x00\x00\x00\x00\x01value"))
	f.Add([]byte("v"), []byte("short"))
	f.Add([]byte("d\x00"), []byte{})
	f.Fuzz(func(t *testing.T, k, v []byte) {
		if got, err := parseKey(k); err == nil && !bytes.Equal(appendKey(nil, got), k) {
			t.Errorf("parseKey(%q) = %v", k, got)
		}
		if version, value, err := parseValue(v); err == nil && (len(value) != len(v)-8 || version == 0 && !bytes.HasPrefix(v, make([]byte, 8))) {
			t.Errorf("parseValue(%q) = %d, %q", v, version, value)
		}
	})
}

// BenchmarkPut is beside what the engine does alone, without versions.
func BenchmarkPut(b *testing.B) {
	for _, callers := range []int{1, 16, 64} {
		b.Run(fmt.Sprintf("200-bytes/callers-%d", callers), func(b *testing.B) {
			s, err := Open(filepath.Join(b.TempDir(), "kv"), Default())
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			value := make([]byte, 200)
			callTogether(b, callers, func(n int64) error {
				_, err := s.Put(context.Background(), kv.Key{Group: fmt.Sprint("u", n%1000), Name: fmt.Sprint("n", n)}, value, kv.Absent)
				return err
			})
		})
		b.Run(fmt.Sprintf("200-bytes/callers-%d-engine-alone", callers), func(b *testing.B) {
			db, err := pebble.Open(filepath.Join(b.TempDir(), "kv"), &pebble.Options{Logger: words{&Store{log: slog.New(slog.DiscardHandler)}}})
			if err != nil {
				b.Fatal(err)
			}
			defer db.Close()
			value := make([]byte, 200)
			callTogether(b, callers, func(n int64) error { return db.Set(fmt.Appendf(nil, "u%d/n%d", n%1000, n), value, pebble.Sync) })
		})
	}
}

// callTogether shares b.N calls among callers.
func callTogether(b *testing.B, callers int, call func(n int64) error) {
	var next atomic.Int64
	var wg sync.WaitGroup
	b.ReportAllocs()
	b.ResetTimer()
	for range callers {
		wg.Go(func() {
			for n := next.Add(1); n <= int64(b.N); n = next.Add(1) {
				if err := call(n); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "puts/s")
}
