package blob

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Bounds of a key. Unit: bytes of UTF-8.
const (
	KeyBytesMax     = 1024 // "Creating object key names", Amazon S3 User Guide
	SegmentBytesMax = 255  // NAME_MAX of Linux file systems
)

// ReservedSegment is a first segment that no key may have: the directory engine
// keeps unfinished objects there.
const ReservedSegment = ".kamado-put"

// CheckKey says whether key may name an object: 1 to KeyBytesMax bytes of
// UTF-8, segments of 1 to SegmentBytesMax bytes joined by "/", no segment "."
// or "..", no control character (so no NUL and no line break), and not in
// ReservedSegment. The error wraps ErrInvalidKey. It allocates nothing for a
// good key.
func CheckKey(key string) error {
	if key == "" {
		return fmt.Errorf("%w: empty", ErrInvalidKey)
	}
	if len(key) > KeyBytesMax {
		return fmt.Errorf("%w: %d bytes, limit %d", ErrInvalidKey, len(key), KeyBytesMax)
	}
	if !utf8.ValidString(key) {
		return fmt.Errorf("%w: %q is not UTF-8", ErrInvalidKey, key)
	}
	start := 0
	for i := 0; i <= len(key); i++ {
		if i < len(key) && key[i] != '/' {
			if key[i] < 0x20 || key[i] == 0x7f {
				return fmt.Errorf("%w: %q has a control character", ErrInvalidKey, key)
			}
			continue
		}
		if why := segmentFault(key[start:i]); why != "" {
			return fmt.Errorf("%w: %q has %s", ErrInvalidKey, key, why)
		}
		start = i + 1
	}
	if key == ReservedSegment || strings.HasPrefix(key, ReservedSegment+"/") {
		return fmt.Errorf("%w: %q is reserved for unfinished objects", ErrInvalidKey, key)
	}
	return nil
}

// CheckPrefix says whether prefix may stand before a key: empty, or the
// beginning of something that CheckKey accepts. A prefix that can match no
// key at all is an error rather than an empty list, because it is a mistake.
func CheckPrefix(prefix string) error {
	switch {
	case prefix == "":
		return nil
	case strings.HasSuffix(prefix, "/"):
		return CheckKey(prefix[:len(prefix)-1])
	case prefix == "." || prefix == ".." || strings.HasSuffix(prefix, "/.") || strings.HasSuffix(prefix, "/.."):
		return nil // "..." and ".hidden" are good segments
	}
	return CheckKey(prefix)
}

func segmentFault(s string) string {
	switch {
	case s == "":
		return "an empty segment"
	case s == "." || s == "..":
		return "a segment " + s
	case len(s) > SegmentBytesMax:
		return fmt.Sprintf("a segment of %d bytes, limit %d", len(s), SegmentBytesMax)
	}
	return ""
}
