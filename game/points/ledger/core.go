package ledger

import (
	"fmt"

	"github.com/kamado/kamado/game"
)

// core is the accounts and the rules. It has no clock, disk or goroutine: orders,
// moments and places come in, postings go out.
type core struct {
	rules  game.Rules
	table  table
	totals game.Totals
	seq    uint64       // of the last posting
	now    game.Instant // its time
	holds  map[uint64]game.UID
	ends   ends
}

func newCore(rules game.Rules) *core {
	return &core{rules: rules, table: newTable(), holds: map[uint64]game.UID{}}
}

// change is what an order leads to, before it is done.
type change struct {
	game.Outcome
	i, j             uint32 // numbers of the accounts of UID and To
	before, beforeTo place  // of their last postings
}

// account gives a user's account, its number and the place of its last posting.
func (c *core) account(uid game.UID) (a *game.Account, i uint32, last place) {
	i, ok := c.table.find(uid)
	if !ok {
		return &game.Account{UID: uid}, i, 0
	}
	s := c.table.get(i)
	return s.account, i, s.last
}

// prepare judges an order at a moment, and changes nothing. The order was judged
// by Check(0), and no posting has its transaction id. A change without posting
// means that there is nothing to do (OpExpire, OpMerge).
func (c *core) prepare(o *game.Order, now game.Instant) (ch change, err error) {
	now = max(now, c.now, 1)
	if o.Op == game.OpGrant && o.Expires != 0 {
		if err := o.Check(now); err != nil {
			return ch, err
		}
	}
	uid := o.UID
	if o.Op == game.OpConfirm || o.Op == game.OpCancel {
		holder := c.holds[o.Hold]
		if holder == 0 || uid != 0 && uid != holder {
			return ch, game.Errorf(game.NotFound, "there is no open reservation %d", o.Hold)
		}
		uid = holder
	}
	var acct, other *game.Account
	acct, ch.i, ch.before = c.account(uid)
	if o.To != 0 {
		other, ch.j, ch.beforeTo = c.account(o.To)
		if ch.i == ch.j { // both are new
			ch.j++
		}
	}
	ch.Outcome, err = c.rules.Decide(o, game.Stamp{Seq: c.seq + 1, Now: now}, acct, other)
	if err == nil && ch.Posting != nil && len(ch.Posting.Entries) > game.EntriesMax {
		return change{}, game.Errorf(game.TooLarge, "a posting of %d entries: at most %d are kept", len(ch.Posting.Entries), game.EntriesMax)
	}
	return ch, err
}

// apply does what prepare said, at a place. Nothing was applied since.
func (c *core) apply(ch *change, at place) {
	p := ch.Posting
	c.seq, c.now = p.Seq, p.Time
	c.totals.Add(p.Entries)
	c.put(ch.i, slot{ch.Account, at})
	if ch.Other != nil {
		c.put(ch.j, slot{ch.Other, at})
	}
	c.noteHolds(p, ch.Account, ch.Other)
}

func (c *core) put(i uint32, s slot) {
	c.table.set(i, s)
	c.ends.set(i, s.account.NextEnd())
}

// noteHolds keeps holds: the open reservations of all users.
func (c *core) noteHolds(p *game.Posting, accounts ...*game.Account) {
	if p.Op == game.OpReserve {
		c.holds[p.Hold] = p.UID
	}
	for i := range p.Entries {
		if e := &p.Entries[i]; e.From == game.HeldFree || e.From == game.HeldPaid {
			if !isOpen(e.Hold, e.FromUID, accounts) {
				delete(c.holds, e.Hold)
			}
		}
	}
}

func isOpen(id uint64, uid game.UID, accounts []*game.Account) bool {
	for _, a := range accounts {
		if a == nil || a.UID != uid {
			continue
		}
		for i := range a.Holds {
			if a.Holds[i].ID == id {
				return true
			}
		}
	}
	return false
}

// replay does again what a posting that was read back says. Accounts are changed in
// place: nobody else may know them. The error says that the posting does not belong here.
func (c *core) replay(p *game.Posting, before, beforeTo, at place) error {
	if p.Seq != c.seq+1 || p.Time < c.now {
		return fmt.Errorf("posting %d of time %d follows posting %d of time %d", p.Seq, p.Time, c.seq, c.now)
	}
	acct, i, last := c.account(p.UID)
	if last != before {
		return fmt.Errorf("posting %d: the posting of user %v before it is at %v, not at %v", p.Seq, p.UID, last, before)
	}
	if err := acct.Apply(p); err != nil {
		return err
	}
	c.put(i, slot{acct, at})
	var other *game.Account
	if p.To != 0 {
		if other, i, last = c.account(p.To); last != beforeTo {
			return fmt.Errorf("posting %d: the posting of user %v before it is at %v, not at %v", p.Seq, p.To, last, beforeTo)
		}
		if err := other.Apply(p); err != nil {
			return err
		}
		c.put(i, slot{other, at})
	}
	c.seq, c.now = p.Seq, p.Time
	c.totals.Add(p.Entries)
	c.noteHolds(p, acct, other)
	return nil
}

// restore takes over an account of a snapshot.
func (c *core) restore(s slot) error {
	i, known := c.table.find(s.account.UID)
	if known {
		return fmt.Errorf("user %v is there twice", s.account.UID)
	}
	c.put(i, s)
	for _, h := range s.account.Holds {
		c.holds[h.ID] = s.account.UID
	}
	return nil
}

// check holds the accounts against the totals.
func (c *core) check() error {
	var sum game.Totals
	f := frozen{c.table.chunks, c.table.n}
	err := f.each(func(s slot) error {
		a := s.account
		for _, l := range a.Lots {
			sum[game.UserFree+game.Class(l.Kind)] += l.Amount
		}
		for _, h := range a.Holds {
			for _, l := range h.Lots {
				sum[game.HeldFree+game.Class(l.Kind)] += l.Amount
			}
		}
		sum[game.UserDebt] -= a.Debt
		return nil
	})
	for class := range game.ClassCount {
		if err == nil && class.OfUser() && sum[class] != c.totals[class] {
			err = fmt.Errorf("accounts of class %v have %d together, and the sum says %d", class, sum[class], c.totals[class])
		}
	}
	if err == nil && c.totals.Sum() != 0 {
		err = fmt.Errorf("the sum of all classes is %d, not 0", c.totals.Sum())
	}
	return err
}
