// Package lock gives one of several processes the right to do something for a
// time. An engine is a package one level below; locktest holds what all of them
// promise.
//
// Vocabulary. A lock has a name. A grant is the right of one holder to it, for
// its term (a time to live) from the moment that it was asked for or last renewed. A
// token is the number of a grant: it grows with each grant of one name, so that
// whoever keeps the guarded thing can refuse what comes late from an older
// holder (fencing).
//
// Invariants. At no time do two holders believe in grants of one name, as long
// as their clocks run equally fast to within DriftMax; what time their clocks
// show does not matter. A grant that was lost, given back or left alone is never
// valid again; its holder asks for another one. Not for short critical sections
// of one process: that is a mutex.
package lock

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// The conditions on which a caller branches.
var (
	// ErrHeld: somebody else has the lock. *HeldError tells who.
	ErrHeld = errors.New("lock is held")
	// ErrLost: the grant is over, somebody else may have the lock.
	ErrLost = errors.New("lock was lost")
)

// HeldError says who has a lock; it is ErrHeld.
type HeldError struct {
	Name, Holder string
	// Wait is how long it may last at least, if the holder is dead: zero when the
	// engine cannot know.
	Wait time.Duration
}

func (e *HeldError) Error() string { return fmt.Sprintf("lock %s is held by %s", e.Name, e.Holder) }

// Is makes it ErrHeld.
func (e *HeldError) Is(target error) bool { return target == ErrHeld }

// Bounds that every engine keeps.
const (
	NameBytesMax = 255
	TermMin      = 100 * time.Millisecond
	TermMax      = 24 * time.Hour
	// DriftMax is by how much the clocks of two processes may run apart, as a part
	// of the term: whoever waits for a term to end waits 1/DriftMax of it longer.
	DriftMax = 10
)

// Check judges a name and a term.
func Check(name string, term time.Duration) error {
	if name == "" || len(name) > NameBytesMax {
		return fmt.Errorf("lock name of %d bytes: want 1 to %d", len(name), NameBytesMax)
	}
	if term < TermMin || term > TermMax {
		return fmt.Errorf("a term of %v: want %v to %v", term, TermMin, TermMax)
	}
	return nil
}

// Grant is the right to a lock, until Until.
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
	Holder string // empty: it is free
	Token  uint64 // of the last grant; 0: there was none
}

// Locker is a place of locks, as one holder uses it. Its methods may be called
// concurrently.
type Locker interface {
	// Acquire asks once, and does not wait for the lock. Three things might happen:
	//  1. nil: the caller has the lock until Grant.Until;
	//  2. ErrHeld: somebody else has it;
	//  3. another error: the engine is away. If it did grant the lock, nobody renews
	//     that, and it ends by itself.
	// A holder that asks again while it has the lock gets ErrHeld too; one whose
	// grant is over gets it again at once, if nobody else did. An engine may
	// count the term of a dead holder from the first time that it was asked, or
	// looked, here: whoever waits for a lock should look often from the beginning.
	Acquire(ctx context.Context, name string, term time.Duration) (Grant, error)
	// Renew prolongs a grant to its term from now. Three things might happen:
	//  1. nil: the new grant, with the same token, is valid;
	//  2. ErrLost: it is over;
	//  3. another error: it is not known; the old one is valid until its Until.
	Renew(ctx context.Context, g Grant) (Grant, error)
	// Release gives a grant back, so that others need not wait for its end. A grant
	// that is over already is no error.
	Release(ctx context.Context, g Grant) error
	// Look says who has a lock.
	Look(ctx context.Context, name string) (Status, error)
}
