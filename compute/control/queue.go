package control

import (
	"context"
	"errors"
	"sync"
)

// errSuperseded ends a job whose instance was asked for something that does not
// wait for it, such as to be deleted.
var errSuperseded = errors.New("superseded by a later request")

// queue runs jobs: those of one key one after the other, in order, at most
// workers of them at the same time. Its zero value is not ready: see newQueue.
type queue struct {
	mu    sync.Mutex
	cond  *sync.Cond
	lines map[string]*line
	ready []string // keys with jobs that nobody works on
	size  int      // jobs that wait or run
	over  bool     // run has ended: nobody will work
}

// line is the jobs of one key; jobs[0] is running when cancel is set.
type line struct {
	jobs   []func(context.Context)
	cancel context.CancelCauseFunc
}

func newQueue() *queue {
	q := &queue{lines: map[string]*line{}}
	q.cond = sync.NewCond(&q.mu)
	return q
}

// add puts a job at the end of a key's line.
func (q *queue) add(key string, job func(context.Context)) {
	q.mu.Lock()
	defer q.mu.Unlock()
	l := q.lines[key]
	if l == nil {
		l = &line{}
		q.lines[key] = l
		q.ready = append(q.ready, key)
		q.cond.Signal()
	}
	l.jobs = append(l.jobs, job)
	q.size++
}

// cancel ends the context of a key's running job.
func (q *queue) cancel(key string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if l := q.lines[key]; l != nil && l.cancel != nil {
		l.cancel(errSuperseded)
	}
}

// call runs a job in a key's line and gives its error. When ctx ends first, the
// job may still run: its own context is the queue's.
func (q *queue) call(ctx context.Context, key string, job func(context.Context) error) error {
	done := make(chan error, 1)
	q.add(key, func(ctx context.Context) { done <- job(ctx) })
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// len is how many jobs wait or run.
func (q *queue) len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.size
}

// run works on jobs until ctx ends, and returns when no job runs.
func (q *queue) run(ctx context.Context, workers int) {
	stop := context.AfterFunc(ctx, func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		q.over = true
		q.cond.Broadcast()
	})
	defer stop()
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for q.next(ctx) {
			}
		})
	}
	wg.Wait()
}

// next runs one job; false when the queue is over.
func (q *queue) next(ctx context.Context) bool {
	q.mu.Lock()
	for len(q.ready) == 0 && !q.over {
		q.cond.Wait()
	}
	if q.over {
		q.mu.Unlock()
		return false
	}
	key := q.ready[0]
	q.ready = q.ready[1:]
	l := q.lines[key]
	job := l.jobs[0]
	own, cancel := context.WithCancelCause(ctx)
	l.cancel = cancel
	q.mu.Unlock()

	job(own)
	cancel(nil)

	q.mu.Lock()
	defer q.mu.Unlock()
	l.cancel = nil
	l.jobs = l.jobs[1:]
	q.size--
	if len(l.jobs) == 0 {
		delete(q.lines, key)
	} else {
		q.ready = append(q.ready, key)
		q.cond.Signal()
	}
	return true
}
