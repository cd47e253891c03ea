package identity

import (
	"context"
	"time"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/internal/sqldb"
)

// restrictionRow is how a restriction stands in a row.
func restrictionRow(r game.Restriction) int64 {
	if r.Until.IsZero() {
		return forever
	}
	return millis(r.Until)
}

// Ban keeps a user from signing in, and ends the sessions.
func (s *Server) Ban(ctx context.Context, uid game.UID, r game.Restriction) error {
	return s.restrict(ctx, uid, &r, "UPDATE identity_users SET banned = ?, ban_reason = ? WHERE uid = ?", func(w sqldb.Writer) ([]notice, error) {
		return endSessions(w, uid, "", banned)
	})
}

// Unban ends a ban.
func (s *Server) Unban(ctx context.Context, uid game.UID) error {
	return s.restrict(ctx, uid, nil, "UPDATE identity_users SET banned = ?, ban_reason = ? WHERE uid = ?", func(sqldb.Writer) ([]notice, error) { return nil, nil })
}

// Mute keeps a user from talking; Principal.MutedUntil tells.
func (s *Server) Mute(ctx context.Context, uid game.UID, r game.Restriction) error {
	return s.restrict(ctx, uid, &r, "UPDATE identity_users SET muted = ?, mute_reason = ? WHERE uid = ?", func(sqldb.Writer) ([]notice, error) {
		return []notice{{kind: noticeMute, subject: uid.String(), value: restrictionRow(r)}}, nil
	})
}

// Unmute ends a mute.
func (s *Server) Unmute(ctx context.Context, uid game.UID) error {
	return s.restrict(ctx, uid, nil, "UPDATE identity_users SET muted = ?, mute_reason = ? WHERE uid = ?", func(sqldb.Writer) ([]notice, error) {
		return []notice{{kind: noticeMute, subject: uid.String()}}, nil
	})
}

// restrict writes a restriction, or that there is none, and what follows from it.
func (s *Server) restrict(ctx context.Context, uid game.UID, r *game.Restriction, statement string, then func(sqldb.Writer) ([]notice, error)) error {
	return s.write(ctx, "restrict a user", func(w sqldb.Writer, now time.Time) ([]notice, error) {
		until, reason := int64(0), ""
		if r != nil {
			if err := r.Check(now); err != nil {
				return nil, err
			}
			until, reason = restrictionRow(*r), r.Reason
		}
		u, err := load(w, uid)
		if err != nil {
			return nil, err
		}
		if !u.Live() {
			return nil, game.Errorf(game.Conflict, "user %v is merged or deleted", uid)
		}
		if _, err := w.Exec(statement, until, reason, int64(uid)); err != nil {
			return nil, err
		}
		return then(w)
	})
}

// Delete ends a user: no sign-in, no sessions, no subjects in clear. UID and pairs are never given again.
func (s *Server) Delete(ctx context.Context, uid game.UID) error {
	return s.write(ctx, "delete a user", func(w sqldb.Writer, now time.Time) ([]notice, error) {
		u, err := load(w, uid)
		if err != nil {
			return nil, err
		}
		if !u.Deleted.IsZero() {
			return nil, nil
		}
		if !u.Live() {
			return nil, game.Errorf(game.Conflict, "user %v was merged into user %v", uid, u.MergedInto)
		}
		if err := noOpenMerge(w, uid); err != nil {
			return nil, err
		}
		for _, statement := range []string{
			"UPDATE identity_users SET deleted = ? WHERE uid = ?",
			"UPDATE identity_pairs SET unlinked = ?, subject = '' WHERE uid = ?",
		} {
			if _, err := w.Exec(statement, millis(now), int64(uid)); err != nil {
				return nil, err
			}
		}
		if _, err := w.Exec("DELETE FROM identity_passwords WHERE uid = ?", int64(uid)); err != nil {
			return nil, err
		}
		notices, err := endSessions(w, uid, "", deleted)
		return append(notices, userNotice(uid)), err
	})
}
