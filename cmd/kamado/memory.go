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
	// sparing: what a while of work needed is given back whenever the process is idle, which makes the first work after it
	// slower; what the start needed is given back in any case.
	sparing bool
}

func (a *app) setMemory(p memoryPolicy) {
	if a.getenv("GOGC") == "" {
		debug.SetGCPercent(p.gc)
	}
	if p.limit > 0 && a.getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(int64(p.limit))
	}
}

// How long what a start leaves running in the background may take, and how often the pages of rare work are given back.
const (
	trimAfter = 3 * time.Second
	trimEvery = 30 * time.Second
)

// trimLoadMax is the share of one processor above which a process is at work and keeps its pages: to map them again
// takes some 10 ms, which somebody would wait for.
const trimLoadMax = 0.05

// trim gives back what only the start needed: at once, when the process is ready, and when the start's last work is
// done; and, where the policy says so, what only rare work did, until ctx ends.
func (p *process) trim(ctx context.Context) error {
	err := giveBack()
	for wait := trimAfter; err == nil; wait = trimEvery {
		before := resident.Busy()
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
		if resident.Busy()-before < time.Duration(trimLoadMax*float64(wait)) {
			if err = giveBack(); !p.sparing {
				break
			}
		}
	}
	if err != nil { // as without /proc: no reason to end
		p.tel.Log.Info("pages that only the start needed are kept", "error", err)
	}
	<-ctx.Done()
	return nil
}

func giveBack() error {
	debug.FreeOSMemory()
	return resident.Trim()
}
