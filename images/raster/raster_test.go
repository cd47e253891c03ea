package raster

import (
	"bytes"
	"image"
	"image/color"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/kamado/kamado/images/plane"
)

// smooth fills a picture with slopes that differ in every plane, so that
// subsampling loses little.
func smooth(p *plane.Picture, r *rand.Rand) {
	for i := range p.N() {
		q := &p.Planes[i]
		a, b, c := 60+r.Float64()*100, r.Float64()-0.5, r.Float64()-0.5
		for y := range q.Height {
			for x := range q.Row(y) {
				v := a + b*(float64(x)+0.5)*float64(q.SubX) + c*(float64(y)+0.5)*float64(q.SubY)
				q.Row(y)[x] = clamp8(int32(v + 0.5))
			}
		}
	}
}

func picture(r *rand.Rand, m plane.Model, alpha bool, width, height, subX, subY int) *plane.Picture {
	var p plane.Picture
	p.Reset(m, alpha, width, height, subX, subY)
	smooth(&p, r)
	return &p
}

// same says whether two pictures have equal shape and samples within a bound.
func same(a, b *plane.Picture, bound int) bool {
	if a.Model != b.Model || a.Alpha != b.Alpha || a.Width != b.Width || a.Height != b.Height {
		return false
	}
	for i := range a.N() {
		p, q := &a.Planes[i], &b.Planes[i]
		if p.Width != q.Width || p.Height != q.Height || p.SubX != q.SubX || p.SubY != q.SubY {
			return false
		}
		for y := range p.Height {
			for x, v := range p.Row(y) {
				if d := int(v) - int(q.Row(y)[x]); d > bound || d < -bound {
					return false
				}
			}
		}
	}
	return true
}

// kinds walks models, subsamplings and odd and even sizes.
func kinds(check func(r *rand.Rand, m plane.Model, alpha bool, width, height, subX, subY int)) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, size := range [][2]int{{1, 1}, {2, 3}, {16, 16}, {17, 31}, {40, 25}} {
		check(r, plane.Gray, false, size[0], size[1], 1, 1)
		check(r, plane.Gray, true, size[0], size[1], 1, 1)
		check(r, plane.RGB, false, size[0], size[1], 1, 1)
		check(r, plane.RGB, true, size[0], size[1], 1, 1)
		for _, sub := range [][2]int{{1, 1}, {2, 1}, {1, 2}, {2, 2}} {
			check(r, plane.YCbCr, false, size[0], size[1], sub[0], sub[1])
		}
	}
}

func TestOrientThereAndBack(t *testing.T) {
	back := [9]int{0, 1, 2, 3, 4, 5, 8, 7, 6}
	kinds(func(r *rand.Rand, m plane.Model, alpha bool, width, height, subX, subY int) {
		src := picture(r, m, alpha, width, height, subX, subY)
		for o := 1; o <= 8; o++ {
			var turned, again plane.Picture
			Orient(&turned, src, o)
			if err := turned.Check(); err != nil {
				t.Fatal(err)
			}
			Orient(&again, &turned, back[o])
			bound := 0
			if width%subX != 0 || height%subY != 0 {
				bound = 2 // chroma moved by half a sample and back
			}
			if !same(src, &again, bound) {
				t.Errorf("%v %dx%d sub %dx%d: orientation %d and back is another picture", m, width, height, subX, subY, o)
			}
		}
	})
}

// TestOrientPlacedMovesEverySample follows all of them.
func TestOrientPlacedMovesEverySample(t *testing.T) {
	kinds(func(r *rand.Rand, m plane.Model, alpha bool, width, height, subX, subY int) {
		src := picture(r, m, alpha, width, height, subX, subY)
		for o := 0; o <= 9; o++ {
			var dst plane.Picture
			OrientPlaced(&dst, src, o)
			flipX, flipY := flips(o)
			for i := range src.N() {
				from, to := &src.Planes[i], &dst.Planes[i]
				for y := range from.Height {
					for x, v := range from.Row(y) {
						tx, ty := x, y
						if flipX {
							tx = from.Width - 1 - x
						}
						if flipY {
							ty = from.Height - 1 - y
						}
						if o >= 5 && o <= 8 {
							tx, ty = ty, tx
						}
						if got := to.Row(ty)[tx]; got != v {
							t.Fatalf("%v %dx%d sub %dx%d: orientation %d: plane %d sample %d,%d is %d, want %d",
								m, width, height, subX, subY, o, i, tx, ty, got, v)
						}
					}
				}
			}
		}
	})
}

