package sql

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"math"
	mathrand "math/rand/v2"
	"slices"
	"time"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/points"
	"github.com/kamado/kamado/internal/sqldb"
)

// errBroken: the rows are not what this package wrote, or would not be right.
var errBroken = errors.New("the ledger of points is broken")

// Retries of a batch whose database went away.
const (
	triesMax = 3
	pauseMax = 60 * time.Millisecond // random pauses up to this
)

// turnName orders the batches of all servers of a database.
const turnName = "points"

// try carries a batch out, again when the database was away meanwhile: an attempt
// whose end is not known is found by its transaction ids. After an error, tried
// of a job tells whether it may have been kept.
func (l *Ledger) try(ctx context.Context, batch []*job) (err error) {
	for n := range triesMax {
		if n > 0 {
			l.metrics.retries.Inc()
			pause := time.NewTimer(mathrand.N(pauseMax))
			select {
			case <-pause.C:
			case <-ctx.Done():
				pause.Stop()
				return err
			}
		}
		var t *turn
		done := false
		err = sqldb.WriteInTurn(ctx, l.db, turnName, func(w sqldb.Writer) error {
			t, done = &turn{l: l, w: w, batch: batch}, false
			if err := t.run(); err != nil {
				return err
			}
			done = true
			return nil
		})
		switch {
		case err == nil:
			t.answer()
			return nil
		case done && !errors.Is(err, sqldb.ErrBusy) && !errors.Is(err, sqldb.ErrFull): // it broke during the commit
			t.doubt()
		}
		if !errors.Is(err, sqldb.ErrAway) {
			return err
		}
	}
	return err
}

// result is what became of a job in a turn.
type result struct {
	answer points.Answer
	err    error
}

// turn is one attempt to carry a batch out, with what it knows of the ledger.
type turn struct {
	l        *Ledger
	w        sqldb.Writer
	batch    []*job
	head     head
	now      game.Instant
	byTx     map[string]*game.Posting
	accounts map[game.UID]*game.Account
	made     map[uint64]*game.Posting // reservations
	ended    map[uint64]*game.Posting // those that ended by an order
	postings []*game.Posting
	changed  map[game.UID]bool
	results  []result
}

// run decides on all jobs and writes what comes of them.
func (t *turn) run() (err error) {
	if err := t.load(); err != nil {
		return err
	}
	t.now = max(t.head.time, game.At(t.l.cfg.Now()))
	t.changed, t.results = map[game.UID]bool{}, make([]result, len(t.batch))
	for i, j := range t.batch {
		t.results[i].answer, t.results[i].err = t.decide(j)
	}
	if sum := t.head.totals.Sum(); sum != 0 {
		return fmt.Errorf("%w: the sum of all accounts would be %d", errBroken, sum)
	}
	return t.write()
}

// load reads everything that the jobs touch, with as few questions as there can be,
// since each is a way there and back.
func (t *turn) load() error {
	t.byTx, t.made, t.ended, t.accounts = map[string]*game.Posting{}, map[uint64]*game.Posting{}, map[uint64]*game.Posting{}, map[game.UID]*game.Account{}
	uids := map[game.UID]bool{}
	var txs, holds []any
	for _, j := range t.batch {
		uids[j.order.UID], uids[j.order.To] = true, true
		if j.order.Tx != "" {
			txs = append(txs, escape(j.order.Tx))
		}
		if h := j.order.Hold; h > 0 && h <= math.MaxInt64 && (j.order.Op == game.OpConfirm || j.order.Op == game.OpCancel) {
			holds = append(holds, int64(h))
		}
	}
	if len(holds) > 0 {
		if err := t.askHolds(holds, uids); err != nil {
			return err
		}
	}
	delete(uids, 0)
	users := make([]any, 0, len(uids))
	for _, uid := range slices.Sorted(maps.Keys(uids)) {
		users = append(users, int64(uid))
	}
	for first := true; first || len(users)+len(txs) > 0; first = false {
		u, x := min(len(users), rowsMax), min(len(txs), rowsMax)
		if err := t.ask(users[:u:u], txs[:x:x]); err != nil {
			return err
		}
		users, txs = users[u:], txs[x:]
	}
	return nil
}

// askHolds reads the postings that made and ended reservations, and notes their users.
func (t *turn) askHolds(holds []any, uids map[game.UID]bool) error {
	for part := range slices.Chunk(holds, rowsMax) {
		list, args := in(slices.Clip(part), int64(0))
		if err := rows(t.w, "SELECT "+postingColumns+" FROM points_postings WHERE hold > 0 AND hold IN "+list, args, func(s scanner) error {
			p, err := scanPosting(s)
			if err == nil {
				t.note(p)
				uids[p.UID] = true
			}
			return err
		}); err != nil {
			return err
		}
	}
	return nil
}

// ask is the one question: for the head, accounts, and postings of transaction ids.
func (t *turn) ask(keys, txs []any) error {
	users, args := in(keys, int64(0))
	ids, more := in(txs, "")
	var kind int64
	var c columns
	into := append([]any{&kind}, c.into()...)
	found := 0
	err := rows(t.w, "SELECT 0, seq, time, totals, 0, 0, 0, accounts, 0, '' FROM points_head WHERE id = 1"+
		" UNION ALL SELECT 1, seq, 0, '', 0, uid, 0, 0, 0, body FROM points_accounts WHERE uid IN "+users+
		" UNION ALL SELECT 2, "+postingColumns+" FROM points_postings WHERE tx IN "+ids, append(args, more...), func(s scanner) (err error) {
		if err := s.Scan(into...); err != nil {
			return err
		}
		var a *game.Account
		var p *game.Posting
		switch kind {
		case 0:
			found++
			t.head, err = headOf(c.seq, c.time, c.amount, c.tx)
		case 1:
			if a, err = accountOf(c.uid, c.seq, c.body); err == nil {
				t.accounts[a.UID] = a
			}
		case 2:
			if p, err = c.posting(); err == nil {
				t.byTx[p.Tx] = p
			}
		}
		return err
	})
	if err == nil && found != 1 {
		return fmt.Errorf("%w: it has %d heads", errBroken, found)
	}
	return err
}

