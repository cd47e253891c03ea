package ledger

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"path/filepath"
	"time"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/internal/disk"
)

// Names in the directory, beside the numbered ones.
const (
	lockName     = "lock"
	spareName    = "next.tmp"
	snapshotTemp = "snapshot.tmp"
	filterName   = "ids.filter"
	filterTemp   = "ids.filter.tmp"
	indexName    = "index"
	indexBadName = "index.bad"
)

// batch is what one sync makes durable, and who waits for it.
type batch struct {
	buf     []byte    // with room for the head
	sum     hash.Hash // of the postings
	start   place
	first   uint64 // seq of the first posting
	count   uint32
	now     game.Instant // time of the last posting
	roll    disk.File    // the spare that becomes the next segment before this batch; nil: none
	index   *indexed
	freeze  *frozenCore // what a snapshot behind this batch has; nil: none is due
	waiters []*request
}

func newBatch() *batch { return &batch{sum: sha256.New()} }

// reset makes it empty, to begin at a place.
func (b *batch) reset(start place, first uint64) {
	clear(b.waiters) // let go of what was answered
	b.buf, b.waiters = append(b.buf[:0], zeros[:batchHeadBytes]...), b.waiters[:0]
	b.sum.Reset()
	b.start, b.first, b.count = start, first, 0
	b.roll, b.freeze = nil, nil
	b.index = &indexed{start: start, first: first}
}

// writer makes batches durable. One goroutine has it.
type writer struct {
	disk   disk.Disk
	dir    string
	id     *ledgerID
	active disk.File
	number uint32 // of the active segment
	size   int64  // its length
	end    end    // of what is durable
}

// commit writes a batch that has postings, and syncs it.
func (w *writer) commit(b *batch) error {
	if b.roll != nil {
		if err := w.rollTo(b.roll); err != nil {
			return err
		}
	}
	if b.start != w.end.next {
		panic(fmt.Sprintf("ledger: a batch for %v is written at %v", b.start, w.end.next))
	}
	h := batchHead{size: len(b.buf), kind: kindPostings, number: w.end.batch + 1, seq: b.first, count: b.count}
	h.putFixed(b.buf)
	h.chain = finishChain(b.sum, &w.end.chain, b.buf)
	return w.put(b.buf, &h, b.now)
}

// put writes a batch whose chain is known.
func (w *writer) put(buf []byte, h *batchHead, now game.Instant) error {
	putBatchHead(buf, w.id, h)
	if _, err := w.active.WriteAt(buf, w.end.next.offset()); err != nil {
		return err
	}
	if err := w.active.Sync(); err != nil {
		return err
	}
	w.end = end{h.number, w.end.seq + uint64(h.count), now, h.chain, at(w.number, w.end.next.offset()+int64(len(buf)))}
	return nil
}

// control writes a mark or a seal.
func (w *writer) control(kind uint32) error {
	if w.end.next.offset()+batchHeadBytes > w.size {
		spare, err := makeSpare(w.disk, w.dir, w.size)
		if err != nil {
			return err
		}
		if err := w.rollTo(spare); err != nil {
			return err
		}
	}
	buf := make([]byte, batchHeadBytes)
	h := batchHead{size: batchHeadBytes, kind: kind, number: w.end.batch + 1, seq: w.end.seq + 1}
	h.putFixed(buf)
	h.chain = chainOf(&w.end.chain, buf)
	return w.put(buf, &h, w.end.now)
}

// makeSpare allocates the next segment, without header and under a name that does not count.
func makeSpare(d disk.Disk, dir string, size int64) (disk.File, error) {
	path := filepath.Join(dir, spareName)
	f, err := d.Create(path)
	if err != nil {
		return nil, err
	}
	if err = f.Allocate(size); err == nil {
		err = f.Sync()
	}
	if err != nil {
		return nil, errors.Join(err, f.Close(), d.Remove(path)) // it is in the way of space
	}
	return f, nil
}

