package token_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"aidanwoods.dev/go-paseto"
	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/kamado/kamado/internal/token"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func key(t testing.TB, n byte) token.Key {
	t.Helper()
	k, err := token.FromSeed(bytes.Repeat([]byte{n}, ed25519.SeedSize))
	if err != nil {
		t.Fatal(err)
	}
	k.Created, k.Signs, k.Retires, k.Ends = noon.Add(-time.Hour), noon.Add(-time.Hour), noon.Add(time.Hour), noon.Add(2*time.Hour)
	return k
}

func ring(t testing.TB, keys ...token.Key) *token.Ring {
	t.Helper()
	r, err := token.NewRing(keys)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func claims() token.Claims {
	return token.Claims{
		Subject: "1234", Audience: "game", Issuer: "world", Issued: noon, Expires: noon.Add(10 * time.Minute),
		ID: "id", Session: "s1", Extra: map[string]string{"mute": "5"},
	}
}

func mint(t testing.TB, r *token.Ring, c token.Claims) string {
	t.Helper()
	text, err := r.Mint(c, noon)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func config() token.Config {
	return token.Config{Issuer: "world", Audience: "game", Leeway: 5 * time.Second, LifeMax: 15 * time.Minute, CacheMax: 64}
}

func same(a, b *token.Claims) bool {
	return a.Subject == b.Subject && a.Audience == b.Audience && a.Issuer == b.Issuer && a.Issued.Equal(b.Issued) && a.Expires.Equal(b.Expires) &&
		a.ID == b.ID && a.Session == b.Session && maps.Equal(a.Extra, b.Extra)
}

func TestVerifyGivesWhatWasMinted(t *testing.T) {
	t.Parallel()
	r := ring(t, key(t, 1))
	v := token.NewVerifier(config(), r)
	want := claims()
	for i := range 2 { // the second one is remembered
		got, err := v.Verify(mint(t, r, want), noon)
		if err != nil || !same(got, &want) {
			t.Errorf("Verify %d = %+v, %v, want %+v", i, got, err, want)
		}
	}
	text, err := r.MintJWT(want, noon)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := v.VerifyJWT(text, "game", noon); err != nil || !same(got, &want) {
		t.Errorf("VerifyJWT = %+v, %v, want %+v", got, err, want)
	}
}

// forge signs a payload with any key and footer, as somebody with the library would.
func forge(t *testing.T, k token.Key, payload, footer string) string {
	t.Helper()
	secret, err := paseto.NewV4AsymmetricSecretKeyFromEd25519(k.Private)
	if err != nil {
		t.Fatal(err)
	}
	p, err := paseto.NewTokenFromClaimsJSON([]byte(payload), []byte(footer))
	if err != nil {
		t.Fatal(err)
	}
	return p.V4Sign(secret, nil)
}

func TestTokensThatAreNotBelieved(t *testing.T) {
	t.Parallel()
	ours, other, stranger := key(t, 1), key(t, 2), key(t, 3)
	r := ring(t, ours, other)
	good := mint(t, ring(t, ours), claims())
	with := func(change func(*token.Claims)) string {
		c := claims()
		change(&c)
		return mint(t, r, c)
	}
	payload := `{"iss":"world","sub":"1","aud":"game","iat":"2026-03-01T12:00:00Z","exp":"2026-03-01T12:10:00Z","jti":"x"}`
	kid := func(k token.Key) string { return `{"kid":"` + k.ID + `"}` }
	local := paseto.NewToken()
	local.SetFooter([]byte(kid(ours)))
	var public [32]byte
	copy(public[:], ours.Public())
	symmetric, err := paseto.V4SymmetricKeyFromBytes(public[:])
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, text string
		at         time.Time
		want       error
	}{
		{"a moment before its end and the leeway", good, noon.Add(10*time.Minute + 4*time.Second), nil},
		{"at its end and the leeway", good, noon.Add(10*time.Minute + 5*time.Second), token.ErrExpired},
		{"issued by a clock that is a little ahead", good, noon.Add(-5 * time.Second), nil},
		{"when the clock was set back an hour", good, noon.Add(-time.Hour), token.ErrFuture},
		{"for another audience", with(func(c *token.Claims) { c.Audience = "shop" }), noon, token.ErrAudience},
		{"of another issuer", with(func(c *token.Claims) { c.Issuer = "else" }), noon, token.ErrIssuer},
		{"with too long a life", with(func(c *token.Claims) { c.Expires = noon.Add(16 * time.Minute) }), noon, token.ErrMalformed},
		{"of a key that is not in the ring", forge(t, stranger, payload, kid(stranger)), noon, token.ErrUnknownKey},
		{"of a stranger's key under our key's name", forge(t, stranger, payload, kid(ours)), noon, token.ErrSignature},
		{"of our key under the name of our other one", forge(t, ours, payload, kid(other)), noon, token.ErrSignature},
		{"with a footer that says more", forge(t, ours, payload, `{"kid":"`+ours.ID+`","alg":"none"}`), noon, token.ErrUnknownKey},
		{"with a footer in other white space", forge(t, ours, payload, `{"kid": "`+ours.ID+`"}`), noon, token.ErrUnknownKey},
		{"without a footer", forge(t, ours, payload, ""), noon, token.ErrMalformed},
		{"without a subject", forge(t, ours, strings.Replace(payload, `"sub":"1",`, "", 1), kid(ours)), noon, token.ErrMalformed},
		{"with times that are numbers", forge(t, ours, strings.Replace(payload, `"2026-03-01T12:10:00Z"`, "99999999999", 1), kid(ours)), noon, token.ErrMalformed},
		{"without an end", forge(t, ours, strings.Replace(payload, `"exp":"2026-03-01T12:10:00Z",`, "", 1), kid(ours)), noon, token.ErrMalformed},
		{"encrypted with the public key as the secret", local.V4Encrypt(symmetric, nil), noon, token.ErrMalformed},
		{"of version 3", strings.Replace(good, "v4.", "v3.", 1), noon, token.ErrMalformed},
		{"with a fifth part", good + ".e30", noon, token.ErrMalformed},
		{"with a line end", good[:20] + "\n" + good[20:], noon, token.ErrSignature},
		{"with a letter changed", good[:30] + "_" + good[31:], noon, token.ErrSignature},
		{"cut off", good[:len(good)/2], noon, token.ErrMalformed},
		{"empty", "", noon, token.ErrMalformed},
		{"too long", good + strings.Repeat("A", token.BytesMax), noon, token.ErrMalformed},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, how := range []string{"new", "remembered"} {
				v := token.NewVerifier(config(), r)
				if how == "remembered" {
					v.Verify(c.text, noon) //nolint:errcheck // it is asked again below
				}
				if _, err := v.Verify(c.text, c.at); !errors.Is(err, c.want) {
					t.Errorf("Verify of a %s one = %v, want %v", how, err, c.want)
				}
			}
		})
	}
}

