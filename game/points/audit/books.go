package audit

import (
	"fmt"
	"slices"

	"github.com/kamado/kamado/game"
)

// books are all accounts, added up entry by entry. Nothing here is shared with the
// rules of package game: that the two agree is what is being shown.
type books struct {
	users map[uint64]*user
	sums  [game.ClassCount]int64
	open  int // reservations
}

// user is one account.
type user struct {
	lots  []lot
	holds []hold
	debt  int64
	seq   uint64 // of the last posting
	place uint64 // of the last posting
}

type lot struct {
	kind   byte
	end    int64
	amount int64
}

type hold struct {
	id    uint64
	until int64
	lots  []lot
}

func newBooks() *books { return &books{users: map[uint64]*user{}} }

func (b *books) user(uid uint64) *user {
	u := b.users[uid]
	if u == nil {
		u = &user{}
		b.users[uid] = u
	}
	return u
}

// add changes a lot; a lot without points is none.
func add(lots []lot, kind byte, end, amount int64) ([]lot, error) {
	i := slices.IndexFunc(lots, func(l lot) bool { return l.kind == kind && l.end == end })
	if i < 0 {
		if amount < 0 {
			return lots, fmt.Errorf("%d points are taken of a lot that is not there", -amount)
		}
		return append(lots, lot{kind, end, amount}), nil
	}
	lots[i].amount += amount
	switch {
	case lots[i].amount < 0:
		return lots, fmt.Errorf("a lot has %d points", lots[i].amount)
	case lots[i].amount == 0:
		return slices.Delete(lots, i, i+1), nil
	}
	return lots, nil
}

// move changes a part of an account.
func (u *user) move(class game.Class, end int64, holdID uint64, amount int64) (err error) {
	switch class {
	case game.UserFree, game.UserPaid:
		u.lots, err = add(u.lots, byte(class-game.UserFree), end, amount)
	case game.HeldFree, game.HeldPaid:
		i := slices.IndexFunc(u.holds, func(h hold) bool { return h.id == holdID })
		if i < 0 {
			return fmt.Errorf("reservation %d is not open", holdID)
		}
		u.holds[i].lots, err = add(u.holds[i].lots, byte(class-game.HeldFree), end, amount)
	case game.UserDebt:
		if u.debt -= amount; u.debt < 0 {
			return fmt.Errorf("a debt is %d", u.debt)
		}
	}
	return err
}

// balance is what can be spent at a moment at which nothing is over any more.
func (u *user) balance(now int64) (sum int64) {
	for _, l := range u.lots {
		if l.end == 0 || l.end > now {
			sum += l.amount
		}
	}
	return sum
}

// post does what a posting says and gives everything that is wrong with it.
func (b *books) post(p *posting) (wrong []error) {
	note := func(format string, args ...any) { wrong = append(wrong, fmt.Errorf(format, args...)) }
	if p.op < 1 || p.op > uint8(game.OpMerge) || p.kind > 1 || p.uid == 0 || p.uid > uint64(game.UIDMax) || p.to > uint64(game.UIDMax) || p.to == p.uid || (p.to != 0) != game.Op(p.op).HasOther() {
		note("operation %d of kind %d by user %d to user %d is none", p.op, p.kind, p.uid, p.to)
		return wrong
	}
	u := b.user(p.uid)
	var other *user
	if p.to != 0 {
		other = b.user(p.to)
	}
	wrong = append(wrong, b.begin(p, u)...)
	for i := range p.entries {
		if err := b.entry(p, &p.entries[i], u, other); err != nil {
			note("entry %d: %w", i, err)
		}
	}
	if err := moved(p); err != nil {
		wrong = append(wrong, err)
	}
	wrong = append(wrong, b.finish(p, u, p.uid, p.before, p.balance)...)
	if other != nil {
		wrong = append(wrong, b.finish(p, other, p.to, p.beforeTo, p.balanceTo)...)
	}
	if game.Op(p.op) == game.OpConfirm || game.Op(p.op) == game.OpCancel {
		if u.holding(p.hold) {
			note("reservation %d is still open", p.hold)
		}
	}
	return wrong
}

func (u *user) holding(id uint64) bool {
	return slices.ContainsFunc(u.holds, func(h hold) bool { return h.id == id })
}

// begin looks at the reservation of a posting.
func (b *books) begin(p *posting, u *user) (wrong []error) {
	switch game.Op(p.op) {
	case game.OpReserve:
		if p.hold != p.seq || p.until <= p.time {
			wrong = append(wrong, fmt.Errorf("it makes reservation %d until %d", p.hold, p.until))
		}
		u.holds = append(u.holds, hold{id: p.hold, until: p.until})
		b.open++
		return wrong
	case game.OpConfirm, game.OpCancel:
		if !u.holding(p.hold) {
			wrong = append(wrong, fmt.Errorf("it ends reservation %d, which is not open: it ended before, or never was one of user %d", p.hold, p.uid))
		}
	default:
		if p.hold != 0 {
			wrong = append(wrong, fmt.Errorf("a %v has reservation %d", game.Op(p.op), p.hold))
		}
	}
	if p.until != 0 {
		wrong = append(wrong, fmt.Errorf("a %v has the end of a reservation", game.Op(p.op)))
	}
	return wrong
}

