package remote

import (
	"context"
	"slices"
	"sync"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/api"
)

// Bounds of the batches in which bearers are asked about.
const (
	batchesMax    = 4                      // at once
	batchMax      = api.CoreCredentialsMax // bearers of one
	batchBytesMax = 1 << 20                // of their texts
)

// question is a bearer that somebody asks about.
type question struct {
	bearer string
	done   chan struct{} // closed with who and err
	lead   chan struct{} // has one place: the asker is to send the next batch
	leads  bool          // lead was given, or never needed; guarded by questions.mu
	who    game.Principal
	err    error
}

// questions asks about bearers in batches: while the core answers some, others gather, and go together. There is no
// goroutine of its own: of those who ask, some send the batches for all.
type questions struct {
	ask  func(context.Context, []*question) // fills in who and err of each
	most int                                // that may wait

	mu      sync.Mutex
	waiting []*question // not in a batch yet, the oldest first
	sending int         // askers that send batches, at most batchesMax
}

func (q *questions) len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.waiting)
}

// answer waits for who has a bearer.
func (q *questions) answer(ctx context.Context, bearer string) (game.Principal, error) {
	me := &question{bearer: bearer, done: make(chan struct{}), lead: make(chan struct{}, 1)}
	q.mu.Lock()
	if len(q.waiting) >= q.most {
		q.mu.Unlock()
		return game.Principal{}, game.Errorf(game.Unavailable, "%d credentials wait to be asked about, which is the most", q.most)
	}
	q.waiting = append(q.waiting, me)
	if me.leads = q.sending < batchesMax; me.leads {
		q.sending++
		me.lead <- struct{}{}
	}
	q.mu.Unlock()
	select {
	case <-me.lead:
		q.send(ctx, me)
	case <-me.done:
		q.leave(me)
	case <-ctx.Done():
		q.leave(me)
		return game.Principal{}, &game.Error{Op: "authenticate", Kind: game.Unavailable, Detail: "the wait for the core ended", Err: ctx.Err()}
	}
	return me.who, me.err
}

// send sends batches until that of the sender's own question is answered, and then lets another one go on. Others wait for it, so
// the end of the sender's context is not theirs.
func (q *questions) send(ctx context.Context, me *question) {
	for {
		select {
		case <-me.done:
			q.pass()
			return
		default:
		}
		q.mu.Lock()
		batch := q.take()
		q.mu.Unlock()
		if len(batch) == 0 { // the sender's own is in somebody else's batch
			q.pass()
			<-me.done
			return
		}
		q.ask(context.WithoutCancel(ctx), batch)
		for _, b := range batch {
			close(b.done)
		}
	}
}

// take takes the questions of the next batch. Preconditions: mu is held.
func (q *questions) take() []*question {
	n, size := 0, 0
	for n < len(q.waiting) && n < batchMax {
		if size += len(q.waiting[n].bearer); size > batchBytesMax {
			break
		}
		n++
	}
	batch := slices.Clone(q.waiting[:n])
	q.waiting = slices.Delete(q.waiting, 0, n)
	return batch
}

// pass gives the sender's turn to somebody who waits.
func (q *questions) pass() {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, w := range q.waiting {
		if !w.leads {
			w.leads = true
			w.lead <- struct{}{}
			return
		}
	}
	q.sending--
}

// leave ends the wait of an asker that has its answer, or wants none any more. A turn that it was given meanwhile goes on.
func (q *questions) leave(me *question) {
	q.mu.Lock()
	if i := slices.Index(q.waiting, me); i >= 0 {
		q.waiting = slices.Delete(q.waiting, i, i+1)
	}
	me.leads = true // from now on it is given none
	q.mu.Unlock()
	select {
	case <-me.lead:
		q.pass()
	default:
	}
}
