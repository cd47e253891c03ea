package token

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"aidanwoods.dev/go-paseto"
)

// Bounds of a token.
const (
	BytesMax = 2048 // of the whole text
	textMax  = 255  // bytes of one claim
	extraMax = 8    // further claims
)

// Claims are what a token says.
type Claims struct {
	Subject  string
	Audience string
	Issuer   string
	Issued   time.Time // whole seconds
	Expires  time.Time // whole seconds; the token is over at this moment
	ID       string    // of the token
	Session  string
	Extra    map[string]string // few and short
}

// check judges claims before they are signed, and after a signature was found right.
func (c *Claims) check() error {
	for _, text := range []string{c.Subject, c.Audience, c.Issuer, c.ID} {
		if text == "" || len(text) > textMax || !utf8.ValidString(text) {
			return fmt.Errorf("%w: a claim of %d bytes", ErrMalformed, len(text))
		}
	}
	if len(c.Session) > textMax || len(c.Extra) > extraMax {
		return fmt.Errorf("%w: a session of %d bytes and %d further claims", ErrMalformed, len(c.Session), len(c.Extra))
	}
	for name, text := range c.Extra {
		if name == "" || len(name) > textMax || len(text) > textMax {
			return fmt.Errorf("%w: a further claim of %d bytes", ErrMalformed, len(text))
		}
	}
	if !c.Expires.After(c.Issued) {
		return fmt.Errorf("%w: it ends before it is issued", ErrMalformed)
	}
	return nil
}

// body is the claims of a PASETO (its specification, "Registered Claims").
type body struct {
	Issuer   string            `json:"iss"`
	Subject  string            `json:"sub"`
	Audience string            `json:"aud"`
	Issued   time.Time         `json:"iat"`
	Expires  time.Time         `json:"exp"`
	ID       string            `json:"jti"`
	Session  string            `json:"sid,omitempty"`
	Extra    map[string]string `json:"ext,omitempty"`
}

// Mint makes a PASETO v4.public. Times are cut to seconds.
func (r *Ring) Mint(c Claims, now time.Time) (string, error) {
	h, err := r.signer(now)
	if err != nil {
		return "", err
	}
	b := body{c.Issuer, c.Subject, c.Audience, c.Issued.UTC().Truncate(time.Second), c.Expires.UTC().Truncate(time.Second), c.ID, c.Session, c.Extra}
	c.Issued, c.Expires = b.Issued, b.Expires
	if err := c.check(); err != nil {
		return "", err
	}
	data, err := json.Marshal(b)
	if err != nil {
		return "", err
	}
	t, err := paseto.NewTokenFromClaimsJSON(data, []byte(h.footer))
	if err != nil {
		return "", err
	}
	text := t.V4Sign(h.secret, nil)
	if len(text) > BytesMax {
		return "", fmt.Errorf("%w: %d bytes, at most %d", ErrMalformed, len(text), BytesMax)
	}
	return text, nil
}

// pasetoHeader is the version and the purpose of the only kind that is taken.
const pasetoHeader = "v4.public."

// keyOf gives the key that the footer of a PASETO names.
func (r *Ring) keyOf(text string) (*held, error) {
	rest, ok := strings.CutPrefix(text, pasetoHeader)
	if !ok || len(text) > BytesMax {
		return nil, ErrMalformed
	}
	_, footer, ok := strings.Cut(rest, ".")
	if !ok || footer == "" || strings.Contains(footer, ".") {
		return nil, ErrMalformed
	}
	if h := r.byFooter[footer]; h != nil {
		return h, nil
	}
	return nil, ErrUnknownKey
}

// open verifies the signature of a PASETO and reads it. It looks at no time.
func (r *Ring) open(text string) (*Claims, *held, error) {
	h, err := r.keyOf(text)
	if err != nil {
		return nil, nil, err
	}
	parser := paseto.NewParserWithoutExpiryCheck() // our own check has a leeway
	t, err := parser.ParseV4Public(h.public, text, nil)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrSignature, err)
	}
	var b body
	if err := json.Unmarshal(t.ClaimsJSON(), &b); err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	c := &Claims{Subject: b.Subject, Audience: b.Audience, Issuer: b.Issuer, Issued: b.Issued.UTC(), Expires: b.Expires.UTC(), ID: b.ID, Session: b.Session, Extra: b.Extra}
	return c, h, c.check()
}
