package eventlog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/kamado/kamado/internal/blob"
	"github.com/kamado/kamado/internal/eventlog/segment"
)

// retainEvery is how often old days are looked for.
const retainEvery = time.Hour

// compactLoop compacts when a segment was sealed, tries again when that failed,
// and removes old days, until the context ends.
func (l *Log) compactLoop(ctx context.Context) {
	tick := time.NewTicker(l.cfg.CompactEvery)
	defer tick.Stop()
	var retained time.Time
	failed := false
	for {
		err := l.Compact(ctx)
		if err == nil && time.Since(retained) >= retainEvery {
			err = l.retain(ctx, time.Now())
			retained = time.Now()
		}
		switch {
		case ctx.Err() != nil:
			return
		case err != nil && !failed:
			l.log.Warn("event log cannot compact; segments wait", "error", err, "pending_bytes", l.pending())
		case err == nil && failed:
			l.log.Info("event log compacts again")
		}
		failed = err != nil
		select {
		case <-l.wake:
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// Compact moves the events of every sealed segment to the store, oldest first,
// and stops at the first that fails. Run does so by itself. Not for concurrent
// use with Run.
func (l *Log) Compact(ctx context.Context) error {
	for _, n := range l.sealed() {
		if err := l.compact(ctx, n); err != nil {
			return fmt.Errorf("compact event segment %d: %w", n, err)
		}
		l.stats.compacted.Add(1)
	}
	return nil
}

// sealed lists the segments that wait, in order.
func (l *Log) sealed() []uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	numbers := slices.Sorted(maps.Keys(l.sizes))
	return slices.DeleteFunc(numbers, func(n uint64) bool { return n == l.active })
}

// compact is exactly-once in three steps, each of which may be repeated after a
// crash: put every file under a name of its own, commit the manifest, remove the
// segment.
func (l *Log) compact(ctx context.Context, n uint64) error {
	parts, err := l.partitions(n)
	if err != nil {
		return err
	}
	for _, p := range slices.SortedFunc(maps.Keys(parts), func(a, b partition) int { return strings.Compare(a.key("", 0), b.key("", 0)) }) {
		file, err := encode(parts[p])
		if err != nil {
			return err
		}
		opt := blob.PutOptions{ContentType: "application/vnd.apache.parquet"}
		if _, err := l.store.Put(ctx, p.key(l.manifest.Log, n), bytes.NewReader(file), int64(len(file)), opt); err != nil {
			return err
		}
	}
	return l.commit(n)
}

// commit says that segment n lies in the store, and removes it.
func (l *Log) commit(n uint64) error {
	l.files.Lock()
	defer l.files.Unlock()
	m := l.manifest
	m.Compacted = n
	if err := writeManifest(l.dir, m); err != nil {
		return err
	}
	l.mu.Lock()
	l.manifest = m
	delete(l.sizes, n)
	l.mu.Unlock()
	return os.Remove(l.segmentPath(n))
}

// partitions reads a segment into rows. What is not valid of it is kept beside
// it and reported.
func (l *Log) partitions(n uint64) (map[partition][]row, error) {
	path := l.segmentPath(n)
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	parts, valid, err := rowsOf(f, l.manifest.Log, n)
	if errors.Is(err, segment.ErrTorn) || errors.Is(err, segment.ErrHeader) {
		cut, kerr := keepTail(f, path+tornSuffix, valid)
		if kerr != nil {
			return nil, fmt.Errorf("keep damaged bytes: %w", kerr)
		}
		l.stats.torn.Add(1)
		l.log.Error("event segment is damaged", "segment", n, "valid_bytes", valid, "cut_bytes", cut, "cause", err.Error())
		err = nil
	}
	return parts, err
}

// rowsOf reads segment n of a log into rows; valid is the length of what could be read.
func rowsOf(r io.Reader, log string, n uint64) (parts map[partition][]row, valid int64, err error) {
	parts = map[partition][]row{}
	var p partition // of the event before: its day is seldom another
	i, day := 0, int64(-1)
	valid, _, err = scan(r, func(e Event) {
		if today := e.Time.Unix() / secondsPerDay; today != day {
			day, p.day = today, e.Time.Format(time.DateOnly)
		}
		p.room = e.Room
		parts[p] = append(parts[p], row{
			ID: eventID(log, n, i), Time: e.Time, Room: e.Room, Type: e.Type,
			Subject: e.Subject, RequestID: e.RequestID, Actor: e.Actor, Attributes: e.Attributes,
		})
		i++
	})
	return parts, valid, err
}

const secondsPerDay = 24 * 60 * 60

// retain removes what is older than Config.RetainDays whole days before now:
// Parquet files of every log in the store, and torn tails of this one.
func (l *Log) retain(ctx context.Context, now time.Time) error {
	if l.cfg.RetainDays == 0 {
		return nil
	}
	first := now.UTC().Truncate(24*time.Hour).AddDate(0, 0, -l.cfg.RetainDays)
	day := first.Format(time.DateOnly)
	err := eachFile(ctx, l.store, keyPrefix, func(key string, p partition, _ string, _ uint64) error {
		if p.day >= day {
			return nil
		}
		l.stats.removed.Add(1)
		return l.store.Delete(ctx, key)
	})
	if err != nil {
		return fmt.Errorf("remove old events: %w", err)
	}
	torn, err := filepath.Glob(filepath.Join(l.dir, "*"+tornSuffix))
	if err != nil {
		return err
	}
	for _, path := range torn {
		if fi, err := os.Stat(path); err == nil && fi.ModTime().Before(first) {
			if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	return nil
}

// eachFile gives every Parquet file of a store whose key begins with prefix, in key order.
func eachFile(ctx context.Context, store blob.Store, prefix string, visit func(key string, p partition, log string, segment uint64) error) error {
	after := ""
	for {
		infos, err := store.List(ctx, prefix, after, blob.ListMax)
		if err != nil {
			return err
		}
		for _, in := range infos {
			after = in.Key
			if p, log, n, ok := parseKey(in.Key); ok {
				if err := visit(in.Key, p, log, n); err != nil {
					return err
				}
			}
		}
		if len(infos) < blob.ListMax {
			return nil
		}
	}
}
