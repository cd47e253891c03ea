package oidc

import (
	"context"
	"errors"
	"log/slog"
	"net/url"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kamado/kamado/game"
)

var errDraft = errors.New("not written yet")

// Deps is what a RelyingParty works with.
type Deps struct {
	Providers map[string]game.OIDCProvider
	// StateKey seals cookies: 32 bytes, the same on all servers (identity.Server.SharedKey).
	StateKey []byte
	// Spend remembers that an ID token was used; game.Conflict: it was before (identity.Server.Spend).
	Spend   func(ctx context.Context, thing string, until time.Time) error
	Log     *slog.Logger
	Metrics prometheus.Registerer // nil: none
	Now     func() time.Time      // nil: time.Now
}

// RelyingParty knows the providers. Its methods may be called concurrently.
type RelyingParty struct{}

// New reads the files of secrets. It asks no issuer.
func New(d Deps) (*RelyingParty, error) { return nil, errDraft }

// Providers lists the providers by name.
func (r *RelyingParty) Providers() []game.Provider { return nil }

// Subject is for whom a provider vouches.
type Subject struct {
	Pair game.Pair
	// Email and Name are what the issuer says; they prove nothing here.
	Email, Name string
}

// Verify checks an ID token that a native client posts. nonce is what that client gave
// the issuer, or whose SHA-256 in hex it gave (as Apple's and Google's libraries want).
func (r *RelyingParty) Verify(ctx context.Context, provider game.Provider, idToken, nonce string) (Subject, error) {
	return Subject{}, errDraft
}

// Start is where a browser is sent, and the cookie that it must bring back.
type Start struct {
	URL    string
	Cookie string        // value for CookieName: Secure, HttpOnly, SameSite=Lax, path of the callback
	Life   time.Duration // of the cookie
}

// CookieName is the name of the cookie of a start.
const CookieName = "kamado_game_oidc"

// Begin starts a sign-in in a browser. redirect is one of the provider's redirects; empty: the first. next comes back from Finish: at most 512 bytes.
func (r *RelyingParty) Begin(ctx context.Context, provider game.Provider, redirect, next string) (Start, error) {
	return Start{}, errDraft
}

// Finish ends it with the cookie and the query of the callback of that provider. The caller drops the cookie.
func (r *RelyingParty) Finish(ctx context.Context, provider game.Provider, cookie string, query url.Values) (s Subject, next string, err error) {
	return Subject{}, "", errDraft
}
