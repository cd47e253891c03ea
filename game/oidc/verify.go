package oidc

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	goidc "github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"

	"github.com/kamado/kamado/game"
)

// Bounds of an ID token.
const (
	idTokenBytesMax = 16 << 10
	nonceBytesMin   = 16 // of what a client chose: enough that nobody guesses it
	nonceBytesMax   = 256
	clockLeeway     = time.Minute
	// ageMax is how old an ID token may be. One that was used is remembered for as long, so that it counts once.
	ageMax = 23 * time.Hour
)

// Subject is for whom a provider vouches.
type Subject struct {
	Pair game.Pair
	// Email and Name are what the issuer says; they prove nothing here.
	Email, Name string
}

// refused is the error for an ID token that does not count. Why is for the client's developer, and holds nothing of the token.
func refused(why string, err error) error {
	return &game.Error{Kind: game.Unauthenticated, Detail: "ID token does not count: " + why, Err: err}
}

// Verify checks an ID token that a native client posts. nonce is what that client gave
// the issuer, or whose SHA-256 in hex it gave (as Apple's and Google's libraries want).
func (r *RelyingParty) Verify(ctx context.Context, name game.Provider, idToken, nonce string) (Subject, error) {
	p, err := r.provider(name)
	if err != nil {
		return Subject{}, err
	}
	if len(nonce) < nonceBytesMin || len(nonce) > nonceBytesMax {
		return Subject{}, r.count(p, game.Errorf(game.Invalid, "a nonce of %d bytes: want %d to %d", len(nonce), nonceBytesMin, nonceBytesMax))
	}
	s, err := r.verify(ctx, p, idToken, nonce, append([]string{p.cfg.ClientID}, p.cfg.Audiences...), false)
	return s, r.count(p, err)
}

// verify checks everything about an ID token, and that it was not used before.
func (r *RelyingParty) verify(ctx context.Context, p *provider, idToken, nonce string, audiences []string, fromIssuer bool) (Subject, error) {
	if len(idToken) > idTokenBytesMax {
		return Subject{}, refused(fmt.Sprintf("it has more than %d bytes", idTokenBytesMax), nil)
	}
	t, err := r.open(ctx, p, idToken, fromIssuer)
	if err != nil {
		return Subject{}, err
	}
	if err := r.judge(t, nonce, audiences); err != nil {
		return Subject{}, err
	}
	var more struct {
		Party string `json:"azp"`
		Email string `json:"email"`
		Name  string `json:"name"`
	}
	if err := t.Claims(&more); err != nil {
		return Subject{}, refused("its claims cannot be read", err)
	}
	// OpenID Connect Core 3.1.3.7, 4 and 5.
	if more.Party == "" && len(t.Audience) > 1 || more.Party != "" && !slices.Contains(audiences, more.Party) {
		return Subject{}, refused("it was given to another client", nil)
	}
	s := Subject{Pair: game.Pair{Provider: p.name, Subject: t.Subject}, Email: more.Email, Name: more.Name}
	if err := s.Pair.Check(); err != nil {
		return Subject{}, refused("its subject is not usable", err)
	}
	return s, r.once(ctx, "id token", idToken)
}

// once makes something count once.
func (r *RelyingParty) once(ctx context.Context, what, thing string) error {
	sum := sha256.Sum256([]byte(thing))
	err := r.spend(ctx, "oidc "+what+" "+hex.EncodeToString(sum[:]), r.now().Add(ageMax+clockLeeway))
	if game.KindOf(err) == game.Conflict {
		return refused("it was used before: sign in again", err)
	}
	return err
}

// open verifies signature, issuer and end.
func (r *RelyingParty) open(ctx context.Context, p *provider, idToken string, fromIssuer bool) (*goidc.IDToken, error) {
	m, err := p.issuer.metadata(ctx)
	if err != nil {
		return nil, away(p.name, err)
	}
	v := &verification{issuer: p.issuer, algorithms: m.algorithms()}
	// LINE signs what it hands us itself with the secret that we share, which no client has.
	if fromIssuer && p.cfg.Preset == game.PresetLINE && len(p.secret) > 0 {
		v.secret, v.algorithms = p.secret, append(v.algorithms, jose.HS256)
	}
	names := make([]string, len(v.algorithms))
	for i, a := range v.algorithms {
		names[i] = string(a)
	}
	t, err := goidc.NewVerifier(p.cfg.Issuer, v, &goidc.Config{SkipClientIDCheck: true, SupportedSigningAlgs: names, Now: r.now}).Verify(ctx, idToken)
	var expired *goidc.TokenExpiredError
	switch {
	case err == nil:
		return t, nil
	case errors.Is(v.err, errAway):
		return nil, away(p.name, v.err)
	case v.err != nil:
		return nil, refused("its signature is wrong", v.err)
	case errors.As(err, &expired):
		return nil, refused("it is expired", err)
	}
	return nil, refused("it is malformed, or of another issuer", err)
}

// judge checks audience, age and nonce.
func (r *RelyingParty) judge(t *goidc.IDToken, nonce string, audiences []string) error {
	now := r.now()
	switch {
	case !slices.ContainsFunc(t.Audience, func(a string) bool { return slices.Contains(audiences, a) }):
		return refused("it is for another client", nil)
	case t.IssuedAt.After(now.Add(clockLeeway)):
		return refused("it is issued in the future", nil)
	case now.Sub(t.IssuedAt) > ageMax:
		return refused("it is too old", nil)
	case !sameNonce(t.Nonce, nonce):
		return refused("its nonce is another one", nil)
	}
	return nil
}

// sameNonce compares a nonce, or its digest, in constant time.
func sameNonce(claimed, nonce string) bool {
	sum := sha256.Sum256([]byte(nonce))
	same := 0
	for _, form := range []string{nonce, hex.EncodeToString(sum[:]), base64.RawURLEncoding.EncodeToString(sum[:])} {
		same |= subtle.ConstantTimeCompare([]byte(claimed), []byte(form))
	}
	return same == 1 && nonce != ""
}

// verification is the check of one signature; it is a go-oidc KeySet. It keeps its error, which go-oidc would make a text.
type verification struct {
	issuer     *issuer
	algorithms []jose.SignatureAlgorithm
	secret     []byte // for HS256; nil: it is not taken
	err        error
}

// VerifySignature gives the payload of a token whose signature is right.
func (v *verification) VerifySignature(ctx context.Context, text string) ([]byte, error) {
	payload, err := v.verify(ctx, text)
	v.err = err
	return payload, err
}

func (v *verification) verify(ctx context.Context, text string) ([]byte, error) {
	jws, err := jose.ParseSignedCompact(text, v.algorithms)
	if err != nil {
		return nil, err
	}
	header := jws.Signatures[0].Header
	if header.Algorithm == string(jose.HS256) {
		return jws.Verify(v.secret) // in v.algorithms only when there is a secret
	}
	for _, again := range []bool{false, true} {
		set, err := v.issuer.keySet(ctx, again)
		if err != nil {
			return nil, err
		}
		found := false
		for _, k := range set.Keys {
			if header.KeyID != "" && k.KeyID != header.KeyID || k.Algorithm != "" && k.Algorithm != header.Algorithm {
				continue
			}
			found = true
			if payload, err := jws.Verify(k.Key); err == nil {
				return payload, nil
			}
		}
		if found && header.KeyID != "" {
			break // the key is there, and the signature is not its own
		}
	}
	return nil, errors.New("no key of the issuer made this signature")
}
