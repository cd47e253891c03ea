package render_test

import (
	"image"
	"math"
	"testing"

	"github.com/kamado/kamado/images"
	"github.com/kamado/kamado/images/render"
)

// samples are one plane of a picture at full size.
type samples struct {
	width, height int
	v             []float64
}

// planesOf are luma and chroma of a JPEG that image/jpeg decoded, chroma repeated
// to full size, turned.
func planesOf(m *image.YCbCr, turn images.Orientation) [3]samples {
	w, h := m.Rect.Dx(), m.Rect.Dy()
	tw, th := turn.Size(w, h)
	var out [3]samples
	for i := range out {
		out[i] = samples{tw, th, make([]float64, tw*th)}
	}
	for y := range th {
		for x := range tw {
			at := turn.Back(images.Window{X: float64(x), Y: float64(y), Width: 1, Height: 1}, float64(w), float64(h))
			c := m.YCbCrAt(int(at.X), int(at.Y))
			for i, v := range [3]uint8{c.Y, c.Cb, c.Cr} {
				out[i].v[y*tw+x] = float64(v)
			}
		}
	}
	return out
}

// lanczosOf is a window of a plane at n x m samples, which stand for
// width x height, by Lanczos3 in floating point.
func lanczosOf(p samples, win images.Window, width, height float64, n, m int) []float64 {
	weigh := func(offset, size, exact float64, n, limit int) (first []int, weights [][]float64) {
		step := size / exact
		wide := max(step, 1)
		for i := range n {
			c := offset + (float64(i)+0.5)*step
			lo, hi := int(math.Ceil(c-3*wide-0.5)), int(math.Floor(c+3*wide-0.5))
			lo, hi = min(max(lo, 0), limit-1), max(min(hi, limit-1), 0)
			var ws []float64
			sum := 0.0
			for j := lo; j <= hi; j++ {
				x, v := (float64(j)+0.5-c)/wide, 1.0
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
	fx, wx := weigh(win.X, win.Width, width, n, p.width)
	fy, wy := weigh(win.Y, win.Height, height, m, p.height)
	// Sums are local: what the race detector watches costs ten times as much.
	rows := make([]float64, n*p.height)
	for y := range p.height {
		for x := range n {
			sum, from := 0.0, p.v[y*p.width+fx[x]:]
			for j, k := range wx[x] {
				sum += k * from[j]
			}
			rows[x*p.height+y] = sum
		}
	}
	out := make([]float64, n*m)
	for y := range m {
		for x := range n {
			sum, from := 0.0, rows[x*p.height+fy[y]:]
			for j, k := range wy[y] {
				sum += k * from[j]
			}
			out[y*n+x] = sum
		}
	}
	return out
}

// stored are the samples of a plane as the file has them.
func stored(pix []uint8, stride, width, height int) []float64 {
	var out []float64
	for y := range height {
		for _, v := range pix[y*stride:][:width] {
			out = append(out, float64(v))
		}
	}
	return out
}

// However an original lies in its file, luma and chroma of its renditions lie
// where all of its pixels, stood upright and resized, have them. The sides are
// odd: what is mirrored has its half chroma sample at the other end.
func TestTurnedPicturesKeepTheirPlace(t *testing.T) {
	t.Parallel()
	src := jpegOf(t, detailed(243, 181))
	whole := decodedBytes(t, src).(*image.YCbCr)
	var turned [9][3]samples
	for o := images.Upright; o <= images.Turn270; o++ {
		turned[o] = planesOf(whole, o)
	}
	r := newRenderer(render.Config{})
	for _, tt := range []struct {
		name         string
		want         images.Rendition
		luma, chroma float64 // dB at least
	}{
		{"at 1/8", images.Rendition{Width: 21, Height: 21}, 40.5, 52.5},
		{"at 2/8", images.Rendition{Width: 41, Height: 41}, 42.5, 53.5},
		{"at 4/8", images.Rendition{Width: 81, Height: 81}, 43.8, 54},
		{"at full size, smaller", images.Rendition{Width: 151, Height: 151}, 54.8, 56},
		{"at full size", images.Rendition{}, 57, 56},
		{"enlarged", images.Rendition{Width: 301, Height: 301}, 53.7, 57},
		{"cropped", images.Rendition{Width: 61, Height: 61, Fit: images.FitCrop}, 43.2, 54},
		{"cropped to an edge", images.Rendition{Width: 45, Height: 75, Fit: images.FitCrop, Gravity: images.SouthEast}, 45.2, 54.5},
		{"cropped around a point", images.Rendition{Width: 33, Height: 77, Fit: images.FitCrop, Gravity: images.Focal, FocalX: 0.3, FocalY: 0.8}, 44.7, 54},
		{"a region", images.Rendition{Width: 41, Region: image.Rect(31, 43, 132, 122)}, 46, 55},
		{"turned", images.Rendition{Width: 71, Rotate: 90}, 40.4, 54},
		{"turned, mirrored and cropped", images.Rendition{Width: 51, Height: 51, Fit: images.FitCrop, Gravity: images.West, Rotate: 270, FlipH: true}, 45.8, 54},
	} {
		tt.want.Quality = 100
		worst := [3]float64{99, 99, 99}
		for o := images.Upright; o <= images.Turn270; o++ {
			res, err := r.Render(t.Context(), withOrientation(src, uint16(o)), tt.want)
			if err != nil {
				t.Fatal(err)
			}
			plan, err := tt.want.Plan(o.Size(243, 181))
			if err != nil {
				t.Fatal(err)
			}
			got := decoded(t, res).(*image.YCbCr)
			w, h := res.Width, res.Height
			if w != plan.Width || h != plan.Height {
				t.Fatalf("%s, orientation %d: %dx%d, want %dx%d", tt.name, o, w, h, plan.Width, plan.Height)
			}
			n, m := (w+1)/2, (h+1)/2
			all := turned[o.Then(tt.want.Turn())]
			dB := [3]float64{
				psnr(stored(got.Y, got.YStride, w, h), lanczosOf(all[0], plan.Window, float64(w), float64(h), w, h)),
				psnr(stored(got.Cb, got.CStride, n, m), lanczosOf(all[1], plan.Window, float64(w)/2, float64(h)/2, n, m)),
				psnr(stored(got.Cr, got.CStride, n, m), lanczosOf(all[2], plan.Window, float64(w)/2, float64(h)/2, n, m)),
			}
			t.Logf("%s, orientation %d: %.2f %.2f %.2f dB", tt.name, o, dB[0], dB[1], dB[2])
			for i := range worst {
				worst[i] = min(worst[i], dB[i])
			}
		}
		if worst[0] < tt.luma || min(worst[1], worst[2]) < tt.chroma {
			t.Errorf("%s: %.2f dB, chroma %.2f and %.2f, want %v and %v", tt.name, worst[0], worst[1], worst[2], tt.luma, tt.chroma)
		}
	}
}
