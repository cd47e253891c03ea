// Package sql is the engine of lock over rows of a SQL database, so that SQLite
// serves the processes of one machine and PostgreSQL those of several.
//
// Vocabulary. A lease is the row of one lock: its holder, the token, the term,
// and a beat that grows with each renewal. A sighting is a lease together with
// the moment, on this process's monotonic clock, at which it was first seen so.
//
// No clock but the monotonic one is read, neither ours nor the database's. Whoever wants
// a lock that somebody holds watches the beat: when it has stood still for the term,
// and a tenth of it, since this process first saw it, the holder's own term
// must be over, because that began before the beat could be seen. So a database that moves to a machine with another clock
// changes nothing, and the price is that a waiting process must have looked for
// a term before it can take over from the dead.
package sql

import (
	"context"
	"crypto/rand"
	stdsql "database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/kamado/kamado/internal/lock"
	"github.com/kamado/kamado/internal/sqldb"
)

var migrations = []string{
	`CREATE TABLE lock_leases (
	name TEXT NOT NULL PRIMARY KEY,
	holder TEXT NOT NULL,
	session TEXT NOT NULL,
	token BIGINT NOT NULL,
	beat BIGINT NOT NULL,
	term BIGINT NOT NULL
)`,
}

// sightingsMax bounds the locks of others that one process watches. The oldest is forgotten first, which only makes the wait for it longer.
const sightingsMax = 10_000

// Locker implements lock.Locker for one holder.
type Locker struct {
	db      sqldb.DB
	holder  string
	session string // of this process: a process that starts again is another one

	mu        sync.Mutex
	sightings map[string]sighting
	// grants are those that this process got, until it gave them back or lost them.
	grants map[string]lock.Grant
	asking map[string]bool // names for which an Acquire is under way
}

var _ lock.Locker = (*Locker)(nil)

// lease is a row. A session of "" means that nobody holds it.
type lease struct {
	holder, session string
	token, beat     int64
	term            int64 // milliseconds
}

type sighting struct {
	lease
	at time.Time
}

// Open makes the table and gives the view of one holder, whose name is for people.
func Open(ctx context.Context, db sqldb.DB, holder string) (*Locker, error) {
	if err := db.Migrate(ctx, "lock", migrations); err != nil {
		return nil, fmt.Errorf("prepare the table of locks: %w", err)
	}
	var id [16]byte
	rand.Read(id[:]) //nolint:errcheck // never fails (crypto/rand)
	return &Locker{db: db, holder: holder, session: hex.EncodeToString(id[:]), sightings: map[string]sighting{}, grants: map[string]lock.Grant{}, asking: map[string]bool{}}, nil
}

// read gives the row of a lock; the zero lease when there is none.
func read(r sqldb.Reader, name string) (l lease, err error) {
	err = r.QueryRow("SELECT holder, session, token, beat, term FROM lock_leases WHERE name = ?", name).Scan(&l.holder, &l.session, &l.token, &l.beat, &l.term)
	if errors.Is(err, stdsql.ErrNoRows) {
		return lease{}, nil
	}
	return l, err
}

// Acquire implements lock.Locker.
func (l *Locker) Acquire(ctx context.Context, name string, term time.Duration) (lock.Grant, error) {
	if err := lock.Check(name, term); err != nil {
		return lock.Grant{}, err
	}
	if !l.ask(name) {
		return lock.Grant{}, &lock.HeldError{Name: name, Holder: l.holder}
	}
	defer l.asked(name)
	asked := time.Now()
	var seen, mine lease
	err := l.db.Write(ctx, func(w sqldb.Writer) error {
		var err error
		if seen, err = read(w, name); err != nil {
			return err
		}
		if seen.session != "" && !l.over(name, seen, asked) {
			return lock.ErrHeld
		}
		mine = lease{holder: l.holder, session: l.session, token: seen.token + 1, beat: seen.beat + 1, term: term.Milliseconds()}
		if seen == (lease{}) {
			_, err = w.Exec("INSERT INTO lock_leases (name, holder, session, token, beat, term) VALUES (?, ?, ?, ?, ?, ?)", name, mine.holder, mine.session, mine.token, mine.beat, mine.term)
			return err
		}
		_, err = w.Exec("UPDATE lock_leases SET holder = ?, session = ?, token = ?, beat = ?, term = ? WHERE name = ?", mine.holder, mine.session, mine.token, mine.beat, mine.term, name)
		return err
	})
	switch {
	case errors.Is(err, lock.ErrHeld):
		return lock.Grant{}, &lock.HeldError{Name: name, Holder: seen.holder, Wait: l.sight(name, seen)}
	case errors.Is(err, sqldb.ErrUnique): // another one made the row at the same moment
		return lock.Grant{}, &lock.HeldError{Name: name, Holder: "another process"}
	case err != nil:
		return lock.Grant{}, fmt.Errorf("acquire lock %s: %w", name, err)
	}
	g := lock.Grant{Name: name, Token: uint64(mine.token), Term: term, Until: asked.Add(term)}
	l.keep(g)
	return g, nil
}

