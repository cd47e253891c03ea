package game

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// book is a ledger in memory, as an engine would keep it, for tests of the rules.
type book struct {
	rules    Rules
	now      Instant
	accounts map[UID]*Account
	postings []*Posting
	totals   Totals
}

func newBook() *book {
	return &book{now: At(time.Date(2026, 4, 1, 0, 0, 0, 0, time.UTC)), accounts: map[UID]*Account{}}
}

func (b *book) account(uid UID) *Account {
	if a := b.accounts[uid]; a != nil {
		return a
	}
	return &Account{UID: uid}
}

func (b *book) post(o Order) (*Posting, error) {
	if o.Tx == "" {
		o.Tx = fmt.Sprint("tx", len(b.postings), o)
	}
	if err := o.Check(b.now); err != nil {
		return nil, err
	}
	out, err := b.rules.Decide(&o, Stamp{uint64(len(b.postings) + 1), b.now}, b.account(o.UID), b.account(o.To))
	if err != nil || out.Posting == nil {
		return nil, err
	}
	b.accounts[o.UID] = out.Account
	if out.Other != nil {
		b.accounts[o.To] = out.Other
	}
	b.postings = append(b.postings, out.Posting)
	b.totals.Add(out.Posting.Entries)
	return out.Posting, nil
}

func (b *book) must(t *testing.T, o Order) *Posting {
	t.Helper()
	p, err := b.post(o)
	if err != nil {
		t.Fatalf("%v: %v", o.Op, err)
	}
	return p
}

func (b *book) want(t *testing.T, uid UID, balance, held, debt Amount) {
	t.Helper()
	a := b.account(uid)
	if a.Balance(b.now) != balance || a.Held(b.now) != held || a.Debt != debt {
		t.Errorf("user %v: balance %d, held %d, debt %d; want %d, %d, %d", uid, a.Balance(b.now), a.Held(b.now), a.Debt, balance, held, debt)
	}
	if s := b.totals.Sum(); s != 0 {
		t.Errorf("the sum of all accounts is %d", s)
	}
}

func kindOf(t *testing.T, err error, want Kind) {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) || e.Kind != want {
		t.Errorf("error %v, want kind %v", err, want)
	}
}

func TestReservationIsHeldThenSpentOnceOrGivenBack(t *testing.T) {
	b := newBook()
	b.must(t, Order{Op: OpGrant, UID: 1, Amount: 100})
	r := b.must(t, Order{Op: OpReserve, UID: 1, Amount: 60, Term: time.Minute})
	b.want(t, 1, 40, 60, 0)
	_, err := b.post(Order{Op: OpSpend, UID: 1, Amount: 41})
	kindOf(t, err, Insufficient)
	part := b.must(t, Order{Op: OpConfirm, UID: 1, Hold: r.Hold, Amount: 50})
	if part.Amount != 50 || part.Balance != 50 {
		t.Errorf("confirmed %d, balance %d; want 50, 50", part.Amount, part.Balance)
	}
	b.want(t, 1, 50, 0, 0)
	_, err = b.post(Order{Op: OpCancel, UID: 1, Hold: r.Hold})
	kindOf(t, err, NotFound)

	r = b.must(t, Order{Op: OpReserve, UID: 1, Amount: 50, Term: time.Minute})
	b.must(t, Order{Op: OpCancel, UID: 1, Hold: r.Hold})
	b.want(t, 1, 50, 0, 0)
}

func TestReservationThatIsOverGivesBackByItself(t *testing.T) {
	b := newBook()
	b.must(t, Order{Op: OpGrant, UID: 1, Amount: 10})
	r := b.must(t, Order{Op: OpReserve, UID: 1, Amount: 10, Term: time.Minute})
	b.now = b.now.Add(time.Minute)
	b.want(t, 1, 10, 0, 0)
	if a := b.account(1).At(b.now); sumLots(a.Lots) != 10 || len(a.Holds) != 0 || len(b.account(1).Holds) != 1 {
		t.Errorf("the account then is %+v, and was %+v", a, b.account(1))
	}
	_, err := b.post(Order{Op: OpConfirm, UID: 1, Hold: r.Hold})
	kindOf(t, err, Conflict)
	b.must(t, Order{Op: OpSpend, UID: 1, Amount: 10}) // what went back can be spent before any sweep
	b.want(t, 1, 0, 0, 0)
	if p, err := b.post(Order{Op: OpExpire, UID: 1}); p != nil || err != nil {
		t.Errorf("nothing was over, got %v, %v", p, err)
	}
}