// rollTo makes the spare the next segment.
func (w *writer) rollTo(spare disk.File) error {
	size, err := spare.Size()
	if err != nil {
		return err
	}
	next := w.number + 1
	h := segmentHead{id: *w.id, number: next, before: w.end, size: size}
	if _, err := spare.WriteAt(appendSegmentHead(nil, &h), 0); err != nil {
		return err
	}
	if err := spare.Sync(); err != nil {
		return err
	}
	if err := w.disk.Rename(filepath.Join(w.dir, spareName), filepath.Join(w.dir, segmentName(next))); err != nil {
		return err
	}
	if err := w.disk.SyncDir(w.dir); err != nil {
		return err
	}
	if w.active != nil {
		w.active.Close() // all of it is durable
	}
	w.active, w.number, w.size, w.end.next = spare, next, size, at(next, segmentHeadBytes)
	return nil
}

// writeLoop makes batches durable, in their order, and answers who waits for them.
func (l *Ledger) writeLoop() {
	for b := range l.toWrite {
		if err := l.failed(); err != nil {
			answerAll(b, func(r *request) { r.fail(err, false) })
			l.done <- b
			continue
		}
		if l.deps.early {
			answerAll(b, func(*request) {})
		}
		err := error(nil)
		if b.count > 0 {
			start := time.Now()
			roll := b.roll != nil
			if err = l.w.commit(b); err == nil {
				if roll {
					l.rolled <- struct{}{} // has room: the next spare is made only behind it
				}
				l.metrics.sync.Observe(time.Since(start).Seconds())
				l.metrics.batch.Observe(float64(b.count))
			}
		}
		if err != nil {
			err = l.fail("write the ledger", err)
			answerAll(b, func(r *request) { r.fail(err, r.posted) })
			l.done <- b
			continue
		}
		l.noteDurable()
		answerAll(b, func(*request) {})
		l.handOn(b)
		l.done <- b
	}
}

// noteDurable lets others see what became durable.
func (l *Ledger) noteDurable() {
	l.mu.Lock()
	l.durableEnd = l.w.end
	l.mu.Unlock()
	l.show(l.w.end.now)
	l.durable.set(l.w.end.seq)
}

// handOn gives a durable batch to the index, and to the snapshot that is due behind it.
func (l *Ledger) handOn(b *batch) {
	if b.count > 0 {
		b.index.end = l.w.end
		l.toIndex <- b.index
	}
	if b.freeze != nil {
		b.freeze.end = l.w.end
		l.toSnapshot <- b.freeze // has room: one is due only when none is under way
	}
}

func answerAll(b *batch, judge func(*request)) {
	for _, r := range b.waiters {
		if !r.answered {
			r.answered = true
			judge(r)
			r.done <- struct{}{}
		}
	}
}

// spareLoop keeps a spare ready. A failure is told to the decider, and tried again
// when an order needs the space, or after a second.
func (l *Ledger) spareLoop(stop <-chan struct{}) {
	for {
		f, err := makeSpare(l.deps.disk, l.dir, int64(l.cfg.SegmentBytes))
		l.noteSpare(err)
		if err == nil {
			select {
			case l.spares <- f:
			case <-stop:
				f.Close()
				return
			}
			select {
			case <-l.rolled: // the name is free again
				continue
			case <-stop:
				return
			}
		}
		select {
		case <-l.wantSpare:
		case <-time.After(spareRetry):
		case <-stop:
			return
		}
	}
}

// spareRetry is the pause after an allocation that failed.
const spareRetry = time.Second

// noteSpare tells the decider, and says the first failure and the recovery.
func (l *Ledger) noteSpare(err error) {
	was := l.spareErr.Load()
	if err == nil {
		l.spareErr.Store(nil)
		if was != nil {
			l.deps.Log.Info("ledger has its next segment allocated again")
		}
		return
	}
	l.spareErr.Store(&err)
	if was == nil {
		l.deps.Log.Error("next segment of the ledger cannot be allocated: orders are refused when the active one is full", "dir", l.dir, "error", err)
	}
	select {
	case l.spareFailed <- struct{}{}:
	default:
	}
}
