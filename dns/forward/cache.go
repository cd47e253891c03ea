package forward

import (
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kamado/kamado/dns"
)

// ways is the number of entries of one set of the cache.
const ways = 8

// negativeWays bounds the negative entries of one set, so that questions for
// names that do not exist cannot push out those that do.
const negativeWays = ways / 2

// cache is set-associative: the hash of a key names a set, the entry is one of
// its few. Readers load pointers; writers hold the set's lock. When a set is
// full, or the bytes of all are, the entry of a set that was used longest ago goes.
type cache struct {
	seed     maphash.Seed
	sets     []set
	bytesMax int64

	bytes   atomic.Int64
	entries atomic.Int64
	evicted atomic.Int64
	hand    atomic.Uint64 // the set that gives way next when bytes are short
}

type set struct {
	mu   sync.Mutex // of writers
	ways [ways]atomic.Pointer[entry]
}

func newCache(entries, bytesMax int) *cache {
	return &cache{seed: maphash.MakeSeed(), sets: make([]set, (entries+ways-1)/ways), bytesMax: int64(bytesMax)}
}

func (c *cache) hash(key []byte) uint64 { return maphash.Bytes(c.seed, key) }

func (c *cache) set(hash uint64) *set { return &c.sets[hash%uint64(len(c.sets))] }

// get gives the entry of a key, fresh or not, or nil. It takes no lock and does not allocate.
func (c *cache) get(key []byte) *entry {
	if len(c.sets) == 0 {
		return nil
	}
	hash := c.hash(key)
	s := c.set(hash)
	for i := range s.ways {
		if e := s.ways[i].Load(); e != nil && e.hash == hash && e.key == string(key) {
			return e
		}
	}
	return nil
}

// put stores an entry in the place of the one with its key, an empty one, or the least worthy.
func (c *cache) put(e *entry) {
	if len(c.sets) == 0 || e.size() > c.bytesMax/ways {
		return
	}
	s := c.set(e.hash)
	s.mu.Lock()
	place := s.place(e)
	if old := s.ways[place].Swap(e); old != nil {
		c.forget(old, old.key != e.key)
	}
	c.bytes.Add(e.size())
	c.entries.Add(1)
	s.mu.Unlock()
	for range len(c.sets) * ways {
		if c.bytes.Load() <= c.bytesMax {
			return
		}
		c.giveWay(&c.sets[c.hand.Add(1)%uint64(len(c.sets))])
	}
}

// forget takes an entry that was stored off the accounts.
func (c *cache) forget(e *entry, evicted bool) {
	c.bytes.Add(-e.size())
	c.entries.Add(-1)
	if evicted {
		c.evicted.Add(1)
	}
}

// place finds where an entry goes. Preconditions: mu is held.
func (s *set) place(e *entry) int {
	empty, negatives := -1, 0
	for i := range s.ways {
		switch old := s.ways[i].Load(); {
		case old == nil:
			empty = i
		case old.hash == e.hash && old.key == e.key:
			return i
		case old.negative:
			negatives++
		}
	}
	if e.negative && negatives >= negativeWays {
		return s.oldest(func(old *entry) bool { return old.negative })
	}
	if empty >= 0 {
		return empty
	}
	return s.oldest(func(*entry) bool { return true })
}

// oldest gives the place of the entry that was used longest ago, or -1.
func (s *set) oldest(among func(*entry) bool) int {
	place, least := -1, int64(0)
	for i := range s.ways {
		e := s.ways[i].Load()
		if e == nil || !among(e) {
			continue
		}
		if used := e.used.Load(); place < 0 || used < least {
			place, least = i, used
		}
	}
	return place
}

// giveWay drops the entry of a set that was used longest ago.
func (c *cache) giveWay(s *set) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := s.oldest(func(*entry) bool { return true }); i >= 0 {
		c.forget(s.ways[i].Swap(nil), true)
	}
}

// remove drops the entry of a key, if there is one.
func (c *cache) remove(key []byte) {
	e := c.get(key)
	if e == nil {
		return
	}
	s := c.set(e.hash)
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.ways {
		if s.ways[i].Load() == e {
			s.ways[i].Store(nil)
			c.forget(e, false)
		}
	}
}

// flush drops all entries.
func (c *cache) flush() {
	for i := range c.sets {
		s := &c.sets[i]
		s.mu.Lock()
		for w := range s.ways {
			if old := s.ways[w].Swap(nil); old != nil {
				c.forget(old, false)
			}
		}
		s.mu.Unlock()
	}
}

// A name that does not exist has no data of any type: its entry is kept under
// type 0, which no question has.
const typeNone dns.Type = 0

// find gives the best entry for a question: a fresh one of its type or of the name
// that is not there, or, with cut, of a name above that is not there; else a stale one.
func (c *cache) find(q *question, cut bool, now int64) *entry {
	e := c.get(q.key.slice())
	if e != nil && now < e.fresh {
		return e
	}
	var k key
	name := q.key.bytes[:len(q.name)]
	bits := q.bits()
	for {
		makeKey(&k, name, typeNone, bits)
		if none := c.get(k.slice()); none != nil {
			if now < none.fresh {
				return none
			}
			if e == nil && len(name) == len(q.name) {
				e = none
			}
		}
		if !cut || name[0] == 0 || len(name) <= 1 {
			break
		}
		name = name[1+name[0]:]
	}
	if e != nil && now >= e.useless {
		return nil
	}
	return e
}

// store puts an entry where find looks for it.
func (c *cache) store(e *entry, q *asked) {
	if e.ttl < time.Second {
		return
	}
	var k key
	makeKey(&k, q.name, typeNone, q.bits)
	if e.rcode == rcodeName && e.answers == 0 {
		e.key, e.hash = string(k.slice()), c.hash(k.slice())
	} else if !e.negative {
		c.remove(k.slice())
	}
	c.put(e)
}