// TestTransposeTwins: assembly and Go write the same, and nothing else.
func TestTransposeTwins(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	src := make([]byte, 1<<13)
	for i := range src {
		src[i] = byte(r.Uint32())
	}
	for range 300 {
		n, step, stride := 1+r.IntN(9), 72+r.IntN(30), 8+r.IntN(100)
		at, from := r.IntN(20), r.IntN(20)
		if r.IntN(2) == 1 {
			at, step = at+7*step, -step
		}
		if r.IntN(2) == 1 {
			from, stride = from+(8*n-1)*stride, -stride
		}
		a, b := make([]byte, 1<<10), make([]byte, 1<<10)
		transposeColumn(a, at, step, src, from, stride, n)
		transposeColumnGo(b, at, step, src, from, stride, n)
		if !bytes.Equal(a, b) {
			t.Fatalf("%d blocks, steps %d and %d: twins differ", n, step, stride)
		}
	}
}

// TestOrientMovesPixels follows one pixel.
func TestOrientMovesPixels(t *testing.T) {
	var src plane.Picture
	src.Reset(plane.Gray, false, 5, 3, 1, 1)
	clear(src.Planes[0].Pix)
	src.Planes[0].Row(0)[1] = 200
	for o, want := range map[int]image.Point{
		1: {1, 0}, 2: {3, 0}, 3: {3, 2}, 4: {1, 2}, 5: {0, 1}, 6: {2, 1}, 7: {2, 3}, 8: {0, 3},
	} {
		var dst plane.Picture
		Orient(&dst, &src, o)
		if want.X >= dst.Width || want.Y >= dst.Height || dst.Planes[0].Row(want.Y)[want.X] != 200 {
			t.Errorf("orientation %d: pixel 1,0 of 5x3 is not at %v of %dx%d", o, want, dst.Width, dst.Height)
		}
	}
}

// TestMirrorKeepsChromaInPlace mirrors slopes of odd width: chroma must stay
// with luma, which is a slope of the same steepness.
func TestMirrorKeepsChromaInPlace(t *testing.T) {
	for _, o := range []int{2, 3, 4, 6, 7, 8} {
		var src, dst plane.Picture
		src.Reset(plane.YCbCr, false, 101, 75, 2, 2)
		for i := range 3 {
			q := &src.Planes[i]
			for y := range q.Height {
				for x := range q.Row(y) {
					q.Row(y)[x] = uint8(20 + (float64(x)+0.5)*float64(q.SubX) + (float64(y)+0.5)*float64(q.SubY))
				}
			}
		}
		Orient(&dst, &src, o)
		sum, n := 0.0, 0
		q := &dst.Planes[1]
		for y := 2; y < q.Height-2; y++ {
			for x := 2; x < q.Width-2; x++ {
				luma := 0
				for k := range 4 {
					luma += int(dst.Planes[0].Row(2*y + k/2)[2*x+k%2])
				}
				sum += float64(q.Row(y)[x]) - float64(luma)/4
				n++
			}
		}
		if shift := sum / float64(n); math.Abs(shift) > 0.6 {
			t.Errorf("orientation %d: chroma lies %.2f pixels beside luma", o, shift)
		}
	}
}

