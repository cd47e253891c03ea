package resample

import (
	"bytes"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/kamado/kamado/images/plane"
)

// noise is a plane of random samples, its slack included.
func noise(r *rand.Rand, width, height int) *plane.Plane {
	var p plane.Plane
	p.Reset(width, height, 1, 1)
	for i := range p.Pix {
		p.Pix[i] = byte(r.UintN(256))
	}
	if r.IntN(3) == 0 { // extremes, for overshoot
		for i := range p.Pix {
			p.Pix[i] = byte(255 * r.UintN(2))
		}
	}
	return &p
}

func equal(t *testing.T, a, b *plane.Plane) bool {
	t.Helper()
	for y := range a.Height {
		if !bytes.Equal(a.Row(y), b.Row(y)) {
			return false
		}
	}
	return true
}

func TestTwinsAgree(t *testing.T) {
	if !haveKernels {
		t.Skip("needs vector kernels")
	}
	defer func() { haveKernels = true }()
	r := rand.New(rand.NewPCG(1, 2))
	var vector, scalar Resampler
	for range 1500 {
		src := noise(r, 1+r.IntN(150), 1+r.IntN(80))
		win := Window{X: r.Float64() * float64(src.Width) * 0.7, Y: r.Float64() * float64(src.Height) * 0.7}
		win.Width = (float64(src.Width) - win.X) * (0.1 + 0.9*r.Float64())
		win.Height = (float64(src.Height) - win.Y) * (0.1 + 0.9*r.Float64())
		if r.IntN(3) == 0 {
			win = Window{Width: float64(src.Width), Height: float64(src.Height)}
		}
		k := Kernel(r.IntN(int(kernels)))
		var a, b plane.Plane
		width, height := 1+r.IntN(170), 1+r.IntN(90)
		a.Reset(width, height, 1, 1)
		b.Reset(width, height, 1, 1)
		if r.IntN(4) == 0 { // rows without room for whole groups
			a.Stride = width
		}
		haveKernels = true
		if err := vector.Plane(&a, src, win, k); err != nil {
			t.Fatal(err)
		}
		haveKernels = false
		if err := scalar.Plane(&b, src, win, k); err != nil {
			t.Fatal(err)
		}
		if !equal(t, &a, &b) {
			t.Fatalf("%v: %+v of %dx%d to %dx%d: kernels and twins differ", k, win, src.Width, src.Height, width, height)
		}
	}
}

// TestPlaneIsTheFormula compares with the same filter in floating point.
func TestPlaneIsTheFormula(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	var rs Resampler
	for range 60 {
		src := noise(r, 20+r.IntN(60), 20+r.IntN(60))
		win := Window{X: 3 * r.Float64(), Y: 3 * r.Float64()}
		win.Width, win.Height = float64(src.Width)-win.X-2*r.Float64(), float64(src.Height)-win.Y-2*r.Float64()
		k := Kernel(r.IntN(int(Nearest)))
		var dst plane.Plane
		dst.Reset(1+r.IntN(90), 1+r.IntN(90), 1, 1)
		if err := rs.Plane(&dst, src, win, k); err != nil {
			t.Fatal(err)
		}
		wx := formula(win.X, win.Width, dst.Width, src.Width, k)
		wy := formula(win.Y, win.Height, dst.Height, src.Height, k)
		for y := range dst.Height {
			for x := range dst.Width {
				sum := 0.0
				for j, a := range wy[y] {
					for i, b := range wx[x] {
						if a != 0 && b != 0 {
							sum += a * b * float64(src.Row(j)[i])
						}
					}
				}
				want := min(max(sum, 0), 255)
				if got := float64(dst.Row(y)[x]); math.Abs(got-want) > 0.6 {
					t.Fatalf("%v %+v to %dx%d: sample %d,%d = %v, want %.2f", k, win, dst.Width, dst.Height, x, y, got, want)
				}
			}
		}
	}
}

