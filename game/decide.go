package game

import (
	"slices"
	"time"
)

// Rules are what an operator decides about points. The same rules must hold on all
// servers of a ledger.
type Rules struct {
	SpendOrder SpendOrder
	Transfers  bool // whether points may go from user to user
}

// SpendOrder says which lots are spent first. Lots of the same rank go by their end.
type SpendOrder uint8

// The orders of spending.
const (
	FreeFirst SpendOrder = iota
	PaidFirst
	EndingFirst // what ends first, whatever its kind; free before paid at the same end

	spendOrderCount
)

var spendOrderNames = [spendOrderCount]string{"free-first", "paid-first", "ending-first"}

func (s SpendOrder) String() string {
	if s < spendOrderCount {
		return spendOrderNames[s]
	}
	return "unknown"
}

// ParseSpendOrder reads the name of an order.
func ParseSpendOrder(text string) (SpendOrder, error) {
	i := slices.Index(spendOrderNames[:], text)
	if i < 0 {
		return 0, Errorf(Invalid, "spend order %.20q: want free-first, paid-first or ending-first", text)
	}
	return SpendOrder(i), nil
}

// Stamp is the place of a posting in the ledger.
type Stamp struct {
	Seq uint64
	Now Instant
}

// Outcome is what an order leads to.
type Outcome struct {
	Posting *Posting
	Account *Account // of Posting.UID, afterwards
	Other   *Account // of Posting.To, afterwards; nil when there is none
}

// draft is a posting that is being made, with the accounts as they are after the
// entries so far.
type draft struct {
	rules Rules
	at    Stamp
	p     *Posting
	acct  *Account
	other *Account
}

// Decide carries an order out on the accounts, which it leaves alone: what the
// order leads to is new. acct is the account of o.UID (for Confirm and Cancel: of
// the reservation's user), other that of o.To or nil; an account that is not
// there yet has its UID and nothing else. The caller has judged o by Check, has
// found no posting with its Tx, and keeps the outcome as one.
//
// An order that cannot be is an *Error of kind Insufficient, Conflict, NotFound,
// Invalid or TooLarge; nothing was moved. OpExpire on an account where nothing is
// over gives an Outcome without Posting.
func (r Rules) Decide(o *Order, at Stamp, acct, other *Account) (Outcome, error) {
	d := &draft{rules: r, at: at, acct: acct.Clone(), p: &Posting{
		Seq: at.Seq, Time: at.Now, Op: o.Op, Tx: o.Tx, Digest: o.Digest(), UID: acct.UID, To: o.To, Amount: o.Amount, Kind: o.Kind, Hold: o.Hold, Reason: o.Reason, By: o.By,
	}}
	if o.To != 0 {
		d.other = other.Clone()
		d.tidy(d.other)
	}
	hold, holdIndex := d.heldBy(o) // before what is over goes: a reservation that is over is told as that
	d.tidy(d.acct)
	if err := d.carryOut(o, hold, holdIndex); err != nil {
		return Outcome{}, err
	}
	if len(d.p.Entries) == 0 { // OpExpire, OpMerge
		return Outcome{Account: acct}, nil
	}
	return d.outcome()
}

func (d *draft) outcome() (Outcome, error) {
	d.acct.Seq, d.p.Balance = d.at.Seq, d.acct.Balance(d.at.Now)
	if d.other != nil {
		d.other.Seq, d.p.BalanceTo = d.at.Seq, d.other.Balance(d.at.Now)
	}
	for _, a := range []*Account{d.acct, d.other} {
		if a == nil {
			continue
		}
		lots := a.whole()
		if len(lots) > LotsMax {
			return Outcome{}, Errorf(TooLarge, "user %v would have points with %d different ends: at most %d are kept; give ends that fall together, such as ends of months", a.UID, len(lots), LotsMax)
		}
		if total := sumLots(lots); total > AmountMax {
			return Outcome{}, Errorf(Conflict, "user %v would have %d points: at most %d can be kept", a.UID, total, AmountMax)
		}
	}
	return Outcome{Posting: d.p, Account: d.acct, Other: d.other}, nil
}

