package codectest

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/gif"
	"testing"
	"time"

	"github.com/kamado/kamado/images"
	"github.com/kamado/kamado/images/codec"
)

// colours of MovingGIF; the last is transparent.
var movingColours = color.Palette{color.NRGBA{255, 0, 0, 255}, color.NRGBA{0, 255, 0, 255}, color.NRGBA{0, 0, 255, 255},
	color.NRGBA{255, 255, 255, 255}, color.NRGBA{}}

// movingDelays are how long its frames are shown, in hundredths.
var movingDelays = []int{5, 12, 30, 7}

// MovingGIF has four frames that use all of the format: the first covers the
// canvas in red; a green one in the middle is taken back (disposal to
// previous); a blue one at the right leaves a hole (disposal to background);
// a white one at the left has a transparent stripe. loops is 0 for ever, or how
// often it is shown.
func MovingGIF(loops int) []byte {
	count := loops - 1
	switch loops {
	case 0:
		count = 0
	case 1:
		count = -1
	}
	g := &gif.GIF{LoopCount: count, Delay: movingDelays, Config: image.Config{Width: Width, Height: Height, ColorModel: movingColours},
		Disposal: []byte{gif.DisposalNone, gif.DisposalPrevious, gif.DisposalBackground, gif.DisposalNone}}
	for i, r := range []image.Rectangle{image.Rect(0, 0, Width, Height), image.Rect(8, 8, 40, 40), image.Rect(32, 0, 64, 24), image.Rect(0, 24, 32, 48)} {
		m := image.NewPaletted(r, movingColours)
		for j := range m.Pix {
			m.Pix[j] = uint8(i)
			if x := j % m.Stride; i == 3 && x >= 16 {
				m.Pix[j] = 4
			}
		}
		g.Image = append(g.Image, m)
	}
	return must(func(b *bytes.Buffer) error { return gif.EncodeAll(b, g) })
}

// moment is a place of one frame with the colour that a viewer sees there.
type moment struct {
	frame, x, y int
	want        color.NRGBA
}

var (
	red, lime, blue, white = color.NRGBA{255, 0, 0, 255}, color.NRGBA{0, 255, 0, 255}, color.NRGBA{0, 0, 255, 255}, color.NRGBA{255, 255, 255, 255}

	moments = []moment{
		{0, 16, 16, red}, {0, 56, 8, red},
		{1, 20, 20, lime}, {1, 56, 8, red}, {1, 4, 4, red},
		{2, 20, 20, red}, {2, 48, 10, blue}, {2, 48, 40, red},
		{3, 48, 10, color.NRGBA{}}, {3, 6, 36, white}, {3, 24, 36, red}, {3, 48, 40, red},
	}
)

// runMotion: an animation comes through with its delays, loops, disposals and
// transparency, at half the size, from GIF and WebP to both.
func runMotion(t *testing.T, can Can, c Codec) {
	for _, loops := range []int{0, 1, 3} {
		t.Run(fmt.Sprintf("loops %d", loops), func(t *testing.T) {
			r := loadMoving(t, c, MovingGIF(loops), images.GIF, image.Pt(Width/2, Height/2))
			checkMoving(t, "gif", r, loops)
			for _, to := range []images.Format{images.GIF, images.WebP} {
				if !has(can.Saves, to) {
					continue
				}
				file := saveMoving(t, c, r, to)
				if !has(can.Loads, to) || to == images.WebP && !can.WebPMoves {
					continue
				}
				again := loadMoving(t, c, file, to, image.Point{})
				checkMoving(t, "gif to "+to.String(), again, loops)
				back := saveMoving(t, c, again, images.GIF) // WebP to GIF, and GIF again
				checkMoving(t, to.String()+" to gif", loadMoving(t, c, back, images.GIF, image.Point{}), loops)
				checkDecoded(t, back)
			}
		})
	}
}

func loadMoving(t *testing.T, c Codec, data []byte, f images.Format, size image.Point) *codec.Raster {
	t.Helper()
	r, _, err := c.Load(t.Context(), codec.LoadRequest{Data: data, Format: f, Frames: 100,
		Geometry: func(codec.Info) (codec.Target, error) { return codec.Target{Width: size.X, Height: size.Y}, nil }})
	if err != nil {
		t.Fatalf("%v: %v", f, err)
	}
	return r
}

func saveMoving(t *testing.T, c Codec, r *codec.Raster, f images.Format) []byte {
	t.Helper()
	file, err := c.Save(t.Context(), codec.SaveRequest{Raster: r, Format: f, Quality: 95})
	if err != nil {
		t.Fatalf("save %v: %v", f, err)
	}
	return file
}

func checkMoving(t *testing.T, name string, r *codec.Raster, loops int) {
	t.Helper()
	if len(r.Frames) != len(movingDelays) || r.Loop != loops {
		t.Fatalf("%s: %d frames, shown %d times; want %d and %d", name, len(r.Frames), r.Loop, len(movingDelays), loops)
	}
	for i := range r.Frames {
		if want := time.Duration(movingDelays[i]) * 10 * time.Millisecond; r.Frames[i].Delay != want {
			t.Errorf("%s: frame %d is shown for %v, want %v", name, i, r.Frames[i].Delay, want)
		}
	}
	for _, m := range moments {
		p := &r.Frames[m.frame].Picture
		x, y := m.x*p.Width/Width, m.y*p.Height/Height
		if p.Alpha {
			if a := p.AlphaPlane().Row(y)[x]; abs(int(a)-int(m.want.A)) > 8 {
				t.Errorf("%s: frame %d at %d,%d has alpha %d, want %d", name, m.frame, m.x, m.y, a, m.want.A)
			}
		} else if m.want.A == 0 {
			t.Errorf("%s: frame %d lost its transparency", name, m.frame)
		}
		if m.want.A == 0 {
			continue
		}
		for n, want := range []uint8{m.want.R, m.want.G, m.want.B} {
			if got := p.Planes[n].Row(y)[x]; abs(int(got)-int(want)) > 24 {
				t.Errorf("%s: frame %d at %d,%d channel %d is %d, want %d", name, m.frame, m.x, m.y, n, got, want)
			}
		}
	}
}

// checkDecoded looks at a GIF with another decoder.
func checkDecoded(t *testing.T, file []byte) {
	t.Helper()
	g, err := gif.DecodeAll(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	if len(g.Image) != len(movingDelays) {
		t.Fatalf("the standard decoder sees %d frames", len(g.Image))
	}
	for i, d := range g.Delay {
		if d != movingDelays[i] {
			t.Errorf("the standard decoder sees frame %d for %d hundredths, want %d", i, d, movingDelays[i])
		}
	}
}
