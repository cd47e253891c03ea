package lock

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"time"
)

// turnsMax is how often one call reads a lease and swaps it, when others were
// faster or the engine failed in between.
const turnsMax = 4

// lockerSightingsMax bounds the locks of others that one Locker watches.
const lockerSightingsMax = 10_000

// Locker is locks for one holder, which is this process. Its methods may be called
// concurrently.
type Locker struct {
	place   Place
	holder  string
	session string // of this process: a process that starts again is another one
	metrics *Metrics
	seen    *sightings

	mu sync.Mutex
	// grants are those that this process got, until it gave them back or lost them.
	grants map[string]Grant
	asking map[string]bool // names for which an Acquire is under way
	// renewing counts the renewals that are under way: what comes of them decides
	// whether the grant is over.
	renewing map[string]int
}

// NewLocker gives the view of one holder, whose name is for people. m may be nil.
func NewLocker(p Place, holder string, m *Metrics) *Locker {
	return &Locker{
		place: p, holder: holder, session: rand.Text(), metrics: m, seen: newSightings(lockerSightingsMax),
		grants: map[string]Grant{}, asking: map[string]bool{}, renewing: map[string]int{},
	}
}

// Acquire asks once, and does not wait for the lock. Three things might happen:
//  1. nil: the caller has the lock until Grant.Until;
//  2. ErrHeld: somebody else has it;
//  3. another error: the engine is away. If it did grant the lock, nobody renews
//     that, and it ends by itself.
//
// A holder that asks again while it has the lock gets ErrHeld too; one whose
// grant is over gets it again at once, if nobody else did. The term of a dead
// holder counts from the first time that its last lease was seen by Acquire or Look here:
// whoever waits for a lock should look often from the beginning.
func (l *Locker) Acquire(ctx context.Context, name string, term time.Duration) (Grant, error) {
	g, err := l.acquire(ctx, name, term)
	return g, l.metrics.counted(l.place.Engine(), "acquire", err)
}

func (l *Locker) acquire(ctx context.Context, name string, term time.Duration) (Grant, error) {
	if err := Check(name, term); err != nil {
		return Grant{}, err
	}
	if !l.ask(name) {
		return Grant{}, &HeldError{Name: name, Holder: l.holder}
	}
	defer l.asked(name)
	asked := time.Now()
	free := func(row Row) bool {
		if row.Session == l.session {
			return l.ended(name, asked)
		}
		return l.seen.over(row, asked)
	}
	row, err := take(ctx, l.place, name, Lease{Holder: l.holder, Session: l.session, Term: wholeMs(term)}, free)
	if errors.Is(err, ErrHeld) {
		return Grant{}, &HeldError{Name: name, Holder: row.Holder, Wait: l.seen.see(row, time.Now())}
	}
	if err != nil {
		return Grant{}, fmt.Errorf("acquire lock %s: %w", name, err)
	}
	g := Grant{Name: name, Token: row.Token, Term: term, Until: asked.Add(term)}
	l.seen.forget(name)
	l.keep(g)
	return g, nil
}

// take makes a grant of a lock that nobody holds, or whose lease is free; next lacks
// its token. With ErrHeld it gives the row that is in the way.
func take(ctx context.Context, p Place, name string, next Lease, free func(Row) bool) (row Row, err error) {
	var failed error
	for range turnsMax {
		if row, err = p.Read(ctx, name); err != nil {
			return Row{}, err
		}
		if next.Token != 0 && row.Lease == next {
			// A turn of this call, which came to nothing here, was written after all. It was
			// written after this call had begun, so its term did not begin earlier than the caller counts.
			return row, nil
		}
		if row.Session != "" && !free(row) {
			return row, ErrHeld
		}
		next.Token = row.Token + 1
		if row, err = p.Swap(ctx, name, row.Version, next); err == nil {
			return row, nil
		}
		if !errors.Is(err, ErrMoved) && !errors.Is(err, ErrAway) {
			return Row{}, err
		}
		failed = err
	}
	if errors.Is(failed, ErrMoved) { // others are faster all the time
		return Row{Name: name, Lease: Lease{Holder: "another process"}}, ErrHeld
	}
	return Row{}, failed
}

