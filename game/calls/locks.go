package calls

import (
	"context"
	"time"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/core"
	"github.com/kamado/kamado/game/wire"
	"github.com/kamado/kamado/internal/lock"
)

func lockGrant(h *lock.Held) ([]byte, error) {
	return wire.Body(&wire.LockGrant{Name: h.Name, Token: h.Token, Session: h.Session, TermMs: uint32(h.Term.Milliseconds())}) // at most lock.TermMax, a day
}

func (c *Calls) acquireLock(ctx context.Context, who game.Principal, body []byte) ([]byte, error) {
	in, err := lockAcquires.read(body)
	if err != nil {
		return nil, err
	}
	defer lockAcquires.put(in)
	if err := who.MayLock(in.Name); err != nil {
		return nil, err
	}
	term := time.Duration(in.TermMs) * time.Millisecond
	if err := lock.Check(in.Name, term); err != nil {
		return nil, core.LockTold(err)
	}
	if err := core.LockQuota(ctx, c.Locks, &who, in.Name); err != nil {
		return nil, err
	}
	holder := in.Holder
	if holder == "" {
		holder = who.Name()
	}
	h, err := c.Locks.Acquire(ctx, in.Name, holder, term)
	if err != nil {
		return nil, core.LockTold(err)
	}
	return lockGrant(&h)
}

// sessionBytesMax bounds the secret of a grant.
const sessionBytesMax = 128

// proof reads the grant that a call is about.
func proof(who game.Principal, body []byte) (*wire.LockProof, error) {
	in, err := lockProofs.read(body)
	if err != nil {
		return nil, err
	}
	if err = who.MayLock(in.Name); err == nil && (in.Token == 0 || in.Token > 1<<63-1 || in.Session == "" || len(in.Session) > sessionBytesMax) {
		err = game.Errorf(game.Invalid, "token and session: want those that the grant was answered with")
	}
	if err != nil {
		lockProofs.put(in)
		return nil, err
	}
	return in, nil
}

func (c *Calls) renewLock(ctx context.Context, who game.Principal, body []byte) ([]byte, error) {
	in, err := proof(who, body)
	if err != nil {
		return nil, err
	}
	defer lockProofs.put(in)
	h, err := c.Locks.Renew(ctx, in.Name, in.Token, in.Session)
	if err != nil {
		return nil, core.LockTold(err)
	}
	return lockGrant(&h)
}

func (c *Calls) releaseLock(ctx context.Context, who game.Principal, body []byte) ([]byte, error) {
	in, err := proof(who, body)
	if err != nil {
		return nil, err
	}
	defer lockProofs.put(in)
	return nil, core.LockTold(c.Locks.Release(ctx, in.Name, in.Token, in.Session))
}
