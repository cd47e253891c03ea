package images_test

import (
	"image"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/kamado/kamado/images"
)

func parse(t *testing.T, spelling string) images.Rendition {
	t.Helper()
	r, err := images.ParseRendition(spelling)
	if err != nil {
		t.Fatalf("ParseRendition(%q): %v", spelling, err)
	}
	return r
}

func TestPlan(t *testing.T) {
	type size struct{ w, h int }
	for _, c := range []struct {
		name     string
		original size
		want     string // the rendition
		window   images.Window
		out      size
		canvas   size // zero: as out
		offset   size
	}{
		{"a photograph fits into a box of its own shape", size{4000, 3000}, "w:480,h:360", images.Window{0, 0, 4000, 3000}, size{480, 360}, size{}, size{}},
		{"an upright photograph fits by its height", size{3000, 4000}, "w:480,h:360", images.Window{0, 0, 3000, 4000}, size{270, 360}, size{}, size{}},
		{"the other side is rounded up, and its edges are repeated instead of stretching it", size{1000, 667}, "w:100,h:100", images.Window{0, -1.5, 1000, 670}, size{100, 67}, size{}, size{}},
		{"the other side is rounded up from a half", size{200, 101}, "w:100,h:100", images.Window{0, -0.5, 200, 102}, size{100, 51}, size{}, size{}},
		{"a line stays one pixel high", size{10000, 3}, "w:100", images.Window{0, 0, 10000, 3}, size{100, 1}, size{}, size{}},
		{"a small picture is enlarged to fit", size{10, 5}, "w:100,h:100", images.Window{0, 0, 10, 5}, size{100, 50}, size{}, size{}},
		{"a width alone fixes the height", size{4000, 3000}, "w:280", images.Window{0, 0, 4000, 3000}, size{280, 210}, size{}, size{}},
		{"a height alone fixes the width, rounded down and cut at both edges alike", size{4000, 3000}, "h:280", images.Window{2000 - 373*3000/560.0, 0, 373 * 3000 / 280.0, 3000}, size{373, 280}, size{}, size{}},
		{"no box keeps the size", size{4001, 2999}, "whole", images.Window{0, 0, 4001, 2999}, size{4001, 2999}, size{}, size{}},
		{"shrinking a large one is fitting", size{4000, 3000}, "w:280,h:487,fit:shrink", images.Window{0, 0, 4000, 3000}, size{280, 210}, size{}, size{}},
		{"shrinking leaves a small one alone", size{200, 100}, "w:280,h:487,fit:shrink", images.Window{0, 0, 200, 100}, size{200, 100}, size{}, size{}},
		{"shrinking looks at both sides", size{200, 1000}, "w:280,h:500,fit:shrink", images.Window{0, 0, 200, 1000}, size{100, 500}, size{}, size{}},
		{"a crop of a wide one cuts left and right alike", size{4000, 2000}, "w:100,h:100,fit:crop", images.Window{1000, 0, 2000, 2000}, size{100, 100}, size{}, size{}},
		{"a crop of a tall one cuts above and below alike", size{2000, 4000}, "w:100,h:100,fit:crop", images.Window{0, 1000, 2000, 2000}, size{100, 100}, size{}, size{}},
		{"a crop's window may begin inside a pixel", size{1000, 667}, "w:300,h:300,fit:crop", images.Window{166.5, 0, 667, 667}, size{300, 300}, size{}, size{}},
		{"a crop lies on whole pixels of the scaled picture, the odd one before it", size{4000, 3000}, "w:830,h:622,fit:crop", images.Window{0, 0.75 * 4000 / 830, 4000, 622 * 4000 / 830.0}, size{830, 622}, size{}, size{}},
		{"a crop's window may be part of a pixel long", size{1000, 1000}, "w:300,h:200,fit:crop", images.Window{0, 1000.0 / 6, 1000, 2000.0 / 3}, size{300, 200}, size{}, size{}},
		{"a crop of a small one is enlarged to exactly the box", size{10, 20}, "w:100,h:100,fit:crop", images.Window{0, 5, 10, 10}, size{100, 100}, size{}, size{}},
		{"a crop of a small one that may not be enlarged keeps the box's shape", size{100, 50}, "w:200,h:200,fit:crop,enlarge:0", images.Window{25, 0, 50, 50}, size{50, 50}, size{}, size{}},
		{"a crop to the north keeps the top", size{2000, 4000}, "w:100,h:100,fit:crop,gravity:north", images.Window{0, 0, 2000, 2000}, size{100, 100}, size{}, size{}},
		{"a crop to the southeast keeps the right end", size{4000, 2000}, "w:100,h:100,fit:crop,gravity:southeast", images.Window{2000, 0, 2000, 2000}, size{100, 100}, size{}, size{}},
		{"a focal point comes to the middle", size{4000, 2000}, "w:100,h:100,fit:crop,gravity:focal:0.4:0.9", images.Window{600, 0, 2000, 2000}, size{100, 100}, size{}, size{}},
		{"a focal point at the edge stops at the edge", size{4000, 2000}, "w:100,h:100,fit:crop,gravity:focal:1:0.5", images.Window{2000, 0, 2000, 2000}, size{100, 100}, size{}, size{}},
		{"padding surrounds what fits", size{4000, 2000}, "w:100,h:100,fit:pad", images.Window{0, 0, 4000, 2000}, size{100, 50}, size{100, 100}, size{0, 25}},
		{"padding's gravity says where the picture lies", size{4000, 2000}, "w:100,h:100,fit:pad,gravity:south", images.Window{0, 0, 4000, 2000}, size{100, 50}, size{100, 100}, size{0, 50}},
		{"padding without enlarging keeps a small one small", size{20, 10}, "w:100,h:100,fit:pad,enlarge:0", images.Window{0, 0, 20, 10}, size{20, 10}, size{100, 100}, size{40, 45}},
		{"stretching keeps no shape", size{4000, 2000}, "w:100,h:300,fit:stretch", images.Window{0, 0, 4000, 2000}, size{100, 300}, size{}, size{}},
		{"stretching one side keeps the other", size{4000, 2000}, "w:100,fit:stretch", images.Window{0, 0, 4000, 2000}, size{100, 2000}, size{}, size{}},
		{"dpr multiplies the box", size{4000, 3000}, "w:240,h:180,dpr:2,fit:crop", images.Window{0, 0, 4000, 3000}, size{480, 360}, size{}, size{}},
		{"dpr rounds a half up", size{4000, 3000}, "w:101,dpr:1.5", images.Window{0, 0, 4000, 3000}, size{152, 114}, size{}, size{}},
		{"a quarter turn swaps the sides before the box is met", size{4000, 3000}, "w:480,h:360,rotate:90", images.Window{0, 0, 3000, 4000}, size{270, 360}, size{}, size{}},
		{"a half turn swaps nothing", size{4000, 3000}, "w:480,h:360,rotate:180", images.Window{0, 0, 4000, 3000}, size{480, 360}, size{}, size{}},
		{"gravity is that of the turned picture", size{4000, 2000}, "w:100,h:100,fit:crop,gravity:north,rotate:90", images.Window{0, 0, 2000, 2000}, size{100, 100}, size{}, size{}},
		{"a region is cut out first", size{4000, 3000}, "w:100,region:1000:500:2000:1000", images.Window{1000, 500, 2000, 1000}, size{100, 50}, size{}, size{}},
		{"a region over the edge ends at it", size{4000, 3000}, "w:100,region:3000:2000:9000:500", images.Window{3000, 2000, 1000, 500}, size{100, 50}, size{}, size{}},
		{"a region is one of the upright, unturned original", size{4000, 3000}, "w:100,region:1000:500:2000:1000,rotate:90", images.Window{1500, 1000, 1000, 2000}, size{100, 200}, size{}, size{}},
		{"one pixel is a picture", size{1, 1}, "w:480,h:360,fit:crop", images.Window{0, 0.125, 1, 0.75}, size{480, 360}, size{}, size{}},
		{"a clip covers the box", size{4000, 2000}, "w:100,h:100,fit:clip", images.Window{1000, 0, 2000, 2000}, size{100, 100}, size{}, size{}},
		{"a clip of a small one stays small", size{80, 50}, "w:100,h:100,fit:clip", images.Window{0, 0, 80, 50}, size{80, 50}, size{}, size{}},
		{"a clip of a wide, low one cuts its ends", size{300, 50}, "w:200,h:200,fit:clip", images.Window{50, 0, 200, 50}, size{200, 50}, size{}, size{}},
		{"a clip goes where gravity says", size{300, 50}, "w:200,h:200,fit:clip,gravity:east", images.Window{100, 0, 200, 50}, size{200, 50}, size{}, size{}},
		{"auto clips a wide one to a wide box", size{4000, 2000}, "w:300,h:200,fit:auto", images.Window{500, 0, 3000, 2000}, size{300, 200}, size{}, size{}},
		{"auto shows all of a wide one in a tall box", size{4000, 2000}, "w:200,h:300,fit:auto", images.Window{0, 0, 4000, 2000}, size{200, 100}, size{}, size{}},
		{"zoom scales without a box", size{400, 300}, "zoom:1.5", images.Window{0, 0, 400, 300}, size{600, 450}, size{}, size{}},
		{"a cut by pixels lies in the middle", size{400, 300}, "cut:100:50", images.Window{150, 125, 100, 50}, size{100, 50}, size{}, size{}},
		{"a cut by shares lies where its gravity says", size{400, 300}, "cut:0.5:0.5:southeast", images.Window{200, 150, 200, 150}, size{200, 150}, size{}, size{}},
		{"a cut larger than the picture is the picture", size{400, 300}, "cut:1000:0", images.Window{0, 0, 400, 300}, size{400, 300}, size{}, size{}},
		{"a cut lies in the region", size{400, 300}, "region:100:100:200:100,cut:100:0:west", images.Window{100, 100, 100, 100}, size{100, 100}, size{}, size{}},
		{"a cut's focal point comes to its middle", size{400, 300}, "cut:100:0:focal:0.75:0.5", images.Window{250, 0, 100, 300}, size{100, 300}, size{}, size{}},
		{"a crop moves away from the edge that gravity names", size{4000, 2000}, "w:100,h:100,fit:crop,gravity:east:10:0", images.Window{1800, 0, 2000, 2000}, size{100, 100}, size{}, size{}},
		{"a crop moves no further than the other edge", size{4000, 2000}, "w:100,h:100,fit:crop,gravity:west:500:0", images.Window{2000, 0, 2000, 2000}, size{100, 100}, size{}, size{}},
		{"padding moves with the distances, times dpr", size{4000, 2000}, "w:100,h:100,dpr:2,fit:pad,gravity:south:0:7", images.Window{0, 0, 4000, 2000}, size{200, 100}, size{200, 200}, size{0, 86}},
		{"canvas around the picture", size{4000, 3000}, "w:40,h:30,dpr:2,padding:1:2:3:4", images.Window{0, 0, 4000, 3000}, size{80, 60}, size{92, 68}, size{8, 2}},
	} {
		r := parse(t, c.want)
		p, err := r.Plan(c.original.w, c.original.h)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if !near(p.Window, c.window) {
			t.Errorf("%s: window = %v, want %v", c.name, p.Window, c.window)
		}
		if got := (size{p.Width, p.Height}); got != c.out {
			t.Errorf("%s: size = %v, want %v", c.name, got, c.out)
		}
		if c.canvas == (size{}) {
			c.canvas = c.out
		}
		if got := (size{p.CanvasWidth, p.CanvasHeight}); got != c.canvas {
			t.Errorf("%s: canvas = %v, want %v", c.name, got, c.canvas)
		}
		if got := (size{p.OffsetX, p.OffsetY}); got != c.offset {
			t.Errorf("%s: offset = %v, want %v", c.name, got, c.offset)
		}
	}
}

