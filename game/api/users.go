package api

import (
	"context"
	"time"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/identity"
	"github.com/kamado/kamado/game/oidc"
)

// userRoutes are the rows about users.
func (a *api) userRoutes() []route {
	const s = game.ScopeIdentity
	return []route{
		{"POST", "users", anybody, s, "Make a user: a guest, one with a password, or one of an OpenID Connect provider", Credentials{}, Login{}, (*call).createUser},
		{"GET", "users", byScope, s, "List users, or find them by provider and subject", nil, UserPage{}, (*call).listUsers},
		{"GET", "users/{uid}", known, s, "Show a user", nil, game.User{}, (*call).showUser},
		{"DELETE", "users/{uid}", known, s, "Delete a user; the id is never given again", nil, nil, (*call).deleteUser},
		{"POST", "users/{uid}/identities", known, s, "Link one more way to sign in", Credentials{}, game.User{}, (*call).link},
		{"DELETE", "users/{uid}/identities/{provider}", known, s, "Unlink a way to sign in, never the last one", nil, game.User{}, (*call).unlink},
		{"PUT", "users/{uid}/password", known, s, "Change the password", PasswordChange{}, nil, (*call).changePassword},
		{"POST", "users/{uid}/merge", known, s, "Merge a guest into the user, with what the guest owns", MergeRequest{}, game.Merge{}, (*call).merge},
		{"PUT", "users/{uid}/ban", byScope, s, "Keep a user from signing in, and end the sessions", game.Restriction{}, nil, (*call).ban},
		{"DELETE", "users/{uid}/ban", byScope, s, "End a ban", nil, nil, (*call).unban},
		{"PUT", "users/{uid}/mute", byScope, s, "Keep a user from talking", game.Restriction{}, nil, (*call).mute},
		{"DELETE", "users/{uid}/mute", byScope, s, "End a mute", nil, nil, (*call).unmute},
		{"GET", "users/{uid}/sessions", known, s, "List the sessions of a user", nil, SessionPage{}, (*call).sessions},
		{"DELETE", "users/{uid}/sessions", known, s, "Sign a user out everywhere", nil, SignedOut{}, (*call).signOutEverywhere},
		{"DELETE", "users/{uid}/sessions/{id}", known, s, "End one session", nil, nil, (*call).signOut},
	}
}

// Credentials prove who somebody is, by one of the providers.
type Credentials struct {
	Provider     string `json:"provider" doc:"guest, password, or the name of a configured OpenID Connect provider"`
	DeviceSecret string `json:"device_secret,omitempty" doc:"guest: 43 characters of base64url; for a new guest it may be left out, and is answered then"`
	Email        string `json:"email,omitempty" doc:"password: the address"`
	Password     string `json:"password,omitempty" doc:"password: at least 8 characters"`
	IDToken      string `json:"id_token,omitempty" doc:"OpenID Connect: the ID token"`
	Nonce        string `json:"nonce,omitempty" doc:"OpenID Connect: the nonce that the issuer was given"`
}

// Login is what a client gets that proved who it is.
type Login struct {
	UID              game.UID  `json:"uid"`
	Created          bool      `json:"created" doc:"the user did not exist before"`
	AccessToken      string    `json:"access_token"`
	TokenType        string    `json:"token_type"`
	ExpiresIn        int64     `json:"expires_in" doc:"seconds that the access token is valid"`
	AccessExpires    time.Time `json:"access_expires"`
	RefreshToken     string    `json:"refresh_token" doc:"is exchanged once for the next pair of tokens"`
	RefreshExpires   time.Time `json:"refresh_expires"`
	Session          string    `json:"session"`
	DeviceSecret     string    `json:"device_secret,omitempty" doc:"of a new guest: it signs in with it later; shown this once"`
	RefreshExpiresIn int64     `json:"refresh_expires_in"`
	Next             string    `json:"next,omitempty" doc:"what a browser's sign-in was started with"`
}

// UserPage is a page of users.
type UserPage struct {
	Users []game.User `json:"users"`
	Next  string      `json:"next,omitempty" doc:"after of the next page"`
}

// PasswordChange sets a password.
type PasswordChange struct {
	Old string `json:"old,omitempty" doc:"the one until now; a service needs none"`
	New string `json:"new"`
}

// MergeRequest names the guest that becomes the user.
type MergeRequest struct {
	Guest       game.UID `json:"guest"`
	AccessToken string   `json:"access_token,omitempty" doc:"the guest's own, as proof; a service needs none"`
}

// SessionPage is the sessions of a user.
type SessionPage struct {
	Sessions []game.Session `json:"sessions"`
}

// SignedOut says how many sessions ended.
type SignedOut struct {
	Ended int `json:"ended"`
}

