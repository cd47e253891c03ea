package images

import (
	"net/url"
	"strings"
	"unicode/utf8"
)

// Escape writes a part of a path or a query value in its canonical form: the
// unreserved characters of RFC 3986 2.3 (letters, digits, "-._~") as they are,
// every other byte as % and two upper-case hex digits.
func Escape(s string) string {
	plain := true
	for i := range len(s) {
		plain = plain && unreserved(s[i])
	}
	if plain {
		return s
	}
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; unreserved(c) {
			b.WriteByte(c)
		} else {
			b.Write([]byte{'%', hex[c>>4], hex[c&15]})
		}
	}
	return b.String()
}

// EscapeKey is Escape for every segment of a key; its slashes stay.
func EscapeKey(key string) string {
	segments := strings.Split(key, "/")
	for i := range segments {
		segments[i] = Escape(segments[i])
	}
	return strings.Join(segments, "/")
}

func unreserved(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '.' || c == '_' || c == '~'
}

// MaxPath bounds the length of a URL's path and query in bytes, escapes
// included.
const MaxPath = 4096

// Segments splits the escaped path of a URL and undoes the escapes of each
// segment, so that an escaped slash stays inside its segment. Escapes that
// have a shorter or an upper-case spelling are refused: they would be second
// spellings of the same picture.
func Segments(u *url.URL) ([]string, error) {
	path := u.EscapedPath()
	if len(path)+len(u.RawQuery) > MaxPath {
		return nil, Invalidf("path", "it is longer than %d bytes", MaxPath)
	}
	rest, ok := strings.CutPrefix(path, "/")
	if !ok {
		return nil, Invalidf("path", "it does not begin with /")
	}
	segments := strings.Split(rest, "/")
	for i, s := range segments {
		if err := checkEscapes(s); err != nil {
			return nil, err
		}
		plain, err := url.PathUnescape(s)
		if err != nil {
			return nil, Invalidf("path", "%q has an escape that is none", clip(s))
		}
		if !utf8.ValidString(plain) {
			return nil, Invalidf("path", "%q is not UTF-8", clip(s))
		}
		segments[i] = plain
	}
	return segments, nil
}

func checkEscapes(s string) error {
	for i := strings.IndexByte(s, '%'); i >= 0 && i+2 < len(s); {
		escape := s[i : i+3]
		if strings.ToUpper(escape) != escape {
			return Invalidf("path", "the escape %s is written %s", escape, strings.ToUpper(escape))
		}
		if plain, err := url.PathUnescape(escape); err == nil && unreserved(plain[0]) {
			return Invalidf("path", "the escape %s is written %s", escape, plain)
		}
		next := strings.IndexByte(s[i+3:], '%')
		if next < 0 {
			break
		}
		i += 3 + next
	}
	return nil
}

// Query reads the query of a URL. Each parameter may come once and must be one
// of known: what is not known would be a second spelling of the same picture.
// A parameter without a value counts as absent.
func Query(u *url.URL, known ...string) (map[string]string, error) {
	if u.RawQuery == "" {
		return nil, nil
	}
	values := make(map[string]string, len(known))
	for item := range strings.SplitSeq(u.RawQuery, "&") {
		name, value, _ := strings.Cut(item, "=")
		found := false
		for _, k := range known {
			found = found || k == name
		}
		if !found {
			return nil, Invalidf("query", "%q is not a parameter here", clip(name))
		}
		if _, twice := values[name]; twice {
			return nil, Invalidf("query", "the parameter %s is given twice", name)
		}
		plain, err := url.QueryUnescape(value)
		if err != nil || !utf8.ValidString(plain) || strings.ContainsFunc(plain, func(r rune) bool { return r < 0x20 || r == 0x7F }) {
			return nil, Invalidf("query", "the value of %s is not text", name)
		}
		values[name] = plain
	}
	return values, nil
}