func near(a, b images.Window) bool {
	const slack = 1e-9
	return math.Abs(a.X-b.X) < slack && math.Abs(a.Y-b.Y) < slack && math.Abs(a.Width-b.Width) < slack && math.Abs(a.Height-b.Height) < slack
}

func TestPlanRefusesWhatHasNoPixels(t *testing.T) {
	for _, size := range [][2]int{{0, 1}, {1, 0}, {-1, 5}, {math.MaxInt32 + 1, 1}} {
		if _, err := parse(t, "w:10").Plan(size[0], size[1]); images.KindOf(err) != images.Unprocessable {
			t.Errorf("Plan of %v: %v, want unprocessable", size, err)
		}
	}
	if _, err := parse(t, "w:10,region:100:0:10:10").Plan(50, 50); images.KindOf(err) != images.Unprocessable {
		t.Errorf("Plan of a region outside: %v, want unprocessable", err)
	}
}

func TestLimitsAreCheckedBeforeAnythingIsSpent(t *testing.T) {
	limits := images.DefaultLimits()
	limits.MaxOutputSide, limits.MaxOutputPixels, limits.MaxPixels = 1000, 500_000, 1_000_000
	for _, c := range []struct {
		rendition string
		w, h      int
		part      string // of the error; empty: none
	}{
		{"w:1000,h:500,fit:crop", 100, 100, ""},
		{"w:1000,h:501,fit:crop", 100, 100, "max_output_pixels"},
		{"w:1001,h:10,fit:crop", 100, 100, "max_output_side"},
		{"w:501,dpr:2", 100, 1, "max_output_side"},
		{"w:100", 10, 101, "max_output_side"},    // 100x1010
		{"whole", 999, 999, "max_output_pixels"}, // its own size
		{"w:10,h:1001,fit:pad", 100, 100, "max_output_side"},
	} {
		p, err := parse(t, c.rendition).Plan(c.w, c.h)
		if err != nil {
			t.Fatal(err)
		}
		err = limits.CheckPlan(p)
		if part := errorPart(err); part != c.part || err != nil && images.KindOf(err) != images.TooLarge {
			t.Errorf("%s of %dx%d: %v, want an error about %q", c.rendition, c.w, c.h, err, c.part)
		}
	}
	if err := limits.CheckOriginal(1000, 1000); err != nil {
		t.Errorf("an original at the limit: %v", err)
	}
	if err := limits.CheckOriginal(1000, 1001); images.KindOf(err) != images.TooLarge {
		t.Errorf("an original over the limit: %v, want too large", err)
	}
	if err := limits.CheckOriginal(1<<31, 1<<31); images.KindOf(err) != images.TooLarge {
		t.Errorf("an original whose pixels overflow: %v, want too large", err)
	}
}

