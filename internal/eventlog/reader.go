package eventlog

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/kamado/kamado/internal/blob"
	"github.com/kamado/kamado/internal/eventlog/segment"
)

// Reader reads all events of logs day by day, and changes nothing. It may work while the log's process
// does, and after it has ended.
type Reader struct {
	dir   string // of a log whose segments are read too; empty: the store alone
	store blob.Store
}

// NewReader makes a reader of the store, and of the segments in dir that are not in the store
// yet. An empty dir leaves those out.
func NewReader(dir string, store blob.Store) *Reader { return &Reader{dir, store} }

// Reader reads this log.
func (l *Log) Reader() *Reader { return NewReader(l.dir, l.store) }

// Days lists the days (UTC, YYYY-MM-DD) on which a room has events, in order.
func (r *Reader) Days(ctx context.Context, room string) ([]string, error) {
	days := map[string]bool{}
	if err := eachFile(ctx, r.store, roomPrefix(room), func(_ string, p partition, _ string, _ uint64) error {
		days[p.day] = true
		return nil
	}); err != nil {
		return nil, fmt.Errorf("list days of events: %w", err)
	}
	w, err := r.waiting()
	if err != nil {
		return nil, err
	}
	defer w.close()
	if err := w.each(ctx, func(e Event) {
		if e.Room == room {
			days[e.Time.UTC().Format(time.DateOnly)] = true
		}
	}); err != nil {
		return nil, err
	}
	return slices.Sorted(maps.Keys(days)), nil
}

// Day gives every event of a room on a day (UTC, YYYY-MM-DD) once, in no order.
func (r *Reader) Day(ctx context.Context, room, day string, visit func(Event)) error {
	w, err := r.waiting()
	if err != nil {
		return err
	}
	defer w.close()
	if err := w.each(ctx, func(e Event) {
		if e.Room == room && e.Time.UTC().Format(time.DateOnly) == day {
			visit(e)
		}
	}); err != nil {
		return err
	}
	var buf []byte
	err = eachFile(ctx, r.store, roomPrefix(room)+"day="+day+"/", func(key string, _ partition, log string, n uint64) (err error) {
		if log == w.manifest.Log && n > w.manifest.Compacted {
			return nil // its segment was given
		}
		buf, _, err = blob.GetAll(ctx, r.store, key, buf[:0], parquetBytesMax)
		if errors.Is(err, blob.ErrNotFound) {
			return nil // retention removed it just now
		}
		if err != nil {
			return err
		}
		return decode(buf, func(e row) {
			visit(Event{Time: e.Time, Room: e.Room, Type: e.Type, Subject: e.Subject, RequestID: e.RequestID, Actor: e.Actor, Attributes: e.Attributes})
		})
	})
	if err != nil {
		return fmt.Errorf("read events of %s: %w", day, err)
	}
	return nil
}

func roomPrefix(room string) string { return keyPrefix + "room=" + room + "/" }

// waiting is the segments that are not compacted, held open so that a compaction takes nothing away.
type waiting struct {
	manifest manifest
	files    []*os.File
}

// waitingTries bounds how often a compaction may come between; one lasts seconds, this microseconds.
const waitingTries = 100

func (r *Reader) waiting() (*waiting, error) {
	if r.dir == "" {
		return &waiting{}, nil
	}
	for range waitingTries {
		w, err := r.tryWaiting()
		if err != nil || w != nil {
			return w, err
		}
	}
	return nil, fmt.Errorf("read events of %s: its segments change all the time", r.dir)
}

// tryWaiting gives nil when a segment was compacted meanwhile.
func (r *Reader) tryWaiting() (*waiting, error) {
	before, err := readManifest(r.dir)
	if err != nil {
		return nil, fmt.Errorf("read events of %s: %w", r.dir, err)
	}
	numbers, err := segmentNumbers(r.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return &waiting{}, nil // nothing was ever kept
	}
	if err != nil {
		return nil, fmt.Errorf("read events of %s: %w", r.dir, err)
	}
	w := &waiting{manifest: before}
	for _, n := range numbers {
		if n <= before.Compacted {
			continue
		}
		f, err := os.Open(segmentPath(r.dir, n))
		if errors.Is(err, fs.ErrNotExist) {
			w.close()
			return nil, nil
		}
		if err != nil {
			w.close()
			return nil, fmt.Errorf("read events of %s: %w", r.dir, err)
		}
		w.files = append(w.files, f)
	}
	if after, err := readManifest(r.dir); err != nil || after != before {
		w.close()
		return nil, err
	}
	return w, nil
}

func (w *waiting) close() {
	for _, f := range w.files {
		f.Close()
	}
}

// each gives the events of the segments. A torn tail, which is what a running log has not written whole yet, is passed over.
func (w *waiting) each(ctx context.Context, visit func(Event)) error {
	for _, f := range w.files {
		if err := ctx.Err(); err != nil {
			return err
		}
		_, _, err := scan(f, visit)
		if err != nil && !errors.Is(err, segment.ErrTorn) && !errors.Is(err, segment.ErrHeader) {
			return fmt.Errorf("read events of %s: %w", f.Name(), err)
		}
	}
	return nil
}
