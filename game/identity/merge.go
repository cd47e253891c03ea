package identity

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/internal/sqldb"
)

// mergeDelay is how long after the beginning of a merge other servers may still believe the loser's tokens: one poll, the
// time that a query may take, and what clocks differ by does not matter, since it is waited for.
const mergeDelay = PollEvery + time.Second

// mergesPage bounds the merges that one ResumeMerges carries on.
const mergesPage = 1000

// Mover moves what a loser has to the winner. It may be called again after a crash, with part of it moved already.
type Mover func(ctx context.Context, m game.Merge) error

// Merge makes a guest the past of another user. The caller has proof of both. Order of things:
//  1. the merge is durable as begun: the loser's sessions end, its pairs sign the winner in;
//  2. after Merge.MoveAfter no server believes the loser's tokens; move is called;
//  3. the merge is durable as done.
//
// When it is interrupted after 1, ResumeMerges goes on. The same merge again goes on, or gives the done one.
func (s *Server) Merge(ctx context.Context, winner, loser game.UID, move Mover) (game.Merge, error) {
	m, err := s.beginMerge(ctx, winner, loser)
	if err != nil || m.State == game.MergeDone {
		return m, err
	}
	return s.finishMerge(ctx, m, move)
}

func (s *Server) beginMerge(ctx context.Context, winner, loser game.UID) (m game.Merge, err error) {
	err = s.write(ctx, "begin a merge", func(w sqldb.Writer, now time.Time) ([]notice, error) {
		found, err := merges(w, "WHERE loser = ?", int64(loser))
		if err != nil {
			return nil, err
		}
		if len(found) == 1 && found[0].Winner == winner {
			m = found[0]
			return nil, nil
		}
		if err := mayMerge(w, winner, loser, now); err != nil {
			return nil, err
		}
		m = game.Merge{Loser: loser, Winner: winner, State: game.MergeBegun, Begun: now, MoveAfter: now}
		if s.shared {
			m.MoveAfter = now.Add(mergeDelay)
		}
		if _, err := w.Exec("INSERT INTO identity_merges (loser, winner, state, begun, done, move_after) VALUES (?, ?, ?, ?, 0, ?)",
			int64(loser), int64(winner), string(m.State), millis(now), millis(m.MoveAfter)); err != nil {
			return nil, err
		}
		if _, err := w.Exec("UPDATE identity_users SET merged_into = ? WHERE uid = ?", int64(winner), int64(loser)); err != nil {
			return nil, err
		}
		notices, err := endSessions(w, loser, "", merged)
		return append(notices, userNotice(loser)), err
	})
	return m, err
}

// mayMerge asks the rules, and whether the two are free for it.
func mayMerge(w sqldb.Writer, winner, loser game.UID, now time.Time) error {
	a, err := load(w, winner)
	if err != nil {
		return err
	}
	b, err := load(w, loser)
	if err != nil {
		return err
	}
	if err := game.CheckMerge(a, b, now); err != nil {
		return err
	}
	if err := noOpenMerge(w, loser); err != nil { // what is still on its way to it would be left there
		return err
	}
	// canonical follows at most chainMax merges from any UID, so a chain that ends at the loser must not be long.
	depth, err := mergeDepth(w, loser)
	if err == nil && depth+2 > chainMax {
		err = game.Errorf(game.Conflict, "user %v stands at the end of %d merges, which is the most", loser, depth)
	}
	return err
}

// mergeDepth is the length of the longest chain of merges that ends at a user.
func mergeDepth(r sqldb.Reader, uid game.UID) (int, error) {
	level := []int64{int64(uid)}
	for depth := range chainMax {
		var below []int64
		for _, u := range level {
			rows, err := r.Query("SELECT loser FROM identity_merges WHERE winner = ?", u)
			if err != nil {
				return 0, err
			}
			for rows.Next() {
				var l int64
				if err := rows.Scan(&l); err != nil {
					return 0, errors.Join(err, rows.Close())
				}
				below = append(below, l)
			}
			if err := errors.Join(rows.Err(), rows.Close()); err != nil {
				return 0, err
			}
		}
		if len(below) == 0 {
			return depth, nil
		}
		level = below
	}
	return chainMax, nil
}

// noOpenMerge refuses what would take the winner away from a merge that is not done.
func noOpenMerge(r sqldb.Reader, winner game.UID) error {
	var n int64
	err := r.QueryRow("SELECT COUNT(*) FROM identity_merges WHERE winner = ? AND state = ?", int64(winner), string(game.MergeBegun)).Scan(&n)
	if err == nil && n > 0 {
		err = game.Errorf(game.Conflict, "a merge into user %v is not done yet: try again", winner)
	}
	return err
}

// finishMerge waits until the loser can do nothing, has its belongings moved, and says that it is done.
func (s *Server) finishMerge(ctx context.Context, m game.Merge, move Mover) (game.Merge, error) {
	wait := min(m.MoveAfter.Sub(s.clock.now()), mergeDelay) // a row of a clock far ahead is not waited for longer
	if wait > 0 {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return m, &game.Error{Op: "merge users", Kind: game.Unavailable, Detail: "the merge goes on later", Err: ctx.Err(), Doubt: true}
		}
	}
	if err := move(ctx, m); err != nil {
		return m, fmt.Errorf("move what user %v has to user %v: %w", m.Loser, m.Winner, err)
	}
	err := s.write(ctx, "end a merge", func(w sqldb.Writer, now time.Time) ([]notice, error) {
		_, err := w.Exec("UPDATE identity_merges SET state = ?, done = ? WHERE loser = ? AND state = ?", string(game.MergeDone), millis(now), int64(m.Loser), string(game.MergeBegun))
		if err != nil {
			return nil, err
		}
		found, err := merges(w, "WHERE loser = ?", int64(m.Loser))
		if err == nil && len(found) == 1 {
			m = found[0]
		}
		return nil, err
	})
	return m, err
}

// ResumeMerges carries on merges that were begun and are not done. For the start of a server, and every minute.
func (s *Server) ResumeMerges(ctx context.Context, move Mover) error {
	open, err := s.MergesOpen(ctx)
	if err != nil {
		return err
	}
	for _, m := range open {
		if s.clock.now().Sub(m.Begun) < mergeDelay && m.Begun.Before(s.clock.now()) {
			continue // whoever began it is at it
		}
		if _, e := s.finishMerge(ctx, m, move); e != nil {
			err = errors.Join(err, e)
		}
	}
	return err
}

// MergesOpen lists merges that were begun and are not done.
func (s *Server) MergesOpen(ctx context.Context) (list []game.Merge, err error) {
	err = s.read(ctx, "list merges", func(r sqldb.Reader) error {
		list, err = merges(r, "WHERE state = ? ORDER BY begun, loser LIMIT ?", string(game.MergeBegun), int64(mergesPage))
		return err
	})
	return list, err
}

func merges(r sqldb.Reader, where string, args ...any) (list []game.Merge, err error) {
	rows, err := r.Query("SELECT loser, winner, state, begun, done, move_after FROM identity_merges "+where, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var m game.Merge
		var loser, winner, begun, done, after int64
		if err := rows.Scan(&loser, &winner, &m.State, &begun, &done, &after); err != nil {
			return nil, err
		}
		m.Loser, m.Winner = game.UID(loser), game.UID(winner)
		m.Begun, m.Done, m.MoveAfter = fromMillis(begun), fromMillis(done), fromMillis(after)
		list = append(list, m)
	}
	return list, rows.Err()
}
