package delivery

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/kamado/kamado/images"
)

// acceptedHints is Accept-CH (RFC 8942): what clients are asked to tell.
// hintNames are all headers that answers may depend on, for Vary; the names
// without a prefix are those of the drafts that some clients still send.
const (
	acceptedHints = "Sec-CH-DPR, Sec-CH-Width"
	hintNames     = "Sec-CH-DPR, DPR, Sec-CH-Width, Width, Save-Data"
)

// What hints say is brought to a few values, so that the screens of the world
// share their results.
var (
	hintDPRs   = [...]float64{1, 1.5, 2, 3}
	hintWidths = [...]int{160, 320, 480, 640, 800, 1024, 1280, 1600, 1920, 2560}
)

// hints changes a negotiated rendition by what the client tells of itself: a box
// without a density gets that of its screen; a rendition without a box gets the
// width that the page has for it; a client that saves data gets less quality.
func (h *Handler) hints(r *http.Request, want *images.Rendition) {
	switch box := want.Width != 0 || want.Height != 0; {
	case box && want.DPR == 0:
		if dpr, ok := hint(r, "Sec-Ch-Dpr", "Dpr"); ok {
			want.DPR = hintDPRs[len(hintDPRs)-1]
			for i := len(hintDPRs) - 1; i >= 0 && dpr <= hintDPRs[i]; i-- {
				want.DPR = hintDPRs[i]
			}
		}
	case !box && want.Zoom == 0:
		if width, ok := hint(r, "Sec-Ch-Width", "Width"); ok {
			want.Width, want.Fit = hintWidths[len(hintWidths)-1], images.FitShrink
			for i := len(hintWidths) - 1; i >= 0 && width <= float64(hintWidths[i]); i-- {
				want.Width = hintWidths[i]
			}
		}
	}
	if h.cfg.SaveDataQuality > 0 && strings.EqualFold(r.Header.Get("Save-Data"), "on") {
		if want.Quality == 0 || want.Quality > h.cfg.SaveDataQuality {
			want.Quality = h.cfg.SaveDataQuality
		}
	}
}

// hint reads a number from the first of some headers.
func hint(r *http.Request, names ...string) (float64, bool) {
	for _, name := range names {
		if v := r.Header[name]; len(v) > 0 {
			f, err := strconv.ParseFloat(strings.TrimSpace(v[0]), 64)
			return f, err == nil && f > 0
		}
	}
	return 0, false
}
