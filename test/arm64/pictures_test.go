package arm64_test

import (
	"crypto/sha256"
	"fmt"
	"image"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/kamado/kamado/images"
	"github.com/kamado/kamado/images/codec/codectest"
	"github.com/kamado/kamado/images/codec/purego"
	"github.com/kamado/kamado/images/jpeg"
	"github.com/kamado/kamado/images/plane"
	"github.com/kamado/kamado/images/render"
)

// linePrefix marks the lines of TestPictures.
const linePrefix = "picture: "

// original is a JPEG file of 1000x703 made without floating point: edges,
// ramps and noise, and colours of all kinds.
func original(t *testing.T) []byte {
	t.Helper()
	r := rand.New(rand.NewPCG(11, 12))
	var p plane.Picture
	p.Reset(plane.YCbCr, false, 1000, 703, 2, 2)
	for i := range p.N() {
		one := &p.Planes[i]
		for y := range one.Height {
			row := one.Row(y)
			for x := range row {
				v := (x*(i+1) + 3*y) / 4 % 256
				if (x/40+y/56+i)%3 == 0 {
					v = 255 - v/2 - r.IntN(24)
				}
				row[x] = byte(v)
			}
		}
	}
	var e jpeg.Encoder
	data, err := e.Encode(nil, &p, jpeg.EncodeOptions{Quality: 88})
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// orders are renditions that take every way through the path of a JPEG file.
func orders() map[string]images.Rendition {
	return map[string]images.Rendition{
		"eighth":     {Width: 100},
		"quarter":    {Width: 199, Height: 150, Fit: images.FitCrop},
		"half":       {Width: 431, Quality: 50},
		"whole":      {Width: 803, Quality: 95},
		"larger":     {Width: 1301},
		"stretched":  {Width: 333, Height: 77, Fit: images.FitStretch},
		"padded":     {Width: 300, Height: 300, Fit: images.FitPad, HasBackground: true, Background: images.Color{R: 9, G: 80, B: 200}},
		"focal":      {Width: 211, Height: 307, Fit: images.FitCrop, Gravity: images.Focal, FocalX: 0.31, FocalY: 0.77},
		"smart":      {Width: 207, Height: 203, Fit: images.FitCrop, Gravity: images.Smart},
		"region":     {Width: 190, Region: image.Rect(101, 57, 800, 501)},
		"turned":     {Width: 240, Rotate: 90, FlipH: true},
		"zoomed":     {Zoom: 0.37},
		"dense":      {Width: 77, DPR: 2.3},
		"blurred":    {Width: 240, Blur: 2.7},
		"sharpened":  {Width: 240, Sharpen: 1.3},
		"pixelated":  {Width: 240, Pixelate: 7},
		"trimmed":    {Width: 240, Trim: 12},
		"bounded":    {Width: 400, MaxBytes: 9000},
		"letters":    {Width: 300, Text: images.Text{Words: "arm64", Size: 40, Opacity: 0.7}},
		"full speed": {Width: 480, Height: 360, Fit: images.FitCrop, Quality: 70},
	}
}

// lines has one line for each order, with the hash of the rendition's bytes, and
// some for what is found out about the picture. They must not differ by architecture.
func lines(t *testing.T) (list []string) {
	t.Helper()
	r := render.New(render.Config{
		Limits: images.DefaultLimits(), Qualities: images.Qualities{JPEG: 80}, Codecs: []render.Codec{purego.New(purego.Config{})},
	})
	src := original(t)
	list = append(list, fmt.Sprintf("original %x", sha256.Sum256(src)))
	wants := orders()
	for _, name := range slices.Sorted(maps.Keys(wants)) {
		want := wants[name]
		res, err := r.Render(t.Context(), src, want)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		list = append(list, fmt.Sprintf("%s %dx%d %x", name, res.Width, res.Height, sha256.Sum256(res.Data)))
	}
	list = append(list, sampleLines(t, r)...)
	facts, err := r.Facts(t.Context(), src, render.Ask{
		Palette: 8, BlurHashX: 5, BlurHashY: 4, ThumbHash: true, Dominant: true, Attention: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	return append(list, fmt.Sprintf("facts %+v", facts))
}

// sampleLines has lines for small pictures of other formats, with transparency and
// colour profiles.
func sampleLines(t *testing.T, r *render.Renderer) (list []string) {
	t.Helper()
	made := 0
	for _, sample := range codectest.Samples() {
		for _, format := range []images.Format{images.JPEG, images.PNG, images.GIF} {
			res, err := r.Render(t.Context(), sample.Data, images.Rendition{Width: 21, Blur: 0.8, Format: format})
			if err != nil { // for C libraries only: the same on both
				list = append(list, fmt.Sprintf("%s to %v: %v", sample.Name, format, err))
				continue
			}
			made++
			list = append(list, fmt.Sprintf("%s to %v %x", sample.Name, format, sha256.Sum256(res.Data)))
		}
	}
	if made < 60 {
		t.Errorf("only %d renditions of samples: this shows little", made)
	}
	return list
}

// TestPictures prints the lines.
func TestPictures(t *testing.T) {
	for _, line := range lines(t) {
		fmt.Println(linePrefix + line)
	}
}