func (d *draft) carryOut(o *Order, hold Hold, found bool) error {
	switch o.Op {
	case OpGrant:
		d.give(d.acct, Lot{o.Kind, o.Expires, o.Amount}, o.Kind.of(IssuedFree), 0, 0)
		return nil
	case OpSpend:
		return d.take(o.Amount, func(l Lot) (Class, UID) { return l.Kind.of(SpentFree), 0 })
	case OpTransfer:
		if !d.rules.Transfers {
			return Errorf(Denied, "points do not go from user to user here (points.transfers is off)")
		}
		return d.takeLots(o.Amount, func(l Lot) { d.give(d.other, l, l.Kind.of(UserFree), d.acct.UID, 0) })
	case OpReserve:
		return d.reserve(o)
	case OpConfirm, OpCancel:
		return d.end(o, hold, found)
	case OpRevoke:
		return d.revoke(o.Amount)
	case OpMerge:
		d.merge()
	}
	return nil // OpExpire: tidy did it
}

// move makes an entry and does it to the accounts.
func (d *draft) move(e Entry) {
	d.p.Entries = append(d.p.Entries, e)
	for _, a := range []*Account{d.acct, d.other} {
		if a != nil {
			if err := a.apply(&e); err != nil { // amounts were taken from what is there
				panic("game: entry without cover: " + err.Error())
			}
		}
	}
}

// tidy ends what is over on an account: reservations first, since what they held may be over too.
func (d *draft) tidy(a *Account) {
	now := d.at.Now
	if next := a.NextEnd(); !next.over(now) {
		return
	}
	for _, h := range slices.Clone(a.Holds) {
		if h.Until.over(now) {
			d.release(a, h)
		}
	}
	for _, l := range slices.Clone(a.Lots) {
		if l.Expires.over(now) {
			d.move(Entry{From: l.Kind.of(UserFree), FromUID: a.UID, To: l.Kind.of(ExpiredFree), Amount: l.Amount, Expires: l.Expires})
		}
	}
}

// release gives back what a reservation holds, and closes it.
func (d *draft) release(a *Account, h Hold) {
	for _, l := range slices.Clone(h.Lots) {
		d.give(a, l, l.Kind.of(HeldFree), a.UID, h.ID)
	}
	d.close(a, h.ID)
}

func (d *draft) close(a *Account, id uint64) {
	a.Holds = slices.DeleteFunc(a.Holds, func(h Hold) bool { return h.ID == id })
}

// give moves a lot to an account from somewhere: a debt is paid first.
func (d *draft) give(a *Account, l Lot, from Class, fromUID UID, hold uint64) {
	e := Entry{From: from, FromUID: fromUID, Expires: l.Expires, Hold: hold}
	if pay := min(a.Debt, l.Amount); pay > 0 {
		e.To, e.ToUID, e.Amount = UserDebt, a.UID, pay
		d.move(e)
		l.Amount -= pay
	}
	if l.Amount == 0 {
		return
	}
	e.To, e.ToUID, e.Amount = l.Kind.of(UserFree), a.UID, l.Amount
	d.move(e)
}

// rank gives the lots in the order in which they are spent.
func (d *draft) rank() []Lot {
	lots := slices.Clone(d.acct.Lots)
	if d.rules.SpendOrder == EndingFirst {
		return lots // as they lie
	}
	first := Free
	if d.rules.SpendOrder == PaidFirst {
		first = Paid
	}
	slices.SortStableFunc(lots, func(a, b Lot) int {
		switch {
		case a.Kind == b.Kind:
			return 0
		case a.Kind == first:
			return -1
		}
		return 1
	})
	return lots
}

// takeLots takes an amount of the account's lots, each part by part.
func (d *draft) takeLots(amount Amount, part func(Lot)) error {
	if have := sumLots(d.acct.Lots); have < amount {
		return Errorf(Insufficient, "user %v has %d points, which is less than %d", d.acct.UID, have, amount)
	}
	for _, l := range d.rank() {
		l.Amount = min(l.Amount, amount)
		if l.Amount == 0 {
			break
		}
		amount -= l.Amount
		part(l)
	}
	return nil
}

// take moves an amount of the account's lots to where each belongs.
func (d *draft) take(amount Amount, to func(Lot) (Class, UID)) error {
	return d.takeLots(amount, func(l Lot) {
		class, uid := to(l)
		d.move(Entry{From: l.Kind.of(UserFree), FromUID: d.acct.UID, To: class, ToUID: uid, Amount: l.Amount, Expires: l.Expires})
	})
}

