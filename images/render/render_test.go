package render_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"image/color"
	stdjpeg "image/jpeg"
	"sync"
	"testing"
	"time"

	"github.com/kamado/kamado/images"
	"github.com/kamado/kamado/images/codec"
	"github.com/kamado/kamado/images/codec/purego"
	"github.com/kamado/kamado/images/plane"
	"github.com/kamado/kamado/images/render"
)

// The quadrants of the test picture, clockwise from the upper left.
var quadrants = [4]color.RGBA{{220, 30, 30, 255}, {30, 180, 40, 255}, {40, 60, 220, 255}, {230, 220, 40, 255}}

// quarters is a picture of four colours: the upper left one, then clockwise.
func quarters(width, height int) image.Image {
	m := image.NewRGBA(image.Rect(0, 0, width, height))
	for y := range height {
		for x := range width {
			q := 0
			switch {
			case x >= width/2 && y < height/2:
				q = 1
			case x >= width/2:
				q = 2
			case y >= height/2:
				q = 3
			}
			m.SetRGBA(x, y, quadrants[q])
		}
	}
	return m
}

func jpegOf(t testing.TB, m image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := stdjpeg.Encode(&b, m, &stdjpeg.Options{Quality: 95}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// withOrientation puts an APP1 segment with nothing but EXIF tag 0x0112 behind SOI.
func withOrientation(data []byte, o uint16) []byte {
	exif := []byte("Exif\x00\x00MM\x00*\x00\x00\x00\x08\x00\x01\x01\x12\x00\x03\x00\x00\x00\x01")
	exif = binary.BigEndian.AppendUint16(exif, o)
	exif = append(exif, 0, 0, 0, 0, 0, 0)
	out := append([]byte{0xFF, 0xD8, 0xFF, 0xE1}, 0, 0)
	binary.BigEndian.PutUint16(out[4:], uint16(len(exif)+2))
	return append(append(out, exif...), data[2:]...)
}

func newRenderer(cfg render.Config) *render.Renderer {
	if cfg.Limits == (images.Limits{}) {
		cfg.Limits = images.DefaultLimits()
	}
	cfg.Qualities = images.Qualities{JPEG: 90, WebP: 80, AVIF: 60}
	cfg.Workspaces = 2
	return render.New(cfg)
}

func decoded(t testing.TB, res render.Result) image.Image {
	t.Helper()
	m, _, err := image.Decode(bytes.NewReader(res.Data))
	if err != nil {
		t.Fatal(err)
	}
	if m.Bounds().Dx() != res.Width || m.Bounds().Dy() != res.Height {
		t.Fatalf("the file is %v, the result says %dx%d", m.Bounds(), res.Width, res.Height)
	}
	return m
}

// corners names the quadrant whose colour is seen near each corner, clockwise
// from the upper left; -1: none of them.
func corners(m image.Image) [4]int {
	w, h := m.Bounds().Dx(), m.Bounds().Dy()
	points := [4]image.Point{{w / 8, h / 8}, {w - 1 - w/8, h / 8}, {w - 1 - w/8, h - 1 - h/8}, {w / 8, h - 1 - h/8}}
	var seen [4]int
	for i, p := range points {
		seen[i] = -1
		for q, want := range quadrants {
			if near(m.At(p.X, p.Y), want, 30) {
				seen[i] = q
			}
		}
	}
	return seen
}

func near(a, b color.Color, tolerance int) bool {
	ar, ag, ab, _ := a.RGBA()
	br, bg, bb, _ := b.RGBA()
	for _, d := range []int{int(ar>>8) - int(br>>8), int(ag>>8) - int(bg>>8), int(ab>>8) - int(bb>>8)} {
		if max(d, -d) > tolerance {
			return false
		}
	}
	return true
}

func TestGeometryOfJPEG(t *testing.T) {
	src := jpegOf(t, quarters(800, 600))
	upright := [4]int{0, 1, 2, 3}
	for _, tt := range []struct {
		name          string
		src           []byte
		want          images.Rendition
		width, height int
		seen          [4]int
	}{
		{"the whole picture in its own size", src, images.Rendition{}, 800, 600, upright},
		{"width alone", src, images.Rendition{Width: 280}, 280, 210, upright},
		{"fit into a box", src, images.Rendition{Width: 200, Height: 200}, 200, 150, upright},
		{"an enlargement", src, images.Rendition{Width: 1600}, 1600, 1200, upright},
		{"shrink never enlarges", src, images.Rendition{Width: 1600, Fit: images.FitShrink}, 800, 600, upright},
		{"a reduction to 1/20", src, images.Rendition{Width: 40, Height: 30}, 40, 30, upright},
		{"a square crop keeps the middle", src, images.Rendition{Width: 100, Height: 100, Fit: images.FitCrop}, 100, 100, upright},
		{"a crop to the right half", src, images.Rendition{Width: 80, Height: 120, Fit: images.FitCrop, Gravity: images.East}, 80, 120, [4]int{1, 1, 2, 2}},
		{"a region", src, images.Rendition{Region: image.Rect(0, 300, 400, 600), Width: 50}, 50, 38, [4]int{3, 3, 3, 3}},
		{"stretched", src, images.Rendition{Width: 100, Height: 300, Fit: images.FitStretch}, 100, 300, upright},
		{"a quarter turn", src, images.Rendition{Width: 90, Rotate: 90}, 90, 120, [4]int{3, 0, 1, 2}},
		{"mirrored", src, images.Rendition{Width: 100, FlipH: true}, 100, 75, [4]int{1, 0, 3, 2}},
		{"upside down by EXIF", withOrientation(src, 3), images.Rendition{Width: 100}, 100, 75, [4]int{2, 3, 0, 1}},
		{"on its side by EXIF", withOrientation(src, 6), images.Rendition{Width: 90}, 90, 120, [4]int{3, 0, 1, 2}},
		{"on its side by EXIF, and cropped", withOrientation(src, 8), images.Rendition{Width: 60, Height: 80, Fit: images.FitCrop}, 60, 80, [4]int{1, 2, 3, 0}},
		{"turned back from EXIF", withOrientation(src, 6), images.Rendition{Width: 100, Rotate: 270}, 100, 75, upright},
		{"density doubles the pixels", src, images.Rendition{Width: 100, DPR: 2}, 200, 150, upright},
	} {
		t.Run(tt.name, func(t *testing.T) {
			res, err := newRenderer(render.Config{}).Render(t.Context(), tt.src, tt.want)
			if err != nil {
				t.Fatal(err)
			}
			if res.Width != tt.width || res.Height != tt.height || res.Format != images.JPEG {
				t.Fatalf("rendition is %dx%d %s, want %dx%d jpeg", res.Width, res.Height, res.Format, tt.width, tt.height)
			}
			if seen := corners(decoded(t, res)); seen != tt.seen {
				t.Errorf("quadrants at the corners are %v, want %v", seen, tt.seen)
			}
		})
	}
}

func TestPadFillsTheCanvas(t *testing.T) {
	src := jpegOf(t, quarters(400, 200))
	want := images.Rendition{Width: 101, Height: 101, Fit: images.FitPad, Background: images.Color{R: 250, G: 10, B: 250}, HasBackground: true}
	res, err := newRenderer(render.Config{}).Render(t.Context(), src, want)
	if err != nil {
		t.Fatal(err)
	}
	m := decoded(t, res)
	for _, p := range []image.Point{{50, 5}, {50, 95}} {
		if got := m.At(p.X, p.Y); !near(got, color.RGBA{250, 10, 250, 255}, 12) {
			t.Errorf("the canvas at %v is %v", p, got)
		}
	}
	if got := m.At(10, 40); !near(got, quadrants[0], 30) {
		t.Errorf("the picture at 10,40 is %v, want %v", got, quadrants[0])
	}
}

func TestColourOnGreyPictureIsColour(t *testing.T) {
	grey := image.NewGray(image.Rect(0, 0, 64, 32))
	for i := range grey.Pix {
		grey.Pix[i] = 128
	}
	want := images.Rendition{Width: 64, Height: 64, Fit: images.FitPad, Background: images.Color{R: 255}, HasBackground: true}
	res, err := newRenderer(render.Config{}).Render(t.Context(), jpegOf(t, grey), want)
	if err != nil {
		t.Fatal(err)
	}
	m := decoded(t, res)
	if got := m.At(32, 4); !near(got, color.RGBA{255, 0, 0, 255}, 12) {
		t.Errorf("the canvas is %v, want red", got)
	}
	if got := m.At(32, 32); !near(got, color.RGBA{128, 128, 128, 255}, 6) {
		t.Errorf("the picture is %v, want grey", got)
	}
}

func TestBlurAndSharpen(t *testing.T) {
	src := jpegOf(t, quarters(256, 256))
	contrast := func(want images.Rendition) int {
		res, err := newRenderer(render.Config{}).Render(t.Context(), src, want)
		if err != nil {
			t.Fatal(err)
		}
		m := decoded(t, res)
		luma := func(x int) int { return int(color.GrayModel.Convert(m.At(x, 64)).(color.Gray).Y) }
		return max(luma(130)-luma(125), luma(125)-luma(130))
	}
	plain, soft, hard := contrast(images.Rendition{}), contrast(images.Rendition{Blur: 6}), contrast(images.Rendition{Sharpen: 4})
	if soft*2 > plain {
		t.Errorf("across the edge luma differs by %d blurred and %d plain", soft, plain)
	}
	if hard < plain+8 {
		t.Errorf("across the edge luma differs by %d sharpened and %d plain", hard, plain)
	}
}

func TestWatermarkLiesWhereItIsAskedFor(t *testing.T) {
	mark := new(plane.Picture)
	mark.Reset(plane.RGB, true, 10, 10, 1, 1)
	for i, v := range []byte{255, 0, 255, 255} {
		for y := range 10 {
			row := mark.Planes[i].Row(y)
			for x := range row {
				row[x] = v
			}
		}
	}
	r := newRenderer(render.Config{Watermarks: map[string]*plane.Picture{"logo": mark}})
	src := jpegOf(t, quarters(200, 200))
	want := images.Rendition{Watermark: images.Watermark{Name: "logo", Opacity: 1, Gravity: images.SouthEast, X: 8, Y: 8, Scale: 0.2}}
	res, err := r.Render(t.Context(), src, want)
	if err != nil {
		t.Fatal(err)
	}
	m := decoded(t, res)
	if got := m.At(172, 172); !near(got, color.RGBA{255, 0, 255, 255}, 20) {
		t.Errorf("under the mark the picture is %v", got)
	}
	if got := m.At(140, 140); !near(got, quadrants[2], 30) {
		t.Errorf("beside the mark the picture is %v, want %v", got, quadrants[2])
	}
	want.Watermark.Name = "none"
	if _, err := r.Render(t.Context(), src, want); images.KindOf(err) != images.Invalid {
		t.Errorf("an unknown watermark gives %v, want an invalid request", err)
	}
}

// manyScans repeats the one scan of a baseline JPEG, header and all.
func manyScans(data []byte) []byte {
	sos, eoi := bytes.Index(data, []byte{0xFF, 0xDA}), len(data)-2
	out := bytes.Clone(data[:sos])
	// One component a scan, or the picture would be complete after the first.
	scan := append([]byte{0xFF, 0xDA, 0, 8, 1, 1, 0, 0, 63, 0}, data[sos+14:eoi]...)
	return append(append(out, bytes.Repeat(scan, 101)...), data[eoi:]...)
}

func TestRefusals(t *testing.T) {
	src := jpegOf(t, quarters(800, 600))
	small := images.DefaultLimits()
	small.MaxPixels = 1000
	short := images.DefaultLimits()
	short.MaxBytes = 100
	narrow := images.DefaultLimits()
	narrow.MaxOutputSide = 100
	for _, tt := range []struct {
		name   string
		src    []byte
		limits images.Limits
		want   images.Rendition
		kind   images.Kind
	}{
		{"nothing at all", nil, images.Limits{}, images.Rendition{}, images.Unprocessable},
		{"no picture", []byte("<html>not found</html>"), images.Limits{}, images.Rendition{}, images.Unprocessable},
		{"cut inside the header", src[:30], images.Limits{}, images.Rendition{}, images.Unprocessable},
		{"more pixels than allowed", src, small, images.Rendition{Width: 10}, images.TooLarge},
		{"more bytes than allowed", src, short, images.Rendition{Width: 10}, images.TooLarge},
		{"more scans than allowed", manyScans(src), images.Limits{}, images.Rendition{Width: 10}, images.TooLarge},
		{"a rendition longer than allowed", src, narrow, images.Rendition{Width: 101}, images.TooLarge},
		{"a region outside", src, images.Limits{}, images.Rendition{Region: image.Rect(900, 0, 1000, 10)}, images.Unprocessable},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := newRenderer(render.Config{Limits: tt.limits}).Render(t.Context(), tt.src, tt.want)
			if err == nil || images.KindOf(err) != tt.kind {
				t.Errorf("error is %v, want one of kind %s", err, tt.kind)
			}
		})
	}
}

