package images

import (
	"strconv"
	"strings"
	"time"
)

// Request is what a URL says, whatever grammar it was written in: an original
// and a rendition of it. It has been checked for form, not for its signature
// and not for whether the original exists.
type Request struct {
	Grammar string // "tofu1", "tofu2" or "native": for metrics and logs

	// The original, either by Kind and ID, which the configuration maps to
	// an origin, or by Key. Candidates lists the names it may have there.
	Kind, ID string
	Key      string
	Origin   string // the origin that the URL names itself; empty: as the configuration maps kinds and hosts

	Rendition Rendition // normalised
	Preset    string    // the preset that was named, if any

	Owner   string // ?u=, as given: whose picture it is; enters nothing but the log
	Version string // ?p=, as given: changes when the original does; enters the ETag and the cache key

	FileName   string // under which a browser saves the picture; empty: made from the original's name
	Attachment bool   // a browser saves the picture instead of showing it

	// Canonical is the URL's path and query without the signature, in its one
	// spelling: what is signed.
	Canonical string
	Signature string    // as given in the URL, "" where there is none
	Expires   time.Time // signed with the rest; zero: never
}

// Original names what the request is about, for logs and cache keys:
// "kind/id" or the key.
func (r *Request) Original() string {
	if r.Key != "" {
		return r.Key
	}
	return r.Kind + "/" + r.ID
}

// originalExtensions are tried after the bare name, in this order.
var originalExtensions = [...]string{"", ".jpg", ".jpeg", ".png", ".webp", ".gif", ".avif", ".heic", ".tif"}

// Candidates lists the names under which the original may lie in its origin,
// in the order in which they are tried; there are no others. A key that ends
// in the extension of a picture is exact.
func (r *Request) Candidates() []string {
	if i := strings.LastIndexByte(r.Key, '.'); i >= 0 {
		if _, exact := ParseFormat(strings.ToLower(r.Key[i+1:])); exact {
			return []string{r.Key}
		}
	}
	name := r.Original()
	names := make([]string, len(originalExtensions))
	for i, ext := range originalExtensions {
		names[i] = name + ext
	}
	return names
}

// Bounds of what names an original in a URL, in bytes after decoding.
const (
	MaxKind    = 64
	MaxID      = 255 // what a file system takes as one name
	MaxKey     = 1024
	MaxOwner   = 128
	MaxVersion = 128
)

// CheckSegment refuses what cannot be one part of an original's name: empty,
// too long, ".", "..", or with a slash, a backslash or a control character in
// it. Names that begin with a dot are refused as well: files of that sort are
// not pictures that somebody stored to be shown.
func CheckSegment(part, s string, most int) error {
	switch {
	case s == "":
		return Invalidf(part, "it is empty")
	case len(s) > most:
		return Invalidf(part, "it is longer than %d bytes", most)
	case s[0] == '.':
		return Invalidf(part, "%q begins with a dot", clip(s))
	}
	for _, c := range s {
		if c < 0x20 || c == 0x7F || c == '/' || c == '\\' || c == '\uFFFD' {
			return Invalidf(part, "%q has a character that no name has", clip(s))
		}
	}
	return nil
}

// CheckKey is CheckSegment for every segment of a key.
func CheckKey(key string) error {
	if len(key) > MaxKey {
		return Invalidf("key", "it is longer than %d bytes", MaxKey)
	}
	for segment := range strings.SplitSeq(key, "/") {
		if err := CheckSegment("key", segment, MaxID); err != nil {
			return err
		}
	}
	return nil
}

// ParseExpiry reads a Unix time in seconds in its one spelling; an empty one
// is never. part names it in errors.
func ParseExpiry(part, s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	seconds, err := strconv.ParseInt(s, 10, 64)
	const most = 1 << 40 // the year 36812
	if err != nil || seconds < 1 || seconds > most || strconv.FormatInt(seconds, 10) != s {
		return time.Time{}, Invalidf(part, "%q is not a Unix time in seconds", clip(s))
	}
	return time.Unix(seconds, 0).UTC(), nil
}
