package game

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"
)

// IdentityConfig is the [game.identity] table of the configuration.
type IdentityConfig struct {
	// Name of this world in its tokens (claim "iss"). Changed, it signs out everybody.
	Issuer string `toml:"issuer"`
	// Time that an access token is valid, at most 15 minutes. A lost token works so long, unless its session is signed out.
	AccessLife time.Duration `toml:"access_life"`
	// Time that a refresh token is valid if it is not exchanged for the next one.
	RefreshLife time.Duration `toml:"refresh_life"`
	// Time after which a session ends however often it is refreshed.
	SessionLife time.Duration `toml:"session_life"`
	// Time for which a refresh token that was exchanged gives the same answer again, for clients that did not get it.
	RefreshGrace time.Duration `toml:"refresh_grace"`
	// Sessions of one user; a further sign-in ends the one that was not used for longest.
	Sessions int `toml:"sessions"`
	// Time by which clocks of servers may differ: a token is valid so much longer, and may be issued so far ahead.
	ClockLeeway time.Duration `toml:"clock_leeway"`
	// Time that a key signs tokens, before the next one does.
	KeyLife time.Duration `toml:"key_life"`
	// Time that a key is published before it signs.
	KeyAhead time.Duration `toml:"key_ahead"`
	// Verified tokens that are remembered, about 700 bytes each.
	TokenCache int `toml:"token_cache"`
	// Audiences for which a user gets a JWT for another service.
	JWTAudiences []string `toml:"jwt_audiences"`

	// Memory of one argon2id, in KiB (m).
	PasswordMemory int `toml:"password_memory"`
	// Rounds of argon2id (t).
	PasswordRounds int `toml:"password_rounds"`
	// Passwords that are worked on at the same time; each takes PasswordMemory.
	PasswordWorkers int `toml:"password_workers"`
	// Time that a request waits for its turn with a password; further ones get 429.
	PasswordWait time.Duration `toml:"password_wait"`
	// Tries of a password for one e-mail address: so many at once, and one more each login_account_every.
	LoginAccountBurst int `toml:"login_account_burst"`
	// Time after which one more password may be tried for one e-mail address.
	LoginAccountEvery time.Duration `toml:"login_account_every"`
	// Tries of passwords from one network address (IPv6: /64): so many at once, and one more each login_address_every.
	LoginAddressBurst int `toml:"login_address_burst"`
	// Time after which one more password may be tried from one network address.
	LoginAddressEvery time.Duration `toml:"login_address_every"`
	// New users from one network address: so many at once, and one more each create_every.
	CreateBurst int `toml:"create_burst"`
	// Time after which one more user may be created from one network address.
	CreateEvery time.Duration `toml:"create_every"`

	// OpenID Connect providers: name = settings. The name is a part of its users' pairs for ever.
	Providers map[string]OIDCProvider `toml:"providers"`
}

// OIDCProvider is an OpenID Connect issuer whose users may sign in.
type OIDCProvider struct {
	// Settings that are known: google, apple, line. Empty: none.
	Preset string `toml:"preset"`
	// URL of the issuer, as it stands in its tokens. http is allowed for loopback only.
	Issuer string `toml:"issuer"`
	// Name of this world at the issuer.
	ClientID string `toml:"client_id"`
	// File with the client's secret. For Apple: the private key (.p8), with which secrets are signed. Empty: a public client.
	ClientSecretFile string `toml:"client_secret_file"`
	// Apple: the team, and the id of the private key.
	TeamID string `toml:"team_id"`
	// Apple: the id of the private key.
	KeyID string `toml:"key_id"`
	// Scopes that are asked for; openid always is.
	Scopes []string `toml:"scopes"`
	// Further client ids whose ID tokens are taken from native clients.
	Audiences []string `toml:"audiences"`
	// URLs to which the issuer sends the browser back, which it must know too. The first one is the default.
	Redirects []string `toml:"redirects"`
}

// AccessLifeMax bounds the life of an access token, and so how long a revocation is remembered.
const AccessLifeMax = 15 * time.Minute

// Presets are the settings of known issuers.
func presets() map[string]OIDCProvider {
	return map[string]OIDCProvider{
		// https://accounts.google.com/.well-known/openid-configuration
		"google": {Issuer: "https://accounts.google.com", Scopes: []string{"openid", "email"}},
		// Apple sends a form instead of a redirect when more than openid is asked for; that form would come without our cookie.
		"apple": {Issuer: "https://appleid.apple.com", Scopes: []string{"openid"}},
		// https://access.line.me/.well-known/openid-configuration
		"line": {Issuer: "https://access.line.me", Scopes: []string{"openid", "profile"}},
	}
}

// The presets with rules of their own.
const (
	PresetApple = "apple" // the client's secret is a JWT that the private key signs
	PresetLINE  = "line"  // ID tokens of the web flow have HS256 with the client's secret
)

// Resolved fills what is not set from the preset.
func (p OIDCProvider) Resolved() OIDCProvider {
	preset := presets()[p.Preset]
	if p.Issuer == "" {
		p.Issuer = preset.Issuer
	}
	if p.Scopes == nil {
		p.Scopes = slices.Clone(preset.Scopes)
	}
	if !slices.Contains(p.Scopes, "openid") {
		p.Scopes = append([]string{"openid"}, p.Scopes...)
	}
	return p
}

