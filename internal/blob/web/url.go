package web

import (
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// urlBytesMax bounds a URL key and the target of a redirect. Unit: bytes.
const urlBytesMax = 2048

// Bounds of host names, RFC 1035 2.3.4. Unit: bytes.
const (
	hostBytesMax  = 253
	labelBytesMax = 63
)

// address is a URL taken apart, with the host in its one spelling.
type address struct {
	url  *url.URL
	host string // lower case; an IPv6 address without brackets
	port uint16
}

// IsURL says whether a key is meant as a whole URL. No key of another kind
// begins so: its second segment would be empty.
func IsURL(key string) bool {
	return hasPrefixFold(key, "http://") || hasPrefixFold(key, "https://")
}

func hasPrefixFold(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}

// join puts a key that blob.CheckKey accepts behind a base. Every byte but the
// unreserved ones of RFC 3986 is escaped, so the key can end neither the path
// nor its segment.
func join(base *url.URL, key string) *url.URL {
	u := *base
	u.RawPath = base.EscapedPath() + escape(key)
	u.Path = base.Path + key
	return &u
}

// escape escapes every segment of a key; its slashes stay.
func escape(key string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	b.Grow(len(key) + 16)
	for i := range len(key) {
		if c := key[i]; unreserved(c) || c == '/' {
			b.WriteByte(c)
		} else {
			b.Write([]byte{'%', hex[c>>4], hex[c&15]})
		}
	}
	return b.String()
}

func unreserved(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '.' || c == '_' || c == '~'
}

// parseURL reads a URL that somebody else wrote. It knows one spelling of the
// front part: scheme and host in lower case, no credentials, a host that is a
// name or a canonical address, a port in plain digits. Everything else is
// refused rather than understood, because two programs that understand it
// differently are what an attacker looks for. Path and query may have what a
// browser would escape; it is escaped.
func parseURL(text string) (*address, error) {
	if len(text) > urlBytesMax {
		return nil, fmt.Errorf("%w: %d bytes, limit %d", ErrRefused, len(text), urlBytesMax)
	}
	if !utf8.ValidString(text) {
		return nil, fmt.Errorf("%w: not UTF-8", ErrRefused)
	}
	for i := range len(text) {
		if c := text[i]; c < 0x20 || c == 0x7f || c == '\\' || c == '#' {
			return nil, fmt.Errorf("%w: the character %q", ErrRefused, c)
		}
	}
	scheme, rest, ok := strings.Cut(text, "://")
	if !ok || scheme != "http" && scheme != "https" {
		return nil, fmt.Errorf("%w: want http:// or https://", ErrRefused)
	}
	authority, path := rest, ""
	if i := strings.IndexAny(rest, "/?"); i >= 0 {
		authority, path = rest[:i], rest[i:]
	}
	host, port, err := parseAuthority(authority, scheme)
	if err != nil {
		return nil, err
	}
	escaped, err := escapeRest(path)
	if err != nil {
		return nil, err
	}
	u, err := url.Parse(scheme + "://" + authority + escaped)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRefused, err)
	}
	// The second opinion: what the client library would do is what was checked.
	if u.Hostname() != host || u.Host != authority || u.User != nil || u.Opaque != "" || u.Fragment != "" {
		return nil, fmt.Errorf("%w: it can be read in two ways", ErrRefused)
	}
	if u.Path == "" {
		u.Path = "/"
	}
	return &address{u, host, port}, nil
}

// parseAuthority reads host[:port].
func parseAuthority(authority, scheme string) (host string, port uint16, err error) {
	host, port = authority, 80
	if scheme == "https" {
		port = 443
	}
	if h, p, ok := cutPort(authority); ok {
		if port, err = parsePort(p); err != nil {
			return "", 0, err
		}
		host = h
	}
	if inner, ok := strings.CutPrefix(host, "["); ok {
		host, ok = strings.CutSuffix(inner, "]")
		if !ok || !strings.Contains(host, ":") {
			return "", 0, fmt.Errorf("%w: host %q", ErrRefused, authority)
		}
	} else if strings.Contains(host, ":") {
		return "", 0, fmt.Errorf("%w: host %q", ErrRefused, authority)
	}
	return host, port, checkHost(host)
}

