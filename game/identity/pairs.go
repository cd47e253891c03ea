package identity

import (
	"context"
	"time"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/internal/sqldb"
)

// pairRow is what is known of a pair, for ever.
type pairRow struct {
	uid      game.UID
	unlinked bool
}

func pairDigest(p game.Pair) string { return digestOf("pair", string(p.Provider), p.Subject) }

// owner gives the row of a pair; ok is false when nobody ever had it.
func owner(r sqldb.Reader, p game.Pair) (row pairRow, ok bool, err error) {
	var uid, unlinked int64
	err = r.QueryRow("SELECT uid, unlinked FROM identity_pairs WHERE digest = ?", pairDigest(p)).Scan(&uid, &unlinked)
	if noRows(err) {
		return pairRow{}, false, nil
	}
	return pairRow{game.UID(uid), unlinked != 0}, err == nil, err
}

// addPair writes a pair that nobody ever had.
func addPair(w sqldb.Writer, uid game.UID, p game.Pair, now time.Time) error {
	_, err := w.Exec("INSERT INTO identity_pairs (digest, provider, subject, uid, linked, unlinked) VALUES (?, ?, ?, ?, ?, 0)",
		pairDigest(p), string(p.Provider), p.Subject, int64(uid), millis(now))
	return err
}

// Link gives a user one more pair, for which a provider vouched. Conflict: it is, or was, another user's.
func (s *Server) Link(ctx context.Context, uid game.UID, p game.Pair) (game.User, error) {
	if err := s.checkVouched(p); err != nil {
		return game.User{}, err
	}
	return s.link(ctx, uid, p, "")
}

// checkVouched judges a pair of another issuer.
func (s *Server) checkVouched(p game.Pair) error {
	if err := p.Check(); err != nil {
		return err
	}
	if p.Provider.Own() {
		return game.Errorf(game.Invalid, "provider %s is proved by a secret here", p.Provider)
	}
	return nil
}

// link writes a pair, with the hash of its password if it has one.
func (s *Server) link(ctx context.Context, uid game.UID, p game.Pair, phc string) (u game.User, err error) {
	err = s.write(ctx, "link an identity", func(w sqldb.Writer, now time.Time) (_ []notice, err error) {
		if u, err = load(w, uid); err != nil {
			return nil, err
		}
		row, known, err := owner(w, p)
		if err != nil {
			return nil, err
		}
		if known && row.uid != uid {
			return nil, game.Errorf(game.Conflict, "that identity belongs to another user, for ever")
		}
		if known && !row.unlinked && phc != "" {
			return nil, game.Errorf(game.Conflict, "the user has that e-mail address already: change its password")
		}
		if known && !row.unlinked {
			return nil, nil // done already
		}
		if err := game.CheckLink(u, p); err != nil {
			return nil, err
		}
		if known {
			_, err = w.Exec("UPDATE identity_pairs SET unlinked = 0, linked = ? WHERE digest = ?", millis(now), pairDigest(p))
		} else {
			err = addPair(w, uid, p, now)
		}
		if err == nil && phc != "" {
			err = putPassword(w, uid, p, phc)
		}
		if err != nil {
			return nil, err
		}
		u, err = load(w, uid)
		return nil, err
	})
	if err != nil {
		return game.User{}, err
	}
	return u, nil
}

// LinkPassword gives a user, mostly a guest, an e-mail address and a password.
func (s *Server) LinkPassword(ctx context.Context, uid game.UID, email, password string) (game.User, error) {
	p, err := passwordPair(email, password)
	if err != nil {
		return game.User{}, err
	}
	phc, err := s.hasher.make(ctx, password)
	if err != nil {
		return game.User{}, err
	}
	return s.link(ctx, uid, p, phc)
}

// Unlink takes a pair from a user, never the last one. It stays reserved for that user.
func (s *Server) Unlink(ctx context.Context, uid game.UID, p game.Pair) (u game.User, err error) {
	if p.Provider == game.ProviderPassword {
		if p.Subject, err = game.NormalEmail(p.Subject); err != nil {
			return game.User{}, err
		}
	}
	err = s.write(ctx, "unlink an identity", func(w sqldb.Writer, now time.Time) (_ []notice, err error) {
		if u, err = load(w, uid); err != nil {
			return nil, err
		}
		if err := game.CheckUnlink(u, p); err != nil {
			return nil, err
		}
		if _, err := w.Exec("UPDATE identity_pairs SET unlinked = ? WHERE digest = ?", millis(now), pairDigest(p)); err != nil {
			return nil, err
		}
		if _, err := w.Exec("DELETE FROM identity_passwords WHERE digest = ?", pairDigest(p)); err != nil {
			return nil, err
		}
		u, err = load(w, uid)
		return nil, err
	})
	if err != nil {
		return game.User{}, err
	}
	return u, nil
}