// TestPlanProperties holds for every size and box what a person expects.
func TestPlanProperties(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	side := func() int { return 1 + rng.IntN(1<<rng.IntN(14)) }
	for range 20_000 {
		r := images.Rendition{Width: side(), Height: side(), Fit: images.Fit(rng.IntN(5)), Gravity: images.Gravity(rng.IntN(10)),
			FocalX: rng.Float64(), FocalY: rng.Float64(), NoEnlarge: rng.IntN(2) == 0, Rotate: 90 * rng.IntN(4), FlipH: rng.IntN(2) == 0}
		if rng.IntN(4) == 0 {
			r.Height = 0
		}
		checkPlan(t, r.Normal(), side(), side())
	}
}

func checkPlan(t *testing.T, r images.Rendition, w, h int) {
	t.Helper()
	p, err := r.Plan(w, h)
	if err != nil {
		t.Fatalf("%s of %dx%d: %v", r, w, h, err)
	}
	fail := func(what string) { t.Helper(); t.Fatalf("%s of %dx%d: %s: %+v", r, w, h, what, p) }
	tw, th := r.Turn().Size(w, h)
	const slack = 1e-6
	win := p.Window
	// Rounding to whole pixels may reach over an edge by half of one.
	overX, overY := slack, slack
	if r.Fit != images.FitStretch {
		overX, overY = win.Width/float64(2*p.Width)+slack, win.Height/float64(2*p.Height)+slack
	}
	if win.X < -overX || win.Y < -overY || win.X+win.Width > float64(tw)+overX || win.Y+win.Height > float64(th)+overY || win.Width <= 0 || win.Height <= 0 {
		fail("the window leaves the original")
	}
	if !p.Crop.In(image.Rect(0, 0, tw, th)) || p.Crop.Empty() {
		fail("the crop leaves the original")
	}
	if float64(p.Crop.Min.X) > win.X+overX || float64(p.Crop.Max.X) < win.X+win.Width-overX || float64(p.Crop.Min.Y) > win.Y+overY || float64(p.Crop.Max.Y) < win.Y+win.Height-overY {
		fail("the crop does not hold the window")
	}
	if p.Width < 1 || p.Height < 1 || p.OffsetX < 0 || p.OffsetY < 0 || p.OffsetX+p.Width > p.CanvasWidth || p.OffsetY+p.Height > p.CanvasHeight {
		fail("the picture leaves the canvas")
	}
	both := r.Width > 0 && r.Height > 0 && (r.DPR == 0 || r.DPR == 1)
	switch {
	case both && r.Fit == images.FitCrop && !r.NoEnlarge && (p.Width != r.Width || p.Height != r.Height):
		fail("a crop is not exactly the box")
	case both && r.Fit == images.FitPad && (p.CanvasWidth != r.Width || p.CanvasHeight != r.Height):
		fail("a canvas is not exactly the box")
	case both && (p.CanvasWidth > r.Width || p.CanvasHeight > r.Height):
		fail("it is larger than the box")
	case (r.Fit == images.FitShrink || r.NoEnlarge) && (p.Width > tw || p.Height > th):
		fail("it was enlarged")
	}
	if r.Fit != images.FitStretch {
		// The shape is off by no more than the rounding of one side.
		sx, sy := float64(p.Width)/win.Width, float64(p.Height)/win.Height
		if math.Abs(sx-sy)*win.Height > 1 && math.Abs(sx-sy)*win.Width > 1 && p.Width > 1 && p.Height > 1 {
			fail("the shape is distorted by more than rounding")
		}
	}
	checkBefore(t, r, p, w, h)
}

