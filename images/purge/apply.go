package purge

import (
	"cmp"
	"slices"
)

// apply puts an order into its register, if it is the newest there. It does
// nothing with what it has seen or what is older. Preconditions: mu is held, or
// nobody else knows the table.
func (t *Table) apply(o Order, seq uint64) {
	t.last = max(t.last, o.ID.Time)
	t.seq = max(t.seq, seq)
	if o.Action == Purge && o.ID.Compare(t.floor) <= 0 {
		t.absorbed.Add(1)
		return
	}
	e := t.all
	if o.Target.Scope != ScopeAll {
		e = t.index.get(o.Target)
	}
	r := e.regs.Load()
	var before *held
	if r != nil {
		if before = r.hold; o.Action == Purge {
			before = r.purge
		}
	}
	if before != nil && before.ID.Compare(o.ID) >= 0 {
		return
	}
	h := &held{Order: o, seq: seq}
	t.replace(before, h)
	t.set(e, r.with(h))
	if o.Action == Takedown {
		t.unswept = max(t.unswept, seq)
	}
	t.file(h)
}

// set stores the registers of an entry; nil takes them away.
func (t *Table) set(e *entry, r *registers) {
	if old := e.regs.Load(); old != nil {
		t.digest ^= old.mark
	}
	if r != nil {
		t.digest ^= r.mark
	}
	if s := e.target.Scope; s != ScopeAll && (r == nil) != (e.regs.Load() == nil) {
		by := 1
		if r == nil {
			by = -1
		}
		defer t.index.live(s, by)
	}
	e.regs.Store(r)
}

// replace keeps the counts right when h takes the place of before, which may be
// nil, as h may.
func (t *Table) replace(before, h *held) {
	for i, x := range []*held{before, h} {
		if x == nil {
			continue
		}
		by := 2*i - 1
		if x.Action == Purge {
			t.purges += by
		} else {
			t.holds += by
		}
		if x.Action == Takedown {
			t.down += by
		}
	}
	if before == nil {
		return
	}
	before.dead = true
	n := t.nodes[before.ID.Node]
	if n.dead++; n.dead > 16 && 2*n.dead > len(n.list) {
		n.list = slices.DeleteFunc(n.list, func(h *held) bool { return h.dead })
		if n.dead = 0; len(n.list) == 0 {
			delete(t.nodes, before.ID.Node)
		}
	}
}

// file puts an order among those of its node.
func (t *Table) file(h *held) {
	n := t.nodes[h.ID.Node]
	if n == nil {
		n = &nodeOrders{}
		t.nodes[h.ID.Node] = n
	}
	if k := len(n.list); k == 0 || n.list[k-1].ID.Counter < h.ID.Counter {
		n.list = append(n.list, h)
		return
	}
	i, _ := slices.BinarySearchFunc(n.list, h.ID.Counter, func(h *held, c uint64) int { return cmp.Compare(h.ID.Counter, c) })
	n.list = slices.Insert(n.list, i, h)
}

// note moves the vector on when the order is the next of its node.
func (t *Table) note(id ID) {
	if id.Counter == t.vector[id.Node]+1 {
		t.vector[id.Node] = id.Counter
	}
}

// raise lifts the floor and drops the purges below it.
func (t *Table) raise(floor ID) {
	if floor.Compare(t.floor) <= 0 {
		return
	}
	t.floor = floor
	t.last = max(t.last, floor.Time)
	drop := func(e *entry) {
		r := e.regs.Load()
		if r == nil || r.purge == nil || r.purge.ID.Compare(floor) > 0 {
			return
		}
		t.replace(r.purge, nil)
		if r.hold == nil {
			t.set(e, nil)
			return
		}
		t.set(e, (&registers{hold: r.hold}).computed())
	}
	for i := range t.index.tables {
		table := &t.index.tables[i]
		table.each(drop)
		size := tableMin
		for size < 4*table.live {
			size *= 2
		}
		table.rebuild(size)
	}
	drop(t.all)
}

// bound folds the oldest purges when there are too many, forgets nodes of the
// vector, and makes the outcome known to readers. When the record of a floor
// cannot be written, a restart has the purges unfolded again, which is right
// too.
func (t *Table) bound() {
	if t.purges > t.cfg.Purges {
		ids := make([]ID, 0, t.purges)
		for _, n := range t.nodes {
			for _, h := range n.list {
				if !h.dead && h.Action == Purge {
					ids = append(ids, h.ID)
				}
			}
		}
		slices.SortFunc(ids, ID.Compare)
		t.raise(ids[len(ids)-t.cfg.Purges/foldTo-1])
		t.folds.Add(1)
		if !t.journal.Broken() {
			_ = t.write([][]byte{(&record{kind: recordFloor, floor: t.floor}).append(nil)})
		}
	}
	if len(t.vector) > VectorMax {
		t.forget()
	}
	t.rebase()
}

// forget drops the nodes of the vector whose latest order that holds is oldest.
func (t *Table) forget() {
	latest := func(node string) (at int64) {
		if n := t.nodes[node]; n != nil && node != t.self {
			for _, h := range n.list {
				if !h.dead {
					at = max(at, h.ID.Time)
				}
			}
		}
		if node == t.self {
			return timeMax
		}
		return at
	}
	nodes := t.vector.nodes()
	age := make(map[string]int64, len(nodes))
	for _, node := range nodes {
		age[node] = latest(node)
	}
	slices.SortStableFunc(nodes, func(a, b string) int { return cmp.Compare(age[a], age[b]) })
	for _, node := range nodes[:len(nodes)-VectorMax*3/4] {
		delete(t.vector, node)
	}
}

// rebase makes what holds for every original known to readers.
func (t *Table) rebase() {
	b := &base{mark: t.salt}
	if !t.floor.IsZero() {
		b.mark ^= t.floor.mark(roleFloor)
	}
	if r := t.all.regs.Load(); r != nil {
		b.mark ^= r.mark
		b.gone = r.gone
	}
	b.stamp = stampOf(b.mark)
	t.base.Store(b)
}
