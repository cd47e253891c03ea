package lock

import (
	"context"
	"sync"
	"time"
)

// How a lock is watched that somebody was refused.
const (
	watchFor      = 5 * time.Minute // after the last refusal
	watchPart     = 8               // of the term: time from one look to the next
	watchEveryMin = 100 * time.Millisecond
	watchEveryMax = 5 * time.Second
	watchLookMax  = 5 * time.Second // how long one look may take
)

// Run watches the locks that somebody was refused, so that this server knows the age
// of their leases when it is asked again, until ctx ends. One look runs at a time. Without Run all else
// works, but the locks of the dead pass on later.
func (r *Registry) Run(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-r.watches.added:
		case <-timer.C:
		}
		now := time.Now()
		for _, name := range r.watches.due(now) {
			r.watch(ctx, name)
		}
		r.bounds()
		timer.Reset(r.watches.pause(time.Now()))
	}
}

// watch looks at one lock.
func (r *Registry) watch(ctx context.Context, name string) {
	if ctx.Err() != nil {
		return
	}
	looking, cancel := context.WithTimeout(ctx, watchLookMax)
	defer cancel()
	row, err := r.place.Read(looking, name)
	now := time.Now()
	if err != nil {
		r.counts("watch", err) //nolint:errcheck // counted; it is looked at again
		r.watches.again(name, now)
		return
	}
	if row.Session == "" || r.seen.see(row, now) == 0 {
		r.watches.drop(name) // it is free, and known to be
		r.lines.kick(name)
		return
	}
	r.watches.again(name, now)
}

// watches are the locks to look at. It is bounded: the one that nobody has asked
// for the longest is forgotten first.
type watches struct {
	added chan struct{} // one place

	mu  sync.Mutex
	max int
	of  map[string]*watch
}

type watch struct {
	until, next time.Time
	every       time.Duration
}

func newWatches(limit int) *watches {
	return &watches{added: make(chan struct{}, 1), max: limit, of: map[string]*watch{}}
}

// add begins to watch a lock, or goes on with it.
func (w *watches) add(name string, term time.Duration, now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	every := min(max(term/watchPart, watchEveryMin), watchEveryMax)
	if have := w.of[name]; have != nil {
		have.until, have.every = now.Add(watchFor), every
		return
	}
	if len(w.of) >= w.max {
		oldest := ""
		for other, have := range w.of {
			if oldest == "" || have.until.Before(w.of[oldest].until) {
				oldest = other
			}
		}
		delete(w.of, oldest)
	}
	w.of[name] = &watch{until: now.Add(watchFor), next: now.Add(every), every: every}
	select {
	case w.added <- struct{}{}:
	default:
	}
}

// due gives the locks to look at now, and forgets those that nobody asks for.
func (w *watches) due(now time.Time) (names []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for name, have := range w.of {
		if now.After(have.until) {
			delete(w.of, name)
		} else if !now.Before(have.next) {
			names = append(names, name)
		}
	}
	return names
}

// again puts a lock off until its next look.
func (w *watches) again(name string, now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if have := w.of[name]; have != nil {
		have.next = now.Add(have.every)
	}
}

func (w *watches) drop(name string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.of, name)
}

// pause is how long nothing is due.
func (w *watches) pause(now time.Time) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	next := watchFor
	for _, have := range w.of {
		next = min(next, have.next.Sub(now))
	}
	return max(0, next)
}

func (w *watches) len() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.of)
}
