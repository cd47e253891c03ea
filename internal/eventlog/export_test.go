package eventlog

import (
	"context"
	"log/slog"
	"time"

	"github.com/kamado/kamado/internal/blob"
)

// Disk and File let tests put a disk that fails in place of the real one.
type (
	Disk = disk
	File = file
)

// OSDisk is the real one.
var OSDisk Disk = osDisk{}

// OpenOn is Open on another disk.
func OpenOn(dir string, store blob.Store, cfg Config, log *slog.Logger, d Disk) (*Log, error) {
	return open(dir, store, cfg, log, d)
}

// Retain removes old days as of now.
func (l *Log) Retain(ctx context.Context, now time.Time) error { return l.retain(ctx, now) }

// Dir is where the log lies.
func (l *Log) Dir() string { return l.dir }

// Identity is the log's name among those that share a store.
func (l *Log) Identity() string { return l.manifest.Log }