func TestPadThenCrop(t *testing.T) {
	kinds(func(r *rand.Rand, m plane.Model, alpha bool, width, height, subX, subY int) {
		src := picture(r, m, alpha, width, height, subX, subY)
		var padded, cropped plane.Picture
		x, y := 2*r.IntN(10), 2*r.IntN(10)
		if err := Pad(&padded, src, x+width+r.IntN(9), y+height+r.IntN(9), x, y, Color{255, 0, 0}, false); err != nil {
			t.Fatal(err)
		}
		if err := padded.Check(); err != nil {
			t.Fatal(err)
		}
		if err := Crop(&cropped, &padded, image.Rect(x, y, x+width, y+height)); err != nil {
			t.Fatal(err)
		}
		if width%subX != 0 || height%subY != 0 {
			return // the chroma at the edge has mixed with the canvas
		}
		if !same(src, &cropped, 0) {
			t.Errorf("%v %dx%d sub %dx%d at %d,%d: another picture", m, width, height, subX, subY, x, y)
		}
	})
}

// TestPadMixesChroma puts grey at an odd place on red: the chroma sample over
// the edge is half of each.
func TestPadMixesChroma(t *testing.T) {
	var src, dst plane.Picture
	src.Reset(plane.YCbCr, false, 4, 4, 2, 2)
	for i := range 3 {
		for k := range src.Planes[i].Pix {
			src.Planes[i].Pix[k] = 128
		}
	}
	if err := Pad(&dst, &src, 10, 10, 3, 2, Color{255, 0, 0}, false); err != nil {
		t.Fatal(err)
	}
	_, _, red := ycbcr(255, 0, 0)
	half := (int(red) + 128) / 2
	want := []int{int(red), half, 128, half, int(red)}
	for x, v := range dst.Planes[2].Row(1) {
		if d := int(v) - want[x]; d < -1 || d > 1 {
			t.Errorf("Cr at %d = %d, want %d", x, v, want[x])
		}
	}
	if y, _, _ := ycbcr(255, 0, 0); dst.Planes[0].Row(2)[2] != y || dst.Planes[0].Row(2)[3] != 128 {
		t.Error("luma has moved")
	}
}

func TestPadClear(t *testing.T) {
	src := picture(rand.New(rand.NewPCG(1, 1)), plane.RGB, true, 4, 4, 1, 1)
	for _, c := range []struct {
		clear bool
		want  uint8
	}{{true, 0}, {false, 255}} {
		var dst plane.Picture
		if err := Pad(&dst, src, 8, 8, 2, 2, Color{1, 2, 3}, c.clear); err != nil {
			t.Fatal(err)
		}
		if got := dst.AlphaPlane().Row(0)[0]; got != c.want {
			t.Errorf("clear %v: alpha of the canvas is %d, want %d", c.clear, got, c.want)
		}
	}
}

func TestCanvasRefuses(t *testing.T) {
	src := picture(rand.New(rand.NewPCG(1, 1)), plane.Gray, false, 10, 10, 1, 1)
	var dst plane.Picture
	if err := Crop(&dst, src, image.Rect(5, 5, 11, 8)); err == nil {
		t.Error("a crop outside the picture is taken")
	}
	if err := Crop(&dst, src, image.Rectangle{}); err == nil {
		t.Error("an empty crop is taken")
	}
	if err := Pad(&dst, src, 12, 12, 3, 0, Color{}, false); err == nil {
		t.Error("a picture outside the canvas is taken")
	}
	if err := Convert(&dst, src, plane.CMYK, 1, 1); err == nil {
		t.Error("a conversion to CMYK is taken")
	}
	if err := Composite(src, src, 0, 0, 1); err == nil {
		t.Error("a grey mark is taken")
	}
}

func TestBlurOfFlatIsFlat(t *testing.T) {
	kinds(func(r *rand.Rand, m plane.Model, alpha bool, width, height, subX, subY int) {
		var s Scratch
		p := picture(r, m, false, width, height, subX, subY)
		for i := range p.N() {
			for k := range p.Planes[i].Pix {
				p.Planes[i].Pix[k] = uint8(50 + 60*i)
			}
		}
		for _, sigma := range []float64{0.3, 1, 3, 9, 40, 1e9} {
			s.Blur(p, sigma)
			s.Sharpen(p, sigma)
			for i := range p.N() {
				for y := range p.Planes[i].Height {
					for _, v := range p.Planes[i].Row(y) {
						if v != uint8(50+60*i) {
							t.Fatalf("sigma %v, plane %d of %v: %d, want %d", sigma, i, m, v, 50+60*i)
						}
					}
				}
			}
		}
	})
}

