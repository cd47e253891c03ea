package sigv4

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
)

// Bounds of a file of pairs.
const (
	AccessBytesMin = 3
	AccessBytesMax = 128
	SecretBytesMin = 16 // a secret is the key of an HMAC: 128 bits if it is random
	SecretBytesMax = 128
	PairsMax       = 1024
	fileBytesMax   = 1 << 20
)

// pair is one line of the file.
type pair struct {
	secret   string
	readOnly bool
}

// Keys are the pairs that may sign. Safe for concurrent use.
type Keys struct{ pairs map[string]pair }

// Load reads a file of pairs.
func Load(path string) (*Keys, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("access keys: %w", err)
	}
	defer f.Close()
	keys, err := Parse(f)
	if err != nil {
		return nil, fmt.Errorf("access keys: %s: %w", path, err)
	}
	return keys, nil
}

// Parse reads pairs, one a line: the access key, the secret, and optionally the
// word read-only, with spaces between. Empty lines and lines that begin with # are
// left out. Errors name the line and never what is in it.
func Parse(r io.Reader) (*Keys, error) {
	keys := &Keys{pairs: map[string]pair{}}
	lines := bufio.NewScanner(io.LimitReader(r, fileBytesMax))
	for n := 1; lines.Scan(); n++ {
		words := strings.Fields(lines.Text())
		if len(words) == 0 || words[0][0] == '#' {
			continue
		}
		if err := keys.add(words); err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
	}
	if lines.Err() != nil {
		return nil, errors.New("a line is too long to be a pair")
	}
	if len(keys.pairs) == 0 {
		return nil, errors.New("there is no pair in it")
	}
	return keys, nil
}

func (k *Keys) add(words []string) error {
	readOnly := len(words) == 3 && words[2] == "read-only"
	if len(words) != 2 && !readOnly {
		return errors.New("it is not an access key, a secret and perhaps read-only")
	}
	access, secret := words[0], words[1]
	switch {
	case len(access) < AccessBytesMin || len(access) > AccessBytesMax || strings.ContainsAny(access, "/,=") || !printable(access):
		return fmt.Errorf("an access key has %d to %d letters, without / , and =", AccessBytesMin, AccessBytesMax)
	case len(secret) < SecretBytesMin || len(secret) > SecretBytesMax || !printable(secret):
		return fmt.Errorf("a secret has %d to %d bytes, this one has %d", SecretBytesMin, SecretBytesMax, len(secret))
	case len(k.pairs) == PairsMax:
		return fmt.Errorf("more than %d pairs", PairsMax)
	}
	if _, twice := k.pairs[access]; twice {
		return errors.New("the access key is there twice")
	}
	k.pairs[access] = pair{secret, readOnly}
	return nil
}

func printable(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] >= 0x7f {
			return false
		}
	}
	return true
}

// String and LogValue keep secrets out of texts and logs.
func (k *Keys) String() string { return fmt.Sprintf("%d pairs", len(k.pairs)) }

// GoString is String.
func (k *Keys) GoString() string { return k.String() }

// LogValue is String.
func (k *Keys) LogValue() slog.Value { return slog.StringValue(k.String()) }
