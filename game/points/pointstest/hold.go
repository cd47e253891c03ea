package pointstest

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kamado/kamado/game"
)

func confirm(hold uint64, amount game.Amount) game.Order {
	return game.Order{Op: game.OpConfirm, Hold: hold, Amount: amount}
}

func cancel(hold uint64) game.Order { return game.Order{Op: game.OpCancel, Hold: hold} }

// held gives user 1 points and a reservation of some.
func (b *bench) held(t *testing.T, have, hold game.Amount) *game.Posting {
	t.Helper()
	b.must(t, grant(1, have))
	p := b.must(t, reserve(1, hold, time.Minute))
	if p.Hold == 0 || p.Until != b.l.Now().Add(time.Minute) || p.Balance != have-hold {
		t.Fatalf("reservation %+v", p)
	}
	return p
}

// stands judges a reservation.
func (b *bench) stands(t *testing.T, made, ended *game.Posting, state game.HoldState) {
	t.Helper()
	r, err := b.l.Reservation(t.Context(), made.Hold)
	if err != nil {
		t.Fatalf("Reservation(%d) = %v", made.Hold, err)
	}
	if r.ID != made.Hold || r.UID != made.UID || r.Amount != made.Amount || r.Until != made.Until || r.State != state {
		t.Errorf("reservation %+v, want that of %+v, %v", r, made, state)
	}
	same(t, "what made it", r.Made, made)
	if ended != nil {
		same(t, "what ended it", r.Ended, ended)
	}
	if state == game.HoldOpen && r.Ended != nil {
		t.Errorf("an open reservation was ended by %+v", r.Ended)
	}
}

func confirmed(t *testing.T, b *bench) {
	made := b.held(t, 100, 60)
	b.has(t, 1, 40, 60, 0)
	b.stands(t, made, nil, game.HoldOpen)
	p := b.must(t, confirm(made.Hold, 0))
	if p.UID != 1 || p.Amount != 60 || p.Hold != made.Hold || p.Balance != 40 {
		t.Errorf("posting %+v", p)
	}
	b.has(t, 1, 40, 0, 0)
	b.stands(t, made, p, game.HoldConfirmed)
	b.pass(time.Hour)
	b.stands(t, made, p, game.HoldConfirmed)
	b.reopen(t)
	b.stands(t, made, p, game.HoldConfirmed)
	b.has(t, 1, 40, 0, 0)
}

func confirmedInPart(t *testing.T, b *bench) {
	made := b.held(t, 100, 60)
	b.wants(t, game.Conflict, confirm(made.Hold, 61))
	b.wants(t, game.Invalid, confirm(made.Hold, -1))
	p := b.must(t, confirm(made.Hold, 25))
	if p.Amount != 25 || p.Balance != 75 {
		t.Errorf("posting %+v, want 25 spent of 60 held", p)
	}
	b.has(t, 1, 75, 0, 0)
	b.stands(t, made, p, game.HoldConfirmed)
}

func cancelled(t *testing.T, b *bench) {
	made := b.held(t, 100, 60)
	p := b.must(t, cancel(made.Hold))
	if p.UID != 1 || p.Amount != 60 || p.Balance != 100 {
		t.Errorf("posting %+v", p)
	}
	b.has(t, 1, 100, 0, 0)
	b.stands(t, made, p, game.HoldCancelled)
	b.reopen(t)
	b.stands(t, made, p, game.HoldCancelled)
}

// again posts an order that repeats an end, under an id that stays free.
func (b *bench) again(t *testing.T, o game.Order, want *game.Posting) {
	t.Helper()
	o.Tx = b.tx()
	a, err := b.post(t, o)
	if err != nil || !a.Again {
		t.Errorf("%v again: %+v, %v", o.Op, a, err)
		return
	}
	same(t, o.Op.String()+" again", a.Posting, want)
	b.must(t, with(grant(2, 1), o.Tx))
}

