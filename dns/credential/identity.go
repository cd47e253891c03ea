package credential

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/kamado/kamado/dns"
)

// Issuer signs certificates: Key.Issue.
type Issuer func(dns.Certificate) (dns.Certificate, error)

// Identity is a member's private key and its certificate.
type Identity struct {
	Cert    dns.Certificate
	private ed25519.PrivateKey
}

// NewIdentity makes a random key and has it certified with these rights.
func NewIdentity(rights dns.Certificate, issue Issuer) (Identity, error) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return Identity{}, fmt.Errorf("make a member's key: %w", err)
	}
	return Identity{private: private}.Recertify(rights, issue)
}

// Recertify keeps the private key and changes the certificate.
func (id Identity) Recertify(rights dns.Certificate, issue Issuer) (Identity, error) {
	rights.Key = id.Public()
	c, err := issue(rights)
	if err != nil {
		return Identity{}, err
	}
	return Identity{Cert: c, private: id.private}, nil
}

// Public is the member's public key; nil of the zero Identity.
func (id Identity) Public() []byte {
	if len(id.private) == 0 {
		return nil
	}
	return id.private.Public().(ed25519.PublicKey)
}

// Sign signs with the member's key.
func (id Identity) Sign(b []byte) []byte { return ed25519.Sign(id.private, b) }

// String hides the key.
func (id Identity) String() string { return "identity of " + id.Cert.Node }

// LogValue hides the key.
func (id Identity) LogValue() slog.Value { return slog.StringValue(id.String()) }

// Words of the files: one a line, then base64.
const (
	wordPrivate     = "private"
	wordCertificate = "certificate"
	wordGossip      = "gossip"
	wordIssuer      = "issuer"

	fileBytesMax = 64 << 10
)

// Format writes a member.key file.
func (id Identity) Format() string {
	return "# The private key of a member of Kamado's dns. Keep it secret.\n" + id.lines()
}

func (id Identity) lines() string {
	c := id.Cert
	expires := "never"
	if !c.Expires.IsZero() {
		expires = c.Expires.UTC().Format(time.RFC3339)
	}
	return fmt.Sprintf("# node %s; names %s; addresses %v; zones %v; admin %v; issued %s; expires %s\n",
		c.Node, strings.Join(c.Names, " "), c.Ranges, c.Zones, c.Admin, c.Issued.UTC().Format(time.RFC3339), expires) +
		line(wordPrivate, id.private.Seed()) + line(wordCertificate, Encode(c))
}

func line(word string, value []byte) string {
	return word + " " + base64.StdEncoding.EncodeToString(value) + "\n"
}

// ParseIdentity reads a member.key file.
func ParseIdentity(text string) (Identity, error) {
	m, err := parse(text, false)
	return m.Identity, err
}

// LoadIdentity reads a member.key file; fs.ErrNotExist when there is none.
func LoadIdentity(path string) (Identity, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return Identity{}, fmt.Errorf("read the member's key: %w", err)
	}
	id, err := ParseIdentity(string(b))
	if err != nil {
		return Identity{}, fmt.Errorf("%s: %w", path, err)
	}
	return id, nil
}

// Save writes a member.key file with mode 0600, whole or not at all.
func (id Identity) Save(path string) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".member.key-*") // made with mode 0600
	if err != nil {
		return fmt.Errorf("write the member's key: %w", err)
	}
	defer os.Remove(f.Name()) // of no effect after the renaming
	_, err = f.WriteString(id.Format())
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("write the member's key: %w", err)
	}
	return nil
}

// MemberFile makes a member of a machine without the cluster's key.
type MemberFile struct {
	Identity Identity
	Gossip   [][]byte // AES-256 keys; the first one encrypts
	Issuers  [][]byte
}

// NewMemberFile certifies a member, with these rights, by the first key of a ring.
func NewMemberFile(ring []Key, rights dns.Certificate) (MemberFile, error) {
	id, err := NewIdentity(rights, ring[0].Issue)
	if err != nil {
		return MemberFile{}, err
	}
	m := MemberFile{Identity: id}
	for _, k := range ring {
		m.Gossip = append(m.Gossip, k.Gossip())
		m.Issuers = append(m.Issuers, k.Public())
	}
	return m, nil
}

// Format writes a member file.
func (m MemberFile) Format() string {
	var text strings.Builder
	text.WriteString("# Makes a machine a member of Kamado's dns: member_file in its configuration. Keep it secret.\n")
	text.WriteString(m.Identity.lines())
	for _, g := range m.Gossip {
		text.WriteString(line(wordGossip, g))
	}
	for _, i := range m.Issuers {
		text.WriteString(line(wordIssuer, i))
	}
	return text.String()
}

// String hides the keys.
func (m MemberFile) String() string { return "member file of " + m.Identity.Cert.Node }

// LogValue hides the keys.
func (m MemberFile) LogValue() slog.Value { return slog.StringValue(m.String()) }

// ParseMemberFile reads the text that Format wrote.
func ParseMemberFile(text string) (MemberFile, error) {
	m, err := parse(text, true)
	if err != nil {
		return MemberFile{}, err
	}
	if _, err := VerifyEncoded(Encode(m.Identity.Cert), m.Issuers); err != nil {
		return MemberFile{}, fmt.Errorf("member file: %w", err)
	}
	return m, nil
}

func parse(text string, whole bool) (MemberFile, error) {
	var m MemberFile
	if len(text) > fileBytesMax {
		return m, fmt.Errorf("%d bytes, at most %d", len(text), fileBytesMax)
	}
	number := 0
	for l := range strings.Lines(text) {
		number++
		if l = strings.TrimSpace(l); l == "" || l[0] == '#' {
			continue
		}
		if err := m.take(l); err != nil {
			return MemberFile{}, fmt.Errorf("line %d: %w", number, err)
		}
	}
	switch {
	case m.Identity.private == nil || m.Identity.Cert.Node == "":
		return MemberFile{}, fmt.Errorf("no line %q or no line %q", wordPrivate, wordCertificate)
	case !bytes.Equal(m.Identity.Public(), m.Identity.Cert.Key):
		return MemberFile{}, errors.New("the certificate is of another private key")
	case whole && (len(m.Gossip) == 0 || len(m.Issuers) == 0):
		return MemberFile{}, fmt.Errorf("no line %q or no line %q: is this a member.key, not a member file?", wordGossip, wordIssuer)
	}
	return m, nil
}

func (m *MemberFile) take(l string) error {
	word, value, _ := strings.Cut(l, " ")
	b, err := decode(strings.TrimSpace(value))
	if err != nil {
		return fmt.Errorf("%q is not followed by base64", shorten(word))
	}
	if word != wordCertificate && len(b) != 32 {
		return fmt.Errorf("%q is followed by %d bytes, want 32", shorten(word), len(b))
	}
	switch word {
	case wordPrivate:
		m.Identity.private = ed25519.NewKeyFromSeed(b)
	case wordCertificate:
		m.Identity.Cert, err = Decode(b)
	case wordGossip:
		m.Gossip = append(m.Gossip, b)
	case wordIssuer:
		m.Issuers = append(m.Issuers, b)
	default:
		return fmt.Errorf("%q is none of %s, %s, %s, %s", shorten(word), wordPrivate, wordCertificate, wordGossip, wordIssuer)
	}
	return err
}

func shorten(s string) string {
	if len(s) > 40 {
		return s[:40] + "…"
	}
	return s
}
