package images

import (
	"fmt"
	"image"
	"math"
	"math/bits"
)

// Window is a rectangle in pixels whose edges may lie inside pixels.
type Window struct{ X, Y, Width, Height float64 }

// Pixels is the smallest rectangle of whole pixels that holds the window.
// Edges within a millionth of a pixel of a whole number count as that number.
func (w Window) Pixels() image.Rectangle {
	const slack = 1e-6
	return image.Rect(
		int(math.Floor(w.X+slack)), int(math.Floor(w.Y+slack)),
		int(math.Ceil(w.X+w.Width-slack)), int(math.Ceil(w.Y+w.Height-slack)))
}

// Plan is the geometry of one rendition of one original: what is cut out,
// what size it gets, and where it lies on the canvas.
//
// The coordinates are those of the turned picture: the original after its EXIF
// orientation and after the rendition's Turn. A decoder that can turn while it
// decodes is given exif.Then(Turn) and uses the plan as it is; one that turns
// at the end asks for Before(Turn).
type Plan struct {
	Turn Orientation // the rendition's rotation and flips

	// SourceWidth and SourceHeight are the size of the turned original.
	SourceWidth, SourceHeight int

	// Window is what is seen, exact to parts of a pixel, inside the source.
	// Resampling it to Width x Height is the whole resize and crop.
	Window Window
	Crop   image.Rectangle // Window.Pixels() inside the source: what must be decoded at least

	Width, Height int // of the resized window, >= 1

	// The canvas is larger than Width x Height only when padding.
	CanvasWidth, CanvasHeight int
	OffsetX, OffsetY          int // of the resized window on the canvas
}

// Padded says whether there is canvas to fill around the picture.
func (p Plan) Padded() bool { return p.CanvasWidth != p.Width || p.CanvasHeight != p.Height }

// Identity says whether nothing is cut, resized, turned or padded.
func (p Plan) Identity() bool {
	return (p.Turn == Upright || p.Turn == 0) && !p.Padded() && p.Width == p.SourceWidth && p.Height == p.SourceHeight &&
		p.Window == Window{0, 0, float64(p.SourceWidth), float64(p.SourceHeight)}
}

// Reduction is how many source pixels become one pixel of the rendition along
// the axis that is reduced less. Below 1 the picture is enlarged.
func (p Plan) Reduction() float64 {
	return min(p.Window.Width/float64(p.Width), p.Window.Height/float64(p.Height))
}

// Before gives the same plan for an engine that turns last: window, crop and
// size in coordinates of the picture before Turn. Canvas and offsets stay
// those of the finished picture; pad after turning.
func (p Plan) Before() Plan {
	q := p
	q.SourceWidth, q.SourceHeight = p.Turn.Size(p.SourceWidth, p.SourceHeight)
	q.Width, q.Height = p.Turn.Size(p.Width, p.Height)
	q.Window = p.Turn.Back(p.Window, float64(q.SourceWidth), float64(q.SourceHeight))
	q.Crop = q.Window.Pixels().Intersect(image.Rect(0, 0, q.SourceWidth, q.SourceHeight))
	return q
}

// box is the box in pixels of the rendition: Width and Height times DPR,
// rounded half up, at least 1 where it is given at all.
func (r Rendition) box() (width, height int) {
	side := func(v int) int {
		if v == 0 {
			return 0
		}
		return max(1, r.pixels(v))
	}
	return side(r.Width), side(r.Height)
}

// pixels is how many pixels of the rendition a length in CSS pixels has.
func (r Rendition) pixels(v int) int {
	if r.DPR == 0 {
		return v
	}
	return int(math.Floor(float64(v)*r.DPR + 0.5))
}

