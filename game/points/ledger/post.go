package ledger

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/points"
)

// Post carries an order out. See points.Ledger.
func (l *Ledger) Post(ctx context.Context, o *game.Order) (points.Answer, error) {
	a, err := l.post(ctx, o)
	if err != nil {
		l.metrics.refusals[game.KindOf(err)].Inc()
	}
	return a, err
}

func (l *Ledger) post(ctx context.Context, o *game.Order) (points.Answer, error) {
	if err := o.Check(0); err != nil { // what depends on the moment is checked when it is decided
		return points.Answer{}, err
	}
	if o.Op == game.OpExpire {
		return points.Answer{}, game.Errorf(game.Invalid, "points are ended by the ledger itself")
	}
	r := newRequest(o)
	if a, err := l.again(r); err != nil || a.Posting != nil {
		return a, err
	}
	if err := ctx.Err(); err != nil { // nobody waits: it is not begun
		return points.Answer{}, leftEarly(err, false)
	}
	select {
	case <-l.finished:
		return points.Answer{}, l.away()
	case l.queue <- r:
	default:
		return points.Answer{}, game.Errorf(game.Unavailable, "%d orders wait for the ledger, which is the most (game.points.queue)", l.cfg.Queue)
	}
	return l.await(ctx, r)
}

// again answers an order that is in the index already, so that it need not wait for others.
func (l *Ledger) again(r *request) (points.Answer, error) {
	if err := l.enter(); err != nil {
		return points.Answer{}, err
	}
	defer l.open.RUnlock()
	p, err := l.findIndexed(&r.key, r.order.Tx)
	switch {
	case err != nil || p == nil:
		return points.Answer{}, err
	case p.Same(&r.order):
		return points.Answer{Posting: p, Again: true}, nil
	}
	return points.Answer{}, otherOrder(p)
}

// await waits for what a queued order comes to.
func (l *Ledger) await(ctx context.Context, r *request) (points.Answer, error) {
	select {
	case <-r.done:
		return r.answer, r.err
	case <-ctx.Done():
		return points.Answer{}, leftEarly(ctx.Err(), true)
	case <-l.finished:
	}
	select {
	case <-r.done:
		return r.answer, r.err
	default: // it was queued too late: nobody took it
		return points.Answer{}, l.away()
	}
}

// leftEarly is the error of a caller who did not wait for the end.
func leftEarly(err error, doubt bool) error {
	return &game.Error{Op: "wait for the ledger", Kind: game.Unavailable, Detail: "the wait for the ledger ended", Err: err, Doubt: doubt}
}

// away is why a ledger that does not run answers nothing.
func (l *Ledger) away() error {
	if err := l.failed(); err != nil {
		return err
	}
	return game.Errorf(game.Unavailable, "the ledger is closed")
}

// show raises what Now gives at least.
func (l *Ledger) show(now game.Instant) game.Instant {
	for {
		shown := l.shownNow.Load()
		if int64(now) <= shown {
			return game.Instant(shown)
		}
		if l.shownNow.CompareAndSwap(shown, int64(now)) {
			return now
		}
	}
}

// enter begins a use of what Close closes; open is held to read when there is no error.
func (l *Ledger) enter() error {
	if err := l.failed(); err != nil {
		return err
	}
	l.open.RLock()
	if l.isClosed {
		l.open.RUnlock()
		return l.away()
	}
	return nil
}

// Now is the ledger's time: the clock's, and never before what was shown or posted.
func (l *Ledger) Now() game.Instant {
	return l.show(game.At(l.deps.Clock()))
}

// SweepMax bounds one Sweep.
const SweepMax = 1000

// sweepLater is when an account is tried again whose lots or reservations could not be ended.
const sweepLater = time.Hour

// Sweep ends what is over. See points.Ledger.
func (l *Ledger) Sweep(ctx context.Context, limit int) ([]*game.Posting, error) {
	if err := l.enter(); err != nil {
		return nil, err
	}
	defer l.open.RUnlock()
	type due struct {
		i   uint32
		req *request
	}
	now := l.Now()
	var list []due
	l.mu.RLock()
	for _, i := range l.core.ends.due(now, min(limit, SweepMax)) {
		a := l.core.table.get(i).account
		o := game.Order{Op: game.OpExpire, UID: a.UID, Tx: fmt.Sprintf("expire/%d/%d", a.UID, a.Seq), By: "ledger"}
		list = append(list, due{i, newRequest(&o)})
	}
	l.mu.RUnlock()
	sent := 0
	var errs []error
	for _, d := range list {
		select {
		case l.queue <- d.req:
			sent++
			continue
		case <-ctx.Done():
			errs = append(errs, &game.Error{Op: "sweep", Kind: game.Unavailable, Err: ctx.Err()})
		case <-l.finished:
			errs = append(errs, l.away())
		}
		break
	}
	var done []*game.Posting
	for _, d := range list[:sent] {
		a, err := l.await(ctx, d.req)
		switch kind := game.KindOf(err); {
		case err == nil && a.Posting != nil && !a.Again:
			done = append(done, a.Posting)
		case err == nil:
		case kind == game.TooLarge || kind == game.Conflict:
			l.metrics.unswept.Inc()
			l.deps.Log.Warn("what is over in an account cannot be ended; it is tried again later", "uid", d.req.order.UID, "error", err)
			l.mu.Lock()
			l.core.ends.set(d.i, now.Add(sweepLater))
			l.mu.Unlock()
		default:
			errs = append(errs, err)
		}
	}
	return done, errors.Join(errs...)
}
