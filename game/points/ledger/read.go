package ledger

import (
	"context"
	"errors"
	"fmt"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/points"
)

// Account gives the points of a user. See points.Ledger.
func (l *Ledger) Account(ctx context.Context, uid game.UID) (*game.Account, error) {
	if err := l.enter(); err != nil {
		return nil, err
	}
	defer l.open.RUnlock()
	s := l.slotOf(uid)
	if err := l.awaitDurable(ctx, s.account.Seq); err != nil {
		return nil, err
	}
	return s.account, nil
}

// checkLimit judges the length of a page.
func checkLimit(limit int) error {
	if limit < 1 || limit > points.HistoryMax {
		return game.Errorf(game.Invalid, "a page of %d: want 1 to %d", limit, points.HistoryMax)
	}
	return nil
}

func (l *Ledger) slotOf(uid game.UID) slot {
	l.mu.RLock()
	defer l.mu.RUnlock()
	a, _, last := l.core.account(uid)
	return slot{a, last}
}

// awaitDurable waits until a posting is durable.
func (l *Ledger) awaitDurable(ctx context.Context, seq uint64) error {
	return l.waitFor(ctx, &l.durable, seq)
}

// awaitIndexed waits until the index has all that is decided now, and gives the last posting of that.
func (l *Ledger) awaitIndexed(ctx context.Context) (uint64, error) {
	l.mu.RLock()
	seq := l.core.seq
	l.mu.RUnlock()
	return seq, l.waitFor(ctx, &l.indexed, seq)
}

func (l *Ledger) waitFor(ctx context.Context, p *progress, seq uint64) error {
	if err := p.wait(ctx, seq, l.stopped); err != nil {
		return &game.Error{Op: "wait for the ledger", Kind: game.Unavailable, Detail: "the wait for the ledger ended", Err: err}
	}
	if err := l.failed(); err != nil {
		return err
	}
	return nil
}

// read reads the posting at a place.
func (l *Ledger) read(at place) (*game.Posting, error) {
	var r record
	if err := l.segs.record(at, &r); err != nil {
		return nil, l.readFailed(err)
	}
	return r.whole(), nil
}

// readFailed says that the log cannot be read where it is needed.
func (l *Ledger) readFailed(err error) error {
	var d *damage
	if !errors.As(err, &d) {
		return &game.Error{Op: "read the ledger", Kind: game.Unavailable, Detail: "the disk of the ledger fails", Err: err}
	}
	l.noteDamage(d)
	return problem("read the ledger", err)
}

// bySeq reads a posting by its number; nil: there is none.
func (l *Ledger) bySeq(ctx context.Context, seq uint64) (p *game.Posting, before func(game.UID) (place, bool), err error) {
	last, err := l.awaitIndexed(ctx)
	if err != nil || seq == 0 || seq > last {
		return nil, nil, err
	}
	err = l.from(ctx, seq, last, func(r *record, _ place) error {
		own := *r
		p, before = r.whole(), own.beforeOf
		return errStop
	})
	return p, before, err
}

// from visits postings in order, from one on to another. visit may give errStop.
func (l *Ledger) from(ctx context.Context, seq, last uint64, visit func(*record, place) error) error {
	start, err := l.index.batchOf(seq)
	if err != nil {
		return l.indexFailed(err)
	}
	if start == 0 {
		return l.indexFailed(fmt.Errorf("index: posting %d is in no batch", seq))
	}
	err = l.segs.batches(ctx, start, func(b *wholeBatch) error {
		if b.head.seq > last {
			return errStop
		}
		return b.records(&l.id, func(r *record, here place) error {
			switch {
			case r.posting.Seq < seq:
				return nil
			case r.posting.Seq > last:
				return errStop
			}
			return visit(r, here)
		})
	})
	switch {
	case errors.Is(err, errStop):
		return nil
	case err != nil && ctx.Err() != nil:
		return &game.Error{Op: "read the ledger", Kind: game.Unavailable, Err: err}
	case err != nil:
		return l.readFailed(err)
	}
	return nil
}