// note remembers what a posting says of a reservation.
func (t *turn) note(p *game.Posting) {
	switch p.Op {
	case game.OpReserve:
		t.made[p.Hold] = p
	case game.OpConfirm, game.OpCancel:
		t.ended[p.Hold] = p
	}
}

func (t *turn) account(uid game.UID) *game.Account {
	if a := t.accounts[uid]; a != nil {
		return a
	}
	return &game.Account{UID: uid}
}

// decide carries one order out on what the turn knows. A rule that panics fails its
// own order.
func (t *turn) decide(j *job) (a points.Answer, err error) {
	defer func() {
		if p := recover(); p != nil {
			t.l.cfg.Log.Error("a rule of points broke", "tx", j.order.Tx, "op", j.order.Op, "panic", p)
			a, err = points.Answer{}, game.Errorf(game.Internal, "the order could not be judged")
		}
	}()
	o := j.order
	if o.Op == game.OpExpire {
		o.Tx = "ledger/" + rand.Text() // nobody has chosen this id
	}
	if p := t.byTx[o.Tx]; p != nil {
		if !p.Same(&o) {
			return points.Answer{}, game.Errorf(game.Conflict, "transaction id %.60q is that of another order", o.Tx)
		}
		mine := j.tried != nil && j.tried.Seq == p.Seq && j.tried.Time == p.Time // an attempt of this very call
		return points.Answer{Posting: p, Again: !mine}, nil
	}
	if err := o.Check(t.now); err != nil {
		return points.Answer{}, err
	}
	uid := o.UID
	if o.Op == game.OpConfirm || o.Op == game.OpCancel {
		if p, err := t.end(&o); err != nil || p != nil {
			return points.Answer{Posting: p, Again: true}, err
		}
		uid = t.made[o.Hold].UID
	}
	out, err := t.l.cfg.Rules.Decide(&o, game.Stamp{Seq: t.head.seq + 1, Now: t.now}, t.account(uid), t.account(o.To))
	if err != nil || out.Posting == nil {
		return points.Answer{}, err
	}
	t.keep(out)
	return points.Answer{Posting: out.Posting}, nil
}

// end gives the posting that an end of a reservation repeats, or says why it cannot
// be one; nothing when the reservation is open.
func (t *turn) end(o *game.Order) (*game.Posting, error) {
	made, end := t.made[o.Hold], t.ended[o.Hold]
	if made == nil || o.UID != 0 && o.UID != made.UID {
		return nil, game.Errorf(game.NotFound, "there is no reservation %d", o.Hold)
	}
	open := slices.ContainsFunc(t.account(made.UID).Holds, func(h game.Hold) bool { return h.ID == o.Hold })
	switch {
	case open:
		return nil, nil
	case end == nil:
		return nil, game.Errorf(game.Conflict, "reservation %d was over at %s: its points went back", o.Hold, made.Until.Time().Format(time.RFC3339))
	case end.Op == o.Op && (o.Op == game.OpCancel || end.Amount == o.Amount || o.Amount == 0 && end.Amount == made.Amount):
		return end, nil
	case end.Op == game.OpConfirm:
		return nil, game.Errorf(game.Conflict, "reservation %d was confirmed with %d points", o.Hold, end.Amount)
	}
	return nil, game.Errorf(game.Conflict, "reservation %d was cancelled", o.Hold)
}

func (t *turn) keep(out game.Outcome) {
	p := out.Posting
	t.head.seq, t.head.time = p.Seq, p.Time
	t.head.totals.Add(p.Entries)
	t.postings, t.byTx[p.Tx] = append(t.postings, p), p
	t.note(p)
	for _, a := range []*game.Account{out.Account, out.Other} {
		if a == nil {
			continue
		}
		if t.account(a.UID).Seq == 0 {
			t.head.accounts++
		}
		t.accounts[a.UID], t.changed[a.UID] = a, true
	}
}

// write puts what is new into the tables.
func (t *turn) write() error {
	if len(t.postings) == 0 {
		return nil
	}
	list := make([][]any, len(t.postings))
	for i, p := range t.postings {
		var err error
		if list[i], err = postingValues(p); err != nil {
			return err
		}
	}
	if err := postingTable.put(t.w, list); err != nil {
		return err
	}
	list = nil
	for _, uid := range slices.Sorted(maps.Keys(t.changed)) {
		a := t.accounts[uid]
		body, err := accountBody(a)
		if err != nil {
			return err
		}
		list = append(list, []any{int64(uid), int64(a.Seq), int64(a.NextEnd()), body})
	}
	if err := accountTable.put(t.w, list); err != nil {
		return err
	}
	return t.head.write(t.w)
}

// answer gives the jobs what became of them, after the commit.
func (t *turn) answer() {
	t.l.seen(t.head.time)
	for i, j := range t.batch {
		j.answer, j.err = t.results[i].answer, t.results[i].err
	}
}

// doubt notes what may have been kept.
func (t *turn) doubt() {
	for i, j := range t.batch {
		if r := t.results[i]; r.err == nil && !r.answer.Again && r.answer.Posting != nil {
			j.tried = r.answer.Posting
		}
	}
}
