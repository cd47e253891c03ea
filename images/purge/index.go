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
		r.mark ^= r.purge.ID.mark("order")
	}
	if r.hold != nil {
		r.mark ^= r.hold.ID.mark("order")
		r.gone = r.hold.Action == Takedown
	}
	if !r.gone {
		r.stamp = stampOf(r.mark)
	}
	return r
}

// index finds entries by target. Lookups take no lock and make no garbage; one
// writer adds. It is a hash table with open addressing, at most half full, that
// is replaced by a larger one.
type index struct {
	seed  maphash.Seed
	basis uint64 // of the hashes of prefixes
	table atomic.Pointer[[]atomic.Pointer[entry]]
	// count is how many entries of each scope there are, so that a scope
	// without any costs a lookup one load.
	count [scopeEnd]atomic.Int64
	// lengths has a bit for each length that a prefix has. It is never cleared:
	// a length without a prefix costs one probe.
	lengths [keyBytesMax/64 + 1]atomic.Uint64
	n       int
}

func newIndex() *index {
	x := &index{seed: maphash.MakeSeed()}
	x.basis = maphash.String(x.seed, "prefix")
	x.reset(64)
	return x
}

func (x *index) reset(size int) {
	t := make([]atomic.Pointer[entry], size)
	x.table.Store(&t)
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
	table := *x.table.Load()
	mask := uint64(len(table) - 1)
	for i := hash & mask; ; i = (i + 1) & mask {
		e := table[i].Load()
		if e == nil {
			return nil
		}
		if e.hash == hash && e.target.Scope == scope && e.target.Name == name && e.target.Source == source {
			return e
		}
	}
}

// get gives the entry of a target, adding it if need be. For the one writer.
func (x *index) get(t Target) *entry {
	hash := x.hash(t)
	if e := x.find(hash, t.Scope, t.Source, t.Name); e != nil {
		return e
	}
	table := *x.table.Load()
	if 2*(x.n+1) > len(table) {
		x.rebuild(2 * len(table))
		table = *x.table.Load()
	}
	e := &entry{target: t, hash: hash}
	place(table, e)
	x.n++
	if t.Scope == ScopePrefix {
		x.lengths[len(t.Name)/64].Or(1 << (len(t.Name) % 64))
	}
	return e
}

func place(table []atomic.Pointer[entry], e *entry) {
	mask := uint64(len(table) - 1)
	i := e.hash & mask
	for table[i].Load() != nil {
		i = (i + 1) & mask
	}
	table[i].Store(e)
}

// rebuild makes a table of a size, without entries that have no registers.
// Readers go on with the old one.
func (x *index) rebuild(size int) {
	old := *x.table.Load()
	t := make([]atomic.Pointer[entry], size)
	n := 0
	for i := range old {
		if e := old[i].Load(); e != nil && e.regs.Load() != nil {
			place(t, e)
			n++
		}
	}
	x.n = n
	x.table.Store(&t)
}

// each calls f with every entry that has registers. For the one writer.
func (x *index) each(f func(*entry)) {
	table := *x.table.Load()
	for i := range table {
		if e := table[i].Load(); e != nil && e.regs.Load() != nil {
			f(e)
		}
	}
}
