package codec

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/kamado/kamado/images"
	"github.com/kamado/kamado/images/codec/sandbox"
)

// Pool is worker processes and the requests for them. Its methods may be
// called by any number of goroutines.
type Pool struct {
	c     Config
	slots chan struct{} // one element for each request with a worker

	mu       sync.Mutex
	idle     []*worker // ready, the last used at the end
	all      map[*worker]bool
	starting int
	waiters  []chan handover // requests with a slot that need a worker, first come first
	levels   []sandbox.Level // still to try; one is left after the first success
	failed   error           // of the last start
	failedAt time.Time
	misses   int         // starts in a row that failed
	used     time.Time   // last request
	janitor  *time.Timer // nil while there are no workers
	closed   bool
	stats    Stats
	starts   sync.WaitGroup // start goroutines
	stop     context.CancelFunc
	life     context.Context // ends with the pool
}

// handover is what a waiting request gets: a worker or why there is none.
type handover struct {
	w   *worker
	err error
}

// NewPool makes a pool. It starts no process. The error wraps ErrNoWorker when
// the executable is not there.
func NewPool(c Config) (*Pool, error) {
	c = c.withDefaults()
	if err := executable(c.Path); err != nil {
		return nil, err
	}
	life, stop := context.WithCancel(context.Background())
	return &Pool{c: c, slots: make(chan struct{}, c.Workers), all: map[*worker]bool{}, levels: sandbox.Levels(), life: life, stop: stop}, nil
}

// Close ends all workers and waits for them; requests under way fail.
func (p *Pool) Close() error {
	p.mu.Lock()
	p.closed = true
	p.stop()
	var list []*worker
	for w := range p.all {
		w.expected = true
		w.cmd.Process.Kill()
		list = append(list, w)
	}
	p.idle = nil
	for _, c := range p.waiters {
		c <- handover{err: ErrClosed}
	}
	p.waiters = nil
	if p.janitor != nil {
		p.janitor.Stop()
	}
	p.mu.Unlock()
	p.starts.Wait()
	for _, w := range list {
		<-w.ended
		w.conn.Close()
	}
	return nil
}

// acquire waits for a slot and a worker. Every worker it gives must be
// released.
func (p *Pool) acquire(ctx context.Context, op string) (*worker, error) {
	began := time.Now()
	if err := p.enter(); err != nil {
		return nil, images.Wrap(images.Exhausted, op, "too many pictures are being made; try again", err)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, p.c.Wait, ErrBusy)
	defer cancel()
	w, err := p.wait(ctx)
	p.mu.Lock()
	p.stats.Waiting--
	p.stats.Wait += time.Since(began)
	if err == nil {
		p.stats.Busy++
	}
	p.mu.Unlock()
	switch {
	case err == nil:
		return w, nil
	case ctx.Err() != nil && context.Cause(ctx) == ErrBusy:
		return nil, images.Wrap(images.Exhausted, op, "too many pictures are being made; try again", ErrBusy)
	case ctx.Err() != nil:
		return nil, interrupted(op, ctx.Err())
	}
	return nil, images.Wrap(images.Unavailable, op, "the decoder for this format is not available", err)
}

// enter counts a request in, or refuses it when too many wait.
func (p *Pool) enter() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return ErrClosed
	}
	if p.stats.Waiting >= p.c.Queue+p.c.Workers-p.stats.Busy {
		p.stats.Refused++
		return ErrBusy
	}
	p.stats.Waiting++
	p.used = time.Now()
	return nil
}