// TestJWTAlgorithms tries the attacks of RFC 8725 2.1: none, and HMAC with the public key.
func TestJWTAlgorithms(t *testing.T) {
	t.Parallel()
	k := key(t, 1)
	r := ring(t, k)
	good, err := r.MintJWT(claims(), noon)
	if err != nil {
		t.Fatal(err)
	}
	v := token.NewVerifier(config(), r)
	b64 := base64.RawURLEncoding.EncodeToString
	parts := strings.Split(good, ".")
	mac := func(header string, secret []byte) string {
		signed := b64([]byte(header)) + "." + parts[1]
		m := hmac.New(sha256.New, secret)
		m.Write([]byte(signed))
		return signed + "." + b64(m.Sum(nil))
	}
	none := b64([]byte(`{"alg":"none","kid":"`+k.ID+`","typ":"JWT"}`)) + "." + parts[1] + "."
	for name, text := range map[string]string{
		"no algorithm":                         none,
		"no algorithm, with the signature":     none + parts[2],
		"HMAC with the public key":             mac(`{"alg":"HS256","kid":"`+k.ID+`","typ":"JWT"}`, k.Public()),
		"our header, HMAC with the public key": parts[0] + "." + parts[1] + "." + b64(append(hmacOf(k.Public(), parts[0]+"."+parts[1]), make([]byte, 32)...)),
		"a key in the header":                  b64([]byte(`{"alg":"EdDSA","jwk":{},"kid":"`+k.ID+`","typ":"JWT"}`)) + "." + parts[1] + "." + parts[2],
		"no signature":                         parts[0] + "." + parts[1] + ".",
		"other claims":                         parts[0] + "." + b64([]byte(`{"sub":"1"}`)) + "." + parts[2],
		"bits left over":                       good[:len(good)-1] + string(good[len(good)-1]+1),
		"a PASETO":                             mint(t, r, claims()),
	} {
		if _, err := v.VerifyJWT(text, "game", noon); err == nil {
			t.Errorf("a JWT with %s is believed", name)
		}
	}
	if _, err := v.VerifyJWT(good, "shop", noon); !errors.Is(err, token.ErrAudience) {
		t.Errorf("a JWT for another audience: %v", err)
	}
	if _, err := v.Verify(good, noon); !errors.Is(err, token.ErrMalformed) {
		t.Errorf("a JWT where a PASETO is wanted: %v", err)
	}
}

