package delivery

import (
	"bytes"
	"context"
	"errors"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/kamado/kamado/images"
	"github.com/kamado/kamado/images/cache"
	"github.com/kamado/kamado/images/origin"
)

// batchMax is how many renditions of one original are made from one read of
// it. Unit: renditions. A page's sizes are fewer; more would hold a processor
// for long.
const batchMax = 16

// batch is the renditions of one original that wait for a place together. They
// are made with one place, from one read and, where the renderer can, from one
// decode. Nobody waits for a batch to fill: it takes whoever comes until it has
// its place. One that has just begun its decode when somebody comes begins anew,
// once: see begun.
type batch struct {
	original origin.Original
	cancel   context.CancelFunc
	ready    chan struct{} // closed when expected is 0

	// Guarded by batches.mu.
	members  []*member
	expected int  // renditions of a set that are still on their way here
	waiting  int  // members whose clients still wait
	closed   bool // it has its place, or is full: nobody joins
	age      age
	anew     context.CancelCauseFunc // ends what has begun; set while it is young
}

// age is how far a batch is.
type age uint8

const (
	unborn  age = iota
	young       // it is being made; who comes now lets it begin anew
	again       // somebody came
	settled     // nobody can change it: it is too far, begun again, or a set that came in one request
)

// member is one rendition of a batch.
type member struct {
	task *task
	of   *batch
	done chan struct{} // closed when what follows is set
	made made
	err  error
}

// batches are those that one can join, by the identity of their original.
type batches struct {
	mu    sync.Mutex
	open  map[string]*batch
	young map[string]*batch // closed, but may begin anew
}

// join puts a task into the open batch of its original, or begins one that run
// makes.
func (bs *batches) join(ctx context.Context, t *task, run func(context.Context, *batch)) *member {
	m := &member{task: t, done: make(chan struct{})}
	bs.mu.Lock()
	defer bs.mu.Unlock()
	b := t.set
	if b == nil || b.closed {
		if b = bs.open[t.original.Identity()]; b == nil {
			b = bs.reopen(t.original)
		}
		if b == nil {
			b = bs.begin(ctx, t.original, 0, run)
		}
	}
	m.of = b
	b.members = append(b.members, m)
	b.waiting++
	if len(b.members) >= batchMax {
		bs.shut(b)
	}
	return m
}

// gather begins a batch for so many tasks, of which each arrives once: when it
// has joined, or when it is known not to, because it was there already or is made
// for another request. Nobody else joins it.
func (bs *batches) gather(ctx context.Context, o origin.Original, expected int, run func(context.Context, *batch)) *batch {
	bs.mu.Lock()
	defer bs.mu.Unlock()
	return bs.begin(ctx, o, expected, run)
}

// arrive counts a task of a set.
func (bs *batches) arrive(b *batch) {
	bs.mu.Lock()
	defer bs.mu.Unlock()
	if b.expected--; b.expected > 0 {
		return
	}
	if b.waiting == 0 { // nobody came, or all have left
		bs.shut(b)
		b.cancel()
	}
	close(b.ready)
}

// begun closes a batch that has its place, and gives those members for whom nothing is made yet. The first time, whoever
// comes until grown is called still joins it: anew then ends what was begun.
func (bs *batches) begun(b *batch, anew context.CancelCauseFunc) []*member {
	bs.mu.Lock()
	defer bs.mu.Unlock()
	if b.age != unborn {
		b.age = settled
		return bs.taken(b)
	}
	if b.age, b.anew = young, anew; bs.young == nil {
		bs.young = make(map[string]*batch)
	}
	bs.young[b.original.Identity()] = b
	return bs.taken(b)
}

// grown ends the time in which a batch may begin anew, and says whether somebody came in it.
func (bs *batches) grown(b *batch) bool {
	bs.mu.Lock()
	defer bs.mu.Unlock()
	if b.age == young {
		bs.grow(b, settled)
	}
	return b.age == again
}

// grow makes a young batch older. Preconditions: mu is held.
func (bs *batches) grow(b *batch, to age) {
	if id := b.original.Identity(); bs.young[id] == b {
		delete(bs.young, id)
	}
	b.age, b.anew = to, nil
}

// reopen gives the batch of an original that has just begun, for more to join; nil
// when there is none. Preconditions: mu is held, and no batch is open.
func (bs *batches) reopen(o origin.Original) *batch {
	b := bs.young[o.Identity()]
	if b == nil {
		return nil
	}
	b.anew(errAnew)
	bs.grow(b, again)
	b.closed = false
	bs.open[o.Identity()] = b
	return b
}

