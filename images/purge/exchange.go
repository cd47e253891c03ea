package purge

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/kamado/kamado/images"
)

// PageMax bounds the orders of a page.
const PageMax = 1000

// Page is what one node sends to another: orders, and up to where they are
// complete. It is JSON between nodes.
type Page struct {
	Orders []Order `json:"orders"`
	// Covers says up to which counter of each node nothing that holds is missing
	// from this page, for who had seen what was asked for as seen.
	Covers Vector `json:"covers,omitempty"`
	Floor  ID     `json:"floor"`
	More   bool   `json:"more,omitempty"` // ask again, with Next
	Next   Vector `json:"next,omitempty"`
	Digest Digest `json:"digest"` // of all that the sender holds
	Vector Vector `json:"vector,omitempty"`
}

// Digest is equal on two nodes exactly when they hold the same orders and floor,
// but for one chance in 2^64.
type Digest uint64

// String is the digest in 16 hex digits.
func (d Digest) String() string { return fmt.Sprintf("%016x", uint64(d)) }

// MarshalText implements encoding.TextMarshaler.
func (d Digest) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Digest) UnmarshalText(b []byte) error {
	n, err := strconv.ParseUint(string(b), 16, 64)
	if err != nil || len(b) != 16 {
		return fmt.Errorf("%.20q is not a digest", b)
	}
	*d = Digest(n)
	return nil
}

// ParsePage reads a page as JSON and checks every bound.
func ParsePage(b []byte) (Page, error) {
	var p Page
	if err := json.Unmarshal(b, &p); err != nil {
		return Page{}, images.Wrap(images.Invalid, "page of orders", "this is no page of orders", err)
	}
	return p, p.Validate()
}

// Validate says whether the page can be merged.
func (p *Page) Validate() error {
	if len(p.Orders) > PageMax {
		return images.Invalidf("orders", "%d of them, at most %d", len(p.Orders), PageMax)
	}
	for i := range p.Orders {
		if err := p.Orders[i].Validate(); err != nil {
			return err
		}
	}
	if err := errors.Join(p.Covers.Validate(), p.Next.ValidateSince(), p.Vector.Validate()); err != nil {
		return images.Wrap(images.Invalid, "page of orders", err.Error(), nil)
	}
	if !p.Floor.IsZero() && p.Floor.validate() != nil {
		return images.Invalidf("floor", "it is out of range")
	}
	return nil
}

