// Package operator answers who may administer: the one credential of a data directory, and the guard in front of everything
// that needs it.
//
// The credential is DATA/operator.token, 256 random bits that only the owner can read; the command line finds it by itself.
// A Guard lets a request pass that carries it as a Bearer token, or that carries the session cookie of a console that
// was opened with a one-time link. Without either, at most loopback reads pass, and those only when the Host header names
// this machine and no other site caused the request: neither a rebound name nor a foreign page gets through. There is no
// default password.
package operator

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// TokenFile is the name of the credential inside a data directory.
const TokenFile = "operator.token"

// tokenBytes is the entropy of the token; in the file it is twice as many hex digits and a newline.
const tokenBytes = 32

// The conditions of a token file that callers branch on.
var (
	// ErrNoToken says that a data directory has no token: no service was ever started on it.
	ErrNoToken = errors.New("no operator token")
	// ErrExposed says that others than the owner can read the token file. It is refused until that is corrected.
	ErrExposed = errors.New("operator token is readable by others")
)

// Token is the operator's credential. It does not show itself in logs or in formatted text; Reveal does.
type Token struct{ hex string }

// Reveal is the token as it stands in the file and after "Bearer ".
func (t Token) Reveal() string { return t.hex }

// String hides the token.
func (t Token) String() string { return "[operator token]" }

// GoString hides the token.
func (t Token) GoString() string { return t.String() }

// LogValue hides the token.
func (t Token) LogValue() slog.Value { return slog.StringValue(t.String()) }

// matches compares in constant time. The zero Token matches nothing.
func (t Token) matches(s string) bool {
	return t.hex != "" && subtle.ConstantTimeCompare([]byte(t.hex), []byte(s)) == 1
}

// key derives a key for one purpose, so that what is signed for one is worth nothing for another.
func (t Token) key(purpose string) []byte {
	mac := hmac.New(sha256.New, []byte(t.hex))
	mac.Write([]byte("kamado operator: " + purpose))
	return mac.Sum(nil)
}

// Load reads the token of a data directory, and makes directory and token first where they are missing. When several processes
// do so at the same time, all get the same token.
func Load(dataDir string) (Token, error) {
	if err := os.MkdirAll(dataDir, 0o700); err != nil {
		return Token{}, fmt.Errorf("make data directory: %w", err)
	}
	t, err := Read(dataDir)
	if !errors.Is(err, ErrNoToken) {
		return t, err
	}
	if err := create(dataDir); err != nil {
		return Token{}, fmt.Errorf("create operator token: %w", err)
	}
	return Read(dataDir)
}

// Read reads the token of a data directory. It fails with ErrNoToken or ErrExposed, or because the file holds no token.
func Read(dataDir string) (Token, error) {
	name := filepath.Join(dataDir, TokenFile)
	info, err := os.Stat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return Token{}, fmt.Errorf("%w: %s does not exist", ErrNoToken, name)
	case err != nil:
		return Token{}, fmt.Errorf("read operator token: %w", err)
	case info.Mode().Perm()&0o077 != 0:
		return Token{}, fmt.Errorf("%w: %s has mode %04o; run: chmod 600 %s", ErrExposed, name, info.Mode().Perm(), name)
	}
	data, err := os.ReadFile(name)
	if err != nil {
		return Token{}, fmt.Errorf("read operator token: %w", err)
	}
	text := strings.TrimSpace(string(data))
	if b, err := hex.DecodeString(text); err != nil || len(b) != tokenBytes {
		return Token{}, fmt.Errorf("read operator token: %s does not hold %d hex digits; remove it to get a fresh one", name, 2*tokenBytes)
	}
	return Token{hex: strings.ToLower(text)}, nil
}

// create writes a fresh token under its name, whole or not at all, and leaves one that another process wrote first.
func create(dataDir string) error {
	temp, err := os.CreateTemp(dataDir, TokenFile+".*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(temp.Name())
	defer temp.Close()
	var secret [tokenBytes]byte
	rand.Read(secret[:]) // never fails, it ends the process instead
	if _, err := fmt.Fprintf(temp, "%x\n", secret); err != nil {
		return err
	}
	if err := temp.Sync(); err != nil {
		return err
	}
	// A link, unlike a rename, does not replace what is there.
	if err := os.Link(temp.Name(), filepath.Join(dataDir, TokenFile)); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncDir(dataDir)
}

func syncDir(name string) error {
	d, err := os.Open(name)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := d.Sync(); err != nil && !errors.Is(err, syscall.EINVAL) { // a file system that cannot sync directories
		return err
	}
	return nil
}
