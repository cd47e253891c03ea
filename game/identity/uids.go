package identity

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/internal/sqldb"
)

// Bounds of UIDs.
const (
	// blockSize is how many UIDs a server takes at once; those that it has not given when it ends are lost.
	blockSize = 100
	// RestoreMargin is how many UIDs AdvanceUIDs passes over when nobody knows the last one: 1000 a second for eleven days.
	RestoreMargin = 1_000_000_000
)

// block is a range of UIDs that only this server gives.
type block struct {
	next, end game.UID // [next, end)
	restores  int64    // of the database, when it gave them
}

// blocks gives UIDs one after another.
type blocks struct {
	turn    chan struct{} // has one place: who has it may change current
	current block
}

func newBlocks() *blocks { return &blocks{turn: make(chan struct{}, 1)} }

// takeUID gives a UID that nobody else gets, and the count of restores under which it is good.
func (s *Server) takeUID(ctx context.Context) (game.UID, int64, error) {
	b := s.blocks
	select {
	case b.turn <- struct{}{}:
		defer func() { <-b.turn }()
	case <-ctx.Done():
		return 0, 0, ctx.Err()
	}
	if b.current.next >= b.current.end {
		fresh, err := s.takeBlock(ctx)
		if err != nil {
			return 0, 0, fmt.Errorf("take user ids: %w", err)
		}
		b.current = fresh
		s.metrics.blocks.Inc()
	}
	uid := b.current.next
	b.current.next++
	return uid, b.current.restores, nil
}

// dropBlock forgets the block of a UID that was not good.
func (s *Server) dropBlock(restores int64, uid game.UID) {
	s.blocks.turn <- struct{}{}
	defer func() { <-s.blocks.turn }()
	if c := s.blocks.current; c.restores == restores && uid < c.end {
		s.blocks.current = block{}
	}
}

// takeBlock makes it durable that a range is taken. Whether an error left it taken does not matter: it is lost then.
func (s *Server) takeBlock(ctx context.Context) (b block, err error) {
	err = s.db.Write(ctx, func(w sqldb.Writer) error {
		n, err := w.Exec("UPDATE identity_uids SET next = next + ? WHERE id = 1 AND next <= ?", int64(blockSize), int64(math.MaxInt64)-blockSize)
		if err != nil {
			return err
		}
		if n != 1 {
			return game.Errorf(game.Exhausted, "no user ids are left")
		}
		var next int64
		if err := w.QueryRow("SELECT next FROM identity_uids WHERE id = 1").Scan(&next); err != nil {
			return err
		}
		b.next, b.end = game.UID(next-blockSize), game.UID(next)
		b.restores, err = restores(w)
		return err
	})
	return b, err
}

func restores(r sqldb.Reader) (n int64, err error) {
	err = r.QueryRow("SELECT count FROM identity_restores WHERE id = 1").Scan(&n)
	return n, err
}

// errStale says that a UID comes from a block that is not good any more.
var errStale = errors.New("block of user ids is stale")

// AdvanceUIDs makes all later UIDs greater than past, and gives the last UID that may
// have been given. It is the last step of restoring an older backup of the database:
// that does not know which UIDs were given since, but other stores hold things
// under them. The steps are
//  1. stop all game servers,
//  2. restore the database,
//  3. AdvanceUIDs with the greatest UID below game.WorldUID that points and entities know; with 0 it
//     passes over RestoreMargin UIDs,
//  4. start the servers.
//
// Blocks that a server took before are void after it, also when it was not stopped. Users of
// the time since the backup are gone: a guest of them is a new one. Refresh tokens that were
// exchanged since the backup end their session when they come.
func (s *Server) AdvanceUIDs(ctx context.Context, past game.UID) (game.UID, error) {
	if past > game.UIDMax-blockSize {
		return 0, game.Errorf(game.Invalid, "user id %v leaves none above it", past)
	}
	var last int64
	err := s.db.Write(ctx, func(w sqldb.Writer) error {
		if _, err := w.Exec("UPDATE identity_restores SET count = count + 1 WHERE id = 1"); err != nil {
			return err
		}
		var next, most int64
		if err := w.QueryRow("SELECT next FROM identity_uids WHERE id = 1").Scan(&next); err != nil {
			return err
		}
		if err := w.QueryRow("SELECT COALESCE(MAX(uid), 0) FROM identity_users").Scan(&most); err != nil {
			return err
		}
		last = max(next-1, most, int64(past))
		if past == 0 {
			if last > math.MaxInt64-RestoreMargin-blockSize {
				return game.Errorf(game.Exhausted, "not enough user ids are left")
			}
			last += RestoreMargin
		}
		_, err := w.Exec("UPDATE identity_uids SET next = ? WHERE id = 1", last+1)
		return err
	})
	return game.UID(last), failed("advance user ids", err, true)
}
