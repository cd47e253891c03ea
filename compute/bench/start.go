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

// idleFor is how long a server is left alone before its memory is read.
const idleFor = 5 * time.Second

const mib = 1 << 20

// start measures from nothing to a usable API, to readiness, and what the server
// takes when nobody asks.
func (r *run) start(ctx context.Context) error {
	var usable, ready []time.Duration
	var spent time.Duration
	for round := range r.cfg.Rounds {
		s, err := launch(r.cfg, r.newDir(), "--hypervisor", "fake")
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
			if err = r.again(ctx, s); err == nil {
				err = r.idle(ctx, s)
			}
		}
		s.stop()
		if err != nil {
			return err
		}
	}
	r.add(times(GroupStart, "nothing to a usable API", usable).cpu(spent, r.cfg.Rounds).atMost(usableMsMax).
		because("process start to a list of servers with a first token; the hashes of the two first passwords take %.0f ms of CPU each", hashTime()))
	r.add(times(GroupStart, "nothing to ready, with the machine image", ready).atMost(readySecondMax * 1000))
	return nil
}

// again measures tokens by password on a server that runs.
func (r *run) again(ctx context.Context, s *subject) error {
	var list []time.Duration
	before := s.cpu()
	for range max(3, r.cfg.Rounds) {
		began := time.Now()
		if err := s.member.login(ctx); err != nil {
			return err
		}
		list = append(list, time.Since(began))
	}
	r.add(times(GroupStart, "password token", list).cpu(s.cpu()-before, len(list)).because("the hash alone takes %.0f ms of CPU", hashTime()))
	return nil
}

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
	if err := rest(ctx, idleFor); err != nil {
		return err
	}
	spent := s.cpu() - before
	pss, processes, err := memoryOf(s.pid())
	if err != nil {
		return err
	}
	r.add(Row{Group: GroupStart, Name: "idle memory (PSS)", Unit: "MiB", Value: float64(pss) / mib}.atMost(idleMiBMax),
		Row{Group: GroupStart, Name: "idle processes", Unit: "", Value: float64(processes)}.atMost(1),
		Row{Group: GroupStart, Name: "idle CPU", Unit: "ms/s", Value: ms(spent) / idleFor.Seconds()})
	return nil
}