// contrast is the spread of a plane's samples.
func contrast(p *plane.Plane) int {
	lo, hi := 255, 0
	for y := range p.Height {
		for _, v := range p.Row(y) {
			lo, hi = min(lo, int(v)), max(hi, int(v))
		}
	}
	return hi - lo
}

func TestBlurTakesAndSharpenGives(t *testing.T) {
	for _, m := range []plane.Model{plane.Gray, plane.RGB, plane.YCbCr} {
		fresh := func() *plane.Picture {
			var p plane.Picture
			p.Reset(m, false, 40, 40, 2, 2)
			for i := range p.N() {
				for y := range p.Planes[i].Height {
					for x := range p.Planes[i].Row(y) {
						p.Planes[i].Row(y)[x] = uint8(100 + 40*(x/4%2))
					}
				}
			}
			return &p
		}
		var s Scratch
		soft, sharp := fresh(), fresh()
		s.Blur(soft, 4)
		s.Sharpen(sharp, 1)
		if got := contrast(&soft.Planes[0]); got > 20 {
			t.Errorf("%v: blurred stripes of contrast 40 have %d", m, got)
		}
		if got := contrast(&sharp.Planes[0]); got < 45 {
			t.Errorf("%v: sharpened stripes of contrast 40 have %d", m, got)
		}
		if m == plane.YCbCr && contrast(&sharp.Planes[1]) != 40 {
			t.Error("sharpening has touched chroma")
		}
	}
}

func TestBlurDoesNotBleedFromTransparent(t *testing.T) {
	var p plane.Picture
	p.Reset(plane.RGB, true, 20, 20, 1, 1)
	for y := range 20 {
		for x := range 20 {
			red, green, alpha := uint8(0), uint8(255), uint8(0)
			if x >= 10 {
				red, green, alpha = 200, 0, 255
			}
			p.Planes[0].Row(y)[x], p.Planes[1].Row(y)[x], p.Planes[2].Row(y)[x], p.Planes[3].Row(y)[x] = red, green, 0, alpha
		}
	}
	var s Scratch
	s.Blur(&p, 2)
	for x := range 20 {
		if a := p.Planes[3].Row(9)[x]; a > 30 && p.Planes[1].Row(9)[x] > 5 {
			t.Errorf("at %d, alpha %d, green is %d", x, a, p.Planes[1].Row(9)[x])
		}
	}
}

func TestConvertAgreesWithTheStandardLibrary(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	var src, dst, back plane.Picture
	src.Reset(plane.RGB, false, 64, 64, 1, 1)
	for i := range 3 {
		for k := range src.Planes[i].Pix {
			src.Planes[i].Pix[k] = uint8(r.UintN(256))
		}
	}
	if err := Convert(&dst, &src, plane.YCbCr, 1, 1); err != nil {
		t.Fatal(err)
	}
	if err := Convert(&back, &dst, plane.RGB, 1, 1); err != nil {
		t.Fatal(err)
	}
	at := func(p *plane.Picture, x, y int) (a, b, c uint8) {
		return p.Planes[0].Row(y)[x], p.Planes[1].Row(y)[x], p.Planes[2].Row(y)[x]
	}
	near := func(a, b uint8) bool { d := int(a) - int(b); return d >= -1 && d <= 1 }
	for y := range 64 {
		for x := range 64 {
			r, g, b := at(&src, x, y)
			y0, cb, cr := at(&dst, x, y)
			y1, cb1, cr1 := color.RGBToYCbCr(r, g, b)
			if !near(y0, y1) || !near(cb, cb1) || !near(cr, cr1) {
				t.Fatalf("rgb %d,%d,%d = %d,%d,%d, want %d,%d,%d", r, g, b, y0, cb, cr, y1, cb1, cr1)
			}
			r0, g0, b0 := at(&back, x, y)
			r1, g1, b1 := color.YCbCrToRGB(y0, cb, cr)
			if !near(r0, r1) || !near(g0, g1) || !near(b0, b1) {
				t.Fatalf("ycbcr %d,%d,%d = %d,%d,%d, want %d,%d,%d", y0, cb, cr, r0, g0, b0, r1, g1, b1)
			}
		}
	}
}

