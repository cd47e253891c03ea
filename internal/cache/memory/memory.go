// Package memory is the engine of cache in this process: for a store that only
// this process writes, since no other one could see its marks. With cache.NewSole
// as board it is never away.
//
// Vocabulary. A shard is a part of the keys with a lock of its own; each has the
// same part of the bounds. The cell that was used longest ago goes first when a bound
// is reached, also when its life is not over.
package memory

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kamado/kamado/internal/cache"
)

// Config bounds the cells.
type Config struct {
	EntriesMax int
	// BytesMax counts keys, cells and entryBytes for each of them.
	BytesMax int64
}

// Default takes at most 64 MiB.
func Default() Config { return Config{EntriesMax: 200_000, BytesMax: 64 << 20} }

// shards is how many locks there are; entryBytes about what an entry takes besides
// its key and cell: an element of the list (56), the entry (80), a place in the map (40).
const (
	shards     = 16
	entryBytes = 176
)

// Validate gives all complaints at once.
func (c Config) Validate() error {
	var errs []error
	if c.EntriesMax < shards {
		errs = append(errs, fmt.Errorf("entries max is %d, must be at least %d", c.EntriesMax, shards))
	}
	if c.BytesMax < shards*4096 {
		errs = append(errs, fmt.Errorf("bytes max is %d, must be at least %d", c.BytesMax, shards*4096))
	}
	return errors.Join(errs...)
}

// Engine implements cache.Engine.
type Engine struct {
	seed    maphash.Seed
	shards  [shards]shard
	stamps  atomic.Uint64
	evicted atomic.Uint64
	now     func() time.Time
}

var _ cache.Engine = (*Engine)(nil)

// entry is a cell; its stamp is never given again.
type entry struct {
	key   string
	cell  []byte
	stamp uint64
	until time.Time
}

func (e *entry) bytes() int64 { return int64(len(e.key)) + int64(len(e.cell)) + entryBytes }

type shard struct {
	entriesMax int
	bytesMax   int64

	mu sync.Mutex
	// used is in the order of use, newest first; its values are *entry.
	used  *list.List
	at    map[string]*list.Element
	bytes int64 // Invariant: the sum over used, at most bytesMax.
}

// New makes an empty cache. Registry may be nil.
func New(cfg Config, registry prometheus.Registerer) (*Engine, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("configure cache in memory: %w", err)
	}
	e := &Engine{seed: maphash.MakeSeed(), now: time.Now}
	for i := range e.shards {
		e.shards[i] = shard{entriesMax: cfg.EntriesMax / shards, bytesMax: cfg.BytesMax / shards, used: list.New(), at: map[string]*list.Element{}}
	}
	if registry != nil {
		if err := e.register(registry); err != nil {
			return nil, fmt.Errorf("register metrics of the cache in memory: %w", err)
		}
	}
	return e, nil
}

// register adds
//
//	kamado_cache_memory_entries        cells that are kept, those whose life is over and that nobody asked for included
//	kamado_cache_memory_bytes          about what they take
//	kamado_cache_memory_evicted_total  cells that went before their life was over
func (e *Engine) register(r prometheus.Registerer) error {
	sum := func(of func(*shard) float64) func() float64 {
		return func() (all float64) {
			for i := range e.shards {
				s := &e.shards[i]
				s.mu.Lock()
				all += of(s)
				s.mu.Unlock()
			}
			return all
		}
	}
	gauge := func(name, help string, fn func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: "kamado", Subsystem: "cache_memory", Name: name, Help: help}, fn)
	}
	return errors.Join(
		r.Register(gauge("entries", "Cells in memory.", sum(func(s *shard) float64 { return float64(len(s.at)) }))),
		r.Register(gauge("bytes", "About what the cells in memory take.", sum(func(s *shard) float64 { return float64(s.bytes) }))),
		r.Register(prometheus.NewCounterFunc(prometheus.CounterOpts{
			Namespace: "kamado", Subsystem: "cache_memory", Name: "evicted_total", Help: "Cells that went before their life was over.",
		}, func() float64 { return float64(e.evicted.Load()) })),
	)
}

// Parts implements cache.Engine.
func (e *Engine) Parts() []string { return []string{"memory"} }

// Part implements cache.Engine.
func (e *Engine) Part(string) int { return 0 }

// Probe implements cache.Engine.
func (e *Engine) Probe(context.Context, int) error { return nil }

// Close implements cache.Engine.
func (e *Engine) Close() error { return nil }

func (e *Engine) shard(key string) *shard { return &e.shards[maphash.String(e.seed, key)%shards] }

// Load implements cache.Engine.
func (e *Engine) Load(_ context.Context, _ int, key string) ([]byte, cache.Stamp, error) {
	s := e.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	el := s.find(key, e.now())
	if el == nil {
		return nil, nil, nil
	}
	s.used.MoveToFront(el)
	there := el.Value.(*entry)
	return there.cell, there.stamp, nil
}

// find gives an entry whose life is not over. Preconditions: mu is held.
func (s *shard) find(key string, now time.Time) *list.Element {
	el := s.at[key]
	if el == nil {
		return nil
	}
	if !now.Before(el.Value.(*entry).until) {
		s.drop(el)
		return nil
	}
	return el
}

// drop removes an entry. Preconditions: mu is held.
func (s *shard) drop(el *list.Element) {
	there := s.used.Remove(el).(*entry)
	delete(s.at, there.key)
	s.bytes -= there.bytes()
}

// holds says whether the cell has the stamp. Preconditions: s.mu is held.
func holds(el *list.Element, at cache.Stamp) bool {
	if el == nil {
		return at == nil
	}
	return at == el.Value.(*entry).stamp
}

// Swap implements cache.Engine.
func (e *Engine) Swap(_ context.Context, _ int, key string, at cache.Stamp, cell []byte, life time.Duration) (cache.Stamp, error) {
	s := e.shard(key)
	now := e.now()
	put := &entry{key: key, cell: cell, until: now.Add(life)}
	if put.bytes() > s.bytesMax {
		return nil, cache.ErrLarge
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	el := s.find(key, now)
	if !holds(el, at) {
		return nil, cache.ErrRefused
	}
	if el != nil {
		s.drop(el)
	}
	for len(s.at) >= s.entriesMax || s.bytes+put.bytes() > s.bytesMax {
		if oldest := s.used.Back(); now.Before(oldest.Value.(*entry).until) {
			e.evicted.Add(1)
		}
		s.drop(s.used.Back())
	}
	put.stamp = e.stamps.Add(1)
	s.at[key] = s.used.PushFront(put)
	s.bytes += put.bytes()
	return put.stamp, nil
}

// Remove implements cache.Engine.
func (e *Engine) Remove(_ context.Context, _ int, key string, at cache.Stamp) error {
	s := e.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	el := s.find(key, e.now())
	if el == nil {
		return nil
	}
	if !holds(el, at) {
		return cache.ErrRefused
	}
	s.drop(el)
	return nil
}
