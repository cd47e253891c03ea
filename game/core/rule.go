package core

import (
	"context"
	"errors"
	"fmt"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/internal/lock"
)

// Whose gives the user whose things a request is about: the one that is named, or, for 0, the user who asks, if
// who asks may act for that one. A merged user stands for its winner. Who asks with the user's own token is known to be
// a user, and nothing is looked up. The world itself (game.WorldUID) is no user, and has things all the same.
func Whose(ctx context.Context, id Identity, who *game.Principal, uid game.UID, scope game.Scope) (game.UID, error) {
	if uid == 0 {
		uid = who.UID
	}
	if uid == 0 {
		return 0, game.Errorf(game.Invalid, "uid is missing: want the id of a user as a text of digits")
	}
	if err := who.For(uid, scope); err != nil {
		return 0, err
	}
	if who.Kind == game.ByUser && who.UID == uid || uid == game.WorldUID {
		return uid, nil
	}
	return id.Canonical(ctx, uid)
}

// EndTold is the error of an order that ended a reservation, as who asked for it may see it: one that was not found may
// be another user's, which is Denied.
func EndTold(ctx context.Context, p Points, who *game.Principal, hold uint64, err error) error {
	if game.KindOf(err) != game.NotFound {
		return err
	}
	r, lookErr := p.Reservation(ctx, hold)
	if lookErr != nil {
		return err
	}
	if denied := who.For(r.UID, game.ScopePoints); game.KindOf(denied) == game.Denied {
		return denied
	}
	return err
}

// GrantTold is what is told of a grant that only waits for an approval where such a wait cannot be answered.
func GrantTold(a game.Amount) error {
	return game.Errorf(game.Denied, "a grant of %d points needs somebody else's approval: ask for it over HTTP, POST /v1/points/grants", a)
}

// UserLocksMax bounds the names that one user may lock: names are kept for ever, because their tokens must go on.
const UserLocksMax = 64

// LockQuota refuses a user one more name.
func LockQuota(ctx context.Context, locks Locks, who *game.Principal, name string) error {
	if who.Kind != game.ByUser {
		return nil
	}
	s, err := locks.Look(ctx, name)
	if err != nil || s.Token != 0 {
		return LockTold(err)
	}
	list, err := locks.List(ctx, game.LockPrefix(who.UID), "", UserLocksMax)
	if err != nil {
		return LockTold(err)
	}
	if len(list) >= UserLocksMax {
		return game.Errorf(game.TooLarge, "user %v has locked %d different names, which is the most", who.UID, UserLocksMax)
	}
	return nil
}

// LockTold turns an error of locks into one that a client may see.
func LockTold(err error) error {
	if err == nil {
		return nil
	}
	var known *game.Error
	var held *lock.HeldError
	var full *lock.ExhaustedError
	switch {
	case errors.As(err, &held):
		return wrap(game.Conflict, err, "%s", held.Error())
	case errors.As(err, &known): // a remote core's, which said it already
		return known
	case errors.Is(err, lock.ErrHeld):
		return wrap(game.Conflict, err, "the lock is held")
	case errors.Is(err, lock.ErrLost):
		return wrap(game.Conflict, err, "the grant is over: somebody else may have the lock")
	case errors.As(err, &full):
		return wrap(game.Unavailable, err, "%s", full.Error())
	case errors.Is(err, lock.ErrInvalid):
		return wrap(game.Invalid, err, "%s", err.Error())
	}
	return wrap(game.Unavailable, err, "the place of the locks does not answer")
}

// wrap gives an error of another package a kind.
func wrap(kind game.Kind, err error, format string, args ...any) error {
	return &game.Error{Kind: kind, Detail: fmt.Sprintf(format, args...), Err: err}
}