func hmacOf(secret []byte, text string) []byte {
	m := hmac.New(sha256.New, secret)
	m.Write([]byte(text))
	return m.Sum(nil)
}

// TestOthersReadIt gives JWT and key set to another library.
func TestOthersReadIt(t *testing.T) {
	t.Parallel()
	r := ring(t, key(t, 1), key(t, 2))
	text, err := r.MintJWT(claims(), noon)
	if err != nil {
		t.Fatal(err)
	}
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(r.JWKS(), &set); err != nil || len(set.Keys) != 2 {
		t.Fatalf("key set of %d keys, %v", len(set.Keys), err)
	}
	parsed, err := jwt.ParseSigned(text, []jose.SignatureAlgorithm{jose.EdDSA})
	if err != nil {
		t.Fatal(err)
	}
	var got jwt.Claims
	if err := parsed.Claims(set, &got); err != nil || got.Subject != "1234" {
		t.Fatalf("Claims = %+v, %v", got, err)
	}
	if err := got.ValidateWithLeeway(jwt.Expected{Issuer: "world", AnyAudience: jwt.Audience{"game"}, Time: noon}, 0); err != nil {
		t.Error(err)
	}
	if bytes.Contains(r.JWKS(), []byte(`"d"`)) {
		t.Error("the key set holds a secret key")
	}
}

func TestKeyRotation(t *testing.T) {
	t.Parallel()
	first, second := key(t, 1), key(t, 2)
	second.Signs, second.Retires, second.Ends = noon.Add(time.Hour), noon.Add(3*time.Hour), noon.Add(4*time.Hour)
	both := ring(t, first, second)
	footer := func(text string) string { return text[strings.LastIndex(text, ".")+1:] }
	at := func(d time.Duration) string {
		c := claims()
		c.Issued, c.Expires = noon.Add(d), noon.Add(d+10*time.Minute)
		text, err := both.Mint(c, noon.Add(d))
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	before, after := at(time.Hour-time.Second), at(time.Hour)
	if footer(before) != footer(mint(t, ring(t, first), claims())) || footer(after) == footer(before) {
		t.Error("the second key does not sign from its time on")
	}
	if f := footer(at(-24 * time.Hour)); f != footer(before) {
		t.Error("with a clock before all keys the first one does not sign")
	}
	if f := footer(at(24 * time.Hour)); f != footer(after) {
		t.Error("with a clock after all keys the last one does not sign")
	}
	v := token.NewVerifier(config(), both)
	if _, err := v.Verify(before, noon.Add(time.Hour)); err != nil {
		t.Errorf("a token of the old key: %v", err)
	}
	v.SetRing(ring(t, second))
	if _, err := v.Verify(before, noon.Add(time.Hour)); !errors.Is(err, token.ErrUnknownKey) {
		t.Errorf("a remembered token of a key that is gone: %v", err)
	}
}

func TestBadRings(t *testing.T) {
	t.Parallel()
	k := key(t, 1)
	swapped := key(t, 2)
	swapped.ID = k.ID
	for name, keys := range map[string][]token.Key{
		"a key twice": {k, k}, "another key's id": {swapped}, "no key": {{ID: "x"}}, "too many": make([]token.Key, token.KeysMax+1),
	} {
		if _, err := token.NewRing(keys); err == nil {
			t.Errorf("a ring with %s is made", name)
		}
	}
	if _, err := ring(t).Mint(claims(), noon); err == nil {
		t.Error("an empty ring signs")
	}
	if _, err := token.FromSeed(make([]byte, 31)); err == nil {
		t.Error("a short seed is taken")
	}
}

func TestMintRefusesNonsense(t *testing.T) {
	t.Parallel()
	r := ring(t, key(t, 1))
	for name, change := range map[string]func(*token.Claims){
		"no subject":          func(c *token.Claims) { c.Subject = "" },
		"a long subject":      func(c *token.Claims) { c.Subject = strings.Repeat("x", 256) },
		"no id":               func(c *token.Claims) { c.ID = "" },
		"an end at its issue": func(c *token.Claims) { c.Expires = c.Issued },
		"many claims": func(c *token.Claims) {
			c.Extra = map[string]string{}
			for i := range 9 {
				c.Extra[fmt.Sprint(i)] = "x"
			}
		},
		"more than fits": func(c *token.Claims) {
			c.Extra = map[string]string{}
			for i := range 8 {
				c.Extra[fmt.Sprint(i)] = strings.Repeat("x", 255)
			}
		},
	} {
		c := claims()
		change(&c)
		if text, err := r.Mint(c, noon); !errors.Is(err, token.ErrMalformed) {
			t.Errorf("%s: Mint = %.20q, %v", name, text, err)
		}
		if text, err := r.MintJWT(c, noon); !errors.Is(err, token.ErrMalformed) {
			t.Errorf("%s: MintJWT = %.20q, %v", name, text, err)
		}
	}
}

// gauge reads a metric.
func gauge(t *testing.T, reg *prometheus.Registry, name string) float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			return f.GetMetric()[0].GetGauge().GetValue()
		}
	}
	t.Fatalf("no metric %s", name)
	return 0
}

