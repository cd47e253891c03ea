package lock

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// Config bounds a Registry.
type Config struct {
	// LocksMax is how many names may ever be locked in one place: leases are never
	// deleted, because the token of a name must go on. 1 to 1,000,000. It is kept
	// to within 1 in 100 by each server.
	LocksMax int
	// WaitersMax is how many calls of AcquireWait wait at once. 1 to 100,000.
	WaitersMax int
	// WaitMax is how long one call of AcquireWait waits at most. Up to an hour.
	WaitMax time.Duration
	// PollMin and PollMax are how soon and how seldom the first of those who wait for
	// one lock looks whether it is free: the time between grows by a half from one to
	// the other, and a random part of up to a half of it is added. At least 1 ms.
	PollMin, PollMax time.Duration
	// WatchesMax is how many locks are watched because somebody was refused them lately.
	WatchesMax int
	// SightingsMax is how many leases are remembered with their age. The oldest is
	// forgotten first, which makes whoever wants that lock wait for longer.
	SightingsMax int
}

// Default is a Config for a server of some thousand clients.
func Default() Config {
	return Config{
		LocksMax: 100_000, WaitersMax: 1000, WaitMax: time.Minute, PollMin: 20 * time.Millisecond, PollMax: 500 * time.Millisecond,
		WatchesMax: 1000, SightingsMax: 10_000,
	}
}

// Validate gives all complaints at once.
func (c Config) Validate() error {
	var errs []error
	for _, f := range []struct {
		name           string
		value, maximum int
	}{
		{"LocksMax", c.LocksMax, 1_000_000}, {"WaitersMax", c.WaitersMax, 100_000},
		{"WatchesMax", c.WatchesMax, 100_000}, {"SightingsMax", c.SightingsMax, 1_000_000},
	} {
		if f.value < 1 || f.value > f.maximum {
			errs = append(errs, fmt.Errorf("%s is %d: want 1 to %d", f.name, f.value, f.maximum))
		}
	}
	if c.WaitMax <= 0 || c.WaitMax > time.Hour {
		errs = append(errs, fmt.Errorf("WaitMax is %v: want up to an hour", c.WaitMax))
	}
	if c.PollMin < time.Millisecond || c.PollMax < c.PollMin {
		errs = append(errs, fmt.Errorf("PollMin and PollMax are %v and %v: want at least 1ms, and in that order", c.PollMin, c.PollMax))
	}
	return errors.Join(errs...)
}

// Held is the right of a holder elsewhere to a lock. It lasts until the moment before
// the holder asked, and Waited, and Term, by the holder's own monotonic clock: whoever works
// under the lock stops before that, or renews.
type Held struct {
	Name   string
	Holder string
	Token  uint64 // greater than that of every earlier grant of the name; at least 1
	Term   time.Duration
	// Waited is how long this server let the holder wait before it asked for what it got.
	Waited time.Duration
	// Session is the secret of this grant, of at least 128 random bits: who has it may
	// renew it and give it back. The place keeps only its hash.
	Session string
}

// LogValue leaves the secret out.
func (h Held) LogValue() slog.Value {
	return slog.GroupValue(slog.String("name", h.Name), slog.String("holder", h.Holder), slog.Uint64("token", h.Token), slog.Duration("term", h.Term))
}

// Registry is locks for holders elsewhere, who may ask one server for a lock and
// renew it or give it back through another one, also when the first is gone or has
// started again: all that servers share is the place. Its methods may be called concurrently.
//
// A grant that was left alone is over when its lease stood still for its term and a
// tenth, as seen by the server that is asked: then that server writes down that it is
// over, so that no other one renews it. A server that has not seen the lease for so
// long, as one that just started, cannot know, and renews it: such a
// grant had not passed to anybody, nor been called lost, and its token is still the greatest.
// That a holder does not work between the end of its term and such a renewal is its own
// duty, and the Fence of what it guards does not need it.
type Registry struct {
	place   Place
	cfg     Config
	metrics *Metrics
	seen    *sightings
	orphans *orphans
	lines   *lines
	watches *watches

	mu      sync.Mutex // guards what bounds the number of locks
	counted time.Time  // when the place was asked; zero: never
	locks   int        // how many there were then
	made    int        // how many were made here since
}

// NewRegistry makes one server's view. m may be nil.
func NewRegistry(p Place, c Config, m *Metrics) (*Registry, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("bounds of locks: %w", err)
	}
	return &Registry{
		place: p, cfg: c, metrics: m, seen: newSightings(c.SightingsMax), orphans: newOrphans(),
		lines: newLines(c.WaitersMax), watches: newWatches(c.WatchesMax),
	}, nil
}

