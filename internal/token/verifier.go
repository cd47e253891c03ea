package token

import (
	"crypto/sha256"
	"errors"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Config is what a Verifier believes.
type Config struct {
	Issuer   string
	Audience string
	// Leeway is by how much clocks may differ: a token is valid so much longer, and may be issued so far ahead.
	Leeway time.Duration
	// LifeMax bounds the time between issue and end that a token may claim.
	LifeMax time.Duration
	// CacheMax bounds the tokens that are remembered, about 700 bytes each; 0: none.
	CacheMax int
	// Metrics gets the counters, under this prefix: "kamado_game". Nil: none.
	Metrics   prometheus.Registerer
	Namespace string
}

// Verifier verifies tokens of one issuer and audience. Its methods may be called
// concurrently.
type Verifier struct {
	cfg   Config
	ring  atomic.Pointer[Ring]
	cache *cache
	// results counts verifications by what came of them.
	hits, good prometheus.Counter
	bad        *prometheus.CounterVec
}

// NewVerifier makes a verifier.
func NewVerifier(cfg Config, ring *Ring) *Verifier {
	v := &Verifier{cfg: cfg, cache: newCache(cfg.CacheMax)}
	v.ring.Store(ring)
	results := prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: cfg.Namespace, Subsystem: "token", Name: "verifications_total",
		Help: "Tokens that were verified: cached, valid, or why not.",
	}, []string{"result"})
	v.hits, v.good, v.bad = results.WithLabelValues("cached"), results.WithLabelValues("valid"), results
	if cfg.Metrics != nil {
		cfg.Metrics.MustRegister(results,
			prometheus.NewGaugeFunc(prometheus.GaugeOpts{
				Namespace: cfg.Namespace, Subsystem: "token", Name: "cache_entries", Help: "Verified tokens that are remembered.",
			}, func() float64 { return float64(v.cache.len()) }),
			prometheus.NewGaugeFunc(prometheus.GaugeOpts{
				Namespace: cfg.Namespace, Subsystem: "token", Name: "cache_entries_max", Help: "Most verified tokens that are remembered.",
			}, func() float64 { return float64(cfg.CacheMax) }))
	}
	return v
}

// SetRing replaces the keys. Tokens of keys that are gone are believed no more.
func (v *Verifier) SetRing(r *Ring) { v.ring.Store(r) }

// Ring is the keys of now.
func (v *Verifier) Ring() *Ring { return v.ring.Load() }

// Verify says what a PASETO says, if it is to be believed now. The claims are
// shared: nobody changes them. The error is one of this package's.
func (v *Verifier) Verify(text string, now time.Time) (*Claims, error) {
	if len(text) > BytesMax {
		return nil, v.refuse(ErrMalformed)
	}
	ring := v.ring.Load()
	var buf [BytesMax]byte // on the stack: a conversion of the text would be allocated
	sum := sha256.Sum256(append(buf[:0], text...))
	if e := v.cache.get(&sum); e != nil {
		if err := v.current(e, ring, now); err != nil {
			return nil, v.refuse(err)
		}
		v.hits.Inc()
		return e.claims, nil
	}
	c, h, err := ring.open(text)
	if err == nil {
		err = v.judge(c, now)
	}
	if err != nil {
		return nil, v.refuse(err)
	}
	v.cache.put(&sum, &entry{claims: c, footer: h.encoded, expires: c.Expires.Add(v.cfg.Leeway)})
	v.good.Inc()
	return c, nil
}

// VerifyJWT is Verify for a JWT of our own, for which an audience is given. It remembers nothing.
func (v *Verifier) VerifyJWT(text, audience string, now time.Time) (*Claims, error) {
	c, _, err := v.ring.Load().openJWT(text)
	if err == nil {
		err = judge(c, v.cfg, audience, now)
	}
	if err != nil {
		return nil, v.refuse(err)
	}
	v.good.Inc()
	return c, nil
}

// current judges what a remembered token must be asked each time.
func (v *Verifier) current(e *entry, ring *Ring, now time.Time) error {
	if ring.byFooter[e.footer] == nil {
		return ErrUnknownKey
	}
	if !now.Before(e.expires) {
		return ErrExpired
	}
	if e.claims.Issued.After(now.Add(v.cfg.Leeway)) {
		return ErrFuture
	}
	return nil
}

func (v *Verifier) judge(c *Claims, now time.Time) error {
	return judge(c, v.cfg, v.cfg.Audience, now)
}

// judge says whether claims of a right signature count here and now.
func judge(c *Claims, cfg Config, audience string, now time.Time) error {
	switch {
	case c.Issuer != cfg.Issuer:
		return ErrIssuer
	case c.Audience != audience:
		return ErrAudience
	case c.Expires.Sub(c.Issued) > cfg.LifeMax:
		return ErrMalformed
	case c.Issued.After(now.Add(cfg.Leeway)):
		return ErrFuture
	case !now.Before(c.Expires.Add(cfg.Leeway)):
		return ErrExpired
	}
	return nil
}

// reasons are the labels of refused tokens.
var reasons = []struct {
	err  error
	name string
}{
	{ErrExpired, "expired"}, {ErrUnknownKey, "unknown_key"}, {ErrSignature, "signature"}, {ErrFuture, "future"},
	{ErrAudience, "audience"}, {ErrIssuer, "issuer"}, {ErrMalformed, "malformed"},
}

func (v *Verifier) refuse(err error) error {
	for _, r := range reasons {
		if errors.Is(err, r.err) {
			v.bad.WithLabelValues(r.name).Inc()
			break
		}
	}
	return err
}
