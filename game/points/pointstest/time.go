package pointstest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/kamado/kamado/game"
)

func clockBack(t *testing.T, b *bench) {
	b.must(t, game.Order{Op: game.OpGrant, UID: 1, Amount: 10, Expires: at(90 * time.Minute)})
	b.must(t, grant(1, 5))
	b.pass(2 * time.Hour)
	late := b.must(t, spend(1, 1)) // the lot with an end is over
	b.pass(-time.Hour)
	if now := b.l.Now(); now < late.Time {
		t.Errorf("Now = %v after posting %v", now.Time(), late.Time.Time())
	}
	b.has(t, 1, 4, 0, 0) // what was over stays over
	p := b.must(t, reserve(1, 1, time.Minute))
	if p.Time < late.Time || p.Until < late.Time.Add(time.Minute) {
		t.Errorf("a reservation at %v until %v behind a posting at %v", p.Time.Time(), p.Until.Time(), late.Time.Time())
	}
	b.wants(t, game.Invalid, game.Order{Op: game.OpGrant, UID: 1, Amount: 1, Expires: at(90 * time.Minute)})
	b.pass(2 * time.Hour)
	if p := b.must(t, spend(1, 1)); p.Time != at(3*time.Hour) {
		t.Errorf("a posting at %v, want the clock's time, since it passed the ledger's", p.Time.Time())
	}
}

func clockBackReopen(t *testing.T, b *bench) {
	b.pass(time.Hour)
	p := b.must(t, grant(1, 5))
	b.pass(-time.Hour)
	b.reopen(t)
	if now := b.l.Now(); now < p.Time {
		t.Errorf("Now = %v after a reopen, with a posting at %v", now.Time(), p.Time.Time())
	}
	if next := b.must(t, grant(1, 5)); next.Time < p.Time || next.Seq <= p.Seq {
		t.Errorf("posting %d at %v behind %d at %v", next.Seq, next.Time.Time(), p.Seq, p.Time.Time())
	}
}

// reopen does everything once, opens the ledger again and looks at everything.
func reopen(t *testing.T, b *bench) {
	b.must(t, with(game.Order{Op: game.OpGrant, UID: 1, Amount: 100, Kind: game.Paid, Expires: at(time.Hour)}, "a"))
	b.must(t, with(grant(1, 50), "b"))
	b.must(t, with(spend(1, 30), "c"))
	made := b.must(t, with(reserve(1, 40, time.Minute), "d"))
	b.must(t, with(game.Order{Op: game.OpTransfer, UID: 1, To: 2, Amount: 25}, "e"))
	b.must(t, with(game.Order{Op: game.OpRevoke, UID: 2, Amount: 30}, "f"))
	end := b.must(t, with(confirm(made.Hold, 15), "g"))
	before := b.all(t, 0, 1000)
	want := []string{fmt.Sprintf("%+v", b.account(t, 1)), fmt.Sprintf("%+v", b.account(t, 2))}
	sums := b.sums(t)
	for range 2 {
		b.reopen(t)
		after := b.all(t, 0, 1000)
		if len(after) != len(before) {
			t.Fatalf("%d postings after a reopen, want %d", len(after), len(before))
		}
		for i := range after {
			same(t, "a posting after a reopen", after[i], before[i])
		}
		for i, text := range want {
			if got := fmt.Sprintf("%+v", b.account(t, game.UID(i+1))); got != text {
				t.Errorf("account %s after a reopen, want %s", got, text)
			}
		}
		if got := b.sums(t); got != sums {
			t.Errorf("totals %+v after a reopen, want %+v", got, sums)
		}
		b.stands(t, made, end, game.HoldConfirmed)
		a, err := b.post(t, with(spend(1, 30), "c"))
		if err != nil || !a.Again {
			t.Errorf("an order from before the reopen: %+v, %v, want it answered again", a, err)
		}
		b.wants(t, game.Conflict, with(spend(1, 31), "c"))
	}
	if next := b.must(t, grant(3, 1)); next.Seq <= end.Seq {
		t.Errorf("posting %d after a reopen, behind %d", next.Seq, end.Seq)
	}
}

