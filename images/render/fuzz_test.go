package render_test

import (
	"image"
	"testing"

	"github.com/kamado/kamado/images"
	"github.com/kamado/kamado/images/codec/codectest"
	"github.com/kamado/kamado/images/render"
)

// Every sample of every format goes through every operation at once.
func TestAllOperationsOnEverySample(t *testing.T) {
	t.Parallel()
	r := withPureGo(render.Config{})
	want := images.Rendition{
		Width: 24, Height: 20, Fit: images.FitCrop, Gravity: images.Smart, Trim: 3, Rotate: 90, FlipH: true,
		Sharpen: 1, Blur: 0.5, Pixelate: 3, Colours: images.Colours{Brightness: 10, Contrast: -10, Saturation: 30, Hue: 40},
		Padding: images.Padding{Top: 1, Right: 2, Bottom: 3, Left: 4}, Text: images.Text{Words: "ab\nc", Size: 8, Opacity: 0.5},
	}
	made := make(map[images.Format]int)
	for _, s := range codectest.Samples() {
		for _, format := range []images.Format{images.JPEG, images.PNG, images.GIF} {
			want.Format = format
			res, err := r.Render(t.Context(), s.Data, want)
			if err != nil {
				if k := images.KindOf(err); k != images.Unprocessable {
					t.Errorf("%s: %v", s.Name, err)
				}
				continue
			}
			made[s.Format]++
			if res.Width != 30 || res.Height != 24 {
				t.Errorf("%s: %dx%d, want 30x24", s.Name, res.Width, res.Height)
			}
			decoded(t, res)
		}
	}
	for _, format := range []images.Format{images.JPEG, images.PNG, images.GIF, images.WebP, images.TIFF} {
		if made[format] == 0 {
			t.Errorf("no %s was rendered", format)
		}
	}
}

// FuzzRender: whatever a URL may ask is answered by a picture of the planned
// size or by an error that says whose fault it is; and so in a set.
func FuzzRender(f *testing.F) {
	f.Add(uint8(0), "x", []byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30})
	f.Add(uint8(7), "長い\n-", []byte{200, 0, 255, 3, 90, 17, 4, 0, 0, 1, 250, 128, 64, 32, 16, 8, 4, 2, 1, 0, 9, 99, 77, 55, 33, 11, 13, 17, 19, 23})
	var originals [][]byte
	for _, m := range []image.Image{quarters(33, 21), greyOf(quarters(8, 40))} {
		originals = append(originals, jpegOf(f, m), withOrientation(jpegOf(f, m), 5), pngOf(f, m), gifOf(f, m))
	}
	limits := images.DefaultLimits()
	limits.MaxOutputPixels, limits.MaxFramePixels = 1<<16, 1<<17
	r := withPureGo(render.Config{Limits: limits})
	f.Fuzz(func(t *testing.T, pick uint8, words string, n []byte) {
		if len(n) < 30 {
			return
		}
		at := 0
		next := func(bound int) int { at++; return int(n[at-1]) * bound / 256 }
		want := images.Rendition{
			Width: next(90), Height: next(90), DPR: []float64{0, 0.5, 2, 3.7}[next(4)], Zoom: []float64{0, 0, 0.2, 3}[next(4)], Fit: images.Fit(next(5)),
			Gravity: images.Gravity(next(11)), GravityX: next(40) - 20, GravityY: next(40) - 20, NoEnlarge: next(2) == 1,
			Region: image.Rect(next(40), next(40), next(40), next(40)), Trim: next(3) * 20, Rotate: next(4) * 90, FlipH: next(2) == 1,
			Cut:        images.Cut{Width: []float64{0, 0.3, 5}[next(3)], Height: []float64{0, 0.7, 9}[next(3)], Gravity: images.Gravity(next(11))},
			Background: images.Color{R: n[0]}, HasBackground: next(2) == 1, Blur: float64(next(3)), Sharpen: float64(next(3)), Pixelate: next(20),
			Colours: images.Colours{Brightness: next(200) - 100, Contrast: next(200) - 100, Saturation: next(200) - 100, Hue: next(360)},
			Padding: images.Padding{Top: next(9), Left: next(9)}, Text: images.Text{Words: words, Size: int(n[28]), Opacity: 1, Gravity: images.Gravity(n[29] % 9)},
			Format: []images.Format{0, images.JPEG, images.PNG, images.GIF}[pick/64], MaxBytes: int(n[27]) * 16, Profile: images.Profile(n[26] % 2),
		}
		if want.Validate() != nil {
			return
		}
		src := originals[int(pick)%len(originals)]
		res, err := r.Render(t.Context(), src, want)
		switch images.KindOf(err) {
		case images.Unprocessable, images.TooLarge:
		default:
			if err != nil {
				t.Fatalf("%+v: %v", want, err)
			}
		}
		if err == nil && (res.Width < 1 || res.Height < 1 || len(res.Data) == 0 || want.MaxBytes > 0 && res.Format.Lossy() && len(res.Data) > want.MaxBytes) {
			t.Fatalf("%+v: %dx%d in %d bytes", want, res.Width, res.Height, len(res.Data))
		}
		for _, one := range r.RenderSet(t.Context(), src, []images.Rendition{want, {Width: 10}})[:1] {
			if (one.Err == nil) != (err == nil) || err == nil && (one.Result.Width != res.Width || one.Result.Height != res.Height) {
				t.Fatalf("%+v: %dx%d, %v alone; %dx%d, %v in a set", want, res.Width, res.Height, err, one.Result.Width, one.Result.Height, one.Err)
			}
		}
	})
}
