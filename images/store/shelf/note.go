package shelf

import (
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/kamado/kamado/images"
	"github.com/kamado/kamado/internal/blob"
)

// MetaBytesMax bounds the names and values of an object's metadata together.
// Unit: bytes. "Object metadata", Amazon S3 User Guide: 2 KB.
const MetaBytesMax = 2 << 10

// ErrMeta: the metadata is too large.
var ErrMeta = fmt.Errorf("metadata has more than %d bytes", MetaBytesMax)

// partsMax is the most parts that a note counts (S3 allows 10,000).
const partsMax = 10_000

// note is what the shelf keeps beside an object: the MD5 that S3 clients compare,
// which the store's own ETag is not. s3cmd sends an object again whose answer has
// another MD5 than it sent, and takes an ETag with a "-" for none; rclone compares
// MD5s when it decides what to copy, and reads an ETag that is not 32 hex digits as
// unknown, falling back on size and the time in its metadata.
//
// It lies in the store's note and not in a file beside the key: there it is put and
// removed in the same step as the bytes, needs no name that could be a key, and goes
// along when a person moves the file. To hash on each read would cost the reading of
// every object of a list. Where there are no attributes, the store's own ETag is
// shown, which has a "-". As bytes:
//
//	0  1   version, 1
//	1  16  MD5 of the bytes; of the parts' MD5s when parts > 0 (S3's ETag)
//	17 2   parts, big endian; 0: put in one piece
//	19 1   length of the format's name
//	20 f   name of the format ("jpeg"), or nothing
//	.. n   metadata as JSON, or nothing
//
// 25 bytes fit the room that an inode has for attributes, so that the usual note
// costs no block of its own.
type note struct {
	md5    [md5.Size]byte
	parts  string // "hex-N" as S3 spells it, in place of md5; empty: one piece
	format images.Format
	meta   map[string]string
}

const (
	noteVersion  = 1
	noteHeadSize = 1 + md5.Size + 2 + 1
)

func (n note) encode() ([]byte, error) {
	sum, parts := n.md5, 0
	if n.parts != "" {
		var ok bool
		if sum, parts, ok = parseParts(n.parts); !ok {
			return nil, fmt.Errorf("parts %q are not an MD5 and a number", n.parts)
		}
	}
	b := append([]byte{noteVersion}, sum[:]...)
	name := ""
	if n.format != images.FormatUnknown {
		name = n.format.String()
	}
	b = append(b, byte(parts>>8), byte(parts), byte(len(name)))
	b = append(b, name...)
	if len(n.meta) == 0 {
		return b, nil
	}
	size := 0
	for k, v := range n.meta {
		size += len(k) + len(v)
	}
	if size > MetaBytesMax {
		return nil, ErrMeta
	}
	meta, err := json.Marshal(n.meta)
	if err != nil {
		return nil, err
	}
	if len(b)+len(meta) > blob.NoteBytesMax { // escapes
		return nil, ErrMeta
	}
	return append(b, meta...), nil
}

// parseParts reads S3's ETag of an object in parts: 32 hex digits, "-", a number.
func parseParts(s string) (sum [md5.Size]byte, parts int, ok bool) {
	digits, count, found := strings.Cut(s, "-")
	if !found || len(digits) != 2*md5.Size {
		return sum, 0, false
	}
	if _, err := hex.Decode(sum[:], []byte(digits)); err != nil {
		return sum, 0, false
	}
	parts, err := strconv.Atoi(count)
	return sum, parts, err == nil && parts >= 1 && parts <= partsMax
}

// decodeNote reads a note; false: it is none of ours.
func decodeNote(b []byte) (n note, md5 string, ok bool) {
	if len(b) < noteHeadSize || b[0] != noteVersion {
		return note{}, "", false
	}
	copy(n.md5[:], b[1:])
	md5 = hex.EncodeToString(n.md5[:])
	if parts := int(b[17])<<8 | int(b[18]); parts > 0 {
		md5 += "-" + strconv.Itoa(parts)
	}
	name, rest := int(b[19]), b[noteHeadSize:]
	if name > len(rest) {
		return note{}, "", false
	}
	n.format, _ = images.ParseFormat(string(rest[:name])) // a name of another version: look at the bytes
	if rest = rest[name:]; len(rest) > 0 && json.Unmarshal(rest, &n.meta) != nil {
		return note{}, "", false
	}
	return n, md5, true
}

// Object describes an object.
type Object struct {
	Key     string
	Size    int64 // bytes
	ModTime time.Time
	ETag    string // the store's own: what renditions are keyed by

	// MD5 is the ETag that S3 clients expect: the MD5 of the bytes in hex, or
	// "hex-N" of an object in N parts. Of an object without a note (put by hand, or
	// on a file system without attributes) it is ETag; unless the store is S3 itself,
	// that has a "-" in it, by which clients tell that it is no MD5.
	MD5    string
	Meta   map[string]string // nil: none
	Format images.Format     // images.FormatUnknown: not known, look at the bytes

	// Of an object that was put just now:
	Facts   Facts
	BodyMD5 string // of the bytes, in hex
}

// object puts the two descriptions together.
func object(in blob.Info, text []byte) Object {
	o := Object{Key: in.Key, Size: in.Size, ModTime: in.ModTime, ETag: in.ETag, MD5: in.ETag}
	if n, md5, ok := decodeNote(text); ok {
		o.MD5, o.Meta, o.Format = md5, n.meta, n.format
	}
	return o
}
