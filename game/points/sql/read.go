package sql

import (
	"context"
	stdsql "database/sql"
	"errors"
	"math"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/points"
	"github.com/kamado/kamado/internal/sqldb"
)

// read asks the database on one consistent state.
func (l *Ledger) read(ctx context.Context, op string, fn func(sqldb.Reader) error) error {
	l.mu.RLock()
	closed := l.closed
	l.mu.RUnlock()
	if closed {
		return errClosed()
	}
	if err := l.db.Read(ctx, fn); err != nil {
		return l.failure(op, err, false)
	}
	return nil
}

// Account implements points.Ledger.
func (l *Ledger) Account(ctx context.Context, uid game.UID) (*game.Account, error) {
	a := &game.Account{UID: uid}
	if uid > game.UIDMax {
		return a, nil
	}
	err := l.read(ctx, "account", func(r sqldb.Reader) error {
		h, err := readHead(r) // Now is not before what the account knows, whichever server wrote it
		if err != nil {
			return err
		}
		l.seen(h.time)
		return rows(r, "SELECT "+accountColumns+" FROM points_accounts WHERE uid = ?", []any{int64(uid)}, func(s scanner) (err error) {
			a, err = scanAccount(s)
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	return a, nil
}

// Posting implements points.Ledger.
func (l *Ledger) Posting(ctx context.Context, tx string) (p *game.Posting, err error) {
	err = l.read(ctx, "posting", func(r sqldb.Reader) error {
		p, err = scanPosting(r.QueryRow("SELECT "+postingColumns+" FROM points_postings WHERE tx = ?", escape(tx)))
		if errors.Is(err, stdsql.ErrNoRows) {
			return game.Errorf(game.NotFound, "there is no posting %.60q", tx)
		}
		return err
	})
	return p, err
}

// Reservation implements points.Ledger. Its rows are the postings that made and
// ended it; an end by the way has none, and is told from the time.
func (l *Ledger) Reservation(ctx context.Context, id uint64) (res game.Reservation, err error) {
	var made, ended *game.Posting
	if id > 0 && id <= math.MaxInt64 {
		err = l.read(ctx, "reservation", func(r sqldb.Reader) error {
			return rows(r, "SELECT "+postingColumns+" FROM points_postings WHERE hold > 0 AND hold = ? ORDER BY seq", []any{int64(id)}, func(s scanner) error {
				p, err := scanPosting(s)
				if err == nil && p.Op == game.OpReserve {
					made = p
				} else if err == nil {
					ended = p
				}
				return err
			})
		})
	}
	switch {
	case err != nil:
		return res, err
	case made == nil:
		return res, game.Errorf(game.NotFound, "there is no reservation %d", id)
	}
	res = game.Reservation{ID: id, UID: made.UID, Amount: made.Amount, Until: made.Until, Made: made, Ended: ended}
	switch {
	case ended != nil && ended.Op == game.OpConfirm:
		res.State = game.HoldConfirmed
	case ended != nil:
		res.State = game.HoldCancelled
	case made.Until <= l.Now():
		res.State = game.HoldExpired
	}
	return res, nil
}

// checkLimit judges the size of a page.
func checkLimit(limit int) error {
	if limit < 1 || limit > points.HistoryMax {
		return game.Errorf(game.Invalid, "a page of %d: want 1 to %d", limit, points.HistoryMax)
	}
	return nil
}

// page asks for postings.
func (l *Ledger) page(ctx context.Context, op, query string, args ...any) (page []*game.Posting, err error) {
	err = l.read(ctx, op, func(r sqldb.Reader) error {
		return rows(r, query, args, func(s scanner) error {
			p, err := scanPosting(s)
			page = append(page, p)
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	return page, nil
}

// History implements points.Ledger.
func (l *Ledger) History(ctx context.Context, uid game.UID, before uint64, limit int) ([]*game.Posting, error) {
	if err := checkLimit(limit); err != nil {
		return nil, err
	}
	end := int64(math.MaxInt64)
	if before > 0 && before < math.MaxInt64 {
		end = int64(before)
	}
	user := int64(min(uid, game.UIDMax))
	return l.page(ctx, "history", "SELECT "+postingColumns+" FROM (SELECT * FROM (SELECT "+postingColumns+" FROM points_postings WHERE uid = ? AND seq < ? ORDER BY seq DESC LIMIT ?) AS a"+
		" UNION ALL SELECT * FROM (SELECT "+postingColumns+" FROM points_postings WHERE to_uid > 0 AND to_uid = ? AND seq < ? ORDER BY seq DESC LIMIT ?) AS b) AS c ORDER BY seq DESC LIMIT ?",
		user, end, int64(limit), user, end, int64(limit), int64(limit))
}

// Postings implements points.Ledger.
func (l *Ledger) Postings(ctx context.Context, after uint64, limit int) ([]*game.Posting, error) {
	if err := checkLimit(limit); err != nil {
		return nil, err
	}
	return l.page(ctx, "postings", "SELECT "+postingColumns+" FROM points_postings WHERE seq > ? ORDER BY seq LIMIT ?", int64(min(after, math.MaxInt64)), int64(limit))
}

// Accounts implements points.Ledger.
func (l *Ledger) Accounts(ctx context.Context, after game.UID, limit int) (page []*game.Account, err error) {
	if err := checkLimit(limit); err != nil {
		return nil, err
	}
	err = l.read(ctx, "accounts", func(r sqldb.Reader) error {
		return rows(r, "SELECT "+accountColumns+" FROM points_accounts WHERE uid > ? ORDER BY uid LIMIT ?", []any{int64(min(after, game.UIDMax)), int64(limit)}, func(s scanner) error {
			a, err := scanAccount(s)
			page = append(page, a)
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	return page, nil
}

// Totals implements points.Ledger.
func (l *Ledger) Totals(ctx context.Context) (t points.Totals, err error) {
	err = l.read(ctx, "totals", func(r sqldb.Reader) error {
		h, err := readHead(r)
		t = points.Totals{Classes: h.totals, Postings: h.seq, Last: h.seq, Accounts: h.accounts} // places have no gaps
		return err
	})
	return t, err
}

// TotalsAt implements points.Ledger.
func (l *Ledger) TotalsAt(ctx context.Context, at game.Instant) (t points.Totals, err error) {
	err = l.read(ctx, "totals at a moment", func(r sqldb.Reader) error {
		t = points.Totals{}
		return rows(r, "SELECT "+postingColumns+" FROM points_postings WHERE time <= ? ORDER BY seq", []any{int64(at)}, func(s scanner) error {
			p, err := scanPosting(s)
			if err != nil {
				return err
			}
			t.Classes.Add(p.Entries)
			t.Postings, t.Last = t.Postings+1, p.Seq
			return nil
		})
	})
	return t, err
}

// Sweep implements points.Ledger. It takes turns with the batches of the worker.
func (l *Ledger) Sweep(ctx context.Context, limit int) (made []*game.Posting, err error) {
	if err := checkLimit(limit); err != nil {
		return nil, err
	}
	var due []*job
	err = l.read(ctx, "sweep", func(r sqldb.Reader) error {
		return rows(r, "SELECT uid FROM points_accounts WHERE next_end > 0 AND next_end <= ? ORDER BY next_end, uid LIMIT ?", []any{int64(l.Now()), int64(limit)}, func(s scanner) error {
			j := &job{order: game.Order{Op: game.OpExpire}}
			due = append(due, j)
			return s.Scan(&j.order.UID)
		})
	})
	for len(due) > 0 && err == nil {
		part := due[:min(len(due), l.cfg.BatchMax)]
		due = due[len(part):]
		l.carryOut(part)
		for _, j := range part {
			if err = errors.Join(err, j.err); j.answer.Posting != nil {
				made = append(made, j.answer.Posting)
			}
		}
	}
	return made, err
}
