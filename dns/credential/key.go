package credential

import (
	"bufio"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/kamado/kamado/dns"
)

// Key is a cluster's key.
type Key [KeyBytes]byte

// Bounds of key files.
const (
	KeyBytes = 32
	KeysMax  = 16 // of one ring
)

// What is derived from a key, by HKDF-SHA256 without salt (RFC 5869 3.1: the key is uniform already).
const (
	infoGossip = "kamado dns gossip 1"
	infoIssuer = "kamado dns issuer 1"
	infoSeal   = "kamado dns keyring 1"
	infoTell   = "kamado dns keyring gossip 1"
)

// NewKey makes a random key.
func NewKey() Key {
	var k Key
	rand.Read(k[:]) // never fails: crypto/rand crashes the program instead
	return k
}

// String hides the key.
func (k Key) String() string { return "key of " + base64.StdEncoding.EncodeToString(k.Public()) }

// LogValue hides the key.
func (k Key) LogValue() slog.Value { return slog.StringValue(k.String()) }

// ParseKeys reads a key file: base64 of 32 bytes a line, # begins a comment; the first key is in use.
func ParseKeys(text string) ([]Key, error) {
	var keys []Key
	lines := bufio.NewScanner(strings.NewReader(text))
	for n := 1; lines.Scan(); n++ {
		line, _, _ := strings.Cut(lines.Text(), "#")
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		b, err := decode(line)
		switch {
		case err != nil:
			return nil, fmt.Errorf("key file, line %d: not base64; want the base64 of %d bytes, as \"kamado dns key\" or \"head -c 32 /dev/urandom | base64\" make it", n, KeyBytes)
		case len(b) != KeyBytes:
			return nil, fmt.Errorf("key file, line %d: base64 of %d bytes, want %d", n, len(b), KeyBytes)
		case len(keys) == KeysMax:
			return nil, fmt.Errorf("key file, line %d: more than %d keys", n, KeysMax)
		case slices.Contains(keys, Key(b)):
			return nil, fmt.Errorf("key file, line %d: the same key twice", n)
		case Key(b) == Key{}:
			return nil, fmt.Errorf("key file, line %d: a key of zeros is no secret", n)
		}
		keys = append(keys, Key(b))
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("key file: %w", err)
	}
	if len(keys) == 0 {
		return nil, errors.New("key file: no key in it; \"kamado dns key\" makes one")
	}
	return keys, nil
}

// decode reads base64 of either alphabet, padded or not.
func decode(text string) ([]byte, error) {
	text = strings.NewReplacer("-", "+", "_", "/").Replace(strings.TrimRight(text, "="))
	return base64.RawStdEncoding.DecodeString(text)
}

// FormatKeys writes a key file.
func FormatKeys(keys []Key) string {
	var text strings.Builder
	for _, k := range keys {
		text.WriteString(base64.StdEncoding.EncodeToString(k[:]) + "\n")
	}
	return text.String()
}

// Gossip is the AES-256 key of gossip.
func (k Key) Gossip() []byte { return derive(k[:], infoGossip) }

// Public is the Ed25519 public key that issues certificates; it names the key.
func (k Key) Public() []byte { return k.issuer().Public().(ed25519.PublicKey) }

func (k Key) issuer() ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(derive(k[:], infoIssuer))
}

func derive(secret []byte, info string) []byte {
	b, err := hkdf.Key(sha256.New, secret, nil, info, 32)
	if err != nil {
		panic("credential: HKDF of 32 bytes: " + err.Error()) // only longer outputs fail
	}
	return b
}

// sealed is 12 bytes of nonce, the text, 16 bytes of tag.
const (
	nonceBytes  = 12
	sealOver    = nonceBytes + 16
	sealedBytes = KeyBytes + sealOver
	toldBytes   = 2*KeyBytes + sealOver // gossip key and public key
)

// Seal encrypts a new key of the ring, for an entry that all members see: holders
// of this key read it by Open, members without a cluster's key read what they
// need of it by OpenGossip.
func (k Key) Seal(secret Key) []byte {
	b := seal(derive(k[:], infoSeal), secret[:])
	return append(b, seal(derive(k.Gossip(), infoTell), append(secret.Gossip(), secret.Public()...))...)
}

// Open is the other end of Seal.
func (k Key) Open(sealed []byte) (Key, error) {
	if len(sealed) != sealedBytes+toldBytes {
		return Key{}, errSealed
	}
	b, err := open(derive(k[:], infoSeal), sealed[:sealedBytes])
	if err != nil {
		return Key{}, err
	}
	return Key(b), nil
}

// OpenGossip reads the gossip key and the issuer of a sealed key, by a gossip key of the ring.
func OpenGossip(gossip, sealed []byte) (newGossip, issuer []byte, err error) {
	if len(sealed) != sealedBytes+toldBytes {
		return nil, nil, errSealed
	}
	b, err := open(derive(gossip, infoTell), sealed[sealedBytes:])
	if err != nil {
		return nil, nil, err
	}
	return b[:KeyBytes], b[KeyBytes:], nil
}

var errSealed = &dns.Error{Kind: dns.Denied, Detail: "a key of the ring that is not sealed for this one"}

func gcm(key []byte) cipher.AEAD {
	block, err := aes.NewCipher(key)
	if err != nil {
		panic("credential: AES of 32 bytes: " + err.Error())
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic("credential: GCM: " + err.Error())
	}
	return aead
}

func seal(key, text []byte) []byte {
	nonce := make([]byte, nonceBytes)
	rand.Read(nonce)
	return gcm(key).Seal(nonce, nonce, text, nil)
}

func open(key, sealed []byte) ([]byte, error) {
	b, err := gcm(key).Open(nil, sealed[:nonceBytes], sealed[nonceBytes:], nil)
	if err != nil {
		return nil, errSealed
	}
	return b, nil
}
