package raster

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/kamado/kamado/images/plane"
)

// clampedFloat is the filters in floating point, by the text of the standard.
func clampedFloat(f Filters, c [3]float64) [3]float64 {
	for i := range c {
		c[i] *= 1 + float64(f.Brightness)/100
		k := 1 + float64(f.Contrast)/100
		c[i] = (c[i]-127.5)*k + 127.5
	}
	s := 1 + float64(f.Saturation)/100
	r, g, b := c[0], c[1], c[2]
	c = [3]float64{
		(0.213+0.787*s)*r + (0.715-0.715*s)*g + (0.072-0.072*s)*b,
		(0.213-0.213*s)*r + (0.715+0.285*s)*g + (0.072-0.072*s)*b,
		(0.213-0.213*s)*r + (0.715-0.715*s)*g + (0.072+0.928*s)*b,
	}
	sin, cos := math.Sincos(float64(f.Hue) * math.Pi / 180)
	r, g, b = c[0], c[1], c[2]
	c = [3]float64{
		(0.213+cos*0.787-sin*0.213)*r + (0.715-cos*0.715-sin*0.715)*g + (0.072-cos*0.072+sin*0.928)*b,
		(0.213-cos*0.213+sin*0.143)*r + (0.715+cos*0.285+sin*0.140)*g + (0.072-cos*0.072-sin*0.283)*b,
		(0.213-cos*0.213-sin*0.787)*r + (0.715-cos*0.715+sin*0.715)*g + (0.072+cos*0.928+sin*0.072)*b,
	}
	for i := range c {
		c[i] = min(max(c[i], 0), 255)
	}
	return c
}

var someFilters = []Filters{
	{}, {Brightness: 40}, {Brightness: -100}, {Brightness: 100}, {Contrast: 60}, {Contrast: -100}, {Contrast: 100}, {Saturation: -100},
	{Saturation: 100}, {Hue: 90}, {Hue: 180}, {Hue: 300}, {Brightness: 100, Contrast: 100, Saturation: 100, Hue: 123}, {Brightness: -20, Contrast: 30, Saturation: -40, Hue: 10},
}

// What browsers show for these colours.
func TestAdjustIsThatOfBrowsers(t *testing.T) {
	for _, tt := range []struct {
		f          Filters
		from, want [3]uint8
	}{
		{Filters{Hue: 180}, [3]uint8{255, 0, 0}, [3]uint8{0, 109, 109}},
		{Filters{Saturation: -100}, [3]uint8{255, 0, 0}, [3]uint8{54, 54, 54}},
		{Filters{Brightness: 50}, [3]uint8{100, 200, 10}, [3]uint8{150, 255, 15}},
		{Filters{Contrast: -100}, [3]uint8{1, 99, 200}, [3]uint8{128, 128, 128}},
	} {
		var p plane.Picture
		p.Reset(plane.RGB, false, 1, 1, 1, 1)
		for i, v := range tt.from {
			p.Planes[i].Row(0)[0] = v
		}
		Adjust(&p, tt.f)
		if got := [3]uint8{p.Planes[0].Row(0)[0], p.Planes[1].Row(0)[0], p.Planes[2].Row(0)[0]}; got != tt.want {
			t.Errorf("%+v of %v is %v, want %v", tt.f, tt.from, got, tt.want)
		}
	}
}

func TestAdjustInEveryModel(t *testing.T) {
	kinds(func(r *rand.Rand, m plane.Model, alpha bool, width, height, subX, subY int) {
		for _, f := range someFilters {
			p := picture(r, m, alpha, width, height, subX, subY)
			if m == plane.YCbCr && subX*subY == 1 { // make some clamp that share their chroma with none
				for i := range p.Planes[0].Row(0) {
					p.Planes[0].Row(0)[i] = 250
				}
			}
			before := colours(p)
			var cover []byte
			if alpha {
				cover = append(cover, p.AlphaPlane().Pix...)
			}
			Adjust(p, f)
			bound := 1.01
			if m == plane.YCbCr {
				bound = 3 // of what was rounded to RGB
				if f.Brightness+f.Contrast > 100 {
					bound = 8 // and then is twelve times as much
				}
			}
			for i, c := range colours(p) {
				want := clampedFloat(f, before[i])
				if m == plane.YCbCr && (outside(Filters{}, before[i], 1) || subX*subY > 1 && outside(f, before[i], 24)) {
					continue
				}
				for k := range c {
					if math.Abs(c[k]-want[k]) > bound {
						t.Fatalf("%v alpha %t %dx%d: %+v of %v is %v, want %v", m, alpha, subX, subY, f, before[i], c, want)
					}
				}
			}
			if alpha && string(cover) != string(p.AlphaPlane().Pix) {
				t.Fatalf("%+v changes alpha", f)
			}
		}
	})
}