// TestConvertKeepsColours goes through every model there is a way through.
func TestConvertKeepsColours(t *testing.T) {
	kinds(func(r *rand.Rand, m plane.Model, alpha bool, width, height, subX, subY int) {
		if alpha {
			return
		}
		src := picture(r, m, false, width, height, subX, subY)
		for i := 1; i < src.N(); i++ { // colours within the cube of RGB
			for k := range src.Planes[i].Pix {
				if m == plane.YCbCr {
					src.Planes[i].Pix[k] = 140
				}
			}
		}
		for k := range src.Planes[0].Pix {
			src.Planes[0].Pix[k] = max(min(src.Planes[0].Pix[k], 200), 60)
		}
		var there, back plane.Picture
		via := plane.RGB
		if m == plane.RGB {
			via = plane.YCbCr
		}
		if err := Convert(&there, src, via, 1, 1); err != nil {
			t.Fatal(err)
		}
		if err := there.Check(); err != nil {
			t.Fatal(err)
		}
		if err := Convert(&back, &there, m, subX, subY); err != nil {
			t.Fatal(err)
		}
		if !same(src, &back, 3) {
			t.Errorf("%v %dx%d sub %dx%d: another picture after %v and back", m, width, height, subX, subY, via)
		}
	})
}

func TestConvertSubsamples(t *testing.T) {
	for _, size := range [][2]int{{7, 5}, {8, 6}} {
		src := picture(rand.New(rand.NewPCG(7, 8)), plane.RGB, false, size[0], size[1], 1, 1)
		var full, direct, twice plane.Picture
		if err := Convert(&full, src, plane.YCbCr, 1, 1); err != nil {
			t.Fatal(err)
		}
		if err := Convert(&direct, src, plane.YCbCr, 2, 2); err != nil {
			t.Fatal(err)
		}
		if err := Convert(&twice, &full, plane.YCbCr, 2, 2); err != nil {
			t.Fatal(err)
		}
		if !same(&direct, &twice, 1) {
			t.Errorf("%v: subsampling at once and after conversion differ", size)
		}
	}
}

func TestConvertInks(t *testing.T) {
	var src, dst plane.Picture
	src.Reset(plane.CMYK, false, 1, 1, 1, 1)
	for i, v := range []uint8{255, 0, 128, 51} {
		src.Planes[i].Row(0)[0] = v
	}
	if err := Convert(&dst, &src, plane.RGB, 1, 1); err != nil {
		t.Fatal(err)
	}
	for i, want := range []uint8{0, 204, 102} {
		if got := dst.Planes[i].Row(0)[0]; got != want {
			t.Errorf("component %d = %d, want %d", i, got, want)
		}
	}
}

func TestFlatten(t *testing.T) {
	var p plane.Picture
	p.Reset(plane.RGB, true, 3, 1, 1, 1)
	for x, a := range []uint8{0, 128, 255} {
		p.Planes[0].Row(0)[x], p.Planes[3].Row(0)[x] = 200, a
	}
	Flatten(&p, Color{100, 0, 0})
	if want := []byte{100, 150, 200}; p.Alpha || !bytes.Equal(p.Planes[0].Row(0), want) {
		t.Errorf("Flatten = %v, alpha %v, want %v", p.Planes[0].Row(0), p.Alpha, want)
	}
}

