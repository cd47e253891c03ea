//go:build libjpeg && cgo

package turbodec

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/kamado/kamado/images/jpeg"
	"github.com/kamado/kamado/images/plane"
)

// scene makes n interleaved components with smooth parts, edges and noise.
func scene(width, height, n int) []byte {
	r := rand.New(rand.NewPCG(7, uint64(width)))
	pix := make([]byte, width*height*n)
	for y := range height {
		for x := range width {
			for c := range n {
				v := 128 + 80*math.Sin(float64(x)/19+float64(c))*math.Cos(float64(y)/11)
				if (x/29+y/31)%4 == c {
					v += 90 * float64((x/5+y/3)%2)
				}
				if y > height/2 {
					v += 60 * (r.Float64() - 0.5)
				}
				pix[(y*width+x)*n+c] = byte(min(max(v, 0), 255))
			}
		}
	}
	return pix
}

var variants = []Variant{
	{Name: "420", Space: YCbCr, H: 2, V: 2, Quality: 88},
	{Name: "422", Space: YCbCr, H: 2, V: 1, Quality: 95},
	{Name: "440", Space: YCbCr, H: 1, V: 2, Quality: 75},
	{Name: "444", Space: YCbCr, H: 1, V: 1, Quality: 100},
	{Name: "411", Space: YCbCr, H: 4, V: 1, Quality: 50},
	{Name: "410", Space: YCbCr, H: 4, V: 2, Quality: 80},
	{Name: "gray", Space: Gray, H: 1, V: 1, Quality: 90},
	{Name: "gray-2x2", Space: Gray, H: 2, V: 2, Quality: 90},
	{Name: "rgb", Space: RGB, H: 1, V: 1, Quality: 90},
	{Name: "rgb-2x1-each", Space: RGB, H: 2, V: 1, Quality: 90},
	{Name: "optimized", Space: YCbCr, H: 2, V: 2, Quality: 70, Optimize: true},
	{Name: "restart-1", Space: YCbCr, H: 2, V: 2, Quality: 88, Restart: 1},
	{Name: "restart-7", Space: YCbCr, H: 2, V: 1, Quality: 88, Restart: 7},
	{Name: "restart-200", Space: Gray, H: 1, V: 1, Quality: 88, Restart: 200},
	{Name: "separate", Space: YCbCr, H: 2, V: 2, Quality: 88, Separate: true},
	{Name: "separate-restart", Space: YCbCr, H: 2, V: 1, Quality: 88, Separate: true, Restart: 5},
	{Name: "wide-quantisers", Space: YCbCr, H: 2, V: 2, Quality: 1, Wide: true},
	{Name: "quality-1", Space: YCbCr, H: 1, V: 1, Quality: 1},
	{Name: "progressive-420", Space: YCbCr, H: 2, V: 2, Quality: 88, Progressive: true},
	{Name: "progressive-444", Space: YCbCr, H: 1, V: 1, Quality: 96, Progressive: true},
	{Name: "progressive-gray", Space: Gray, H: 1, V: 1, Quality: 80, Progressive: true},
	{Name: "progressive-422-restart", Space: YCbCr, H: 2, V: 1, Quality: 88, Progressive: true, Restart: 9},
}

var sizes = [][2]int{{233, 177}, {16, 16}, {1, 1}, {8, 70}, {515, 33}}

func eachVariant(t *testing.T, f func(t *testing.T, data []byte, width, height int)) {
	for _, v := range variants {
		for _, s := range sizes {
			t.Run(fmt.Sprintf("%s/%dx%d", v.Name, s[0], s[1]), func(t *testing.T) {
				n := 3
				if v.Space == Gray {
					n = 1
				}
				data, err := Encode(scene(s[0], s[1], n), s[0], s[1], v)
				if err != nil {
					t.Fatal(err)
				}
				f(t, data, s[0], s[1])
			})
		}
	}
}

// diff is the largest difference between a plane and the samples of at, over the plane.
func diff(p *plane.Plane, at func(x, y int) int) (worst, wx, wy int) {
	for y := range p.Height {
		for x, v := range p.Row(y) {
			if d := int(v) - at(x, y); d > worst || -d > worst {
				worst, wx, wy = max(d, -d), x, y
			}
		}
	}
	return worst, wx, wy
}