// Posting finds a posting by its transaction id. See points.Ledger.
func (l *Ledger) Posting(ctx context.Context, tx string) (*game.Posting, error) {
	if err := l.enter(); err != nil {
		return nil, err
	}
	defer l.open.RUnlock()
	if tx == "" || len(tx) > game.TxBytesMax {
		return nil, game.Errorf(game.NotFound, "no posting has a transaction id of %d bytes", len(tx))
	}
	if _, err := l.awaitIndexed(ctx); err != nil {
		return nil, err
	}
	k := keyOf(tx)
	p, err := l.findIndexed(&k, tx)
	if err == nil && p == nil {
		err = game.Errorf(game.NotFound, "no posting has the transaction id %.80q", tx)
	}
	return p, err
}

// History gives postings of a user. See points.Ledger.
func (l *Ledger) History(ctx context.Context, uid game.UID, before uint64, limit int) ([]*game.Posting, error) {
	if err := checkLimit(limit); err != nil {
		return nil, err
	}
	if err := l.enter(); err != nil {
		return nil, err
	}
	defer l.open.RUnlock()
	s := l.slotOf(uid)
	if err := l.awaitDurable(ctx, s.account.Seq); err != nil {
		return nil, err
	}
	here := s.last
	if before != 0 && before <= s.account.Seq {
		// A page goes on from the last posting of the page before, most often.
		p, link, err := l.bySeq(ctx, before)
		if err != nil {
			return nil, err
		}
		if p != nil {
			if at, ok := link(uid); ok {
				here = at
			}
		}
	}
	list := []*game.Posting{}
	for here != 0 && len(list) < limit {
		if err := ctx.Err(); err != nil {
			return nil, &game.Error{Op: "read a history", Kind: game.Unavailable, Err: err}
		}
		var r record
		if err := l.segs.record(here, &r); err != nil {
			return nil, l.readFailed(err)
		}
		if before == 0 || r.posting.Seq < before {
			list = append(list, r.whole())
		}
		var ok bool
		if here, ok = r.beforeOf(uid); !ok {
			return nil, l.readFailed(&damage{here, r.posting.Seq, fmt.Sprintf("it is not a posting of user %v", uid)})
		}
	}
	return list, nil
}

// Postings gives all postings in order. See points.Ledger.
func (l *Ledger) Postings(ctx context.Context, after uint64, limit int) ([]*game.Posting, error) {
	if err := checkLimit(limit); err != nil {
		return nil, err
	}
	if err := l.enter(); err != nil {
		return nil, err
	}
	defer l.open.RUnlock()
	last, err := l.awaitIndexed(ctx)
	list := []*game.Posting{}
	if err != nil || after >= last {
		return list, err
	}
	err = l.from(ctx, after+1, last, func(r *record, _ place) error {
		if list = append(list, r.whole()); len(list) >= limit {
			return errStop
		}
		return nil
	})
	return list, err
}

// Accounts gives users that have an account. See points.Ledger.
func (l *Ledger) Accounts(ctx context.Context, after game.UID, limit int) ([]*game.Account, error) {
	if err := checkLimit(limit); err != nil {
		return nil, err
	}
	if err := l.enter(); err != nil {
		return nil, err
	}
	defer l.open.RUnlock()
	if _, err := l.awaitIndexed(ctx); err != nil || after >= game.UIDMax {
		return []*game.Account{}, err
	}
	uids, err := l.index.users(after, limit)
	if err != nil {
		return nil, l.indexFailed(err)
	}
	list := make([]*game.Account, len(uids))
	seq := uint64(0)
	l.mu.RLock()
	for i, uid := range uids {
		list[i], _, _ = l.core.account(uid)
		seq = max(seq, list[i].Seq)
	}
	l.mu.RUnlock()
	return list, l.awaitDurable(ctx, seq)
}