// change swaps the lease of a grant for what next makes of it. owns judges the lease
// that is there. ErrLost: it is not the grant's any more.
func change(ctx context.Context, p Place, name string, owns func(Row) error, next func(Row) Lease) (row Row, err error) {
	var failed error
	for range turnsMax {
		if row, err = p.Read(ctx, name); err != nil {
			return Row{}, err
		}
		if err := owns(row); err != nil {
			return Row{}, err
		}
		if row, err = p.Swap(ctx, name, row.Version, next(row)); err == nil {
			return row, nil
		}
		if !errors.Is(err, ErrMoved) && !errors.Is(err, ErrAway) {
			return Row{}, err
		}
		failed = err
	}
	if errors.Is(failed, ErrMoved) {
		return Row{}, fmt.Errorf("%w: others change the lease all the time", ErrAway)
	}
	return Row{}, failed
}

// ended is the lease of a lock that was given back.
func ended(row Row) Lease { return Lease{Token: row.Token, Term: row.Term} }

// wholeMs rounds a term up to what engines keep: a lease must not be shorter than its grant.
func wholeMs(term time.Duration) time.Duration {
	return (term + time.Millisecond - 1).Truncate(time.Millisecond)
}

// ask says whether nothing else is under way here for the name, and makes this Acquire the one.
func (l *Locker) ask(name string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.asking[name] || l.renewing[name] > 0 {
		return false
	}
	l.asking[name] = true
	return true
}

func (l *Locker) asked(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.asking, name)
}

// renews counts a renewal that is under way, until done is called.
func (l *Locker) renews(name string) (done func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.renewing[name]++
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.renewing[name]--; l.renewing[name] == 0 {
			delete(l.renewing, name)
		}
	}
}

// keep remembers a grant, and drop forgets it.
func (l *Locker) keep(g Grant) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.grants[g.Name] = g
}

func (l *Locker) drop(g Grant) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.grants[g.Name].Token == g.Token {
		delete(l.grants, g.Name)
	}
}

// ended says whether this process believes in no grant of its own.
func (l *Locker) ended(name string, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !now.Before(l.grants[name].Until)
}

func (l *Locker) owns(g Grant) func(Row) error {
	return func(row Row) error {
		if row.Session != l.session || row.Token != g.Token {
			return ErrLost
		}
		return nil
	}
}

// Renew prolongs a grant to its term from now. Three things might happen:
//  1. nil: the new grant, with the same token, is valid;
//  2. ErrLost: it is over;
//  3. another error: it is not known; the old one is valid until its Until.
func (l *Locker) Renew(ctx context.Context, g Grant) (Grant, error) {
	renewed, err := l.renew(ctx, g)
	return renewed, l.metrics.counted(l.place.Engine(), "renew", err)
}

func (l *Locker) renew(ctx context.Context, g Grant) (Grant, error) {
	defer l.renews(g.Name)()
	asked := time.Now()
	if !asked.Before(g.Until) {
		l.drop(g)
		return Grant{}, fmt.Errorf("renew lock %s: %w: it was not renewed in time", g.Name, ErrLost)
	}
	_, err := change(ctx, l.place, g.Name, l.owns(g), func(row Row) Lease { return row.Lease })
	if errors.Is(err, ErrLost) {
		l.drop(g)
	}
	if err != nil {
		return Grant{}, fmt.Errorf("renew lock %s: %w", g.Name, err)
	}
	g.Until = asked.Add(g.Term)
	l.keep(g)
	return g, nil
}

// Release gives a grant back, so that others need not wait for its end. A grant
// that is over already is no error.
func (l *Locker) Release(ctx context.Context, g Grant) error {
	_, err := change(ctx, l.place, g.Name, l.owns(g), ended)
	if err != nil && !errors.Is(err, ErrLost) {
		return l.metrics.counted(l.place.Engine(), "release", fmt.Errorf("release lock %s: %w", g.Name, err))
	}
	l.drop(g)
	return l.metrics.counted(l.place.Engine(), "release", nil)
}

// Look says who has a lock. It counts as looking: a process that looks often
// can take over from the dead sooner.
func (l *Locker) Look(ctx context.Context, name string) (Status, error) {
	row, err := l.place.Read(ctx, name)
	if err != nil {
		return Status{}, l.metrics.counted(l.place.Engine(), "look", fmt.Errorf("look at lock %s: %w", name, err))
	}
	s := status(row)
	if s.Held {
		s.Wait = l.seen.see(row, time.Now())
	}
	return s, nil
}

func status(row Row) Status {
	return Status{Name: row.Name, Holder: row.Holder, Token: row.Token, Term: row.Term, Held: row.Session != ""}
}