// Acquire asks once for a holder, whose name is for people, and does not wait. Five things might happen:
//  1. nil: the holder has the lock for its term, from before it asked;
//  2. ErrHeld: somebody has it, perhaps the same holder;
//  3. ErrExhausted: the name is new, and there are LocksMax of them; or the engine has too much to do;
//  4. ErrInvalid: a bound of this package is broken;
//  5. another error: the engine is away. If it did grant the lock, nobody has the
//     session of that grant, and it ends by itself.
//
// A dead holder's lock passes on when it was seen to stand still for its term and a
// tenth by the server that is asked. A refusal makes this server watch the lock while Run runs.
func (r *Registry) Acquire(ctx context.Context, name, holder string, term time.Duration) (Held, error) {
	h, err := r.acquire(ctx, name, holder, term)
	return h, r.counts("acquire", err)
}

// counts counts the end of a call.
func (r *Registry) counts(op string, err error) error {
	r.bounds()
	return r.metrics.counted(r.place.Engine(), op, err)
}

// bounds reports how full the bounded things are.
func (r *Registry) bounds() {
	r.metrics.bounds(r.place.Engine(), r.lines.len(), r.watches.len(), r.seen.len())
}

func check(name, holder string, term time.Duration) error {
	if err := Check(name, term); err != nil {
		return err
	}
	return checkText("holder", holder, HolderBytesMax)
}

func (r *Registry) acquire(ctx context.Context, name, holder string, term time.Duration) (Held, error) {
	if err := check(name, holder, term); err != nil {
		return Held{}, err
	}
	asked := time.Now()
	free := func(row Row) bool { return r.orphans.has(row.Session) || r.seen.over(row, asked) }
	session := rand.Text()
	next := Lease{Holder: holder, Session: hash(session), Term: wholeMs(term)}
	written := false
	row, err := take(ctx, bounded{r.place, r, &written}, name, next, free)
	switch {
	case errors.Is(err, ErrHeld):
		now := time.Now()
		held := &HeldError{Name: name, Holder: row.Holder}
		if row.Version != 0 {
			held.Wait = r.seen.see(row, now)
			r.watches.add(name, row.Term, now)
		}
		return Held{}, held
	case errors.Is(err, ErrExhausted):
		return Held{}, err
	case err != nil:
		if written {
			r.orphans.add(next.Session)
		}
		return Held{}, fmt.Errorf("acquire lock %s: %w", name, err)
	}
	r.seen.see(row, asked)
	return Held{Name: name, Holder: holder, Token: row.Token, Term: row.Term, Session: session}, nil
}

// bounded is the place with a bound on how many leases are made in it.
type bounded struct {
	Place
	r       *Registry
	written *bool // a lease may have been written
}

func (b bounded) Swap(ctx context.Context, name string, version int64, next Lease) (Row, error) {
	if version == 0 {
		if err := b.r.room(ctx); err != nil {
			return Row{}, err
		}
	}
	*b.written = true
	return b.Place.Swap(ctx, name, version, next)
}

// How long a count of the locks is believed, besides what is made here: less when
// there is no room, as somebody may have raised the bound or deleted locks by hand.
const (
	recountEvery     = 10 * time.Second
	recountFullEvery = time.Second
)

// room says whether one more lock may be made, and counts it.
func (r *Registry) room(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	full := r.locks+r.made >= r.cfg.LocksMax
	if age := now.Sub(r.counted); r.counted.IsZero() || age > recountEvery || !full && r.made > r.cfg.LocksMax/100 || full && age > recountFullEvery {
		n, err := r.place.Count(ctx)
		if err != nil {
			return err
		}
		r.counted, r.locks, r.made = now, n, 0
	}
	if r.locks+r.made >= r.cfg.LocksMax {
		return &ExhaustedError{What: "names of locks", Limit: r.cfg.LocksMax, Setting: "LocksMax"}
	}
	r.made++
	return nil
}

// hash is what the place keeps of a session.
func hash(session string) string {
	sum := sha256.Sum256([]byte(session))
	return hex.EncodeToString(sum[:16])
}

// owns judges whether a lease is that of a grant.
func owns(token uint64, session string) func(Row) error {
	want := hash(session)
	return func(row Row) error {
		if row.Session == "" || row.Token != token || subtle.ConstantTimeCompare([]byte(row.Session), []byte(want)) != 1 {
			return ErrLost
		}
		return nil
	}
}

// errLapsed: the lease has stood still for too long.
var errLapsed = errors.New("lapsed")

