package eventlog

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/kamado/kamado/internal/eventlog/segment"
)

// A batch is what one write and one sync cover.
const (
	batchEventsMax = 1024
	batchBytesMax  = 1 << 20
)

// writer owns the active segment; only the goroutine of Run touches it.
type writer struct {
	log    *Log
	f      file // nil when there is no active segment
	number uint64
	opened time.Time
	size   int64 // bytes written whole
	dirty  bool  // written since the last sync
	buf    []byte
	batch  []entry
	failed bool  // the last batch failed: the first failure and the recovery are logged
	told   int64 // drops that were written as an event
}

// writeLoop turns the queue into batches until the context ends, and then
// empties it.
func (l *Log) writeLoop(ctx context.Context) {
	w := &writer{log: l}
	tick := time.NewTicker(l.cfg.SyncEvery)
	defer tick.Stop()
	for {
		select {
		case e := <-l.queue:
			w.write(e)
		case <-tick.C:
			w.tick()
		case <-ctx.Done():
			for {
				select {
				case e := <-l.queue:
					w.write(e)
					continue
				default:
				}
				w.tellDrops()
				w.seal()
				return
			}
		}
	}
}

// write writes e and what else is queued, and answers those who wait. While a
// sync is under way others queue up; they share the next one (group commit).
func (w *writer) write(e entry) {
	w.batch, w.buf = append(w.batch[:0], e), segment.AppendRecord(w.buf[:0], &e.event)
	for len(w.batch) < batchEventsMax && len(w.buf) < batchBytesMax-segment.RecordBytesMax {
		select {
		case e := <-w.log.queue:
			w.batch, w.buf = append(w.batch, e), segment.AppendRecord(w.buf, &e.event)
			continue
		default:
		}
		break
	}
	waited := false
	for i := range w.batch {
		waited = waited || w.batch[i].done != nil
	}
	w.answer(w.commit(waited))
	clear(w.batch) // let go of the attributes
}

// answer tells the outcome of a batch to those who wait, and counts it.
func (w *writer) answer(err error) {
	for i := range w.batch {
		switch done := w.batch[i].done; {
		case done != nil:
			done <- err
		case err != nil:
			w.log.stats.dropped.Add(1)
		}
	}
	switch {
	case err == nil:
		w.log.stats.appended.Add(int64(len(w.batch)))
		if w.failed {
			w.log.log.Info("event log writes again")
		}
	default:
		w.log.stats.failed.Add(1)
		if !w.failed {
			w.log.log.Error("event log cannot write", "error", err)
		}
	}
	w.failed = err != nil
}

// commit writes buf to the active segment, durably when sync is asked for.
func (w *writer) commit(sync bool) error {
	if w.f != nil && w.size+int64(len(w.buf)) > int64(w.log.cfg.SegmentBytes) {
		w.seal()
	}
	if w.log.pending()+int64(len(w.buf)) > int64(w.log.cfg.PendingBytes) {
		return ErrFull
	}
	if w.f == nil {
		if err := w.begin(); err != nil {
			return fmt.Errorf("begin event segment: %w", err)
		}
	}
	if _, err := w.f.Write(w.buf); err != nil {
		// Nothing after a torn record would ever be read.
		terr := w.f.Truncate(w.size)
		if terr == nil {
			_, terr = w.f.Seek(w.size, io.SeekStart)
		}
		if terr != nil {
			w.abandon()
		}
		return fmt.Errorf("write event segment: %w", errors.Join(err, terr))
	}
	w.dirty = true
	if sync {
		if err := w.sync(); err != nil {
			return err
		}
	}
	w.size += int64(len(w.buf))
	w.log.setSize(w.number, w.size)
	return nil
}

// sync makes the active segment durable. After a failed fsync the system may
// have thrown the pages away and say yes the next time, so the segment is left.
func (w *writer) sync() error {
	if err := w.f.Sync(); err != nil {
		w.abandon()
		return fmt.Errorf("sync event segment: %w", err)
	}
	w.dirty = false
	return nil
}

// begin makes the next segment, durable with its name.
func (w *writer) begin() error {
	l := w.log
	l.mu.Lock()
	n := l.next
	l.next++
	l.mu.Unlock()
	f, err := l.disk.Create(l.segmentPath(n))
	if err != nil {
		return err
	}
	now := time.Now()
	head := segment.Header{Number: n, Created: now}.Append(nil)
	_, err = f.Write(head)
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = syncDir(l.dir)
	}
	if err != nil {
		return errors.Join(err, f.Close(), os.Remove(l.segmentPath(n)))
	}
	w.f, w.number, w.opened, w.size, w.dirty = f, n, now, int64(len(head)), false
	l.mu.Lock()
	l.active = n
	l.sizes[n] = w.size
	l.mu.Unlock()
	return nil
}

// tick does what time asks for: sync, end an old segment, tell of drops.
func (w *writer) tick() {
	w.tellDrops()
	if w.f != nil && w.dirty {
		if err := w.sync(); err != nil {
			w.batch = w.batch[:0]
			w.answer(err)
		}
	}
	if w.f != nil && time.Since(w.opened) >= w.log.cfg.SegmentAge {
		w.seal()
	}
}

// tellDrops writes how many offered events were lost as an event, so that
// whoever reads the log knows that it has a hole, and when.
func (w *writer) tellDrops() {
	dropped := w.log.stats.dropped.Load()
	if dropped == w.told || w.failed {
		return
	}
	e := Event{
		Time: time.Now().UTC().Truncate(time.Microsecond), Room: House, Type: "eventlog.dropped",
		Attributes: map[string]string{"events": fmt.Sprint(dropped - w.told)},
	}
	w.told = dropped
	w.write(entry{event: e})
}

// seal ends the active segment and wakes compaction.
func (w *writer) seal() {
	if w.f == nil {
		return
	}
	if w.dirty && w.sync() != nil {
		return // abandoned
	}
	w.abandon()
}

// abandon leaves the active segment as it is; whatever of it is valid will be
// compacted.
func (w *writer) abandon() {
	_ = w.f.Close()
	w.f = nil
	l := w.log
	l.mu.Lock()
	l.active = 0
	l.mu.Unlock()
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

func (l *Log) setSize(n uint64, size int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sizes[n] = size
}