// begin starts a batch. Preconditions: mu is held.
func (bs *batches) begin(ctx context.Context, o origin.Original, expected int, run func(context.Context, *batch)) *batch {
	// The work belongs to all members and must not end with the first.
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	b := &batch{original: o, cancel: cancel, ready: make(chan struct{}), expected: expected, age: settled}
	if expected == 0 {
		b.age = unborn
		close(b.ready)
		if bs.open == nil {
			bs.open = make(map[string]*batch)
		}
		bs.open[o.Identity()] = b
	}
	go run(ctx, b)
	return b
}

// shut lets nobody join any more. Preconditions: mu is held.
func (bs *batches) shut(b *batch) {
	b.closed = true
	if id := b.original.Identity(); bs.open[id] == b {
		delete(bs.open, id)
	}
}

// leave takes a member away whose client does not wait any more. The last one
// ends the work.
func (bs *batches) leave(m *member) {
	bs.mu.Lock()
	defer bs.mu.Unlock()
	b := m.of
	b.waiting--
	if b.waiting == 0 && b.expected == 0 {
		bs.shut(b)
		b.cancel()
	}
}

// take closes a batch and gives those members for whom nothing is made yet.
func (bs *batches) take(b *batch) []*member {
	bs.mu.Lock()
	defer bs.mu.Unlock()
	return bs.taken(b)
}

// taken is take. Preconditions: mu is held.
func (bs *batches) taken(b *batch) []*member {
	bs.shut(b)
	b.members = slices.DeleteFunc(b.members, (*member).isDone)
	return slices.Clone(b.members)
}

// first is a member of a batch that has some.
func (bs *batches) first(b *batch) (*member, bool) {
	bs.mu.Lock()
	defer bs.mu.Unlock()
	if len(b.members) == 0 {
		return nil, false
	}
	return b.members[0], true
}

// errBatchTime is the cause of a batch whose first member's time is over. Those
// who came later have more time, and begin again.
var errBatchTime = errors.New("time of the batch is over")

// errAnew is the cause of what was begun and ended because more came to the batch.
var errAnew = errors.New("more renditions of the original are asked for")

// youth is how long a batch may begin anew: about a sixth of what the decode takes, which is 6 ns
// a byte of a JPEG (12 megapixels: 3 MB, 17 ms), so that no more than that is ever lost. 0: never. Other
// formats are decoded by another process, which would have to be ended.
func youth(data []byte) time.Duration {
	if !bytes.HasPrefix(data, []byte{0xff, 0xd8, 0xff}) {
		return 0
	}
	return min(time.Duration(len(data))*time.Nanosecond, youthMax)
}

const youthMax = 5 * time.Millisecond

// runBatch makes a batch when all its tasks have come, and tells its members.
func (h *Handler) runBatch(ctx context.Context, b *batch) {
	defer b.cancel()
	select {
	case <-b.ready:
	case <-ctx.Done():
	}
	j := job{Handler: h, original: b.original}
	err := cache.Recovered(func() error { return j.run(ctx, b) })
	j.release()
	for _, m := range h.batches.take(b) {
		m.finish(err)
	}
}

// run makes a batch.
func (j *job) run(ctx context.Context, b *batch) error {
	first, ok := j.batches.first(b)
	if !ok {
		return nil
	}
	ctx, cancel := context.WithDeadlineCause(ctx, first.task.start.Add(j.cfg.Time), errBatchTime)
	defer cancel()
	if err := j.ready(ctx, first.task.want); err != nil {
		return explain(ctx, err)
	}
	waiting := time.Now()
	if err := j.deps.Places.Acquire(ctx); err != nil {
		return explain(ctx, err)
	}
	defer j.yield()
	j.timing.queue = time.Since(waiting)
	anew, err := j.render(ctx, b)
	if anew {
		pause(ctx, gatherTime)
		_, err = j.render(ctx, b)
	}
	return err
}

// yield gives the place back, after those who have their pictures. The next batch would run in their stead at once, and
// they would wait for all of it with their answers: 12 ms instead of 9 for 99 of 100 at four requests on two processors.
func (j *job) yield() {
	runtime.Gosched()
	j.deps.Places.Release()
}

// isDone says that a member knows what became of it.
func (m *member) isDone() bool {
	select {
	case <-m.done:
		return true
	default:
		return false
	}
}

// finish tells a member that the batch is over. err is of what concerns all.
// Preconditions: the batch is closed.
func (m *member) finish(err error) {
	if !m.isDone() {
		if m.err = err; err == nil {
			m.err = errNotMade
		}
		close(m.done)
	}
}

// errNotMade would be a fault of this package: a member that nothing was made
// for and no error tells why.
var errNotMade = errors.New("delivery: a batch forgot a rendition")

// job is a batch being made.
type job struct {
	*Handler
	original origin.Original
	body     *origin.Body // nil until the original was needed
	ahead    *small       // what was found before a place was claimed; nil: nobody looked
	timing   timing       // of what all members share
}

