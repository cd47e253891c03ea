package pointstest

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kamado/kamado/game"
)

func grant(uid game.UID, amount game.Amount) game.Order {
	return game.Order{Op: game.OpGrant, UID: uid, Amount: amount}
}

func spend(uid game.UID, amount game.Amount) game.Order {
	return game.Order{Op: game.OpSpend, UID: uid, Amount: amount}
}

func reserve(uid game.UID, amount game.Amount, term time.Duration) game.Order {
	return game.Order{Op: game.OpReserve, UID: uid, Amount: amount, Term: term}
}

// with gives an order an id.
func with(o game.Order, tx string) game.Order {
	o.Tx = tx
	return o
}

// same judges two postings as values.
func same(t *testing.T, what string, got, want *game.Posting) {
	t.Helper()
	if got == nil || want == nil {
		t.Errorf("%s: posting %v, want %v", what, got, want)
		return
	}
	g, w := *got, *want
	if len(g.Entries) == 0 {
		g.Entries = nil
	}
	if len(w.Entries) == 0 {
		w.Entries = nil
	}
	if a, b := fmt.Sprintf("%+v", g), fmt.Sprintf("%+v", w); a != b {
		t.Errorf("%s:\n got %s\nwant %s", what, a, b)
	}
}

func roundTrip(t *testing.T, b *bench) {
	end := at(48 * time.Hour)
	o := game.Order{Op: game.OpGrant, Tx: "shop/1", UID: 7, Amount: 100, Kind: game.Paid, Expires: end, Reason: "bought", By: "shop"}
	p := b.must(t, o)
	if p.Seq == 0 || p.Time != game.At(start) || p.Op != o.Op || p.Tx != o.Tx || p.Digest != o.Digest() || p.UID != 7 || p.Amount != 100 || p.Kind != game.Paid || p.Reason != "bought" || p.By != "shop" || p.Balance != 100 {
		t.Errorf("posting %+v of order %+v", p, o)
	}
	want := game.Entry{From: game.IssuedPaid, To: game.UserPaid, ToUID: 7, Amount: 100, Expires: end}
	if len(p.Entries) != 1 || p.Entries[0] != want {
		t.Errorf("entries %+v, want %+v", p.Entries, want)
	}
	got, err := b.l.Posting(t.Context(), "shop/1")
	if err != nil {
		t.Fatal(err)
	}
	same(t, "Posting", got, p)
	a := b.account(t, 7)
	if len(a.Lots) != 1 || a.Lots[0] != (game.Lot{Kind: game.Paid, Expires: end, Amount: 100}) || a.Seq != p.Seq {
		t.Errorf("account %+v", a)
	}
	if _, err := b.l.Posting(t.Context(), "shop/2"); game.KindOf(err) != game.NotFound {
		t.Errorf("Posting of an id that was not used = %v, want not found", err)
	}
	if _, err := b.l.Reservation(t.Context(), p.Seq); game.KindOf(err) != game.NotFound {
		t.Errorf("Reservation of a grant = %v, want not found", err)
	}
	b.has(t, 7, 100, 0, 0)
}

func nobody(t *testing.T, b *bench) {
	for _, uid := range []game.UID{1, game.UIDMax} {
		if a := b.account(t, uid); a.Seq != 0 || len(a.Lots) != 0 || len(a.Holds) != 0 || a.Debt != 0 {
			t.Errorf("account of a user without points: %+v", a)
		}
	}
	b.wants(t, game.Insufficient, spend(1, 1))
	if page, err := b.l.History(t.Context(), 1, 0, 10); err != nil || len(page) != 0 {
		t.Errorf("History = %v, %v", page, err)
	}
	if page, err := b.l.Accounts(t.Context(), 0, 10); err != nil || len(page) != 0 {
		t.Errorf("Accounts = %v, %v: who was refused has no account", page, err)
	}
	b.must(t, grant(game.UIDMax, game.AmountMax))
	b.has(t, game.UIDMax, game.AmountMax, 0, 0)
}

