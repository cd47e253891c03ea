package identity

import (
	"context"
	"encoding/base64"
	"errors"
	"time"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/internal/sqldb"
)

// maySignIn says whether a user gets tokens at all.
func maySignIn(u game.User, now time.Time) error {
	switch {
	case !u.Live():
		return game.Errorf(game.Denied, "user %v was deleted", u.UID)
	case u.Ban.InForce(now) && u.Ban.Until.IsZero():
		return game.Errorf(game.Denied, "user %v is banned: %s", u.UID, u.Ban.Reason)
	case u.Ban.InForce(now):
		return game.Errorf(game.Denied, "user %v is banned until %s: %s", u.UID, u.Ban.Until.Format(time.RFC3339), u.Ban.Reason)
	}
	return nil
}

// count counts a sign-in. Providers are bounded by the configuration.
func (s *Server) count(p game.Provider, err error) {
	name := string(p)
	if _, ok := s.cfg.Providers[name]; !ok && !p.Own() {
		name = "other"
	}
	result := "ok"
	switch game.KindOf(err) {
	case game.Internal:
		if err != nil {
			result = "error"
		}
	case game.Unavailable, game.Exhausted:
		result = "error"
	default:
		result = "refused"
	}
	s.metrics.logins.WithLabelValues(name, result).Inc()
}

// signIn starts a session of whom find proves to be there.
func (s *Server) signIn(ctx context.Context, p game.Provider, c game.Client, find func(w sqldb.Writer, now time.Time) (uid game.UID, created bool, err error)) (game.Login, error) {
	var g granted
	err := s.write(ctx, "sign in", func(w sqldb.Writer, now time.Time) ([]notice, error) {
		uid, created, err := find(w, now)
		if err != nil {
			return nil, err
		}
		u, err := canonical(w, uid)
		if err != nil {
			return nil, err
		}
		if err := maySignIn(u, now); err != nil {
			return nil, err
		}
		var notices []notice
		g, notices, err = s.startSession(w, u, c, now)
		g.created = created
		return notices, err
	})
	s.count(p, err)
	if err != nil {
		return game.Login{}, err
	}
	if g.created {
		s.metrics.created.WithLabelValues(string(p)).Inc()
	}
	return s.login(g)
}

// create signs in with a pair, and makes its user if there is none. then may add to the write, or refuse.
func (s *Server) create(ctx context.Context, p game.Pair, c game.Client, then func(w sqldb.Writer, uid game.UID, created bool) error) (game.Login, error) {
	for range createsMax {
		var known bool
		if err := s.read(ctx, "look for an identity", func(r sqldb.Reader) (err error) {
			_, known, err = owner(r, p)
			return err
		}); err != nil {
			return game.Login{}, err
		}
		var uid game.UID
		var count int64
		if !known {
			var err error
			if uid, count, err = s.takeUID(ctx); err != nil {
				return game.Login{}, failed("create a user", err, false)
			}
		}
		l, err := s.signIn(ctx, p.Provider, c, func(w sqldb.Writer, now time.Time) (game.UID, bool, error) {
			row, known, err := owner(w, p)
			switch {
			case err != nil:
				return 0, false, err
			case known && row.unlinked:
				return 0, false, game.Errorf(game.Denied, "that identity was unlinked from its user, and can be linked to that one only")
			case known:
				return row.uid, false, then(w, row.uid, false)
			case uid == 0:
				return 0, false, errStale // it was there a moment ago: a restore
			}
			if err := newUser(w, uid, count, p, now); err != nil {
				return 0, false, err
			}
			return uid, true, then(w, uid, true)
		})
		switch {
		case errors.Is(err, errStale):
			s.dropBlock(count, uid)
		case !errors.Is(err, sqldb.ErrUnique): // another server made the pair at the same time
			return l, err
		}
	}
	return game.Login{}, &game.Error{Op: "create a user", Kind: game.Unavailable, Detail: "user ids are being restored"}
}

func asItIs(sqldb.Writer, game.UID, bool) error { return nil }

// secretLetters is the length of 256 bits in base64url.
const secretLetters = 43

// secretBase64 takes only one text for each value.
var secretBase64 = base64.RawURLEncoding.Strict()

// guestPair is the pair of a device's secret: its digest is the subject.
func guestPair(secret string) (game.Pair, error) {
	if raw, err := secretBase64.DecodeString(secret); err != nil || len(raw) != 32 || len(secret) != secretLetters { // the decoder passes over line ends
		return game.Pair{}, game.Errorf(game.Invalid, "the secret of a device has %d letters of base64url", secretLetters)
	}
	return game.Pair{Provider: game.ProviderGuest, Subject: digestOf("device", secret)}, nil
}

// CreateGuest makes a user with the secret of a device. secret is empty, or 43 characters of unpadded base64url (256 bits) that
// the client chose: the same secret again signs the same user in, so a lost answer makes no second user.
func (s *Server) CreateGuest(ctx context.Context, secret string, c game.Client) (game.Login, error) {
	made := secret == ""
	if made {
		secret = random(32)
	}
	p, err := guestPair(secret)
	if err != nil {
		return game.Login{}, err
	}
	if err := s.allow(s.limits.create, addressKey(c)); err != nil {
		return game.Login{}, err
	}
	l, err := s.create(ctx, p, c, asItIs)
	if err == nil && made {
		l.DeviceSecret = secret
	}
	return l, err
}

// LoginGuest signs in with the secret of a device.
func (s *Server) LoginGuest(ctx context.Context, secret string, c game.Client) (game.Login, error) {
	p, err := guestPair(secret)
	if err != nil {
		return game.Login{}, err
	}
	if err := s.allow(s.limits.create, addressKey(c)); err != nil {
		return game.Login{}, err
	}
	return s.signIn(ctx, game.ProviderGuest, c, func(w sqldb.Writer, _ time.Time) (game.UID, bool, error) {
		row, ok, err := owner(w, p)
		if err == nil && (!ok || row.unlinked) {
			err = game.Errorf(game.Unauthenticated, "no user has that secret")
		}
		return row.uid, false, err
	})
}

// LoginPair signs in whom a provider vouched for (package oidc), and makes the user if there is none.
func (s *Server) LoginPair(ctx context.Context, p game.Pair, c game.Client) (game.Login, error) {
	if err := s.checkVouched(p); err != nil {
		return game.Login{}, err
	}
	if err := s.allow(s.limits.create, addressKey(c)); err != nil {
		return game.Login{}, err
	}
	return s.create(ctx, p, c, asItIs)
}
