package identitytest

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"aidanwoods.dev/go-paseto"
	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/identity"
	"github.com/kamado/kamado/internal/sqldb"
)

func countRows(t *testing.T, db sqldb.DB, query string, args ...any) (n int) {
	t.Helper()
	ok(t, db.Read(t.Context(), func(r sqldb.Reader) error { return r.QueryRow(query, args...).Scan(&n) }))
	return n
}

func hashOf(t *testing.T, db sqldb.DB, uid game.UID) (hashed string) {
	t.Helper()
	ok(t, db.Read(t.Context(), func(r sqldb.Reader) error {
		return r.QueryRow("SELECT phc FROM identity_passwords WHERE uid = ?", int64(uid)).Scan(&hashed)
	}))
	return hashed
}

func refresh(t *testing.T, s *Server, l game.Login) game.Login {
	t.Helper()
	return must[game.Login](t)(s.Refresh(t.Context(), l.Refresh, here(1)))
}

func rotation(t *testing.T, w *World) {
	db := w.place(t)
	s := w.OpenOn(db, Noon)
	a := guest(t, s)
	s.Clock.Pass(time.Minute)
	b := refresh(t, s, a)
	if b.Refresh == a.Refresh || b.Session != a.Session || b.UID != a.UID || b.Created || b.RefreshExpires.Sub(Noon) != w.Config.RefreshLife+time.Minute {
		t.Errorf("Refresh = %+v after %+v", b, a)
	}
	believed(t, s, a, true, "an access token of before the refresh")
	believed(t, s, b, true, "a new access token")
	s.Clock.Pass(w.Config.RefreshGrace + time.Second)
	_, err := s.Refresh(t.Context(), a.Refresh, here(66)) // a thief has it
	wants(t, err, game.Unauthenticated, "a refresh token used twice")
	believed(t, s, b, false, "after the reuse")
	_, err = s.Refresh(t.Context(), b.Refresh, here(1))
	wants(t, err, game.Unauthenticated, "the newest refresh token after the reuse")
	if n := countRows(t, db, "SELECT COUNT(*) FROM identity_sessions"); n != 0 {
		t.Errorf("%d sessions are left", n)
	}
	c := guest(t, s)
	d := refresh(t, s, c)
	e := refresh(t, s, d) // the next one was used: the grace of the first is over at once
	_, err = s.Refresh(t.Context(), c.Refresh, here(1))
	wants(t, err, game.Unauthenticated, "a refresh token whose successor was used")
	believed(t, s, e, false, "after that")
	for _, secret := range []string{a.Refresh, b.Refresh, e.Access} {
		if n := countRows(t, db, "SELECT COUNT(*) FROM identity_sessions WHERE current = ? OR previous = ?", secret, secret); n != 0 {
			t.Error("a token is kept in clear")
		}
	}
}

func grace(t *testing.T, w *World) {
	s := w.Open(Noon)
	a := guest(t, s)
	b := refresh(t, s, a)
	s.Clock.Pass(w.Config.RefreshGrace)
	c := refresh(t, s, a) // its answer was lost
	if b.Refresh != c.Refresh {
		t.Error("the same refresh token within the grace gives another one")
	}
	d := refresh(t, s, c)
	believed(t, s, d, true, "after a lost answer")
	w.Config.RefreshGrace = 0
	strict := w.Open(Noon.Add(time.Minute))
	e := refresh(t, strict, d)
	strict.Clock.Pass(time.Millisecond)
	_, err := strict.Refresh(t.Context(), d.Refresh, here(1))
	wants(t, err, game.Unauthenticated, "a second use without a grace")
	believed(t, strict, e, false, "after it")
}

