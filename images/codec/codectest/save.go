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
	"github.com/kamado/kamado/images/plane"
)

// frame is the scene, half transparent in its white quarter when there is
// alpha.
func frame(m plane.Model, alpha bool) codec.Frame {
	var f codec.Frame
	f.Picture.Reset(m, alpha, Width, Height, 1, 1)
	for y := range Height {
		for x := range Width {
			c := quarter(x, y)
			if m == plane.Gray {
				c = grey(x, y)
			}
			for i, v := range []uint8{c.R, c.G, c.B}[:m.Components()] {
				f.Picture.Planes[i].Row(y)[x] = v
			}
			if alpha {
				a := uint8(255)
				if x >= Width/2 && y >= Height/2 {
					a = 0
				}
				f.Picture.AlphaPlane().Row(y)[x] = a
			}
		}
	}
	return f
}

func still(m plane.Model, alpha bool) *codec.Raster {
	return &codec.Raster{Loop: 1, Frames: []codec.Frame{frame(m, alpha)}}
}

func runSave(t *testing.T, can Can, c Codec) {
	for _, f := range can.Saves {
		for _, m := range []plane.Model{plane.RGB, plane.Gray} {
			for _, alpha := range []bool{false, true} {
				if f == images.JPEG && alpha {
					continue
				}
				t.Run(fmt.Sprintf("%v %v alpha %v", f, m, alpha), func(t *testing.T) { saveOne(t, c, f, still(m, alpha)) })
			}
		}
		small, large := sized(t, c, f, 20, false), sized(t, c, f, 95, false)
		if f.Lossy() && small >= large {
			t.Errorf("%v: quality 20 has %d bytes, 95 has %d", f, small, large)
		}
		for effort := 1; effort <= 9; effort++ {
			if _, err := c.Save(t.Context(), codec.SaveRequest{Raster: still(plane.RGB, false), Format: f, Effort: effort}); err != nil {
				t.Errorf("%v effort %d: %v", f, effort, err)
			}
		}
	}
}

// noise is a picture that no codec makes small.
func noise() *codec.Raster {
	r := still(plane.RGB, false)
	v := uint32(1)
	for i := range 3 {
		for y := range Height {
			for x := range Width {
				v = v*1664525 + 1013904223
				r.Frames[0].Picture.Planes[i].Row(y)[x] = uint8(v >> 24)
			}
		}
	}
	return r
}

func sized(t *testing.T, c Codec, f images.Format, quality int, lossless bool) int {
	t.Helper()
	file, err := c.Save(t.Context(), codec.SaveRequest{Raster: noise(), Format: f, Quality: quality, Lossless: lossless})
	if err != nil {
		t.Fatalf("%v noise: %v", f, err)
	}
	return len(file)
}

func saveOne(t *testing.T, c Codec, f images.Format, r *codec.Raster) {
	file, err := c.Save(t.Context(), codec.SaveRequest{Raster: r, Format: f, Quality: 90})
	if err != nil {
		t.Fatal(err)
	}
	if got := images.Sniff(file); got != f {
		t.Fatalf("the file is %v", got)
	}
	back, info, err := c.Load(t.Context(), codec.LoadRequest{Data: file, Format: f})
	if err != nil {
		t.Fatalf("read back: %v", err)
	}
	in, out := &r.Frames[0].Picture, &back.Frames[0].Picture
	if info.Width != Width || info.Height != Height || in.Alpha && !out.Alpha {
		t.Fatalf("read back %+v", info)
	}
	for _, at := range []image.Point{{Width / 4, Height / 4}, {Width * 3 / 4, Height / 4}, {Width / 4, Height * 3 / 4}, {Width * 3 / 4, Height * 3 / 4}} {
		if in.Alpha {
			want, got := in.AlphaPlane().Row(at.Y)[at.X], out.AlphaPlane().Row(at.Y)[at.X]
			if abs(int(want)-int(got)) > 4 {
				t.Errorf("alpha at %v is %d, was %d", at, got, want)
			}
			if want == 0 {
				continue
			}
		}
		for i := range 3 {
			want, got := in.Planes[min(i, in.Model.Components()-1)].Row(at.Y)[at.X], out.Planes[min(i, out.Model.Components()-1)].Row(at.Y)[at.X]
			if abs(int(want)-int(got)) > 12 {
				t.Errorf("channel %d at %v is %d, was %d", i, at, got, want)
			}
		}
	}
}