func TestComposite(t *testing.T) {
	for _, m := range []plane.Model{plane.Gray, plane.RGB, plane.YCbCr} {
		for _, c := range []struct {
			opacity float64
			alpha   uint8
			want    float64 // share of the mark
		}{{1, 255, 1}, {0.5, 255, 0.5}, {1, 128, 0.5}, {0, 255, 0}} {
			base := picture(rand.New(rand.NewPCG(1, 1)), m, false, 20, 20, 2, 2)
			var mark plane.Picture
			mark.Reset(plane.RGB, true, 6, 6, 1, 1)
			for i, v := range []uint8{90, 90, 90, c.alpha} {
				for k := range mark.Planes[i].Pix {
					mark.Planes[i].Pix[k] = v
				}
			}
			before := *picture(rand.New(rand.NewPCG(1, 1)), m, false, 20, 20, 2, 2)
			if err := Composite(base, &mark, 3, 17, c.opacity); err != nil {
				t.Fatal(err)
			}
			was, got := float64(before.Planes[0].Row(18)[5]), float64(base.Planes[0].Row(18)[5])
			if want := was + (90-was)*c.want; math.Abs(got-want) > 1.5 {
				t.Errorf("%v %+v: %v, want %v", m, c, got, want)
			}
			if base.Planes[0].Row(18)[9] != before.Planes[0].Row(18)[9] || base.Planes[0].Row(16)[5] != before.Planes[0].Row(16)[5] {
				t.Errorf("%v: pixels beside the mark have changed", m)
			}
		}
	}
}

// FuzzShapes runs every operation on every shape.
func FuzzShapes(f *testing.F) {
	f.Add(uint8(3), uint8(5), uint8(0), uint8(6), int8(-2), int8(3), uint8(20))
	f.Add(uint8(64), uint8(1), uint8(1), uint8(8), int8(0), int8(-70), uint8(255))
	f.Fuzz(func(t *testing.T, width, height, kind, o uint8, x, y int8, strength uint8) {
		if width == 0 || height == 0 {
			return
		}
		subs := [4][2]int{{1, 1}, {2, 1}, {2, 2}, {1, 2}}
		sub := subs[kind/8%4]
		m := plane.Model(kind % 4)
		alpha := kind&4 != 0 && (m == plane.RGB || m == plane.Gray)
		src := picture(rand.New(rand.NewPCG(1, uint64(kind))), m, alpha, int(width), int(height), sub[0], sub[1])
		var s Scratch
		var a, b plane.Picture
		s.Sharpen(src, float64(strength)/20)
		s.Blur(src, float64(strength)/10)
		Orient(&a, src, int(o))
		if err := Pad(&b, &a, a.Width+int(o), a.Height+int(kind), int(o)/2, int(kind)/3, Color{9, 99, 200}, o%2 == 0); err != nil {
			t.Fatal(err)
		}
		if m != plane.CMYK {
			mark := picture(rand.New(rand.NewPCG(2, 2)), plane.RGB, o%2 == 0, 1+int(strength)/8, 7, 1, 1)
			if err := Composite(&b, mark, int(x), int(y), float64(strength)/255); err != nil {
				t.Fatal(err)
			}
		}
		Flatten(&b, Color{1, 2, 3})
		for _, to := range []plane.Model{plane.Gray, plane.RGB, plane.YCbCr} {
			if err := Convert(&a, &b, to, sub[0], sub[1]); err != nil {
				t.Fatal(err)
			}
			if err := a.Check(); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func BenchmarkConvert(b *testing.B) {
	src := picture(rand.New(rand.NewPCG(1, 1)), plane.RGB, false, 480, 360, 1, 1)
	var ycc, out plane.Picture
	b.Run("480x360-rgb-to-420", func(b *testing.B) {
		for b.Loop() {
			Convert(&ycc, src, plane.YCbCr, 2, 2)
		}
	})
	Convert(&ycc, src, plane.YCbCr, 1, 1)
	b.Run("480x360-444-to-rgb", func(b *testing.B) {
		for b.Loop() {
			Convert(&out, &ycc, plane.RGB, 1, 1)
		}
	})
}

func BenchmarkBlur(b *testing.B) {
	p := picture(rand.New(rand.NewPCG(1, 1)), plane.YCbCr, false, 480, 360, 2, 2)
	for name, sigma := range map[string]float64{"1": 1, "5": 5, "20": 20} {
		b.Run("480x360-sigma-"+name, func(b *testing.B) {
			var s Scratch
			for b.Loop() {
				s.Blur(p, sigma)
			}
		})
	}
}
