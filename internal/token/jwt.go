package token

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// strict refuses base64 with bits left over: one token has one text. It still passes over line ends, which decode refuses.
var strict = base64.RawURLEncoding.Strict()

func decode(text string) ([]byte, error) {
	if strings.ContainsAny(text, "\r\n") {
		return nil, ErrMalformed
	}
	b, err := strict.DecodeString(text)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return b, nil
}

// jwtBody is the claims of a JWT (RFC 7519 4.1); times are seconds since 1970.
type jwtBody struct {
	Issuer   string            `json:"iss"`
	Subject  string            `json:"sub"`
	Audience string            `json:"aud"`
	Issued   int64             `json:"iat"`
	Expires  int64             `json:"exp"`
	ID       string            `json:"jti"`
	Session  string            `json:"sid,omitempty"`
	Extra    map[string]string `json:"ext,omitempty"`
}

// MintJWT makes a JWT with EdDSA (RFC 8037).
func (r *Ring) MintJWT(c Claims, now time.Time) (string, error) {
	h, err := r.signer(now)
	if err != nil {
		return "", err
	}
	b := jwtBody{c.Issuer, c.Subject, c.Audience, c.Issued.Unix(), c.Expires.Unix(), c.ID, c.Session, c.Extra}
	c.Issued, c.Expires = time.Unix(b.Issued, 0), time.Unix(b.Expires, 0)
	if err := c.check(); err != nil {
		return "", err
	}
	data, err := json.Marshal(b)
	if err != nil {
		return "", err
	}
	signed := h.header + "." + base64.RawURLEncoding.EncodeToString(data)
	text := signed + "." + base64.RawURLEncoding.EncodeToString(ed25519.Sign(h.Private, []byte(signed)))
	if len(text) > BytesMax {
		return "", fmt.Errorf("%w: %d bytes, at most %d", ErrMalformed, len(text), BytesMax)
	}
	return text, nil
}

// openJWT verifies the signature of a JWT and reads it. It looks at no time. The
// header is not parsed: it must be the text that a key of the ring writes.
func (r *Ring) openJWT(text string) (*Claims, *held, error) {
	if len(text) > BytesMax || strings.Count(text, ".") != 2 {
		return nil, nil, ErrMalformed
	}
	header, rest, _ := strings.Cut(text, ".")
	data, sig, _ := strings.Cut(rest, ".")
	h := r.byHeader[header]
	if h == nil {
		return nil, nil, ErrUnknownKey
	}
	s, err := decode(sig)
	if err != nil {
		return nil, nil, err
	}
	if !ed25519.Verify(h.raw, []byte(text[:len(header)+1+len(data)]), s) {
		return nil, nil, ErrSignature
	}
	raw, err := decode(data)
	if err != nil {
		return nil, nil, err
	}
	var b jwtBody
	if err := json.Unmarshal(raw, &b); err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	c := &Claims{
		Subject: b.Subject, Audience: b.Audience, Issuer: b.Issuer, Issued: time.Unix(b.Issued, 0).UTC(), Expires: time.Unix(b.Expires, 0).UTC(),
		ID: b.ID, Session: b.Session, Extra: b.Extra,
	}
	return c, h, c.check()
}