func texts(t *testing.T, b *bench) {
	list := []string{"a", "A", "a ", " a", "ä", "a\u0308", "\x00", "\\", "\\0", "\\00", "\\x00", "'", "\"", "%", "?", "$1", "\r\n", "\u2028", "\U0001F44D", "null", strings.Repeat("x", game.TxBytesMax), strings.Repeat("点", game.TxBytesMax/3)}
	for i, text := range list {
		o := with(grant(1, game.Amount(i+1)), text)
		o.Reason, o.By = text, text[:min(len(text), 30)]
		b.must(t, o)
	}
	b.reopen(t)
	for i, text := range list {
		p, err := b.l.Posting(t.Context(), text)
		if err != nil {
			t.Errorf("Posting(%q) = %v", text, err)
			continue
		}
		if p.Tx != text || p.Reason != text || p.By != text[:min(len(text), 30)] || p.Amount != game.Amount(i+1) {
			t.Errorf("Posting(%q) = %q, reason %q, by %q, amount %d", text, p.Tx, p.Reason, p.By, p.Amount)
		}
	}
}

func once(t *testing.T, b *bench) {
	end := at(time.Hour)
	for _, o := range []game.Order{
		{Op: game.OpGrant, UID: 1, Amount: 100, Kind: game.Paid, Expires: end, Reason: "r"},
		spend(1, 10),
		{Op: game.OpTransfer, UID: 1, To: 2, Amount: 10},
		reserve(1, 10, time.Minute),
		{Op: game.OpRevoke, UID: 1, Amount: 10},
	} {
		o.Tx = b.tx()
		p := b.must(t, o)
		o.By = "somebody else" // who asks again is no part of what is asked
		for range 2 {
			a, err := b.post(t, o)
			if err != nil || !a.Again {
				t.Errorf("%v again: %+v, %v", o.Op, a, err)
				continue
			}
			same(t, o.Op.String()+" again", a.Posting, p)
		}
		for _, change := range []func(*game.Order){
			func(o *game.Order) { o.Amount++ },
			func(o *game.Order) { o.UID = 3 },
			func(o *game.Order) { o.Reason += "x" },
			func(o *game.Order) { o.Kind = 1 - o.Kind },
			func(o *game.Order) { o.Op, o.Term, o.To = o.Op%2+1, 0, 0 },
			func(o *game.Order) { *o = game.Order{Op: game.OpCancel, Tx: o.Tx, Hold: p.Seq} },
		} {
			other := o
			change(&other)
			b.wants(t, game.Conflict, other)
		}
	}
	b.has(t, 1, 60, 10, 0)
	b.has(t, 2, 10, 0, 0)
	b.has(t, 3, 0, 0, 0)
}

func onceInParallel(t *testing.T, b *bench) {
	const callers, orders = 32, 20
	b.must(t, grant(1, orders))
	var wg sync.WaitGroup
	var first [orders]atomic.Int64
	var seq [orders]atomic.Uint64
	for range callers {
		wg.Go(func() {
			for n := range orders {
				a, err := b.post(t, with(spend(1, 1), fmt.Sprint("one/", n)))
				if err != nil {
					t.Errorf("order %d: %v", n, err)
					return
				}
				if !a.Again {
					first[n].Add(1)
				}
				if !seq[n].CompareAndSwap(0, a.Posting.Seq) && seq[n].Load() != a.Posting.Seq {
					t.Errorf("order %d is posting %d and %d", n, seq[n].Load(), a.Posting.Seq)
				}
			}
		})
	}
	wg.Wait()
	for n := range first {
		if got := first[n].Load(); got != 1 {
			t.Errorf("order %d was carried out for the first time %d times", n, got)
		}
	}
	b.has(t, 1, 0, 0, 0)
}