func refreshAttacks(t *testing.T, w *World) {
	s := w.Open(Noon)
	a, b := guest(t, s), guest(t, s)
	family, secret := a.Refresh[26:48], a.Refresh[48:]
	zeros := strings.Repeat("A", 43)
	for name, text := range map[string]string{
		"empty":           "",
		"an access token": a.Access,
		"cut":             a.Refresh[:80],
		"longer":          a.Refresh + "A",
		"with a line end": a.Refresh[:90] + "\n",
		"a made up secret and family of a session": a.Refresh[:26] + strings.Repeat("A", 22) + zeros,
		"another session's secret":                 a.Refresh[:26] + b.Refresh[26:],
		"our secret for another session":           b.Refresh[:26] + family + secret,
		"an unknown session":                       "kr1." + strings.Repeat("A", 22) + family + secret,
		"bits left over":                           a.Refresh[:90] + string(rune('A')+1),
	} {
		_, err := s.Refresh(t.Context(), text, here(1))
		if game.KindOf(err) != game.Unauthenticated {
			t.Errorf("a refresh token %s: %v", name, err)
		}
	}
	believed(t, s, a, true, "after made up tokens")
	believed(t, s, b, true, "after made up tokens")
	refresh(t, s, a)
	refresh(t, s, b)
	c := guest(t, s)
	_, err := s.Refresh(t.Context(), c.Refresh[:48]+zeros, here(1)) // who has the family had a token
	wants(t, err, game.Unauthenticated, "a secret that was never given, with the family")
	believed(t, s, c, false, "after it")
}

func expiry(t *testing.T, w *World) {
	w.Config.RefreshLife, w.Config.SessionLife = 24*time.Hour, 48*time.Hour
	s := w.Open(Noon)
	a, idle := guest(t, s), guest(t, s)
	s.Clock.Pass(10*time.Minute + 4*time.Second)
	believed(t, s, a, true, "within the leeway")
	s.Clock.Pass(time.Second)
	believed(t, s, a, false, "after its end")
	if _, err := s.Authenticate(t.Context(), a.Access); err == nil || !strings.Contains(err.Error(), "expired") {
		t.Errorf("an expired token: %v", err)
	}
	s.Clock.Pass(20 * time.Hour)
	a = refresh(t, s, a)
	s.Clock.Pass(4 * time.Hour)
	_, err := s.Refresh(t.Context(), idle.Refresh, here(1))
	wants(t, err, game.Unauthenticated, "a refresh token after its life")
	s.Clock.Pass(16 * time.Hour)
	a = refresh(t, s, a)
	s.Clock.Pass(8*time.Hour - 11*time.Minute)
	a = refresh(t, s, a)
	if end := Noon.Add(48 * time.Hour); a.RefreshExpires.After(end) {
		t.Errorf("the session goes on until %v, want %v", a.RefreshExpires, end)
	}
	s.Clock.Pass(11 * time.Minute)
	_, err = s.Refresh(t.Context(), a.Refresh, here(1))
	wants(t, err, game.Unauthenticated, "a refresh token after its session's life")
}

func sessions(t *testing.T, w *World) {
	w.Config.Sessions = 3
	s := w.Open(Noon)
	a := guest(t, s)
	device := a.DeviceSecret
	login := func() game.Login {
		s.Clock.Pass(time.Second)
		return must[game.Login](t)(s.LoginGuest(t.Context(), device, game.Client{Address: here(7).Address, Agent: strings.Repeat("é", 200) + "\x00"}))
	}
	b, c := login(), login()
	a = refresh(t, s, a) // it was used last
	d := login()
	believed(t, s, b, false, "the session that was not used for longest, when there is one too many")
	for _, l := range []game.Login{a, c, d} {
		believed(t, s, l, true, "the others")
	}
	list := must[[]game.Session](t)(s.Sessions(t.Context(), a.UID))
	if len(list) != 3 || list[0].ID != d.Session || list[0].Client.Address != here(7).Address || len(list[0].Client.Agent) != game.AgentBytesMax {
		t.Errorf("Sessions = %+v", list)
	}
	other := guest(t, s)
	wants(t, s.SignOut(t.Context(), other.UID, c.Session), game.NotFound, "to sign out another user's session")
	wants(t, s.SignOut(t.Context(), a.UID, "x\x00"), game.NotFound, "to sign out nothing")
	believed(t, s, c, true, "after that")
	ok(t, s.SignOut(t.Context(), a.UID, c.Session))
	believed(t, s, c, false, "signed out")
	_, err := s.Refresh(t.Context(), c.Refresh, here(1))
	wants(t, err, game.Unauthenticated, "a refresh token after the sign-out")
	if n := must[int](t)(s.SignOutEverywhere(t.Context(), a.UID, d.Session)); n != 1 {
		t.Errorf("%d sessions were signed out, want 1", n)
	}
	believed(t, s, a, false, "signed out everywhere")
	believed(t, s, d, true, "the one that stays")
	must[int](t)(s.SignOutEverywhere(t.Context(), a.UID, ""))
	believed(t, s, d, false, "signed out everywhere")
	believed(t, s, other, true, "another user")
}

