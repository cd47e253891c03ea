package message

import (
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"fmt"
	"hash"
	"log/slog"
	"slices"
	"strings"

	"github.com/kamado/kamado/dns"
)

// Key is a TSIG key.
type Key struct {
	Name      dns.Name
	Algorithm dns.Name // "hmac-sha256"
	Secret    []byte
	// Names are patterns of names that it may update, as certificates have them; empty: all.
	Names []string
}

// String hides the secret.
func (k Key) String() string { return fmt.Sprintf("key %s (%s)", k.Name, k.Algorithm) }

// GoString hides the secret.
func (k Key) GoString() string { return k.String() }

// LogValue hides the secret.
func (k Key) LogValue() slog.Value { return slog.StringValue(k.String()) }

// May says whether the key may update a name.
func (k Key) May(name dns.Name) bool {
	return len(k.Names) == 0 || slices.ContainsFunc(k.Names, func(p string) bool { return dns.MatchPattern(p, name) })
}

// algorithms are those of RFC 8945 6 that are still believed; MD5 and GSS-TSIG are not among them.
var algorithms = map[dns.Name]func() hash.Hash{
	"hmac-sha1": sha1.New, "hmac-sha224": sha256.New224, "hmac-sha256": sha256.New, "hmac-sha384": sha512.New384, "hmac-sha512": sha512.New,
}

// Keys are the TSIG keys of this server, by name. The zero value has none.
type Keys map[dns.Name]Key

// Bounds of a key file.
const (
	keyFileBytesMax = 1 << 20
	keysMax         = 10_000
	secretBytesMax  = 1024
)

// ParseKeys reads a file of TSIG keys: statements as BIND has them,
//
//	key "name" { algorithm hmac-sha256; secret "…base64…"; };
//
// or lines name:algorithm:secret, as the tools' option -y has them (there also with
// the algorithm first). A statement may also have names "*.dyn.example" "www.example";
// these are then all that the key may update. The file's name begins complaints.
func ParseKeys(text, file string) (Keys, error) {
	if len(text) > keyFileBytesMax {
		return nil, &dns.Error{Op: "read keys", Kind: dns.TooLarge, Detail: fmt.Sprintf("%s: more than %d bytes", file, keyFileBytesMax)}
	}
	p := keyParser{text: text, line: 1, keys: Keys{}}
	for p.space(); p.text != "" && len(p.keys) <= keysMax; p.space() {
		line := p.line
		if err := p.statement(); err != nil {
			return nil, &dns.Error{Op: "read keys", Kind: dns.Invalid, Detail: fmt.Sprintf("%s:%d: %v", file, line, err)}
		}
	}
	if len(p.keys) > keysMax {
		return nil, &dns.Error{Op: "read keys", Kind: dns.TooLarge, Detail: fmt.Sprintf("%s: more than %d keys", file, keysMax)}
	}
	return p.keys, nil
}

type keyParser struct {
	text string // what is left
	line int
	keys Keys
}

// space skips blanks and comments: # and // to the end of the line, and /* to */.
func (p *keyParser) space() {
	for p.text != "" {
		n := 0
		switch {
		case strings.ContainsRune(" \t\r\n", rune(p.text[0])):
			n = 1
		case p.text[0] == '#', strings.HasPrefix(p.text, "//"):
			n = lineEnd(p.text)
		case strings.HasPrefix(p.text, "/*"):
			if end := strings.Index(p.text[2:], "*/"); end >= 0 {
				n = end + 4
			} else {
				n = len(p.text)
			}
		default:
			return
		}
		p.take(n)
	}
}

func lineEnd(text string) int {
	if i := strings.IndexByte(text, '\n'); i >= 0 {
		return i
	}
	return len(text)
}

func (p *keyParser) take(n int) string {
	taken := p.text[:n]
	p.line += strings.Count(taken, "\n")
	p.text = p.text[n:]
	return taken
}

