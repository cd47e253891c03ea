package oidc

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// sealer keeps a state in a cookie that its browser can neither read nor change: AES-256-GCM with a random nonce of 96
// bits. One key may seal 2^32 of them (NIST SP 800-38D 8.3): 100 a second for more than a year.
type sealer struct{ aead cipher.AEAD }

// sealedFor is what each sealed text is for, so that none of another use of the key is taken.
const sealedFor = "kamado game oidc start 1"

// sealedBytesMax bounds a cookie: browsers keep 4096 bytes (RFC 6265 6.1).
const sealedBytesMax = 4000

func newSealer(key []byte) (*sealer, error) {
	if len(key) != 32 {
		return nil, fmt.Errorf("a key of %d bytes for cookies, want 32", len(key))
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCM(block)
	return &sealer{aead}, err
}

func (s *sealer) seal(st state) (string, error) {
	plain, err := json.Marshal(st)
	if err != nil {
		return "", err
	}
	nonce := make([]byte, s.aead.NonceSize())
	rand.Read(nonce) //nolint:errcheck // never fails (crypto/rand)
	text := base64.RawURLEncoding.EncodeToString(s.aead.Seal(nonce, nonce, plain, []byte(sealedFor)))
	if len(text) > sealedBytesMax {
		return "", fmt.Errorf("a cookie of %d bytes, at most %d", len(text), sealedBytesMax)
	}
	return text, nil
}

// open reads what seal wrote.
func (s *sealer) open(text string) (st state, err error) {
	if len(text) > sealedBytesMax || strings.ContainsAny(text, "\r\n") {
		return st, errors.New("no sealed state")
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(b) < s.aead.NonceSize() {
		return st, errors.New("no sealed state")
	}
	plain, err := s.aead.Open(nil, b[:s.aead.NonceSize()], b[s.aead.NonceSize():], []byte(sealedFor))
	if err != nil {
		return st, err
	}
	return st, json.Unmarshal(plain, &st)
}
