package delivery

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/kamado/kamado/images"
)

// negotiate settles the format where Accept is to decide it. What Accept says
// is reduced to one of a few formats before it reaches the rendition, so that
// the thousands of spellings of Accept share their results.
func (h *Handler) negotiate(r *http.Request, v *visit) {
	want := &v.req.Rendition
	if !want.AutoFormat && !(h.cfg.NegotiateAll && want.Format == images.FormatUnknown) {
		return
	}
	v.varies = true
	if h.cfg.Hints {
		h.hints(r, want)
	}
	h.choose(r, v, func(images.Format) bool { return true })
}

// choose settles the format: the best that the client takes and may allows.
func (h *Handler) choose(r *http.Request, v *visit, may func(images.Format) bool) {
	want := &v.req.Rendition
	want.AutoFormat, want.Format, v.plain = false, images.FormatUnknown, true
	for _, f := range h.cfg.Negotiable {
		if may(f) && accepts(r.Header["Accept"], f.MediaType()) {
			want.Format, v.plain = f, false
			break
		}
	}
	*want = want.Normal()
}

// plainFormat is the format for a client that named none of the negotiable
// ones: the original's, but JPEG where the original itself is of such a one.
func (h *Handler) plainFormat(data []byte) images.Format {
	if slices.Contains(h.cfg.Negotiable, images.Sniff(data[:min(len(data), images.SniffLength)])) {
		return images.JPEG
	}
	return images.FormatUnknown
}

// accepts says whether Accept names a media type. Ranges such as image/* do
// not count: clients that cannot show AVIF send them too.
func accepts(accept []string, mediaType string) bool {
	found := false
	eachAccept(accept, func(name string, q float64) {
		if name == mediaType {
			found = q > 0
		}
	})
	return found
}

// eachAccept calls fn with the media ranges of Accept and their weights
// (RFC 9110 §12.5.1). What cannot be read as a weight counts as 1.
func eachAccept(accept []string, fn func(name string, q float64)) {
	for _, line := range accept {
		for part := range strings.SplitSeq(line, ",") {
			name, params, _ := strings.Cut(part, ";")
			q := 1.0
			for p := range strings.SplitSeq(params, ";") {
				key, value, _ := strings.Cut(strings.TrimSpace(p), "=")
				if strings.EqualFold(key, "q") {
					if f, err := strconv.ParseFloat(value, 64); err == nil {
						q = f
					}
				}
			}
			fn(strings.ToLower(strings.TrimSpace(name)), q)
		}
	}
}

// wantsPicture says whether an error is shown to this client as a picture: it
// names pictures and neither pages nor JSON, as an <img> does.
func wantsPicture(accept []string) bool {
	picture, other := 0.0, 0.0
	eachAccept(accept, func(name string, q float64) {
		switch {
		case strings.HasPrefix(name, "image/"):
			picture = max(picture, q)
		case name == "text/html", name == "application/json", name == "application/problem+json", name == "application/xhtml+xml":
			other = max(other, q)
		}
	})
	return picture > other
}