func endsOnce(t *testing.T, b *bench) {
	first := b.held(t, 100, 30)
	p := b.must(t, confirm(first.Hold, 0))
	b.again(t, confirm(first.Hold, 0), p)
	b.again(t, confirm(first.Hold, 30), p)
	b.wants(t, game.Conflict, confirm(first.Hold, 29))
	b.wants(t, game.Conflict, cancel(first.Hold))

	second := b.must(t, reserve(1, 30, time.Minute))
	p = b.must(t, confirm(second.Hold, 10))
	b.again(t, confirm(second.Hold, 10), p)
	b.wants(t, game.Conflict, confirm(second.Hold, 0))
	b.wants(t, game.Conflict, confirm(second.Hold, 30))

	third := b.must(t, reserve(1, 30, time.Minute))
	p = b.must(t, cancel(third.Hold))
	b.reopen(t)
	b.pass(time.Hour)
	b.again(t, cancel(third.Hold), p)
	b.wants(t, game.Conflict, confirm(third.Hold, 0))

	for _, id := range []uint64{0, p.Seq, 1 << 40, 1<<63 - 1, 1 << 63, 1<<64 - 1} {
		b.wants(t, game.NotFound, confirm(id, 0))
		b.wants(t, game.NotFound, cancel(id))
		if _, err := b.l.Reservation(t.Context(), id); game.KindOf(err) != game.NotFound {
			t.Errorf("Reservation(%d) = %v, want not found", id, err)
		}
	}
	b.has(t, 1, 60, 0, 0)
}

func endsOnceInParallel(t *testing.T, b *bench) {
	const rounds, callers = 20, 8
	b.must(t, grant(1, 10*rounds))
	spent := game.Amount(0)
	for range rounds {
		made := b.must(t, reserve(1, 10, time.Minute))
		var wg sync.WaitGroup
		var confirms, cancels atomic.Int64
		for caller := range callers {
			wg.Go(func() {
				o, n := confirm(made.Hold, 0), &confirms
				if caller%2 == 1 {
					o, n = cancel(made.Hold), &cancels
				}
				a, err := b.post(t, o)
				switch {
				case err == nil && !a.Again:
					n.Add(1)
				case err != nil && game.KindOf(err) != game.Conflict:
					t.Errorf("%v: %v", o.Op, err)
				}
			})
		}
		wg.Wait()
		if confirms.Load()+cancels.Load() != 1 {
			t.Fatalf("a reservation was confirmed %d times and cancelled %d times", confirms.Load(), cancels.Load())
		}
		spent += 10 * game.Amount(confirms.Load())
	}
	b.has(t, 1, 10*rounds-spent, 0, 0)
}

func holdOver(t *testing.T, b *bench) {
	made := b.held(t, 100, 60)
	b.pass(time.Minute)
	b.has(t, 1, 100, 0, 0) // before anybody noted it
	b.stands(t, made, nil, game.HoldExpired)
	b.wants(t, game.Conflict, confirm(made.Hold, 0))
	b.wants(t, game.Conflict, cancel(made.Hold))
	if p := b.must(t, spend(1, 100)); p.Balance != 0 {
		t.Errorf("balance %d after all was spent, want 0", p.Balance)
	}
	b.wants(t, game.Conflict, confirm(made.Hold, 0))
	b.stands(t, made, nil, game.HoldExpired)
	b.reopen(t)
	b.stands(t, made, nil, game.HoldExpired)
	b.wants(t, game.Conflict, cancel(made.Hold))
	b.has(t, 1, 0, 0, 0)
}

func foreignHold(t *testing.T, b *bench) {
	made := b.held(t, 100, 60)
	other := confirm(made.Hold, 0)
	other.UID = 2
	b.wants(t, game.NotFound, other)
	other = cancel(made.Hold)
	other.UID = 2
	b.wants(t, game.NotFound, other)
	mine := confirm(made.Hold, 0)
	mine.UID = 1
	b.must(t, mine)
	other = confirm(made.Hold, 0)
	other.UID = 2
	b.wants(t, game.NotFound, other) // also when it ended
	b.has(t, 1, 40, 0, 0)
}