// absent is a pool whose workers do not start at the moment.
type absent struct{ render.Codec }

func (absent) Load(context.Context, codec.LoadRequest) (*codec.Raster, codec.Info, error) {
	return nil, codec.Info{}, images.Wrap(images.Unavailable, "load", "not available", codec.ErrNoWorker)
}

func (absent) Save(context.Context, codec.SaveRequest) ([]byte, error) {
	return nil, images.Wrap(images.Unavailable, "save", "not available", codec.ErrNoWorker)
}

// What a worker could do in a moment is not refused for good.
func TestWorkersThatAreAwayAreNotAFaultOfTheOriginal(t *testing.T) {
	r := newRenderer(render.Config{Codecs: []render.Codec{absent{}, purego.New(purego.Config{})}})
	src := jpegOf(t, quarters(80, 60))
	if _, err := r.Render(t.Context(), src, images.Rendition{Width: 40, Format: images.AVIF}); images.KindOf(err) != images.Unavailable {
		t.Errorf("AVIF, which only workers write: %v, want unavailable", err)
	}
	if _, err := r.Render(t.Context(), src, images.Rendition{Width: 40, Format: images.PNG}); err != nil {
		t.Errorf("PNG, which is written without workers: %v", err)
	}
}

func TestTruncatedJPEGIsShownAndSaid(t *testing.T) {
	src := jpegOf(t, quarters(800, 600))
	res, err := newRenderer(render.Config{}).Render(t.Context(), src[:len(src)/2], images.Rendition{Width: 400})
	if err != nil {
		t.Fatal(err)
	}
	if !res.Truncated {
		t.Error("the result does not say that the original was cut short")
	}
	if got := decoded(t, res).At(50, 20); !near(got, quadrants[0], 30) {
		t.Errorf("the part that is there is %v, want %v", got, quadrants[0])
	}
}

