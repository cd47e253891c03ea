package oidc_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/oidc"
)

// realProvider is the real provider as a client of its configuration.
func realProvider(t *testing.T, issuer string) game.OIDCProvider {
	return game.OIDCProvider{Issuer: issuer, ClientID: "web", ClientSecretFile: secretFile(t, "secret"), Redirects: []string{callback}, Scopes: []string{"openid", "email", "profile"}}
}

func TestSignInWithARealProvider(t *testing.T) {
	t.Parallel()
	issuer, stop := op(t)
	another, _ := op(t)
	r, c := party(t, map[string]game.OIDCProvider{"zitadel": realProvider(t, issuer), "another": realProvider(t, another),
		"public": {Issuer: issuer, ClientID: "app", Redirects: []string{callback}}})
	ctx := t.Context()
	start, err := r.Begin(ctx, "zitadel", "", "/world")
	if err != nil {
		t.Fatal(err)
	}
	back := browser(t, start.URL)
	s, next, err := r.Finish(ctx, "zitadel", start.Cookie, back)
	if err != nil || s.Pair != (game.Pair{Provider: "zitadel", Subject: "id2"}) || next != "/world" {
		t.Fatalf("Finish = %+v, %q, %v", s, next, err)
	}

	t.Run("the same answer again", func(t *testing.T) {
		_, _, err := r.Finish(ctx, "zitadel", start.Cookie, back)
		wants(t, err, game.Unauthenticated, "Finish again")
		// Also the provider refuses it, when it comes to another server that has not seen it.
		fresh, _ := party(t, map[string]game.OIDCProvider{"zitadel": realProvider(t, issuer)})
		_, _, err = fresh.Finish(ctx, "zitadel", start.Cookie, back)
		wants(t, err, game.Unauthenticated, "a code used twice")
	})
	begin := func(t *testing.T, provider game.Provider) (oidc.Start, url.Values) {
		t.Helper()
		start, err := r.Begin(ctx, provider, callback, "")
		if err != nil {
			t.Fatal(err)
		}
		return start, browser(t, start.URL)
	}
	t.Run("a public client", func(t *testing.T) {
		start, back := begin(t, "public")
		if s, _, err := r.Finish(ctx, "public", start.Cookie, back); err != nil || s.Pair.Provider != "public" {
			t.Errorf("Finish = %+v, %v", s, err)
		}
	})
	t.Run("mixed up", func(t *testing.T) {
		a, backA := begin(t, "zitadel")
		b, backB := begin(t, "another")
		_, _, err := r.Finish(ctx, "another", a.Cookie, backA)
		wants(t, err, game.Invalid, "an answer at another provider's address")
		_, _, err = r.Finish(ctx, "zitadel", a.Cookie, backB)
		wants(t, err, game.Invalid, "another sign-in's answer")
		// The attacker knows the state, and puts the code of another provider in.
		_, _, err = r.Finish(ctx, "zitadel", a.Cookie, url.Values{"state": backA["state"], "code": backB["code"]})
		wants(t, err, game.Unauthenticated, "a code of another provider")
		_, _, err = r.Finish(ctx, "another", b.Cookie, url.Values{"state": backB["state"], "code": backB["code"], "iss": {issuer}})
		wants(t, err, game.Invalid, "an answer that another issuer signs")
		// A code of another sign-in at the same provider has another PKCE challenge.
		c, backC := begin(t, "zitadel")
		_, backD := begin(t, "zitadel")
		_, _, err = r.Finish(ctx, "zitadel", c.Cookie, url.Values{"state": backC["state"], "code": backD["code"]})
		wants(t, err, game.Unauthenticated, "another sign-in's code")
	})
	t.Run("an ID token for a native client", func(t *testing.T) {
		native(t, r, c, issuer)
	})
	t.Run("a start that is too old", func(t *testing.T) {
		start, back := begin(t, "zitadel")
		c.pass(11 * time.Minute)
		defer c.pass(-11 * time.Minute)
		_, _, err := r.Finish(ctx, "zitadel", start.Cookie, back)
		wants(t, err, game.Invalid, "Finish after eleven minutes")
	})
	t.Run("the provider is away", func(t *testing.T) {
		start, back := begin(t, "zitadel")
		stop()
		_, _, err := r.Finish(ctx, "zitadel", start.Cookie, back)
		wants(t, err, game.Unavailable, "Finish")
		fresh, _ := party(t, map[string]game.OIDCProvider{"zitadel": realProvider(t, issuer)})
		_, err = fresh.Begin(ctx, "zitadel", "", "")
		wants(t, err, game.Unavailable, "Begin")
	})
}

