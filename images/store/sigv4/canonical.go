package sigv4

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// escape is URI encoding as "Create a canonical request" wants it: the unreserved
// characters of RFC 3986 as they are, every other byte as % and two upper-case hex
// digits; a slash stays where keepSlash.
func escape(b *strings.Builder, s string, keepSlash bool) {
	const hex = "0123456789ABCDEF"
	for i := range len(s) {
		c := s[i]
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '.', c == '_', c == '~', c == '/' && keepSlash:
			b.WriteByte(c)
		default:
			b.Write([]byte{'%', hex[c>>4], hex[c&15]})
		}
	}
}

// canonicalQuery writes the parameters sorted by name and value, without the
// signature itself. false: the query cannot be read.
func canonicalQuery(raw string) (string, bool) {
	var items []string
	for item := range strings.SplitSeq(raw, "&") {
		if item == "" {
			continue
		}
		name, value, _ := strings.Cut(item, "=")
		n, err := url.QueryUnescape(name)
		if err != nil {
			return "", false
		}
		v, err := url.QueryUnescape(value)
		if err != nil {
			return "", false
		}
		if n == "X-Amz-Signature" {
			continue
		}
		var b strings.Builder
		escape(&b, n, false)
		b.WriteByte('=')
		escape(&b, v, false)
		items = append(items, b.String())
	}
	// "=" sorts after "-" and ".", so whole items do not sort as names and values.
	slices.SortFunc(items, func(a, b string) int {
		an, av, _ := strings.Cut(a, "=")
		bn, bv, _ := strings.Cut(b, "=")
		if c := strings.Compare(an, bn); c != 0 {
			return c
		}
		return strings.Compare(av, bv)
	})
	return strings.Join(items, "&"), true
}

// canonicalHeaders writes the signed headers, each with its values trimmed, inner
// runs of spaces made one, joined by commas. net/http takes some headers out of the
// map, so they are put together again. false: a signed header is not there.
func canonicalHeaders(b *strings.Builder, r *http.Request, signed []string) bool {
	for _, name := range signed {
		var values []string
		switch name {
		case "host":
			values = []string{r.Host}
		case "content-length":
			if r.ContentLength < 0 {
				return false
			}
			values = []string{strconv.FormatInt(r.ContentLength, 10)}
		case "transfer-encoding":
			values = r.TransferEncoding
		default:
			values = r.Header[http.CanonicalHeaderKey(name)]
		}
		if len(values) == 0 {
			return false
		}
		b.WriteString(name)
		b.WriteByte(':')
		for i, v := range values {
			if i > 0 {
				b.WriteByte(',')
			}
			b.WriteString(strings.Join(strings.Fields(v), " "))
		}
		b.WriteByte('\n')
	}
	return true
}

// canonicalRequest is what is hashed into the string to sign. The error is a
// refusal.
func canonicalRequest(r *http.Request, signed []string, payload string) (string, error) {
	var b strings.Builder
	b.WriteString(r.Method)
	b.WriteByte('\n')
	if path := r.URL.Path; path == "" {
		b.WriteByte('/')
	} else {
		escape(&b, path, true) // S3 does not normalise paths
	}
	b.WriteByte('\n')
	query, ok := canonicalQuery(r.URL.RawQuery)
	if !ok {
		return "", ErrQuery
	}
	b.WriteString(query)
	b.WriteByte('\n')
	if !canonicalHeaders(&b, r, signed) {
		return "", ErrSignature
	}
	b.WriteByte('\n')
	b.WriteString(strings.Join(signed, ";"))
	b.WriteByte('\n')
	b.WriteString(payload)
	return b.String(), nil
}

// checkSigned says whether all that must be signed is: the host, and each x-amz-*
// header that was sent. signed is sorted.
func checkSigned(r *http.Request, signed []string) error {
	if !slices.Contains(signed, "host") {
		return ErrUnsigned
	}
	for name := range r.Header {
		if lower := strings.ToLower(name); strings.HasPrefix(lower, "x-amz-") && !slices.Contains(signed, lower) {
			return ErrUnsigned
		}
	}
	return nil
}