func refused(t *testing.T, b *bench) {
	b.wants(t, game.Insufficient, with(spend(1, 5), "later"))
	if _, err := b.l.Posting(t.Context(), "later"); game.KindOf(err) != game.NotFound {
		t.Errorf("Posting of an order that was refused = %v, want not found", err)
	}
	b.must(t, grant(1, 7))
	b.must(t, with(spend(1, 5), "later"))
	b.wants(t, game.Insufficient, with(spend(1, 3), "other"))
	b.must(t, with(spend(1, 2), "other")) // another order: the id was free
	b.has(t, 1, 0, 0, 0)
}

func answeredForEver(t *testing.T, b *bench) {
	soon := game.Order{Op: game.OpGrant, Tx: "soon", UID: 1, Amount: 5, Expires: at(time.Minute)}
	p := b.must(t, soon)
	all := b.must(t, with(spend(1, 5), "all"))
	b.pass(time.Hour) // the grant would be invalid now, and the spend without cover
	for _, c := range []struct {
		o    game.Order
		want *game.Posting
	}{{soon, p}, {with(spend(1, 5), "all"), all}} {
		a, err := b.post(t, c.o)
		if err != nil || !a.Again {
			t.Errorf("%v, an hour later: %+v, %v", c.o.Op, a, err)
			continue
		}
		same(t, c.o.Op.String(), a.Posting, c.want)
	}
	b.wants(t, game.Invalid, with(soon, "late"))
}

func bounds(t *testing.T, b *bench) {
	b.must(t, grant(1, 100))
	long := strings.Repeat("x", 1000)
	for _, o := range []game.Order{
		grant(1, 0), grant(1, -1), grant(1, game.AmountMax+1), grant(0, 1), grant(game.UIDMax+1, 1), spend(1, 0), spend(1, -5), spend(0, 1), {Op: 0, UID: 1, Amount: 1}, {Op: 99, UID: 1, Amount: 1},
		reserve(1, 1, 0), reserve(1, 1, game.HoldTermMax+1), {Op: game.OpGrant, UID: 1, Amount: 1, Kind: 2}, {Op: game.OpGrant, UID: 1, Amount: 1, Expires: -1},
		{Op: game.OpGrant, UID: 1, Amount: 1, Expires: game.At(start)}, {Op: game.OpGrant, UID: 1, Amount: 1, Reason: long}, {Op: game.OpGrant, UID: 1, Amount: 1, Tx: long}, {Op: game.OpGrant, UID: 1, Amount: 1, Tx: "\xff"},
		{Op: game.OpGrant, UID: 1, Amount: 1, By: long}, {Op: game.OpTransfer, UID: 1, To: 1, Amount: 1}, {Op: game.OpTransfer, UID: 1, Amount: 1}, {Op: game.OpExpire, UID: 1},
	} {
		b.wants(t, game.Invalid, o)
	}
	if a, err := b.l.Post(t.Context(), &game.Order{Op: game.OpGrant, UID: 1, Amount: 1}); game.KindOf(err) != game.Invalid {
		t.Errorf("an order without transaction id: %v, %v, want invalid", a, err)
	}
	for _, limit := range []int{0, -1, 1001} {
		if _, err := b.l.Postings(t.Context(), 0, limit); game.KindOf(err) != game.Invalid {
			t.Errorf("Postings with limit %d = %v, want invalid", limit, err)
		}
		if _, err := b.l.History(t.Context(), 1, 0, limit); game.KindOf(err) != game.Invalid {
			t.Errorf("History with limit %d = %v, want invalid", limit, err)
		}
		if _, err := b.l.Accounts(t.Context(), 0, limit); game.KindOf(err) != game.Invalid {
			t.Errorf("Accounts with limit %d = %v, want invalid", limit, err)
		}
	}
	b.has(t, 1, 100, 0, 0)
}