func TestFullScaleEqualsTurbo(t *testing.T) {
	var d jpeg.Decoder
	var p plane.Picture
	eachVariant(t, func(t *testing.T, data []byte, width, height int) {
		want, _, err := Raw(data, 8)
		if err != nil {
			t.Fatal(err)
		}
		res, err := d.Decode(&p, data, jpeg.DecodeOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if res.Truncated || res.Warnings != 0 {
			t.Errorf("sound file gives %+v", res)
		}
		checkPlanes(t, &p, want)
	})
}

func checkPlanes(t *testing.T, p *plane.Picture, want []Plane) {
	t.Helper()
	if err := p.Check(); err != nil {
		t.Fatal(err)
	}
	if p.N() != len(want) {
		t.Fatalf("%d planes, want %d", p.N(), len(want))
	}
	for i := range want {
		w, q := &want[i], &p.Planes[i]
		if q.Width != w.Width || q.Height != w.Height {
			t.Errorf("plane %d is %dx%d, want %dx%d", i, q.Width, q.Height, w.Width, w.Height)
			continue
		}
		if worst, x, y := diff(q, func(x, y int) int { return int(w.Pix[y*w.Stride+x]) }); worst != 0 {
			t.Errorf("plane %d differs by %d at (%d,%d)", i, worst, x, y)
		}
	}
}

// corner is the float NxN-point inverse DCT of the corner of block (bx, by).
func (p *Plane) corner(bx, by, n int) []float64 {
	c := p.Coefs[(by*p.BlocksX+bx)*64:][:64]
	basis := func(u, i int) float64 {
		s := math.Sqrt(2 / float64(n))
		if u == 0 {
			s = math.Sqrt(1 / float64(n))
		}
		return s * math.Cos(float64(2*i+1)*float64(u)*math.Pi/float64(2*n))
	}
	out := make([]float64, n*n)
	for y := range n {
		for x := range n {
			sum := 0.0
			for v := range n {
				for u := range n {
					sum += float64(int16(c[v*8+u]*int16(p.Quant[v*8+u]))) * basis(v, y) * basis(u, x)
				}
			}
			out[y*n+x] = min(max(sum*float64(n)/8+128, 0), 255)
		}
	}
	return out
}

func TestReducedScales(t *testing.T) {
	var d jpeg.Decoder
	var p plane.Picture
	eachVariant(t, func(t *testing.T, data []byte, width, height int) {
		want, err := Coefficients(data)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range []int{1, 2, 4} {
			if _, err := d.Decode(&p, data, jpeg.DecodeOptions{Scale: n}); err != nil {
				t.Fatal(err)
			}
			if err := p.Check(); err != nil {
				t.Fatal(err)
			}
			for i := range want {
				w, q := &want[i], &p.Planes[i]
				blocks := map[int][]float64{}
				worst, x, y := diff(q, func(x, y int) int {
					bx, by := x/n, y/n
					if n == 1 { // exactly what jpeg_idct_1x1 does
						v := int(w.Coefs[(by*w.BlocksX+bx)*64])*int(w.Quant[0]) + 4
						return min(max(v>>3+128, 0), 255)
					}
					b := blocks[by*w.BlocksX+bx]
					if b == nil {
						b = w.corner(bx, by, n)
						blocks[by*w.BlocksX+bx] = b
					}
					return int(math.Round(b[y%n*n+x%n]))
				})
				limit := 1
				if n == 1 {
					limit = 0
				}
				if worst > limit {
					t.Errorf("scale %d/8 plane %d differs by %d at (%d,%d)", n, i, worst, x, y)
				}
			}
		}
	})
}

func TestFourComponents(t *testing.T) {
	const width, height = 75, 43
	pix := scene(width, height, 4)
	for _, v := range []Variant{
		{Name: "cmyk", Space: CMYK, H: 1, V: 1, Quality: 90},
		{Name: "ycck", Space: YCCK, H: 1, V: 1, Quality: 90},
		{Name: "ycck-420", Space: YCCK, H: 2, V: 2, Quality: 90},
		{Name: "ycck-420-progressive", Space: YCCK, H: 2, V: 2, Quality: 90, Progressive: true},
	} {
		t.Run(v.Name, func(t *testing.T) {
			data, err := Encode(pix, width, height, v)
			if err != nil {
				t.Fatal(err)
			}
			raw, _, err := Raw(data, 8)
			if err != nil {
				t.Fatal(err)
			}
			var d jpeg.Decoder
			var p plane.Picture
			if _, err := d.Decode(&p, data, jpeg.DecodeOptions{}); err != nil {
				t.Fatal(err)
			}
			if err := p.Check(); err != nil {
				t.Fatal(err)
			}
			if p.Model != plane.CMYK || p.N() != 4 {
				t.Fatalf("model %v, want cmyk", p.Model)
			}
			at := func(i, x, y int) float64 {
				fx, fy := 1, 1
				if i == 1 || i == 2 {
					fx, fy = v.H, v.V
				}
				return float64(raw[i].Pix[y/fy*raw[i].Stride+x/fx])
			}
			for i := range 4 {
				worst, x, y := diff(&p.Planes[i], func(x, y int) int {
					ink := 255 - at(i, x, y)
					if v.Space == YCCK && i < 3 {
						l, cb, cr := at(0, x, y), at(1, x, y)-128, at(2, x, y)-128
						ink = []float64{l + 1.402*cr, l - 0.344136*cb - 0.714136*cr, l + 1.772*cb}[i]
					}
					return int(math.Round(min(max(ink, 0), 255)))
				})
				if worst > 1 {
					t.Errorf("plane %d differs by %d at (%d,%d)", i, worst, x, y)
				}
			}
		})
	}
}
