package render_test

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"math"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/kamado/kamado/images"
	"github.com/kamado/kamado/images/codec"
	"github.com/kamado/kamado/images/render"
)

// detailed is a photograph of sorts: slopes, waves of all lengths down to two
// pixels, edges and some noise.
func detailed(width, height int) *image.RGBA {
	m := image.NewRGBA(image.Rect(0, 0, width, height))
	seed := uint32(7)
	for y := range height {
		for x := range width {
			fx, fy := float64(x)/float64(width), float64(y)/float64(height)
			v := 110 + 50*math.Sin(9*fx+5*fy) + 30*math.Sin(900*fx*fx) + 20*math.Sin(700*fy*fy*fx)
			if (x/97+y/61)%5 == 0 {
				v -= 45
			}
			seed = seed*1664525 + 1013904223
			v += float64(seed>>28) - 8
			for i, w := range [3]float64{1, 0.9 + 0.2*fx, 1.1 - 0.3*fy} {
				m.Pix[4*(y*width+x)+i] = uint8(min(max(v*w, 0), 255))
			}
			m.Pix[4*(y*width+x)+3] = 255
		}
	}
	return m
}

// lanczos is m's luma resized by Lanczos3 in floating point, from all of its pixels.
func lanczos(m image.Image, width, height int) []float64 {
	w, h := m.Bounds().Dx(), m.Bounds().Dy()
	luma := lumas(m)
	kernel := func(n, from int) (first []int, weights [][]float64) {
		step := float64(from) / float64(n)
		for i := range n {
			c := (float64(i) + 0.5) * step
			lo, hi := max(0, int(math.Ceil(c-3*step-0.5))), min(from-1, int(math.Floor(c+3*step-0.5)))
			var ws []float64
			sum := 0.0
			for j := lo; j <= hi; j++ {
				x, v := (float64(j)+0.5-c)/step, 1.0
				if x != 0 {
					v = 3 * math.Sin(math.Pi*x) * math.Sin(math.Pi*x/3) / (math.Pi * math.Pi * x * x)
				}
				ws, sum = append(ws, v), sum+v
			}
			for j := range ws {
				ws[j] /= sum
			}
			first, weights = append(first, lo), append(weights, ws)
		}
		return first, weights
	}
	fx, wx := kernel(width, w)
	rows := make([]float64, width*h)
	for y := range h {
		for x := range width {
			for j, k := range wx[x] {
				rows[y*width+x] += k * luma[y*w+fx[x]+j]
			}
		}
	}
	fy, wy := kernel(height, h)
	out := make([]float64, width*height)
	for y := range height {
		for j, k := range wy[y] {
			for x := range width {
				out[y*width+x] += k * rows[(fy[y]+j)*width+x]
			}
		}
	}
	return out
}

func lumas(m image.Image) []float64 {
	w, h := m.Bounds().Dx(), m.Bounds().Dy()
	out := make([]float64, 0, w*h)
	if rgba, ok := m.(*image.RGBA); ok {
		for i := 0; i < len(rgba.Pix); i += 4 {
			out = append(out, 0.299*float64(rgba.Pix[i])+0.587*float64(rgba.Pix[i+1])+0.114*float64(rgba.Pix[i+2]))
		}
		return out
	}
	for y := range h { // a JPEG; what is in its planes is luma
		for _, v := range m.(*image.YCbCr).Y[y*m.(*image.YCbCr).YStride:][:w] {
			out = append(out, float64(v))
		}
	}
	return out
}

func psnr(a, b []float64) float64 {
	sum := 0.0
	for i := range a {
		sum += (a[i] - b[i]) * (a[i] - b[i])
	}
	return 10 * math.Log10(255*255*float64(len(a))/sum)
}

func boxes(sides ...int) []images.Rendition {
	var wants []images.Rendition
	for _, w := range sides {
		wants = append(wants, images.Rendition{Width: w, Height: w * 3 / 4, Quality: 90})
	}
	return wants
}

// What is made together is as good as what is made alone.
func TestSetIsAsGoodAsEachAlone(t *testing.T) {
	t.Parallel()
	m := detailed(320, 240)
	for name, src := range map[string][]byte{"jpeg": jpegOf(t, m), "png": pngOf(t, m)} {
		original := decodedBytes(t, src)
		r := withPureGo(render.Config{})
		wants := boxes(160, 80, 40)
		for i := range wants {
			wants[i].Format = images.JPEG
		}
		for i, one := range r.RenderSet(t.Context(), src, wants) {
			if one.Err != nil {
				t.Fatal(one.Err)
			}
			alone, err := r.Render(t.Context(), src, wants[i])
			if err != nil {
				t.Fatal(err)
			}
			if one.Result.Width != alone.Width || one.Result.Height != alone.Height || one.Result.Quality != alone.Quality {
				t.Errorf("%s: rendition %d is %dx%d q%d in a set and %dx%d q%d alone", name, i, one.Result.Width, one.Result.Height,
					one.Result.Quality, alone.Width, alone.Height, alone.Quality)
			}
			reference := lanczos(original, alone.Width, alone.Height)
			together, apart := psnr(lumas(decoded(t, one.Result)), reference), psnr(lumas(decoded(t, alone)), reference)
			t.Logf("%s %dx%d: %.2f dB together, %.2f dB alone", name, alone.Width, alone.Height, together, apart)
			if together < apart-0.1 {
				t.Errorf("%s %dx%d: %.2f dB in a set, %.2f dB alone", name, alone.Width, alone.Height, together, apart)
			}
		}
	}
}

