package token

import (
	"sync"
	"sync/atomic"
	"time"
)

// digest is the SHA-256 of a token's text.
type digest = [32]byte

// entry is a verified token.
type entry struct {
	claims  *Claims
	footer  string    // of the key that signed it
	expires time.Time // with leeway
	used    atomic.Bool
}

// cache remembers verified tokens. What is full drops an entry that was not used
// since the hand passed it last (second chance).
type cache struct {
	shards [shards]shard
	max    int // entries of one shard
}

// shards is how many parts can be changed at the same time. Digests are spread evenly.
const shards = 16

type shard struct {
	mu      sync.RWMutex
	entries map[digest]*entry
	ring    []digest // the keys of entries, in the order of the hand
	hand    int
}

func newCache(max int) *cache {
	c := &cache{max: (max + shards - 1) / shards}
	for i := range c.shards {
		c.shards[i].entries = map[digest]*entry{}
	}
	return c
}

func (c *cache) get(d *digest) *entry {
	s := &c.shards[d[0]%shards]
	s.mu.RLock()
	e := s.entries[*d]
	s.mu.RUnlock()
	if e != nil && !e.used.Load() {
		e.used.Store(true)
	}
	return e
}

func (c *cache) put(d *digest, e *entry) {
	if c.max == 0 {
		return
	}
	s := &c.shards[d[0]%shards]
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.entries[*d] != nil {
		return // another request verified it at the same time
	}
	if len(s.ring) < c.max {
		s.ring = append(s.ring, *d)
		s.entries[*d] = e
		return
	}
	for s.entries[s.ring[s.hand]].used.Swap(false) {
		s.hand = (s.hand + 1) % len(s.ring)
	}
	delete(s.entries, s.ring[s.hand])
	s.ring[s.hand] = *d
	s.entries[*d] = e
	s.hand = (s.hand + 1) % len(s.ring)
}

func (c *cache) len() (n int) {
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.RLock()
		n += len(s.entries)
		s.mu.RUnlock()
	}
	return n
}