// checkBefore: turning the plan back and forth changes nothing.
func checkBefore(t *testing.T, r images.Rendition, p images.Plan, w, h int) {
	t.Helper()
	b := p.Before()
	if b.SourceWidth != w || b.SourceHeight != h {
		t.Fatalf("%s of %dx%d: before turning the source is %dx%d", r, w, h, b.SourceWidth, b.SourceHeight)
	}
	if bw, bh := p.Turn.Size(b.Width, b.Height); bw != p.Width || bh != p.Height {
		t.Fatalf("%s of %dx%d: before turning the size is %dx%d", r, w, h, b.Width, b.Height)
	}
	if !b.Crop.In(image.Rect(0, 0, w, h)) || b.Crop.Empty() {
		t.Fatalf("%s of %dx%d: before turning the crop is %v", r, w, h, b.Crop)
	}
	if bw, bh := p.Turn.Size(b.Crop.Dx(), b.Crop.Dy()); max(bw-p.Crop.Dx(), p.Crop.Dx()-bw) > 1 || max(bh-p.Crop.Dy(), p.Crop.Dy()-bh) > 1 {
		t.Fatalf("%s of %dx%d: the crop is %v before turning and %v after", r, w, h, b.Crop, p.Crop)
	}
}

func FuzzPlan(f *testing.F) {
	f.Add("w:480,h:360,fit:crop", 4000, 3000)
	f.Add("w:16383,dpr:5,rotate:270,flip:v", 1, 100000)
	f.Add("h:1,region:0:0:1:1", 1<<20, 1<<20)
	f.Fuzz(func(t *testing.T, spelling string, w, h int) {
		r, err := images.ParseRendition(spelling)
		if err != nil || w <= 0 || h <= 0 || w > 1<<24 || h > 1<<24 || !r.Region.Empty() {
			return
		}
		checkPlan(t, r, w, h)
	})
}