// word gives the next word, string, brace or semicolon; empty at the end.
func (p *keyParser) word() string {
	p.space()
	switch {
	case p.text == "":
		return ""
	case strings.ContainsRune("{};", rune(p.text[0])):
		return p.take(1)
	case p.text[0] == '"':
		if end := strings.IndexAny(p.text[1:], "\"\n"); end >= 0 && p.text[1+end] == '"' {
			return p.take(end + 2)
		}
		return p.take(len(p.text))
	}
	if n := strings.IndexAny(p.text, " \t\r\n{};\""); n >= 0 {
		return p.take(n)
	}
	return p.take(len(p.text))
}

func (p *keyParser) expect(want string) error {
	if got := p.word(); got != want {
		return fmt.Errorf("want %q, not %q", want, shorten(redact(got)))
	}
	return nil
}

// redact keeps what may be a secret out of complaints.
func redact(word string) string {
	if len(word) >= 16 {
		return "…"
	}
	return word
}

// statement reads one key.
func (p *keyParser) statement() error {
	rest := p.text
	if p.word() != "key" {
		p.text = rest
		return p.keyLine(strings.TrimSpace(p.take(lineEnd(p.text))))
	}
	name := p.word()
	if strings.ContainsAny(name, "{};") {
		return errors.New("a key without a name")
	}
	if err := p.expect("{"); err != nil {
		return err
	}
	var key Key
	for {
		word := p.word()
		if word == "}" {
			break
		}
		if err := p.clause(&key, word); err != nil {
			return err
		}
	}
	if err := p.expect(";"); err != nil {
		return err
	}
	return p.add(key, name, string(key.Algorithm))
}

// clause reads one line of a statement's block.
func (p *keyParser) clause(key *Key, word string) (err error) {
	switch word {
	case "algorithm":
		key.Algorithm = dns.Name(strings.Trim(p.word(), `"`))
	case "secret":
		key.Secret, err = parseSecret(strings.Trim(p.word(), `"`))
	case "names":
		for !strings.HasPrefix(p.text, ";") && err == nil {
			pattern := strings.Trim(p.word(), `"`)
			if err = dns.CheckPattern(pattern); err == nil {
				key.Names = append(key.Names, pattern)
			}
			p.space()
		}
		if len(key.Names) > dns.PatternsMax {
			err = fmt.Errorf("%d names, at most %d", len(key.Names), dns.PatternsMax)
		}
	default:
		return fmt.Errorf("want algorithm, secret or names, not %q", shorten(redact(word)))
	}
	if err != nil {
		return err
	}
	return p.expect(";")
}

// keyLine reads name:algorithm:secret or algorithm:name:secret.
func (p *keyParser) keyLine(line string) error {
	parts := strings.Split(line, ":")
	if len(parts) != 3 {
		return errors.New(`want key "name" { algorithm hmac-sha256; secret "…"; }; or name:algorithm:secret`)
	}
	name, algorithm := parts[0], parts[1]
	if _, ok := algorithms[dns.Name(strings.ToLower(name))]; ok {
		name, algorithm = algorithm, name
	}
	secret, err := parseSecret(parts[2])
	if err != nil {
		return err
	}
	return p.add(Key{Secret: secret}, name, algorithm)
}

func parseSecret(text string) ([]byte, error) {
	secret, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(secret) == 0 || len(secret) > secretBytesMax {
		return nil, fmt.Errorf("a secret that is not base64 of 1 to %d bytes", secretBytesMax)
	}
	return secret, nil
}

func (p *keyParser) add(key Key, name, algorithm string) error {
	var err error
	if key.Name, err = dns.ParseName(strings.Trim(name, `"`)); err != nil {
		return err
	}
	key.Algorithm = dns.Name(strings.ToLower(strings.TrimSuffix(algorithm, ".")))
	if _, ok := algorithms[key.Algorithm]; !ok {
		return fmt.Errorf("key %s: algorithm %q is none of hmac-sha1, hmac-sha224, hmac-sha256, hmac-sha384, hmac-sha512", key.Name, shorten(algorithm))
	}
	if len(key.Secret) == 0 {
		return fmt.Errorf("key %s: no secret", key.Name)
	}
	if _, ok := p.keys[key.Name]; ok {
		return fmt.Errorf("a second key %s", key.Name)
	}
	p.keys[key.Name] = key
	return nil
}