// Page gives up to limit orders that since has not seen, with those that the
// vector does not cover. While More is set, ask again with Next.
func (t *Table) Page(since Vector, limit int) Page {
	if limit < 1 || limit > PageMax {
		limit = PageMax
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	p := Page{Orders: []Order{}, Covers: Vector{}, Floor: t.floor, Digest: t.digestLocked()}
	nodes := t.vector.nodes()
	for node := range t.nodes {
		if _, ok := t.vector[node]; !ok {
			nodes = append(nodes, node)
		}
	}
	slices.Sort(nodes)
	next := copyOf(since)
	for _, node := range nodes {
		from, n := since[node], t.nodes[node]
		if n != nil {
			i, _ := slices.BinarySearchFunc(n.list, from+1, func(h *held, c uint64) int { return cmp.Compare(h.ID.Counter, c) })
			for _, h := range n.list[i:] {
				if h.dead {
					continue
				}
				if len(p.Orders) == limit {
					p.More, p.Next = true, next
					return p
				}
				p.Orders = append(p.Orders, h.Order)
				next[node] = h.ID.Counter
				// What is not covered any more is what has gaps before it.
				if h.ID.Counter <= t.vector[node] {
					p.Covers[node] = h.ID.Counter
				}
			}
		}
		if t.vector[node] > from {
			p.Covers[node] = t.vector[node]
			next[node] = max(next[node], t.vector[node])
		}
	}
	p.Vector = copyOf(t.vector)
	return p
}

func copyOf(v Vector) Vector {
	c := make(Vector, len(v))
	for node, n := range v {
		c[node] = n
	}
	return c
}

func (t *Table) digestLocked() Digest {
	d := t.digest
	if !t.floor.IsZero() {
		d ^= t.floor.mark(roleFloor)
	}
	return Digest(d)
}

// Merge takes what another node sent and gives what was not known here. When it
// returns nil, it is on disk and holds. Errors are images.Invalid, Exhausted
// when twice the bound of takedowns would be reached, and Unavailable.
func (t *Table) Merge(p Page) (fresh []Order, err error) {
	if err := p.Validate(); err != nil {
		return nil, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.journal == nil {
		return nil, ErrClosed
	}
	orders := slices.Clone(p.Orders)
	slices.SortFunc(orders, func(a, b Order) int {
		return cmp.Or(cmp.Compare(a.ID.Node, b.ID.Node), cmp.Compare(a.ID.Counter, b.ID.Counter))
	})
	seen := copyOf(p.Covers)
	for _, o := range orders {
		if next := max(seen[o.ID.Node], t.vector[o.ID.Node]) + 1; o.ID.Counter == next {
			seen[o.ID.Node] = next
		}
		if t.fresh(o) {
			fresh = append(fresh, o)
		}
	}
	if len(fresh) == 0 && t.vector.Covers(seen) && p.Floor.Compare(t.floor) <= 0 {
		return nil, nil
	}
	if t.holdsAfter(fresh) > peerSlack*t.cfg.Takedowns {
		return nil, images.Errorf(images.Exhausted, "another node holds more takedowns than twice the bound of this one, %d", t.cfg.Takedowns)
	}
	if err := t.commit(fresh, seen, p.Floor); err != nil {
		return nil, images.Wrap(images.Unavailable, "merge orders", "the orders could not be written to disk", err)
	}
	t.merged.Add(uint64(len(fresh)))
	return fresh, nil
}

// fresh says whether the order would change anything.
func (t *Table) fresh(o Order) bool {
	if o.Action == Purge && o.ID.Compare(t.floor) <= 0 {
		return false
	}
	e := t.entryOf(o.Target)
	if e == nil {
		return true
	}
	r := e.regs.Load()
	if r == nil {
		return true
	}
	h := r.hold
	if o.Action == Purge {
		h = r.purge
	}
	return h == nil || h.ID.Compare(o.ID) < 0
}

// Vector is what was seen.
func (t *Table) Vector() Vector {
	t.mu.Lock()
	defer t.mu.Unlock()
	return copyOf(t.vector)
}

// Digest is equal where the same orders are held.
func (t *Table) Digest() Digest {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.digestLocked()
}

// Changed gives a channel that is closed with the next change.
func (t *Table) Changed() <-chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.changed
}

// Held says whether the order holds here, or one that replaces it.
func (t *Table) Held(id ID) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.vector.Has(id) {
		return true
	}
	_, ok := t.findLocked(id)
	return ok
}

// Find gives an order that holds.
func (t *Table) Find(id ID) (Order, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.findLocked(id)
}

func (t *Table) findLocked(id ID) (Order, bool) {
	n := t.nodes[id.Node]
	if n == nil {
		return Order{}, false
	}
	i, ok := slices.BinarySearchFunc(n.list, id.Counter, func(h *held, c uint64) int { return cmp.Compare(h.ID.Counter, c) })
	if !ok || n.list[i].dead || n.list[i].ID != id {
		return Order{}, false
	}
	return n.list[i].Order, true
}

// TakenDown says whether a takedown of exactly this target is in force.
func (t *Table) TakenDown(target Target) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.entryOf(target)
	return e != nil && e.regs.Load() != nil && e.regs.Load().gone
}

// Orders gives up to limit orders that hold in the order of time, after an ID;
// or the newest first, before an ID that may be zero. It looks at all orders:
// for people and scripts.
func (t *Table) Orders(after ID, newest bool, limit int) []Order {
	if limit < 1 || limit > PageMax {
		limit = PageMax
	}
	before := func(a, b ID) bool { return a.Compare(b) < 0 }
	if newest {
		before = func(a, b ID) bool { return a.Compare(b) > 0 }
	}
	t.mu.Lock()
	best := make([]*held, 0, limit+1)
	for _, n := range t.nodes {
		for _, h := range n.list {
			if h.dead || !after.IsZero() && !before(after, h.ID) || len(best) == limit && !before(h.ID, best[limit-1].ID) {
				continue
			}
			i, _ := slices.BinarySearchFunc(best, h.ID, func(o *held, id ID) int {
				if before(o.ID, id) {
					return -1
				}
				return 1
			})
			best = slices.Insert(best, i, h)
			best = best[:min(len(best), limit)]
		}
	}
	t.mu.Unlock()
	orders := make([]Order, len(best))
	for i, h := range best {
		orders[i] = h.Order
	}
	return orders
}