func errorPart(err error) string {
	var e *images.Error
	if err == nil {
		return ""
	}
	if !asError(err, &e) {
		return "not an images.Error"
	}
	return e.Part
}

func TestDecideSettlesWhatIsSeen(t *testing.T) {
	for _, c := range []struct {
		want, decided string
	}{
		{"trim:10", "region:20:30:200:100"},
		{"w:100,h:100,fit:crop,gravity:smart", "w:100,h:100,fit:crop,gravity:focal:0.25:0.75"},
		{"w:100,h:100,fit:crop,gravity:smart,rotate:90", "w:100,h:100,fit:crop,gravity:focal:0.25:0.25,rotate:90"},
		{"w:100,h:100,fit:crop,gravity:smart,flip:h", "w:100,h:100,fit:crop,gravity:focal:0.75:0.75,flip:h"},
		{"w:100,h:100,fit:crop,gravity:smart,region:0:0:200:300", "w:100,h:100,fit:crop,gravity:focal:0.5:0.75,region:0:0:200:300"},
		{"w:9,cut:0.5:0.5:smart", "w:9,cut:0.5:0.5:focal:0.25:0.75"},
		{"w:100,h:100,fit:crop,gravity:smart,region:200:0:200:300", "w:100,h:100,fit:crop,gravity:focal:0:0.75,region:200:0:200:300"},
	} {
		r := parse(t, c.want)
		if !r.Undecided() {
			t.Errorf("%s is decided before anything was seen", c.want)
		}
		got := r.Decide(image.Rect(20, 30, 220, 130), 400, 300, 0.25, 0.75)
		if got.String() != c.decided || got.Undecided() {
			t.Errorf("%s becomes %s, want %s", c.want, got, c.decided)
		}
	}
}
