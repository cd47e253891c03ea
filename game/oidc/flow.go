package oidc

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"github.com/kamado/kamado/game"
)

// CookieName is the name of the cookie of a start.
const CookieName = "kamado_game_oidc"

// Bounds of the way through a browser.
const (
	startLife    = 10 * time.Minute // between Begin and Finish
	nextBytesMax = 512
	codeBytesMax = 4096
)

// Start is where a browser is sent, and the cookie that it must bring back.
type Start struct {
	URL    string
	Cookie string        // value for CookieName: Secure, HttpOnly, SameSite=Lax, path of the callback
	Life   time.Duration // of the cookie
}

// state is what Finish needs, sealed in the cookie.
type state struct {
	Provider game.Provider `json:"p"`
	State    string        `json:"s"`
	Nonce    string        `json:"n"`
	Verifier string        `json:"v"` // of PKCE
	Redirect string        `json:"r"`
	Next     string        `json:"x"`
	Expires  int64         `json:"e"` // seconds since 1970
}

// random is 256 random bits in base64url: also the form of a PKCE verifier (RFC 7636 4.1).
func random() string {
	b := make([]byte, 32)
	rand.Read(b) //nolint:errcheck // never fails (crypto/rand)
	return base64.RawURLEncoding.EncodeToString(b)
}

// Begin starts a sign-in in a browser. redirect is one of the provider's redirects; empty: the first. next comes back from Finish: at most 512 bytes.
func (r *RelyingParty) Begin(ctx context.Context, name game.Provider, redirect, next string) (Start, error) {
	p, err := r.provider(name)
	if err != nil {
		return Start{}, err
	}
	if redirect == "" && len(p.cfg.Redirects) > 0 {
		redirect = p.cfg.Redirects[0]
	}
	if !slices.Contains(p.cfg.Redirects, redirect) {
		return Start{}, game.Errorf(game.Invalid, "%.100q is no redirect of provider %s", redirect, p.name)
	}
	if len(next) > nextBytesMax {
		return Start{}, game.Errorf(game.Invalid, "a next of %d bytes: at most %d", len(next), nextBytesMax)
	}
	m, err := p.issuer.metadata(ctx)
	if err != nil {
		return Start{}, away(p.name, err)
	}
	s := state{Provider: p.name, State: random(), Nonce: random(), Verifier: random(), Redirect: redirect, Next: next, Expires: r.now().Add(startLife).Unix()}
	cookie, err := r.seal.seal(s)
	if err != nil {
		return Start{}, err
	}
	to := p.oauth(m, redirect, "").AuthCodeURL(s.State, oauth2.S256ChallengeOption(s.Verifier), oauth2.SetAuthURLParam("nonce", s.Nonce))
	return Start{URL: to, Cookie: cookie, Life: startLife}, nil
}

// oauth is the configuration of one exchange. How we show the secret the issuer says, so that no code is sent twice to find out.
func (p *provider) oauth(m metadata, redirect, secret string) *oauth2.Config {
	style := oauth2.AuthStyleInHeader // the default of Discovery 3
	if len(m.TokenAuth) > 0 && !slices.Contains(m.TokenAuth, "client_secret_basic") || secret == "" || p.apple != nil {
		style = oauth2.AuthStyleInParams
	}
	return &oauth2.Config{
		ClientID: p.cfg.ClientID, ClientSecret: secret, RedirectURL: redirect, Scopes: p.cfg.Scopes,
		Endpoint: oauth2.Endpoint{AuthURL: m.Authorization, TokenURL: m.Token, AuthStyle: style},
	}
}

// Finish ends it with the cookie and the query of the callback of that provider. The caller drops the cookie.
func (r *RelyingParty) Finish(ctx context.Context, name game.Provider, cookie string, query url.Values) (s Subject, next string, err error) {
	p, err := r.provider(name)
	if err != nil {
		return Subject{}, "", err
	}
	s, next, err = r.finish(ctx, p, cookie, query)
	return s, next, r.count(p, err)
}

