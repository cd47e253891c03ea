package eventlog

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/kamado/kamado/internal/blob"
	"github.com/kamado/kamado/internal/eventlog/segment"
)

// Bounds of a query.
const (
	QueryLimitDefault = 100
	QueryLimitMax     = 10000
	parquetBytesMax   = int64(segmentBytesMax) // no file of one segment is larger
)

// Query says which events are asked for. Empty fields match every event.
type Query struct {
	Room, Type, Subject, RequestID, Actor string

	Since, Until time.Time // Since <= Event.Time < Until

	// Limit of the answer; 0 means QueryLimitDefault, more than QueryLimitMax
	// means that. Unit: events.
	Limit int
}

func (q *Query) matches(r *row) bool {
	field := func(want, got string) bool { return want == "" || want == got }
	return field(q.Room, r.Room) && field(q.Type, r.Type) && field(q.Subject, r.Subject) && field(q.RequestID, r.RequestID) && field(q.Actor, r.Actor) &&
		!r.Time.Before(q.Since) && (q.Until.IsZero() || r.Time.Before(q.Until))
}

// Query gives the newest events that match, newest first. It reads the segments
// that wait and then the store, day by day backwards, until the limit is
// reached. Events of other logs in the same store are found once they are
// compacted. Compaction waits while a query runs.
func (l *Log) Query(ctx context.Context, q Query) ([]Event, error) {
	if q.Limit <= 0 {
		q.Limit = QueryLimitDefault
	}
	q.Limit = min(q.Limit, QueryLimitMax)
	l.files.RLock()
	defer l.files.RUnlock()
	a := answer{query: q}
	if err := l.querySegments(ctx, &a); err != nil {
		return nil, fmt.Errorf("query event segments: %w", err)
	}
	if err := l.queryStore(ctx, &a); err != nil {
		return nil, fmt.Errorf("query events in the store: %w", err)
	}
	return a.events(), nil
}

// answer collects the newest matches; it holds at most twice the limit.
type answer struct {
	query Query
	rows  []row
}

func (a *answer) add(r row) {
	if !a.query.matches(&r) {
		return
	}
	a.rows = append(a.rows, r)
	if len(a.rows) >= 2*a.query.Limit {
		a.cut()
	}
}

// cut keeps the newest, newest first.
func (a *answer) cut() {
	slices.SortFunc(a.rows, func(x, y row) int { return compareRows(y, x) })
	a.rows = a.rows[:min(len(a.rows), a.query.Limit)]
}

// full says whether no event before t can still be part of the answer.
func (a *answer) full(t time.Time) bool {
	a.cut()
	return len(a.rows) == a.query.Limit && !a.rows[len(a.rows)-1].Time.Before(t)
}

func (a *answer) events() []Event {
	a.cut()
	events := make([]Event, len(a.rows))
	for i, r := range a.rows {
		events[i] = Event{Time: r.Time, Room: r.Room, Type: r.Type, Subject: r.Subject, RequestID: r.RequestID, Actor: r.Actor}
		if len(r.Attributes) > 0 {
			events[i].Attributes = r.Attributes
		}
	}
	return events
}

// querySegments reads what is not compacted.
func (l *Log) querySegments(ctx context.Context, a *answer) error {
	l.mu.Lock()
	sizes := make(map[uint64]int64, len(l.sizes))
	for n, size := range l.sizes {
		sizes[n] = size
	}
	l.mu.Unlock()
	for n, size := range sizes {
		if err := ctx.Err(); err != nil {
			return err
		}
		f, err := os.Open(l.segmentPath(n))
		if err != nil {
			return err
		}
		i := 0
		_, _, err = scan(io.LimitReader(f, size), func(e Event) {
			a.add(row{
				ID: eventID(l.manifest.Log, n, i), Time: e.Time, Room: e.Room, Type: e.Type,
				Subject: e.Subject, RequestID: e.RequestID, Actor: e.Actor, Attributes: e.Attributes,
			})
			i++
		})
		f.Close()
		// Compaction reports damage; a query gives what is good.
		if err != nil && !errors.Is(err, segment.ErrTorn) && !errors.Is(err, segment.ErrHeader) {
			return err
		}
	}
	return nil
}

// queryStore reads Parquet files from the newest day on.
func (l *Log) queryStore(ctx context.Context, a *answer) error {
	days, err := l.days(ctx, &a.query)
	if err != nil {
		return err
	}
	names := make([]string, 0, len(days))
	for day := range days {
		names = append(names, day)
	}
	slices.SortFunc(names, func(x, y string) int { return strings.Compare(y, x) })
	var buf []byte
	for _, day := range names {
		start, err := time.Parse(time.DateOnly, day)
		if err != nil {
			return err
		}
		if a.full(start.AddDate(0, 0, 1)) {
			return nil
		}
		for _, key := range days[day] {
			buf, _, err = blob.GetAll(ctx, l.store, key, buf[:0], parquetBytesMax)
			if errors.Is(err, blob.ErrNotFound) {
				continue // retention removed it just now
			}
			if err != nil {
				return err
			}
			if err := decode(buf, a.add); err != nil {
				return fmt.Errorf("%s: %w", key, err)
			}
		}
	}
	return nil
}

// days lists the keys of the Parquet files that may hold matches, by day. Files
// of a segment that the manifest does not name yet are passed over: its events
// were given from the segment.
func (l *Log) days(ctx context.Context, q *Query) (map[string][]string, error) {
	prefix := keyPrefix
	if q.Room != "" {
		prefix = partition{room: q.Room}.key("", 0)
		prefix = prefix[:strings.Index(prefix, "/day=")+1]
		if err := blob.CheckPrefix(prefix); err != nil || strings.Contains(q.Room, "/") {
			return nil, nil // no such room can have been kept
		}
	}
	since, until := "", "9999-99-99"
	if !q.Since.IsZero() {
		since = q.Since.UTC().Format(time.DateOnly)
	}
	if !q.Until.IsZero() {
		until = q.Until.UTC().Format(time.DateOnly)
	}
	days := map[string][]string{}
	err := eachFile(ctx, l.store, prefix, func(key string, p partition, log string, n uint64) error {
		if p.day >= since && p.day <= until && (log != l.manifest.Log || n <= l.manifest.Compacted) {
			days[p.day] = append(days[p.day], key)
		}
		return nil
	})
	return days, err
}