func accountBounds(t *testing.T, b *bench) {
	b.must(t, grant(1, game.AmountMax))
	b.wants(t, game.Conflict, grant(1, 1))
	b.must(t, grant(2, 1))
	b.wants(t, game.Conflict, game.Order{Op: game.OpTransfer, UID: 2, To: 1, Amount: 1})
	b.has(t, 2, 1, 0, 0)
	for i := range game.LotsMax {
		b.must(t, game.Order{Op: game.OpGrant, UID: 3, Amount: 1, Expires: at(time.Duration(i+1) * time.Hour)})
	}
	b.wants(t, game.TooLarge, grant(3, 1))
	b.must(t, grant(4, game.HoldsMax+1))
	for range game.HoldsMax {
		b.must(t, reserve(4, 1, time.Hour))
	}
	b.wants(t, game.TooLarge, reserve(4, 1, time.Hour))
	b.reopen(t)
	b.has(t, 1, game.AmountMax, 0, 0)
	b.has(t, 3, game.LotsMax, 0, 0)
	b.has(t, 4, 1, game.HoldsMax, 0)
}

func overdraft(t *testing.T, b *bench) {
	b.must(t, grant(1, 10))
	b.wants(t, game.Insufficient, spend(1, 11))
	b.wants(t, game.Insufficient, reserve(1, 11, time.Minute))
	b.wants(t, game.Insufficient, game.Order{Op: game.OpTransfer, UID: 1, To: 2, Amount: 11})
	b.wants(t, game.Insufficient, game.Order{Op: game.OpTransfer, UID: 2, To: 1, Amount: 1})
	b.wants(t, game.Insufficient, spend(1, game.AmountMax))
	b.must(t, reserve(1, 6, time.Minute))
	b.wants(t, game.Insufficient, spend(1, 5))
	if p := b.must(t, spend(1, 4)); p.Balance != 0 {
		t.Errorf("balance %d after the last points, want 0", p.Balance)
	}
	b.has(t, 1, 0, 6, 0)
}

func debt(t *testing.T, b *bench) {
	b.must(t, game.Order{Op: game.OpGrant, UID: 1, Amount: 100, Kind: game.Paid})
	b.must(t, spend(1, 70))
	b.must(t, game.Order{Op: game.OpRevoke, UID: 1, Amount: 100})
	b.has(t, 1, 0, 0, 70)
	b.must(t, grant(1, 50))
	b.has(t, 1, 0, 0, 20)
	b.reopen(t)
	b.has(t, 1, 0, 0, 20)
	b.wants(t, game.Insufficient, spend(1, 1))
	b.must(t, grant(1, 50))
	b.has(t, 1, 30, 0, 0)
}

func transfers(t *testing.T, b *bench) {
	end := at(time.Hour)
	b.must(t, game.Order{Op: game.OpGrant, UID: 1, Amount: 10, Kind: game.Paid, Expires: end})
	p := b.must(t, game.Order{Op: game.OpTransfer, UID: 1, To: 2, Amount: 4})
	if p.Balance != 6 || p.BalanceTo != 4 {
		t.Errorf("balances %d and %d, want 6 and 4", p.Balance, p.BalanceTo)
	}
	if a := b.account(t, 2); len(a.Lots) != 1 || a.Lots[0] != (game.Lot{Kind: game.Paid, Expires: end, Amount: 4}) || a.Seq != p.Seq {
		t.Errorf("account of who got points: %+v", a)
	}
	b.rules.Transfers = false
	b.reopen(t)
	b.wants(t, game.Denied, game.Order{Op: game.OpTransfer, UID: 1, To: 2, Amount: 4})
	b.has(t, 1, 6, 0, 0)
}