func (d *draft) reserve(o *Order) error {
	if len(d.acct.Holds) >= HoldsMax {
		return Errorf(TooLarge, "user %v has %d open reservations, which is the most: confirm or cancel one", d.acct.UID, HoldsMax)
	}
	d.p.Hold, d.p.Until = d.at.Seq, d.at.Now.Add(o.Term)
	d.acct.Holds = append(d.acct.Holds, Hold{ID: d.p.Hold, Until: d.p.Until})
	return d.takeLots(o.Amount, func(l Lot) {
		d.move(Entry{From: l.Kind.of(UserFree), FromUID: d.acct.UID, To: l.Kind.of(HeldFree), ToUID: d.acct.UID, Amount: l.Amount, Expires: l.Expires, Hold: d.p.Hold})
	})
}

// heldBy finds the reservation that an order ends.
func (d *draft) heldBy(o *Order) (Hold, bool) {
	for _, h := range d.acct.Holds {
		if h.ID == o.Hold && (o.Op == OpConfirm || o.Op == OpCancel) {
			return Hold{h.ID, h.Until, slices.Clone(h.Lots)}, true
		}
	}
	return Hold{}, false
}

// end spends or gives back what a reservation holds.
func (d *draft) end(o *Order, h Hold, found bool) error {
	if !found {
		return Errorf(NotFound, "user %v has no open reservation %d", d.acct.UID, o.Hold)
	}
	if h.Until.over(d.at.Now) {
		return Errorf(Conflict, "reservation %d was over at %s: its points went back", h.ID, h.Until.Time().Format(time.RFC3339))
	}
	spend := Amount(0)
	if o.Op == OpConfirm {
		if spend = o.Amount; spend == 0 {
			spend = h.Amount()
		}
		if spend > h.Amount() {
			return Errorf(Conflict, "reservation %d holds %d points, which is less than %d", h.ID, h.Amount(), spend)
		}
		d.p.Amount = spend
	} else {
		d.p.Amount = h.Amount()
	}
	for _, l := range h.Lots { // they lie by their end: what ends first is spent first
		part := min(l.Amount, spend)
		if part > 0 {
			spend -= part
			d.move(Entry{From: l.Kind.of(HeldFree), FromUID: d.acct.UID, To: l.Kind.of(SpentFree), Amount: part, Expires: l.Expires, Hold: h.ID})
		}
		if l.Amount -= part; l.Amount > 0 {
			d.give(d.acct, l, l.Kind.of(HeldFree), d.acct.UID, h.ID)
		}
	}
	d.close(d.acct, h.ID)
	d.tidy(d.acct) // what came back may be over
	return nil
}

// revoke takes paid points, then free ones; the rest becomes a debt.
func (d *draft) revoke(amount Amount) error {
	have := min(amount, sumLots(d.acct.Lots))
	if d.acct.Debt > AmountMax-(amount-have) {
		return Errorf(Conflict, "user %v would owe more than %d points", d.acct.UID, AmountMax)
	}
	d.rules.SpendOrder = PaidFirst
	if have > 0 {
		if err := d.take(have, func(Lot) (Class, UID) { return Revoked, 0 }); err != nil {
			return err
		}
	}
	if rest := amount - have; rest > 0 {
		d.move(Entry{From: UserDebt, FromUID: d.acct.UID, To: Revoked, Amount: rest})
	}
	return nil
}

// merge moves everything to the other account: what is held goes back first, and a debt that is left is
// paid from what there is.
func (d *draft) merge() {
	for _, h := range slices.Clone(d.acct.Holds) {
		d.release(d.acct, h)
	}
	for _, l := range slices.Clone(d.acct.Lots) {
		d.p.Amount += l.Amount
		d.give(d.other, l, l.Kind.of(UserFree), d.acct.UID, 0)
	}
	for _, l := range slices.Clone(d.other.Lots) {
		if pay := min(l.Amount, d.acct.Debt); pay > 0 {
			d.move(Entry{From: l.Kind.of(UserFree), FromUID: d.other.UID, To: UserDebt, ToUID: d.acct.UID, Amount: pay, Expires: l.Expires})
		}
	}
	if debt := d.acct.Debt; debt > 0 {
		d.move(Entry{From: UserDebt, FromUID: d.other.UID, To: UserDebt, ToUID: d.acct.UID, Amount: debt})
	}
}
