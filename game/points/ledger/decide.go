package ledger

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/points"
	"github.com/kamado/kamado/internal/disk"
)

const (
	// batchBytes is how long a batch grows: the greatest posting may come on top.
	batchBytes = 1 << 20
	// recentMax bounds the postings that are decided and not yet in the index; over it the
	// decider waits for the index.
	recentMax = 64 << 10
	// controlBytes is what orders leave free at the end of a segment, for marks and seals.
	controlBytes = 4 * batchHeadBytes
	// spaceEvery is how often the free space is asked for.
	spaceEvery = 50 * time.Millisecond
)

// request is an order that waits.
type request struct {
	order    game.Order // its own copy
	key      txKey
	done     chan struct{} // one room
	answered bool
	posted   bool // its posting is in a batch: after a failure nobody knows
	answer   points.Answer
	err      error
}

func newRequest(o *game.Order) *request {
	return &request{order: *o, key: keyOf(o.Tx), done: make(chan struct{}, 1)}
}

// fail replaces what the order came to.
func (r *request) fail(err error, doubt bool) {
	r.answer, r.err = points.Answer{}, err
	var e *game.Error
	if doubt && errors.As(err, &e) {
		in := *e
		in.Doubt = true
		r.err = &in
	}
}

// recentTx is a posting that the index may not have yet.
type recentTx struct {
	key txKey
	seq uint64
}

// decider feeds orders to the core. One goroutine has it.
type decider struct {
	l      *Ledger
	b      *batch
	next   place  // behind what is in b
	size   int64  // of the segment that b is for
	check  record // of the posting that was encoded last
	recent map[txKey]*game.Posting
	order  []recentTx               // of recent, by seq, without gaps
	ends   map[uint64]*game.Posting // of reservations, those of recent

	spaceAt       time.Time // when the free space was asked for
	lowSpace      error
	sinceSnapshot int
}

func (l *Ledger) newDecider() *decider {
	d := &decider{l: l, b: newBatch(), next: l.w.end.next, size: l.w.size, recent: map[txKey]*game.Posting{}, ends: map[uint64]*game.Posting{}}
	d.sinceSnapshot = int(l.core.seq - l.snapshotSeq)
	d.b.reset(d.next, l.core.seq+1)
	l.done <- newBatch() // the other one: one is filled while one is synced
	return d
}

// run decides until stop; then what waits in the queue. It returns when the writer has all.
func (d *decider) run(stop <-chan struct{}) {
	l := d.l
	for {
		var offer chan<- *batch // nil while there is nothing to write
		if len(d.b.waiters) > 0 {
			offer = l.toWrite
		}
		queue := l.queue
		if d.full() {
			queue = nil
		}
		select {
		case r := <-queue:
			d.take(r)
			for more := true; more && !d.full(); {
				select {
				case r := <-queue:
					d.take(r)
				default:
					more = false
				}
			}
		case offer <- d.b:
			d.renew()
		case <-stop:
			d.drain()
			return
		}
	}
}

func (d *decider) full() bool {
	return int(d.b.count) >= d.l.cfg.BatchPostings || len(d.b.buf) >= batchBytes || len(d.b.waiters) >= 2*BatchMax || d.b.freeze != nil
}

// handOver gives the batch to the writer and begins another.
func (d *decider) handOver() {
	d.l.toWrite <- d.b
	d.renew()
}

// renew begins another batch behind the one that the writer took.
func (d *decider) renew() {
	d.b = <-d.l.done
	d.b.reset(d.next, d.l.core.seq+1)
	d.forget()
}

// drain answers what is left in the queue.
func (d *decider) drain() {
	for {
		select {
		case r := <-d.l.queue:
			d.take(r)
			if d.full() {
				d.handOver()
			}
		default:
			if len(d.b.waiters) > 0 {
				d.handOver()
			}
			return
		}
	}
}

// take decides one order. What it comes to is answered with the batch: a refusal
// too, since it may be for what is not durable yet.
func (d *decider) take(r *request) {
	if err := d.l.failed(); err != nil {
		r.err = err
	} else {
		r.answer, r.err = d.decide(r)
	}
	d.b.waiters = append(d.b.waiters, r)
}

func (d *decider) decide(r *request) (points.Answer, error) {
	l, o := d.l, &r.order
	p, err := d.find(r)
	switch {
	case err != nil:
		return points.Answer{}, err
	case p != nil && p.Same(o):
		r.posted = true
		return points.Answer{Posting: p, Again: true}, nil
	case p != nil:
		return points.Answer{}, otherOrder(p)
	}
	if (o.Op == game.OpConfirm || o.Op == game.OpCancel) && l.core.holds[o.Hold] == 0 {
		r.posted = true
		return d.ended(o)
	}
	if err := d.space(l.deps.Clock()); err != nil {
		return points.Answer{}, err
	}
	ch, err := l.core.prepare(o, l.Now()) // not before what was shown to anybody
	if err != nil || ch.Posting == nil {
		return points.Answer{}, err
	}
	if err := d.fit(&ch); err != nil {
		return points.Answer{}, err
	}
	if err := d.post(r, &ch); err != nil {
		return points.Answer{}, err
	}
	return points.Answer{Posting: ch.Posting}, nil
}

func otherOrder(p *game.Posting) error {
	return game.Errorf(game.Conflict, "transaction id %.80q is that of another order: posting %d, a %v of %v", p.Tx, p.Seq, p.Op, p.Time.Time().Format(time.RFC3339))
}

// find gives the posting that has the order's transaction id.
func (d *decider) find(r *request) (*game.Posting, error) {
	if p := d.recent[r.key]; p != nil {
		return p, nil
	}
	return d.l.findIndexed(&r.key, r.order.Tx)
}

