package answer

import (
	"hash/maphash"
	"sync/atomic"
)

// index maps names to values. Readers take no lock and see each name either in
// or out; writers must be one at a time. It is a table with open addressing,
// linear probing and at most half of its places used; growing makes another.
//
// The hash is seeded, so that nobody can choose names that collide.
type index[T any] struct {
	seed  maphash.Seed
	slots atomic.Pointer[slots[T]]
	used  int // places that are not free, with graves
	live  int
}

type slots[T any] struct {
	mask uint64
	at   []atomic.Pointer[item[T]]
}

// item is a name and its value. A grave is an item without a name: what lay there was removed.
type item[T any] struct {
	name  string // wire form, lower case
	hash  uint64
	value T
}

const indexLeast = 8

func newIndex[T any](n int) *index[T] {
	x := &index[T]{seed: maphash.MakeSeed()}
	size := indexLeast
	for size < 2*n {
		size *= 2
	}
	x.slots.Store(&slots[T]{mask: uint64(size - 1), at: make([]atomic.Pointer[item[T]], size)})
	return x
}

// get finds the value of a name; nil when it is not there.
func (x *index[T]) get(name []byte) *T {
	h := maphash.Bytes(x.seed, name)
	s := x.slots.Load()
	for i := h & s.mask; ; i = (i + 1) & s.mask {
		it := s.at[i].Load()
		if it == nil {
			return nil
		}
		if it.hash == h && it.name == string(name) {
			return &it.value
		}
	}
}

// put adds a name that is not there, with a value that is ready, and gives where it lies.
func (x *index[T]) put(name []byte, value *item[T]) *T {
	if 2*(x.used+1) > len(x.slots.Load().at) {
		x.resize()
	}
	value.name, value.hash = string(name), maphash.Bytes(x.seed, name)
	s := x.slots.Load()
	i := value.hash & s.mask
	for s.at[i].Load() != nil {
		i = (i + 1) & s.mask
	}
	s.at[i].Store(value)
	x.used++
	x.live++
	return &value.value
}

// remove takes a name out.
func (x *index[T]) remove(name []byte) {
	h := maphash.Bytes(x.seed, name)
	s := x.slots.Load()
	for i := h & s.mask; ; i = (i + 1) & s.mask {
		it := s.at[i].Load()
		if it == nil {
			return
		}
		if it.hash == h && it.name == string(name) {
			s.at[i].Store(&item[T]{}) // a grave: no name in wire form is empty
			x.live--
			return
		}
	}
}

// resize makes room, and clears graves.
func (x *index[T]) resize() {
	size := indexLeast
	for size < 3*(x.live+1) {
		size *= 2
	}
	old, s := x.slots.Load(), &slots[T]{mask: uint64(size - 1), at: make([]atomic.Pointer[item[T]], size)}
	for n := range old.at {
		it := old.at[n].Load()
		if it == nil || it.name == "" {
			continue
		}
		i := it.hash & s.mask
		for s.at[i].Load() != nil {
			i = (i + 1) & s.mask
		}
		s.at[i].Store(it)
	}
	x.used = x.live
	x.slots.Store(s)
}

// each gives all names, for writers only.
func (x *index[T]) each(yield func(name string, value *T) bool) {
	s := x.slots.Load()
	for i := range s.at {
		if it := s.at[i].Load(); it != nil && it.name != "" && !yield(it.name, &it.value) {
			return
		}
	}
}