// cutPort cuts ":port" off a host; an IPv6 address has brackets.
func cutPort(s string) (host, port string, ok bool) {
	i := strings.LastIndexByte(s, ':')
	if i < 0 || strings.HasSuffix(s, "]") || strings.Contains(s[:i], ":") && !strings.HasSuffix(s[:i], "]") {
		return s, "", false
	}
	return s[:i], s[i+1:], true
}

func parsePort(s string) (uint16, error) {
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil || n == 0 || s[0] == '0' || s[0] == '+' {
		return 0, fmt.Errorf("%w: port %q", ErrRefused, s)
	}
	return uint16(n), nil
}

// checkHost accepts a host name in lower-case ASCII (names in other scripts in
// their xn-- form) and an address in its canonical spelling.
func checkHost(host string) error {
	if strings.Contains(host, ":") {
		a, err := netip.ParseAddr(host)
		if err != nil || a.Zone() != "" || a.String() != host {
			return fmt.Errorf("%w: address %q", ErrRefused, host)
		}
		return nil
	}
	if host == "" || len(host) > hostBytesMax {
		return fmt.Errorf("%w: a host of %d bytes", ErrRefused, len(host))
	}
	last := ""
	for label := range strings.SplitSeq(host, ".") {
		if !goodLabel(label) {
			return fmt.Errorf("%w: host %q", ErrRefused, host)
		}
		last = label
	}
	if !numeric(last) {
		return nil
	}
	// A name that ends in a number is an address in some spelling (WHATWG URL,
	// "ends in a number checker"); one spelling is enough.
	if a, err := netip.ParseAddr(host); err != nil || a.String() != host {
		return fmt.Errorf("%w: address %q", ErrRefused, host)
	}
	return nil
}

func goodLabel(label string) bool {
	if label == "" || len(label) > labelBytesMax || label[0] == '-' || label[len(label)-1] == '-' {
		return false
	}
	for i := range len(label) {
		if c := label[i]; !(c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '_') {
			return false
		}
	}
	return true
}

// numeric says whether a label is a number to some program: digits, or
// hexadecimal behind 0x.
func numeric(label string) bool {
	if hex, ok := strings.CutPrefix(label, "0x"); ok {
		return strings.Trim(hex, "0123456789abcdef") == ""
	}
	return strings.Trim(label, "0123456789") == ""
}

func isAddress(host string) bool {
	_, err := netip.ParseAddr(host)
	return err == nil
}

// kept are characters of paths and queries that stay as they are, RFC 3986 3.3
// and 3.4, beside the unreserved ones.
const kept = "/?:@!$&'()*+,;="

// escapeRest checks the path and query of a URL and escapes what has to be.
// Escapes that are there stay. Segments that are dots in any spelling are
// refused.
func escapeRest(rest string) (string, error) {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	b.Grow(len(rest) + 16)
	for i := 0; i < len(rest); i++ {
		switch c := rest[i]; {
		case c == '%':
			if i+2 >= len(rest) || !isHex(rest[i+1]) || !isHex(rest[i+2]) {
				return "", fmt.Errorf("%w: an escape that is none", ErrRefused)
			}
			b.WriteByte(c)
		case unreserved(c) || strings.IndexByte(kept, c) >= 0:
			b.WriteByte(c)
		default:
			b.Write([]byte{'%', hex[c>>4], hex[c&15]})
		}
	}
	escaped := b.String()
	path, _, _ := strings.Cut(escaped, "?")
	for segment := range strings.SplitSeq(path, "/") {
		plain, err := url.PathUnescape(segment)
		// An escaped slash is one to some servers, and what is between two a segment.
		if err != nil || strings.ContainsAny(plain, "\x00\r\n") || slices.ContainsFunc(strings.FieldsFunc(plain, isSlash), isDots) {
			return "", fmt.Errorf("%w: the segment %q", ErrRefused, segment)
		}
	}
	return escaped, nil
}

func isSlash(r rune) bool { return r == '/' || r == '\\' }

func isDots(s string) bool { return s == "." || s == ".." }

func isHex(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}

// public is a key without what may be a secret of it: the query.
func public(key string) string {
	if i := strings.IndexByte(key, '?'); i >= 0 && IsURL(key) {
		return key[:i] + "?..."
	}
	return key
}
