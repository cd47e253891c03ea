package journal

import (
	"context"
	"errors"
	"iter"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"
)

// Bounds of entries and batches.
const (
	EntryBytesMax = 1 << 20
	BatchBytesMax = 64 << 20
)

// Config is what a journal needs.
type Config struct {
	Log        *slog.Logger          // nil: silent
	Registerer prometheus.Registerer // nil: no metrics

	// Snapshot gives every entry that matters now. It is called by Run when the file
	// should be compacted, and after a failed write, in another goroutine than
	// Append's callers. It must give the effect of every entry that was given to
	// Append before it was called; entries appended meanwhile may be in it or not.
	// Nil: the file is compacted only by Compact.
	Snapshot iter.Seq[[]byte]

	// BytesMax bounds the file; 0: BytesMaxDefault. An append over it fails with
	// dns.Exhausted.
	BytesMax int64
	// CompactBytesMin is the size under which the file is left alone; 0: CompactBytesMinDefault.
	CompactBytesMin int64
	// CompactRatio is how many times the size after the last compaction the file may
	// grow to before the next; 0: CompactRatioDefault.
	CompactRatio float64
}

// Defaults of Config.
const (
	BytesMaxDefault        = 1 << 30
	CompactBytesMinDefault = 4 << 20
	CompactRatioDefault    = 2
)

// Wait waits until what was appended is durable. Nil: it is. A *dns.Error of kind
// Exhausted (no space, or over BytesMax) or Unavailable (the disk failed): it is
// not, and may be tried again. The context's error: unknown, it may yet become
// durable. It may be called once.
type Wait func(ctx context.Context) error

// Journal is an open directory. Safe for concurrent use.
type Journal struct{}

// Open takes the directory, making it when it is not there, and checks all of its
// file. It fails with a *dns.Error of kind Conflict when another process has the
// directory (it names the process), and Internal when the file is damaged (it
// names file and offset, and what to do). A torn end is cut, and said in the log.
func Open(dir string, cfg Config) (*Journal, error) { return nil, errors.New("not opened") }

// Each visits every entry of the file in the order of appending. It is called
// once, before the first Append.
func (j *Journal) Each(visit func(entry []byte) error) error { return nil }

// Append queues entries as one batch, in the order of the calls, and returns at
// once; the entries must not be changed before the wait has returned. Run must be running
// for a wait to return.
func (j *Journal) Append(entries [][]byte) Wait { return nil }

// Compact replaces the file by one with the entries of the snapshot and what was
// appended since it began, while appends go on. The rules of Config.Snapshot hold.
func (j *Journal) Compact(ctx context.Context, snapshot iter.Seq[[]byte]) error { return nil }

// Size is the size of the file, and of what it had after the last compaction.
func (j *Journal) Size() (bytes, compacted int64) { return 0, 0 }

// Run makes appends durable until ctx ends; then it writes what was appended
// before, marks the file as closed, and lets go of the directory. Appends after
// that fail with dns.Unavailable.
func (j *Journal) Run(ctx context.Context) error { return nil }

// Close lets go of the directory of a journal whose Run was never called.
func (j *Journal) Close() error { return nil }
