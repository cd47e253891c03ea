package api

import (
	"net/http"
	"net/url"
	"time"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/identity"
	"github.com/kamado/kamado/game/oidc"
)

// tokenRoutes are the rows about tokens, keys and services.
func (a *api) tokenRoutes() []route {
	const s = game.ScopeIdentity
	return []route{
		{"POST", "tokens", anybody, s, "Sign in", Credentials{}, Login{}, (*call).signIn},
		{"POST", "tokens/refresh", anybody, s, "Exchange a refresh token for the next tokens", RefreshRequest{}, Login{}, (*call).refresh},
		{"POST", "tokens/revoke", known, s, "Sign out: end the session of the token", nil, nil, (*call).revokeToken},
		{"POST", "tokens/jwt", known, s, "Get a JWT for another service", JWTRequest{}, JWT{}, (*call).jwt},
		{"POST", "tokens/introspect", byScope, s, "Say whose a token is, if it is valid (after RFC 7662)", Introspect{}, Introspection{}, (*call).introspect},
		{"GET", "tokens/keys", anybody, s, "List the keys that sign tokens", nil, KeyPage{}, (*call).keys},
		{"POST", "tokens/keys", operator, s, "Publish a new key, which signs a little later; nobody is signed out", nil, identity.KeyInfo{}, (*call).rotateKeys},
		{"DELETE", "tokens/keys/{id}", operator, s, "Drop a key that somebody else may have: its access tokens end at once", nil, nil, (*call).revokeKey},
		{"GET", "jwks.json", anybody, s, "The public keys as a JSON Web Key Set (RFC 7517)", nil, raw(nil), (*call).jwks},
		{"GET", "oidc/{provider}/start", anybody, s, "Send a browser to an OpenID Connect provider", nil, nil, (*call).oidcStart},
		{"GET", "oidc/{provider}/callback", anybody, s, "Take a browser back from a provider, and sign it in", nil, Login{}, (*call).oidcCallback},
		{"GET", "services", operator, game.ScopeAdmin, "List service credentials", nil, ServicePage{}, (*call).listServices},
		{"POST", "services", operator, game.ScopeAdmin, "Make a service credential; its secret is shown this once", ServiceRequest{}, ServiceSecret{}, (*call).createService},
		{"DELETE", "services/{name}", operator, game.ScopeAdmin, "End a service credential", nil, nil, (*call).revokeService},
	}
}

// RefreshRequest carries a refresh token.
type RefreshRequest struct {
	RefreshToken string `json:"refresh_token"`
}

// JWTRequest asks for a token for another service.
type JWTRequest struct {
	Audience string `json:"audience" doc:"one of game.identity.jwt_audiences"`
}

// JWT is a token for another service.
type JWT struct {
	Token   string    `json:"token"`
	Expires time.Time `json:"expires"`
}

// Introspect carries an access token.
type Introspect struct {
	Token string `json:"token"`
}

// Introspection says what a token is worth.
type Introspection struct {
	Active  bool      `json:"active"`
	UID     game.UID  `json:"uid,omitempty"`
	Session string    `json:"session,omitempty"`
	Expires time.Time `json:"expires,omitzero"`
	Muted   time.Time `json:"muted_until,omitzero"`
}

// KeyPage is the keys that sign tokens.
type KeyPage struct {
	Keys []identity.KeyInfo `json:"keys"`
}

// ServicePage is the service credentials.
type ServicePage struct {
	Services []game.ServiceCredential `json:"services"`
}

// ServiceRequest asks for a service credential.
type ServiceRequest struct {
	Name   string   `json:"name"`
	Scopes []string `json:"scopes" doc:"points, entities, locks, identity, admin"`
}

// ServiceSecret is a credential with its secret.
type ServiceSecret struct {
	Name   string `json:"name"`
	Secret string `json:"secret"`
}

func (c *call) refresh() (any, error) {
	var in RefreshRequest
	if err := c.body(&in); err != nil {
		return nil, err
	}
	l, err := c.Identity.Refresh(c.ctx(), in.RefreshToken, c.client())
	if err != nil {
		return nil, err
	}
	return loginOf(l), nil
}