// TestSharedSaysWhereBytesDiffer: what a set does not mark has the bytes that it has alone, which is what ETags count on; some are
// marked, and not all.
func TestSharedSaysWhereBytesDiffer(t *testing.T) {
	t.Parallel()
	for name, src := range map[string][]byte{"jpeg": jpegOf(t, detailed(800, 600)), "png": pngOf(t, detailed(200, 150))} {
		r := withPureGo(render.Config{})
		wants := append(boxes(450, 400, 240, 150, 80, 50, 30), images.Rendition{Width: 100, Height: 100, Fit: images.FitCrop, Gravity: images.Smart, Quality: 80},
			images.Rendition{Width: 50, Height: 50, Fit: images.FitCrop, Quality: 80}, images.Rendition{Width: 401, Quality: 80})
		alone := make([]render.Result, len(wants))
		for i, want := range wants {
			var err error
			if alone[i], err = r.Render(t.Context(), src, want); err != nil || alone[i].Shared {
				t.Fatalf("alone: shared %v, %v", alone[i].Shared, err)
			}
		}
		shared, different, same := 0, 0, 0
		for _, part := range [][2]int{{0, 1}, {7, 8}, {0, 2}, {0, 3}, {2, 5}, {4, 7}, {5, 10}, {6, 9}, {7, 10}, {0, 10}} {
			for i, one := range r.RenderSet(t.Context(), src, wants[part[0]:part[1]]) {
				if one.Err != nil {
					t.Fatal(one.Err)
				}
				equal := bytes.Equal(one.Result.Data, alone[part[0]+i].Data)
				switch {
				case one.Result.Shared && equal:
					shared++
				case one.Result.Shared:
					different++
				case equal:
					same++
				default:
					t.Errorf("%s: %v in the set %v has other bytes than alone, and is not marked", name, wants[part[0]+i], part)
				}
			}
		}
		t.Logf("%s: %d marked with other bytes, %d with the same; %d not marked", name, different, shared, same)
		if different == 0 || same == 0 {
			t.Errorf("%s: %d marked with other bytes, %d not marked: one of them was not tried", name, different, same)
		}
	}
}