// Plan computes the geometry for an original of width x height pixels after
// its EXIF orientation. It allocates nothing and does not look at Limits; see
// Limits.CheckPlan.
func (r Rendition) Plan(width, height int) (Plan, error) {
	if width <= 0 || height <= 0 || width > math.MaxInt32 || height > math.MaxInt32 {
		return Plan{}, Errorf(Unprocessable, "the original has no usable size (%dx%d)", width, height)
	}
	region := image.Rect(0, 0, width, height)
	if !r.Region.Empty() {
		region = region.Intersect(r.Region)
		if region.Empty() {
			return Plan{}, &Error{Kind: Unprocessable, Part: "region",
				Detail: fmt.Sprintf("the region lies outside the original of %dx%d", width, height)}
		}
	}
	region = r.Cut.of(region)
	p := Plan{Turn: r.Turn()}
	p.SourceWidth, p.SourceHeight = p.Turn.Size(width, height)
	seen := p.Turn.forward(region, width, height)
	p.place(r, seen)
	p.Crop = p.Window.Pixels().Intersect(image.Rect(0, 0, p.SourceWidth, p.SourceHeight))
	return p, nil
}

// forward maps whole pixels of the stored picture to the turned one.
func (o Orientation) forward(rect image.Rectangle, width, height int) Window {
	return o.forwardWindow(Window{float64(rect.Min.X), float64(rect.Min.Y), float64(rect.Dx()), float64(rect.Dy())}, width, height)
}

func (o Orientation) forwardWindow(part Window, width, height int) Window {
	w, h := o.Size(width, height)
	return o.Inverse().Back(part, float64(w), float64(h))
}

// place fits what is seen of the source into the box. seen has whole sides.
func (p *Plan) place(r Rendition, seen Window) {
	w, h := int(seen.Width), int(seen.Height)
	boxW, boxH := r.box()
	fit := r.Fit
	if fit == FitAuto {
		fit = FitShrink
		if (w >= h) == (boxW >= boxH) {
			fit = FitClip
		}
	}
	if boxW == 0 || boxH == 0 {
		switch fit {
		case FitCrop, FitPad:
			fit = FitInside
		case FitClip:
			fit = FitShrink
		}
	}
	p.Window = seen
	switch fit {
	case FitClip:
		scale := min(max(float64(boxW)/seen.Width, float64(boxH)/seen.Height), 1)
		p.Width = min(boxW, max(1, int(seen.Width*scale+0.5)))
		p.Height = min(boxH, max(1, int(seen.Height*scale+0.5)))
		p.Window = cover(seen, p.Width, p.Height, scale, r)
	case FitCrop:
		if r.NoEnlarge {
			boxW, boxH = shrinkBox(boxW, boxH, w, h)
		}
		p.Width, p.Height = boxW, boxH
		p.Window = cover(seen, boxW, boxH, max(float64(boxW)/seen.Width, float64(boxH)/seen.Height), r)
	case FitStretch:
		p.Width, p.Height = boxW, boxH
		if boxW == 0 || r.NoEnlarge && boxW > w {
			p.Width = w
		}
		if boxH == 0 || r.NoEnlarge && boxH > h {
			p.Height = h
		}
	default: // FitInside, FitShrink, FitPad
		if r.Zoom != 0 && boxW == 0 && boxH == 0 {
			p.Width, p.Height = max(1, int(float64(w)*r.Zoom+0.5)), max(1, int(float64(h)*r.Zoom+0.5))
			break
		}
		p.Width, p.Height = inside(w, h, boxW, boxH, fit == FitShrink || r.NoEnlarge)
		p.Window = keepShape(seen, p.Width, p.Height, p.Width == boxW)
	}
	p.CanvasWidth, p.CanvasHeight = p.Width, p.Height
	if fit == FitPad {
		p.CanvasWidth, p.CanvasHeight = boxW, boxH
		x, y := r.Gravity.share()
		p.OffsetX = shift(boxW-p.Width, x, r.pixels(r.GravityX))
		p.OffsetY = shift(boxH-p.Height, y, r.pixels(r.GravityY))
	}
	top, left := r.pixels(r.Padding.Top), r.pixels(r.Padding.Left)
	p.OffsetX, p.OffsetY = p.OffsetX+left, p.OffsetY+top
	p.CanvasWidth += left + r.pixels(r.Padding.Right)
	p.CanvasHeight += top + r.pixels(r.Padding.Bottom)
}

// shift says how much of the free space lies before a thing: its share, moved
// away from the edge that the share names, inside the space.
func shift(free int, share float64, by int) int {
	if share == 1 {
		by = -by
	}
	return min(max(int(math.Floor(float64(free)*share))+by, 0), free)
}

