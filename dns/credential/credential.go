package credential

import (
	"time"

	"github.com/kamado/kamado/dns"
)

// Key is a cluster's key.
type Key [32]byte

// NewKey makes a random key.
func NewKey() Key { panic("soon") }

// ParseKeys reads a key file: base64 of 32 bytes a line, # begins a comment; the first key is in use.
func ParseKeys(text string) ([]Key, error) { panic("soon") }

// FormatKeys writes a key file.
func FormatKeys(keys []Key) string { panic("soon") }

// Gossip is the AES-256 key of gossip.
func (k Key) Gossip() []byte { panic("soon") }

// Public is the Ed25519 public key that issues certificates; it names the key.
func (k Key) Public() []byte { panic("soon") }

// Issue signs a certificate.
func (k Key) Issue(c dns.Certificate) (dns.Certificate, error) { panic("soon") }

// Verify says whether a certificate is one of the issuers' and in force.
func Verify(c dns.Certificate, issuers [][]byte, now time.Time) error { panic("soon") }

// Full gives the rights of a member that holds the cluster's key itself: any name
// under the domain and any zone, any address, administration. Key is not set.
func Full(node string, domain dns.Name, issued time.Time) dns.Certificate { panic("soon") }

// Seal encrypts a new key of the ring under the key in use, for an entry that all members see.
func (k Key) Seal(secret Key) []byte { panic("soon") }

// Open is the other end of Seal.
func (k Key) Open(sealed []byte) (Key, error) { panic("soon") }

// Identity is a member's private key and its certificate.
type Identity struct {
	Cert    dns.Certificate
	private []byte
}

// NewIdentity makes a random key, certified by issue, which is Key.Issue or nothing.
func NewIdentity(c dns.Certificate, issue func(dns.Certificate) (dns.Certificate, error)) (Identity, error) {
	panic("soon")
}

// Recertify keeps the private key and changes the certificate.
func (id Identity) Recertify(c dns.Certificate, issue func(dns.Certificate) (dns.Certificate, error)) (Identity, error) {
	panic("soon")
}

// Sign signs with the member's key.
func (id Identity) Sign(b []byte) []byte { panic("soon") }

// LoadIdentity reads a member.key file; fs.ErrNotExist when there is none.
func LoadIdentity(path string) (Identity, error) { panic("soon") }

// Save writes a member.key file with mode 0600, whole or not at all.
func (id Identity) Save(path string) error { panic("soon") }

// MemberFile makes a member of a machine without the cluster's key.
type MemberFile struct {
	Identity Identity
	Gossip   [][]byte // AES-256 keys; the first one encrypts
	Issuers  [][]byte
}

// ParseMemberFile reads the text that Format wrote.
func ParseMemberFile(text string) (MemberFile, error) { panic("soon") }

// Format writes a member file.
func (m MemberFile) Format() string { panic("soon") }