func changedPassword(t *testing.T, w *World) {
	s := w.Open(Noon)
	a := account(t, s, "ann@example.org")
	b := must[game.Login](t)(s.LoginPassword(t.Context(), "ann@example.org", password, here(1)))
	wants(t, s.ChangePassword(t.Context(), a.UID, "wrong horse battery", "a new password", b.Session), game.Denied, "a change with a wrong password")
	wants(t, s.ChangePassword(t.Context(), a.UID, password, "short", b.Session), game.Invalid, "a change to a short one")
	believed(t, s, a, true, "after changes that failed")
	ok(t, s.ChangePassword(t.Context(), a.UID, password, "a new password", b.Session))
	believed(t, s, a, false, "another session after the change")
	believed(t, s, b, true, "the session of the change")
	_, err := s.LoginPassword(t.Context(), "ann@example.org", password, here(1))
	wants(t, err, game.Unauthenticated, "the old password")
	must[game.Login](t)(s.LoginPassword(t.Context(), "ann@example.org", "a new password", here(1)))
	ok(t, s.SetPassword(t.Context(), a.UID, "an operator's password"))
	believed(t, s, b, false, "after the operator's change")
	must[game.Login](t)(s.LoginPassword(t.Context(), "ann@example.org", "an operator's password", here(1)))
	wants(t, s.SetPassword(t.Context(), guest(t, s).UID, "a new password"), game.NotFound, "the password of a guest")
}