// DefaultIdentity suits a world of any size.
func DefaultIdentity() IdentityConfig {
	return IdentityConfig{
		Issuer: "kamado", AccessLife: 10 * time.Minute, RefreshLife: 30 * 24 * time.Hour, SessionLife: 365 * 24 * time.Hour, RefreshGrace: 30 * time.Second,
		Sessions: 32, ClockLeeway: 5 * time.Second, KeyLife: 7 * 24 * time.Hour, KeyAhead: 10 * time.Minute, TokenCache: 100_000,
		// 19 MiB and 2 rounds: OWASP's password storage cheat sheet.
		PasswordMemory: 19456, PasswordRounds: 2, PasswordWorkers: 2, PasswordWait: 2 * time.Second,
		LoginAccountBurst: 10, LoginAccountEvery: 15 * time.Second, LoginAddressBurst: 60, LoginAddressEvery: time.Second,
		CreateBurst: 5000, CreateEvery: 10 * time.Millisecond,
	}
}

// Validate gives all complaints at once.
func (c IdentityConfig) Validate() error {
	var errs []error
	complain := func(setting string, ok bool, want string) {
		if !ok {
			errs = append(errs, fmt.Errorf("%s: want %s", setting, want))
		}
	}
	span := func(setting string, v, least, most time.Duration) {
		complain(setting, v >= least && v <= most, fmt.Sprintf("%v to %v, not %v", least, most, v))
	}
	count := func(setting string, v, least, most int) {
		complain(setting, v >= least && v <= most, fmt.Sprintf("%d to %d, not %d", least, most, v))
	}
	const year = 365 * 24 * time.Hour
	complain("issuer", c.Issuer != "" && len(c.Issuer) <= 100, "1 to 100 bytes")
	span("access_life", c.AccessLife, 10*time.Second, AccessLifeMax)
	span("refresh_life", c.RefreshLife, time.Minute, year)
	span("session_life", c.SessionLife, c.RefreshLife, 10*year)
	span("refresh_grace", c.RefreshGrace, 0, 10*time.Minute)
	count("sessions", c.Sessions, 1, 1000)
	span("clock_leeway", c.ClockLeeway, 0, time.Minute)
	span("key_life", c.KeyLife, time.Hour, year)
	span("key_ahead", c.KeyAhead, 5*time.Second, c.KeyLife/2)
	count("token_cache", c.TokenCache, 0, 10_000_000)
	count("jwt_audiences", len(c.JWTAudiences), 0, 100)
	for _, a := range c.JWTAudiences {
		complain("jwt_audiences", a != "" && len(a) <= 200 && a != TokenAudience, "1 to 200 bytes each, and not "+TokenAudience)
	}
	count("password_memory", c.PasswordMemory, 8, 1<<18)
	count("password_rounds", c.PasswordRounds, 1, 16)
	count("password_workers", c.PasswordWorkers, 1, 256)
	span("password_wait", c.PasswordWait, 0, time.Minute)
	count("login_account_burst", c.LoginAccountBurst, 1, 1_000_000)
	span("login_account_every", c.LoginAccountEvery, time.Microsecond, time.Hour)
	count("login_address_burst", c.LoginAddressBurst, 1, 1_000_000)
	span("login_address_every", c.LoginAddressEvery, time.Microsecond, time.Hour)
	count("create_burst", c.CreateBurst, 1, 1_000_000)
	span("create_every", c.CreateEvery, time.Microsecond, time.Hour)
	count("providers", len(c.Providers), 0, 64)
	for _, name := range slices.Sorted(maps.Keys(c.Providers)) {
		if err := c.Providers[name].validate(name); err != nil {
			errs = append(errs, fmt.Errorf("providers.%s: %w", name, err))
		}
	}
	return errors.Join(errs...)
}

// TokenAudience is the audience of the access tokens of this program.
const TokenAudience = "kamado-game"

func (p OIDCProvider) validate(name string) error {
	var errs []error
	provider, err := ParseProvider(name)
	if err != nil {
		errs = append(errs, err)
	}
	if provider.Own() {
		errs = append(errs, fmt.Errorf("%s is a provider of this program itself", name))
	}
	if _, ok := presets()[p.Preset]; p.Preset != "" && !ok {
		errs = append(errs, fmt.Errorf("preset: %q is not known: want one of %s", p.Preset, strings.Join(slices.Sorted(maps.Keys(presets())), ", ")))
	}
	r := p.Resolved()
	if err := CheckIssuer(r.Issuer); err != nil {
		errs = append(errs, fmt.Errorf("issuer: %w", err))
	}
	if p.ClientID == "" {
		errs = append(errs, errors.New("client_id: want the name of this world at the issuer"))
	}
	if p.Preset == PresetApple && p.ClientSecretFile != "" && (p.TeamID == "" || p.KeyID == "") {
		errs = append(errs, errors.New("team_id and key_id: Apple's private key needs them"))
	}
	if len(p.Scopes) > 32 || len(p.Audiences) > 32 || len(p.Redirects) > 32 {
		errs = append(errs, errors.New("scopes, audiences, redirects: at most 32 each"))
	}
	for _, r := range p.Redirects {
		if err := checkWebURL(r, false); err != nil {
			errs = append(errs, fmt.Errorf("redirects: %w", err))
		}
	}
	return errors.Join(errs...)
}

// CheckIssuer judges the URL of an issuer: https, or http to this machine alone,
// without a query (OpenID Connect Core 2, iss).
func CheckIssuer(text string) error { return checkWebURL(text, true) }

func checkWebURL(text string, bare bool) error {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.User != nil || u.Fragment != "" || bare && u.RawQuery != "" {
		return fmt.Errorf("%.100q is no URL of the form https://host/path", text)
	}
	addr, err := netip.ParseAddr(u.Hostname())
	loopback := u.Hostname() == "localhost" || err == nil && addr.IsLoopback()
	if u.Scheme != "https" && (u.Scheme != "http" || !loopback) {
		return fmt.Errorf("%.100q is not encrypted: want https, or http to this machine", text)
	}
	return nil
}
