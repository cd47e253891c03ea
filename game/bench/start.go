package bench

import (
	"context"
	"fmt"
	"time"
)

// The targets of starts.
const (
	startMost    = time.Second // to the first login
	startMemory  = 40.0        // MiB resident behind it
	recoveryMost = 5 * time.Second
)

// start measures the time from the start of the program, on an empty directory, until
// the first user has logged in, and what is resident when it has been left alone.
func (r *run) start(ctx context.Context) error {
	row := Row{Group: GroupStart, Subject: subjectKamado, What: "to the first login", SecondsMost: startMost.Seconds(), MemoryMost: startMemory}
	return r.starts(ctx, &row, func(ctx context.Context) (*server, error) {
		s, err := launch(r.cfg, r.newDir())
		if err != nil {
			return nil, err
		}
		err = s.until(ctx, r.cfg.Timeout, "the first login", func() bool {
			_, err := s.api.guest(ctx, "")
			return err == nil
		})
		return s, err
	})
}

// recovery measures the time until a server that was killed is ready again, on a given
// directory that nothing of is in memory.
func (r *run) recovery(ctx context.Context) error {
	bytes, err := forget(r.cfg.Ledger)
	if err != nil {
		return fmt.Errorf("read the ledger: %w", err)
	}
	r.note("%s: %s holds %.0f MiB; the system has forgotten it before each start, and each server was killed", GroupRecovery, r.cfg.Ledger, float64(bytes)/(1<<20))
	row := Row{Group: GroupRecovery, Subject: subjectKamado, What: "to ready", SecondsMost: recoveryMost.Seconds()}
	return r.starts(ctx, &row, func(ctx context.Context) (*server, error) {
		if _, err := forget(r.cfg.Ledger); err != nil {
			return nil, err
		}
		s, err := launch(r.cfg, r.cfg.Ledger)
		if err != nil {
			return nil, err
		}
		return s, s.untilReady(ctx, r.cfg.Timeout)
	})
}

// starts starts a server some times, kills it, and makes a row of it.
func (r *run) starts(ctx context.Context, row *Row, start func(context.Context) (*server, error)) error {
	var seconds, cpu, memory []float64
	for i := range r.cfg.Starts {
		s, err := start(ctx)
		if s != nil {
			seconds = append(seconds, time.Since(s.began).Seconds())
			cpu = append(cpu, us(cpuOf(s.pid)))
			if err == nil {
				err = rest(ctx, r.cfg.Rest)
			}
			rss, _ := memoryOf(s.pid)
			memory = append(memory, float64(rss)/(1<<20))
			s.api.close()
			s.kill()
		}
		if err != nil {
			return err
		}
		r.talkf("%s: %d of %d", row.Group, i+1, r.cfg.Starts)
	}
	row.Seconds, row.CPU, row.RSS = median(seconds), median(cpu), median(memory)
	r.report.Rows = append(r.report.Rows, *row)
	return nil
}

// rest waits for a time in which nothing is asked.
func rest(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
