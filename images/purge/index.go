package purge

import (
	"hash/maphash"
	"math/bits"
	"sync/atomic"
)

// entry is all that is known about one target. Readers load its registers; the
// one writer stores new ones.
type entry struct {
	target Target
	hash   uint64
	regs   atomic.Pointer[registers]
}

// registers are the newest purge and the newest takedown or restore of a target.
// They never change; a newer order makes new ones.
type registers struct {
	purge, hold *held // nil: none
	mark        uint64
	stamp       string // of mark; empty while gone
	gone        bool
}

// held is an order that is in force, or was.
type held struct {
	Order
	seq  uint64 // takedowns and restores: local number of arrival, for sweeps
	dead bool   // replaced or folded; guarded by Table.mu
}

func (r *registers) with(h *held) *registers {
	n := &registers{}
	if r != nil {
		n.purge, n.hold = r.purge, r.hold
	}
	if h.Action == Purge {
		n.purge = h
	} else {
		n.hold = h
	}
	return n.computed()
}

// computed fills in what follows from the orders.
func (r *registers) computed() *registers {
	if r.purge != nil {
		r.mark ^= r.purge.ID.mark(roleOrder)
	}
	if r.hold != nil {
		r.mark ^= r.hold.ID.mark(roleOrder)
		r.gone = r.hold.Action == Takedown
	}
	if !r.gone {
		r.stamp = stampOf(r.mark)
	}
	return r
}

// index finds entries by target. Lookups take no lock and make no garbage; one
// writer adds. Each scope has a table of its own, because those of kinds, owners
// and prefixes are small and asked for with every request.
type index struct {
	seed   maphash.Seed
	basis  uint64 // of the hashes of prefixes
	tables [scopeEnd]table
	// scopes has a bit for each scope of which there is an entry with registers.
	scopes atomic.Uint32
	// lengths has a bit for each length that a prefix has. It is never cleared:
	// a length without a prefix costs one probe.
	lengths [keyBytesMax/64 + 1]atomic.Uint64
}

// table is a hash table with open addressing, at most half full, that is
// replaced by a larger one.
type table struct {
	slots atomic.Pointer[[]atomic.Pointer[entry]]
	n     int // entries
	live  int // entries with registers
}

// tableMin is the least number of slots. Invariant: a power of two.
const tableMin = 16

func newIndex() *index {
	x := &index{seed: maphash.MakeSeed()}
	x.basis = maphash.String(x.seed, "prefix")
	for i := range x.tables {
		x.tables[i].rebuild(tableMin)
	}
	return x
}

// live says that one entry more, or less, of a scope has registers.
func (x *index) live(s Scope, by int) {
	t := &x.tables[s]
	t.live += by
	if t.live > 0 {
		x.scopes.Or(1 << s)
	} else {
		x.scopes.And(^uint32(1 << s))
	}
}

// fnvPrime is of FNV-1a with 64 bits: prefixes need a hash that goes on byte by
// byte. The basis is random, and only operators name prefixes.
const fnvPrime = 1099511628211

func (x *index) hash(t Target) uint64 {
	if t.Scope != ScopePrefix {
		return x.exact(t.Scope, t.Name)
	}
	h := x.basis
	for i := range len(t.Name) {
		h = (h ^ uint64(t.Name[i])) * fnvPrime
	}
	return mix(h)
}

func (x *index) exact(s Scope, name string) uint64 {
	return maphash.String(x.seed, name) ^ uint64(s)*0x9E3779B97F4A7C15
}

// mix spreads the high bits of a product into the low ones.
func mix(h uint64) uint64 { return h ^ bits.RotateLeft64(h, 32)*0x9E3779B97F4A7C15 }

// find gives the entry of a target, or nil.
func (x *index) find(hash uint64, scope Scope, source, name string) *entry {
	slots := *x.tables[scope].slots.Load()
	mask := uint64(len(slots) - 1)
	for i := hash & mask; ; i = (i + 1) & mask {
		e := slots[i&uint64(len(slots)-1)].Load()
		if e == nil {
			return nil
		}
		if e.hash == hash && e.target.Name == name && e.target.Source == source {
			return e
		}
	}
}

// get gives the entry of a target, adding it if need be. For the one writer.
func (x *index) get(target Target) *entry {
	hash := x.hash(target)
	if e := x.find(hash, target.Scope, target.Source, target.Name); e != nil {
		return e
	}
	t := &x.tables[target.Scope]
	if slots := *t.slots.Load(); 2*(t.n+1) > len(slots) {
		t.rebuild(2 * len(slots))
	}
	e := &entry{target: target, hash: hash}
	place(*t.slots.Load(), e)
	t.n++
	if target.Scope == ScopePrefix {
		x.lengths[len(target.Name)/64].Or(1 << (len(target.Name) % 64))
	}
	return e
}

func place(slots []atomic.Pointer[entry], e *entry) {
	mask := uint64(len(slots) - 1)
	i := e.hash & mask
	for slots[i].Load() != nil {
		i = (i + 1) & mask
	}
	slots[i].Store(e)
}

// rebuild makes the table of a size, without entries that have no registers.
// Readers go on with the old one.
func (t *table) rebuild(size int) {
	slots := make([]atomic.Pointer[entry], size)
	t.n = 0
	t.each(func(e *entry) {
		place(slots, e)
		t.n++
	})
	t.slots.Store(&slots)
}

// each calls f with every entry that has registers. For the one writer.
func (t *table) each(f func(*entry)) {
	old := t.slots.Load()
	if old == nil {
		return
	}
	for i := range *old {
		if e := (*old)[i].Load(); e != nil && e.regs.Load() != nil {
			f(e)
		}
	}
}
