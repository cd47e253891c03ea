package purge

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// Bounds of the tokens of one answer.
const (
	tokenNameMax    = 64 // longest name that is written as it is; unit: bytes
	tokenPrefixsMax = 16 // folders above an original that have a token, from the outermost
)

// Token is the surrogate key by which a CDN knows what the target is about. Of a
// prefix that does not end a folder it is the token of the folder it lies in,
// which is more than was asked for and never less. Tokens are of a-z, 0-9 and
// hyphen and underscore only, so they need no quoting in a header, a URL, JSON
// or a regular expression.
func (t Target) Token() string {
	switch t.Scope {
	case ScopeKey:
		return "key-" + digest(t.Source, t.Name)
	case ScopePrefix:
		folder := t.Name[:strings.LastIndexByte(t.Name, '/')+1]
		for strings.Count(folder, "/") > tokenPrefixsMax {
			folder = folder[:strings.LastIndexByte(folder[:len(folder)-1], '/')+1]
		}
		if folder == "" {
			return "origin-" + t.Source
		}
		return "prefix-" + digest(t.Source, folder)
	case ScopeKind:
		return "kind-" + plain(t.Name)
	case ScopeOwner:
		return "owner-" + plain(t.Name)
	case ScopeOrigin:
		return "origin-" + t.Name
	}
	return "kamado"
}

// SurrogateKeys are the tokens of an answer about an original, for the headers
// Surrogate-Key and Cache-Tag: one for each target that matches it. kind and
// owner may be empty.
func SurrogateKeys(source, key, kind, owner string) []string {
	keys := make([]string, 0, 6)
	keys = append(keys, All().Token(), "origin-"+source)
	if kind != "" {
		keys = append(keys, "kind-"+plain(kind))
	}
	if owner != "" {
		keys = append(keys, "owner-"+plain(owner))
	}
	for i, n := 0, 0; i < len(key) && n < tokenPrefixsMax; i++ {
		if key[i] == '/' {
			keys = append(keys, "prefix-"+digest(source, key[:i+1]))
			n++
		}
	}
	return append(keys, "key-"+digest(source, key))
}

func digest(source, name string) string {
	sum := sha256.Sum256([]byte(source + "\x00" + name))
	return hex.EncodeToString(sum[:16])
}

// plain is a name when it needs no quoting, else a digest of it. A name that
// looks like a digest is not plain.
func plain(s string) string {
	ok := len(s) <= tokenNameMax && !strings.HasPrefix(s, "x-")
	for i := 0; ok && i < len(s); i++ {
		c := s[i]
		ok = c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '_'
	}
	if ok {
		return s
	}
	return "x-" + digest("", s)
}
