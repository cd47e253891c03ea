package render_test

import (
	"bytes"
	"image"
	"image/color"
	"image/gif"
	"image/png"
	"slices"
	"strings"
	"testing"

	"github.com/kamado/kamado/images"
	"github.com/kamado/kamado/images/codec/purego"
	"github.com/kamado/kamado/images/render"
)

// withoutWorkers is the codec that is always there.
func withoutWorkers() render.Codec { return purego.New(purego.Config{}) }

// withPureGo is a renderer that reads and writes what needs no worker.
func withPureGo(cfg render.Config) *render.Renderer {
	cfg.Codecs = []render.Codec{withoutWorkers()}
	return newRenderer(cfg)
}

func pngOf(t testing.TB, m image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// gifOf is an animation of two frames.
func gifOf(t testing.TB, m image.Image) []byte {
	t.Helper()
	r := m.Bounds()
	pal := color.Palette{color.White, color.Black}
	for _, q := range quadrants {
		pal = append(pal, q)
	}
	one := image.NewPaletted(r, pal)
	for y := range r.Dy() {
		for x := range r.Dx() {
			one.Set(x, y, m.At(x, y))
		}
	}
	var b bytes.Buffer
	if err := gif.EncodeAll(&b, &gif.GIF{Image: []*image.Paletted{one, one}, Delay: []int{10, 10}}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// framed is the picture of four colours inside a border.
func framed(width, height int, in image.Rectangle, border color.RGBA) *image.RGBA {
	m := image.NewRGBA(image.Rect(0, 0, width, height))
	inner := quarters(in.Dx(), in.Dy())
	for y := range height {
		for x := range width {
			c := border
			if image.Pt(x, y).In(in) {
				c = inner.At(x-in.Min.X, y-in.Min.Y).(color.RGBA)
			}
			m.SetRGBA(x, y, c)
		}
	}
	return m
}

func greyOf(m image.Image) *image.Gray {
	g := image.NewGray(m.Bounds())
	for y := range m.Bounds().Dy() {
		for x := range m.Bounds().Dx() {
			g.Set(x, y, m.At(x, y))
		}
	}
	return g
}

// originals are one picture in the formats and models that there are.
func originals(t *testing.T, m image.Image) map[string][]byte {
	t.Helper()
	turned := image.NewRGBA(image.Rect(0, 0, m.Bounds().Dy(), m.Bounds().Dx()))
	for y := range turned.Bounds().Dy() { // so that orientation 6, a quarter clockwise, puts it upright
		for x := range turned.Bounds().Dx() {
			turned.Set(x, y, m.At(m.Bounds().Dx()-1-y, x))
		}
	}
	return map[string][]byte{
		"jpeg": jpegOf(t, m), "jpeg on its side": withOrientation(jpegOf(t, turned), 6), "grey jpeg": jpegOf(t, greyOf(m)),
		"png": pngOf(t, m), "grey png": pngOf(t, greyOf(m)), "gif": gifOf(t, m),
	}
}

func TestTrimIsExactToThePixel(t *testing.T) {
	t.Parallel()
	in := image.Rect(48, 32, 208, 128)
	m := framed(256, 160, in, color.RGBA{250, 250, 250, 255})
	for name, src := range originals(t, m) {
		for _, format := range []images.Format{images.JPEG, images.PNG} {
			res, err := withPureGo(render.Config{}).Render(t.Context(), src, images.Rendition{Trim: 40, Format: format})
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			// A JPEG rings inside the blocks at the edge, so the border ends with
			// blocks, as the picture does.
			if res.Width != 160 || res.Height != 96 {
				t.Errorf("%s as %s: trimmed to %dx%d, want 160x96", name, format, res.Width, res.Height)
			}
			if seen := corners(decoded(t, res)); name[0] != 'g' && seen != [4]int{0, 1, 2, 3} {
				t.Errorf("%s as %s: quadrants at the corners are %v", name, format, seen)
			}
			if res.Stages[0].Name != "look" {
				t.Errorf("%s: the first stage is %q, want look", name, res.Stages[0].Name)
			}
		}
		// Turned, sized and within a region.
		want := images.Rendition{Trim: 40, Width: 60, Rotate: 90, Region: image.Rect(0, 0, 256, 100)}
		res, err := withPureGo(render.Config{}).Render(t.Context(), src, want)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if res.Width != 60 || res.Height != 141 { // 160x68 turned
			t.Errorf("%s: turned it is %dx%d", name, res.Width, res.Height)
		}
	}
	one := image.NewGray(image.Rect(0, 0, 50, 40))
	res, err := withPureGo(render.Config{}).Render(t.Context(), jpegOf(t, one), images.Rendition{Trim: 10})
	if err != nil || res.Width != 50 || res.Height != 40 {
		t.Errorf("one colour is trimmed to %dx%d (%v), want all of it", res.Width, res.Height, err)
	}
}

// The border of a picture that lies in its file in any way, of a size that is
// no multiple of a JPEG's blocks.
func TestTrimIsExactInEveryOrientation(t *testing.T) {
	t.Parallel()
	for o := uint16(1); o <= 8; o++ {
		width, height := 123, 77
		in := image.Rect(16, 32, 96, 64)
		if o >= 5 {
			in = image.Rect(32, 16, 96, 64)
		}
		m := framed(width, height, in, color.RGBA{250, 250, 250, 255})
		res, err := newRenderer(render.Config{}).Render(t.Context(), withOrientation(jpegOf(t, m), o), images.Rendition{Trim: 60})
		if err != nil {
			t.Fatal(err)
		}
		w, h := images.Orientation(o).Size(in.Dx(), in.Dy())
		if res.Width != w || res.Height != h {
			t.Errorf("orientation %d: trimmed to %dx%d, want %dx%d", o, res.Width, res.Height, w, h)
		}
		// What is at the edges is the picture, not the border.
		got := decoded(t, res)
		for _, p := range []image.Point{{3, 3}, {w - 4, 3}, {3, h - 4}, {w - 4, h - 4}} {
			if near(got.At(p.X, p.Y), color.RGBA{250, 250, 250, 255}, 40) {
				t.Errorf("orientation %d: the border is seen at %v of %dx%d", o, p, w, h)
			}
		}
	}
}

// striking has one textured red square on a plain ground.
func striking(width, height int, at image.Rectangle) image.Image {
	m := image.NewRGBA(image.Rect(0, 0, width, height))
	for y := range height {
		for x := range width {
			c := color.RGBA{90, 100, 110, 255}
			if image.Pt(x, y).In(at) {
				c = color.RGBA{220, uint8(40 + 60*((x/4+y/4)%2)), 30, 255}
			}
			m.SetRGBA(x, y, c)
		}
	}
	return m
}

// reds is how many of a hundred pixels are as red as the square.
func reds(m image.Image) int {
	n, all := 0, m.Bounds().Dx()*m.Bounds().Dy()
	for y := range m.Bounds().Dy() {
		for x := range m.Bounds().Dx() {
			if r, _, b, _ := m.At(x, y).RGBA(); r > 0xA000 && b < 0x7000 {
				n++
			}
		}
	}
	return 100 * n / all
}

func TestSmartCropKeepsWhatDrawsTheEye(t *testing.T) {
	t.Parallel()
	m := striking(480, 240, image.Rect(360, 48, 456, 144))
	for name, src := range originals(t, m) {
		if name == "gif" || name == "grey jpeg" || name == "grey png" {
			continue // they have not this red
		}
		for _, tt := range []struct {
			want images.Rendition
			all  int // of a hundred pixels that the square covers when all of it is kept
		}{
			{images.Rendition{Width: 100, Height: 100, Fit: images.FitCrop, Gravity: images.Smart}, 16},
			{images.Rendition{Width: 100, Height: 50, Cut: images.Cut{Width: 0.25, Height: 0.5, Gravity: images.Smart}}, 64},
			{images.Rendition{Width: 50, Height: 100, Fit: images.FitCrop, Gravity: images.Smart, Rotate: 90}, 8},
			{images.Rendition{Width: 60, Height: 60, Fit: images.FitCrop, Gravity: images.Smart, FlipH: true}, 16},
			{images.Rendition{Width: 60, Height: 60, Fit: images.FitCrop, Gravity: images.Smart, Region: image.Rect(240, 0, 480, 120)}, 48},
		} {
			res, err := withPureGo(render.Config{}).Render(t.Context(), src, tt.want)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if got := reds(decoded(t, res)); got < tt.all*9/10-1 {
				t.Errorf("%s: %+v keeps %d %% of red, want about %d", name, tt.want, got, tt.all)
			}
			if again := slices.ContainsFunc(res.Stages, func(s render.Stage) bool { return s.Name == "decode" }); again && (name == "png" || name == "jpeg" && tt.want.Fit == images.FitCrop && tt.want.Region.Empty() && tt.want.Turn() == images.Upright) {
				t.Errorf("%s: %+v was decoded twice: %v", name, tt.want, res.Stages)
			}
		}
	}
	// In the middle it is cut off.
	res, err := newRenderer(render.Config{}).Render(t.Context(), jpegOf(t, m), images.Rendition{Width: 100, Height: 100, Fit: images.FitCrop})
	if err != nil || reds(decoded(t, res)) > 1 {
		t.Errorf("the middle has %d %% of red (%v)", reds(decoded(t, res)), err)
	}
}

func TestColoursAndBlocks(t *testing.T) {
	t.Parallel()
	for name, src := range originals(t, quarters(160, 120)) {
		for _, format := range []images.Format{images.JPEG, images.PNG} {
			render := func(want images.Rendition) image.Image {
				t.Helper()
				want.Format = format
				res, err := withPureGo(render.Config{}).Render(t.Context(), src, want)
				if err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				return decoded(t, res)
			}
			plain := render(images.Rendition{}).At(20, 20)
			r, g, b, _ := plain.RGBA()
			half := color.RGBA{uint8(r >> 9), uint8(g >> 9), uint8(b >> 9), 255}
			if got := render(images.Rendition{Colours: images.Colours{Brightness: -50}}).At(20, 20); !near(got, half, 8) {
				t.Errorf("%s as %s: half as bright %v is %v, want %v", name, format, plain, got, half)
			}
			if got := render(images.Rendition{Colours: images.Colours{Contrast: -100}}).At(20, 20); !near(got, color.Gray{128}, 6) {
				t.Errorf("%s as %s: without contrast it is %v", name, format, got)
			}
			gr, gg, gb, _ := render(images.Rendition{Colours: images.Colours{Saturation: -100}}).At(20, 20).RGBA()
			if max(gr, gg, gb)-min(gr, gg, gb) > 0x800 {
				t.Errorf("%s as %s: without saturation it is %x %x %x", name, format, gr, gg, gb)
			}
			// One block holds all four colours: their mean.
			blocks := render(images.Rendition{Pixelate: 160})
			if !near(blocks.At(5, 5), blocks.At(150, 110), 6) {
				t.Errorf("%s as %s: one block has %v and %v", name, format, blocks.At(5, 5), blocks.At(150, 110))
			}
		}
	}
}

func TestPaddingFollowsDensityAndBackground(t *testing.T) {
	t.Parallel()
	pad := images.Padding{Top: 3, Right: 5, Bottom: 7, Left: 11}
	for name, src := range originals(t, quarters(160, 120)) {
		for _, tt := range []struct {
			want   images.Rendition
			border color.NRGBA
		}{
			{images.Rendition{Format: images.JPEG}, color.NRGBA{255, 255, 255, 255}},
			{images.Rendition{Format: images.PNG}, color.NRGBA{}},
			{images.Rendition{Format: images.PNG, Background: images.Color{R: 200, G: 20, B: 220}, HasBackground: true}, color.NRGBA{200, 20, 220, 255}},
			{images.Rendition{Format: images.JPEG, Background: images.Color{R: 200, G: 20, B: 220}, HasBackground: true}, color.NRGBA{200, 20, 220, 255}},
		} {
			want := tt.want
			want.Padding, want.Width, want.DPR = pad, 40, 2
			res, err := withPureGo(render.Config{}).Render(t.Context(), src, want)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if res.Width != 80+32 || res.Height != 60+20 {
				t.Errorf("%s: %dx%d, want 112x80", name, res.Width, res.Height)
			}
			m := decoded(t, res)
			for _, p := range []image.Point{{2, 40}, {60, 1}, {108, 40}, {60, 76}} {
				got := color.NRGBAModel.Convert(m.At(p.X, p.Y)).(color.NRGBA)
				if got.A != tt.border.A || got.A > 0 && !near(got, tt.border, 14) {
					t.Errorf("%s as %s: the canvas at %v is %v, want %v", name, res.Format, p, got, tt.border)
				}
			}
			// The picture lies from 22,6 on.
			if got := color.NRGBAModel.Convert(m.At(27, 11)).(color.NRGBA); got.A != 255 || near(got, tt.border, 5) {
				t.Errorf("%s as %s: the picture's corner is %v", name, res.Format, got)
			}
		}
	}
}

func TestTextIsLaidOver(t *testing.T) {
	t.Parallel()
	words := images.Text{Words: "MMMM", Size: 20, Color: images.Color{R: 255, G: 0, B: 255}, Opacity: 1, Gravity: images.SouthEast, X: 5, Y: 5}
	for name, src := range originals(t, quarters(320, 240)) {
		for _, format := range []images.Format{images.JPEG, images.PNG} {
			want := images.Rendition{Width: 160, DPR: 2, Format: format, Text: words}
			res, err := withPureGo(render.Config{}).Render(t.Context(), src, want)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			m := decoded(t, res)
			inside, outside := 0, 0
			for y := 0; y < 240; y += 2 {
				for x := 0; x < 320; x += 2 {
					if near(m.At(x, y), color.RGBA{255, 0, 255, 255}, 60) {
						if x > 160 && x < 312 && y > 180 && y < 232 {
							inside++
						} else {
							outside++
						}
					}
				}
			}
			if inside < 75 || outside > 5 {
				t.Errorf("%s as %s: %d pixels of letters in their place, %d elsewhere", name, format, inside, outside)
			}
		}
	}
}

func TestFilesStayWithinMaxBytes(t *testing.T) {
	t.Parallel()
	m := noisy(320, 240)
	src := jpegOf(t, m)
	r := withPureGo(render.Config{})
	plain, err := r.Render(t.Context(), src, images.Rendition{})
	if err != nil {
		t.Fatal(err)
	}
	if plain.Quality != 90 {
		t.Errorf("quality is %d, want the service's 90", plain.Quality)
	}
	for _, share := range []int{100, 95, 70, 50, 30} {
		limit := len(plain.Data) * share / 100
		res, err := r.Render(t.Context(), src, images.Rendition{MaxBytes: limit})
		if err != nil {
			t.Fatal(err)
		}
		if len(res.Data) > limit || share == 100 && res.Quality != 90 {
			t.Errorf("%d bytes at quality %d, at most %d wanted", len(res.Data), res.Quality, limit)
		}
		// Three steps more would not have fitted.
		above, err := r.Render(t.Context(), src, images.Rendition{Quality: min(res.Quality+3, 100)})
		if err != nil {
			t.Fatal(err)
		}
		if share < 100 && len(above.Data) <= limit {
			t.Errorf("within %d bytes quality is %d, but %d fits too", limit, res.Quality, above.Quality)
		}
	}
	_, err = r.Render(t.Context(), src, images.Rendition{MaxBytes: images.MinMaxBytes})
	if images.KindOf(err) != images.TooLarge {
		t.Errorf("when nothing fits the error is %v, want too large", err)
	}
}

// noisy is a picture that compresses badly.
func noisy(width, height int) image.Image {
	m := image.NewRGBA(image.Rect(0, 0, width, height))
	seed := uint32(1)
	for i := range m.Pix {
		seed = seed*1664525 + 1013904223
		m.Pix[i] = uint8(int(seed>>24)/4 + 90 + 40*((i/80/4)%2))
		if i%4 == 3 {
			m.Pix[i] = 255
		}
	}
	return m
}

func TestFactsOfAnOriginal(t *testing.T) {
	t.Parallel()
	m := framed(200, 150, image.Rect(0, 0, 100, 150), color.RGBA{20, 20, 30, 255})
	ask := render.Ask{Palette: 5, BlurHashX: 4, BlurHashY: 3, ThumbHash: true, Dominant: true, Attention: true}
	for name, src := range originals(t, m) {
		r := withPureGo(render.Config{})
		header, err := r.Facts(t.Context(), src, render.Ask{})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		frames := 1
		if name == "gif" {
			frames = 2
		}
		if header.Width != 200 || header.Height != 150 || header.Frames != frames || header.Gray != strings.HasPrefix(name, "grey") || header.BlurHash != "" {
			t.Errorf("%s: the header says %+v", name, header)
		}
		f, err := r.Facts(t.Context(), src, ask)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if len(f.BlurHash) != 28 || len(f.ThumbHash) < 20 || len(f.Palette) < 2 || len(f.Palette) > 5 || f.EyeX <= 0 || f.EyeX >= 0.7 {
			t.Errorf("%s: pixels say %+v", name, f)
		}
		if d := f.Dominant; d.R > 40 || d.G > 40 || d.B > 50 {
			t.Errorf("%s: the dominant colour is %v, want the dark half's", name, d)
		}
	}
	if _, err := withPureGo(render.Config{}).Facts(t.Context(), []byte("nothing"), ask); images.KindOf(err) != images.Unprocessable {
		t.Errorf("facts of no picture: %v", err)
	}
	small := images.DefaultLimits()
	small.MaxPixels = 1000
	for name, src := range originals(t, m) {
		if _, err := withPureGo(render.Config{Limits: small}).Facts(t.Context(), src, ask); images.KindOf(err) != images.TooLarge {
			t.Errorf("%s: facts over the limit: %v", name, err)
		}
	}
}
