package web

import (
	"bytes"
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"hash"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// etagBytesMax bounds an ETag that is kept as it is; a longer one is hashed.
const etagBytesMax = 128

// version is what an answer says about which bytes it has.
type version struct {
	etag     string // empty: only a hash of the bytes can tell
	modified time.Time
}

// versionOf reads the validators of an answer for an object of size bytes.
func versionOf(h http.Header, size int64) version {
	v := version{etag: etagOf(h.Get("Etag"))}
	t, err := http.ParseTime(h.Get("Last-Modified"))
	if err == nil {
		v.modified = t
	}
	if v.etag == "" && err == nil && size >= 0 {
		v.etag = "t" + strconv.FormatInt(t.Unix(), 16) + "-" + strconv.FormatInt(size, 16)
	}
	return v
}

// etagOf is an entity tag without its quotes. A weak one stays marked: most
// servers that send weak ones change them with the bytes all the same.
func etagOf(text string) string {
	text = strings.TrimSpace(text)
	weak := strings.HasPrefix(text, "W/")
	tag := strings.Trim(strings.TrimPrefix(text, "W/"), `"`)
	if tag == "" {
		return ""
	}
	if len(tag) > etagBytesMax || strings.ContainsFunc(tag, func(r rune) bool { return r < 0x21 || r == 0x7f || r == '"' }) {
		sum := sha256.Sum256([]byte(tag))
		tag = "h" + hex.EncodeToString(sum[:16])
	}
	if weak {
		tag = "w-" + tag
	}
	return tag
}

// hashTag is the ETag of bytes that their server has none for.
func hashTag(sum []byte) string { return "b" + hex.EncodeToString(sum[:16]) }

// digest compares bytes with the digest that the head announced, if it did.
type digest struct {
	name string
	want []byte
	sum  hash.Hash
}

// digestOf reads Repr-Digest and Content-Digest (RFC 9530, sha-256) and
// Content-MD5 (RFC 2616 14.15). None is needed; one that cannot be read is
// passed over.
func digestOf(h http.Header) digest {
	for _, name := range []string{"Repr-Digest", "Content-Digest"} {
		for item := range strings.SplitSeq(h.Get(name), ",") {
			text, ok := strings.CutPrefix(strings.TrimSpace(item), "sha-256=:")
			if !ok {
				continue
			}
			if want, err := base64.StdEncoding.DecodeString(strings.TrimSuffix(text, ":")); err == nil && len(want) == sha256.Size {
				return digest{name, want, sha256.New()}
			}
		}
	}
	if want, err := base64.StdEncoding.DecodeString(h.Get("Content-Md5")); err == nil && len(want) == md5.Size {
		return digest{"Content-MD5", want, md5.New()}
	}
	return digest{}
}

func (d *digest) write(p []byte) {
	if d.sum != nil {
		_, _ = d.sum.Write(p)
	}
}

func (d *digest) matches() bool { return d.sum == nil || bytes.Equal(d.sum.Sum(nil), d.want) }