func decodedBytes(t testing.TB, data []byte) image.Image {
	t.Helper()
	m, _, err := image.Decode(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// counting counts loads.
type counting struct {
	render.Codec
	loads int
}

func (c *counting) Load(ctx context.Context, req codec.LoadRequest) (*codec.Raster, codec.Info, error) {
	c.loads++
	return c.Codec.Load(ctx, req)
}

// Sets of everything: each member is what it would be alone, in place and
// error.
func TestSetOfAllSorts(t *testing.T) {
	t.Parallel()
	wants := []images.Rendition{
		{Width: 100}, {Width: 60, Height: 60, Fit: images.FitCrop, Gravity: images.East}, {Width: 50, Rotate: 90}, {Width: 80, FlipH: true},
		{Region: image.Rect(4000, 0, 4100, 10)}, {Width: 40, Height: 40, Fit: images.FitCrop, Gravity: images.Smart}, {Trim: 20, Width: 90},
		{Width: 70, Format: images.PNG}, {Width: 30, Watermark: images.Watermark{Name: "none"}}, {Region: image.Rect(0, 90, 120, 180), Width: 110},
		{Width: 64, Height: 64, Fit: images.FitPad, Text: images.Text{Words: "x", Size: 20, Opacity: 1}}, {Width: 9000}, {Width: 100, MaxBytes: 300},
	}
	for name, src := range originals(t, quarters(240, 180)) {
		r := withPureGo(render.Config{})
		together := r.RenderSet(t.Context(), src, wants)
		decodes := 0
		for i, one := range together {
			alone, err := r.Render(t.Context(), src, wants[i])
			if images.KindOf(err) != images.KindOf(one.Err) || (err == nil) != (one.Err == nil) {
				t.Errorf("%s, %d: %v in a set, %v alone", name, i, one.Err, err)
				continue
			}
			if err != nil {
				continue
			}
			got := one.Result
			if got.Width != alone.Width || got.Height != alone.Height || got.Format != alone.Format || got.Frames != alone.Frames {
				t.Errorf("%s, %d: %dx%d %s in a set, %dx%d %s alone", name, i, got.Width, got.Height, got.Format, alone.Width, alone.Height, alone.Format)
				continue
			}
			if a, b := corners(decoded(t, got)), corners(decoded(t, alone)); a != b {
				t.Errorf("%s, %d: quadrants %v in a set, %v alone", name, i, a, b)
			}
			for _, s := range got.Stages {
				if s.Name == "decode" {
					decodes++
				}
			}
		}
		if name == "jpeg" && decodes > 2 { // one for Trim, one for all others
			t.Errorf("%s: %d decodes", name, decodes)
		}
	}
}

func TestSetSharesOneLoad(t *testing.T) {
	t.Parallel()
	c := &counting{Codec: withoutWorkers()}
	r := newRenderer(render.Config{Codecs: []render.Codec{c}})
	src := pngOf(t, quarters(400, 300))
	smart := images.Rendition{Width: 60, Height: 60, Fit: images.FitCrop, Gravity: images.Smart}
	for _, one := range r.RenderSet(t.Context(), src, append(boxes(150, 100, 50), smart)) {
		if one.Err != nil {
			t.Fatal(one.Err)
		}
	}
	if c.loads != 1 {
		t.Errorf("%d loads for four renditions of a PNG, want 1", c.loads)
	}
	// An animation moves in each rendition that can, and stands in others.
	c.loads = 0
	wants := []images.Rendition{{Width: 100}, {Width: 80, Still: true}, {Width: 60, Format: images.PNG}, {Width: 40, Format: images.JPEG}}
	out := r.RenderSet(t.Context(), gifOf(t, quarters(200, 150)), wants)
	for i, frames := range []int{2, 1, 1, 1} {
		if out[i].Err != nil || out[i].Result.Frames != frames {
			t.Errorf("%d: %d frames (%v), want %d", i, out[i].Result.Frames, out[i].Err, frames)
		}
	}
	if c.loads != 2 {
		t.Errorf("%d loads, want one for the stills and one for the animation", c.loads)
	}
}

func TestSetsHaveAnEnd(t *testing.T) {
	t.Parallel()
	out := newRenderer(render.Config{}).RenderSet(t.Context(), jpegOf(t, quarters(64, 48)), make([]images.Rendition, render.SetMax+1))
	if out[render.SetMax-1].Err != nil || images.KindOf(out[render.SetMax].Err) != images.Invalid {
		t.Errorf("the last allowed: %v, one more: %v", out[render.SetMax-1].Err, out[render.SetMax].Err)
	}
	gone, leave := context.WithCancel(t.Context())
	leave()
	for _, one := range newRenderer(render.Config{}).RenderSet(gone, jpegOf(t, quarters(640, 480)), boxes(40, 30)) {
		if one.Err == nil {
			t.Error("a rendition is made for a client that left")
		}
	}
	for _, one := range newRenderer(render.Config{}).RenderSet(t.Context(), []byte("no picture"), boxes(40, 30)) {
		if images.KindOf(one.Err) != images.Unprocessable {
			t.Errorf("of no picture: %v", one.Err)
		}
	}
}

func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkSet makes five sizes together and alone, alternating, and reports
// CPU per set. KAMADO_PHOTO names a JPEG to do it with.
func BenchmarkSet(b *testing.B) {
	var src []byte
	if path := os.Getenv("KAMADO_PHOTO"); path != "" {
		var err error
		if src, err = os.ReadFile(path); err != nil {
			b.Fatal(err)
		}
	} else {
		src = jpegOf(b, detailed(4000, 3000))
	}
	for _, wants := range [][]images.Rendition{boxes(640, 480, 320, 240, 160), boxes(1200, 480, 320, 240, 160)} {
		for i := range wants {
			wants[i].Quality = 70
		}
		b.Run(fmt.Sprintf("five-from-%d", wants[0].Width), func(b *testing.B) {
			r := newRenderer(render.Config{})
			var together, alone, one time.Duration
			n := 0
			for b.Loop() {
				start := cpu()
				for _, o := range r.RenderSet(b.Context(), src, wants) {
					if o.Err != nil {
						b.Fatal(o.Err)
					}
				}
				middle := cpu()
				for i, w := range wants {
					before := cpu()
					if _, err := r.Render(b.Context(), src, w); err != nil {
						b.Fatal(err)
					}
					if i == 1 {
						one += cpu() - before
					}
				}
				together, alone, n = together+middle-start, alone+cpu()-middle, n+1
			}
			b.ReportMetric(float64(together.Microseconds())/float64(n)/1000, "cpu-ms/set")
			b.ReportMetric(float64(alone.Microseconds())/float64(n)/1000, "cpu-ms/alone")
			b.ReportMetric(float64(one.Microseconds())/float64(n)/1000, "cpu-ms/480x360")
		})
	}
}
