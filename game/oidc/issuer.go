package oidc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/kamado/kamado/game"
)

// How long documents of an issuer are believed.
const (
	freshFor = time.Hour        // then they are asked for again
	staleFor = 24 * time.Hour   // so long they count while the issuer is away
	retryIn  = 5 * time.Second  // after a failure nobody asks for so long
	rekeyIn  = 10 * time.Second // a key that is not known makes us ask at most so often
	keysMax  = 100              // keys of one issuer
)

// algorithms are those that an issuer may sign with, all with a key pair. The token's header only says which of them.
var algorithms = []jose.SignatureAlgorithm{jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512, jose.ES256, jose.ES384, jose.ES512, jose.EdDSA}

// metadata is what we use of OpenID Connect Discovery 3.
type metadata struct {
	Issuer        string   `json:"issuer"`
	Authorization string   `json:"authorization_endpoint"`
	Token         string   `json:"token_endpoint"`
	Keys          string   `json:"jwks_uri"`
	Algorithms    []string `json:"id_token_signing_alg_values_supported"`
	TokenAuth     []string `json:"token_endpoint_auth_methods_supported"`
	// RFC 9207: the issuer names itself when it sends the browser back.
	NamesItself bool `json:"authorization_response_iss_parameter_supported"`
}

// document is something that an issuer publishes, kept for a while.
type document[T any] struct {
	value T
	got   time.Time // zero: never
	tried time.Time // last failure; zero: none since got
	asked time.Time // last time it was fetched, for whatever reason
	down  bool      // the last fetch failed
}

// issuer fetches and keeps the documents of one issuer. One request for each is under way at a time; others wait for it.
type issuer struct {
	url     string
	client  *http.Client
	now     func() time.Time
	log     *slog.Logger
	fetches *prometheus.CounterVec // what, result

	turn chan struct{} // has one place: who has it may use what follows
	meta document[metadata]
	keys document[jose.JSONWebKeySet]
}

func newIssuer(url string, client *http.Client, now func() time.Time, log *slog.Logger, fetches *prometheus.CounterVec) *issuer {
	return &issuer{url: url, client: client, now: now, log: log, fetches: fetches, turn: make(chan struct{}, 1)}
}

// enter takes the turn, which the caller gives back.
func (i *issuer) enter(ctx context.Context) error {
	select {
	case i.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", errAway, ctx.Err())
	}
}

// metadata gives the issuer's description of itself.
func (i *issuer) metadata(ctx context.Context) (metadata, error) {
	if err := i.enter(ctx); err != nil {
		return metadata{}, err
	}
	defer func() { <-i.turn }()
	return i.metadataHeld(ctx)
}

// metadataHeld is metadata. Preconditions: the caller has the turn.
func (i *issuer) metadataHeld(ctx context.Context) (metadata, error) {
	return use(ctx, i, &i.meta, "metadata", false, func(ctx context.Context) (m metadata, err error) {
		if err = i.fetch(ctx, strings.TrimSuffix(i.url, "/")+"/.well-known/openid-configuration", &m); err != nil {
			return m, err
		}
		return m, m.check(i.url)
	})
}

// check judges a description: it is the issuer's own, and all that it names is encrypted.
func (m metadata) check(url string) error {
	if m.Issuer != url {
		return fmt.Errorf("it describes issuer %.100q, not %q", m.Issuer, url)
	}
	var errs []error
	for _, endpoint := range []string{m.Authorization, m.Token, m.Keys} {
		errs = append(errs, game.CheckIssuer(endpoint))
	}
	return errors.Join(errs...)
}

// algorithms are those of ours that the issuer says it uses; RS256 when it says nothing that we know.
func (m metadata) algorithms() (list []jose.SignatureAlgorithm) {
	for _, a := range algorithms {
		if slices.Contains(m.Algorithms, string(a)) {
			list = append(list, a)
		}
	}
	if len(list) == 0 {
		list = []jose.SignatureAlgorithm{jose.RS256}
	}
	return list
}

// use gives a document: the kept one while it is fresh, unless again is set, or a fetched one, or while the issuer is away the kept one.
// Preconditions: the caller has the turn.
func use[T any](ctx context.Context, i *issuer, d *document[T], what string, again bool, fetch func(context.Context) (T, error)) (T, error) {
	now := i.now()
	switch {
	case again && now.Sub(d.asked) < rekeyIn:
		return d.value, nil
	case !again && !d.got.IsZero() && now.Sub(d.got) < freshFor:
		return d.value, nil
	case !d.tried.IsZero() && now.Sub(d.tried) < retryIn:
		return kept(d, now, nil)
	}
	d.asked = now
	// The answer is for all who wait, so it does not end with who asked first.
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), fetchMax)
	defer cancel()
	v, err := fetch(bounded)
	if err != nil {
		d.tried = now
		i.fetches.WithLabelValues(what, "failed").Inc()
		i.say(what, &d.down, err)
		return kept(d, now, err)
	}
	d.value, d.got, d.tried = v, now, time.Time{}
	i.fetches.WithLabelValues(what, "ok").Inc()
	i.say(what, &d.down, nil)
	return v, nil
}

// kept gives what is kept, if that still counts.
func kept[T any](d *document[T], now time.Time, err error) (T, error) {
	if !d.got.IsZero() && now.Sub(d.got) < staleFor {
		return d.value, nil
	}
	var none T
	if err == nil {
		return none, errAway
	}
	return none, fmt.Errorf("%w: %w", errAway, err)
}

// say logs the first failure and the recovery.
func (i *issuer) say(what string, down *bool, err error) {
	switch {
	case err != nil && !*down:
		i.log.Warn("an issuer of sign-ins does not answer", "what", what, "err", err)
	case err == nil && *down:
		i.log.Info("an issuer of sign-ins answers again", "what", what)
	}
	*down = err != nil
}

// fetch reads one JSON document.
func (i *issuer) fetch(ctx context.Context, url string, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	req.Header.Set("Accept", "application/json")
	resp, err := i.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s: %s", url, resp.Status)
	}
	if err := json.NewDecoder(resp.Body).Decode(into); err != nil {
		return fmt.Errorf("GET %s: %w", url, err)
	}
	return nil
}

// keySet gives the issuer's keys; again asks for them even if they are fresh, but not too often.
func (i *issuer) keySet(ctx context.Context, again bool) (jose.JSONWebKeySet, error) {
	if err := i.enter(ctx); err != nil {
		return jose.JSONWebKeySet{}, err
	}
	defer func() { <-i.turn }()
	m, err := i.metadataHeld(ctx)
	if err != nil {
		return jose.JSONWebKeySet{}, err
	}
	return use(ctx, i, &i.keys, "keys", again, func(ctx context.Context) (set jose.JSONWebKeySet, err error) {
		if err = i.fetch(ctx, m.Keys, &set); err != nil {
			return set, err
		}
		if len(set.Keys) > keysMax {
			return set, fmt.Errorf("%d keys, at most %d", len(set.Keys), keysMax)
		}
		// Only halves that verify count: a secret one would let anybody sign, one for encryption is for something else.
		set.Keys = slices.DeleteFunc(set.Keys, func(k jose.JSONWebKey) bool { return !k.IsPublic() || !k.Valid() || k.Use != "" && k.Use != "sig" })
		return set, nil
	})
}