func TestLotsAreSpentInTheOrderOfTheRule(t *testing.T) {
	soon, later := newBook().now.Add(time.Hour), newBook().now.Add(48*time.Hour)
	for rule, want := range map[SpendOrder][]Entry{
		FreeFirst:   {{From: UserFree, Expires: later}, {From: UserFree}, {From: UserPaid, Expires: soon}, {From: UserPaid}},
		PaidFirst:   {{From: UserPaid, Expires: soon}, {From: UserPaid}, {From: UserFree, Expires: later}, {From: UserFree}},
		EndingFirst: {{From: UserPaid, Expires: soon}, {From: UserFree, Expires: later}, {From: UserFree}, {From: UserPaid}},
	} {
		b := newBook()
		b.rules.SpendOrder = rule
		for _, l := range []Lot{{Paid, 0, 1}, {Free, later, 1}, {Free, 0, 1}, {Paid, soon, 1}} {
			b.must(t, Order{Op: OpGrant, UID: 1, Amount: l.Amount, Kind: l.Kind, Expires: l.Expires})
		}
		p := b.must(t, Order{Op: OpSpend, UID: 1, Amount: 4})
		if len(p.Entries) != 4 {
			t.Fatalf("%v: %d entries, want 4", rule, len(p.Entries))
		}
		for i, e := range p.Entries {
			if e.From != want[i].From || e.Expires != want[i].Expires {
				t.Errorf("%v: part %d is of %v until %v, want %v until %v", rule, i, e.From, e.Expires.Time(), want[i].From, want[i].Expires.Time())
			}
		}
	}
}

func TestPointsEndAndAreToldApart(t *testing.T) {
	b := newBook()
	b.must(t, Order{Op: OpGrant, UID: 1, Amount: 5, Kind: Paid, Expires: b.now.Add(time.Hour)})
	b.must(t, Order{Op: OpGrant, UID: 1, Amount: 7, Expires: b.now.Add(2 * time.Hour)})
	if b.totals.UnspentPaid() != 5 {
		t.Errorf("unspent paid points %d, want 5", b.totals.UnspentPaid())
	}
	b.now = b.now.Add(time.Hour)
	b.want(t, 1, 7, 0, 0) // before any sweep
	b.must(t, Order{Op: OpExpire, UID: 1})
	if b.totals[ExpiredPaid] != 5 || b.totals[UserPaid] != 0 || b.totals[UserFree] != 7 {
		t.Errorf("totals %v", b.totals)
	}
	if _, err := b.post(Order{Op: OpGrant, UID: 1, Amount: 1, Expires: b.now}); KindOf(err) != Invalid {
		t.Errorf("a grant that is over: %v, want invalid", err)
	}
}

func TestChargeBackMakesADebtThatGrantsPay(t *testing.T) {
	b := newBook()
	b.must(t, Order{Op: OpGrant, UID: 1, Amount: 100, Kind: Paid})
	b.must(t, Order{Op: OpSpend, UID: 1, Amount: 70})
	b.must(t, Order{Op: OpRevoke, UID: 1, Amount: 100})
	b.want(t, 1, 0, 0, 70)
	b.must(t, Order{Op: OpGrant, UID: 1, Amount: 50})
	b.want(t, 1, 0, 0, 20)
	b.must(t, Order{Op: OpGrant, UID: 1, Amount: 50})
	b.want(t, 1, 30, 0, 0)
}

func TestTransferKeepsKindAndEnd(t *testing.T) {
	b := newBook()
	end := b.now.Add(time.Hour)
	b.must(t, Order{Op: OpGrant, UID: 1, Amount: 10, Kind: Paid, Expires: end})
	_, err := b.post(Order{Op: OpTransfer, UID: 1, To: 2, Amount: 4})
	kindOf(t, err, Denied)
	b.rules.Transfers = true
	p := b.must(t, Order{Op: OpTransfer, UID: 1, To: 2, Amount: 4})
	if got := b.account(2).Lots; len(got) != 1 || got[0] != (Lot{Paid, end, 4}) || p.Balance != 6 || p.BalanceTo != 4 {
		t.Errorf("lots %v, balances %d and %d", got, p.Balance, p.BalanceTo)
	}
	_, err = b.post(Order{Op: OpTransfer, UID: 1, To: 1, Amount: 4})
	kindOf(t, err, Invalid)
}