func TestCacheIsBoundedAndKeepsWhatIsUsed(t *testing.T) {
	t.Parallel()
	r := ring(t, key(t, 1))
	reg := prometheus.NewRegistry()
	cfg := config()
	cfg.Metrics, cfg.Namespace = reg, "kamado_game"
	v := token.NewVerifier(cfg, r)
	for i := range 500 {
		c := claims()
		c.ID = fmt.Sprint(i)
		if _, err := v.Verify(mint(t, r, c), noon); err != nil {
			t.Fatal(err)
		}
	}
	if n := gauge(t, reg, "kamado_game_token_cache_entries"); n != 64 {
		t.Errorf("%v tokens are remembered, want 64", n)
	}
	cfg = config()
	cfg.CacheMax = 0
	v = token.NewVerifier(cfg, r)
	for range 2 {
		if _, err := v.Verify(mint(t, r, claims()), noon); err != nil {
			t.Errorf("without a cache: %v", err)
		}
	}
}

func TestVerifyAgainAllocatesNothing(t *testing.T) {
	r := ring(t, key(t, 1))
	v := token.NewVerifier(config(), r)
	text := mint(t, r, claims())
	if n := testing.AllocsPerRun(100, func() {
		if _, err := v.Verify(text, noon); err != nil {
			t.Fatal(err)
		}
	}); n > 0 {
		t.Errorf("a remembered token costs %v allocations, want none", n)
	}
}

func BenchmarkVerify(b *testing.B) {
	r := ring(b, key(b, 1))
	text := mint(b, r, claims())
	b.Run("remembered", func(b *testing.B) {
		v := token.NewVerifier(config(), r)
		b.ReportAllocs()
		for b.Loop() {
			if _, err := v.Verify(text, noon); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("new", func(b *testing.B) {
		cfg := config()
		cfg.CacheMax = 0
		v := token.NewVerifier(cfg, r)
		b.ReportAllocs()
		for b.Loop() {
			if _, err := v.Verify(text, noon); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkMint(b *testing.B) {
	r := ring(b, key(b, 1))
	b.ReportAllocs()
	for b.Loop() {
		mint(b, r, claims())
	}
}

func FuzzVerify(f *testing.F) {
	k := key(f, 1)
	r := ring(f, k)
	good := mint(f, r, claims())
	f.Add(good)
	f.Add(strings.Replace(good, "v4.public", "v4.local", 1))
	f.Add("v4.public..")
	v := token.NewVerifier(config(), r)
	f.Fuzz(func(t *testing.T, text string) {
		if _, err := v.Verify(text, noon); err == nil && text != good {
			t.Errorf("%q is believed", text)
		}
	})
}

func FuzzVerifyJWT(f *testing.F) {
	k := key(f, 1)
	r := ring(f, k)
	good, err := r.MintJWT(claims(), noon)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add("eyJhbGciOiJub25lIn0.e30.")
	v := token.NewVerifier(config(), r)
	f.Fuzz(func(t *testing.T, text string) {
		if _, err := v.VerifyJWT(text, "game", noon); err == nil && text != good {
			t.Errorf("%q is believed", text)
		}
	})
}