func (r *RelyingParty) finish(ctx context.Context, p *provider, cookie string, query url.Values) (Subject, string, error) {
	st, err := r.seal.open(cookie)
	if err != nil || r.now().Unix() >= st.Expires {
		return Subject{}, "", game.Errorf(game.Invalid, "the sign-in was not begun in this browser, or more than %v ago: begin again", startLife)
	}
	if st.Provider != p.name {
		return Subject{}, "", game.Errorf(game.Invalid, "the sign-in was begun at provider %s and comes back from %s: begin again", st.Provider, p.name)
	}
	if subtle.ConstantTimeCompare([]byte(st.State), []byte(query.Get("state"))) != 1 {
		return Subject{}, "", game.Errorf(game.Invalid, "the answer is for another sign-in: begin again")
	}
	m, err := p.issuer.metadata(ctx)
	if err != nil {
		return Subject{}, "", away(p.name, err)
	}
	if iss, named := query.Get("iss"), query.Has("iss"); (named || m.NamesItself) && iss != p.cfg.Issuer { // RFC 9207 2.4
		return Subject{}, "", game.Errorf(game.Invalid, "the answer is of another issuer: begin again")
	}
	if query.Has("error") {
		return Subject{}, "", game.Errorf(game.Denied, "provider %s refused the sign-in: %s", p.name, word(query.Get("error")))
	}
	code := query.Get("code")
	if code == "" || len(code) > codeBytesMax {
		return Subject{}, "", game.Errorf(game.Invalid, "the answer has no code: begin again")
	}
	if err := r.once(ctx, "state", st.State); err != nil {
		return Subject{}, "", err
	}
	idToken, err := r.exchange(ctx, p, m, st, code)
	if err != nil {
		return Subject{}, "", err
	}
	s, err := r.verify(ctx, p, idToken, st.Nonce, []string{p.cfg.ClientID}, true)
	return s, st.Next, err
}

// exchange gives the code back to the issuer, for an ID token.
func (r *RelyingParty) exchange(ctx context.Context, p *provider, m metadata, st state, code string) (string, error) {
	secret, err := p.clientSecret(r.now())
	if err != nil {
		return "", &game.Error{Op: "make a client's secret", Kind: game.Internal, Err: err}
	}
	ctx = context.WithValue(ctx, oauth2.HTTPClient, p.issuer.client)
	t, err := p.oauth(m, st.Redirect, secret).Exchange(ctx, code, oauth2.VerifierOption(st.Verifier))
	var answered *oauth2.RetrieveError
	switch {
	case errors.As(err, &answered) && answered.Response != nil && answered.Response.StatusCode < http.StatusInternalServerError:
		p.issuer.fetches.WithLabelValues("token", "refused").Inc()
		return "", &game.Error{Kind: game.Unauthenticated, Detail: fmt.Sprintf("provider %s does not take its code back: %s; begin again", p.name, word(answered.ErrorCode)), Err: errors.New("token endpoint: " + answered.Response.Status)}
	case err != nil:
		p.issuer.fetches.WithLabelValues("token", "failed").Inc()
		return "", away(p.name, errors.New("exchange of a code failed: "+strings.ReplaceAll(err.Error(), code, "…")))
	}
	p.issuer.fetches.WithLabelValues("token", "ok").Inc()
	idToken, ok := t.Extra("id_token").(string)
	if !ok || idToken == "" {
		return "", refused("the issuer gave none", nil)
	}
	return idToken, nil
}

// word makes an error code of an issuer fit to be shown: RFC 6749 4.1.2.1 has printable ASCII.
func word(code string) string {
	code = strings.Map(func(c rune) rune {
		if c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '_' || c == '-' || c == '.' {
			return c
		}
		return -1
	}, code)
	if code == "" {
		return "no reason"
	}
	return code[:min(len(code), 60)]
}
