// Package signature signs the canonical form of URLs and verifies signatures.
//
// A signature is the first 16 bytes of HMAC-SHA256 over the canonical form
// (images.Request.Canonical, as the URL grammars write it), as 32 lower-case
// hex digits. There may be several keys: the first one signs, all verify, so
// that a new key is put first and the old one stays until its URLs are gone.
//
// Keys never leave the package: a Keys prints as the number of its keys.
package signature

import (
	"bufio"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/kamado/kamado/images"
)

// Bytes is how much of the HMAC a signature is.
const Bytes = 16

// Bounds of a file of keys.
const (
	MinKey  = 16 // bytes; 128 bits, as much as the signature has
	MaxKey  = 1024
	MaxKeys = 64
	maxFile = 1 << 20 // bytes
)

// Keys signs and verifies. Safe for concurrent use.
type Keys struct {
	keys [][]byte // Invariant: at least one
}

// Load reads a file of keys.
func Load(path string) (*Keys, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("signing keys: %w", err)
	}
	defer f.Close()
	keys, err := Parse(f)
	if err != nil {
		return nil, fmt.Errorf("signing keys: %s: %w", path, err)
	}
	return keys, nil
}

// Parse reads keys, one in hexadecimal a line. Empty lines and lines that
// begin with # are left out. Errors name the line and never what is in it.
func Parse(r io.Reader) (*Keys, error) {
	var keys Keys
	lines := bufio.NewScanner(io.LimitReader(r, maxFile))
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		key, err := hex.DecodeString(line)
		if err != nil {
			return nil, fmt.Errorf("line %d: it is not hexadecimal", n)
		}
		if len(key) < MinKey || len(key) > MaxKey {
			return nil, fmt.Errorf("line %d: a key has %d to %d bytes, this one has %d", n, MinKey, MaxKey, len(key))
		}
		if len(keys.keys) == MaxKeys {
			return nil, fmt.Errorf("line %d: more than %d keys", n, MaxKeys)
		}
		keys.keys = append(keys.keys, key)
	}
	if err := lines.Err(); err != nil {
		return nil, errors.New("a line is too long to be a key")
	}
	if len(keys.keys) == 0 {
		return nil, errors.New("there is no key in it")
	}
	return &keys, nil
}

// String and LogValue keep keys out of texts and logs.
func (k *Keys) String() string { return fmt.Sprintf("%d keys", len(k.keys)) }

// GoString is String.
func (k *Keys) GoString() string { return k.String() }

// LogValue is String.
func (k *Keys) LogValue() slog.Value { return slog.StringValue(k.String()) }

// Sign gives the signature of a canonical form by the first key.
func (k *Keys) Sign(canonical string) string {
	return hex.EncodeToString(mac(k.keys[0], canonical))
}

func mac(key []byte, canonical string) []byte {
	h := hmac.New(sha256.New, key)
	io.WriteString(h, canonical)
	return h.Sum(nil)[:Bytes]
}

// Verify says whether a request is signed by one of the keys and has not
// expired; otherwise the error is of kind images.Denied. The time it takes
// does not depend on how much of a signature is right, nor on which key.
func (k *Keys) Verify(req *images.Request, now time.Time) error {
	if req.Signature == "" {
		return &images.Error{Op: "verify", Kind: images.Denied, Part: "signature", Detail: "the URL has to be signed and is not"}
	}
	valid := 0
	for _, key := range k.keys {
		want := hex.EncodeToString(mac(key, req.Canonical))
		valid |= subtle.ConstantTimeCompare([]byte(want), []byte(req.Signature))
	}
	if valid == 0 {
		return &images.Error{Op: "verify", Kind: images.Denied, Part: "signature", Detail: "the signature is not that of this URL"}
	}
	if !req.Expires.IsZero() && !now.Before(req.Expires) {
		return &images.Error{Op: "verify", Kind: images.Denied, Part: "expiry", Detail: "the URL has expired"}
	}
	return nil
}
