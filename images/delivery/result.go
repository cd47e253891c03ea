package delivery

import (
	"fmt"
	"path"
	"regexp"
	"strconv"
	"strings"

	"github.com/cespare/xxhash/v2"

	"github.com/kamado/kamado/images"
	"github.com/kamado/kamado/images/cache"
)

// Result is a finished rendition and the header values of its answer, ready to
// be put into a header map. It is shared by requests and never written to.
type Result struct {
	entry *cache.Entry
	key   cache.Key
	mark  string // what its ETag has behind the name of the key

	etag, contentType, contentLength, disposition, lastModified, cacheControl []string
}

// resultOverhead is about what a Result takes beside its bytes, for the bound
// of the memory cache.
const resultOverhead = 900

func (r *Result) cost() int64 { return int64(cap(r.entry.Data)) + resultOverhead }

// Label says which original the result was made of.
func (r *Result) Label() cache.Label { return r.entry.Label }

// newResult prepares the header values of an entry.
func (h *Handler) newResult(key cache.Key, originalKey string, e *cache.Entry) *Result {
	format := images.Format(e.Format)
	r := &Result{
		entry:         e,
		key:           key,
		mark:          tagMark(e),
		contentType:   []string{format.MediaType()},
		contentLength: []string{strconv.Itoa(len(e.Data))},
		disposition:   []string{`inline; filename="` + fileName(originalKey, format) + `"`},
		cacheControl:  h.cacheControl,
	}
	r.etag = []string{r.tag("")}
	if e.Flags&cache.FlagTruncated != 0 {
		r.cacheControl = h.truncatedCacheControl
	}
	if !e.Modified.IsZero() {
		r.lastModified = []string{e.Modified.UTC().Format(httpTime)}
	}
	return r
}

// httpTime is the form of dates in HTTP (RFC 9110 §5.6.7).
const httpTime = "Mon, 02 Jan 2006 15:04:05 GMT"

// tag is the strong ETag of a result, for a version that the URL names (?p=): one with other bytes has another.
func (r *Result) tag(version string) string { return `"` + tagName(r.key, version) + r.mark + `"` }

// tagName is what the ETags of all results of a key have in common.
func tagName(key cache.Key, version string) string {
	if version == "" {
		return key.String()
	}
	return cache.Sum("etag", key.String(), version).String()
}

// The marks of ETags, behind the name. A rendition made from the mezzanine is the same picture but not the same bytes; so is
// one of a truncated original, which may be kept for a short time only. What was made from a decode for several has the
// bytes that this decode gave, and says which: another server may have made it alone, and a cache must not
// put pieces of both together.
const (
	markTruncated = "-t"
	markMezzanine = "-m"
	markShared    = "-s"
)

func tagMark(e *cache.Entry) (mark string) {
	switch {
	case e.Flags&cache.FlagTruncated != 0:
		mark = markTruncated
	case e.Flags&cache.FlagMezzanine != 0:
		mark = markMezzanine
	case e.Flags&cache.FlagShared != 0:
		mark = markShared
	}
	if e.Flags&cache.FlagShared != 0 {
		mark += fmt.Sprintf("%016x", xxhash.Sum64(e.Data))
	}
	return mark
}

// ofTruncated says whether an ETag is of a truncated original.
func ofTruncated(tag string) bool { return strings.Contains(tag, markTruncated) }

// marks is the form of what tagMark gives.
var marks = regexp.MustCompile(`^(-[tm]|-[tms][0-9a-f]{16})?$`)

// fileNameMax bounds the name in Content-Disposition. Unit: bytes.
const fileNameMax = 80

// fileName is a name under which the picture can be saved: the original's last
// segment in plain letters, with the rendition's extension.
func fileName(key string, format images.Format) string {
	base := path.Base(key)
	base = strings.TrimSuffix(base, path.Ext(base))
	name := []byte(base)
	for i, c := range name {
		plain := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_'
		if !plain && !(c == '.' && i > 0) {
			name[i] = '_'
		}
	}
	if len(name) > fileNameMax {
		name = name[:fileNameMax]
	}
	if len(name) == 0 {
		name = []byte("picture")
	}
	return string(name) + "." + format.Extension()
}

// disposition is Content-Disposition where the URL says something about it.
func disposition(v *visit, res *Result) string {
	kind, name := "inline", v.original.Key
	if v.req.Attachment {
		kind = "attachment"
	}
	if v.req.FileName != "" {
		name = v.req.FileName + "." // what follows the last point is replaced
	}
	return kind + `; filename="` + fileName(name, images.Format(res.entry.Format)) + `"`
}
