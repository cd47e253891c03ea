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
	trim  bool       // whether what a while of work needed is given back when the process is idle; what the start needed is in any case
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
	p.giveBack()
	for wait := trimAfter; ; wait = trimEvery {
		before := resident.Busy()
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
		if resident.Busy()-before < time.Duration(trimLoadMax*float64(wait)) {
			p.giveBack()
			if !p.sparing {
				<-ctx.Done()
				return nil
			}
		}
	}
}

// giveBack gives memory to the system. One that does not take pages of the program back, as one without /proc, is no reason to
// end.
func (p *process) giveBack() {
	debug.FreeOSMemory()
	if err := resident.Trim(); err != nil {
		p.tel.Log.Info("pages that only the start needed are kept", "error", err)
	}
}
