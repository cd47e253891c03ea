package memory_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kamado/kamado/internal/cache"
	"github.com/kamado/kamado/internal/cache/cachetest"
	"github.com/kamado/kamado/internal/cache/memory"
)

func open(t *testing.T, cfg memory.Config, r prometheus.Registerer) *memory.Engine {
	t.Helper()
	e, err := memory.New(cfg, r)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestEngine(t *testing.T) {
	t.Parallel()
	cachetest.Run(t, func(t *testing.T) cache.Engine { return open(t, memory.Default(), nil) })
}

// TestBoundsAreKept fills the cache well above its bounds, with small cells and with large ones.
func TestBoundsAreKept(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		cfg   memory.Config
		bytes int
	}{
		"entries": {memory.Config{EntriesMax: 64, BytesMax: 64 << 20}, 10},
		"bytes":   {memory.Config{EntriesMax: 1 << 20, BytesMax: 1 << 20}, 5000},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := prometheus.NewPedanticRegistry()
			e := open(t, c.cfg, r)
			for i := range 3000 {
				if _, err := e.Swap(t.Context(), 0, fmt.Sprint(i), nil, make([]byte, c.bytes), time.Minute); err != nil {
					t.Fatal(err)
				}
			}
			entries, bytes := gauge(t, r, "kamado_cache_memory_entries"), gauge(t, r, "kamado_cache_memory_bytes")
			if entries > float64(c.cfg.EntriesMax) || bytes > float64(c.cfg.BytesMax) || entries == 0 {
				t.Errorf("%v entries of %v bytes are kept, want at most %d and %d", entries, bytes, c.cfg.EntriesMax, c.cfg.BytesMax)
			}
			if evicted := gauge(t, r, "kamado_cache_memory_evicted_total"); evicted != 3000-entries {
				t.Errorf("%v cells were evicted, want %v", evicted, 3000-entries)
			}
		})
	}
}

func gauge(t *testing.T, r *prometheus.Registry, name string) float64 {
	t.Helper()
	all, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range all {
		if f.GetName() == name {
			m := f.GetMetric()[0]
			return m.GetGauge().GetValue() + m.GetCounter().GetValue()
		}
	}
	t.Fatalf("no metric %s", name)
	return 0
}

// TestUsedCellsStay: what is read again and again outlives what is not.
func TestUsedCellsStay(t *testing.T) {
	t.Parallel()
	e := open(t, memory.Config{EntriesMax: 16 * 8, BytesMax: 1 << 20}, nil)
	if _, err := e.Swap(t.Context(), 0, "used", nil, []byte("cell"), time.Minute); err != nil {
		t.Fatal(err)
	}
	for i := range 2000 {
		if _, err := e.Swap(t.Context(), 0, fmt.Sprint(i), nil, []byte("cell"), time.Minute); err != nil {
			t.Fatal(err)
		}
		if cell, _, _ := e.Load(t.Context(), 0, "used"); cell == nil {
			t.Fatalf("the cell that is used all the time went after %d others", i)
		}
	}
}

func TestConfigIsChecked(t *testing.T) {
	t.Parallel()
	_, err := memory.New(memory.Config{}, nil)
	if err == nil || !strings.Contains(err.Error(), "entries max") || !strings.Contains(err.Error(), "bytes max") {
		t.Errorf("New(zero) = %v, want both complaints", err)
	}
	e := open(t, memory.Config{EntriesMax: 16, BytesMax: 16 * 4096}, nil)
	if _, err := e.Swap(t.Context(), 0, "k", nil, make([]byte, 5000), time.Minute); !errors.Is(err, cache.ErrLarge) {
		t.Errorf("Swap above a shard's bytes = %v, want ErrLarge", err)
	}
}

func BenchmarkLoad(b *testing.B) {
	e, err := memory.New(memory.Default(), nil)
	if err != nil {
		b.Fatal(err)
	}
	if _, err := e.Swap(b.Context(), 0, "key", nil, make([]byte, 200), time.Hour); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := e.Load(b.Context(), 0, "key"); err != nil {
			b.Fatal(err)
		}
	}
}