func TestMergeMovesEverythingAndDebts(t *testing.T) {
	b := newBook()
	b.must(t, Order{Op: OpGrant, UID: 1, Amount: 30, Kind: Paid})
	b.must(t, Order{Op: OpReserve, UID: 1, Amount: 10, Term: time.Hour})
	b.must(t, Order{Op: OpGrant, UID: 2, Amount: 5})
	p := b.must(t, Order{Op: OpMerge, UID: 1, To: 2}) // transfers are off, which is about users
	b.want(t, 1, 0, 0, 0)
	b.want(t, 2, 35, 0, 0)
	if p.Amount != 30 || p.BalanceTo != 35 {
		t.Errorf("moved %d, balance %d", p.Amount, p.BalanceTo)
	}
	b.must(t, Order{Op: OpRevoke, UID: 3, Amount: 50})
	b.must(t, Order{Op: OpMerge, UID: 3, To: 2})
	b.want(t, 2, 0, 0, 15)
	b.want(t, 3, 0, 0, 0)
	if p, err := b.post(Order{Op: OpMerge, UID: 3, To: 2}); p != nil || err != nil {
		t.Errorf("a merge of nothing: %v, %v", p, err)
	}
}

func TestBoundsOfOrdersAndAccounts(t *testing.T) {
	b := newBook()
	for _, o := range []Order{
		{Op: OpGrant, UID: 1}, {Op: OpGrant, UID: 1, Amount: -1}, {Op: OpGrant, UID: 1, Amount: AmountMax + 1}, {Op: OpGrant, Amount: 1}, {Op: 99, UID: 1, Amount: 1},
		{Op: OpReserve, UID: 1, Amount: 1}, {Op: OpGrant, UID: 1, Amount: 1, Kind: 9}, {Op: OpGrant, UID: 1, Amount: 1, Reason: "\xff"},
	} {
		if _, err := b.post(o); KindOf(err) != Invalid {
			t.Errorf("%+v: %v, want invalid", o, err)
		}
	}
	b.must(t, Order{Op: OpGrant, UID: 1, Amount: AmountMax})
	_, err := b.post(Order{Op: OpGrant, UID: 1, Amount: 1})
	kindOf(t, err, Conflict)
	for i := range LotsMax {
		b.must(t, Order{Op: OpGrant, UID: 2, Amount: 1, Expires: b.now.Add(time.Duration(i+1) * time.Hour)})
	}
	_, err = b.post(Order{Op: OpGrant, UID: 2, Amount: 1})
	kindOf(t, err, TooLarge)
	b.must(t, Order{Op: OpGrant, UID: 2, Amount: 1, Expires: b.now.Add(time.Hour)}) // falls together with one
	b.must(t, Order{Op: OpGrant, UID: 3, Amount: HoldsMax + 1})
	for range HoldsMax {
		b.must(t, Order{Op: OpReserve, UID: 3, Amount: 1, Term: time.Minute})
	}
	_, err = b.post(Order{Op: OpReserve, UID: 3, Amount: 1, Term: time.Minute})
	kindOf(t, err, TooLarge)
}

// TestWhatIsHeldCountsForTheBounds fills an account up, holds all of it, and tries to
// fill it up again: what comes back must have its place, or no order would pass any more.
func TestWhatIsHeldCountsForTheBounds(t *testing.T) {
	b := newBook()
	for i := range LotsMax {
		b.must(t, Order{Op: OpGrant, UID: 1, Amount: 1, Expires: b.now.Add(time.Duration(i+2) * time.Hour)})
	}
	b.must(t, Order{Op: OpReserve, UID: 1, Amount: LotsMax, Term: time.Minute})
	_, err := b.post(Order{Op: OpGrant, UID: 1, Amount: 1})
	kindOf(t, err, TooLarge)
	b.must(t, Order{Op: OpGrant, UID: 2, Amount: AmountMax})
	b.must(t, Order{Op: OpReserve, UID: 2, Amount: AmountMax, Term: time.Minute})
	_, err = b.post(Order{Op: OpGrant, UID: 2, Amount: 1})
	kindOf(t, err, Conflict)
	b.now = b.now.Add(time.Minute)
	for _, uid := range []UID{1, 2} {
		b.must(t, Order{Op: OpExpire, UID: uid})
		b.must(t, Order{Op: OpSpend, UID: uid, Amount: 1})
	}
}

