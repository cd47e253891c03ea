package eventlog

import (
	"errors"
	"fmt"
	"time"

	"github.com/kamado/kamado/internal/unit"
)

// Config bounds the log.
type Config struct {
	// Queue is how many events wait for the disk; one more is dropped by Offer
	// and waited for by Append. Unit: events.
	Queue int `toml:"queue"`

	// SyncEvery is how long an offered event may lie in the system's memory
	// before it is synced to the disk. Appended ones are synced at once.
	SyncEvery time.Duration `toml:"sync_every"`

	// SegmentBytes and SegmentAge end a segment, whichever comes first. A segment
	// is held in memory when it is compacted, at about three times its size.
	SegmentBytes unit.Bytes    `toml:"segment_bytes"`
	SegmentAge   time.Duration `toml:"segment_age"`

	// PendingBytes is how much may wait for a store that is down. Beyond it, Append
	// is refused with ErrFull and Offer drops.
	PendingBytes unit.Bytes `toml:"pending_bytes"`

	// CompactEvery is how often compaction is tried again after it failed.
	CompactEvery time.Duration `toml:"compact_every"`

	// RetainDays is how many whole days before today are kept in the store; 0 keeps
	// all. Unit: days, UTC.
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
	return errors.Join(errs...)
}

// Bounds of Config.SegmentBytes: one full batch, and what compaction may hold.
const (
	segmentBytesMin = unit.Bytes(batchBytesMax)
	segmentBytesMax = 256 * unit.MiB
)
