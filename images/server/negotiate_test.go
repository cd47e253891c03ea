package server_test

import (
	"testing"

	"github.com/kamado/kamado/images"
	"github.com/kamado/kamado/images/server"
)

// TestWhatCannotBeWrittenIsNotNegotiated: without workers a browser gets JPEG, and
// nothing is tried in the background for ever.
func TestWhatCannotBeWrittenIsNotNegotiated(t *testing.T) {
	t.Parallel()
	dir := tree(t, map[string][]byte{"recipes/1.jpg": photograph(t, 200, 150)})
	s := start(t, dir, func(o *server.Options, _ *server.Deps) {
		o.Config.Negotiation.Formats = []images.Format{images.AVIF, images.WebP, images.PNG}
	})
	if s.CodecMissing() == nil {
		t.Skip("kamado-codec is beside the tests")
	}
	for accept, want := range map[string]string{"image/avif,image/webp,*/*": "image/jpeg", "image/webp": "image/jpeg", "image/webp,image/png": "image/png"} {
		a := get(t, s, "/i/_/w:40,format:auto/recipes/1.jpg", "Accept: "+accept)
		if a.StatusCode != 200 || a.Header.Get("Content-Type") != want || a.Header.Get("Cache-Control") == "public, max-age=60" {
			t.Errorf("%s gives %d %s, %s", accept, a.StatusCode, a.Header.Get("Content-Type"), a.Header.Get("Cache-Control"))
		}
	}
	if st := s.Stats().Upgrades; st.Pending != 0 || st.Failed != 0 {
		t.Errorf("upgrades %+v", st)
	}
}
