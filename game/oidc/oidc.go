package oidc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kamado/kamado/game"
)

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
type RelyingParty struct {
	providers map[game.Provider]*provider
	seal      *sealer
	spend     func(ctx context.Context, thing string, until time.Time) error
	now       func() time.Time
	results   *prometheus.CounterVec
}

// provider is one issuer with our name there.
type provider struct {
	name   game.Provider
	cfg    game.OIDCProvider // resolved
	secret []byte            // of the client; empty: a public client, or one of Apple
	apple  *appleSigner
	issuer *issuer
}

// secretBytesMax bounds a file with a secret.
const secretBytesMax = 16 << 10

// New reads the files of secrets. It asks no issuer.
func New(d Deps) (*RelyingParty, error) {
	r := &RelyingParty{providers: map[game.Provider]*provider{}, spend: d.Spend, now: d.Now}
	if r.now == nil {
		r.now = time.Now
	}
	var err error
	if r.seal, err = newSealer(d.StateKey); err != nil {
		return nil, err
	}
	r.results = prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: "kamado_game", Subsystem: "oidc", Name: "verifications_total", Help: "ID tokens that were checked, by provider and result.",
	}, []string{"provider", "result"})
	fetches := prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: "kamado_game", Subsystem: "oidc", Name: "fetches_total", Help: "Documents asked from issuers, by provider, what and result.",
	}, []string{"provider", "what", "result"})
	if d.Metrics != nil {
		d.Metrics.MustRegister(r.results, fetches)
	}
	client := newClient()
	for name, cfg := range d.Providers {
		p, err := newProvider(name, cfg)
		if err != nil {
			return nil, fmt.Errorf("provider %s: %w", name, err)
		}
		p.issuer = newIssuer(p.cfg.Issuer, client, r.now, d.Log.With("provider", name), fetches.MustCurryWith(prometheus.Labels{"provider": name}))
		r.providers[p.name] = p
	}
	return r, nil
}

func newProvider(name string, cfg game.OIDCProvider) (*provider, error) {
	parsed, err := game.ParseProvider(name)
	if err != nil {
		return nil, err
	}
	p := &provider{name: parsed, cfg: cfg.Resolved()}
	if err := game.CheckIssuer(p.cfg.Issuer); err != nil {
		return nil, err
	}
	if cfg.ClientSecretFile == "" {
		return p, nil
	}
	secret, err := readSecret(cfg.ClientSecretFile)
	if err != nil {
		return nil, fmt.Errorf("client_secret_file: %w", err)
	}
	if cfg.Preset == game.PresetApple {
		p.apple, err = newAppleSigner(secret, cfg)
		return p, err
	}
	p.secret = secret
	return p, nil
}

func readSecret(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Size() > secretBytesMax {
		return nil, fmt.Errorf("%s has %d bytes, at most %d", path, info.Size(), secretBytesMax)
	}
	secret, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if secret = bytes.TrimSpace(secret); len(secret) == 0 {
		return nil, fmt.Errorf("%s is empty", path)
	}
	return secret, nil
}

// clientSecret is what proves to the issuer who we are; "" for a public client.
func (p *provider) clientSecret(now time.Time) (string, error) {
	if p.apple != nil {
		return p.apple.sign(now)
	}
	return string(p.secret), nil
}

// Providers lists the providers by name.
func (r *RelyingParty) Providers() []game.Provider { return slices.Sorted(maps.Keys(r.providers)) }

func (r *RelyingParty) provider(name game.Provider) (*provider, error) {
	p := r.providers[name]
	if p == nil {
		return nil, game.Errorf(game.NotFound, "there is no provider %.40q here", string(name))
	}
	return p, nil
}

// Bounds of talking to an issuer.
const (
	fetchMax         = 10 * time.Second // of one request, with its answer
	answerBytesMax   = 1 << 20
	connectionsMax   = 16 // to one issuer at once; further requests wait within fetchMax
	headerBytesMax   = 64 << 10
	handshakeTimeMax = 5 * time.Second
)

// newClient makes the client for all issuers: bounded in time and size, and without redirects, since none of what is asked has one.
func newClient() *http.Client {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.TLSHandshakeTimeout, t.ResponseHeaderTimeout = handshakeTimeMax, handshakeTimeMax
	t.MaxConnsPerHost, t.MaxIdleConnsPerHost, t.MaxResponseHeaderBytes = connectionsMax, 2, headerBytesMax
	return &http.Client{
		Transport: bounded{t}, Timeout: fetchMax,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// bounded refuses answers that are too large.
type bounded struct{ next http.RoundTripper }

func (b bounded) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := b.next.RoundTrip(req)
	if err == nil {
		resp.Body = http.MaxBytesReader(nil, resp.Body, answerBytesMax)
	}
	return resp, err
}

// away is the error when an issuer cannot be asked.
func away(p game.Provider, err error) error {
	return &game.Error{Op: "ask the issuer", Kind: game.Unavailable, Detail: fmt.Sprintf("provider %s does not answer: try again later", p), Err: err}
}

// count counts a verification, and passes its error on.
func (r *RelyingParty) count(p *provider, err error) error {
	result := "ok"
	switch {
	case err == nil:
	case game.KindOf(err) == game.Unavailable:
		result = "unavailable"
	case game.KindOf(err) == game.Internal:
		result = "error"
	default:
		result = "refused"
	}
	r.results.WithLabelValues(string(p.name), result).Inc()
	return err
}

// errAway marks what an issuer could not be asked for.
var errAway = errors.New("issuer does not answer")
