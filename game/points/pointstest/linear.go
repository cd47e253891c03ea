package pointstest

import (
	"maps"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/kamado/kamado/game"
)

// users of a history; more would make it easy to explain.
const users = 3

// called is one operation of a history; op 0 reads an account.
type called struct {
	op     game.Op
	uid    game.UID
	to     game.UID
	amount game.Amount
	hold   uint64
}

// came is what came of it.
type came struct {
	kind               game.Kind // Internal: it succeeded
	balance, otherwise game.Amount
	hold               uint64
	held               game.Amount // of a read
}

// books is a state: what users may spend, and what reservations hold. It is never changed.
type books struct {
	balance [users]game.Amount
	holds   map[uint64]held
}

type held struct {
	uid    game.UID
	amount game.Amount
	end    game.Op     // 0: open
	spent  game.Amount // of a confirmed one
}

// plain says what a ledger does, one order at a time. It shares nothing with the
// rules of package game: points of one kind that never end.
var plain = porcupine.Model{
	Init: func() any { return books{} },
	Step: func(state, input, output any) (bool, any) { return step(state.(books), input.(called), output.(came)) },
	Equal: func(a, b any) bool {
		return a.(books).balance == b.(books).balance && maps.Equal(a.(books).holds, b.(books).holds)
	},
}

func step(s books, c called, o came) (bool, any) {
	next := books{balance: s.balance, holds: s.holds}
	mine := func() *game.Amount { return &next.balance[c.uid-1] }
	failed := o.kind != game.Internal
	switch c.op {
	case 0:
		sum := game.Amount(0)
		for _, h := range s.holds {
			if h.uid == c.uid && h.end == 0 {
				sum += h.amount
			}
		}
		return !failed && o.balance == *mine() && o.held == sum, s
	case game.OpConfirm, game.OpCancel:
		return stepEnd(s, c, o)
	case game.OpGrant:
		*mine() += c.amount
		return !failed && o.balance == *mine(), next
	}
	if *mine() < c.amount {
		return o.kind == game.Insufficient, s
	}
	*mine() -= c.amount
	if c.op == game.OpTransfer {
		next.balance[c.to-1] += c.amount
		if o.otherwise != next.balance[c.to-1] {
			return false, s
		}
	}
	if c.op == game.OpReserve {
		next.holds = maps.Clone(s.holds)
		if next.holds == nil {
			next.holds = map[uint64]held{}
		}
		if _, there := next.holds[o.hold]; there {
			return false, s
		}
		next.holds[o.hold] = held{uid: c.uid, amount: c.amount}
	}
	return !failed && o.balance == *mine(), next
}

func stepEnd(s books, c called, o came) (bool, any) {
	h, there := s.holds[c.hold]
	switch {
	case !there:
		return o.kind == game.NotFound, s
	case h.end == 0:
		next := books{balance: s.balance, holds: maps.Clone(s.holds)}
		h.end = c.op
		if c.op == game.OpConfirm {
			h.spent = c.amount
		}
		next.balance[h.uid-1] += h.amount - h.spent
		next.holds[c.hold] = h
		return o.kind == game.Internal && o.balance == next.balance[h.uid-1], next
	case h.end == c.op && (c.op == game.OpCancel || h.spent == c.amount):
		return o.kind == game.Internal, s
	}
	return o.kind == game.Conflict, s
}

// linear lets callers post orders on few accounts at random, and asks Porcupine
// whether one order after the other could have been answered so.
func linear(t *testing.T, b *bench) {
	const callers, calls = 6, 40
	var mu sync.Mutex
	var ops []porcupine.Operation
	var holds []held // with their ids in spent
	begin := time.Now()
	var wg sync.WaitGroup
	for id := range callers {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(id), 11))
			for range calls {
				mu.Lock()
				c := choose(r, holds)
				mu.Unlock()
				op := porcupine.Operation{ClientId: id, Input: c, Call: time.Since(begin).Nanoseconds()}
				o, ok := b.do(t, c)
				op.Output, op.Return = o, time.Since(begin).Nanoseconds()
				if !ok {
					return
				}
				mu.Lock()
				ops = append(ops, op)
				if c.op == game.OpReserve && o.kind == game.Internal {
					holds = append(holds, held{amount: c.amount, spent: game.Amount(o.hold)})
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if t.Failed() {
		return
	}
	switch porcupine.CheckOperationsTimeout(plain, ops, 20*time.Second) {
	case porcupine.Illegal:
		t.Errorf("no order of these %d operations explains their answers", len(ops))
	case porcupine.Unknown:
		t.Logf("the history of %d operations was too hard to judge", len(ops))
	}
}

func choose(r *rand.Rand, holds []held) called {
	c := called{uid: game.UID(1 + r.IntN(users)), amount: game.Amount(1 + r.IntN(20))}
	switch n := r.IntN(12); {
	case n < 2:
		return called{uid: c.uid}
	case n < 4:
		c.op = game.OpGrant
	case n < 6:
		c.op = game.OpSpend
	case n < 8:
		c.op, c.to = game.OpTransfer, c.uid%users+1
	case n < 9 || len(holds) == 0:
		c.op = game.OpReserve
	default:
		h := holds[len(holds)-1-r.IntN(min(4, len(holds)))]
		c = called{op: game.OpConfirm, hold: uint64(h.spent), amount: 1 + (h.amount-1)*game.Amount(r.IntN(2))}
		if r.IntN(3) == 0 {
			c.op, c.amount = game.OpCancel, 0
		}
	}
	return c
}

func (b *bench) do(t *testing.T, c called) (o came, ok bool) {
	if c.op == 0 {
		a, err := b.l.Account(t.Context(), c.uid)
		if err != nil {
			t.Errorf("Account(%v) = %v", c.uid, err)
			return o, false
		}
		return came{balance: a.Balance(game.At(start)), held: a.Held(game.At(start))}, true
	}
	order := game.Order{Op: c.op, UID: c.uid, To: c.to, Amount: c.amount, Hold: c.hold}
	if c.op == game.OpReserve {
		order.Term = time.Hour
	}
	a, err := b.post(t, order)
	if err != nil {
		o.kind = game.KindOf(err)
		if o.kind != game.Insufficient && o.kind != game.NotFound && o.kind != game.Conflict {
			t.Errorf("%+v: %v", c, err)
			return o, false
		}
		return o, true
	}
	p := a.Posting
	return came{balance: p.Balance, otherwise: p.BalanceTo, hold: p.Hold}, true
}
