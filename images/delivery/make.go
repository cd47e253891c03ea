package delivery

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/kamado/kamado/images"
	"github.com/kamado/kamado/images/cache"
	"github.com/kamado/kamado/images/origin"
	"github.com/kamado/kamado/images/queue"
)

// made is what shared work gives to all who asked for it.
type made struct {
	result *Result
	timing timing
}

// task is what is to be made.
type task struct {
	start    time.Time // of the request that came first
	original origin.Original
	want     images.Rendition
	plain    bool // not in a format that would have had to be negotiated
	key      cache.Key
	spelling string
	owner    string // that the request named which came first
	set      *batch // of which it is one of several that came in one request; nil: it came alone
	arrive   func() // tells the set that the task has come
}

// errTime is the cause of a context whose time for one rendition is over.
var errTime = errors.New("time for one rendition is over")

// make has a rendition made, within the time that is left to the request that
// started it.
func (h *Handler) make(ctx context.Context, t *task) (made, error) {
	// Equal work may have ended between the look into the cache and this.
	if res, ok := h.deps.Memory.Get(t.key); ok {
		return made{result: res}, nil
	}
	ctx, cancel := context.WithDeadlineCause(ctx, t.start.Add(h.cfg.Time), errTime)
	defer cancel()
	for {
		m := h.batches.join(ctx, t, h.runBatch)
		if t.arrive != nil {
			t.arrive()
			t.arrive = nil
		}
		select {
		case <-m.done:
			if errors.Is(m.err, errBatchTime) && ctx.Err() == nil {
				continue
			}
			return m.made, m.err
		case <-ctx.Done():
			h.batches.leave(m)
			return made{}, explain(ctx, context.Cause(ctx))
		}
	}
}

// keep puts a result into the caches. The original may have been replaced
// between the question and the read: the result belongs to what was read.
func (j *job) keep(t *task, res Rendering, mezzanine bool) *Result {
	key := t.key
	if j.original.ETag != t.original.ETag {
		key = j.key(t.spelling, &j.original)
	}
	e := &cache.Entry{
		Data: res.Data, Format: uint8(res.Format), Width: res.Width, Height: res.Height,
		Modified: j.original.Modified.Truncate(time.Second),
		Label:    cache.Label{Source: j.original.Source, Key: j.original.Key, Owner: t.owner},
	}
	if res.Truncated {
		e.Flags |= cache.FlagTruncated
	}
	if mezzanine {
		e.Flags |= cache.FlagMezzanine
	}
	if res.Shared {
		e.Flags |= cache.FlagShared
	}
	result := j.newResult(key, j.original.Key, e)
	j.deps.Memory.Add(key, result, result.cost())
	j.deps.Disk.Put(key, e)
	return result
}

// explain gives errors of the queue and of the deadline their kind.
func explain(ctx context.Context, err error) error {
	switch cause := context.Cause(ctx); {
	case errors.Is(err, queue.ErrFull), errors.Is(err, queue.ErrLate):
		return &images.Error{Op: "queue", Kind: images.Exhausted, Detail: "too many pictures are being made; try again in a moment", Err: err}
	case (cause == errTime || cause == errBatchTime) && images.KindOf(err) != images.Timeout:
		return images.Wrap(images.Timeout, "render", "the picture took longer than allowed", fmt.Errorf("%w: %w", cause, err))
	}
	return err
}
