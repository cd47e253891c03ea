// Package queue bounds how much work is done at once and how much may wait,
// and sheds the rest.
//
// Vocabulary: a place is the right to work; there are as many as processors. A
// place that is free is taken at once, otherwise one waits in order of arrival.
// When as many wait as may, the newcomer is shed at once, and who waited too
// long is sent away: saying no is cheap, and work that is
// finished after its client gave up is lost. So under any load the work that
// is begun is work that is still wanted.
package queue

import (
	"container/list"
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// ErrFull: as many wait as may. Come back later.
var ErrFull = errors.New("queue is full")

// ErrLate: the turn would come, or came, too late for the deadline.
var ErrLate = errors.New("queue is too long for the deadline")

// Config bounds a Queue.
type Config struct {
	Places  int           // work done at once; at least 1
	Waiting int           // who may wait; 0 = nobody
	WaitMax time.Duration // longest wait for a turn; 0 = as long as the context allows
}

// Queue is the bound. Safe for concurrent use.
type Queue struct {
	cfg Config

	mu      sync.Mutex
	busy    int       // Invariant: ≤ cfg.Places; = cfg.Places while somebody waits
	waiters list.List // of chan struct{}, first come first; closed when the turn comes

	shed, late, left atomic.Uint64
	admitted         atomic.Uint64
	waited           atomic.Int64 // nanoseconds, of those admitted
}

// New makes a queue.
func New(cfg Config) *Queue {
	cfg.Places = max(cfg.Places, 1)
	return &Queue{cfg: cfg}
}

// Acquire waits for a place. The outcome is one of:
//  1. nil: the caller has a place and calls Release once;
//  2. ErrFull at once;
//  3. ErrLate after WaitMax;
//  4. the context's cause, when it ended first: the caller's place in the
//     queue is free again.
func (q *Queue) Acquire(ctx context.Context) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	q.mu.Lock()
	if q.busy < q.cfg.Places {
		q.busy++
		q.mu.Unlock()
		q.admitted.Add(1)
		return nil
	}
	if q.waiters.Len() >= q.cfg.Waiting {
		q.mu.Unlock()
		q.shed.Add(1)
		return ErrFull
	}
	turn := make(chan struct{})
	at := q.waiters.PushBack(turn)
	q.mu.Unlock()
	return q.wait(ctx, turn, at)
}

func (q *Queue) wait(ctx context.Context, turn chan struct{}, at *list.Element) error {
	start := time.Now()
	var late <-chan time.Time
	if q.cfg.WaitMax > 0 {
		timer := time.NewTimer(q.cfg.WaitMax)
		defer timer.Stop()
		late = timer.C
	}
	var err error
	select {
	case <-turn:
		q.admitted.Add(1)
		q.waited.Add(int64(time.Since(start)))
		return nil
	case <-late:
		err = ErrLate
		q.late.Add(1)
	case <-ctx.Done():
		err = context.Cause(ctx)
		q.left.Add(1)
	}
	q.mu.Lock()
	select {
	case <-turn: // it came in the same moment: pass it on
		q.mu.Unlock()
		q.Release()
	default:
		q.waiters.Remove(at)
		q.mu.Unlock()
	}
	return err
}

// TryAcquire takes a place when one is free and nobody waits. Work that can be
// done another time asks so.
func (q *Queue) TryAcquire() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.busy >= q.cfg.Places {
		return false
	}
	q.busy++
	return true
}

// Release gives a place back, to the first who waits.
func (q *Queue) Release() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if first := q.waiters.Front(); first != nil {
		q.waiters.Remove(first)
		close(first.Value.(chan struct{}))
		return
	}
	if q.busy == 0 {
		panic("queue: Release without Acquire")
	}
	q.busy--
}

// Stats is the state and the counters since the queue was made.
type Stats struct {
	Busy       int     `json:"busy"`
	Waiting    int     `json:"waiting"`
	Places     int     `json:"places"`
	WaitingMax int     `json:"waiting_max"`
	Admitted   uint64  `json:"admitted"`
	Shed       uint64  `json:"shed"`           // ErrFull
	Late       uint64  `json:"late"`           // ErrLate
	Left       uint64  `json:"left"`           // context ended while waiting
	Waited     float64 `json:"waited_seconds"` // sum over those admitted
}

// Stats reads the state.
func (q *Queue) Stats() Stats {
	q.mu.Lock()
	busy, waiting := q.busy, q.waiters.Len()
	q.mu.Unlock()
	return Stats{
		Busy: busy, Waiting: waiting, Places: q.cfg.Places, WaitingMax: q.cfg.Waiting,
		Admitted: q.admitted.Load(), Shed: q.shed.Load(), Late: q.late.Load(), Left: q.left.Load(),
		Waited: time.Duration(q.waited.Load()).Seconds(),
	}
}
