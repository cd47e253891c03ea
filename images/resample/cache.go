package resample

import (
	"container/list"
	"sync"
)

// filterCacheBytes bounds the memory of the filters that all resamplers of a
// program share. A filter of a thumbnail takes 5 to 20 KB: some hundreds stay.
const filterCacheBytes = 4 << 20

// filters is shared because filters depend on sizes alone, and a program
// makes few sizes out of few sizes.
var filters = newFilterCache(filterCacheBytes)

// filterCache keeps the filters used last. Filters are never changed once
// they are in it.
type filterCache struct {
	bytes int // the bound

	mu    sync.Mutex
	room  int // bytes left
	byKey map[axis]*list.Element
	order *list.List // of *cached, used last in front
}

type cached struct {
	axis   axis
	filter *filter
}

func newFilterCache(bytes int) *filterCache {
	return &filterCache{bytes: bytes, room: bytes, byKey: make(map[axis]*list.Element), order: list.New()}
}

// get returns the filter of an axis, building it if need be. Two callers who
// miss at once both build; one result stays.
// What others, held by the caller, have already need not be computed.
func (c *filterCache) get(a axis, others ...*filter) *filter {
	c.mu.Lock()
	if e, ok := c.byKey[a]; ok {
		c.order.MoveToFront(e)
		c.mu.Unlock()
		return e.Value.(*cached).filter
	}
	c.mu.Unlock()
	f := a.build(others...)
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, ok := c.byKey[a]; ok {
		return e.Value.(*cached).filter
	}
	if f.bytes() > c.bytes/4 {
		return f // not worth pushing out that many others
	}
	c.byKey[a] = c.order.PushFront(&cached{a, f})
	for c.room -= f.bytes(); c.room < 0; {
		e := c.order.Back()
		old := c.order.Remove(e).(*cached)
		delete(c.byKey, old.axis)
		c.room += old.filter.bytes()
	}
	return f
}