// native gets an ID token as a native library would, and posts it.
func native(t *testing.T, r *oidc.RelyingParty, c *clock, issuer string) {
	nonce := strings.Repeat("n", 20)
	get := func(client, secret string) string {
		q := url.Values{"client_id": {client}, "redirect_uri": {callback}, "response_type": {"code"}, "scope": {"openid"}, "state": {"s"}, "nonce": {nonce}}
		back := browser(t, issuer+"/auth?"+q.Encode())
		req, err := http.NewRequest(http.MethodPost, issuer+"/oauth/token", strings.NewReader(url.Values{"grant_type": {"authorization_code"}, "code": back["code"], "redirect_uri": {callback}}.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		req.SetBasicAuth(client, secret)
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		var answer struct {
			IDToken string `json:"id_token"`
		}
		body, _ := io.ReadAll(resp.Body)
		if json.Unmarshal(body, &answer) != nil || answer.IDToken == "" {
			t.Fatalf("no ID token: %s: %.300s", resp.Status, body)
		}
		return answer.IDToken
	}
	ctx := t.Context()
	text := get("web", "secret")
	_, err := r.Verify(ctx, "another", text, nonce)
	wants(t, err, game.Unauthenticated, "a token of another issuer, whose key has perhaps the same name")
	_, err = r.Verify(ctx, "zitadel", text, strings.Repeat("m", 20))
	wants(t, err, game.Unauthenticated, "another nonce")
	_, err = r.Verify(ctx, "zitadel", text, "")
	wants(t, err, game.Invalid, "no nonce")
	c.pass(2 * time.Hour)
	_, err = r.Verify(ctx, "zitadel", text, nonce)
	wants(t, err, game.Unauthenticated, "an expired token")
	c.pass(-2 * time.Hour)
	if s, err := r.Verify(ctx, "zitadel", text, nonce); err != nil || s.Pair.Subject != "id2" {
		t.Errorf("Verify = %+v, %v", s, err)
	}
	_, err = r.Verify(ctx, "zitadel", text, nonce)
	wants(t, err, game.Unauthenticated, "the same token again")
	_, err = r.Verify(ctx, "zitadel", get("other", "secret2"), nonce)
	wants(t, err, game.Unauthenticated, "a token for another client of the issuer")
	_, err = r.Verify(ctx, "nobody", text, nonce)
	wants(t, err, game.NotFound, "an unknown provider")
}

// TestForgedTokens signs what a real issuer would not.
func TestForgedTokens(t *testing.T) {
	t.Parallel()
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	f := newFake(t)
	f.publish(public(rsaKey, "rsa", jose.RS256), public(ecKey, "ec", jose.ES256), jose.JSONWebKey{Key: []byte("a secret that somebody published"), KeyID: "hmac", Algorithm: "HS256"})
	r, _ := party(t, map[string]game.OIDCProvider{"fake": {Issuer: f.URL, ClientID: "web", ClientSecretFile: secretFile(t, "our secret, with 32 bytes or more"), Audiences: []string{"ios"}}})
	nonce := strings.Repeat("n", 20)
	sum := sha256.Sum256([]byte(nonce))
	now := time.Now()
	serial := 0
	claims := func(change map[string]any) map[string]any {
		serial++
		c := map[string]any{"iss": f.URL, "sub": "somebody", "aud": "web", "iat": now.Unix(), "exp": now.Add(time.Hour).Unix(), "nonce": nonce, "jti": serial}
		for k, v := range change {
			if c[k] = v; v == nil {
				delete(c, k)
			}
		}
		return c
	}
	good := func(change map[string]any) string { return sign(t, jose.ES256, ecKey, "ec", claims(change)) }
	for name, text := range map[string]string{
		"ES256":                        good(nil),
		"RS256":                        sign(t, jose.RS256, rsaKey, "rsa", claims(nil)),
		"without the key's name":       sign(t, jose.ES256, ecKey, "", claims(nil)),
		"for a further audience":       good(map[string]any{"aud": "ios"}),
		"for two, with us as party":    good(map[string]any{"aud": []string{"web", "api"}, "azp": "web"}),
		"with the nonce's digest":      good(map[string]any{"nonce": hex.EncodeToString(sum[:])}),
		"with the digest in base64url": good(map[string]any{"nonce": base64.RawURLEncoding.EncodeToString(sum[:])}),
	} {
		if s, err := r.Verify(t.Context(), "fake", text, nonce); err != nil || s.Pair.Subject != "somebody" {
			t.Errorf("the control, a token %s: Verify = %+v, %v", name, s, err)
		}
	}
	der, err := x509.MarshalPKIXPublicKey(rsaKey.Public())
	if err != nil {
		t.Fatal(err)
	}
	pemKey := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	b64 := func(v any) string {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return base64.RawURLEncoding.EncodeToString(b)
	}
	stranger, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	embedded, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: stranger}, &jose.SignerOptions{EmbedJWK: true})
	if err != nil {
		t.Fatal(err)
	}
	withKey, err := jwt.Signed(embedded).Claims(claims(nil)).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(good(nil), ".")
	for name, text := range map[string]string{
		"with algorithm none":             b64(map[string]any{"alg": "none"}) + "." + b64(claims(nil)) + ".",
		"with algorithm none and a key":   b64(map[string]any{"alg": "none", "kid": "ec"}) + "." + b64(claims(nil)) + "." + parts[2],
		"with HMAC of the public key":     sign(t, jose.HS256, pemKey, "rsa", claims(nil)),
		"with HMAC of our secret":         sign(t, jose.HS256, []byte("our secret, with 32 bytes or more"), "", claims(nil)),
		"with HMAC of a published secret": sign(t, jose.HS256, []byte("a secret that somebody published"), "hmac", claims(nil)),
		"of a stranger's key":             sign(t, jose.ES256, stranger, "ec", claims(nil)),
		"of a stranger's key, unnamed":    sign(t, jose.ES256, stranger, "", claims(nil)),
		"of a key that it brings along":   withKey,
		"of an algorithm not its key's":   sign(t, jose.PS256, rsaKey, "rsa", claims(nil)),
		"with other claims":               parts[0] + "." + b64(claims(map[string]any{"sub": "else"})) + "." + parts[2],
		"of another issuer":               good(map[string]any{"iss": "https://issuer.example"}),
		"of an issuer that looks like it": good(map[string]any{"iss": f.URL + "/"}),
		"without an issuer":               good(map[string]any{"iss": nil}),
		"for another client":              good(map[string]any{"aud": "api"}),
		"for nobody":                      good(map[string]any{"aud": nil}),
		"for two, without a party":        good(map[string]any{"aud": []string{"web", "api"}}),
		"for us, given to another party":  good(map[string]any{"azp": "api"}),
		"with another nonce":              good(map[string]any{"nonce": strings.Repeat("m", 20)}),
		"without a nonce":                 good(map[string]any{"nonce": nil}),
		"expired":                         good(map[string]any{"exp": now.Add(-time.Minute).Unix()}),
		"without an end":                  good(map[string]any{"exp": nil}),
		"of tomorrow":                     good(map[string]any{"iat": now.Add(24 * time.Hour).Unix(), "exp": now.Add(25 * time.Hour).Unix()}),
		"of the day before yesterday":     good(map[string]any{"iat": now.Add(-48 * time.Hour).Unix()}),
		"not valid yet":                   good(map[string]any{"nbf": now.Add(time.Hour).Unix()}),
		"without a subject":               good(map[string]any{"sub": nil}),
		"with a long subject":             good(map[string]any{"sub": strings.Repeat("x", 256)}),
		"that is too large":               good(map[string]any{"picture": strings.Repeat("x", 20000)}),
		"of nothing":                      "",
		"in JSON serialization":           `{"payload":"` + parts[1] + `","protected":"` + parts[0] + `","signature":"` + parts[2] + `"}`,
	} {
		s, err := r.Verify(t.Context(), "fake", text, nonce)
		if game.KindOf(err) != game.Unauthenticated {
			t.Errorf("a token %s: Verify = %+v, %v", name, s, err)
		}
	}
}

