package ledger

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/internal/disk"
	"github.com/kamado/kamado/internal/unit"
)

// Bounds of Config.
const (
	SegmentBytesMin = 256 << 10 // room for the greatest posting
	SegmentBytesMax = 1 << 30   // offsets have 32 bits
	BatchMax        = 16384
)

// Config is what an operator may decide about a ledger.
type Config struct {
	Rules game.Rules
	// SegmentBytes is the length of a file of the log, 256KiB to 1GiB. One more is allocated ahead.
	SegmentBytes unit.Bytes
	// SnapshotEvery is how many postings lie between snapshots. A start reads at most about
	// so many postings, at about one million a second; a snapshot writes all accounts, about 70 bytes each.
	SnapshotEvery int
	// Queue is how many orders may wait to be decided; over it they are refused as Unavailable.
	Queue int
	// BatchPostings is how many postings become durable together at most, 1 to 16384.
	BatchPostings int
	// FilterBytes is the memory of the filter that knows which transaction ids are new. At 10
	// bits for each id, one new id in 50 is looked for in the index all the same; with more
	// ids than that it is slower, never wrong.
	FilterBytes unit.Bytes
	// IndexCacheBytes is the memory for blocks of the index.
	IndexCacheBytes unit.Bytes
	// FreeBytesMin is the free space under which orders are refused as Exhausted, so that the index and
	// snapshots never meet a full disk; 0: none.
	FreeBytesMin unit.Bytes

	// segmentBytesMin is lower in tests that want many segments.
	segmentBytesMin unit.Bytes
}

// Default gives the values that fit most.
func Default() Config {
	return Config{
		SegmentBytes: 64 * unit.MiB, SnapshotEvery: 1_000_000, Queue: 8192, BatchPostings: 2048, FilterBytes: 32 * unit.MiB, IndexCacheBytes: 16 * unit.MiB, FreeBytesMin: 32 * unit.MiB,
	}
}

// Validate gives all complaints.
func (c *Config) Validate() error {
	var errs []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	least := c.segmentBytesMin
	if least == 0 {
		least = SegmentBytesMin
	}
	check(c.SegmentBytes >= least && c.SegmentBytes <= SegmentBytesMax, "segment_bytes %v: want 256KiB to 1GiB", c.SegmentBytes)
	check(c.SnapshotEvery >= 1, "snapshot_every %d: want at least 1", c.SnapshotEvery)
	check(c.Queue >= 1, "queue %d: want at least 1", c.Queue)
	check(c.BatchPostings >= 1 && c.BatchPostings <= BatchMax, "batch_postings %d: want 1 to %d", c.BatchPostings, BatchMax)
	check(c.FilterBytes >= 4*unit.KiB && c.FilterBytes <= 4*unit.GiB, "filter_bytes %v: want 4KiB to 4GiB", c.FilterBytes)
	check(c.IndexCacheBytes >= unit.MiB, "index_cache_bytes %v: want at least 1MiB", c.IndexCacheBytes)
	check(c.FreeBytesMin >= 0, "free_bytes_min %v: want 0 or more", c.FreeBytesMin)
	return errors.Join(errs...)
}

// Deps is what a ledger uses. All may be left out.
type Deps struct {
	Log        *slog.Logger          // nil: silent
	Registerer prometheus.Registerer // nil: no metrics
	Clock      func() time.Time      // nil: time.Now

	disk    disk.Disk // nil: the real one
	indexFS vfs.FS    // nil: the real one
	// early is the control of tests: answers are given before the sync.
	early bool
}

func (d *Deps) fill() {
	if d.Log == nil {
		d.Log = slog.New(slog.DiscardHandler)
	}
	if d.Clock == nil {
		d.Clock = time.Now
	}
	if d.disk == nil {
		d.disk = disk.OS{}
	}
	if d.indexFS == nil {
		d.indexFS = vfs.Default
	}
}