// formula gives the weights of all source samples for each output sample.
func formula(offset, size float64, n, limit int, k Kernel) [][]float64 {
	step := size / float64(n)
	wide := max(step, 1)
	out := make([][]float64, n)
	for i := range out {
		out[i] = make([]float64, limit)
		centre, sum := offset+(float64(i)+0.5)*step, 0.0
		for j := range limit {
			if float64(j+1) > offset && float64(j) < offset+size {
				out[i][j] = k.at((float64(j) + 0.5 - centre) / wide)
				sum += out[i][j]
			}
		}
		for j := range out[i] {
			out[i][j] /= sum
		}
	}
	return out
}

func TestFlatStaysFlat(t *testing.T) {
	var rs Resampler
	for k := range kernels {
		for _, v := range []byte{0, 1, 127, 254, 255} {
			for _, size := range [][2]int{{1, 1}, {3, 200}, {100, 75}, {333, 47}} {
				var src, dst plane.Plane
				src.Reset(100, 75, 1, 1)
				for i := range src.Pix {
					src.Pix[i] = v
				}
				dst.Reset(size[0], size[1], 1, 1)
				if err := rs.Plane(&dst, &src, Window{0.3, 0.7, 98.5, 73.1}, k); err != nil {
					t.Fatal(err)
				}
				for y := range dst.Height {
					for x, got := range dst.Row(y) {
						if got != v {
							t.Fatalf("%v to %v: sample %d,%d of a plane of %d is %d", k, size, x, y, v, got)
						}
					}
				}
			}
		}
	}
}

// TestOutsideIsNotLookedAt puts other values around the window.
func TestOutsideIsNotLookedAt(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	var rs Resampler
	src := noise(r, 60, 50)
	var a, b plane.Plane
	a.Reset(40, 30, 1, 1)
	b.Reset(40, 30, 1, 1)
	win := Window{10, 12, 37.5, 20}
	if err := rs.Plane(&a, src, win, Lanczos3); err != nil {
		t.Fatal(err)
	}
	for y := range 50 {
		for x := range 60 {
			if x < 10 || x >= 48 || y < 12 || y >= 32 {
				src.Row(y)[x] ^= 0xFF
			}
		}
	}
	if err := rs.Plane(&b, src, win, Lanczos3); err != nil {
		t.Fatal(err)
	}
	if !equal(t, &a, &b) {
		t.Error("samples outside the window change the result")
	}
}

// ramp fills a plane with a slope along the picture, at its own subsampling,
// dithered so that rounding evens out.
func ramp(p *plane.Plane, slope float64) {
	r := rand.New(rand.NewPCG(9, 9))
	for y := range p.Height {
		for x := range p.Row(y) {
			v := 20 + slope*((float64(y)+0.5)*float64(p.SubY)+(float64(x)+0.5)*float64(p.SubX))
			p.Row(y)[x] = byte(v + r.Float64())
		}
	}
}

// TestChromaDoesNotShift uses sizes whose chroma is half a sample short: a
// slope across the picture must be the same slope in every plane of the
// result. With 188 rows taken for 187.5 it is off by up to a third of a sample.
func TestChromaDoesNotShift(t *testing.T) {
	var rs Resampler
	for _, size := range [][4]int{{375, 375, 97, 97}, {251, 375, 121, 181}, {99, 99, 99, 33}, {101, 51, 301, 151}} {
		for _, sub := range [][4]int{{2, 2, 2, 2}, {2, 2, 1, 1}, {1, 1, 2, 2}, {2, 1, 2, 2}} {
			var src, dst plane.Picture
			src.Reset(plane.YCbCr, false, size[0], size[1], sub[0], sub[1])
			slope := 200 / float64(size[0]+size[1])
			for i := range 3 {
				ramp(&src.Planes[i], slope)
			}
			err := rs.Picture(&dst, &src, Whole(&src), size[2], size[3], sub[2], sub[3], Linear)
			if err != nil {
				t.Fatal(err)
			}
			sx, sy := float64(size[0])/float64(size[2]), float64(size[1])/float64(size[3])
			for i := range 3 {
				q := &dst.Planes[i]
				// The edges fold; look inside, at the mean difference.
				sum, n := 0.0, 0
				for y := q.Height / 4; y < q.Height*3/4; y++ {
					for x := q.Width / 4; x < q.Width*3/4; x++ {
						want := 20 + slope*((float64(y)+0.5)*float64(q.SubY)*sy+(float64(x)+0.5)*float64(q.SubX)*sx)
						sum += float64(q.Row(y)[x]) - want
						n++
					}
				}
				// In samples of the source picture.
				if shift := sum / float64(n) / slope; math.Abs(shift) > 0.12 {
					t.Errorf("%v sub %v plane %d is shifted by %.2f samples", size, sub, i, shift)
				}
			}
		}
	}
}