// client is where a request came from.
func (c *call) client() game.Client {
	agent := c.r.UserAgent()
	return game.Client{Address: c.address(), Agent: agent[:min(len(agent), game.AgentBytesMax)]}
}

// trusted is the client of a request, without its address when a service speaks for many.
func (c *call) trusted() game.Client {
	cl := c.client()
	if c.who.Has(game.ScopeIdentity) {
		cl.Address = game.Client{}.Address
	}
	return cl
}

func loginOf(l game.Login) Login {
	now := time.Now()
	return Login{
		UID: l.UID, Created: l.Created, AccessToken: l.Access, TokenType: "Bearer", ExpiresIn: int64(l.AccessExpires.Sub(now).Seconds()), AccessExpires: l.AccessExpires,
		RefreshToken: l.Refresh, RefreshExpires: l.RefreshExpires, RefreshExpiresIn: int64(l.RefreshExpires.Sub(now).Seconds()), Session: l.Session, DeviceSecret: l.DeviceSecret,
	}
}

// loggedIn answers a sign-in, and tells of it.
func (c *call) loggedIn(l game.Login, err error, provider, next string) (any, error) {
	if err != nil {
		return nil, err
	}
	c.event(l.Event(game.Provider(provider)))
	out := loginOf(l)
	out.Next = next
	if l.Created {
		return created(out), nil
	}
	return out, nil
}

// vouched gives the subject for which an OpenID Connect provider vouches.
func (c *call) vouched(in Credentials) (oidc.Subject, error) {
	provider, err := game.ParseProvider(in.Provider)
	if err != nil {
		return oidc.Subject{}, err
	}
	if c.OIDC == nil {
		return oidc.Subject{}, game.Errorf(game.Invalid, "no provider is called %s: there are guest and password; others are configured under game.identity.providers", provider)
	}
	return c.OIDC.Verify(c.ctx(), provider, in.IDToken, in.Nonce)
}

func (c *call) createUser() (any, error) {
	return c.prove(c.Identity.CreateGuest, c.Identity.CreatePassword)
}

func (c *call) signIn() (any, error) {
	return c.prove(c.Identity.LoginGuest, c.Identity.LoginPassword)
}

// prove reads credentials and signs in whose they are: a guest by the first
// function, one with a password by the second, others by their provider, which makes
// those that are new.
func (c *call) prove(guest func(context.Context, string, game.Client) (game.Login, error), password func(context.Context, string, string, game.Client) (game.Login, error)) (any, error) {
	var in Credentials
	if err := c.body(&in); err != nil {
		return nil, err
	}
	var l game.Login
	var err error
	switch game.Provider(in.Provider) {
	case game.ProviderGuest:
		l, err = guest(c.ctx(), in.DeviceSecret, c.trusted())
	case game.ProviderPassword:
		l, err = password(c.ctx(), in.Email, in.Password, c.trusted())
	default:
		s, e := c.vouched(in)
		if e != nil {
			return nil, e
		}
		l, err = c.Identity.LoginPair(c.ctx(), s.Pair, c.trusted())
	}
	return c.loggedIn(l, err, in.Provider, "")
}

func (c *call) listUsers() (any, error) {
	limit, err := c.number("limit", 50, 1, 500)
	if err != nil {
		return nil, err
	}
	after, err := c.number("after", 0, 0, uint64(game.UIDMax))
	if err != nil {
		return nil, err
	}
	q := c.r.URL.Query()
	list, next, err := c.Identity.Users(c.ctx(), identity.Page{After: game.UID(after), Limit: int(limit), Provider: game.Provider(q.Get("provider")), Subject: q.Get("subject"), Prefix: q.Get("prefix") == "true"})
	if err != nil {
		return nil, err
	}
	page := UserPage{Users: append([]game.User{}, list...)}
	if next != 0 {
		page.Next = next.String()
	}
	return page, nil
}

// self gives the user of the path, if the caller is that user or may look after users.
func (c *call) self() (game.UID, error) {
	uid, err := c.uid()
	if err != nil {
		return 0, err
	}
	return uid, c.who.For(uid, game.ScopeIdentity)
}

func (c *call) showUser() (any, error) {
	uid, err := c.self()
	if err != nil {
		return nil, err
	}
	return c.Identity.User(c.ctx(), uid)
}

func (c *call) deleteUser() (any, error) {
	uid, err := c.self()
	if err != nil {
		return nil, err
	}
	if err := c.Identity.Delete(c.ctx(), uid); err != nil {
		return nil, err
	}
	c.event("user.deleted", uid.String(), nil)
	return nothing(), nil
}