// TestRandomOrdersKeepEveryInvariant runs seeded histories: nothing is negative,
// the sum is zero, a plain counter agrees, Decide leaves its inputs alone, and the
// postings applied to empty accounts give the same accounts.
func TestRandomOrdersKeepEveryInvariant(t *testing.T) {
	for seed := range uint64(40) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			rng := rand.New(rand.NewPCG(seed, 5))
			b := newBook()
			b.rules = Rules{SpendOrder: SpendOrder(seed % 3), Transfers: true}
			var open []uint64
			for range 600 {
				b.now = b.now.Add(time.Duration(rng.IntN(90)) * time.Second)
				o := Order{Op: Op(1 + rng.IntN(9)), UID: UID(1 + rng.IntN(3)), Amount: Amount(1 + rng.IntN(50)), Term: time.Duration(1+rng.IntN(300)) * time.Second}
				switch o.Op {
				case OpGrant:
					o.Kind = PointKind(rng.IntN(2))
					if rng.IntN(3) > 0 {
						o.Expires = (b.now/600_000_000 + Instant(1+rng.IntN(6))) * 600_000_000
					}
				case OpTransfer:
					o.To = o.UID%3 + 1
				case OpMerge:
					if rng.IntN(8) > 0 { // it empties an account
						continue
					}
					o.To, o.Amount = o.UID%3+1, 0
				case OpConfirm, OpCancel:
					if len(open) == 0 {
						continue
					}
					o.Hold = open[rng.IntN(len(open))]
					o.UID, o.Amount = b.postings[o.Hold-1].UID, 0
				}
				before := fmt.Sprintf("%+v", b.account(o.UID))
				at := b.account(o.UID)
				if p, err := b.post(o); err == nil && p != nil && o.Op == OpReserve {
					open = append(open, p.Hold)
				}
				if after := fmt.Sprintf("%+v", at); after != before {
					t.Fatalf("%v changed its input: %s became %s", o.Op, before, after)
				}
			}
			b.check(t)
		})
	}
}

// check holds the accounts against the entries, and both against each other.
func (b *book) check(t *testing.T) {
	t.Helper()
	if s := b.totals.Sum(); s != 0 {
		t.Errorf("sum %d", s)
	}
	replayed := map[UID]*Account{}
	count := map[UID]map[Class]Amount{}
	for _, p := range b.postings {
		touched := map[UID]bool{}
		for _, e := range p.Entries {
			if e.Amount < 1 || e.From.OfUser() != (e.FromUID != 0) || e.To.OfUser() != (e.ToUID != 0) {
				t.Fatalf("entry %+v", e)
			}
			for _, side := range []struct {
				uid    UID
				class  Class
				amount Amount
			}{{e.FromUID, e.From, -e.Amount}, {e.ToUID, e.To, e.Amount}} {
				if count[side.uid] == nil {
					count[side.uid] = map[Class]Amount{}
				}
				count[side.uid][side.class] += side.amount
				touched[side.uid] = side.uid != 0
			}
		}
		for uid := range touched {
			if !touched[uid] {
				continue
			}
			if replayed[uid] == nil {
				replayed[uid] = &Account{UID: uid}
			}
			if err := replayed[uid].Apply(p); err != nil {
				t.Fatal(err)
			}
			for class, amount := range count[uid] {
				if amount < 0 != (class == UserDebt) && amount != 0 {
					t.Fatalf("posting %d: user %v has %d in %v", p.Seq, uid, amount, class)
				}
			}
			if a := replayed[uid]; a.Debt > 0 && len(a.Lots) > 0 {
				t.Fatalf("posting %d: user %v has a debt of %d and points", p.Seq, uid, a.Debt)
			}
		}
	}
	for uid, a := range b.accounts {
		if got, want := fmt.Sprintf("%+v", replayed[uid]), fmt.Sprintf("%+v", a); got != want && a.Seq != 0 {
			t.Errorf("user %v: replayed %s, kept %s", uid, got, want)
		}
		if got := count[uid][UserFree] + count[uid][UserPaid]; got != sumLots(a.Lots) {
			t.Errorf("user %v: entries say %d, lots %d", uid, got, sumLots(a.Lots))
		}
	}
}