func ended(t *testing.T, b *bench) {
	b.must(t, grant(1, 100))
	ctx, stop := context.WithCancel(t.Context())
	stop()
	o := with(spend(1, 10), "ended")
	a, err := b.l.Post(ctx, &o)
	if err == nil {
		t.Logf("the order was carried out before the context was looked at: %+v", a)
	} else if !isError(err) || game.KindOf(err) != game.Unavailable || !errors.Is(err, context.Canceled) {
		t.Errorf("Post with a context that ended = %v (%v), want Unavailable around the context's error", err, game.KindOf(err))
	}
	b.settles(t, o, err)
	b.has(t, 1, 90, 0, 0)
	for what, err := range map[string]error{
		"Account":  second(b.l.Account(ctx, 1)),
		"Postings": second(b.l.Postings(ctx, 0, 10)),
		"TotalsAt": second(b.l.TotalsAt(ctx, b.l.Now())),
	} {
		if err != nil && !isError(err) {
			t.Errorf("%s with a context that ended = %v, which is no *game.Error", what, err)
		}
	}
}

func second[T any](_ T, err error) error { return err }

// settles asks once more for an order whose first answer was err, and judges
// whether that answer was true.
func (b *bench) settles(t *testing.T, o game.Order, err error) {
	t.Helper()
	a, again := b.post(t, o)
	switch {
	case again != nil:
		t.Errorf("%q again: %v", o.Tx, again)
	case err == nil && !a.Again:
		t.Errorf("%q was answered, and then carried out once more", o.Tx)
	case err != nil && !inDoubt(err) && a.Again:
		t.Errorf("%q failed without doubt (%v), but it was carried out", o.Tx, err)
	}
}

// endsMeanwhile ends contexts while orders wait.
func endsMeanwhile(t *testing.T, b *bench) {
	const callers, each = 16, 20
	b.must(t, grant(1, callers*each))
	var wg sync.WaitGroup
	for c := range callers {
		wg.Go(func() {
			for n := range each {
				ctx, stop := context.WithTimeout(t.Context(), time.Duration(n*n)*10*time.Microsecond)
				o := with(spend(1, 1), fmt.Sprint("meanwhile/", c, "/", n))
				_, err := b.l.Post(ctx, &o)
				stop()
				if err != nil && (game.KindOf(err) != game.Unavailable || !errors.Is(err, context.DeadlineExceeded)) {
					t.Errorf("Post = %v (%v), want Unavailable around the context's error", err, game.KindOf(err))
				}
				b.settles(t, o, err)
			}
		})
	}
	wg.Wait()
	b.has(t, 1, 0, 0, 0)
}

func closed(t *testing.T, b *bench) {
	b.must(t, grant(1, 1))
	l := b.l
	b.l = nil
	if err := l.Close(); err != nil {
		t.Fatalf("Close = %v", err)
	}
	if err := l.Close(); err != nil {
		t.Errorf("Close again = %v", err)
	}
	o := with(spend(1, 1), "closed")
	_, err := l.Post(t.Context(), &o)
	if game.KindOf(err) != game.Unavailable || inDoubt(err) {
		t.Errorf("Post after Close = %v (%v), want Unavailable without doubt", err, game.KindOf(err))
	}
	for what, err := range map[string]error{
		"Account":     second(l.Account(t.Context(), 1)),
		"Posting":     second(l.Posting(t.Context(), "x")),
		"Reservation": second(l.Reservation(t.Context(), 1)),
		"History":     second(l.History(t.Context(), 1, 0, 10)),
		"Postings":    second(l.Postings(t.Context(), 0, 10)),
		"Accounts":    second(l.Accounts(t.Context(), 0, 10)),
		"Totals":      second(l.Totals(t.Context())),
		"Sweep":       second(l.Sweep(t.Context(), 10)),
	} {
		if game.KindOf(err) != game.Unavailable {
			t.Errorf("%s after Close = %v (%v), want Unavailable", what, err, game.KindOf(err))
		}
	}
	b.open(t)
	b.must(t, o)
}

// shared looks whether what an engine gave stays as it was given.
func shared(t *testing.T, b *bench) {
	p := b.must(t, grant(1, 10))
	a := b.account(t, 1)
	before, posting := fmt.Sprintf("%+v", a), fmt.Sprintf("%+v", *p)
	for range 5 {
		b.must(t, spend(1, 1))
		b.must(t, reserve(1, 1, time.Minute))
	}
	if after := fmt.Sprintf("%+v", a); after != before {
		t.Errorf("an account that was given became %s, was %s", after, before)
	}
	if after := fmt.Sprintf("%+v", *p); after != posting {
		t.Errorf("a posting that was given became %s, was %s", after, posting)
	}
}