// Renew prolongs a grant to its term from before the holder asked. Three things might happen:
//  1. nil: the grant is valid, with the same token and session;
//  2. ErrLost: it is over, or there never was one with this token and session;
//  3. another error: it is not known; the old one is valid until its end.
func (r *Registry) Renew(ctx context.Context, name string, token uint64, session string) (Held, error) {
	row, err := r.renew(ctx, name, token, session)
	if err != nil {
		return Held{}, r.counts("renew", fmt.Errorf("renew lock %s: %w", name, err))
	}
	return Held{Name: name, Holder: row.Holder, Token: token, Term: row.Term, Session: session}, r.counts("renew", nil)
}

func (r *Registry) renew(ctx context.Context, name string, token uint64, session string) (Row, error) {
	if err := checkName(name); err != nil {
		return Row{}, err
	}
	mine := owns(token, session)
	for range turnsMax {
		asked := time.Now()
		inTime := func(row Row) error {
			if err := mine(row); err != nil {
				return err
			}
			if r.seen.over(row, asked) {
				return errLapsed
			}
			return nil
		}
		row, err := change(ctx, r.place, name, inTime, func(row Row) Lease { return row.Lease })
		if err == nil {
			r.seen.see(row, asked)
			return row, nil
		}
		if !errors.Is(err, errLapsed) {
			return Row{}, err
		}
		// It is written down that the grant is over, before its holder hears it.
		tooLate := func(row Row) error {
			if err := mine(row); err != nil {
				return err
			}
			if !r.seen.over(row, asked) {
				return errLapsed // another server has renewed it just now
			}
			return nil
		}
		if _, err = change(ctx, r.place, name, tooLate, ended); err == nil {
			r.lines.kick(name)
			return Row{}, fmt.Errorf("%w: it was not renewed in time", ErrLost)
		}
		if !errors.Is(err, errLapsed) {
			return Row{}, err
		}
	}
	return Row{}, fmt.Errorf("%w: others change the lease all the time", ErrAway)
}

// Release gives a grant back, so that others need not wait for its end. Three things might happen:
//  1. nil: the grant is over; also when it was over before;
//  2. ErrLost: the newest grant has this token but another session: nothing was given back;
//  3. another error: it is not known.
func (r *Registry) Release(ctx context.Context, name string, token uint64, session string) error {
	err := r.release(ctx, name, token, session)
	if err != nil {
		err = fmt.Errorf("release lock %s: %w", name, err)
	}
	return r.counts("release", err)
}

// errOver: there is nothing to give back.
var errOver = errors.New("over already")

func (r *Registry) release(ctx context.Context, name string, token uint64, session string) error {
	if err := checkName(name); err != nil {
		return err
	}
	mine := owns(token, session)
	_, err := change(ctx, r.place, name, func(row Row) error {
		if row.Token > token || row.Token == token && row.Session == "" {
			return errOver
		}
		return mine(row)
	}, ended)
	if errors.Is(err, errOver) {
		return nil
	}
	if err == nil {
		r.seen.forget(name)
		r.lines.kick(name)
	}
	return err
}

// Look says who has a lock. It counts as looking: a server that looks often
// can pass on the locks of the dead sooner.
func (r *Registry) Look(ctx context.Context, name string) (Status, error) {
	if err := checkName(name); err != nil {
		return Status{}, err
	}
	row, err := r.place.Read(ctx, name)
	if err != nil {
		return Status{}, r.counts("look", fmt.Errorf("look at lock %s: %w", name, err))
	}
	s := status(row)
	if s.Held {
		s.Wait = r.seen.see(row, time.Now())
	}
	return s, nil
}

// List gives at most limit locks whose names begin with prefix and come after
// "after", by the bytes of their names; 0 < limit <= ListMax. It may be of a moment
// ago. A lock is listed from its first grant on, for ever.
func (r *Registry) List(ctx context.Context, prefix, after string, limit int) ([]Status, error) {
	if limit < 1 || limit > ListMax {
		return nil, fmt.Errorf("%w: limit %d: want 1 to %d", ErrInvalid, limit, ListMax)
	}
	for what, s := range map[string]string{"prefix": prefix, "after": after} {
		if s == "" {
			continue
		}
		if err := checkText(what, s, NameBytesMax); err != nil {
			return nil, err
		}
	}
	rows, err := r.place.List(ctx, prefix, after, limit)
	if err != nil {
		return nil, r.counts("list", fmt.Errorf("list locks: %w", err))
	}
	now := time.Now()
	all := make([]Status, len(rows))
	for i, row := range rows {
		all[i] = status(row)
		all[i].Wait, _ = r.seen.left(row, now)
	}
	return all, nil
}
