package main

import (
	"context"
	"runtime/debug"
	"time"

	"github.com/kamado/kamado/internal/resident"
	"github.com/kamado/kamado/internal/unit"
)

// memoryPolicy is how a process spends processor time to save memory. The environment (GOGC, GOMEMLIMIT) goes over it.
type memoryPolicy struct {
	gc    int        // GOGC: growth in percent before garbage is collected
	limit unit.Bytes // where collecting becomes cheaper than growing; 0: nowhere
	trim  bool       // whether what is not needed is given back while it runs
}

func (a *app) setMemory(p memoryPolicy) {
	if a.getenv("GOGC") == "" {
		debug.SetGCPercent(p.gc)
	}
	if p.limit > 0 && a.getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(int64(p.limit))
	}
}

// How long a start may take until its pages are not needed any more, and how often those of rare work are given back.
const (
	trimAfter = 3 * time.Second
	trimEvery = 30 * time.Second
)

// trim gives back what only the start needed, and then what only rare work did, until ctx ends.
func trim(ctx context.Context) error {
	for wait := trimAfter; ; wait = trimEvery {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
		debug.FreeOSMemory()
		if err := resident.Trim(); err != nil {
			return err
		}
	}
}