// findIndexed looks for a transaction id in the index; nil: it is not there.
func (l *Ledger) findIndexed(k *txKey, tx string) (*game.Posting, error) {
	if !l.filter.may(k) {
		return nil, nil
	}
	l.metrics.lookups.Inc()
	at, err := l.index.tx(k)
	if err != nil {
		return nil, l.indexFailed(err)
	}
	if at == 0 {
		return nil, nil
	}
	p, err := l.read(at)
	if err == nil && p.Tx != tx {
		err = l.indexFailed(fmt.Errorf("index: the posting at %v has the transaction id %q, not %q", at, p.Tx, tx))
	}
	return p, err
}

// fit sees to it that the posting has room, in this batch or one in the next segment.
func (d *decider) fit(ch *change) error {
	size := int64(recordHeadBytes + bodyHeadBytes + len(ch.Posting.Tx) + len(ch.Posting.Reason) + len(ch.Posting.By) + entryBytes*len(ch.Posting.Entries))
	used := d.b.start.offset() + int64(len(d.b.buf))
	if used+size+controlBytes <= d.size {
		return nil
	}
	if segmentHeadBytes+batchHeadBytes+size+controlBytes > int64(d.l.cfg.SegmentBytes) {
		return game.Errorf(game.TooLarge, "a posting of %d bytes: segments have %v", size, d.l.cfg.SegmentBytes)
	}
	spare, err := d.spare()
	if err != nil {
		return err
	}
	if d.b.count > 0 { // what waits in it without a posting may as well wait for the next segment
		d.handOver()
	}
	if size, err = spare.Size(); err != nil {
		return d.l.fail("use the next segment", err)
	}
	waiters := d.b.waiters
	d.next, d.size = at(d.next.segment()+1, segmentHeadBytes), size
	d.b.waiters = nil
	d.b.reset(d.next, d.l.core.seq+1)
	d.b.roll, d.b.waiters = spare, waiters
	return nil
}

// spare takes the next segment, or says why there is none. Where it is being
// allocated it waits; who waits for this batch does not.
func (d *decider) spare() (disk.File, error) {
	l := d.l
	for {
		select {
		case f := <-l.spares:
			return f, nil
		default:
		}
		if err := l.spareErr.Load(); err != nil {
			select {
			case l.wantSpare <- struct{}{}:
			default:
			}
			return nil, noSpace("allocate the next segment of the ledger", *err)
		}
		if len(d.b.waiters) > 0 {
			d.handOver()
		}
		select {
		case f := <-l.spares:
			return f, nil
		case <-l.spareFailed: // perhaps long ago
		case <-l.stopped:
			return nil, l.failed()
		}
	}
}

// post carries a change out and puts its posting into the batch. What the next start
// could not read back is refused: an answer would be worth nothing.
func (d *decider) post(r *request, ch *change) error {
	l, p := d.l, ch.Posting
	from := len(d.b.buf)
	here := at(d.b.start.segment(), d.b.start.offset()+int64(from))
	d.b.buf = appendRecord(d.b.buf, &l.id, p, ch.before, ch.beforeTo)
	if err := parseRecord(d.b.buf[from:], &l.id, &d.check); err != nil {
		d.b.buf = d.b.buf[:from]
		return &game.Error{Op: "post points", Kind: game.Internal, Err: fmt.Errorf("a %v that could not be read back: %w", p.Op, err)}
	}
	d.b.sum.Write(d.b.buf[from:])
	d.b.count++
	d.b.now = p.Time
	d.b.index.note(p, r.key, ch.before, ch.beforeTo, here)
	d.next = at(here.segment(), d.b.start.offset()+int64(len(d.b.buf)))

	l.mu.Lock()
	l.core.apply(ch, here)
	l.mu.Unlock()
	l.filter.add(&r.key)
	d.recent[r.key] = p
	d.order = append(d.order, recentTx{r.key, p.Seq})
	d.noteEnds(p)
	r.posted = true
	l.metrics.postings[p.Op].Inc()
	if d.sinceSnapshot++; d.sinceSnapshot >= l.cfg.SnapshotEvery && l.snapshotIdle.CompareAndSwap(true, false) {
		d.sinceSnapshot = 0
		d.b.freeze = l.core.freeze()
	}
	return nil
}

// forget lets go of postings that the index has, and waits for it when it has too few.
func (d *decider) forget() {
	l := d.l
	if len(d.order) > l.recentMax {
		// The error is that the ledger stopped, which the next order is told.
		_ = l.indexed.wait(context.Background(), d.order[len(d.order)-l.recentMax].seq, l.stopped)
	}
	have := l.indexed.value()
	n := 0
	for n < len(d.order) && d.order[n].seq <= have {
		eachEnd(d.recent[d.order[n].key], func(id uint64) { delete(d.ends, id) })
		delete(d.recent, d.order[n].key)
		n++
	}
	d.order = d.order[n:]
	l.metrics.recent.Set(float64(len(d.order)))
}

// space says when too little of it is free.
func (d *decider) space(now time.Time) error {
	l := d.l
	if l.cfg.FreeBytesMin == 0 {
		return nil
	}
	if past := now.Sub(d.spaceAt); past < 0 || past >= spaceEvery || d.lowSpace != nil {
		d.spaceAt = now
		free, err := l.deps.disk.Free(l.dir)
		switch {
		case err != nil:
			d.lowSpace = nil // the log itself will tell
		case free < int64(l.cfg.FreeBytesMin):
			d.lowSpace = &spaceError{free, int64(l.cfg.FreeBytesMin)}
		default:
			d.lowSpace = nil
		}
		l.noteSpace(d.lowSpace)
	}
	if d.lowSpace != nil {
		return noSpace("keep a posting", d.lowSpace)
	}
	return nil
}