// inside is the largest size of the shape w x h inside the box; a side of 0
// does not bound. The side that touches the box is exact, the other one is
// rounded half up and at least 1, in whole numbers all through.
func inside(w, h, boxW, boxH int, shrink bool) (int, int) {
	if boxW == 0 && boxH == 0 || shrink && (boxW == 0 || w <= boxW) && (boxH == 0 || h <= boxH) {
		return w, h
	}
	// boxW/w <= boxH/h: the width touches first.
	if boxH == 0 || boxW != 0 && uint64(boxW)*uint64(h) <= uint64(boxH)*uint64(w) {
		return boxW, scaled(h, boxW, w)
	}
	return scaled(w, boxH, h), boxH
}

// keepShape makes the window of what is seen whose scale to w x h is the same
// along both sides, exact where the picture touches the box: of the side that
// inside rounded, up to half a pixel of the rendition is lost or repeated, half
// of that at either edge, and nothing is stretched. A side that was raised to
// one pixel is kept whole instead.
func keepShape(seen Window, w, h int, widthTouches bool) Window {
	if widthTouches {
		seen.Y, seen.Height = centred(seen.Y, seen.Height, float64(w)/seen.Width, h)
	} else {
		seen.X, seen.Width = centred(seen.X, seen.Width, float64(h)/seen.Height, w)
	}
	return seen
}

// centred is the middle of from..from+size that n pixels show at a scale.
func centred(from, size, scale float64, n int) (float64, float64) {
	shown := float64(n) / scale
	if math.Abs(size*scale-float64(n)) > 0.5+1e-9 {
		return from, size
	}
	return from + (size-shown)/2, shown
}

// scaled is v*num/den rounded half up, at least 1, without overflow and no
// larger than an int32.
func scaled(v, num, den int) int {
	hi, lo := bits.Mul64(uint64(v), 2*uint64(num))
	lo, carry := bits.Add64(lo, uint64(den), 0)
	q, _ := bits.Div64(hi+carry, lo, 2*uint64(den)) // v, num < 2^31 and den >= 1: hi is 0
	return int(max(1, min(q, math.MaxInt32)))
}

// shrinkBox makes the box smaller, shape kept, until the picture w x h covers
// it without being enlarged.
func shrinkBox(boxW, boxH, w, h int) (int, int) {
	if boxW <= w && boxH <= h {
		return boxW, boxH
	}
	return inside(boxW, boxH, w, h, true)
}

// cover is the window that fills the box at a scale, placed by gravity in whole
// pixels of the scaled picture, which covers the box. That picture is scaled exactly and centred on its own grid of whole
// pixels, so the window may reach over an edge of seen by up to half a pixel
// of the rendition; the edge is repeated there. All this is the geometry of
// libvips and sharp (vips_reduce's centring; the middle of an odd free space
// lies half a pixel to the right and down), so that a service that moves over
// gets its pictures in the same place.
func cover(seen Window, boxW, boxH int, scale float64, r Rendition) Window {
	focalX, focalY := math.NaN(), math.NaN()
	if r.Gravity == Focal {
		focalX, focalY = r.FocalX, r.FocalY
	}
	x, y := r.Gravity.share()
	return Window{
		X:     seen.X + cut(seen.Width*scale, boxW, x, focalX, r.pixels(r.GravityX))/scale,
		Y:     seen.Y + cut(seen.Height*scale, boxH, y, focalY, r.pixels(r.GravityY))/scale,
		Width: float64(boxW) / scale, Height: float64(boxH) / scale,
	}
}

// cut says where a box begins on one side of a picture that is long pixels
// long: share of the free space before it, or the point focal of the picture
// in its middle; moved by so many pixels away from the edge that share names.
func cut(long float64, box int, share, focal float64, by int) float64 {
	whole := math.Floor(long + 0.5)
	free := max(whole-float64(box), 0)
	at := math.Floor((free + 1) * share)
	if share == 1 {
		at = free
	}
	if !math.IsNaN(focal) {
		at = min(max(math.Floor(focal*whole-float64(box)/2+0.5), 0), free)
	}
	if by != 0 {
		if share == 1 {
			by = -by
		}
		at = min(max(at+float64(by), 0), free)
	}
	return at + (long-whole)/2
}
