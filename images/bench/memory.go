package bench

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"time"
)

// memoryRounds is how many times the class is asked for while memory is
// watched, memorySample how often it is looked at.
const (
	memoryRounds = 3
	memorySample = 5 * time.Millisecond
)

// classMix is every original of 12 MP, whatever its coding.
const classMix = "12 MP mix"

// memories watches kamado in every class, and kamado and imgproxy in the mix.
func (b *bench) memories(ctx context.Context, groups [][]*original) error {
	watch := func(subject, class string, group []*original, start func() (*served, error)) error {
		m, err := b.memory(ctx, subject, class, group, start)
		if err != nil {
			return err
		}
		b.report.Memory = append(b.report.Memory, m)
		return nil
	}
	kamado := func() (*served, error) {
		s, err := startKamado(ctx, b.config)
		if err != nil {
			err = fmt.Errorf("%w: %w", ErrKamado, err)
		}
		return s, err
	}
	var mix []*original
	for _, group := range groups {
		if err := watch("kamado", group[0].class, group, kamado); err != nil {
			return err
		}
		if megapixels(group[0].width, group[0].height) == 12 {
			mix = append(mix, group...)
		}
	}
	if len(mix) == 0 {
		return nil
	}
	if err := watch("kamado", classMix, mix, kamado); err != nil {
		return err
	}
	if !slices.ContainsFunc(b.report.Subjects, func(s Subject) bool { return s.Name == "imgproxy" }) {
		return nil
	}
	return watch("imgproxy", classMix, mix, func() (*served, error) {
		s, _, err := startImgproxy(ctx, b.config)
		return s, err
	})
}

// memory watches a subject, started anew, under as many requests as cores.
func (b *bench) memory(ctx context.Context, subject, class string, group []*original, start func() (*served, error)) (Memory, error) {
	m := Memory{Subject: subject, Class: class, Concurrency: runtime.NumCPU()}
	fmt.Fprintf(b.config.Talk, "%s: memory of %s\n", class, subject)
	s, err := start()
	if err != nil {
		return m, fmt.Errorf("start %s anew: %w", subject, err)
	}
	defer s.close()
	if m.Idle, _, err = s.tree().pss(); err != nil {
		return m, fmt.Errorf("read the memory of %s: %w", subject, err)
	}
	done := make(chan []outcome)
	go func() {
		var all []outcome
		for round := range memoryRounds {
			all = append(all, s.load(ctx, jobs(b.config, group, round), m.Concurrency)...)
		}
		done <- all
	}()
	tick := time.NewTicker(memorySample)
	defer tick.Stop()
	for {
		select {
		case outcomes := <-done:
			for _, o := range outcomes {
				if m.Requests++; o.why == "" {
					m.Counted++
				}
			}
			return m, ctx.Err()
		case <-tick.C:
			if sum, n, err := s.tree().pss(); err == nil {
				m.Samples++
				m.Peak, m.Processes = max(m.Peak, sum), max(m.Processes, n)
			}
		}
	}
}
