package cache

import (
	"hash/maphash"
	"sync"
	"sync/atomic"
)

// shardBytesMin is the least a shard of a Memory holds: a small cache has one
// shard, so that its whole size is there for one large entry. Unit: bytes.
const shardBytesMin = 8 << 20

// shardsMax bounds the shards of a Memory. A hit takes a read lock of one
// shard; 16 keep 64 cores apart well enough.
const shardsMax = 16

// Memory is a cache bounded by the sum of the costs of its entries. It evicts
// by SIEVE: a hit sets one bit, and a hand that walks from the oldest entry
// removes the first whose bit is clear. So a hit takes a read lock and moves
// nothing. Safe for concurrent use.
type Memory[K comparable, V any] struct {
	seed   maphash.Seed
	shards []memoryShard[K, V]
	mask   uint64

	hits, misses, evictions, refused atomic.Uint64
}

type memoryShard[K comparable, V any] struct {
	mu    sync.RWMutex
	nodes map[K]*memoryNode[K, V]
	// newest and oldest end the list of nodes in order of arrival.
	newest, oldest *memoryNode[K, V]
	hand           *memoryNode[K, V] // next node to judge; nil = oldest
	bytes          int64             // Invariant: bytes ≤ max
	max            int64
}

type memoryNode[K comparable, V any] struct {
	key          K
	value        V
	cost         int64
	visited      atomic.Bool
	newer, older *memoryNode[K, V]
}

// NewMemory makes a cache that holds at most max bytes of cost. A max of 0 or
// less makes a nil cache, on which every method works and finds nothing.
func NewMemory[K comparable, V any](max int64) *Memory[K, V] {
	if max <= 0 {
		return nil
	}
	n := 1
	for n < shardsMax && max/int64(2*n) >= shardBytesMin {
		n *= 2
	}
	m := &Memory[K, V]{seed: maphash.MakeSeed(), shards: make([]memoryShard[K, V], n), mask: uint64(n - 1)}
	for i := range m.shards {
		m.shards[i].nodes = make(map[K]*memoryNode[K, V])
		m.shards[i].max = max / int64(n)
	}
	return m
}

func (m *Memory[K, V]) shard(key K) *memoryShard[K, V] {
	if m.mask == 0 {
		return &m.shards[0]
	}
	return &m.shards[maphash.Comparable(m.seed, key)&m.mask]
}

// Get returns the value of a key.
func (m *Memory[K, V]) Get(key K) (value V, ok bool) {
	if m == nil {
		return value, false
	}
	s := m.shard(key)
	s.mu.RLock()
	n := s.nodes[key]
	if n != nil {
		value, ok = n.value, true
		if !n.visited.Load() {
			n.visited.Store(true)
		}
	}
	s.mu.RUnlock()
	if ok {
		m.hits.Add(1)
	} else {
		m.misses.Add(1)
	}
	return value, ok
}

// Add stores a value at a cost, replacing an older one of the same key. It
// reports false when the entry alone is larger than a shard may be; an older
// value of the key is gone then too.
func (m *Memory[K, V]) Add(key K, value V, cost int64) bool {
	if m == nil {
		return false
	}
	s := m.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if old := s.nodes[key]; old != nil {
		s.remove(old)
	}
	if cost > s.max {
		m.refused.Add(1)
		return false
	}
	for s.bytes+cost > s.max {
		s.evict()
		m.evictions.Add(1)
	}
	n := &memoryNode[K, V]{key: key, value: value, cost: cost, older: s.newest}
	if s.newest != nil {
		s.newest.newer = n
	} else {
		s.oldest = n
	}
	s.newest = n
	s.nodes[key] = n
	s.bytes += cost
	return true
}

// Remove forgets a key.
func (m *Memory[K, V]) Remove(key K) {
	if m == nil {
		return
	}
	s := m.shard(key)
	s.mu.Lock()
	if n := s.nodes[key]; n != nil {
		s.remove(n)
	}
	s.mu.Unlock()
}

// RemoveIf forgets what match says yes to, and says how many that was. match is
// called with a read lock held: it must not use the cache, and hits go on
// meanwhile. What is added during the call may be missed.
func (m *Memory[K, V]) RemoveIf(match func(K, V) bool) (removed int) {
	if m == nil {
		return 0
	}
	for i := range m.shards {
		s := &m.shards[i]
		var found []*memoryNode[K, V]
		s.mu.RLock()
		for k, n := range s.nodes {
			if match(k, n.value) {
				found = append(found, n)
			}
		}
		s.mu.RUnlock()
		if len(found) == 0 {
			continue
		}
		s.mu.Lock()
		for _, n := range found {
			if s.nodes[n.key] == n {
				s.remove(n)
				removed++
			}
		}
		s.mu.Unlock()
	}
	return removed
}

// evict removes one entry. Preconditions: mu is held, the shard is not empty.
func (s *memoryShard[K, V]) evict() {
	n := s.hand
	if n == nil {
		n = s.oldest
	}
	for n.visited.Load() {
		n.visited.Store(false)
		if n = n.newer; n == nil {
			n = s.oldest
		}
	}
	s.hand = n.newer
	s.remove(n)
}

// remove unlinks a node. Preconditions: mu is held.
func (s *memoryShard[K, V]) remove(n *memoryNode[K, V]) {
	if s.hand == n {
		s.hand = n.newer
	}
	if n.newer != nil {
		n.newer.older = n.older
	} else {
		s.newest = n.older
	}
	if n.older != nil {
		n.older.newer = n.newer
	} else {
		s.oldest = n.newer
	}
	n.newer, n.older = nil, nil
	delete(s.nodes, n.key)
	s.bytes -= n.cost
}

// MemoryStats are the counters of a Memory since it was made.
type MemoryStats struct {
	Hits      uint64 `json:"hits"`
	Misses    uint64 `json:"misses"`
	Evictions uint64 `json:"evictions"`
	Refused   uint64 `json:"refused"` // entries larger than a shard
	Entries   int    `json:"entries"`
	Bytes     int64  `json:"bytes"`
	BytesMax  int64  `json:"bytes_max"`
}

// Stats counts what is held.
func (m *Memory[K, V]) Stats() MemoryStats {
	if m == nil {
		return MemoryStats{}
	}
	st := MemoryStats{Hits: m.hits.Load(), Misses: m.misses.Load(), Evictions: m.evictions.Load(), Refused: m.refused.Load()}
	for i := range m.shards {
		s := &m.shards[i]
		s.mu.RLock()
		st.Entries += len(s.nodes)
		st.Bytes += s.bytes
		st.BytesMax += s.max
		s.mu.RUnlock()
	}
	return st
}
