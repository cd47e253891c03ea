package codec_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"strings"
	"testing"

	"github.com/kamado/kamado/images"
	"github.com/kamado/kamado/images/codec"
	"github.com/kamado/kamado/images/codec/purego"
)

// green is a small picture of one colour as a drawing carries it.
func green(t *testing.T, kind string) string {
	t.Helper()
	m := image.NewNRGBA(image.Rect(0, 0, 8, 8))
	for i := range 64 {
		m.SetNRGBA(i%8, i/8, color.NRGBA{0, 255, 0, 255})
	}
	var b bytes.Buffer
	err := png.Encode(&b, m)
	if kind == "jpeg" {
		b.Reset()
		err = jpeg.Encode(&b, m, &jpeg.Options{Quality: 95})
	}
	if err != nil {
		t.Fatal(err)
	}
	return "data:image/" + kind + ";base64," + base64.StdEncoding.EncodeToString(b.Bytes())
}

func drawing(inner string) []byte {
	return []byte(`<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" width="40" height="30">` + inner + `</svg>`)
}

// pixel is red, green, blue and alpha at a place of a raster.
func pixel(r *codec.Raster, x, y int) [4]int {
	p := &r.Frames[0].Picture
	var c [4]int
	for i := range p.N() {
		c[i] = int(p.Planes[i].Row(y)[x])
	}
	return c
}

// TestDrawing: a drawing is made at the wanted size, sharp, with all that may
// be in one, by a worker that dies at every call nobody foresaw.
func TestDrawing(t *testing.T) {
	p := newPool(t, func(c *codec.Config) { c.SVG = true })
	half := `<rect x="20" width="20" height="30" fill="#f00"/>`
	for _, c := range []struct {
		name, inner   string
		crop          image.Rectangle
		width, height int
		at            map[image.Point][4]int
	}{
		{"own size", half, image.Rectangle{}, 0, 0, map[image.Point][4]int{{5, 5}: {0, 0, 0, 0}, {19, 5}: {0, 0, 0, 0}, {20, 5}: {255, 0, 0, 255}}},
		{"ten times, sharp", half, image.Rectangle{}, 400, 300, map[image.Point][4]int{{198, 150}: {0, 0, 0, 0}, {201, 150}: {255, 0, 0, 255}}},
		{"smaller", half, image.Rectangle{}, 20, 15, map[image.Point][4]int{{8, 7}: {0, 0, 0, 0}, {11, 7}: {255, 0, 0, 255}}},
		{"a part of it, large", half, image.Rect(15, 10, 25, 20), 1000, 1000, map[image.Point][4]int{{495, 500}: {0, 0, 0, 0}, {505, 500}: {255, 0, 0, 255}}},
		{"stretched", half, image.Rectangle{}, 80, 30, map[image.Point][4]int{{37, 15}: {0, 0, 0, 0}, {43, 15}: {255, 0, 0, 255}}},
		{"gradient", `<linearGradient id="a"><stop stop-color="#000"/><stop offset="1" stop-color="#fff"/></linearGradient><rect width="40" height="30" fill="url(#a)"/>`,
			image.Rectangle{}, 400, 300, map[image.Point][4]int{{200, 10}: {127, 127, 127, 255}}},
		{"style sheet and use", `<style>.r{fill:#00f}</style><defs><rect id="r" class="r" width="20" height="30"/></defs><use xlink:href="#r"/>`,
			image.Rectangle{}, 0, 0, map[image.Point][4]int{{5, 5}: {0, 0, 255, 255}, {25, 5}: {0, 0, 0, 0}}},
		{"clip, mask, filter, pattern, marker", `<clipPath id="c"><rect width="20" height="30"/></clipPath><mask id="m"><rect width="40" height="15" fill="#fff"/></mask>` +
			`<filter id="f"><feFlood flood-color="#0f0"/><feComposite in2="SourceGraphic" operator="in"/></filter>` +
			`<g clip-path="url(#c)" mask="url(#m)" opacity=".999"><rect width="40" height="30" fill="#f00" filter="url(#f)"/></g>`,
			image.Rectangle{}, 0, 0, map[image.Point][4]int{{5, 5}: {0, 255, 0, 254}, {25, 5}: {0, 0, 0, 0}, {5, 25}: {0, 0, 0, 0}}},
		{"pictures inside", `<image width="20" height="30" preserveAspectRatio="none" xlink:href="` + green(t, "png") + `"/>` +
			`<image x="20" width="20" height="30" preserveAspectRatio="none" xlink:href="` + green(t, "jpeg") + `"/>`,
			image.Rectangle{}, 0, 0, map[image.Point][4]int{{5, 5}: {0, 255, 0, 255}, {25, 5}: {0, 255, 0, 255}}},
		{"script beside", half + `<script>1</script>`, image.Rectangle{}, 0, 0, map[image.Point][4]int{{20, 5}: {255, 0, 0, 255}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, info, err := p.Load(t.Context(), codec.LoadRequest{Data: drawing(c.inner), Format: images.SVG,
				Geometry: func(codec.Info) (codec.Target, error) {
					return codec.Target{Crop: c.crop, Width: c.width, Height: c.height}, nil
				}})
			if err != nil {
				t.Fatal(err)
			}
			if info.Width != 40 || info.Height != 30 || !info.Alpha || info.Pages != 1 || info.Format != images.SVG {
				t.Errorf("info %+v", info)
			}
			for at, want := range c.at {
				got := pixel(r, at.X, at.Y)
				for i := range got {
					if got[i] < want[i]-6 || got[i] > want[i]+6 {
						t.Errorf("%v is %v, want %v", at, got, want)
						break
					}
				}
			}
		})
	}
	if s := p.Stats(); s.Died+s.Killed > 0 {
		t.Errorf("workers died of drawings: %+v", s)
	}
}

// TestDrawingsOnlyWhenAsked: without the switch, and without workers, a
// drawing is refused in words that say why.
func TestDrawingsOnlyWhenAsked(t *testing.T) {
	data := drawing("")
	p := newPool(t, nil)
	_, _, err := p.Load(t.Context(), codec.LoadRequest{Data: data, Format: images.SVG})
	if images.KindOf(err) != images.Unprocessable || errors.Is(err, codec.ErrFormat) || !strings.Contains(err.Error(), "configuration") {
		t.Errorf("with workers, not asked for: %v", err)
	}
	if _, err := p.Probe(t.Context(), data, images.SVG); images.KindOf(err) != images.Unprocessable {
		t.Errorf("probe: %v", err)
	}
	if s := p.Stats(); s.Started > 0 {
		t.Errorf("a worker was started for it: %+v", s)
	}
	_, _, err = purego.New(purego.Config{}).Load(t.Context(), codec.LoadRequest{Data: data, Format: images.SVG})
	if images.KindOf(err) != images.Unprocessable || !errors.Is(err, codec.ErrFormat) || !strings.Contains(err.Error(), "kamado-codec") {
		t.Errorf("without workers: %v", err)
	}
	p = newPool(t, func(c *codec.Config) { c.SVG = true })
	if _, _, err := p.Load(t.Context(), codec.LoadRequest{Data: drawing("<text>a</text>"), Format: images.SVG}); images.KindOf(err) != images.Unprocessable {
		t.Errorf("text: %v", err)
	}
}
