// Package pointstest holds what every ledger of points promises, as tests. A promise
// that is not here is not one.
//
// Vocabulary. A Place is a ledger that can be opened, closed and opened again; its
// clock and rules are given at each opening. Memory is a ledger for tests of what
// lies above one: it keeps every promise but that of a restart of the process.
//
// Invariants. A test has a place of its own. At the end of each the sums of the
// ledger are zero, and those that it keeps beside the entries agree with them.
package pointstest

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/points"
)

// Config is what a ledger is opened with.
type Config struct {
	Rules game.Rules
	Now   func() time.Time
}

// Place opens one ledger, each time the same. It is not open twice at once.
type Place func(ctx context.Context, cfg Config) (points.Ledger, error)

// Run tests an engine. fresh gives a new, empty place; it may skip the test.
func Run(t *testing.T, fresh func(t *testing.T) Place) {
	for name, test := range map[string]func(*testing.T, *bench){
		"an order becomes a posting that is found":            roundTrip,
		"a user without points has the empty account":         nobody,
		"texts are kept byte by byte":                         texts,
		"an order happens once":                               once,
		"an order happens once under many callers":            onceInParallel,
		"an order that is refused leaves its id free":         refused,
		"what was carried out is answered for ever":           answeredForEver,
		"orders that break a bound are refused":               bounds,
		"accounts keep their bounds":                          accountBounds,
		"nobody spends more than there is":                    overdraft,
		"a charge-back makes a debt":                          debt,
		"transfers go by the rule":                            transfers,
		"a user that becomes another one loses nothing":       merged,
		"lots are spent in the order of the rule":             spendOrder,
		"a reservation is confirmed":                          confirmed,
		"a part of a reservation is confirmed":                confirmedInPart,
		"a reservation is cancelled":                          cancelled,
		"a reservation ends once":                             endsOnce,
		"a reservation ends once under many callers":          endsOnceInParallel,
		"a reservation that is over gives back":               holdOver,
		"a reservation is its user's":                         foreignHold,
		"points end, and Sweep notes it":                      sweep,
		"Sweep keeps to its limit":                            sweepLimit,
		"parallel spends of one balance":                      parallelSpends,
		"parallel transfers in a ring":                        ring,
		"history comes in pages, the newest first":            history,
		"postings come in their order":                        postings,
		"postings are seen in their order while they come":    postingsWhile,
		"accounts come by user":                               accounts,
		"the totals are those of the entries":                 totals,
		"the totals of a moment":                              totalsAt,
		"time never goes back":                                clockBack,
		"everything is there after a reopen":                  reopen,
		"time does not go back over a reopen":                 clockBackReopen,
		"a context that ended":                                ended,
		"a context that ends meanwhile":                       endsMeanwhile,
		"a closed ledger does nothing":                        closed,
		"an account that an order shows is a shared value":    shared,
		"concurrent orders have one order that explains them": linear,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, fresh(t))
			test(t, b)
			if b.l != nil {
				b.sums(t)
				if err := b.l.Close(); err != nil {
					t.Errorf("Close = %v", err)
				}
			}
		})
	}
}

// start is when every test begins.
var start = time.Date(2026, 4, 1, 0, 0, 0, 0, time.UTC)

// bench is a ledger under test.
type bench struct {
	place Place
	rules game.Rules
	clock atomic.Int64 // nanoseconds since start
	l     points.Ledger
	txs   atomic.Int64
}

func newBench(t *testing.T, place Place) *bench {
	t.Helper()
	b := &bench{place: place, rules: game.Rules{Transfers: true}}
	b.open(t)
	return b
}

func (b *bench) now() time.Time { return start.Add(time.Duration(b.clock.Load())) }

// pass lets time pass; a negative d sets the clock back.
func (b *bench) pass(d time.Duration) { b.clock.Add(int64(d)) }

// at is a moment after the start.
func at(d time.Duration) game.Instant { return game.At(start.Add(d)) }

