package game

import (
	"cmp"
	"fmt"
	"slices"
)

// Bounds of an account. Lots of one kind and end are one lot, so a user reaches
// LotsMax only by as many different ends.
const (
	LotsMax  = 64
	HoldsMax = 32
)

// Lot is points of one kind with one end.
type Lot struct {
	Kind    PointKind
	Expires Instant // 0: never
	Amount  Amount  // at least 1
}

// Hold is an open reservation.
type Hold struct {
	ID    uint64
	Until Instant
	Lots  []Lot
}

// Amount is what is held.
func (h *Hold) Amount() Amount { return sumLots(h.Lots) }

// Account is the points of a user. Values that an engine gave are shared: nobody changes them.
//
// Invariant: Debt > 0 only while Lots is empty.
type Account struct {
	UID   UID
	Lots  []Lot  // each kind and end once; by end (never last), then free before paid
	Holds []Hold // by ID
	Debt  Amount
	Seq   uint64 // of the last posting; 0: there was none
}

func sumLots(lots []Lot) (sum Amount) {
	for i := range lots {
		sum += lots[i].Amount
	}
	return sum
}

// whole is the lots that there would be if all reservations gave back what they
// hold: the bounds of an account are over these, so that nothing that comes back
// is ever too much, and only what gives points can reach them.
func (a *Account) whole() []Lot {
	if len(a.Holds) == 0 {
		return a.Lots
	}
	lots := slices.Clone(a.Lots)
	for _, h := range a.Holds {
		for _, l := range h.Lots {
			if err := addLot(&lots, l); err != nil {
				panic("game: a lot without points: " + err.Error())
			}
		}
	}
	return lots
}

// Balance is what can be spent at a moment: lots that are over count no more, and those under reservations that are over count again.
func (a *Account) Balance(now Instant) (sum Amount) {
	for _, l := range a.Lots {
		if !l.Expires.over(now) {
			sum += l.Amount
		}
	}
	back := Amount(0)
	for _, h := range a.Holds {
		if !h.Until.over(now) {
			continue
		}
		for _, l := range h.Lots {
			if !l.Expires.over(now) {
				back += l.Amount
			}
		}
	}
	return sum + max(0, back-a.Debt)
}

// At gives the account as the next order would find it: what is over at a moment has ended.
func (a *Account) At(now Instant) *Account {
	d := &draft{at: Stamp{Now: now}, p: &Posting{}, acct: a.Clone()}
	d.tidy(d.acct)
	return d.acct
}

// Of is the part of Lots that is of one kind at a moment.
func (a *Account) Of(kind PointKind, now Instant) (sum Amount) {
	for _, l := range a.Lots {
		if l.Kind == kind && !l.Expires.over(now) {
			sum += l.Amount
		}
	}
	return sum
}

// Held is what open reservations hold at a moment.
func (a *Account) Held(now Instant) (sum Amount) {
	for i := range a.Holds {
		if !a.Holds[i].Until.over(now) {
			sum += a.Holds[i].Amount()
		}
	}
	return sum
}

// NextEnd is the earliest moment at which a lot or a reservation is over; 0: there is none.
func (a *Account) NextEnd() (next Instant) {
	note := func(i Instant) {
		if i != 0 && (next == 0 || i < next) {
			next = i
		}
	}
	for _, l := range a.Lots {
		note(l.Expires)
	}
	for _, h := range a.Holds {
		note(h.Until)
	}
	return next
}

// Clone gives a copy that may be changed.
func (a *Account) Clone() *Account {
	c := *a
	c.Lots = slices.Clone(a.Lots)
	c.Holds = slices.Clone(a.Holds)
	for i := range c.Holds {
		c.Holds[i].Lots = slices.Clone(c.Holds[i].Lots)
	}
	return &c
}

// Apply does to the account what a posting says, for whoever reads postings back.
// An error means that the posting does not belong behind those that were applied
// before; the account is broken then.
func (a *Account) Apply(p *Posting) error {
	if p.Op == OpReserve && p.UID == a.UID {
		a.Holds = append(a.Holds, Hold{ID: p.Hold, Until: p.Until})
	}
	for i := range p.Entries {
		if err := a.apply(&p.Entries[i]); err != nil {
			return fmt.Errorf("posting %d: account %v: %w", p.Seq, a.UID, err)
		}
	}
	a.Holds = slices.DeleteFunc(a.Holds, func(h Hold) bool { return len(h.Lots) == 0 })
	a.Seq = p.Seq
	return nil
}

// apply does one entry, as far as it is of this account.
func (a *Account) apply(e *Entry) error {
	if e.FromUID == a.UID && e.From.OfUser() {
		if err := a.move(e.From, e, -e.Amount); err != nil {
			return err
		}
	}
	if e.ToUID == a.UID && e.To.OfUser() {
		return a.move(e.To, e, e.Amount)
	}
	return nil
}

// move adds an amount, which may be negative, to a part of the account.
func (a *Account) move(class Class, e *Entry, amount Amount) error {
	switch class {
	case UserDebt:
		if a.Debt -= amount; a.Debt < 0 {
			return fmt.Errorf("more debt is paid than there is")
		}
		return nil
	case HeldFree, HeldPaid:
		i := slices.IndexFunc(a.Holds, func(h Hold) bool { return h.ID == e.Hold })
		if i < 0 {
			return fmt.Errorf("there is no open reservation %d", e.Hold)
		}
		return addLot(&a.Holds[i].Lots, Lot{class.kind(), e.Expires, amount})
	}
	return addLot(&a.Lots, Lot{class.kind(), e.Expires, amount})
}

// compareLots orders by end, never last, then by kind.
func compareLots(a, b Lot) int {
	if c := cmp.Compare(uint64(a.Expires)-1, uint64(b.Expires)-1); c != 0 { // 0 becomes the greatest
		return c
	}
	return cmp.Compare(a.Kind, b.Kind)
}

// addLot adds an amount, which may be negative, to a lot.
func addLot(lots *[]Lot, l Lot) error {
	i, found := slices.BinarySearchFunc(*lots, l, compareLots)
	switch {
	case found:
		at := &(*lots)[i]
		if at.Amount += l.Amount; at.Amount < 0 {
			return fmt.Errorf("%d points of a lot are taken that are not there", -at.Amount)
		}
		if at.Amount == 0 {
			*lots = slices.Delete(*lots, i, i+1)
		}
	case l.Amount < 0:
		return fmt.Errorf("%d points are taken from a lot that is not there", -l.Amount)
	default:
		*lots = slices.Insert(*lots, i, l)
	}
	return nil
}
