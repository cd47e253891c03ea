package server

import (
	"github.com/kamado/kamado/game/points/ledger"
	"github.com/kamado/kamado/internal/disk"
	"github.com/kamado/kamado/internal/kv/pebble"
	"github.com/kamado/kamado/internal/unit"
)

// On a small disk less is taken ahead, and less is kept free, than on a large one.
const (
	segmentPart = 64 // a segment of the ledger is at most this part of the disk; two are allocated at a start
	sparePart   = 32 // and this part is kept free for the engines' own work
)

// fitLedger makes the ledger's files fit the disk of a directory.
func fitLedger(dir string, cfg *ledger.Config) {
	size, err := disk.Size(dir)
	if err != nil {
		return // as on a large one: what is missing is told when it is needed
	}
	segment := min(cfg.SegmentBytes, unit.Bytes(size/segmentPart))
	cfg.SegmentBytes = max(segment-segment%ledger.SegmentBytesMin, ledger.SegmentBytesMin)
	cfg.FreeBytesMin = min(cfg.FreeBytesMin, unit.Bytes(size/sparePart))
}

// fitEntities does the same for Pebble.
func fitEntities(dir string, cfg *pebble.Config) {
	if size, err := disk.Size(dir); err == nil {
		cfg.FreeBytesMin = min(cfg.FreeBytesMin, size/sparePart)
	}
}