// tokenAttacks looks at what package token tests in depth from outside: through Authenticate.
func tokenAttacks(t *testing.T, w *World) {
	db := w.place(t)
	s := w.OpenOn(db, Noon)
	a, b := guest(t, s), guest(t, s)
	var id, seed string
	ok(t, db.Read(t.Context(), func(r sqldb.Reader) error { return r.QueryRow("SELECT id, seed FROM identity_keys").Scan(&id, &seed) }))
	raw := must[[]byte](t)(base64.RawURLEncoding.DecodeString(seed))
	ours, stranger := ed25519.NewKeyFromSeed(raw), ed25519.NewKeyFromSeed(make([]byte, 32))
	forge := func(k ed25519.PrivateKey, kid string, change map[string]any) string {
		claims := map[string]any{"iss": "kamado", "sub": a.UID.String(), "aud": game.TokenAudience, "iat": Noon, "exp": Noon.Add(10 * time.Minute), "jti": "x", "sid": a.Session}
		for n, v := range change {
			if claims[n] = v; v == nil {
				delete(claims, n)
			}
		}
		secret := must[paseto.V4AsymmetricSecretKey](t)(paseto.NewV4AsymmetricSecretKeyFromEd25519(k))
		return must[*paseto.Token](t)(paseto.NewTokenFromClaimsJSON(must[[]byte](t)(json.Marshal(claims)), []byte(`{"kid":"`+kid+`"}`))).V4Sign(secret, nil)
	}
	if _, err := s.Authenticate(t.Context(), forge(ours, id, nil)); err != nil {
		t.Fatalf("the control: a token of our own key is not believed: %v", err)
	}
	parts := strings.Split(a.Access, ".")
	theirs := strings.Split(b.Access, ".")[2]
	swapped := theirs[:len(theirs)-80] + parts[2][len(parts[2])-80:] // the signature is the last 85 letters
	for name, text := range map[string]string{
		"of another key under our key's name": forge(stranger, id, nil),
		"of a key that is not known":          forge(stranger, "AAAAAAAAAAAAAAAA", nil),
		"of our key under another name":       forge(ours, "AAAAAAAAAAAAAAAA", nil),
		"for another audience":                forge(ours, id, map[string]any{"aud": "shop"}),
		"of another issuer":                   forge(ours, id, map[string]any{"iss": "else"}),
		"that lives for a day":                forge(ours, id, map[string]any{"exp": Noon.Add(24 * time.Hour)}),
		"expired":                             forge(ours, id, map[string]any{"iat": Noon.Add(-time.Hour), "exp": Noon.Add(-50 * time.Minute)}),
		"of tomorrow":                         forge(ours, id, map[string]any{"iat": Noon.Add(24 * time.Hour), "exp": Noon.Add(24*time.Hour + time.Minute)}),
		"without a session":                   forge(ours, id, map[string]any{"sid": nil}),
		"of no user":                          forge(ours, id, map[string]any{"sub": "0"}),
		"of a user with a sign":               forge(ours, id, map[string]any{"sub": "+1"}),
		"of another user's claims":            strings.Join(parts[:2], ".") + "." + swapped + "." + parts[3],
		"with nothing":                        "",
		"a refresh token":                     a.Refresh,
		"a device's secret":                   a.DeviceSecret,
		"JWT without algorithm":               "eyJhbGciOiJub25lIn0." + base64.RawURLEncoding.EncodeToString([]byte(`{"sub":"1"}`)) + ".",
		"very long":                           "v4.public." + strings.Repeat("A", 1<<20) + ".AAAA",
	} {
		p, err := s.Authenticate(t.Context(), text)
		if game.KindOf(err) != game.Unauthenticated || p.Kind != game.Nobody {
			t.Errorf("a token %s: Authenticate = %+v, %v", name, p, err)
		}
	}
	// One user's right token does not act for another.
	p := must[game.Principal](t)(s.Authenticate(t.Context(), a.Access))
	ok(t, p.For(a.UID, game.ScopePoints))
	wants(t, p.For(b.UID, game.ScopePoints), game.Denied, "to act for another user")
	wants(t, p.Wants(game.ScopeAdmin), game.Denied, "a user as an operator")
}

func clockBack(t *testing.T, w *World) {
	s := w.Open(Noon)
	a := guest(t, s)
	s.Clock.Pass(9 * time.Minute)
	s.Clock.Step(-time.Hour)
	b := guest(t, s)
	if b.UID <= a.UID {
		t.Errorf("user %v after user %v", b.UID, a.UID)
	}
	believed(t, s, a, true, "right after the step")
	believed(t, s, b, true, "a token of after the step")
	a2 := refresh(t, s, a)
	s.Clock.Pass(time.Minute + w.Config.ClockLeeway)
	believed(t, s, a, false, "at its end by the time that went by")
	believed(t, s, a2, true, "a refreshed token")
	s.Clock.Pass(w.Config.RefreshGrace)
	_, err := s.Refresh(t.Context(), a.Refresh, here(1))
	wants(t, err, game.Unauthenticated, "a refresh token used twice, with the clock back")

	// A process that starts with the clock back knows less: tokens of the future are not believed, and refreshed.
	again := w.Open(Noon.Add(-time.Hour))
	believed(t, again, b, false, "a token of the future")
	c := refresh(t, again, b)
	believed(t, again, c, true, "the refreshed one")
	if d := guest(t, again); d.UID <= b.UID {
		t.Errorf("user %v after user %v", d.UID, b.UID)
	}
	again.Clock.Pass(10*time.Minute + w.Config.ClockLeeway)
	believed(t, again, c, false, "after its life")
}

