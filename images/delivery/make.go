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
}

// errTime is the cause of a context whose time for one rendition is over.
var errTime = errors.New("time for one rendition is over")

// make has the time that is left to the request that started it, waits for a
// place, reads the original and renders it. Remote originals are read before a
// place is claimed, so that a slow origin keeps no processor idle.
func (h *Handler) make(ctx context.Context, t *task) (made, error) {
	ctx, cancel := context.WithDeadlineCause(ctx, t.start.Add(h.cfg.Time), errTime)
	defer cancel()
	j := job{Handler: h, original: t.original, want: t.want}
	defer j.release()
	if t.original.Remote() {
		if err := j.read(ctx); err != nil {
			return made{}, j.explain(ctx, err)
		}
	}
	waiting := time.Now()
	if err := h.deps.Places.Acquire(ctx); err != nil {
		return made{}, j.explain(ctx, err)
	}
	defer h.deps.Places.Release()
	j.timing.queue = time.Since(waiting)
	if err := j.read(ctx); err != nil {
		return made{}, j.explain(ctx, err)
	}
	if t.plain {
		j.of.Format = h.plainFormat(j.data)
	}
	res, err := h.deps.Renderer.Render(ctx, j.data, j.of)
	if err != nil {
		return made{}, j.explain(ctx, err)
	}
	j.timing.stages = res.Stages
	h.deps.Metrics.rendered(&j.timing)
	if h.deps.Mezzanines != nil && j.body != nil && !res.Truncated {
		h.deps.Mezzanines.Offer(&j.original, j.data)
	}
	// The original may have been replaced between the question and the read:
	// the result belongs to what was read.
	key := t.key
	if j.original.ETag != t.original.ETag {
		key = h.key(t.spelling, &j.original)
	}
	return made{j.keep(key, res), j.timing}, nil
}

// job is one rendition being made.
type job struct {
	*Handler
	original origin.Original
	want     images.Rendition

	body   *origin.Body // nil when data is a mezzanine
	data   []byte
	of     images.Rendition // what to ask of data
	timing timing
}

// read gets the bytes to render from: the mezzanine if one is large enough,
// else the original. A second call does nothing.
func (j *job) read(ctx context.Context) error {
	if j.data != nil || j.body != nil {
		return nil
	}
	began := time.Now()
	defer func() { j.timing.origin = time.Since(began) }()
	if j.deps.Mezzanines != nil {
		if data, of, ok := j.deps.Mezzanines.Find(&j.original, j.want); ok {
			j.data, j.of, j.timing.source = data, of, "mezzanine"
			return nil
		}
	}
	body, err := j.deps.Originals.Read(ctx, &j.original)
	if err != nil {
		return err
	}
	j.body, j.data, j.of, j.original = body, body.Data, j.want, body.Original
	if body.Cached {
		j.timing.source = "original-cache"
	}
	return nil
}

func (j *job) release() {
	if j.body != nil {
		j.body.Release()
	}
}

// keep puts a result into the caches.
func (j *job) keep(key cache.Key, res Rendering) *Result {
	e := &cache.Entry{
		Data: res.Data, Format: uint8(res.Format), Width: res.Width, Height: res.Height,
		Modified: j.original.Modified.Truncate(time.Second),
	}
	if res.Truncated {
		e.Flags |= cache.FlagTruncated
	}
	if j.body == nil {
		e.Flags |= cache.FlagMezzanine
	}
	result := j.newResult(key, j.original.Key, e)
	j.deps.Memory.Add(key, result, result.cost())
	j.deps.Disk.Put(key, e)
	return result
}

// explain gives errors of the queue and of the deadline their kind.
func (j *job) explain(ctx context.Context, err error) error {
	switch {
	case errors.Is(err, queue.ErrFull), errors.Is(err, queue.ErrLate):
		return &images.Error{Op: "queue", Kind: images.Exhausted, Detail: "too many pictures are being made; try again in a moment", Err: err}
	case context.Cause(ctx) == errTime && images.KindOf(err) != images.Timeout:
		return images.Wrap(images.Timeout, "render", "the picture took longer than allowed", fmt.Errorf("%w: %w", errTime, err))
	}
	return err
}