func merged(t *testing.T, b *bench) {
	b.rules.Transfers = false // which is about users' own
	b.reopen(t)
	b.must(t, grant(1, 40))
	held := b.must(t, reserve(1, 15, time.Hour))
	b.must(t, grant(2, 5))
	merge := game.Order{Op: game.OpMerge, Tx: "merge", UID: 1, To: 2}
	p := b.must(t, merge)
	if p.Amount != 40 || p.BalanceTo != 45 {
		t.Errorf("moved %d, balance %d; want 40, 45", p.Amount, p.BalanceTo)
	}
	if a, err := b.post(t, merge); err != nil || !a.Again {
		t.Errorf("the same merge again: %+v, %v", a, err)
	} else {
		same(t, "the same merge again", a.Posting, p)
	}
	b.has(t, 1, 0, 0, 0)
	b.has(t, 2, 45, 0, 0)
	b.wants(t, game.Conflict, confirm(held.Hold, 0))
	b.must(t, game.Order{Op: game.OpRevoke, UID: 3, Amount: 50})
	b.must(t, game.Order{Op: game.OpMerge, UID: 3, To: 2})
	b.reopen(t)
	b.has(t, 2, 0, 0, 5)
	b.has(t, 3, 0, 0, 0)
	if a, err := b.l.Post(t.Context(), &game.Order{Op: game.OpMerge, Tx: "nothing", UID: 4, To: 2}); err != nil || a.Posting != nil {
		t.Errorf("a merge of nothing = %+v, %v, want no posting", a, err)
	}
}

func spendOrder(t *testing.T, b *bench) {
	for _, c := range []struct {
		rule game.SpendOrder
		uid  game.UID
		want game.Class
	}{{game.FreeFirst, 1, game.UserFree}, {game.PaidFirst, 2, game.UserPaid}, {game.EndingFirst, 3, game.UserPaid}} {
		b.rules.SpendOrder = c.rule
		b.reopen(t)
		b.must(t, grant(c.uid, 1))
		b.must(t, game.Order{Op: game.OpGrant, UID: c.uid, Amount: 1, Kind: game.Paid, Expires: at(time.Hour)})
		if p := b.must(t, spend(c.uid, 1)); len(p.Entries) != 1 || p.Entries[0].From != c.want {
			t.Errorf("%v: entries %+v, want one from %v", c.rule, p.Entries, c.want)
		}
	}
}

// parallelSpends is the pain of shops: ten thousand spends of one balance.
func parallelSpends(t *testing.T, b *bench) {
	const callers, orders, have = 64, 10_000, 3333
	b.must(t, grant(1, have))
	var next, spent, short atomic.Int64
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			for n := next.Add(1); n <= orders; n = next.Add(1) {
				_, err := b.post(t, with(spend(1, 1), fmt.Sprint("spend/", n)))
				switch {
				case err == nil:
					spent.Add(1)
				case game.KindOf(err) == game.Insufficient:
					short.Add(1)
				default:
					t.Errorf("spend %d: %v", n, err)
					return
				}
			}
		})
	}
	wg.Wait()
	if spent.Load() != have || short.Load() != orders-have {
		t.Errorf("%d spends were carried out and %d refused, want %d and %d", spent.Load(), short.Load(), have, orders-have)
	}
	b.has(t, 1, 0, 0, 0)
	if sums := b.sums(t); sums.Classes[game.SpentFree] != have || sums.Postings != have+1 {
		t.Errorf("totals %+v, want %d spent in as many postings", sums, have)
	}
}

// ring sends points round in both directions, so that locks taken in the order of
// the transfer would wait for each other.
func ring(t *testing.T, b *bench) {
	const users, each, have = 8, 40, 100
	for uid := range game.UID(users) {
		b.must(t, grant(uid+1, have))
	}
	var wg sync.WaitGroup
	for caller := range game.UID(2 * users) {
		wg.Go(func() {
			from, to := caller%users+1, (caller+1)%users+1
			if caller >= users {
				from, to = to, from
			}
			for n := range game.Amount(each) {
				if _, err := b.post(t, game.Order{Op: game.OpTransfer, UID: from, To: to, Amount: n%30 + 1}); err != nil && game.KindOf(err) != game.Insufficient {
					t.Errorf("transfer from %v to %v: %v", from, to, err)
					return
				}
			}
		})
	}
	wg.Wait()
	sum := game.Amount(0)
	for uid := range game.UID(users) {
		balance := b.account(t, uid+1).Balance(b.l.Now())
		if balance < 0 {
			t.Errorf("user %v has %d", uid+1, balance)
		}
		sum += balance
	}
	if sum != users*have {
		t.Errorf("all users have %d, want %d", sum, users*have)
	}
}