func TestKeysAreAskedForSeldom(t *testing.T) {
	t.Parallel()
	first, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	second, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	f := newFake(t)
	f.publish(public(first, "1", jose.ES256))
	r, c := party(t, map[string]game.OIDCProvider{"fake": {Issuer: f.URL, ClientID: "web"}})
	nonce := strings.Repeat("n", 20)
	serial := 0
	verify := func(key *ecdsa.PrivateKey, kid string) error {
		serial++
		now := c.now()
		_, err := r.Verify(t.Context(), "fake", sign(t, jose.ES256, key, kid, map[string]any{
			"iss": f.URL, "sub": "x", "aud": "web", "iat": now.Unix(), "exp": now.Add(time.Hour).Unix(), "nonce": nonce, "jti": serial}), nonce)
		return err
	}
	for range 5 {
		if err := verify(first, "1"); err != nil {
			t.Fatal(err)
		}
	}
	if m, k := f.fetches.meta.Load(), f.fetches.keys.Load(); m != 1 || k != 1 {
		t.Errorf("for 5 tokens: %d fetches of metadata, %d of keys, want 1 and 1", m, k)
	}
	for i := range 20 {
		wants(t, verify(second, fmt.Sprint("made up ", i)), game.Unauthenticated, "a key that is not known")
	}
	if k := f.fetches.keys.Load(); k > 2 {
		t.Errorf("20 unknown keys made %d fetches, want at most 2", k)
	}
	f.publish(public(first, "1", jose.ES256), public(second, "2", jose.ES256))
	c.pass(11 * time.Second)
	if err := verify(second, "2"); err != nil {
		t.Errorf("a key that is new: %v", err)
	}
	f.publish(public(second, "2", jose.ES256))
	c.pass(61 * time.Minute)
	wants(t, verify(first, "1"), game.Unauthenticated, "a key that is gone")
	f.server.Close()
	c.pass(2 * time.Hour)
	if err := verify(second, "2"); err != nil {
		t.Errorf("while the issuer is away: %v", err)
	}
	c.pass(25 * time.Hour)
	wants(t, verify(second, "2"), game.Unavailable, "when it is away for a day")
}

