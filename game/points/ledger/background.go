package ledger

import (
	"context"
	"errors"
	"time"
)

// indexLoop gives durable batches to the index, as many at once as wait.
func (l *Ledger) indexLoop() {
	var list []*indexed
	for first := range l.toIndex {
		list = append(list[:0], first)
		for more := true; more && len(list) < toIndexMax; {
			select {
			case next, ok := <-l.toIndex:
				if more = ok; ok {
					list = append(list, next)
				}
			default:
				more = false
			}
		}
		if l.failed() != nil {
			continue // until the writer has ended
		}
		if err := l.index.write(&l.id, list); err != nil {
			l.indexFailed(err)
			continue
		}
		l.indexed.set(list[len(list)-1].end.seq)
	}
}

const (
	// scrubEvery is how often all of the log is read to find damage before it is needed.
	scrubEvery = 24 * time.Hour
	// scrubPause lies behind each scrubBytes, so that reading is at most 64 MiB a second.
	scrubPause = 15625 * time.Microsecond
	scrubBytes = 1 << 20
)

// scrubLoop reads what the start did not, and all of it again each day: an old
// segment is otherwise read only when somebody asks for a history.
func (l *Ledger) scrubLoop(stop <-chan struct{}) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	done := make(chan struct{})
	go func() {
		defer close(done)
		select {
		case <-stop:
			cancel()
		case <-ctx.Done():
		}
	}()
	for ctx.Err() == nil {
		err := l.scrub(ctx)
		var d *damage
		switch {
		case errors.As(err, &d):
			l.noteDamage(d)
		case err != nil && ctx.Err() == nil:
			l.deps.Log.Warn("ledger cannot be read through to find damage", "error", err)
		case err == nil:
			l.metrics.scrubbed.Set(float64(l.deps.Clock().UnixMicro()) / 1e6)
		}
		wait(ctx, scrubEvery)
	}
	cancel()
	<-done
}

// wait waits, unless ctx ends.
func wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// scrub reads the log up to what is durable now, slowly.
func (l *Ledger) scrub(ctx context.Context) error {
	n := 0
	return l.segs.walk(ctx, beginning(), l.durableBatch(), func(b *wholeBatch) error {
		if n += len(b.raw); n >= scrubBytes {
			n = 0
			wait(ctx, scrubPause)
		}
		return nil
	})
}

// noteDamage says, once for each process, that a part of the log was found damaged while the ledger runs.
func (l *Ledger) noteDamage(d *damage) {
	l.metrics.damaged.Set(1)
	if l.damaged.CompareAndSwap(false, true) {
		l.deps.Log.Error("ledger is damaged: put back the file from a backup before the next start", "file", l.segs.path(d.at.segment()), "offset", d.at.offset(), "posting", d.seq, "error", d)
	}
}