func (c *call) link() (any, error) {
	uid, err := c.self()
	if err != nil {
		return nil, err
	}
	var in Credentials
	if err := c.body(&in); err != nil {
		return nil, err
	}
	switch game.Provider(in.Provider) {
	case game.ProviderPassword:
		return c.Identity.LinkPassword(c.ctx(), uid, in.Email, in.Password)
	case game.ProviderGuest:
		return nil, game.Errorf(game.Invalid, "a guest's device is not linked: a user has it from the beginning")
	}
	s, err := c.vouched(in)
	if err != nil {
		return nil, err
	}
	return c.Identity.Link(c.ctx(), uid, s.Pair)
}

func (c *call) unlink() (any, error) {
	uid, err := c.self()
	if err != nil {
		return nil, err
	}
	u, err := c.Identity.User(c.ctx(), uid)
	if err != nil {
		return nil, err
	}
	provider, subject := game.Provider(c.r.PathValue("provider")), c.r.URL.Query().Get("subject")
	for _, i := range u.Identities {
		if i.Provider == provider && (subject == "" || i.Subject == subject) {
			return c.Identity.Unlink(c.ctx(), uid, i.Pair)
		}
	}
	return nil, game.Errorf(game.NotFound, "user %v has no identity of provider %.40q", uid, provider)
}

func (c *call) changePassword() (any, error) {
	uid, err := c.self()
	if err != nil {
		return nil, err
	}
	var in PasswordChange
	if err := c.body(&in); err != nil {
		return nil, err
	}
	if c.who.Kind == game.ByUser {
		return nothing(), c.Identity.ChangePassword(c.ctx(), uid, in.Old, in.New, c.who.Session)
	}
	return nothing(), c.Identity.SetPassword(c.ctx(), uid, in.New)
}

func (c *call) merge() (any, error) {
	uid, err := c.self()
	if err != nil {
		return nil, err
	}
	var in MergeRequest
	if err := c.body(&in); err != nil {
		return nil, err
	}
	if in.Guest == 0 {
		return nil, game.Errorf(game.Invalid, "guest is missing: want the id of the guest that is merged")
	}
	if c.who.Kind == game.ByUser {
		proof, err := c.Identity.Authenticate(c.ctx(), in.AccessToken)
		if err != nil || proof.Kind != game.ByUser || proof.UID != in.Guest {
			return nil, game.Errorf(game.Denied, "access_token does not prove that guest %v is yours", in.Guest)
		}
	}
	m, err := c.Identity.Merge(c.ctx(), uid, in.Guest, c.Move)
	if err != nil {
		return nil, err
	}
	c.event("user.merged", uid.String(), map[string]string{"guest": in.Guest.String()})
	return m, nil
}

// restrict reads a ban or a mute and sets it.
func (c *call) restrict(kind string, set func(game.UID, game.Restriction) error) (any, error) {
	uid, err := c.uid()
	if err != nil {
		return nil, err
	}
	var in game.Restriction
	if err := c.body(&in); err != nil {
		return nil, err
	}
	if err := set(uid, in); err != nil {
		return nil, err
	}
	c.event("user."+kind, uid.String(), map[string]string{"reason": in.Reason})
	return nothing(), nil
}

func (c *call) ban() (any, error) {
	return c.restrict("banned", func(uid game.UID, r game.Restriction) error { return c.Identity.Ban(c.ctx(), uid, r) })
}

func (c *call) mute() (any, error) {
	return c.restrict("muted", func(uid game.UID, r game.Restriction) error { return c.Identity.Mute(c.ctx(), uid, r) })
}

// free ends a ban or a mute.
func (c *call) free(end func(game.UID) error) (any, error) {
	uid, err := c.uid()
	if err != nil {
		return nil, err
	}
	return nothing(), end(uid)
}

func (c *call) unban() (any, error) {
	return c.free(func(uid game.UID) error { return c.Identity.Unban(c.ctx(), uid) })
}

func (c *call) unmute() (any, error) {
	return c.free(func(uid game.UID) error { return c.Identity.Unmute(c.ctx(), uid) })
}

func (c *call) sessions() (any, error) {
	uid, err := c.self()
	if err != nil {
		return nil, err
	}
	list, err := c.Identity.Sessions(c.ctx(), uid)
	return SessionPage{append([]game.Session{}, list...)}, err
}

func (c *call) signOutEverywhere() (any, error) {
	uid, err := c.self()
	if err != nil {
		return nil, err
	}
	n, err := c.Identity.SignOutEverywhere(c.ctx(), uid, "")
	return SignedOut{n}, err
}

func (c *call) signOut() (any, error) {
	uid, err := c.self()
	if err != nil {
		return nil, err
	}
	return nothing(), c.Identity.SignOut(c.ctx(), uid, c.r.PathValue("id"))
}
