package forward

import (
	"context"
	"errors"
	"time"
)

// flight is one asking of a question; all that ask the same wait on done.
type flight struct {
	done  chan struct{}
	entry *entry // read after done: an answer, or the entry of a failure
}

// join gives the flight of a question: the one under way, or a new one. old is the
// stale or ageing entry that a failure leaves in place.
func (f *Forwarder) join(q *asked, old *entry) (*flight, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if fl := f.flights[q.key]; fl != nil {
		f.metrics.coalesced.Inc()
		return fl, nil
	}
	if f.closed {
		return nil, errClosed
	}
	if len(f.flights) >= f.cfg.FlightsMax {
		f.metrics.full.Inc()
		return nil, errFull
	}
	fl := &flight{done: make(chan struct{})}
	f.flights[q.key] = fl
	f.work.Go(func() { f.fly(fl, q, old) })
	return fl, nil
}

// fly asks and stores. It does not end with the client that was first: others may wait, and the next will.
func (f *Forwarder) fly(fl *flight, q *asked, old *entry) {
	ctx, cancel := context.WithTimeout(f.life, f.cfg.Timeout)
	defer cancel()
	e := f.race(ctx, q)
	now := f.now()
	if e.rcode == rcodeServer {
		e.ttl = f.cfg.FailureTTL
	}
	e.settle(&f.cfg, now)
	if e.rcode == rcodeServer && old != nil && now.UnixNano() < old.useless {
		old.recheck.Store(now.Add(f.cfg.StaleRecheck).UnixNano())
	} else {
		f.cache.store(e, q)
	}
	fl.entry = e
	f.mu.Lock()
	delete(f.flights, q.key)
	f.mu.Unlock()
	close(fl.done)
}

// landed is how an attempt ended.
type landed struct {
	*server
	entry *entry
	err   error
}

// race asks servers, the next one when one has failed or is slow, until one has an
// answer. Of failures, the one that a server itself told is the last word.
func (f *Forwarder) race(ctx context.Context, q *asked) *entry {
	ctx, cancel := context.WithCancel(ctx)
	r := &racing{f: f, q: q, order: f.order(f.now()), results: make(chan landed, f.cfg.Attempts), spoke: map[*server]bool{}}
	defer func() {
		cancel()
		for ; r.flying > 0; r.flying-- {
			<-r.results
		}
	}()
	hedge := time.NewTimer(r.launch(ctx))
	defer hedge.Stop()
	for r.flying > 0 {
		select {
		case l := <-r.results:
			r.flying--
			if l.err == nil {
				f.settled(r.order, l.server)
				return l.entry
			}
			r.note(l)
			if ctx.Err() == nil {
				hedge.Reset(r.launch(ctx))
			}
		case <-hedge.C:
			hedge.Reset(r.launch(ctx))
		}
	}
	return f.lost(r)
}

// racing is the state of one race.
type racing struct {
	f        *Forwarder
	q        *asked
	order    []*server
	results  chan landed // has room for all attempts
	spoke    map[*server]bool
	flying   int
	launched int
	at       int // of the next server in order
	said     *entry
	reached  bool // some server could be reached
	last     error
}

// never is a time after which nothing is left to hedge.
const never = time.Hour

// launch starts the next attempt, if there is one to start, and gives the time until the one after it.
func (r *racing) launch(ctx context.Context) time.Duration {
	if r.launched >= r.f.cfg.Attempts {
		return never
	}
	for range r.order {
		s := r.order[r.at%len(r.order)]
		r.at++
		if r.spoke[s] {
			continue // it was heard; asking again would not change its mind
		}
		r.launched++
		r.flying++
		if !r.f.spawn(func() {
			e, err := r.f.attempt(ctx, s, r.q)
			r.results <- landed{s, e, err}
		}) {
			r.flying--
			return never
		}
		return s.hedge(r.f.cfg.TryTimeout)
	}
	return never
}

func (r *racing) note(l landed) {
	r.last = l.err
	switch outcomeOf(l.err) {
	case outcomeFailed, outcomeDeclined:
		r.spoke[l.server] = true
		if l.entry != nil && (r.said == nil || errors.Is(l.err, errServer)) {
			r.said = l.entry
		}
		r.reached = true
	case outcomeTimeout, outcomeGarbage:
		r.reached = true
	}
}

// settled lets the servers that were not asked look better, and tells that there is an answer again.
func (f *Forwarder) settled(order []*server, winner *server) {
	for _, s := range order {
		if s != winner {
			s.decay()
		}
	}
	f.mu.Lock()
	silent := f.silent
	f.silent = false
	f.mu.Unlock()
	if silent {
		f.log.Info("forwarders answer again", "server", winner.label)
	}
}

// lost makes the entry of a race that nobody won.
func (f *Forwarder) lost(r *racing) *entry {
	if r.said != nil {
		e := failure(r.q, r.said.errorCode, r.said.errorText)
		if e.errorCode == errorNone {
			e.errorCode, e.errorText = errorOther, "the forwarders failed"
		}
		return e
	}
	f.mu.Lock()
	silent := f.silent
	f.silent = true
	f.mu.Unlock()
	if !silent && f.life.Err() == nil {
		f.log.Warn("no forwarder answers", "error", r.last)
	}
	if r.reached {
		return failure(r.q, errorUnreachable, "no forwarder answered in time")
	}
	return failure(r.q, errorNetwork, "no forwarder can be reached")
}
