package game

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Provider names who vouches for a subject. Besides the two of this program it is
// the name of an OpenID Connect issuer in the configuration. That name is a part of the
// pairs for ever: it must not be given to another issuer later.
type Provider string

// The providers of this program itself.
const (
	ProviderGuest    Provider = "guest"    // subject: digest of a secret that only the device has
	ProviderPassword Provider = "password" // subject: e-mail address in its normal form
)

// ProviderBytesMax and SubjectBytesMax bound a pair. OpenID Connect Core 2: sub has at most 255 ASCII characters.
const (
	ProviderBytesMax = 32
	SubjectBytesMax  = 255
)

// ParseProvider reads a provider: lower-case letters, digits and hyphens, a letter first.
func ParseProvider(text string) (Provider, error) {
	ok := text != "" && len(text) <= ProviderBytesMax && text[0] >= 'a' && text[0] <= 'z'
	for i := range len(text) {
		c := text[i]
		ok = ok && (c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-')
	}
	if !ok {
		return "", Errorf(Invalid, "%.40q is no provider: want 1 to %d lower-case letters, digits and hyphens, a letter first", text, ProviderBytesMax)
	}
	return Provider(text), nil
}

// Own says whether this program vouches itself.
func (p Provider) Own() bool { return p == ProviderGuest || p == ProviderPassword }

// Pair is a subject at a provider. It belongs to exactly one UID for ever: also
// after it was unlinked, or its user was merged or deleted, nobody else gets it.
type Pair struct {
	Provider Provider `json:"provider"`
	Subject  string   `json:"subject"`
}

// Check judges a pair.
func (p Pair) Check() error {
	if _, err := ParseProvider(string(p.Provider)); err != nil {
		return err
	}
	if p.Subject == "" || len(p.Subject) > SubjectBytesMax || !utf8.ValidString(p.Subject) || strings.ContainsFunc(p.Subject, unicode.IsControl) {
		return Errorf(Invalid, "a subject of %d bytes: want 1 to %d of printable UTF-8", len(p.Subject), SubjectBytesMax)
	}
	return nil
}

// emailBytesMax bounds an address: RFC 5321 4.5.3.1.3, less the angle brackets; localBytesMax its part before the "@": 4.5.3.1.1.
const (
	emailBytesMax = 254
	localBytesMax = 64
)

// NormalEmail gives the normal form of an e-mail address, which is the subject of a
// password: white space around it is dropped, and all of it is in lower case. What
// stands before the "@" is a dot-atom of RFC 5322 3.2.3 and is otherwise kept: dots and
// "+" are not dropped, since only the mailbox's own server knows what they mean. The domain
// is in ASCII (xn--…), since two ways to write one name must not be two users.
func NormalEmail(text string) (string, error) {
	text = strings.ToLower(strings.TrimSpace(text))
	local, domain, ok := strings.Cut(text, "@")
	if !ok || len(text) > emailBytesMax || !isDotAtom(local) || !isDomain(domain) {
		return "", Errorf(Invalid, "that is no e-mail address: want name@example.org, in ASCII, at most %d bytes", emailBytesMax)
	}
	return text, nil
}

func isDotAtom(s string) bool {
	if s == "" || len(s) > localBytesMax {
		return false
	}
	for atom := range strings.SplitSeq(s, ".") {
		if atom == "" {
			return false
		}
		for i := range len(atom) {
			if c := atom[i]; !isAlphanumeric(c) && !strings.ContainsRune("!#$%&'*+-/=?^_`{|}~", rune(c)) {
				return false
			}
		}
	}
	return true
}

func isDomain(s string) bool {
	labels := strings.Split(s, ".")
	for _, l := range labels {
		if l == "" || len(l) > 63 || l[0] == '-' || l[len(l)-1] == '-' {
			return false
		}
		for i := range len(l) {
			if !isAlphanumeric(l[i]) && l[i] != '-' {
				return false
			}
		}
	}
	return len(labels) > 1
}

func isAlphanumeric(c byte) bool { return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' }

// Bounds of a password. It is taken as it was sent: no normal form, since any would be a secret rule about it.
const (
	PasswordRunesMin = 8 // NIST SP 800-63B 3.1.1.2
	PasswordBytesMax = 256
)

// CheckPassword judges a password that somebody chose.
func CheckPassword(password string) error {
	if utf8.RuneCountInString(password) < PasswordRunesMin || len(password) > PasswordBytesMax || !utf8.ValidString(password) {
		return Errorf(Invalid, "a password has at least %d characters and at most %d bytes of UTF-8", PasswordRunesMin, PasswordBytesMax)
	}
	return nil
}
