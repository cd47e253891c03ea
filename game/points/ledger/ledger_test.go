package ledger

import (
	"context"
	"sync"
	"testing"

	"github.com/kamado/kamado/game/points"
	"github.com/kamado/kamado/game/points/pointstest"
	"github.com/kamado/kamado/internal/unit"
)

// running is a ledger whose Run runs; Close waits for it.
type running struct {
	*Ledger
	wg  sync.WaitGroup
	err error // of Run
}

func (r *running) Close() error {
	err := r.Ledger.Close()
	r.wg.Wait()
	return err
}

// open opens a ledger and runs it.
func open(ctx context.Context, dir string, cfg Config, deps Deps) (*running, error) {
	l, err := Open(ctx, dir, cfg, deps)
	if err != nil {
		return nil, err
	}
	r := &running{Ledger: l}
	r.wg.Go(func() { r.err = l.Run(context.WithoutCancel(ctx)) })
	return r, nil
}

// small is a configuration in which everything happens often.
func small() Config {
	cfg := Default()
	cfg.SegmentBytes, cfg.SnapshotEvery, cfg.FilterBytes, cfg.IndexCacheBytes, cfg.FreeBytesMin = SegmentBytesMin, 50, 64*unit.KiB, unit.MiB, 0
	cfg.Rules.Transfers = true
	return cfg
}

func TestConformance(t *testing.T) {
	t.Parallel()
	pointstest.Run(t, func(t *testing.T) pointstest.Place {
		dir := t.TempDir()
		return func(ctx context.Context, c pointstest.Config) (points.Ledger, error) {
			cfg := small()
			cfg.Rules = c.Rules
			r, err := open(ctx, dir, cfg, Deps{Clock: c.Now})
			if err != nil {
				return nil, err // not a nil *running in an interface
			}
			return r, nil
		}
	})
}