func TestDeadlineAndCancellation(t *testing.T) {
	src := jpegOf(t, quarters(2000, 1500))
	late, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer cancel()
	if _, err := newRenderer(render.Config{}).Render(late, src, images.Rendition{Width: 100}); images.KindOf(err) != images.Timeout {
		t.Errorf("after the deadline the error is %v, want a timeout", err)
	}
	gone, leave := context.WithCancel(t.Context())
	leave()
	if _, err := newRenderer(render.Config{}).Render(gone, src, images.Rendition{Width: 100}); !errors.Is(err, context.Canceled) {
		t.Errorf("after the client left the error is %v, want context.Canceled", err)
	}
}

// Equal requests give equal bytes, whatever the workspace was used for before
// and however many renditions are made beside it.
func TestRenditionsDoNotDependOnEachOther(t *testing.T) {
	r := newRenderer(render.Config{})
	src := jpegOf(t, quarters(700, 500))
	turned := withOrientation(jpegOf(t, quarters(301, 203)), 6)
	wants := []images.Rendition{{Width: 100}, {Width: 64, Height: 64, Fit: images.FitPad}, {Width: 333, Blur: 2}, {Width: 50, Height: 90, Fit: images.FitCrop, Rotate: 90}}
	render := func(i int) string {
		data := src
		if i%2 == 1 {
			data = turned
		}
		res, err := r.Render(t.Context(), data, wants[i%len(wants)])
		if err != nil {
			return fmt.Sprint(err)
		}
		return string(res.Data)
	}
	var first [8]string
	for i := range first {
		first[i] = render(i)
	}
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range 24 {
				if i := (i + g) % len(first); render(i) != first[i] {
					t.Errorf("rendition %d differs from the first time", i)
				}
			}
		})
	}
	wg.Wait()
}

func TestMetadataIsStrippedButForTheRights(t *testing.T) {
	exif := "Exif\x00\x00MM\x00*\x00\x00\x00\x08\x00\x02" +
		"\x01\x0F\x00\x02\x00\x00\x00\x04Cam\x00" + // maker
		"\x82\x98\x00\x02\x00\x00\x00\x04Aoi\x00" + "\x00\x00\x00\x00"
	src := jpegOf(t, quarters(64, 64))
	head := append([]byte{0xFF, 0xD8, 0xFF, 0xE1, 0, byte(len(exif) + 2)}, exif...)
	src = append(head, src[2:]...)
	for _, tt := range []struct {
		keep       images.Metadata
		copyrights int
	}{{images.MetadataStrip, 0}, {images.MetadataCopyright, 1}} {
		res, err := newRenderer(render.Config{}).Render(t.Context(), src, images.Rendition{Width: 32, Metadata: tt.keep})
		if err != nil {
			t.Fatal(err)
		}
		if n := bytes.Count(res.Data, []byte("Aoi")); n != tt.copyrights || bytes.Contains(res.Data, []byte("Cam\x00")) {
			t.Errorf("metadata choice %d: the copyright is there %d times, want %d", tt.keep, n, tt.copyrights)
		}
	}
}