// AnimatedGIF has three frames of the scene's size, in red, green and blue,
// the later ones only half as wide, shown for 50, 120 and 300 ms, three times.
func AnimatedGIF() []byte {
	colours := color.Palette{color.NRGBA{255, 0, 0, 255}, color.NRGBA{0, 255, 0, 255}, color.NRGBA{0, 0, 255, 255}, color.NRGBA{}}
	g := &gif.GIF{LoopCount: 2, Config: image.Config{Width: Width, Height: Height, ColorModel: colours}}
	for i, delay := range []int{5, 12, 30} {
		r := image.Rect(0, 0, Width, Height)
		if i > 0 {
			r.Max.X = Width / 2
		}
		m := image.NewPaletted(r, colours)
		for j := range m.Pix {
			m.Pix[j] = uint8(i)
		}
		g.Image = append(g.Image, m)
		g.Delay = append(g.Delay, delay)
		g.Disposal = append(g.Disposal, gif.DisposalNone)
	}
	return must(func(b *bytes.Buffer) error { return gif.EncodeAll(b, g) })
}

func runAnimation(t *testing.T, can Can, c Codec) {
	data := AnimatedGIF()
	load := func(data []byte, f images.Format, frames int) *codec.Raster {
		t.Helper()
		r, info, err := c.Load(t.Context(), codec.LoadRequest{Data: data, Format: f, Frames: frames,
			Geometry: func(i codec.Info) (codec.Target, error) { return codec.Target{Width: 32, Height: 24}, nil }})
		if err != nil {
			t.Fatalf("%v: %v", f, err)
		}
		if info.Pages != 3 || r.Loop != 3 || info.Loop != 3 || r.Truncated {
			t.Errorf("%v: info %+v, loop %d, truncated %v", f, info, r.Loop, r.Truncated)
		}
		return r
	}
	for frames, want := range map[int]int{0: 1, 1: 1, 2: 2, 3: 3, 100: 3} {
		if r := load(data, images.GIF, frames); len(r.Frames) != want {
			t.Errorf("asked for %d frames, got %d, want %d", frames, len(r.Frames), want)
		}
	}
	r := load(data, images.GIF, 100)
	checkFrames(t, images.GIF, r)
	cut, _, err := c.Load(t.Context(), codec.LoadRequest{Data: data[:len(data)-12], Format: images.GIF, Frames: 100})
	if err == nil && (len(cut.Frames) == 0 || !cut.Truncated && len(cut.Frames) < 3) {
		t.Errorf("cut in the last frame: %d frames, truncated %v", len(cut.Frames), cut.Truncated)
	}
	for _, f := range can.Saves {
		if !f.Animated() {
			continue
		}
		file, err := c.Save(t.Context(), codec.SaveRequest{Raster: r, Format: f, Quality: 90})
		if err != nil {
			t.Fatalf("save %v: %v", f, err)
		}
		if f == images.WebP && !can.WebPMoves {
			continue
		}
		checkFrames(t, f, load(file, f, 100))
	}
}

func checkFrames(t *testing.T, f images.Format, r *codec.Raster) {
	t.Helper()
	if len(r.Frames) != 3 {
		t.Fatalf("%v: %d frames", f, len(r.Frames))
	}
	for i, delay := range []time.Duration{50, 120, 300} {
		fr := &r.Frames[i]
		if fr.Delay != delay*time.Millisecond {
			t.Errorf("%v: frame %d is shown for %v, want %v", f, i, fr.Delay, delay*time.Millisecond)
		}
		for n := range 3 {
			left, right := 0, 0
			if n == i {
				left = 255
			}
			if n == 0 {
				right = 255
			}
			row := fr.Picture.Planes[n].Row(12)
			if abs(int(row[8])-left) > 12 || abs(int(row[24])-right) > 12 {
				t.Errorf("%v: frame %d channel %d is %d and %d, want %d and %d", f, i, n, row[8], row[24], left, right)
			}
		}
	}
}

// runAlpha: what is transparent does not bleed into what is not.
func runAlpha(t *testing.T, c Codec) {
	m := image.NewNRGBA(image.Rect(0, 0, 64, 64))
	for y := range 64 {
		for x := range 64 {
			if x%2 == 0 {
				m.SetNRGBA(x, y, color.NRGBA{0, 0, 255, 255})
			} else {
				m.SetNRGBA(x, y, color.NRGBA{255, 0, 0, 0})
			}
		}
	}
	r, _, err := c.Load(t.Context(), codec.LoadRequest{Data: pngOf(m), Format: images.PNG,
		Geometry: func(codec.Info) (codec.Target, error) { return codec.Target{Width: 16, Height: 16}, nil }})
	if err != nil {
		t.Fatal(err)
	}
	p := &r.Frames[0].Picture
	red, blue, a := p.Planes[0].Row(8)[8], p.Planes[2].Row(8)[8], p.Planes[3].Row(8)[8]
	if red > 8 || blue < 240 || a < 110 || a > 145 {
		t.Errorf("red %d, blue %d, alpha %d; want 0, 255, 128", red, blue, a)
	}
}