// revokedForLong looks at a token that was revoked, and that a clock which is set back makes good in time once more.
func revokedForLong(t *testing.T, w *World) {
	db := w.place(t)
	s := w.OpenOn(db, Noon)
	a, b := guest(t, s), guest(t, s)
	ok(t, s.SignOut(t.Context(), a.UID, a.Session))
	s.passAndTend(t, 30*time.Minute)
	if n := countRows(t, db, "SELECT COUNT(*) FROM identity_notices WHERE kind = 'session'"); n != 0 {
		t.Errorf("%d notices are kept for ever", n)
	}
	c := guest(t, s)
	ok(t, s.SignOut(t.Context(), c.UID, c.Session))
	again := w.Open(Noon.Add(-30 * time.Minute)) // an hour back
	again.passAndTend(t, 62*time.Minute)
	believed(t, again, c, false, "when the clock comes to where it was")
	d := refresh(t, again, b)
	believed(t, again, d, true, "the control")

	// Who ends the session has a clock that is behind.
	late := w.Open(Noon.Add(-time.Hour))
	e := guest(t, again)
	ok(t, late.SignOut(t.Context(), e.UID, e.Session))
	late.passAndTend(t, 95*time.Minute)
	believed(t, late, e, false, "a token of a clock that is ahead, when its time has come")
}

// passAndTend lets time go by in steps, as Run would see it.
func (s *Server) passAndTend(t *testing.T, d time.Duration) {
	t.Helper()
	step := min(d, 5*time.Minute)
	for ; d > 0; d -= step {
		step = min(d, step)
		s.Clock.Pass(step)
		ok(t, s.Tend(t.Context()))
	}
}

func keyRotation(t *testing.T, w *World) {
	w.Config.KeyLife, w.Config.KeyAhead = time.Hour, 10*time.Minute
	s := w.Open(Noon)
	first := s.Keys()
	if len(first) != 1 {
		t.Fatalf("%d keys at first", len(first))
	}
	s.passAndTend(t, 50*time.Minute)
	keys := s.Keys()
	if len(keys) != 2 || keys[0].ID != first[0].ID || !keys[1].Signs.Equal(Noon.Add(time.Hour)) {
		t.Fatalf("ten minutes before its end: %+v", keys)
	}
	if !strings.Contains(string(s.JWKS()), keys[1].ID) {
		t.Error("the next key is not published before it signs")
	}
	kid := func(l game.Login) string {
		footer := must[[]byte](t)(base64.RawURLEncoding.DecodeString(l.Access[strings.LastIndexByte(l.Access, '.')+1:]))
		return string(footer)
	}
	s.passAndTend(t, 9*time.Minute)
	old := guest(t, s)
	s.passAndTend(t, time.Minute)
	fresh := guest(t, s)
	if !strings.Contains(kid(old), keys[0].ID) || !strings.Contains(kid(fresh), keys[1].ID) {
		t.Errorf("keys sign %s before and %s after the time", kid(old), kid(fresh))
	}
	s.passAndTend(t, 8*time.Minute)
	believed(t, s, old, true, "a token of the key that retired")
	s.passAndTend(t, 8*time.Minute)
	if keys := s.Keys(); len(keys) != 1 {
		t.Errorf("after the last token of the old key: %+v", keys)
	}
	old = refresh(t, s, old)
	believed(t, s, old, true, "refreshed after the rotation")

	k := must[identity.KeyInfo](t)(s.RotateKeys(t.Context()))
	if again := must[identity.KeyInfo](t)(s.RotateKeys(t.Context())); again != k || !k.Signs.Equal(s.Clock.Wall().Add(10*time.Minute)) {
		t.Errorf("RotateKeys = %+v and again %+v", k, again)
	}
	believed(t, s, old, true, "after a rotation by hand")
	s.Clock.Pass(1000 * time.Hour) // no server ran
	ok(t, s.Tend(t.Context()))
	believed(t, s, guest(t, s), true, "after a long rest")
}