func TestBadIssuers(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]map[string]any{
		"another issuer's description": {"issuer": "https://issuer.example"},
		"an endpoint in clear":         {"token_endpoint": "http://issuer.example/token"},
		"an endpoint that is none":     {"jwks_uri": "file:///etc/passwd"},
		"no endpoint":                  {"authorization_endpoint": nil},
		"a large description":          {"filler": strings.Repeat("x", 2<<20)},
	} {
		f := newFake(t)
		f.describe(change)
		r, _ := party(t, map[string]game.OIDCProvider{"fake": {Issuer: f.URL, ClientID: "web", Redirects: []string{callback}}})
		_, err := r.Begin(t.Context(), "fake", "", "")
		wants(t, err, game.Unavailable, name)
		_, err = r.Begin(t.Context(), "fake", "", "")
		wants(t, err, game.Unavailable, name+", again")
		if n := f.fetches.meta.Load(); n != 1 {
			t.Errorf("%s: it was asked %d times within seconds", name, n)
		}
	}
}

func TestBegin(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	r, _ := party(t, map[string]game.OIDCProvider{"fake": {Issuer: f.URL, ClientID: "web", Redirects: []string{callback}}})
	s, err := r.Begin(t.Context(), "fake", "", "/x")
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	if q.Get("code_challenge_method") != "S256" || len(q.Get("code_challenge")) != 43 || len(q.Get("state")) != 43 || len(q.Get("nonce")) != 43 || q.Get("scope") != "openid" || q.Get("redirect_uri") != callback {
		t.Errorf("URL = %s", s.URL)
	}
	for _, secret := range []string{q.Get("state"), q.Get("nonce")} {
		if strings.Contains(s.Cookie, secret) {
			t.Error("the cookie shows what it holds")
		}
	}
	_, err = r.Begin(t.Context(), "fake", "http://127.0.0.1:1/else", "")
	wants(t, err, game.Invalid, "a redirect that is not configured")
	_, err = r.Begin(t.Context(), "fake", "", strings.Repeat("x", 513))
	wants(t, err, game.Invalid, "a long next")
	_, err = r.Begin(t.Context(), "nobody", "", "")
	wants(t, err, game.NotFound, "an unknown provider")
	for name, query := range map[string]url.Values{
		"no state":        {"code": {"x"}},
		"another state":   {"code": {"x"}, "state": {strings.Repeat("A", 43)}},
		"no code":         {"state": {q.Get("state")}},
		"a long code":     {"state": {q.Get("state")}, "code": {strings.Repeat("x", 5000)}},
		"another issuer":  {"state": {q.Get("state")}, "code": {"x"}, "iss": {"https://issuer.example"}},
		"an empty issuer": {"state": {q.Get("state")}, "code": {"x"}, "iss": {""}},
	} {
		_, _, err := r.Finish(t.Context(), "fake", s.Cookie, query)
		wants(t, err, game.Invalid, name)
	}
	_, _, err = r.Finish(t.Context(), "fake", s.Cookie, url.Values{"state": {q.Get("state")}, "error": {"access_denied<script>"}})
	wants(t, err, game.Denied, "a refusal")
	if strings.Contains(err.Error(), "<") {
		t.Errorf("the issuer's text is passed on: %v", err)
	}
	for _, cookie := range []string{"", "x", s.Cookie[:len(s.Cookie)-1], s.Cookie + "A", "A" + s.Cookie[1:], strings.Repeat("A", 5000)} {
		if cookie == s.Cookie {
			continue
		}
		_, _, err := r.Finish(t.Context(), "fake", cookie, url.Values{"state": {q.Get("state")}, "code": {"x"}})
		wants(t, err, game.Invalid, "a cookie that is not ours")
	}
	if n := f.fetches.token.Load(); n != 0 {
		t.Errorf("%d codes were exchanged", n)
	}
}

