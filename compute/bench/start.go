package bench

import (
	"context"
	"os"
	"time"

	"golang.org/x/crypto/bcrypt"
)

// The targets of this group.
const (
	idleMiBMax     = 64
	usableMsMax    = 500
	readySecondMax = 10
)

const mib = 1 << 20

// start measures from nothing to a usable API, to readiness, and what the server
// takes when nobody asks.
func (r *run) start(ctx context.Context) error {
	var usable, ready []time.Duration
	var spent time.Duration
	var dir string
	for round := range r.cfg.Rounds {
		dir = r.newDir()
		s, err := launch(r.cfg, dir, "--hypervisor", "fake")
		if err != nil {
			return err
		}
		err = s.login(ctx)
		if err == nil {
			err = s.member.get(ctx, "/compute/v2.1/servers", nil)
		}
		usable, spent = append(usable, time.Since(s.began)), spent+s.cpu()
		if err == nil {
			err = s.ready(ctx)
		}
		ready = append(ready, time.Since(s.began))
		if err == nil && round == r.cfg.Rounds-1 {
			err = r.idle(ctx, s)
		}
		s.stop()
		if err != nil {
			return err
		}
	}
	r.add(times(GroupStart, "nothing to a usable API", usable).cpu(spent, r.cfg.Rounds).atMost(usableMsMax).
		because("process start to a list of servers with a first token; the hashes of the two first passwords, %.0f ms of CPU each, are made while the API answers", hashTime()))
	r.add(times(GroupStart, "nothing to ready, with the machine image", ready).atMost(readySecondMax * 1000))
	return r.tokens(ctx, dir)
}

// tokens measures tokens by password: the first of a server that was started
// again, which has only the hash, and those that follow, which rest on the proof
// that the first one gave.
func (r *run) tokens(ctx context.Context, dir string) error {
	var first, next []time.Duration
	var firstCPU, nextCPU time.Duration
	for range tokenRounds {
		s, err := launch(r.cfg, dir, "--hypervisor", "fake")
		if err != nil {
			return err
		}
		if err = s.clients(ctx); err == nil {
			err = s.ready(ctx)
		}
		for i := 0; i < 2 && err == nil; i++ {
			before, began := s.cpu(), time.Now()
			err = s.member.login(ctx)
			took, spent := time.Since(began), s.cpu()-before
			if i == 0 {
				first, firstCPU = append(first, took), firstCPU+spent
			} else {
				next, nextCPU = append(next, took), nextCPU+spent
			}
		}
		s.stop()
		if err != nil {
			return err
		}
	}
	r.add(times(GroupStart, "password token, first after a start", first).cpu(firstCPU, len(first)).because("the hash alone takes %.0f ms of CPU", hashTime()))
	r.add(times(GroupStart, "password token, again", next).cpu(nextCPU, len(next)).because("the server remembers for a while which password a hash was proven with"))
	return nil
}

// tokenRounds is how often a server is started again for its first token.
const tokenRounds = 3

// hashCost is the cost of the program's bcrypt hashes: 2^12 rounds.
const hashCost = 12

// hashTime is the CPU that the check of a password takes at least, in ms.
func hashTime() float64 {
	before, _ := cpuOf(os.Getpid())                                    // our own clock is there
	_, _ = bcrypt.GenerateFromPassword([]byte("a password"), hashCost) // the text is short and the cost right
	after, _ := cpuOf(os.Getpid())
	return ms(after - before)
}

// idle measures memory and CPU when nothing is asked.
func (r *run) idle(ctx context.Context, s *subject) error {
	before := s.cpu()
	if err := rest(ctx, r.cfg.Rest); err != nil {
		return err
	}
	spent := s.cpu() - before
	pss, processes, err := memoryOf(s.pid())
	if err != nil {
		return err
	}
	r.add(Row{Group: GroupStart, Name: "idle memory (PSS)", Unit: "MiB", Value: float64(pss) / mib}.atMost(idleMiBMax),
		Row{Group: GroupStart, Name: "idle processes", Unit: "", Value: float64(processes)}.atMost(1),
		Row{Group: GroupStart, Name: "idle CPU", Unit: "ms/s", Value: ms(spent) / r.cfg.Rest.Seconds()})
	return nil
}
