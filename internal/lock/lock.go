// Package lock gives one of several processes the right to do something for a
// time. An engine is a package one level below and keeps the leases (Place); the
// rules are here, the same for all engines, and locktest holds them as tests.
//
// Vocabulary. A lock has a name. A grant is the right of one holder to it, for
// its term (a time to live) from the moment that it was asked for or last renewed. A
// token is the number of a grant: it grows with each grant of one name, so that
// whoever keeps the guarded thing can refuse what comes late from an older
// holder (fencing; Fence is that rule). A lease is what the engine keeps of a lock; its
// version grows with each change. A sighting is a lease together with the moment, on
// this process's monotonic clock, at which it was first seen so. A Locker is locks
// for one holder, which is this process. A Registry is locks for holders elsewhere,
// who ask through any of several servers; the secret that each of their grants has is
// its session.
//
// Time. No clock but the monotonic one is read, neither ours nor the engine's. Whoever
// wants a lock that somebody holds watches its version: when it has stood still for the term,
// and a tenth of it, since this process first saw it, the holder's own term
// must be over, because that began before the version could be seen. So an engine that
// moves to a machine with another clock changes nothing, and the price is that a
// waiting process must have looked for a term before it can take over from the dead.
//
// Invariants. At no time do two holders believe in grants of one name, as long
// as their clocks run equally fast to within DriftMax; what time their clocks
// show does not matter. A grant that was given back, that passed to another, or that
// any process has called lost is never valid again; its holder asks for another one.
// Tokens of one name grow, whoever grants, as long as nobody deletes leases by hand: nothing here does.
//
// Not for short critical sections of one process: that is a mutex.
package lock

import (
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// The conditions on which a caller branches.
var (
	// ErrHeld: somebody else has the lock. *HeldError tells who.
	ErrHeld = errors.New("lock is held")
	// ErrLost: the grant is over, somebody else may have the lock.
	ErrLost = errors.New("lock was lost")
	// ErrAway: the engine does not answer, or has no quorum. Whether it did what it was asked is not known.
	ErrAway = errors.New("place of locks is away")
	// ErrExhausted: a bound of this process or of the engine is reached, and nothing was
	// done; *ExhaustedError says which, if it is one of this package or of its engine.
	ErrExhausted = errors.New("exhausted")
	// ErrInvalid: a name, holder, term or wait breaks a bound.
	ErrInvalid = errors.New("invalid")
)

// HeldError says who has a lock; it is ErrHeld.
type HeldError struct {
	Name, Holder string
	// Wait is how long it may last at least, if the holder is dead: zero when that
	// cannot be known.
	Wait time.Duration
}

func (e *HeldError) Error() string { return fmt.Sprintf("lock %s is held by %s", e.Name, e.Holder) }

// Is makes it ErrHeld.
func (e *HeldError) Is(target error) bool { return target == ErrHeld }

// ExhaustedError names the bound that was reached; it is ErrExhausted.
type ExhaustedError struct {
	What  string // "waiters for locks"
	Limit int
	// Setting is what an operator may raise: a field of Config, or empty.
	Setting string
}

func (e *ExhaustedError) Error() string {
	if e.Setting == "" {
		return fmt.Sprintf("%s: all %d are in use", e.What, e.Limit)
	}
	return fmt.Sprintf("%s: all %d are in use (%s)", e.What, e.Limit, e.Setting)
}

// Is makes it ErrExhausted.
func (e *ExhaustedError) Is(target error) bool { return target == ErrExhausted }

// Bounds that every engine keeps.
const (
	NameBytesMax   = 255
	HolderBytesMax = 255
	TermMin        = 100 * time.Millisecond
	TermMax        = 24 * time.Hour
	// DriftMax is by how much the clocks of two processes may run apart, as a part
	// of the term: whoever waits for a term to end waits 1/DriftMax of it longer.
	DriftMax = 10
	// ListMax is how many locks one List gives at most.
	ListMax = 1000
)

// Check judges a name and a term; its error is ErrInvalid. Terms count in whole milliseconds.
func Check(name string, term time.Duration) error {
	if err := checkName(name); err != nil {
		return err
	}
	if term < TermMin || term > TermMax {
		return fmt.Errorf("%w: a term of %v: want %v to %v", ErrInvalid, term, TermMin, TermMax)
	}
	return nil
}

func checkName(name string) error { return checkText("lock name", name, NameBytesMax) }

// checkText judges what engines keep as text: PostgreSQL takes neither a zero
// byte nor what is not UTF-8.
func checkText(what, s string, bytesMax int) error {
	if s == "" || len(s) > bytesMax {
		return fmt.Errorf("%w: %s of %d bytes: want 1 to %d", ErrInvalid, what, len(s), bytesMax)
	}
	if !utf8.ValidString(s) || strings.IndexByte(s, 0) >= 0 {
		return fmt.Errorf("%w: %s: want UTF-8 without a zero byte", ErrInvalid, what)
	}
	return nil
}

// Grant is the right of this process to a lock, until Until.
type Grant struct {
	Name  string
	Token uint64 // greater than that of every earlier grant of the name; at least 1
	Term  time.Duration
	// Until is the end, by the monotonic clock of this process: the moment before
	// the engine was asked, and Term. Whoever works under the grant stops before it.
	Until time.Time
}

// Status is what is known of a lock.
type Status struct {
	Name   string
	Holder string        // empty: it is free
	Token  uint64        // of the last grant; 0: there was none
	Term   time.Duration // of the last grant
	// Held: a holder has it, or died with it and nobody took it since.
	Held bool
	// Wait is how long it may last at least, if the holder is dead, as far as this
	// process saw: zero when it may be taken, or when this process never saw it.
	Wait time.Duration
}