// TestPresets looks at how the known issuers want the secret, with issuers that play them.
func TestPresets(t *testing.T) {
	t.Parallel()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	p8 := secretFile(t, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})))
	const channel = "0123456789abcdef0123456789abcdef"
	for _, c := range []struct {
		name string
		cfg  game.OIDCProvider
		auth []string
		sign func(claims map[string]any) string
		saw  func(form url.Values) error
	}{
		{"apple", game.OIDCProvider{Preset: "apple", ClientSecretFile: p8, TeamID: "TEAM", KeyID: "KEY"}, []string{"client_secret_post"},
			func(claims map[string]any) string { return sign(t, jose.ES256, key, "k", claims) },
			func(form url.Values) error {
				parsed, err := jwt.ParseSigned(form.Get("client_secret"), []jose.SignatureAlgorithm{jose.ES256})
				if err != nil {
					return err
				}
				var got jwt.Claims
				if err := parsed.Claims(key.Public(), &got); err != nil {
					return err
				}
				if got.Issuer != "TEAM" || got.Subject != "web" || parsed.Headers[0].KeyID != "KEY" || got.Expiry.Time().Sub(got.IssuedAt.Time()) > 10*time.Minute {
					return fmt.Errorf("client secret %+v", got)
				}
				return nil
			}},
		{"line", game.OIDCProvider{Preset: "line", ClientSecretFile: secretFile(t, channel)}, []string{"client_secret_post"},
			func(claims map[string]any) string { return sign(t, jose.HS256, []byte(channel), "", claims) },
			func(form url.Values) error {
				if form.Get("client_secret") != channel {
					return fmt.Errorf("client_secret %q", form.Get("client_secret"))
				}
				return nil
			}},
		{"google", game.OIDCProvider{Preset: "google", ClientSecretFile: secretFile(t, channel)}, nil,
			func(claims map[string]any) string { return sign(t, jose.ES256, key, "k", claims) },
			func(form url.Values) error {
				if form.Get("basic") != "web:"+channel || form.Get("client_secret") != "" {
					return fmt.Errorf("basic %q", form.Get("basic"))
				}
				return nil
			}},
	} {
		f := newFake(t)
		f.publish(public(key, "k", jose.ES256))
		if c.auth != nil {
			f.describe(map[string]any{"token_endpoint_auth_methods_supported": c.auth})
		}
		c.cfg.Issuer, c.cfg.ClientID, c.cfg.Redirects = f.URL, "web", []string{callback}
		r, _ := party(t, map[string]game.OIDCProvider{c.name: c.cfg})
		start, err := r.Begin(t.Context(), game.Provider(c.name), "", "")
		if err != nil {
			t.Fatal(err)
		}
		u, _ := url.Parse(start.URL)
		claims := map[string]any{"iss": f.URL, "sub": "x", "aud": "web", "iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix(), "nonce": u.Query().Get("nonce")}
		answer := func(form url.Values) (int, map[string]any) {
			if err := c.saw(form); err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
			sum := sha256.Sum256([]byte(form.Get("code_verifier")))
			if base64.RawURLEncoding.EncodeToString(sum[:]) != u.Query().Get("code_challenge") || form.Get("redirect_uri") != callback {
				t.Errorf("%s: the verifier is not the challenge's: %v", c.name, form)
			}
			return 200, map[string]any{"access_token": "x", "token_type": "Bearer", "id_token": c.sign(claims)}
		}
		f.token.Store(&answer)
		if s, _, err := r.Finish(t.Context(), game.Provider(c.name), start.Cookie, url.Values{"state": u.Query()["state"], "code": {"c"}}); err != nil || s.Pair != (game.Pair{Provider: game.Provider(c.name), Subject: "x"}) {
			t.Errorf("%s: Finish = %+v, %v", c.name, s, err)
		}
		asked := f.fetches.token.Load()
		_, _, err = r.Finish(t.Context(), game.Provider(c.name), start.Cookie, url.Values{"state": u.Query()["state"], "code": {"c"}})
		wants(t, err, game.Unauthenticated, "the same answer again, of an issuer that takes a code twice")
		if f.fetches.token.Load() != asked {
			t.Errorf("%s: it was asked about a code twice", c.name)
		}
		if c.name == "line" { // a client can post no token that the secret signs
			claims["nonce"] = strings.Repeat("n", 20)
			_, err := r.Verify(t.Context(), "line", c.sign(claims), strings.Repeat("n", 20))
			wants(t, err, game.Unauthenticated, "an HS256 token that a client posts")
		}
		start, _ = r.Begin(t.Context(), game.Provider(c.name), "", "")
		u, _ = url.Parse(start.URL)
		broken := func(url.Values) (int, map[string]any) { return 500, map[string]any{"error": "server_error"} }
		f.token.Store(&broken)
		_, _, err = r.Finish(t.Context(), game.Provider(c.name), start.Cookie, url.Values{"state": u.Query()["state"], "code": {"c"}})
		wants(t, err, game.Unavailable, "a token endpoint that fails")
	}
}

