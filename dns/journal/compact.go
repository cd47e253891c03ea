package journal

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"time"

	"github.com/kamado/kamado/internal/disk"
)

// compactRetry is the pause after a compaction that failed.
const compactRetry = 10 * time.Second

// overgrown says whether the file should be compacted. Preconditions: writing is held.
func (j *Journal) overgrown() bool {
	return j.size >= j.cfg.CompactBytesMin && float64(j.size) >= j.cfg.CompactRatio*float64(j.compacted)
}

// compactLoop compacts when that is due, until ctx ends.
func (j *Journal) compactLoop(ctx context.Context) {
	failed := false
	for {
		select {
		case <-j.due:
		case <-ctx.Done():
			return
		}
		if j.cfg.Snapshot == nil {
			continue
		}
		err := j.Compact(ctx, j.cfg.Snapshot)
		switch {
		case ctx.Err() != nil:
			return
		case err == nil && failed:
			j.cfg.Log.Info("journal is compacted again")
		case err != nil && !failed:
			j.cfg.Log.Warn("journal cannot be compacted; it grows", "file", j.path(fileName), "error", err)
		}
		failed = err != nil
		if failed {
			select {
			case <-time.After(compactRetry):
				signal(j.due)
			case <-ctx.Done():
				return
			}
		}
	}
}

// Compact replaces the file by one with the entries of the snapshot and what was
// appended since it began, while appends go on. The rules of Config.Snapshot hold.
// When it fails, the old file stays.
func (j *Journal) Compact(ctx context.Context, snapshot iter.Seq[[]byte]) error {
	j.compact.Lock()
	defer j.compact.Unlock()
	j.writing.Lock()
	since, like, salt := j.size, frame{group: j.group, kind: kindEntry | flagBatchEnd}, j.salt
	j.writing.Unlock()

	f, err := j.cfg.disk.Create(j.path(compactName))
	if err != nil {
		return failure("compact journal", err)
	}
	size, err := writeSnapshot(ctx, f, like, salt, snapshot)
	if err == nil {
		err = f.Sync() // most of it, before appends must wait
	}
	if err == nil {
		err = ctx.Err()
	}
	used := false
	if err == nil {
		used, err = j.install(f, size, since)
	}
	if !used {
		f.Close()
		j.cfg.disk.Remove(j.path(compactName)) // it is in the way of space; the next Open removes it too
	}
	if err != nil {
		return failure("compact journal", err)
	}
	j.metrics.compactions.Inc()
	j.cfg.Log.Debug("journal compacted", "before_bytes", since, "after_bytes", size)
	return nil
}

// install adds to the new file, of a size, what was appended to the old one from an
// offset on, and puts it in its place; appends wait meanwhile. It says whether the
// new file is the journal's now, which it may be in spite of an error.
func (j *Journal) install(f disk.File, size, since int64) (used bool, err error) {
	j.writing.Lock()
	defer j.writing.Unlock()
	if err := copyRange(f, size, j.f, since, j.size); err != nil {
		return false, err
	}
	if err := f.Sync(); err != nil {
		return false, err
	}
	if err := j.cfg.disk.Rename(j.path(compactName), j.path(fileName)); err != nil {
		return false, err
	}
	j.f.Close() // all of it that matters is in the new one
	j.f, j.size, j.compacted = f, size+j.size-since, size
	// When this fails, it is not certain which of the two files the name means after
	// a loss of power; the next append tries again with another file.
	j.broken = j.cfg.disk.SyncDir(j.dir)
	return true, j.broken
}

// writeSnapshot writes header, entries and seal, and gives their length.
func writeSnapshot(ctx context.Context, f disk.File, like frame, salt uint64, snapshot iter.Seq[[]byte]) (int64, error) {
	w := bufio.NewWriterSize(io.NewOffsetWriter(f, 0), 256<<10)
	buf := appendHeader(nil, salt)
	size := int64(0)
	write := func() error {
		n, err := w.Write(buf)
		size += int64(n)
		return err
	}
	if err := write(); err != nil {
		return 0, err
	}
	for e := range snapshot {
		if len(e) > EntryBytesMax {
			return 0, fmt.Errorf("an entry of %d bytes in the snapshot, at most %d", len(e), EntryBytesMax)
		}
		like.entry = e
		buf = appendFrame(buf[:0], salt, like)
		if err := errors.Join(write(), ctx.Err()); err != nil {
			return 0, err
		}
	}
	buf = appendFrame(buf[:0], salt, frame{group: like.group, kind: kindSeal | flagBatchEnd | flagGroupEnd})
	err := errors.Join(write(), w.Flush())
	return size, err
}
