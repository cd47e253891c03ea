package audit

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// pemSeed is the type of a key file's block: the 32 bytes of RFC 8032 §5.1.5.
const pemSeed = "KAMADO EXPORT SIGNING SEED"

// LoadKey reads the key that exports are signed with, or makes one, which only the
// file's owner can read.
func LoadKey(path string) (ed25519.PrivateKey, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		if err := makeKey(path); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, fmt.Errorf("make the key of exports: %w", err)
		}
		b, err = os.ReadFile(path)
	}
	if err != nil {
		return nil, fmt.Errorf("read the key of exports: %w", err)
	}
	block, _ := pem.Decode(b)
	if block == nil || block.Type != pemSeed || len(block.Bytes) != ed25519.SeedSize {
		return nil, fmt.Errorf("%s has no key of exports: want a PEM block %q of %d bytes", path, pemSeed, ed25519.SeedSize)
	}
	return ed25519.NewKeyFromSeed(block.Bytes), nil
}

// makeKey writes a new key beside its place and links it there, so that nobody reads
// half of one and of two makers one wins.
func makeKey(path string) error {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".key-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(pem.EncodeToMemory(&pem.Block{Type: pemSeed, Bytes: key.Seed()}))
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Link(f.Name(), path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// PublicKey is the text by which an auditor knows a key: base64 of its 32 bytes.
func PublicKey(key ed25519.PrivateKey) string {
	return base64.StdEncoding.EncodeToString(key.Public().(ed25519.PublicKey))
}

// ParsePublicKey reads what PublicKey gave.
func ParsePublicKey(text string) (ed25519.PublicKey, error) {
	b, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(b) != ed25519.PublicKeySize {
		return nil, fmt.Errorf("%.60q is no public key of exports: want base64 of %d bytes", text, ed25519.PublicKeySize)
	}
	return b, nil
}
