package identity

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/internal/token"
)

// What somebody is told whose credential does not count. It says what to do, and nothing of what would count.
var (
	errNotValid   = &game.Error{Kind: game.Unauthenticated, Detail: "credential is not valid"}
	errExpired    = &game.Error{Kind: game.Unauthenticated, Detail: "token is expired: refresh it"}
	errEarly      = &game.Error{Kind: game.Unauthenticated, Detail: "token is not valid yet: refresh it"}
	errUnknownKey = &game.Error{Kind: game.Unauthenticated, Detail: "token is of a key that is not known: refresh it"}
	errRevoked    = &game.Error{Kind: game.Unauthenticated, Detail: "session is ended: sign in again"}
	errBanned     = &game.Error{Kind: game.Unauthenticated, Detail: "user is banned"}
)

// Authenticate says who has a credential: what stands after "Bearer " in a request. It
// asks no database for what it knows. The error is Unauthenticated, whatever is wrong.
func (s *Server) Authenticate(ctx context.Context, bearer string) (game.Principal, error) {
	if strings.HasPrefix(bearer, servicePrefix) {
		return s.authenticateService(ctx, bearer)
	}
	now := s.clock.now()
	c, err := s.verifier.Verify(bearer, now)
	if errors.Is(err, token.ErrUnknownKey) {
		s.freshen(ctx)
		c, err = s.verifier.Verify(bearer, now)
	}
	switch {
	case err == nil:
	case errors.Is(err, token.ErrExpired):
		return game.Principal{}, errExpired
	case errors.Is(err, token.ErrFuture):
		return game.Principal{}, errEarly
	case errors.Is(err, token.ErrUnknownKey):
		return game.Principal{}, errUnknownKey
	default:
		return game.Principal{}, errNotValid
	}
	uid, err := game.ParseUID(c.Subject)
	if err != nil || c.Session == "" {
		return game.Principal{}, errNotValid
	}
	why, mute, known := s.feed.look(c.Session, uid)
	switch why {
	case 0:
	case banned:
		return game.Principal{}, errBanned
	default:
		return game.Principal{}, errRevoked
	}
	if !known {
		mute = claimedMute(c)
	}
	return game.Principal{Kind: game.ByUser, UID: uid, Session: c.Session, Expires: c.Expires, MutedUntil: mutedUntil(mute, now)}, nil
}

func claimedMute(c *token.Claims) int64 {
	text := c.Extra[claimMute]
	if text == "" {
		return 0
	}
	ms, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return forever // of our own key, and not readable: a later release says more
	}
	return ms
}

func mutedUntil(ms int64, now time.Time) time.Time {
	switch {
	case ms == forever:
		return game.MutedForever
	case ms <= now.UnixMilli():
		return time.Time{}
	}
	return fromMillis(ms)
}

// JWT gives a user a token for another service, of which it is the audience. It ends with the access token at the latest.
func (s *Server) JWT(p game.Principal, audience string) (text string, expires time.Time, err error) {
	if p.Kind != game.ByUser {
		return "", time.Time{}, game.Errorf(game.Denied, "only a user's token is exchanged for one of another service")
	}
	known := false
	for _, a := range s.cfg.JWTAudiences {
		known = known || a == audience
	}
	if !known {
		return "", time.Time{}, game.Errorf(game.Invalid, "%.100q is no audience of this server (jwt_audiences)", audience)
	}
	now := s.clock.now()
	c := token.Claims{
		Subject: p.UID.String(), Audience: audience, Issuer: s.cfg.Issuer, Issued: now, Expires: now.Add(s.cfg.AccessLife), ID: random(12), Session: p.Session,
	}
	if p.Expires.Before(c.Expires) {
		c.Expires = p.Expires
	}
	if c.Expires.Sub(now) < leastLife {
		return "", time.Time{}, errExpired
	}
	if text, err = s.verifier.Ring().MintJWT(c, now); err != nil {
		return "", time.Time{}, &game.Error{Op: "make a JWT", Kind: game.Internal, Err: err}
	}
	return text, c.Expires.Truncate(time.Second), nil
}
