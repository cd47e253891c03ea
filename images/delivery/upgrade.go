package delivery

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kamado/kamado/images"
	"github.com/kamado/kamado/images/cache"
)

// Bounds of upgrades.
const (
	// upgradesPending is how many may wait; more are left out, and asked for
	// again by the next request.
	upgradesPending = 256
	// placePoll is how often a free place is looked for.
	placePoll = 20 * time.Millisecond
	// failedPause is for how long one that failed is not tried again: a picture
	// that cannot be had in a format is asked for as often as any other.
	failedPause = 5 * time.Minute
	// failedRemembered bounds those that are remembered as failed.
	failedRemembered = 4096
)

// upgrades are renditions in formats that cost too much to make while a client
// waits. The client gets another format at once; the one it would have liked is
// made when a processor is free, within a share of one processor's time, and is
// there for the next request.
type upgrades struct {
	pending chan *task

	mu     sync.Mutex
	queued map[cache.Key]struct{} // Invariant: at most upgradesPending and the one being made

	resting *cache.Memory[cache.Key, time.Time] // until when those that failed are left out

	made, failed, dropped atomic.Uint64
}

// UpgradeStats are the counters of upgrades.
type UpgradeStats struct {
	Pending int    `json:"pending"`
	Made    uint64 `json:"made"`
	Failed  uint64 `json:"failed"`
	Dropped uint64 `json:"dropped"` // too many waited
}

// Upgrades reads the counters.
func (h *Handler) Upgrades() UpgradeStats {
	u := &h.upgrades
	return UpgradeStats{Pending: len(u.pending), Made: u.made.Load(), Failed: u.failed.Load(), Dropped: u.dropped.Load()}
}

// later says whether the format that was negotiated is one that is made later.
func (h *Handler) later(v *visit) bool {
	return v.varies && slices.Contains(h.cfg.Background, v.req.Rendition.Format)
}

// interim has the rendition made in the background and turns the visit to the
// best format that can be made at once.
func (h *Handler) interim(r *http.Request, v *visit) {
	h.offer(&task{original: v.original, want: v.req.Rendition, key: v.key, spelling: v.spelling, owner: v.req.Owner})
	h.choose(r, v, func(f images.Format) bool { return !slices.Contains(h.cfg.Background, f) })
	v.spell(h)
	v.passing = true
}

func (h *Handler) offer(t *task) {
	u := &h.upgrades
	if until, ok := u.resting.Get(t.key); ok && time.Now().Before(until) {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if _, ok := u.queued[t.key]; ok {
		return
	}
	select {
	case u.pending <- t:
		u.queued[t.key] = struct{}{}
	default:
		u.dropped.Add(1)
	}
}

// Run makes upgrades until ctx ends.
func (h *Handler) Run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case t := <-h.upgrades.pending:
			took := h.upgrade(ctx, t)
			h.upgrades.mu.Lock()
			delete(h.upgrades.queued, t.key)
			h.upgrades.mu.Unlock()
			rest := time.Duration(float64(took) * (1 - h.cfg.BackgroundShare) / h.cfg.BackgroundShare)
			if !pause(ctx, min(rest, h.cfg.Time)) {
				return nil
			}
		}
	}
}

// upgrade makes one, when a place is free, and says how long it worked.
func (h *Handler) upgrade(ctx context.Context, t *task) time.Duration {
	if !h.place(ctx) {
		return 0
	}
	began := time.Now()
	ctx, cancel := context.WithTimeoutCause(ctx, h.cfg.Time, errTime)
	defer cancel()
	j := job{Handler: h, original: t.original}
	defer j.release()
	var err error
	if t.original.Remote() {
		h.deps.Places.Release()
		if err = cache.Recovered(func() error { return j.ready(ctx, t.want) }); err == nil && !h.place(ctx) {
			err = context.Cause(ctx)
		}
		if err != nil {
			h.failed(t, err)
			return 0
		}
		began = time.Now()
	}
	defer h.deps.Places.Release()
	m := &member{task: t, done: make(chan struct{})}
	err = cache.Recovered(func() error {
		if _, err := j.render(ctx, &batch{original: t.original, members: []*member{m}, age: settled}); err != nil {
			return err
		}
		return m.err
	})
	if err != nil {
		h.failed(t, err)
	} else {
		h.upgrades.made.Add(1)
	}
	return time.Since(began)
}

// place waits for a place that nobody else wants; false when ctx ended.
func (h *Handler) place(ctx context.Context) bool {
	for !h.deps.Places.TryAcquire() {
		if !pause(ctx, placePoll) {
			return false
		}
	}
	return true
}

func (h *Handler) failed(t *task, err error) {
	h.upgrades.failed.Add(1)
	h.upgrades.resting.Add(t.key, time.Now().Add(failedPause), 1)
	var panicked *cache.PanicError
	if errors.As(err, &panicked) {
		h.deps.Log.Error("upgrade panicked", "original", t.original.Key, "rendition", t.spelling, "err", err, "stack", string(panicked.Stack))
		return
	}
	h.deps.Log.Debug("upgrade not made", "original", t.original.Key, "rendition", t.spelling, "err", err)
}

// pause waits; false when ctx ended.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
