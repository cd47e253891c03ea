package token

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"aidanwoods.dev/go-paseto"
)

// KeysMax bounds a ring.
const KeysMax = 64

// Key is an Ed25519 key pair with its times. Created <= Signs < Retires <= Ends.
type Key struct {
	ID      string // 16 letters of base64url: 96 bits of the public key's SHA-256
	Private ed25519.PrivateKey
	Created time.Time
	Signs   time.Time // from then on it signs
	Retires time.Time // from then on it signs no more
	Ends    time.Time // from then on nothing that it signed is valid, and it is dropped
}

// NewSeed makes the secret of a key.
func NewSeed() []byte {
	seed := make([]byte, ed25519.SeedSize)
	rand.Read(seed) //nolint:errcheck // never fails (crypto/rand)
	return seed
}

// FromSeed gives the key of a seed, without times.
func FromSeed(seed []byte) (Key, error) {
	if len(seed) != ed25519.SeedSize {
		return Key{}, fmt.Errorf("a seed of %d bytes, want %d", len(seed), ed25519.SeedSize)
	}
	private := ed25519.NewKeyFromSeed(seed)
	sum := sha256.Sum256(private.Public().(ed25519.PublicKey))
	return Key{ID: base64.RawURLEncoding.EncodeToString(sum[:12]), Private: private}, nil
}

// Public is the half that verifies.
func (k Key) Public() ed25519.PublicKey { return k.Private.Public().(ed25519.PublicKey) }

// held is a key as a ring uses it.
type held struct {
	Key
	secret  paseto.V4AsymmetricSecretKey
	public  paseto.V4AsymmetricPublicKey
	raw     ed25519.PublicKey
	footer  string // of PASETO, as it is signed
	encoded string // that footer in base64url, as it stands in a token
	header  string // of JWT, in base64url
}

// Ring is the keys of one moment. It does not change.
type Ring struct {
	keys     []*held // by Signs
	byFooter map[string]*held
	byHeader map[string]*held
	jwks     []byte
}

// NewRing makes a ring of keys.
func NewRing(keys []Key) (*Ring, error) {
	if len(keys) > KeysMax {
		return nil, fmt.Errorf("%d keys, at most %d", len(keys), KeysMax)
	}
	r := &Ring{byFooter: map[string]*held{}, byHeader: map[string]*held{}}
	for _, k := range keys {
		h, err := hold(k)
		if err != nil {
			return nil, fmt.Errorf("key %.20q: %w", k.ID, err)
		}
		if r.byFooter[h.encoded] != nil {
			return nil, fmt.Errorf("key %s twice", k.ID)
		}
		r.keys = append(r.keys, h)
		r.byFooter[h.encoded], r.byHeader[h.header] = h, h
	}
	slices.SortStableFunc(r.keys, func(a, b *held) int { return a.Signs.Compare(b.Signs) })
	jwks, err := r.document()
	r.jwks = jwks
	return r, err
}

func hold(k Key) (*held, error) {
	if len(k.Private) != ed25519.PrivateKeySize {
		return nil, errors.New("it is no Ed25519 key")
	}
	if want, err := FromSeed(k.Private.Seed()); err != nil || want.ID != k.ID {
		return nil, errors.New("its id is another key's")
	}
	secret, err := paseto.NewV4AsymmetricSecretKeyFromEd25519(k.Private)
	if err != nil {
		return nil, err
	}
	h := &held{Key: k, secret: secret, public: secret.Public(), raw: k.Public(), footer: `{"kid":"` + k.ID + `"}`}
	h.encoded = base64.RawURLEncoding.EncodeToString([]byte(h.footer))
	h.header = base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"EdDSA","kid":"` + k.ID + `","typ":"JWT"}`)) // RFC 8037 3.1
	return h, nil
}

// Keys lists the keys by the time from which they sign.
func (r *Ring) Keys() []Key {
	list := make([]Key, len(r.keys))
	for i, h := range r.keys {
		list[i] = h.Key
	}
	return list
}

// signer is the key that signs at a time: of those whose time it is the last one. When
// there is none, because a clock went back, it is the last one that began, or else the first one.
func (r *Ring) signer(now time.Time) (*held, error) {
	var fallback *held
	for _, h := range slices.Backward(r.keys) {
		if now.Before(h.Signs) {
			continue
		}
		if now.Before(h.Retires) {
			return h, nil
		}
		if fallback == nil {
			fallback = h
		}
	}
	if fallback == nil && len(r.keys) > 0 {
		fallback = r.keys[0]
	}
	if fallback == nil {
		return nil, errors.New("no key that signs")
	}
	return fallback, nil
}

// JWKS is the JSON Web Key Set document of the ring (RFC 7517, RFC 8037 2). The caller does not change it.
func (r *Ring) JWKS() []byte { return r.jwks }

func (r *Ring) document() ([]byte, error) {
	type jwk struct {
		Kty string `json:"kty"`
		Crv string `json:"crv"`
		X   string `json:"x"`
		Kid string `json:"kid"`
		Alg string `json:"alg"`
		Use string `json:"use"`
	}
	keys := make([]jwk, len(r.keys))
	for i, h := range r.keys {
		keys[i] = jwk{Kty: "OKP", Crv: "Ed25519", X: base64.RawURLEncoding.EncodeToString(h.raw), Kid: h.ID, Alg: "EdDSA", Use: "sig"}
	}
	return json.Marshal(map[string]any{"keys": keys})
}