// outside says whether a pixel of the result is clamped or nearly: its
// neighbours, which share its chroma, may be then.
func outside(f Filters, c [3]float64, near float64) bool {
	for _, v := range clampedFloat(f, c) {
		if v < near || v > 255-near {
			return true
		}
	}
	return false
}

// colours are a picture's pixels in unrounded, clamped RGB.
func colours(p *plane.Picture) [][3]float64 {
	list := make([][3]float64, 0, p.Width*p.Height)
	for y := range p.Height {
		for x := range p.Width {
			at := func(i int) float64 {
				q := &p.Planes[i]
				return float64(q.Row(y / q.SubY)[x/q.SubX])
			}
			var c [3]float64
			switch p.Model {
			case plane.Gray:
				c = [3]float64{at(0), at(0), at(0)}
			case plane.YCbCr:
				b, r := at(1)-128, at(2)-128
				c = [3]float64{at(0) + 1.402*r, at(0) - 0.344136*b - 0.714136*r, at(0) + 1.772*b}
			default:
				c = [3]float64{at(0), at(1), at(2)}
			}
			for i := range c {
				c[i] = min(max(c[i], 0), 255)
			}
			list = append(list, c)
		}
	}
	return list
}

func TestPixelate(t *testing.T) {
	kinds(func(r *rand.Rand, m plane.Model, alpha bool, width, height, subX, subY int) {
		for _, side := range []int{0, 1, 2, 3, 8, 1000} {
			p := picture(r, m, alpha, width, height, subX, subY)
			before := picture(r, m, alpha, width, height, subX, subY)
			for i := range p.N() {
				copyPlane(&before.Planes[i], &p.Planes[i])
			}
			Pixelate(p, side)
			if side < 2 {
				if !same(p, before, 0) {
					t.Fatalf("blocks of %d change something", side)
				}
				continue
			}
			// Every sample is its block's, and the block's is the mean.
			for i := range p.N() {
				q := &p.Planes[i]
				for y := range q.Height {
					for x, v := range q.Row(y) {
						if (x+3*y)%7 != 0 {
							continue // a mean costs as much as the picture
						}
						if want := blockMean(before, i, x, y, side); math.Abs(float64(v)-want) > 0.51 {
							t.Fatalf("%v alpha %t plane %d, blocks of %d: %d at %d,%d, want %.2f", m, alpha, i, side, v, x, y, want)
						}
					}
				}
			}
		}
	})
}

// blockMean is what a sample of plane i becomes.
func blockMean(p *plane.Picture, i, x, y, side int) float64 {
	q := &p.Planes[i]
	block := func(v, sub int) int { return int((float64(v) + 0.5) * float64(sub) / float64(side)) }
	var sum, weight float64
	for py := range q.Height {
		for px, v := range q.Row(py) {
			if block(px, q.SubX) != block(x, q.SubX) || block(py, q.SubY) != block(y, q.SubY) {
				continue
			}
			w := 1.0
			if p.Alpha && i < p.Model.Components() {
				w = float64(p.AlphaPlane().Row(py)[px])
			}
			sum, weight = sum+w*float64(v), weight+w
		}
	}
	if weight == 0 {
		return float64(q.Row(y)[x])
	}
	return sum / weight
}

func BenchmarkAdjust(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 2))
	p := picture(r, plane.YCbCr, false, 480, 360, 2, 2)
	for b.Loop() {
		Adjust(p, Filters{Saturation: 20, Hue: 10})
		Adjust(p, Filters{Saturation: -17, Hue: 350})
	}
}
