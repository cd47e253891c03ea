package game_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kamado/kamado/game"
)

func TestIdentityConfig(t *testing.T) {
	t.Parallel()
	if err := game.DefaultIdentity().Validate(); err != nil {
		t.Errorf("the default: %v", err)
	}
	provider := func(p game.OIDCProvider) func(*game.IdentityConfig) {
		return func(c *game.IdentityConfig) { c.Providers = map[string]game.OIDCProvider{"x": p} }
	}
	for want, change := range map[string]func(*game.IdentityConfig){
		"issuer":              func(c *game.IdentityConfig) { c.Issuer = "" },
		"access_life":         func(c *game.IdentityConfig) { c.AccessLife = 16 * time.Minute },
		"refresh_life":        func(c *game.IdentityConfig) { c.RefreshLife = 0 },
		"session_life":        func(c *game.IdentityConfig) { c.SessionLife = time.Hour },
		"refresh_grace":       func(c *game.IdentityConfig) { c.RefreshGrace = time.Hour },
		"sessions":            func(c *game.IdentityConfig) { c.Sessions = 0 },
		"clock_leeway":        func(c *game.IdentityConfig) { c.ClockLeeway = time.Hour },
		"key_life":            func(c *game.IdentityConfig) { c.KeyLife = time.Minute },
		"key_ahead":           func(c *game.IdentityConfig) { c.KeyAhead = time.Second },
		"token_cache":         func(c *game.IdentityConfig) { c.TokenCache = -1 },
		"jwt_audiences":       func(c *game.IdentityConfig) { c.JWTAudiences = []string{game.TokenAudience} },
		"password_memory":     func(c *game.IdentityConfig) { c.PasswordMemory = 1 << 30 },
		"password_rounds":     func(c *game.IdentityConfig) { c.PasswordRounds = 0 },
		"password_workers":    func(c *game.IdentityConfig) { c.PasswordWorkers = 0 },
		"password_wait":       func(c *game.IdentityConfig) { c.PasswordWait = time.Hour },
		"login_account_burst": func(c *game.IdentityConfig) { c.LoginAccountBurst = 0 },
		"login_account_every": func(c *game.IdentityConfig) { c.LoginAccountEvery = 0 },
		"login_address_burst": func(c *game.IdentityConfig) { c.LoginAddressBurst = 0 },
		"login_address_every": func(c *game.IdentityConfig) { c.LoginAddressEvery = 0 },
		"create_burst":        func(c *game.IdentityConfig) { c.CreateBurst = 0 },
		"create_every":        func(c *game.IdentityConfig) { c.CreateEvery = 0 },
		"providers.Google": func(c *game.IdentityConfig) {
			c.Providers = map[string]game.OIDCProvider{"Google": {Preset: "google", ClientID: "c"}}
		},
		"providers.guest": func(c *game.IdentityConfig) {
			c.Providers = map[string]game.OIDCProvider{"guest": {Preset: "google", ClientID: "c"}}
		},
		"providers.x: preset":            provider(game.OIDCProvider{Preset: "y", Issuer: "https://issuer.example", ClientID: "c"}),
		"providers.x: issuer":            provider(game.OIDCProvider{Issuer: "http://issuer.example", ClientID: "c"}),
		"providers.x: client_id":         provider(game.OIDCProvider{Preset: "line"}),
		"providers.x: team_id":           provider(game.OIDCProvider{Preset: "apple", ClientID: "c", ClientSecretFile: "f"}),
		"providers.x: redirects":         provider(game.OIDCProvider{Preset: "line", ClientID: "c", Redirects: []string{"ftp://x"}}),
		"providers.x: scopes, audiences": provider(game.OIDCProvider{Preset: "line", ClientID: "c", Audiences: make([]string, 33)}),
	} {
		c := game.DefaultIdentity()
		change(&c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Validate = %v, want a complaint about %s", err, want)
		}
	}
	c := game.DefaultIdentity()
	c.Issuer, c.Sessions = "", 0
	if err := c.Validate(); err == nil || strings.Count(err.Error(), "\n") != 1 {
		t.Errorf("Validate = %v, want two complaints", err)
	}
}

func TestCheckIssuer(t *testing.T) {
	t.Parallel()
	for issuer, want := range map[string]bool{
		"https://issuer.example": true, "https://issuer.example/a": true, "http://127.0.0.1:8080": true, "http://[::1]:8080": true, "http://localhost": true,
		"": false, "issuer.example": false, "http://issuer.example": false, "http://127.0.0.1.example": false, "http://localhost.example": false,
		"https://a@issuer.example": false, "https://issuer.example/?a": false, "https://issuer.example/#a": false, "file:///x": false, "https://": false,
	} {
		if err := game.CheckIssuer(issuer); (err == nil) != want {
			t.Errorf("CheckIssuer(%q) = %v", issuer, err)
		}
	}
}

func TestPresets(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"google", "apple", "line"} {
		p := game.OIDCProvider{Preset: name, ClientID: "c"}.Resolved()
		if game.CheckIssuer(p.Issuer) != nil || !slices.Contains(p.Scopes, "openid") {
			t.Errorf("%s = %+v", name, p)
		}
	}
	p := game.OIDCProvider{Preset: "line", Issuer: "https://other.example", Scopes: []string{"email"}}.Resolved()
	if p.Issuer != "https://other.example" || !slices.Equal(p.Scopes, []string{"openid", "email"}) {
		t.Errorf("what is set wins: %+v", p)
	}
}