func (b *books) entry(p *posting, e *entry, u, other *user) error {
	if e.from == 0 || e.from >= game.ClassCount || e.to == 0 || e.to >= game.ClassCount {
		return fmt.Errorf("classes %d and %d", e.from, e.to)
	}
	if e.amount < 1 || e.amount > 33*int64(game.AmountMax) {
		return fmt.Errorf("an amount of %d", e.amount)
	}
	whose := []*user{nil, u, other}
	if e.fromWhose > 2 || e.toWhose > 2 || e.from.OfUser() != (e.fromWhose > 0) || e.to.OfUser() != (e.toWhose > 0) || e.fromWhose > 0 && whose[e.fromWhose] == nil || e.toWhose > 0 && whose[e.toWhose] == nil {
		return fmt.Errorf("from %v of %d to %v of %d", e.from, e.fromWhose, e.to, e.toWhose)
	}
	b.sums[e.from] -= e.amount
	b.sums[e.to] += e.amount
	if from := whose[e.fromWhose]; from != nil {
		if err := from.move(e.from, e.expires, e.hold, -e.amount); err != nil {
			return err
		}
	}
	if to := whose[e.toWhose]; to != nil {
		return to.move(e.to, e.expires, e.hold, e.amount)
	}
	return nil
}

// moved compares the amount of a posting with what its entries move for it. Ends of
// what was over are entries of other kinds, or of other reservations.
func moved(p *posting) error {
	var counts func(*entry) bool
	switch game.Op(p.op) {
	case game.OpGrant:
		counts = func(e *entry) bool { return e.from == game.IssuedFree+game.Class(p.kind) }
	case game.OpSpend:
		counts = func(e *entry) bool {
			return e.from <= game.UserPaid && (e.to == game.SpentFree || e.to == game.SpentPaid)
		}
	case game.OpTransfer:
		counts = func(e *entry) bool { return e.fromWhose == 1 && e.toWhose == 2 }
	case game.OpReserve:
		counts = func(e *entry) bool { return e.to == game.HeldFree || e.to == game.HeldPaid }
	case game.OpConfirm:
		counts = func(e *entry) bool {
			return (e.from == game.HeldFree || e.from == game.HeldPaid) && e.hold == p.hold && (e.to == game.SpentFree || e.to == game.SpentPaid)
		}
	case game.OpCancel:
		counts = func(e *entry) bool { return (e.from == game.HeldFree || e.from == game.HeldPaid) && e.hold == p.hold }
	case game.OpMerge:
		counts = func(e *entry) bool { return e.from <= game.UserPaid && e.fromWhose == 1 && e.toWhose == 2 }
	case game.OpRevoke:
		counts = func(e *entry) bool { return e.to == game.Revoked }
	default:
		if p.amount != 0 || len(p.entries) == 0 {
			return fmt.Errorf("an expiry of %d points with %d entries", p.amount, len(p.entries))
		}
		return nil
	}
	sum := int64(0)
	for i := range p.entries {
		if counts(&p.entries[i]) {
			sum += p.entries[i].amount
		}
	}
	least := int64(1)
	if game.Op(p.op) == game.OpMerge { // it may move a debt alone
		least = 0
	}
	if sum != p.amount || p.amount < least || p.amount > int64(game.AmountMax) {
		return fmt.Errorf("a %v of %d points moves %d", game.Op(p.op), p.amount, sum)
	}
	return nil
}

// finish closes empty reservations of an account and notes its place.
func (b *books) finish(p *posting, u *user, uid, before uint64, balance int64) (wrong []error) {
	n := len(u.holds)
	u.holds = slices.DeleteFunc(u.holds, func(h hold) bool { return len(h.lots) == 0 })
	b.open -= n - len(u.holds)
	if got := u.balance(p.time); got != balance {
		wrong = append(wrong, fmt.Errorf("user %d can spend %d by the entries, the posting says %d", uid, got, balance))
	}
	if u.debt > 0 && len(u.lots) > 0 {
		wrong = append(wrong, fmt.Errorf("user %d has a debt of %d and points", uid, u.debt))
	}
	if before != u.place {
		wrong = append(wrong, fmt.Errorf("the posting of user %d before it lies at %s, it says %s", uid, placeText(u.place), placeText(before)))
	}
	u.seq, u.place = p.seq, p.place
	return wrong
}

func placeText(place uint64) string {
	return fmt.Sprintf("%010d.log:%d", place>>32, place&0xffffffff)
}

// total is the sum over all classes: zero.
func (b *books) total() (sum int64) {
	for _, s := range b.sums {
		sum += s
	}
	return sum
}
