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

// item is a name and its value. A grave is an item without a name: what lay there
// was removed. Short names lie in the item itself, so that to find one costs one
// way to memory less.
type item[T any] struct {
	hash  uint64
	bytes uint8 // of the name in wire form, lower case; 0: a grave
	short [shortName]byte
	long  string // the name, when it has more bytes than short
	value T
}

// shortName is the bytes of a name that lies in its item: most do.
const shortName = 39

func (it *item[T]) setName(name []byte, hash uint64) {
	it.hash, it.bytes = hash, uint8(len(name))
	if copy(it.short[:], name) < len(name) {
		it.long = string(name)
	}
}

func (it *item[T]) is(name []byte, hash uint64) bool {
	if it.hash != hash || int(it.bytes) != len(name) {
		return false
	}
	if len(name) <= shortName {
		return string(it.short[:len(name)]) == string(name)
	}
	return it.long == string(name)
}

func (it *item[T]) name() string {
	if it.bytes <= shortName {
		return string(it.short[:it.bytes])
	}
	return it.long
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
		if it.is(name, h) {
			return &it.value
		}
	}
}

// put adds a name that is not there, with a value that is ready, and gives where it lies.
func (x *index[T]) put(name []byte, value *item[T]) *T {
	if 2*(x.used+1) > len(x.slots.Load().at) {
		x.resize()
	}
	value.setName(name, maphash.Bytes(x.seed, name))
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
		if it.is(name, h) {
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
		if it == nil || it.bytes == 0 {
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
		if it := s.at[i].Load(); it != nil && it.bytes != 0 && !yield(it.name(), &it.value) {
			return
		}
	}
}