// ask says whether no other Acquire of the name is under way here, and makes this one the one.
func (l *Locker) ask(name string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.asking[name] {
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

// keep remembers a grant, and drop forgets it.
func (l *Locker) keep(g lock.Grant) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.grants[g.Name] = g
}

func (l *Locker) drop(g lock.Grant) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.grants[g.Name].Token == g.Token {
		delete(l.grants, g.Name)
	}
}

// patience is how long a lease must have stood still.
func (s lease) patience() time.Duration {
	term := time.Duration(s.term) * time.Millisecond
	return term + term/lock.DriftMax
}

// over says whether the holder of a lease has stopped believing in it: because it
// is this process, which knows, or because the lease has stood still for so long.
func (l *Locker) over(name string, seen lease, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if seen.session == l.session {
		return !now.Before(l.grants[name].Until)
	}
	s, ok := l.sightings[name]
	return ok && s.lease == seen && now.Sub(s.at) > s.patience()
}

// sight remembers a lease that was just read and says how long it may last. It
// is called after the read: the beat was there before.
func (l *Locker) sight(name string, seen lease) time.Duration {
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	s, ok := l.sightings[name]
	if !ok || s.lease != seen {
		if !ok && len(l.sightings) >= sightingsMax {
			l.forget()
		}
		s = sighting{lease: seen, at: now}
		l.sightings[name] = s
	}
	return max(0, s.patience()-now.Sub(s.at))
}

// forget drops the oldest sighting. Preconditions: l.mu is held.
func (l *Locker) forget() {
	oldest, at := "", time.Time{}
	for name, s := range l.sightings {
		if oldest == "" || s.at.Before(at) {
			oldest, at = name, s.at
		}
	}
	delete(l.sightings, oldest)
}

// Renew implements lock.Locker.
func (l *Locker) Renew(ctx context.Context, g lock.Grant) (lock.Grant, error) {
	asked := time.Now()
	if !asked.Before(g.Until) {
		l.drop(g)
		return lock.Grant{}, fmt.Errorf("renew lock %s: %w: it was not renewed in time", g.Name, lock.ErrLost)
	}
	n, err := l.change(ctx, "UPDATE lock_leases SET beat = beat + 1 WHERE name = ? AND session = ? AND token = ?", g.Name, l.session, int64(g.Token))
	if err != nil {
		return lock.Grant{}, fmt.Errorf("renew lock %s: %w", g.Name, err)
	}
	if n == 0 {
		l.drop(g)
		return lock.Grant{}, fmt.Errorf("renew lock %s: %w", g.Name, lock.ErrLost)
	}
	g.Until = asked.Add(g.Term)
	l.keep(g)
	return g, nil
}

// Release implements lock.Locker.
func (l *Locker) Release(ctx context.Context, g lock.Grant) error {
	_, err := l.change(ctx, "UPDATE lock_leases SET holder = '', session = '', beat = beat + 1 WHERE name = ? AND session = ? AND token = ?", g.Name, l.session, int64(g.Token))
	if err != nil {
		return fmt.Errorf("release lock %s: %w", g.Name, err)
	}
	l.drop(g)
	return nil
}

func (l *Locker) change(ctx context.Context, statement string, args ...any) (n int64, err error) {
	err = l.db.Write(ctx, func(w sqldb.Writer) error {
		var err error
		n, err = w.Exec(statement, args...)
		return err
	})
	return n, err
}

// Look implements lock.Locker. It counts as looking: a process that looks often
// can take over from the dead sooner.
func (l *Locker) Look(ctx context.Context, name string) (lock.Status, error) {
	var seen lease
	err := l.db.Read(ctx, func(r sqldb.Reader) error {
		var err error
		seen, err = read(r, name)
		return err
	})
	if err != nil {
		return lock.Status{}, fmt.Errorf("look at lock %s: %w", name, err)
	}
	if seen.session != "" {
		l.sight(name, seen)
	}
	return lock.Status{Holder: seen.holder, Token: uint64(seen.token)}, nil
}