func keyRevocation(t *testing.T, w *World) {
	s := w.Open(Noon)
	a := guest(t, s)
	believed(t, s, a, true, "before")
	id := s.Keys()[0].ID
	ok(t, s.RevokeKey(t.Context(), id))
	believed(t, s, a, false, "a token of a revoked key")
	a = refresh(t, s, a)
	believed(t, s, a, true, "refreshed")
	wants(t, s.RevokeKey(t.Context(), id), game.NotFound, "to revoke it again")
}

func jwts(t *testing.T, w *World) {
	s := w.Open(Noon)
	a := guest(t, s)
	s.Clock.Pass(5 * time.Minute)
	p := must[game.Principal](t)(s.Authenticate(t.Context(), a.Access))
	text, expires, err := s.JWT(p, "shop")
	ok(t, err)
	if !expires.Equal(a.AccessExpires) {
		t.Errorf("the JWT ends at %v, the token at %v", expires, a.AccessExpires)
	}
	var set jose.JSONWebKeySet
	ok(t, json.Unmarshal(s.JWKS(), &set))
	parsed := must[*jwt.JSONWebToken](t)(jwt.ParseSigned(text, []jose.SignatureAlgorithm{jose.EdDSA}))
	var c jwt.Claims
	ok(t, parsed.Claims(set, &c))
	ok(t, c.ValidateWithLeeway(jwt.Expected{Issuer: "kamado", Subject: a.UID.String(), AnyAudience: jwt.Audience{"shop"}, Time: s.Clock.Wall()}, 0))
	if _, err := s.Authenticate(t.Context(), text); game.KindOf(err) != game.Unauthenticated {
		t.Errorf("a JWT for another service is believed here: %v", err)
	}
	_, _, err = s.JWT(p, "bank")
	wants(t, err, game.Invalid, "a JWT for an unknown audience")
	_, _, err = s.JWT(game.OperatorPrincipal(), "shop")
	wants(t, err, game.Denied, "a JWT of an operator")
}

func services(t *testing.T, w *World) {
	s := w.Open(Noon)
	ctx := t.Context()
	secret, created, err := s.EnsureService(ctx, "shop.eu", game.ScopePoints|game.ScopeLocks)
	if err != nil || !created || secret == "" {
		t.Fatalf("EnsureService = %v, %v", created, err)
	}
	if again, created, err := s.EnsureService(ctx, "shop.eu", game.ScopePoints); err != nil || created || again != "" {
		t.Errorf("EnsureService again = %q, %v, %v", again, created, err)
	}
	p := must[game.Principal](t)(s.Authenticate(ctx, secret))
	if p.Kind != game.ByService || p.Service != "shop.eu" || !p.Has(game.ScopePoints) || !p.Has(game.ScopeLocks) || p.Has(game.ScopeAdmin) || p.Has(game.ScopeEntities) {
		t.Errorf("Authenticate = %+v", p)
	}
	wants(t, p.For(1, game.ScopeEntities), game.Denied, "what it has no scope for")
	other := must[string](t)(s.CreateService(ctx, "shop", game.ScopeAdmin))
	if p := must[game.Principal](t)(s.Authenticate(ctx, other)); !p.Has(game.ScopeEntities) {
		t.Errorf("admin does not include all: %+v", p)
	}
	cut := strings.LastIndexByte(secret, '.')
	for _, bad := range []string{
		"kamado-service.", "kamado-service..", "kamado-service.shop.eu.", "kamado-service.shop.eu." + strings.Repeat("A", 43), secret + "A", secret[:cut],
		"kamado-service.shop" + secret[cut:], "kamado-service.none" + secret[cut:], strings.Replace(secret, "shop", "Shop", 1), strings.Repeat(secret, 100),
	} {
		if p, err := s.Authenticate(ctx, bad); game.KindOf(err) != game.Unauthenticated {
			t.Errorf("%.60q is service %+v, %v", bad, p, err)
		}
	}
	_, err = s.CreateService(ctx, "shop", game.ScopePoints)
	wants(t, err, game.Conflict, "a second service of a name")
	_, err = s.CreateService(ctx, "Shop", game.ScopePoints)
	wants(t, err, game.Invalid, "a bad name")
	_, err = s.CreateService(ctx, "none", 0)
	wants(t, err, game.Invalid, "no scope")
	renewed := must[string](t)(s.RenewService(ctx, "shop.eu"))
	_, err = s.Authenticate(ctx, secret)
	wants(t, err, game.Unauthenticated, "the secret of before")
	must[game.Principal](t)(s.Authenticate(ctx, renewed))
	ok(t, s.RevokeService(ctx, "shop.eu"))
	_, err = s.Authenticate(ctx, renewed)
	wants(t, err, game.Unauthenticated, "a revoked credential")
	wants(t, s.RevokeService(ctx, "shop.eu"), game.NotFound, "to revoke it again")
	_, err = s.RenewService(ctx, "shop.eu")
	wants(t, err, game.NotFound, "to renew it")
	list := must[[]game.ServiceCredential](t)(s.Services(ctx))
	if len(list) != 2 || list[1].Name != "shop.eu" || list[1].Revoked.IsZero() || !list[0].Revoked.IsZero() || strings.Contains(fmt.Sprint(list), other[cut:]) {
		t.Errorf("Services = %+v", list)
	}
	must[string](t)(s.CreateService(ctx, "shop.eu", game.ScopePoints))
}

