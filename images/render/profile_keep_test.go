package render_test

import (
	"bytes"
	"image"
	"image/png"
	"testing"

	"github.com/kamado/kamado/images"
	"github.com/kamado/kamado/images/codec"
	"github.com/kamado/kamado/images/icc"
	"github.com/kamado/kamado/images/jpeg"
	"github.com/kamado/kamado/images/render"
)

// kept is the profile in a rendition, read by what reads originals.
func kept(t *testing.T, res render.Result) []byte {
	t.Helper()
	if res.Format == images.JPEG {
		info, err := jpeg.ReadInfo(res.Data)
		if err != nil {
			t.Fatal(err)
		}
		return info.ICC
	}
	r, _, err := withoutWorkers().Load(t.Context(), codec.LoadRequest{Data: res.Data, Format: res.Format, KeepProfile: true})
	if err != nil {
		t.Fatal(err)
	}
	return r.ICC
}

func TestProfileIsKeptOnRequest(t *testing.T) {
	t.Parallel()
	profile := swapped("RGB ")
	src := withProfile(jpegOf(t, quarters(400, 300)), profile)
	r := withPureGo(render.Config{})
	for _, format := range []images.Format{images.JPEG, images.PNG} {
		res, err := r.Render(t.Context(), src, images.Rendition{Width: 100, Format: format, Profile: images.ProfileKeep})
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(kept(t, res), profile) {
			t.Errorf("%s: the profile has %d bytes, want the original's %d", format, len(kept(t, res)), len(profile))
		}
		// Samples are those of the file: red looks green under the profile alone.
		if m := decoded(t, res); greener(m.At(20, 20)) || !greener(m.At(80, 20)) {
			t.Errorf("%s: the colours were converted: %v, %v", format, m.At(20, 20), m.At(80, 20))
		}
		again, err := r.Render(t.Context(), res.Data, images.Rendition{Width: 50})
		if err != nil {
			t.Fatal(err)
		}
		if m := decoded(t, again); !greener(m.At(10, 10)) || greener(m.At(40, 10)) || kept(t, again) != nil {
			t.Errorf("%s: converted from the kept profile it is %v, %v", format, m.At(10, 10), m.At(40, 10))
		}
		set := r.RenderSet(t.Context(), src, []images.Rendition{
			{Width: 100, Format: format, Profile: images.ProfileKeep}, {Width: 100, Format: format}, {Width: 60, Format: format, Profile: images.ProfileKeep},
		})
		for i, wanted := range []bool{true, false, true} {
			if set[i].Err != nil {
				t.Fatal(set[i].Err)
			}
			if m := decoded(t, set[i].Result); (kept(t, set[i].Result) != nil) != wanted || greener(m.At(10, 10)) == wanted {
				t.Errorf("%s: in a set, member %d has a profile of %d bytes and %v", format, i, len(kept(t, set[i].Result)), m.At(10, 10))
			}
		}
	}
}

// A profile that is no use beside the rendition's planes is not written.
func TestProfileThatDoesNotFitIsNotKept(t *testing.T) {
	t.Parallel()
	grey := image.NewGray(image.Rect(0, 0, 64, 48))
	for name, src := range map[string][]byte{
		"an RGB profile in a grey picture": withProfile(jpegOf(t, grey), swapped("RGB ")),
		"a print profile":                  withProfile(jpegOf(t, quarters(64, 48)), swapped("CMYK")),
	} {
		res, err := withPureGo(render.Config{}).Render(t.Context(), src, images.Rendition{Width: 32, Profile: images.ProfileKeep})
		if err != nil {
			t.Fatal(err)
		}
		if got := kept(t, res); got != nil {
			t.Errorf("%s: %d bytes were written", name, len(got))
		}
	}
	// Colour laid over grey is no longer grey.
	src := withProfile(jpegOf(t, grey), swapped("GRAY"))
	res, err := withPureGo(render.Config{}).Render(t.Context(), src, images.Rendition{
		Profile: images.ProfileKeep, Text: images.Text{Words: "x", Size: 20, Color: images.Color{R: 255}, Opacity: 1},
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := kept(t, res); got != nil {
		t.Errorf("a grey profile of %d bytes was written beside colour", len(got))
	}
	if _, err := icc.Parse(swapped("RGB ")); err != nil {
		t.Fatal(err) // the profile of these tests is one
	}
}

// A PNG comes and goes through the codec with its profile.
func TestProfileOfAPNGIsKept(t *testing.T) {
	t.Parallel()
	r := withPureGo(render.Config{})
	src, err := r.Render(t.Context(), withProfile(jpegOf(t, quarters(80, 60)), swapped("RGB ")), images.Rendition{Format: images.PNG, Profile: images.ProfileKeep})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := png.Decode(bytes.NewReader(src.Data)); err != nil {
		t.Fatal(err)
	}
	for _, format := range []images.Format{images.JPEG, images.PNG} {
		res, err := r.Render(t.Context(), src.Data, images.Rendition{Width: 40, Format: format, Profile: images.ProfileKeep})
		if err != nil {
			t.Fatal(err)
		}
		if got := kept(t, res); !bytes.Equal(got, swapped("RGB ")) {
			t.Errorf("as %s it has a profile of %d bytes", format, len(got))
		}
	}
}