// read gets the original's bytes. A second call does nothing.
func (j *job) read(ctx context.Context) error {
	if j.body != nil {
		return nil
	}
	began := time.Now()
	defer func() { j.timing.origin += time.Since(began) }()
	body, err := j.deps.Originals.Read(ctx, &j.original)
	if err != nil {
		return err
	}
	j.body, j.original = body, body.Original
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

// small is what the mezzanine of an original is to one rendition.
type small struct {
	want images.Rendition
	data []byte
	of   images.Rendition // to ask of data
	ok   bool             // it is there and large enough
}

// small looks for a mezzanine. What was found before a place was claimed is not
// read again after it.
func (j *job) small(want images.Rendition) small {
	if j.ahead != nil && j.ahead.want == want {
		return *j.ahead
	}
	found := small{want: want}
	if j.deps.Mezzanines != nil {
		found.data, found.of, found.ok = j.deps.Mezzanines.Find(&j.original, want)
	}
	return found
}

// ready has what a rendition is made from at hand, where that is far away: the
// mezzanine, or the original itself. A slow origin must keep no processor idle.
func (j *job) ready(ctx context.Context, want images.Rendition) error {
	if !j.original.Remote() {
		return nil
	}
	found := j.small(want)
	if j.ahead = &found; found.ok {
		return nil
	}
	return j.read(ctx)
}

// render makes the renditions of all members: from a mezzanine when one is large
// enough for each of them, else from the original. anew says that more came while it was young: it is to be called
// once more.
func (j *job) render(ctx context.Context, b *batch) (anew bool, err error) {
	work, end := context.WithCancelCause(ctx)
	defer end(nil)
	defer j.batches.grown(b) // also when the renderer panics
	members := j.served(j.batches.begun(b, end))
	if len(members) == 0 {
		return j.batches.grown(b), nil
	}
	data, wants, mezzanine := j.fromMezzanine(members)
	if !mezzanine {
		if err := j.read(ctx); err != nil {
			return false, explain(ctx, err)
		}
		data = j.body.Data
		for i, m := range members {
			wants[i] = m.task.want
			if m.task.plain {
				wants[i].Format = j.plainFormat(data)
			}
		}
	}
	made, anew := j.attempt(work, b, data, wants)
	if anew {
		j.deps.Metrics.anew.Inc()
	} else {
		j.deps.Metrics.batched(len(members))
	}
	for i, res := range made {
		m := members[i]
		if res.Err != nil {
			if !anew {
				m.finish(explain(ctx, res.Err))
			}
			continue
		}
		m.made.timing = j.timing
		m.made.timing.stages = res.Stages
		j.deps.Metrics.rendered(&m.made.timing, i == 0)
		if i == 0 && j.deps.Mezzanines != nil && !mezzanine && !res.Truncated {
			j.deps.Mezzanines.Offer(&j.original, data)
		}
		m.made.result = j.keep(m.task, res.Rendering, mezzanine)
		close(m.done)
	}
	return anew, nil
}

// gatherTime is how long a batch that begins anew waits for more members: who comes so soon after another seldom comes
// alone, since a page asks for all its sizes.
const gatherTime = 500 * time.Microsecond

// attempt makes renditions of data. anew says that more came to the batch while it was young: those that are not made,
// or with an error, are to be made then, with the others.
func (j *job) attempt(ctx context.Context, b *batch, data []byte, wants []images.Rendition) (made []Made, anew bool) {
	left := youth(data)
	if left == 0 && j.batches.grown(b) {
		return nil, true
	}
	timer := time.AfterFunc(left, func() { j.batches.grown(b) })
	defer timer.Stop()
	made = j.deps.Renderer.RenderSet(ctx, data, wants)
	return made, j.batches.grown(b)
}

// served gives those members whose original was not taken down for them while
// they waited, and tells the others.
func (j *job) served(members []*member) []*member {
	left := make([]*member, 0, len(members))
	for _, m := range members {
		if err := j.deps.Originals.Served(&m.task.original); err != nil {
			m.finish(err)
			continue
		}
		left = append(left, m)
	}
	return left
}

// fromMezzanine finds the mezzanine and what to ask of it; ok is false when some
// member needs the original, which then serves all.
func (j *job) fromMezzanine(members []*member) (data []byte, wants []images.Rendition, ok bool) {
	wants = make([]images.Rendition, len(members))
	if j.deps.Mezzanines == nil || j.body != nil {
		return nil, wants, false
	}
	began := time.Now()
	defer func() { j.timing.origin += time.Since(began) }()
	j.timing.source = "" // it may have been one, for fewer members
	for i, m := range members {
		found := j.small(m.task.want)
		if data, wants[i], ok = found.data, found.of, found.ok; !ok {
			return nil, wants, false
		}
		if m.task.plain {
			wants[i].Format = j.plainFormat(data)
		}
	}
	j.timing.source = "mezzanine"
	return data, wants, true
}
