package lock

import (
	"errors"
	"fmt"
)

// ErrStale: the token is older than one that was seen; *StaleError tells both.
var ErrStale = errors.New("stale token")

// StaleError says which token came too late; it is ErrStale.
type StaleError struct{ Token, Seen uint64 }

func (e *StaleError) Error() string {
	return fmt.Sprintf("token %d is stale: %d was seen", e.Token, e.Seen)
}

// Is makes it ErrStale.
func (e *StaleError) Is(target error) bool { return target == ErrStale }

// Fence is the greatest token that a store has seen from the holders of one lock.
// The store keeps it beside what the lock guards, and changes both in one step:
// then a holder that stood still, and writes when its lock has long passed to another, is
// refused. The same token is admitted again and again: one holder writes often.
// The zero Fence has seen nobody, and admits all. 0 is the token of no grant: it
// passes only where no lock was ever used.
type Fence uint64

// Admit gives the fence to keep with what is written under the token, or
// ErrStale: then nothing is to be written.
func (f Fence) Admit(token uint64) (Fence, error) {
	if token < uint64(f) {
		return f, &StaleError{Token: token, Seen: uint64(f)}
	}
	return Fence(token), nil
}