// Latest is the ID of the newest order that holds; zero when there is none.
func (t *Table) Latest() ID {
	if list := t.Orders(ID{}, true, 1); len(list) > 0 {
		return list[0].ID
	}
	return ID{}
}

// Unswept says whether takedowns hold whose bytes were not yet deleted here; give
// upTo to Swept after a sweep that began later.
func (t *Table) Unswept() (upTo uint64, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.unswept, t.unswept > t.swept
}

// SweptOf says whether the bytes of an order that holds here were deleted; there
// is nothing to delete of purges and restores.
func (t *Table) SweptOf(id ID) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := t.nodes[id.Node]
	if n == nil {
		return true
	}
	i, ok := slices.BinarySearchFunc(n.list, id.Counter, func(h *held, c uint64) int { return cmp.Compare(h.ID.Counter, c) })
	return !ok || n.list[i].Action != Takedown || n.list[i].seq <= t.swept
}

// Swept notes that everything of the takedowns up to a number was deleted, so
// that a restart need not do it again.
func (t *Table) Swept(upTo uint64) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.journal == nil {
		return ErrClosed
	}
	if upTo <= t.swept {
		return nil
	}
	err := t.write([][]byte{(&record{kind: recordSwept, seq: upTo}).append(nil)})
	t.swept = upTo
	return err
}

// Healed notes that everything was asked of another node after the file was
// damaged, so stamps are those of the fleet again.
func (t *Table) Healed() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.journal == nil {
		return ErrClosed
	}
	if t.salt == 0 {
		return nil
	}
	if err := t.write([][]byte{(&record{kind: recordSalt}).append(nil)}); err != nil {
		return err
	}
	t.salt = 0
	t.rebase()
	return nil
}

// Stats is the state of a table and its counters since it was opened.
type Stats struct {
	Purges       int       `json:"purges"`
	PurgesMax    int       `json:"purges_max"`
	Takedowns    int       `json:"takedowns"` // in force
	Holds        int       `json:"holds"`     // takedowns and restores that are held
	HoldsMax     int       `json:"holds_max"`
	Floor        ID        `json:"floor"`
	Latest       time.Time `json:"latest,omitzero"` // time of the latest order
	Nodes        int       `json:"nodes"`           // in the vector
	NodesMax     int       `json:"nodes_max"`
	JournalBytes int64     `json:"journal_bytes"`
	Folds        uint64    `json:"folds"`
	Absorbed     uint64    `json:"absorbed"` // purges that came later than the floor
	Issued       uint64    `json:"issued"`
	Merged       uint64    `json:"merged"`
	Damaged      uint64    `json:"damaged"`  // places of the file, when it was opened
	Failures     uint64    `json:"failures"` // of writes
	Salted       bool      `json:"salted"`   // the file was damaged and no other node was asked since
	Unswept      bool      `json:"unswept"`  // bytes of takedowns are still to be deleted
	Digest       Digest    `json:"digest"`
}

// Stats reads the state.
func (t *Table) Stats() Stats {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := Stats{
		Purges: t.purges, PurgesMax: t.cfg.Purges, Takedowns: t.down, Holds: t.holds, HoldsMax: t.cfg.Takedowns, Floor: t.floor,
		Nodes: len(t.vector), NodesMax: VectorMax, Folds: t.folds.Load(), Absorbed: t.absorbed.Load(), Issued: t.issued.Load(),
		Merged: t.merged.Load(), Damaged: t.damaged.Load(), Failures: t.failures.Load(), Salted: t.salt != 0,
		Unswept: t.unswept > t.swept, Digest: t.digestLocked(),
	}
	if t.last > 0 {
		s.Latest = time.UnixMicro(t.last).UTC()
	}
	if t.journal != nil {
		s.JournalBytes = t.journal.Size()
	}
	return s
}