func (b *bench) open(t *testing.T) {
	t.Helper()
	l, err := b.place(t.Context(), Config{Rules: b.rules, Now: b.now})
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	b.l = l
	t.Cleanup(func() { l.Close() }) //nolint:errcheck // closed twice by tests that close it
}

func (b *bench) reopen(t *testing.T) {
	t.Helper()
	if err := b.l.Close(); err != nil {
		t.Fatalf("Close = %v", err)
	}
	b.open(t)
}

// tx gives an id that no other order has.
func (b *bench) tx() string { return fmt.Sprint("test/", b.txs.Add(1)) }

func (b *bench) post(t *testing.T, o game.Order) (points.Answer, error) {
	if o.Tx == "" {
		o.Tx = b.tx()
	}
	a, err := b.l.Post(t.Context(), &o)
	switch {
	case err == nil && a.Posting == nil:
		t.Errorf("%v gave neither a posting nor an error", o.Op)
	case err != nil && !isError(err):
		t.Errorf("%v gave %v, which is no *game.Error", o.Op, err)
	}
	return a, err
}

func isError(err error) bool {
	var e *game.Error
	return errors.As(err, &e)
}

// must posts an order that has to succeed, for the first time.
func (b *bench) must(t *testing.T, o game.Order) *game.Posting {
	t.Helper()
	a, err := b.post(t, o)
	if err != nil {
		t.Fatalf("%v: %v", o.Op, err)
	}
	if a.Again {
		t.Fatalf("%v %q had been carried out before", o.Op, o.Tx)
	}
	return a.Posting
}

// wants posts an order that has to be refused.
func (b *bench) wants(t *testing.T, kind game.Kind, o game.Order) {
	t.Helper()
	a, err := b.post(t, o)
	if err == nil {
		t.Errorf("%v of %d gave posting %d, want an error of kind %v", o.Op, o.Amount, a.Posting.Seq, kind)
		return
	}
	if game.KindOf(err) != kind {
		t.Errorf("%v of %d: %v (%v), want kind %v", o.Op, o.Amount, err, game.KindOf(err), kind)
	}
	if inDoubt(err) {
		t.Errorf("%v of %d: %v is in doubt, but it was refused", o.Op, o.Amount, err)
	}
}

func inDoubt(err error) bool {
	var e *game.Error
	return errors.As(err, &e) && e.Doubt
}

func (b *bench) account(t *testing.T, uid game.UID) *game.Account {
	t.Helper()
	a, err := b.l.Account(t.Context(), uid)
	if err != nil {
		t.Fatalf("Account(%v) = %v", uid, err)
	}
	if a == nil || a.UID != uid {
		t.Fatalf("Account(%v) = %+v", uid, a)
	}
	return a
}

// has judges an account.
func (b *bench) has(t *testing.T, uid game.UID, balance, held, owed game.Amount) {
	t.Helper()
	a, now := b.account(t, uid), b.l.Now()
	if a.Balance(now) != balance || a.Held(now) != held || a.Debt != owed {
		t.Errorf("user %v: balance %d, held %d, debt %d; want %d, %d, %d", uid, a.Balance(now), a.Held(now), a.Debt, balance, held, owed)
	}
}

// sums holds the kept totals against the entries.
func (b *bench) sums(t *testing.T) points.Totals {
	t.Helper()
	kept, err := b.l.Totals(t.Context())
	if err != nil {
		t.Errorf("Totals = %v", err)
		return kept
	}
	added, err := b.l.TotalsAt(t.Context(), b.l.Now())
	if err != nil {
		t.Errorf("TotalsAt = %v", err)
		return kept
	}
	if kept.Classes != added.Classes || kept.Postings != added.Postings || kept.Last != added.Last {
		t.Errorf("the totals that are kept, %+v, are not those of the entries, %+v", kept, added)
	}
	if s := kept.Classes.Sum(); s != 0 {
		t.Errorf("the sum of all accounts is %d, want 0", s)
	}
	return kept
}