func (c *call) revokeToken() (any, error) {
	if c.who.Kind != game.ByUser {
		return nil, game.Errorf(game.Invalid, "only a user's token has a session that can end")
	}
	return nothing(), c.Identity.SignOut(c.ctx(), c.who.UID, c.who.Session)
}

func (c *call) jwt() (any, error) {
	var in JWTRequest
	if err := c.body(&in); err != nil {
		return nil, err
	}
	if c.who.Kind != game.ByUser {
		return nil, game.Errorf(game.Denied, "only a user gets a token for another service")
	}
	text, expires, err := c.Identity.JWT(c.who, in.Audience)
	if err != nil {
		return nil, err
	}
	return JWT{text, expires}, nil
}

func (c *call) introspect() (any, error) {
	var in Introspect
	if err := c.body(&in); err != nil {
		return nil, err
	}
	p, err := c.Identity.Authenticate(c.ctx(), in.Token)
	if err != nil || p.Kind != game.ByUser {
		return Introspection{}, nil
	}
	return Introspection{Active: true, UID: p.UID, Session: p.Session, Expires: p.Expires, Muted: p.MutedUntil}, nil
}

func (c *call) keys() (any, error) {
	return KeyPage{append([]identity.KeyInfo{}, c.Identity.Keys()...)}, nil
}

func (c *call) rotateKeys() (any, error) {
	k, err := c.Identity.RotateKeys(c.ctx())
	if err != nil {
		return nil, err
	}
	return created(k), nil
}

func (c *call) revokeKey() (any, error) {
	return nothing(), c.Identity.RevokeKey(c.ctx(), c.r.PathValue("id"))
}

func (c *call) jwks() (any, error) { return raw(c.Identity.JWKS()), nil }

// provider gives the provider of the path.
func (c *call) provider() (game.Provider, error) {
	if c.OIDC == nil {
		return "", game.Errorf(game.NotFound, "no provider is configured under game.identity.providers")
	}
	return game.ParseProvider(c.r.PathValue("provider"))
}

func (c *call) oidcStart() (any, error) {
	provider, err := c.provider()
	if err != nil {
		return nil, err
	}
	q := c.r.URL.Query()
	start, err := c.OIDC.Begin(c.ctx(), provider, q.Get("redirect"), q.Get("next"))
	if err != nil {
		return nil, err
	}
	u, err := url.Parse(start.URL)
	if err != nil {
		return nil, err
	}
	http.SetCookie(c.w, c.oidcCookie(provider, start.Cookie, int(start.Life.Seconds())))
	c.w.Header().Set("Cache-Control", "no-store")
	http.Redirect(c.w, c.r, u.String(), http.StatusFound)
	return done{}, nil
}

func (c *call) oidcCookie(provider game.Provider, value string, age int) *http.Cookie {
	return &http.Cookie{
		Name: oidc.CookieName, Value: value, Path: Prefix + "oidc/" + string(provider) + "/", MaxAge: age,
		HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: c.r.TLS != nil || !c.address().IsLoopback(),
	}
}

func (c *call) oidcCallback() (any, error) {
	provider, err := c.provider()
	if err != nil {
		return nil, err
	}
	value := ""
	if cookie, err := c.r.Cookie(oidc.CookieName); err == nil {
		value = cookie.Value
	}
	s, next, err := c.OIDC.Finish(c.ctx(), provider, value, c.r.URL.Query())
	http.SetCookie(c.w, c.oidcCookie(provider, "", -1))
	if err != nil {
		return nil, err
	}
	l, err := c.Identity.LoginPair(c.ctx(), s.Pair, c.client())
	return c.loggedIn(l, err, string(provider), next)
}

func (c *call) listServices() (any, error) {
	list, err := c.Identity.Services(c.ctx())
	return ServicePage{append([]game.ServiceCredential{}, list...)}, err
}

func (c *call) createService() (any, error) {
	var in ServiceRequest
	if err := c.body(&in); err != nil {
		return nil, err
	}
	scopes, err := game.ParseScopes(in.Scopes)
	if err != nil {
		return nil, err
	}
	secret, err := c.Identity.CreateService(c.ctx(), in.Name, scopes)
	if err != nil {
		return nil, err
	}
	return created(ServiceSecret{in.Name, secret}), nil
}

func (c *call) revokeService() (any, error) {
	return nothing(), c.Identity.RevokeService(c.ctx(), c.r.PathValue("name"))
}