func TestSameSizeIsACopy(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	var rs Resampler
	src := noise(r, 50, 40)
	for k := range kernels {
		var dst plane.Plane
		dst.Reset(30, 20, 1, 1)
		if err := rs.Plane(&dst, src, Window{5, 7, 30, 20}, k); err != nil {
			t.Fatal(err)
		}
		if k == Mitchell { // the one that blurs
			continue
		}
		for y := range 20 {
			if !bytes.Equal(dst.Row(y), src.Row(y + 7)[5:35]) {
				t.Fatalf("%v: row %d changed", k, y)
			}
		}
	}
}

// TestTransparentDoesNotBleed: red on transparent green stays red.
func TestTransparentDoesNotBleed(t *testing.T) {
	var src, dst plane.Picture
	src.Reset(plane.RGB, true, 40, 40, 1, 1)
	for y := range 40 {
		for x := range 40 {
			inside := x >= 13 && x < 27 && y >= 13 && y < 27
			v := [4]byte{0, 255, 0, 0}
			if inside {
				v = [4]byte{255, 0, 0, 255}
			}
			for i := range v {
				src.Planes[i].Row(y)[x] = v[i]
			}
		}
	}
	var rs Resampler
	if err := rs.Picture(&dst, &src, Whole(&src), 17, 17, 1, 1, Lanczos3); err != nil {
		t.Fatal(err)
	}
	for y := range 17 {
		for x := range 17 {
			if a := dst.Planes[3].Row(y)[x]; a > 8 && (dst.Planes[0].Row(y)[x] < 200 || dst.Planes[1].Row(y)[x] > 10) {
				t.Fatalf("at %d,%d alpha %d colour is %d,%d", x, y, a, dst.Planes[0].Row(y)[x], dst.Planes[1].Row(y)[x])
			}
		}
	}
}

func TestSubsampledAlpha(t *testing.T) {
	var src, dst plane.Picture
	src.Reset(plane.YCbCr, true, 31, 21, 2, 2)
	for i := range 4 {
		for k := range src.Planes[i].Pix {
			src.Planes[i].Pix[k] = byte(60 + 40*i)
		}
	}
	var rs Resampler
	if err := rs.Picture(&dst, &src, Whole(&src), 17, 13, 2, 2, Lanczos3); err != nil {
		t.Fatal(err)
	}
	for i := range 4 {
		for _, v := range dst.Planes[i].Row(5) {
			if want := 60 + 40*i; math.Abs(float64(v)-float64(want)) > 1 {
				t.Fatalf("plane %d holds %d, want %d", i, v, want)
			}
		}
	}
}

func TestRefusals(t *testing.T) {
	var rs Resampler
	var dst, src plane.Picture
	src.Reset(plane.Gray, false, 10, 10, 1, 1)
	for _, win := range []Window{{}, {0, 0, 12, 5}, {-2, 0, 5, 5}, {0, 0, math.NaN(), 5}, {5, 5, 5, math.Inf(1)}} {
		if err := rs.Picture(&dst, &src, win, 5, 5, 1, 1, Lanczos3); !errors.Is(err, ErrWindow) {
			t.Errorf("%+v: error %v, want %v", win, err, ErrWindow)
		}
	}
	if err := rs.Picture(&dst, &src, Whole(&src), 0, 5, 1, 1, Lanczos3); !errors.Is(err, ErrSize) {
		t.Errorf("width 0: error %v, want %v", err, ErrSize)
	}
	if err := rs.Picture(&dst, &src, Whole(&src), 5, 5, 1, 1, kernels); err == nil {
		t.Error("a kernel that does not exist is taken")
	}
	src.Planes[0].Pix = src.Planes[0].Pix[:50]
	if err := rs.Picture(&dst, &src, Whole(&src), 5, 5, 1, 1, Lanczos3); !errors.Is(err, plane.ErrShape) {
		t.Errorf("short plane: error %v, want %v", err, plane.ErrShape)
	}
}