// Totals gives the sums that are kept. See points.Ledger.
func (l *Ledger) Totals(ctx context.Context) (points.Totals, error) {
	if err := l.enter(); err != nil {
		return points.Totals{}, err
	}
	defer l.open.RUnlock()
	l.mu.RLock()
	t := points.Totals{Classes: l.core.totals, Postings: l.core.seq, Last: l.core.seq, Accounts: uint64(l.core.table.n)}
	l.mu.RUnlock()
	return t, l.awaitDurable(ctx, t.Last)
}

// TotalsAt adds up all entries until a moment, and checks the chain on its way. See points.Ledger.
func (l *Ledger) TotalsAt(ctx context.Context, until game.Instant) (t points.Totals, err error) {
	if err := l.enter(); err != nil {
		return t, err
	}
	defer l.open.RUnlock()
	l.mu.RLock()
	seq := l.core.seq
	l.mu.RUnlock()
	if err := l.awaitDurable(ctx, seq); err != nil {
		return t, err
	}
	var entries []game.Entry
	err = l.segs.walk(ctx, beginning(), l.durableBatch(), func(b *wholeBatch) error {
		select {
		case <-l.closing:
			return l.away()
		default:
		}
		return b.records(&l.id, func(r *record, _ place) error {
			if r.posting.Time > until {
				return errStop
			}
			entries = r.appendEntries(entries[:0])
			t.Classes.Add(entries)
			t.Postings, t.Last = t.Postings+1, r.posting.Seq
			return nil
		})
	})
	var e *game.Error
	switch {
	case err == nil || errors.As(err, &e):
		return t, err
	case ctx.Err() != nil:
		return t, &game.Error{Op: "add up the ledger", Kind: game.Unavailable, Err: err}
	}
	return t, l.readFailed(err)
}

// Durable is the number of the last batch that is durable: a copy of the log up to it holds nothing that a crash could take back.
func (l *Ledger) Durable(context.Context) (batch uint64, err error) { return l.durableBatch(), nil }

func (l *Ledger) durableBatch() uint64 {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.durableEnd.batch
}

// Reservation tells of a reservation. See points.Ledger.
func (l *Ledger) Reservation(ctx context.Context, id uint64) (game.Reservation, error) {
	if err := l.enter(); err != nil {
		return game.Reservation{}, err
	}
	defer l.open.RUnlock()
	made, _, err := l.bySeq(ctx, id)
	if err != nil {
		return game.Reservation{}, err
	}
	if made == nil || made.Op != game.OpReserve {
		return game.Reservation{}, game.Errorf(game.NotFound, "there is no reservation %d", id)
	}
	v := game.Reservation{ID: id, UID: made.UID, Amount: made.Amount, Until: made.Until, State: game.HoldOpen, Made: made}
	s := l.slotOf(made.UID)
	if err := l.awaitDurable(ctx, s.account.Seq); err != nil {
		return game.Reservation{}, err
	}
	for i := range s.account.Holds {
		if s.account.Holds[i].ID == id {
			if v.Until <= l.Now() {
				v.State = game.HoldExpired
			}
			return v, nil
		}
	}
	v.State = game.HoldExpired
	if err := l.waitFor(ctx, &l.indexed, s.account.Seq); err != nil {
		return game.Reservation{}, err
	}
	at, err := l.index.holdEnd(id)
	if err != nil {
		return game.Reservation{}, l.indexFailed(err)
	}
	if at == 0 {
		return v, nil
	}
	if v.Ended, err = l.read(at); err != nil {
		return game.Reservation{}, err
	}
	switch v.Ended.Op {
	case game.OpConfirm:
		v.State = game.HoldConfirmed
	case game.OpCancel:
		v.State = game.HoldCancelled
	}
	return v, nil
}
