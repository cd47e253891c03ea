// Package core is what the world needs of the servers behind it: who somebody is (identity), what a user has
// (points), what the application keeps (entities), and rights for a time (locks). Whoever keeps connections, runs
// areas or answers calls takes a Core, and does not know whether the servers are in the same process.
//
// Vocabulary. A core is the four servers together. It is local when they are those of this process, whose types satisfy
// the interfaces as they are, and remote when they are another game server's, asked over HTTP (package remote).
// coretest holds what both promise.
//
// Invariants. A method means the same, locally and remotely: the same key gives the same posting through either, and an
// error keeps its kind, its detail, its doubt and its time to try again. A change whose answer was lost is in doubt, never
// called undone. What a caller may do is not judged here but by the caller (package calls, and the HTTP
// interface), by the rules of package game and of this one: who holds a Core may do everything. Nothing here tells an
// event: who calls does, so that each is told once, where it began.
package core

import (
	"context"
	"time"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/entity"
	"github.com/kamado/kamado/game/points"
	"github.com/kamado/kamado/internal/lock"
)

// Core is the servers behind the world. All four are needed, and their methods may be called concurrently.
type Core struct {
	Identity Identity
	Points   Points
	Entities Entities
	Locks    Locks
}

// Identity says who somebody is. *identity.Server satisfies it.
type Identity interface {
	// Authenticate says who has a credential: an access token, or the secret of a service. The error is Unauthenticated when it
	// does not count (expired, ended, banned: its detail says which), and Unavailable when that cannot be known now.
	Authenticate(ctx context.Context, bearer string) (game.Principal, error)
	// Canonical gives the user that a UID stands for today: itself, or the winner of its merge. NotFound: it was never given;
	// Conflict: it was deleted.
	Canonical(ctx context.Context, uid game.UID) (game.UID, error)
	// CreateGuest makes a user with the secret of a device; empty: one is made, and is in the answer. A secret that has a user signs that one in.
	CreateGuest(ctx context.Context, secret string, c game.Client) (game.Login, error)
	// LoginGuest signs in with the secret of a device. Unauthenticated: nobody has it; Denied: the user is banned or deleted.
	LoginGuest(ctx context.Context, secret string, c game.Client) (game.Login, error)
	// LoginPassword signs in with an address and a password. Unauthenticated is the same for an unknown address and a wrong password.
	LoginPassword(ctx context.Context, email, password string, c game.Client) (game.Login, error)
	// Refresh exchanges a refresh token for the next tokens.
	Refresh(ctx context.Context, refresh string, c game.Client) (game.Login, error)
}

// Points keeps points: the part of points.Ledger that the world uses, with its promises.
type Points interface {
	// Post carries an order out, once. An error with Doubt: it may have been; the same order again tells.
	Post(ctx context.Context, o *game.Order) (points.Answer, error)
	// Account gives the points of a user; of one who never had any, the empty account.
	Account(ctx context.Context, uid game.UID) (*game.Account, error)
	// Reservation tells of one, also when it ended; NotFound when there was none.
	Reservation(ctx context.Context, id uint64) (game.Reservation, error)
	// Posting finds one by its transaction id; NotFound when there is none.
	Posting(ctx context.Context, tx string) (*game.Posting, error)
	// Now is the ledger's time, as far as it is known here: it is never later than that of the ledger.
	Now() game.Instant
}

// Entities keeps values of the application. *entity.Store satisfies it.
type Entities interface {
	// Get gives an entity; NotFound when there is none.
	Get(ctx context.Context, uid game.UID, name string) (game.StoredEntity, error)
	// Put writes or deletes one and gives its version. Conflict: another version is there, or a newer token of a lock.
	Put(ctx context.Context, w entity.Write) (uint64, error)
	// List gives entities of a user by name, from behind a name; next is empty at the end.
	List(ctx context.Context, uid game.UID, after string, limit int) (list []game.StoredEntity, next string, err error)
}

// Locks gives rights for a time. *lock.Registry satisfies it, and its errors (lock.ErrHeld, lock.ErrLost, lock.ErrAway,
// lock.ErrExhausted, lock.ErrInvalid) are those of every core.
type Locks interface {
	Acquire(ctx context.Context, name, holder string, term time.Duration) (lock.Held, error)
	Renew(ctx context.Context, name string, token uint64, session string) (lock.Held, error)
	Release(ctx context.Context, name string, token uint64, session string) error
	Look(ctx context.Context, name string) (lock.Status, error)
	List(ctx context.Context, prefix, after string, limit int) ([]lock.Status, error)
}