func TestPictureAllocatesNothing(t *testing.T) {
	var rs Resampler
	var src, dst plane.Picture
	src.Reset(plane.YCbCr, false, 500, 375, 2, 2)
	if n := testing.AllocsPerRun(20, func() {
		if err := rs.Picture(&dst, &src, Whole(&src), 480, 360, 2, 2, Lanczos3); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations a picture, want 0", n)
	}
}

func TestFilterCacheIsBounded(t *testing.T) {
	c := newFilterCache(100_000)
	for n := 100; n < 400; n++ {
		c.get(span(0, 500, float64(n), n, 500, Lanczos3).padded(8))
		if held := c.bytes - c.room; held > c.bytes || len(c.byKey) != c.order.Len() {
			t.Fatalf("after %d filters %d bytes are held, the bound is %d", n-99, held, c.bytes)
		}
	}
	if len(c.byKey) < 3 {
		t.Errorf("only %d filters are held", len(c.byKey))
	}
	last := span(0, 500, 399, 399, 500, Lanczos3).padded(8)
	if first, again := c.get(last), c.get(last); first != again {
		t.Error("the last filter was not kept")
	}
}

// TestTakenWeightsAreThose compares filters built with the help of others
// with those built alone.
func TestTakenWeightsAreThose(t *testing.T) {
	r := rand.New(rand.NewPCG(11, 12))
	for range 3000 {
		n, limit := 1+r.IntN(200), 1+r.IntN(200)
		k := Kernel(r.IntN(int(kernels)))
		luma := span(0, float64(limit), float64(n), n, limit, k)
		chroma := span(0, float64(limit)/2, float64(n)/2, (n+1)/2, (limit+1)/2, k)
		if luma.step != chroma.step {
			t.Fatalf("%d of %d: steps %v and %v", n, limit, luma.step, chroma.step)
		}
		other, alone := luma.build(), chroma.build()
		taken := chroma.padded(groupColumns).build(nil, other)
		for i := range alone.n {
			a, b := alone.weight[i*2*alone.pairs:][:2*alone.count[i]], taken.weight[i*2*taken.pairs:][:2*taken.count[i]]
			if alone.start[i] != taken.start[i] || !slices.Equal(a, b) {
				t.Fatalf("%v %d of %d: sample %d from %d %v, alone from %d %v", k, n, limit, i, taken.start[i], b, alone.start[i], a)
			}
		}
	}
}

func BenchmarkPlane(b *testing.B) {
	for _, size := range []struct {
		name                    string
		width, height, toW, toH int
	}{
		{"500x375-to-480x360", 500, 375, 480, 360},
		{"600x450-to-480x360", 600, 450, 480, 360},
		{"1024x768-to-480x360", 1024, 768, 480, 360},
		{"1200x900-to-480x360", 1200, 900, 480, 360},
	} {
		b.Run(size.name, func(b *testing.B) {
			src := noise(rand.New(rand.NewPCG(1, 1)), size.width, size.height)
			var dst plane.Plane
			dst.Reset(size.toW, size.toH, 1, 1)
			var rs Resampler
			win := Window{Width: float64(size.width), Height: float64(size.height)}
			b.ReportAllocs()
			for b.Loop() {
				if err := rs.Plane(&dst, src, win, Lanczos3); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkFilter(b *testing.B) {
	luma := span(0, 500, 480, 480, 500, Lanczos3).padded(8)
	chroma := span(0, 250, 240, 240, 250, Lanczos3).padded(8)
	b.ReportAllocs()
	for b.Loop() {
		chroma.build(luma.build())
	}
}
