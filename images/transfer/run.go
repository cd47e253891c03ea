package transfer

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/kamado/kamado/internal/blob"
)

// windowMax bounds the keys between the watermark and the newest that was begun.
// One object that takes long holds the watermark; so many others are done
// meanwhile, and at most so many are looked at again after a crash.
const windowMax = 4096

// queuedMax bounds the keys that were listed and wait for a copy, so that the
// next page is listed while the last one is worked on.
const queuedMax = 1024

// Run copies what the configuration says. The outcome is one of:
//  1. nil: every key was gone through. Some may have failed: Report.Failures;
//  2. the context's error: the checkpoint holds how far the run came;
//  3. ErrFailures, ErrLink, or an error of listing the source: likewise;
//  4. ErrLocked, ErrCheckpoint, or a bad configuration: nothing was done.
func Run(ctx context.Context, cfg Config, deps Deps) (Report, error) {
	if err := cfg.Validate(); err != nil {
		return Report{}, fmt.Errorf("transfer configuration: %w", err)
	}
	cfg = cfg.withDefaults()
	if deps.From == nil || deps.To == nil {
		return Report{}, errors.New("transfer configuration: two stores are needed")
	}
	point, err := openCheckpoint(cfg)
	if err != nil {
		return Report{}, err
	}
	defer point.close()
	r := &run{cfg: cfg, deps: deps, point: point, tally: newTally(point.state), began: time.Now(), jobs: make(chan job, queuedMax)}
	if cfg.Link {
		if r.links, err = openLinks(cfg.LinkDir, deps); err != nil {
			return Report{}, err
		}
		defer r.links.close()
	}
	return r.run(ctx)
}

// run is one Run at work.
type run struct {
	cfg   Config
	deps  Deps
	point *checkpoint
	links *links // nil without Config.Link
	tally *tally
	began time.Time
	jobs  chan job
}

// job is one key to copy.
type job struct {
	seq  uint64
	info blob.Info
}

// run goes through everything and leaves a checkpoint behind, whatever happens.
func (r *run) run(ctx context.Context) (Report, error) {
	resumed := r.point.resumed
	work, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var workers, tellers sync.WaitGroup
	for range r.cfg.Copies {
		workers.Go(func() { r.copies(work, cancel) })
	}
	telling, stopTelling := context.WithCancel(context.WithoutCancel(ctx))
	defer stopTelling()
	tellers.Go(func() { r.tell(telling, cancel) })
	if r.cfg.Count {
		tellers.Go(func() { r.count(work) })
	}
	err := r.dispatch(work)
	close(r.jobs)
	workers.Wait()
	if cause := context.Cause(work); cause != nil && (err == nil || errors.Is(err, context.Canceled)) {
		err = cause
	}
	if err != nil {
		cancel(err) // ends counting
	}
	whole := err == nil
	stopTelling()
	if whole {
		r.tally.listed()
	}
	cancel(nil)
	tellers.Wait()
	if serr := r.point.save(r.tally.state(whole)); serr != nil && err == nil {
		err = serr
	}
	report := Report{Progress: r.progress(true), Resumed: resumed, Whole: whole, Failures: r.tally.failures()}
	r.show(report.Progress)
	return report, err
}

// dispatch gives out the keys: first those that failed in an earlier run, then
// all of the source that come after the watermark.
func (r *run) dispatch(ctx context.Context) error {
	for _, f := range r.point.state.Failures {
		seq, err := r.tally.begin(ctx, f.Key, false)
		if err != nil {
			return err
		}
		if err := r.give(ctx, job{seq, blob.Info{Key: f.Key, Size: -1}}); err != nil {
			return err
		}
	}
	return walk(ctx, r.deps.From, r.cfg, r.point.state.Watermark, func(in blob.Info) error {
		seq, err := r.tally.begin(ctx, in.Key, true)
		if err != nil {
			return err
		}
		return r.give(ctx, job{seq, in})
	})
}

func (r *run) give(ctx context.Context, j job) error {
	select {
	case r.jobs <- j:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// copies is one of the copies made at once.
func (r *run) copies(ctx context.Context, cancel context.CancelCauseFunc) {
	for j := range r.jobs {
		if ctx.Err() != nil {
			continue // drains the queue; its keys are not finished
		}
		o := r.attempts(ctx, j.info)
		if o.err != nil && ctx.Err() != nil {
			continue // cut off, not failed
		}
		if errors.Is(o.err, ErrLink) {
			cancel(o.err)
			continue
		}
		if n := r.tally.finish(j.seq, o); n > int64(r.cfg.FailuresMax) {
			cancel(fmt.Errorf("%w: %d, limit %d; the last: %s", ErrFailures, n, r.cfg.FailuresMax, tellable(o.err)))
		}
	}
}

// walk goes through the keys of a source in order, from after a key on.
func walk(ctx context.Context, from blob.Store, cfg Config, after string, visit func(blob.Info) error) error {
	if w, ok := from.(blob.Walker); ok {
		return w.Walk(ctx, cfg.Prefix, after, visit)
	}
	for {
		page, err := page(ctx, from, cfg, after)
		if err != nil {
			return fmt.Errorf("list the source after %q: %w", after, err)
		}
		for _, in := range page {
			if err := visit(in); err != nil {
				return err
			}
			after = in.Key
		}
		if len(page) < blob.ListMax {
			return nil
		}
	}
}

// page lists once, and again while the source is unavailable.
func page(ctx context.Context, from blob.Store, cfg Config, after string) (infos []blob.Info, err error) {
	for n := 1; ; n++ {
		infos, err = from.List(ctx, cfg.Prefix, after, blob.ListMax)
		if err == nil || !transient(err) || n >= cfg.Attempts {
			return infos, err
		}
		if err := pause(ctx, n); err != nil {
			return nil, err
		}
	}
}

// count lists the source a second time.
func (r *run) count(ctx context.Context) {
	var keys, bytes int64
	err := walk(ctx, r.deps.From, r.cfg, r.point.state.Watermark, func(in blob.Info) error {
		keys++
		bytes += in.Size
		return ctx.Err()
	})
	if err == nil {
		r.tally.counted(keys, bytes)
	}
}
