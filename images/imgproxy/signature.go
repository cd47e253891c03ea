package imgproxy

import (
	"bufio"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
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

// Bounds of a file of keys.
const (
	keysMax     = 64
	keyBytesMax = 1024
	fileMax     = 1 << 20 // bytes
)

// SizeMin and SizeMax bound how many bytes of the HMAC a signature has.
const (
	SizeMin = 8
	SizeMax = sha256.Size
)

// Keys verifies the dialect's signatures. Safe for concurrent use. It prints as
// the number of its keys.
type Keys struct {
	pairs []pair // Invariant: at least one
	size  int
}

type pair struct{ key, salt []byte }

// LoadKeys reads a file of pairs, on each line a key and a salt in hexadecimal
// with a space between. Empty lines and lines that begin with # are left out.
// size is how many bytes of the HMAC a signature has.
func LoadKeys(path string, size int) (*Keys, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("keys of imgproxy: %w", err)
	}
	defer f.Close()
	keys, err := ParseKeys(f, size)
	if err != nil {
		return nil, fmt.Errorf("keys of imgproxy: %s: %w", path, err)
	}
	return keys, nil
}

// ParseKeys is LoadKeys of a reader. Errors name the line and never what is in it.
func ParseKeys(r io.Reader, size int) (*Keys, error) {
	if size < SizeMin || size > SizeMax {
		return nil, fmt.Errorf("a signature has %d to %d bytes, not %d", SizeMin, SizeMax, size)
	}
	keys := &Keys{size: size}
	lines := bufio.NewScanner(io.LimitReader(r, fileMax))
	for n := 1; lines.Scan(); n++ {
		words := strings.Fields(lines.Text())
		if len(words) == 0 || words[0][0] == '#' {
			continue
		}
		if len(words) != 2 {
			return nil, fmt.Errorf("line %d: it has %d words, want a key and a salt", n, len(words))
		}
		key, err := hex.DecodeString(words[0])
		salt, err2 := hex.DecodeString(words[1])
		if err != nil || err2 != nil {
			return nil, fmt.Errorf("line %d: it is not hexadecimal", n)
		}
		if len(key) == 0 || len(key) > keyBytesMax || len(salt) == 0 || len(salt) > keyBytesMax {
			return nil, fmt.Errorf("line %d: key and salt have 1 to %d bytes each", n, keyBytesMax)
		}
		if len(keys.pairs) == keysMax {
			return nil, fmt.Errorf("line %d: more than %d keys", n, keysMax)
		}
		keys.pairs = append(keys.pairs, pair{key, salt})
	}
	if err := lines.Err(); err != nil {
		return nil, errors.New("a line is too long to be a key")
	}
	if len(keys.pairs) == 0 {
		return nil, errors.New("there is no key in it")
	}
	return keys, nil
}

// String and LogValue keep keys out of texts and logs.
func (k *Keys) String() string { return fmt.Sprintf("%d keys", len(k.pairs)) }

// GoString is String.
func (k *Keys) GoString() string { return k.String() }

// LogValue is String.
func (k *Keys) LogValue() slog.Value { return slog.StringValue(k.String()) }

// Sign gives the signature of a path without its signature, which begins with a
// slash, by the first key.
func (k *Keys) Sign(path string) string {
	return base64.RawURLEncoding.EncodeToString(k.mac(k.pairs[0], path))
}

func (k *Keys) mac(p pair, path string) []byte {
	h := hmac.New(sha256.New, p.key)
	h.Write(p.salt)
	io.WriteString(h, path)
	return h.Sum(nil)[:k.size]
}

// Verify says whether a request is signed by one of the keys and has not
// expired; otherwise the error is of kind images.Denied. nil Keys take every
// signature.
func (k *Keys) Verify(req *images.Request, now time.Time) error {
	if k != nil {
		given, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(req.Signature, "="))
		valid := 0
		for _, p := range k.pairs {
			valid |= subtle.ConstantTimeCompare(k.mac(p, req.Canonical), given)
		}
		if err != nil || valid == 0 {
			return &images.Error{Op: "verify", Kind: images.Denied, Part: "signature", Detail: "the signature is not that of this URL"}
		}
	}
	if !req.Expires.IsZero() && !now.Before(req.Expires) {
		return &images.Error{Op: "verify", Kind: images.Denied, Part: "expiry", Detail: "the URL has expired"}
	}
	return nil
}