func (p *Pool) wait(ctx context.Context) (*worker, error) {
	select {
	case p.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	w, err := p.take(ctx)
	if err != nil {
		<-p.slots
	}
	return w, err
}

// take gives an idle worker, or one that is started for it.
func (p *Pool) take(ctx context.Context) (*worker, error) {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return nil, ErrClosed
	}
	if n := len(p.idle); n > 0 {
		w := p.idle[n-1]
		p.idle = p.idle[:n-1]
		p.ensure()
		p.mu.Unlock()
		return w, nil
	}
	if p.failed != nil && time.Since(p.failedAt) < retryStart {
		defer p.mu.Unlock()
		return nil, p.failed
	}
	turn := make(chan handover, 1)
	p.waiters = append(p.waiters, turn)
	p.ensure()
	p.mu.Unlock()
	select {
	case h := <-turn:
		return h.w, h.err
	case <-ctx.Done():
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if i := slices.Index(p.waiters, turn); i >= 0 {
		p.waiters = slices.Delete(p.waiters, i, i+1)
	} else if h := <-turn; h.w != nil { // it came at the same moment
		p.ready(h.w)
	}
	return nil, ctx.Err()
}

// ensure starts what is missing: a worker for every waiter, and a spare one
// when nobody waits. Preconditions: p.mu is held.
func (p *Pool) ensure() {
	if p.closed {
		return
	}
	for p.starting < len(p.waiters) {
		p.start()
	}
	active := time.Since(p.used) < p.c.Idle && len(p.all) < p.c.Workers+p.c.Spare
	if active && len(p.waiters) == 0 && p.starting == 0 && len(p.idle) < p.c.Spare && p.failed == nil {
		p.start()
	}
}

// start starts one worker in the background. Preconditions: p.mu is held.
func (p *Pool) start() {
	p.starting++
	p.starts.Go(func() {
		w, err := p.startAtBestLevel()
		p.mu.Lock()
		defer p.mu.Unlock()
		p.starting--
		p.started(w, err)
	})
	if p.janitor == nil {
		p.janitor = time.AfterFunc(p.c.Idle, p.sweep)
	}
}

// started takes in the result of a start. Preconditions: p.mu is held.
func (p *Pool) started(w *worker, err error) {
	if err != nil && p.closed {
		return
	}
	if err != nil {
		p.stats.Failed++
		p.c.Log.Warn("codec worker does not start", "path", p.c.Path, "err", err)
		if p.misses++; p.stats.Started > 0 && p.misses < startTries {
			p.ensure() // an accident: the program does start here
			return
		}
		p.failed, p.failedAt = err, time.Now()
		for _, turn := range p.waiters[:min(1, len(p.waiters))] {
			turn <- handover{err: err}
			p.waiters = p.waiters[1:]
		}
		return
	}
	p.failed, p.misses = nil, 0
	p.stats.Started++
	p.stats.Library, p.stats.Layers = w.hello.Library, sandbox.Layers(w.hello.Layers)
	p.all[w] = true
	p.starts.Go(func() { p.watch(w) })
	if p.closed {
		w.expected = true
		w.cmd.Process.Kill()
		w.conn.Close()
		return
	}
	p.ready(w)
}

// ready gives a worker to who waits longest, or to the idle ones.
// Preconditions: p.mu is held.
func (p *Pool) ready(w *worker) {
	w.used = time.Now()
	if !p.all[w] { // it died on the way
		w.conn.Close()
		p.ensure()
		return
	}
	if len(p.waiters) > 0 {
		p.waiters[0] <- handover{w: w}
		p.waiters = p.waiters[1:]
	} else {
		p.idle = append(p.idle, w)
	}
	p.ensure()
}

// startAtBestLevel starts a worker at the strongest level that this machine
// allows, which is found once.
func (p *Pool) startAtBestLevel() (*worker, error) {
	p.mu.Lock()
	levels := p.levels
	p.mu.Unlock()
	var first error
	for _, level := range levels {
		ctx, cancel := context.WithTimeout(p.life, p.c.Start)
		w, err := startWorker(ctx, p.c, level)
		cancel()
		if err == nil {
			p.mu.Lock()
			p.levels, p.stats.Level = []sandbox.Level{level}, level
			p.mu.Unlock()
			return w, nil
		}
		if first == nil {
			first = err
		}
		if p.life.Err() != nil {
			break
		}
		p.c.Log.Debug("codec worker does not start at a level", "level", level.String(), "err", err)
	}
	return nil, fmt.Errorf("%w: %w", ErrNoWorker, first)
}

// watch waits for a worker's end.
func (p *Pool) watch(w *worker) {
	<-w.ended
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.all, w)
	if i := slices.Index(p.idle, w); i >= 0 {
		p.idle = slices.Delete(p.idle, i, i+1)
		w.conn.Close()
	}
	if !w.expected && !w.killed {
		p.stats.Died++
		p.c.Log.Warn("codec worker died", "state", w.cmd.ProcessState.String(), "words", w.words.String())
	}
	p.ensure()
}

// release gives a worker back after a request.
func (p *Pool) release(w *worker, healthy bool) {
	p.mu.Lock()
	p.stats.Busy--
	p.stats.Requests++
	w.served++
	switch {
	case !healthy:
		p.kill(w)
	case p.closed || w.served >= p.c.Requests:
		p.end(w)
	default:
		p.ready(w)
	}
	p.ensure()
	p.mu.Unlock()
	<-p.slots
}

// kill ends a worker at once. Preconditions: p.mu is held.
func (p *Pool) kill(w *worker) {
	select {
	case <-w.ended: // nothing left to kill; watch has counted or will
	default:
		if !w.killed && p.all[w] {
			w.killed = true
			p.stats.Killed++
			w.cmd.Process.Kill()
		}
	}
	w.conn.Close()
}

// end asks a worker to end by closing its socket. Preconditions: p.mu is held
// and nobody uses the worker.
func (p *Pool) end(w *worker) {
	w.expected = true
	w.conn.Close()
}

// sweep ends workers that nobody needed for Idle: all when no request came,
// else those beyond the spare ones.
func (p *Pool) sweep() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	quiet := time.Since(p.used) >= p.c.Idle && p.stats.Busy == 0 && p.stats.Waiting == 0
	keep := p.c.Spare
	if quiet {
		keep = 0
	}
	for len(p.idle) > keep && (quiet || time.Since(p.idle[0].used) >= p.c.Idle) {
		p.end(p.idle[0])
		p.idle = slices.Delete(p.idle, 0, 1)
	}
	if quiet && p.starting == 0 {
		p.janitor = nil
		return
	}
	p.janitor = time.AfterFunc(max(p.c.Idle/4, time.Millisecond), p.sweep)
}