func databaseAway(t *testing.T, w *World) {
	db := w.place(t)
	s := w.OpenOn(db, Noon)
	a := guest(t, s)
	secret := must[string](t)(s.CreateService(t.Context(), "shop", game.ScopePoints))
	must[game.UID](t)(s.Canonical(t.Context(), a.UID))
	ok(t, db.Close())
	believed(t, s, a, true, "a token that was never shown, without a database")
	must[game.Principal](t)(s.Authenticate(t.Context(), secret))
	if got := must[game.UID](t)(s.Canonical(t.Context(), a.UID)); got != a.UID {
		t.Errorf("Canonical = %v", got)
	}
	_, err := s.Authenticate(t.Context(), secret+"A")
	wants(t, err, game.Unauthenticated, "a wrong credential without a database")
	_, err = s.CreateGuest(t.Context(), "", here(1))
	wants(t, err, game.Unavailable, "a new user without a database")
	_, err = s.Refresh(t.Context(), a.Refresh, here(1))
	wants(t, err, game.Unavailable, "a refresh without a database")
	if s.Tend(t.Context()) == nil {
		t.Error("Tend says nothing")
	}
	s.Clock.Pass(time.Minute)
	if s.Ready() == nil {
		t.Error("Ready after a minute without notices")
	}
}

// restored plays a restore of an older database under a server that goes on.
func restored(t *testing.T, w *World) {
	db := w.place(t)
	s, other := w.OpenOn(db, Noon), w.Open(Noon)
	for range 3 {
		l := guest(t, other)
		ok(t, other.Mute(t.Context(), l.UID, game.Restriction{}))
	}
	l, m := guest(t, other), guest(t, other)
	ok(t, other.Mute(t.Context(), m.UID, game.Restriction{}))
	ok(t, s.Tend(t.Context()))
	ok(t, db.Write(t.Context(), func(w sqldb.Writer) error {
		_, err := w.Exec("DELETE FROM identity_notices")
		_, err2 := w.Exec("UPDATE identity_feed SET seq = 0 WHERE id = 1")
		return errors.Join(err, err2)
	}))
	ok(t, other.SignOut(t.Context(), l.UID, l.Session))
	ok(t, other.Unmute(t.Context(), m.UID))
	ok(t, s.Tend(t.Context()))
	believed(t, s, l, false, "signed out after a restore")
	if p := must[game.Principal](t)(s.Authenticate(t.Context(), m.Access)); !p.MutedUntil.IsZero() {
		t.Error("a mute that ended after a restore goes on")
	}
}

