package ledger

import (
	"context"
	"time"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/points"
)

// ended answers a Confirm or Cancel of a reservation that is not open: the same end
// again is answered with the posting that ended it, and the order's transaction id stays free.
func (d *decider) ended(o *game.Order) (points.Answer, error) {
	made, err := d.posting(o.Hold)
	if err != nil {
		return points.Answer{}, err
	}
	if made == nil || made.Op != game.OpReserve || o.UID != 0 && o.UID != made.UID {
		return points.Answer{}, game.Errorf(game.NotFound, "there is no reservation %d", o.Hold)
	}
	p, err := d.endOf(o.Hold)
	if err != nil {
		return points.Answer{}, err
	}
	switch {
	case p == nil || p.Op == game.OpExpire:
		return points.Answer{}, game.Errorf(game.Conflict, "reservation %d was over at %s: its points went back", o.Hold, made.Until.Time().Format(time.RFC3339))
	case p.Op != o.Op:
		return points.Answer{}, game.Errorf(game.Conflict, "reservation %d was ended by a %v before", o.Hold, p.Op)
	}
	want := o.Amount
	if want == 0 || o.Op == game.OpCancel {
		want = made.Amount
	}
	if want != p.Amount {
		return points.Answer{}, game.Errorf(game.Conflict, "reservation %d was confirmed for %d points before, not for %d", o.Hold, p.Amount, want)
	}
	return points.Answer{Posting: p, Again: true}, nil
}

// posting finds one by its number, also one that is not durable; nil: there is none.
func (d *decider) posting(seq uint64) (p *game.Posting, err error) {
	if seq == 0 || seq > d.l.core.seq {
		return nil, nil
	}
	if len(d.order) > 0 && seq >= d.order[0].seq {
		return d.recent[d.order[seq-d.order[0].seq].key], nil
	}
	err = d.l.from(context.Background(), seq, seq, func(r *record, _ place) error {
		p = r.whole()
		return errStop
	})
	return p, err
}

// endOf finds the posting that ended a reservation; nil: it was over, and that was noted by the way.
func (d *decider) endOf(id uint64) (*game.Posting, error) {
	if p := d.ends[id]; p != nil {
		return p, nil
	}
	at, err := d.l.index.holdEnd(id)
	if err != nil {
		return nil, d.l.indexFailed(err)
	}
	if at == 0 {
		return nil, nil
	}
	return d.l.read(at)
}

// noteEnds keeps what ended reservations until the index has it.
func (d *decider) noteEnds(p *game.Posting) {
	eachEnd(p, func(id uint64) { d.ends[id] = p })
}

// eachEnd visits the reservations that a posting is the end of; the same for the index.
func eachEnd(p *game.Posting, visit func(id uint64)) {
	switch p.Op {
	case game.OpConfirm, game.OpCancel:
		visit(p.Hold)
	case game.OpExpire, game.OpMerge:
		for i := range p.Entries {
			if e := &p.Entries[i]; e.From == game.HeldFree || e.From == game.HeldPaid {
				visit(e.Hold)
			}
		}
	}
}
