package eventlog

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/kamado/kamado/internal/unit"
)

// Config bounds the log.
type Config struct {
	// Most events that wait for the disk. Beyond it, events about requests are
	// dropped and counted, and others wait.
	Queue int `toml:"queue"`

	// How long an event about a request may lie in the system's memory before it
	// is synced to the disk. Others are synced at once.
	SyncEvery time.Duration `toml:"sync_every"`

	// Where the Parquet is kept: s3://BUCKET/PREFIX?endpoint=URL, with credentials from the environment. Several servers may share one. Empty: beside the
	// segments, in DATA/events/parquet.
	Store string `toml:"store"`
	// Size at which a segment is ended and becomes Parquet. While it does, about
	// three times this size is held in memory.
	SegmentBytes unit.Bytes `toml:"segment_bytes"`
	// Age at which a segment is ended, if it did not reach its size before.
	SegmentAge time.Duration `toml:"segment_age"`

	// Most bytes of segments that wait to become Parquet, while the place for that
	// cannot be written. Beyond it, events are refused, and counted where nobody
	// waits for them.
	PendingBytes unit.Bytes `toml:"pending_bytes"`

	// How often it is tried again to make Parquet of what waits, after that failed.
	CompactEvery time.Duration `toml:"compact_every"`

	// How many whole days (UTC) before today are kept; 0 keeps all.
	RetainDays int `toml:"retain_days"`
}

// Default suits one machine: at most a second of offered events is lost with the
// power, and a day of one quiet room is 24 files.
func Default() Config {
	return Config{
		Queue:        8192,
		SyncEvery:    time.Second,
		SegmentBytes: 16 * unit.MiB,
		SegmentAge:   time.Hour,
		PendingBytes: unit.GiB,
		CompactEvery: time.Minute,
		RetainDays:   90,
	}
}

// Validate gives all complaints at once.
func (c Config) Validate() error {
	var errs []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	check(c.Queue >= 1 && c.Queue <= 1<<20, "queue %d: want 1 to %d", c.Queue, 1<<20)
	check(c.SyncEvery > 0, "sync_every %v: want more than 0", c.SyncEvery)
	check(c.SegmentBytes >= segmentBytesMin && c.SegmentBytes <= segmentBytesMax, "segment_bytes %v: want %v to %v", c.SegmentBytes, segmentBytesMin, segmentBytesMax)
	check(c.SegmentAge > 0, "segment_age %v: want more than 0", c.SegmentAge)
	check(c.PendingBytes >= c.SegmentBytes, "pending_bytes %v: want at least segment_bytes", c.PendingBytes)
	check(c.CompactEvery > 0, "compact_every %v: want more than 0", c.CompactEvery)
	check(c.RetainDays >= 0, "retain_days %d: want 0 or more", c.RetainDays)
	check(c.Store == "" || strings.HasPrefix(c.Store, "s3://"), "store %.40q: want s3://BUCKET/PREFIX, or nothing for the data directory", c.Store)
	return errors.Join(errs...)
}

// Bounds of Config.SegmentBytes: one full batch, and what compaction may hold.
const (
	segmentBytesMin = unit.Bytes(batchBytesMax)
	segmentBytesMax = 256 * unit.MiB
)