func TestBadConfigurations(t *testing.T) {
	t.Parallel()
	for name, cfg := range map[string]game.OIDCProvider{
		"no file":              {Issuer: "https://issuer.example", ClientSecretFile: "/nonexistent"},
		"an empty file":        {Issuer: "https://issuer.example", ClientSecretFile: secretFile(t, "")},
		"a large file":         {Issuer: "https://issuer.example", ClientSecretFile: secretFile(t, strings.Repeat("x", 20000))},
		"no key":               {Preset: "apple", ClientSecretFile: secretFile(t, "secret")},
		"an issuer in clear":   {Issuer: "http://issuer.example"},
		"an issuer with query": {Issuer: "https://issuer.example/?x=1"},
	} {
		if _, err := oidc.New(oidc.Deps{Providers: map[string]game.OIDCProvider{"x": cfg}, StateKey: make([]byte, 32), Log: slog.New(slog.DiscardHandler)}); err == nil {
			t.Errorf("a provider with %s is taken", name)
		}
	}
	if _, err := oidc.New(oidc.Deps{StateKey: make([]byte, 16)}); err == nil {
		t.Error("a short key is taken")
	}
}

func FuzzFinish(f *testing.F) {
	r, err := oidc.New(oidc.Deps{Log: slog.New(slog.DiscardHandler), StateKey: make([]byte, 32), Providers: map[string]game.OIDCProvider{"x": {Issuer: "https://issuer.invalid", ClientID: "x"}}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add("AAAA", "state=x&code=y")
	f.Fuzz(func(t *testing.T, cookie, query string) {
		q, err := url.ParseQuery(query)
		if err != nil {
			return
		}
		if _, _, err := r.Finish(t.Context(), "x", cookie, q); game.KindOf(err) != game.Invalid {
			t.Errorf("Finish(%q, %q) = %v", cookie, query, err)
		}
	})
}