func secrets(t *testing.T, w *World) {
	s, other := w.Open(Noon), w.Open(Noon)
	a, b, c := must[[]byte](t)(s.SharedKey(t.Context(), "a")), must[[]byte](t)(other.SharedKey(t.Context(), "a")), must[[]byte](t)(other.SharedKey(t.Context(), "c"))
	if string(a) != string(b) || string(a) == string(c) || len(a) != 32 {
		t.Error("shared keys are not shared, or not for one purpose")
	}
	ok(t, s.Spend(t.Context(), "x", Noon.Add(time.Hour)))
	wants(t, other.Spend(t.Context(), "x", Noon.Add(time.Hour)), game.Conflict, "to use a thing twice")
	ok(t, other.Spend(t.Context(), "y", Noon.Add(time.Hour)))
	wants(t, s.Spend(t.Context(), "z", Noon.Add(25*time.Hour)), game.Invalid, "to remember for long")
}

func limits(t *testing.T, w *World) {
	w.Config.LoginAccountBurst, w.Config.LoginAccountEvery = 3, 10*time.Second
	w.Config.LoginAddressBurst, w.Config.LoginAddressEvery = 6, time.Second
	w.Config.CreateBurst, w.Config.CreateEvery = 4, time.Second
	s := w.Open(Noon)
	account(t, s, "ann@example.org")
	try := func(email, pass string, from byte) error {
		_, err := s.LoginPassword(t.Context(), email, pass, here(from))
		return err
	}
	for range 10 {
		ok(t, try("ann@example.org", password, 2)) // right ones cost nothing
	}
	for i := range 3 {
		wants(t, try("ann@example.org", "wrong password", byte(10+i)), game.Unauthenticated, "a wrong password")
	}
	err := try("ANN@example.org", password, 20)
	wants(t, err, game.Limited, "one try too many of an account")
	var after game.RetryAfter
	if !errors.As(err, &after) || time.Duration(after) != 10*time.Second {
		t.Errorf("it says to come again after %v, want 10s", time.Duration(after))
	}
	ok(t, func() error { s.Clock.Pass(10 * time.Second); return try("ann@example.org", password, 20) }())
	for i := range 6 {
		wants(t, try(fmt.Sprintf("nobody%d@example.org", i), "wrong password", 30), game.Unauthenticated, "an unknown account")
	}
	wants(t, try("bob@example.org", password, 30), game.Limited, "one try too many from an address")
	wants(t, try("bob@example.org", password, 31), game.Unauthenticated, "a try from another address")
	for range 4 {
		must[game.Login](t)(s.CreateGuest(t.Context(), "", here(40)))
	}
	_, err = s.CreateGuest(t.Context(), "", here(40))
	wants(t, err, game.Limited, "one user too many from an address")
	must[game.Login](t)(s.CreateGuest(t.Context(), "", here(41)))
	for range 10 {
		must[game.Login](t)(s.CreateGuest(t.Context(), "", game.Client{})) // the caller knows no address
	}
	if n := len(must[game.User](t)(s.User(t.Context(), 1)).Identities); n != 1 {
		t.Errorf("%d identities", n)
	}
}

func turns(t *testing.T, w *World) {
	w.Config.PasswordWorkers, w.Config.PasswordWait = 1, 0
	w.Config.PasswordMemory, w.Config.PasswordRounds = 8192, 4
	s := w.Open(Noon)
	account(t, s, "ann@example.org")
	const callers = 30
	errs := make(chan error, callers)
	for range callers {
		go func() {
			_, err := s.LoginPassword(t.Context(), "ann@example.org", password, here(1))
			errs <- err
		}()
	}
	var good, refused int
	for range callers {
		switch err := <-errs; {
		case err == nil:
			good++
		case game.KindOf(err) == game.Limited:
			refused++
		default:
			t.Error(err)
		}
	}
	if good == 0 || refused == 0 {
		t.Errorf("of %d at once %d signed in and %d were refused", callers, good, refused)
	}
	must[game.Login](t)(s.LoginPassword(t.Context(), "ann@example.org", password, here(1)))
}
