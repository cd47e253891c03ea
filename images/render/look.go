package render

import (
	"context"
	"image"
	"math"

	"github.com/kamado/kamado/images"
	"github.com/kamado/kamado/images/codec"
	"github.com/kamado/kamado/images/look"
	"github.com/kamado/kamado/images/plane"
	"github.com/kamado/kamado/images/raster"
)

// lookSide is how many pixels the longer side of a picture should have at
// least for its eye and its colours to be found. Details that draw the eye are larger.
const lookSide = 160

// jpegSight is what was decoded of a JPEG, upright and whole, to look at it.
// The renditions of a set share it.
type jpegSight struct {
	view
	n      int  // of the scale n/8; 0: nothing was decoded
	shared bool // nothing is made of it: it is kept small
}

// serves says whether a rendition can be made of it.
func (s *jpegSight) serves(plan images.Plan, quality int) bool {
	return s.n >= dctScale(plan.Reduction(), quality)
}

// sightScale is the scale at which a JPEG is decoded to look at it. Borders
// are exact to the pixel, so finding them takes the picture at full size. The
// eye is found in a small one; where that is less work than a second decode,
// it is one that the rendition can be made of.
func (j *job) sightScale(in jpegSource, rough images.Plan) int {
	if j.want.Trim > 0 {
		return 8
	}
	small, own := smallScale(in.width, in.height), dctScale(rough.Reduction(), j.want.Quality)
	twice := decodeCost(in, small, image.Rectangle{}) + decodeCost(in, own, reach(rough, float64(own)/8))
	if both := max(small, own); decodeCost(in, both, image.Rectangle{}) <= twice {
		return both
	}
	return small
}

// decideJPEG puts what is seen in the place of Trim and Smart. What it
// decodes, unless something was before, is in the job's workspace.
func (j *job) decideJPEG(ctx context.Context, in jpegSource, seen *jpegSight) error {
	if seen.n == 0 {
		rough := roughPlan(j.want, in.width, in.height)
		n := smallScale(in.width, in.height)
		if !seen.shared {
			n = j.sightScale(in, rough)
		}
		if err := j.claim(ctx, scratchOfJPEG(in.info, n, in.width*in.height, rough)+j.scratchOfText(rough)); err != nil {
			return err
		}
		started := j.started
		got, err := j.decodeRegion(ctx, in, n, in.orientation(), image.Rectangle{})
		if err != nil {
			return err
		}
		j.stages, j.started = nil, started // all of it is looking
		seen.view, seen.n = got, n
	}
	err := j.decide(seen.view, in.width, in.height)
	j.lap("look")
	return err
}

// roughPlan is a plan of about the size that the decided one will have, for what memory
// it takes.
func roughPlan(want images.Rendition, width, height int) images.Plan {
	plan, err := want.Plan(width, height)
	if err != nil {
		return images.Plan{Window: images.Window{Width: float64(width), Height: float64(height)}, Width: width, Height: height}
	}
	return plan
}

// smallScale is the smallest N for which N/8 of a picture is large enough to
// look at.
func smallScale(width, height int) int {
	for _, n := range [...]int{1, 2, 4} {
		if max(width, height)*n/8 >= lookSide {
			return n
		}
	}
	return 8
}

// decideCodec is decideJPEG for what a Codec loads. What was loaded comes back
// when the rendition can be made of it: every load decodes the whole file, so
// one is enough but for animations.
func (j *job) decideCodec(ctx context.Context, src []byte) (*view, images.Plan, error) {
	var rough images.Plan
	loaded, info, err := j.load(ctx, src, 1, func(info codec.Info) (codec.Target, error) {
		t := codec.Target{Width: info.Width, Height: info.Height}
		if err := j.cfg.Limits.CheckOriginal(info.Width, info.Height); err != nil {
			return t, err
		}
		if j.want.Trim == 0 {
			rough = roughPlan(j.want, info.Width, info.Height)
			t.Width, t.Height = j.sightSize(rough, info)
		}
		return t, nil
	})
	if err != nil {
		return nil, images.Plan{}, err
	}
	seen := viewOf(loaded, image.Rect(0, 0, info.Width, info.Height))
	err = j.decide(seen, info.Width, info.Height)
	j.lap("look")
	if err != nil || min(info.Pages, j.frames()) > 1 {
		return nil, images.Plan{}, err
	}
	plan, err := j.admit(info)
	return &seen, plan, err
}

// viewOf is what was loaded of a part of an upright original.
func viewOf(loaded *codec.Raster, part image.Rectangle) view {
	pic := &loaded.Frames[0].Picture
	return view{
		pic: pic, scaleX: float64(pic.Width) / float64(part.Dx()), scaleY: float64(pic.Height) / float64(part.Dy()),
		origin: part.Min, truncated: loaded.Truncated,
	}
}

// sightSize is the size at which all of an original is loaded that is looked
// at and made a rendition of; of an animation, looked at alone.
func (j *job) sightSize(rough images.Plan, info codec.Info) (int, int) {
	width, height := smallSize(info.Width, info.Height)
	if min(info.Pages, j.frames()) > 1 {
		return width, height
	}
	scale := min(1, loadOversample*demand(rough.Before()))
	return max(width, scaledUp(info.Width, scale)), max(height, scaledUp(info.Height, scale))
}

// demand is how many samples a plan shows of each pixel of the original, along
// the side where that is more.
func demand(plan images.Plan) float64 {
	return max(float64(plan.Width)/plan.Window.Width, float64(plan.Height)/plan.Window.Height)
}

// scaledUp is a side times a scale of at most 1, rounded up.
func scaledUp(side int, scale float64) int {
	return min(side, max(1, int(math.Ceil(float64(side)*scale))))
}

// smallSize is the size at which a picture is looked at, its shape kept.
func smallSize(width, height int) (int, int) {
	longer := max(width, height)
	if longer <= lookSide {
		return width, height
	}
	side := func(v int) int { return max(1, (2*v*lookSide+longer)/(2*longer)) }
	return side(width), side(height)
}

// decide looks at what was decoded of an upright original of width x height.
// With Trim its scale is 1.
func (j *job) decide(seen view, width, height int) error {
	var inside image.Rectangle
	want := j.want
	if want.Trim > 0 {
		part := image.Rect(0, 0, width, height)
		if !want.Region.Empty() {
			part = part.Intersect(want.Region)
		}
		if part.Empty() { // the plan says what is wrong
			_, err := want.Plan(width, height)
			return err
		}
		inside = look.Borders(seen.pic, part.Sub(seen.origin), want.Trim).Add(seen.origin)
		want.Region, want.Trim = inside, 0
	}
	eyeX, eyeY := 0.5, 0.5
	if want.Undecided() {
		part, shareX, shareY, err := gaze(want, width, height)
		if err != nil {
			return err
		}
		eyeX, eyeY = eye(seen, part, shareX, shareY)
		eyeX = (float64(part.Min.X) + eyeX*float64(part.Dx())) / float64(width)
		eyeY = (float64(part.Min.Y) + eyeY*float64(part.Dy())) / float64(height)
	}
	j.want = j.want.Decide(inside, width, height, eyeX, eyeY)
	return nil
}

// gaze is where to look for what draws the eye: the part of the upright
// original that can be shown, and how large the window is that will be cut out of it,
// as shares of the part's sides.
func gaze(want images.Rendition, width, height int) (part image.Rectangle, shareX, shareY float64, err error) {
	seen, shown := images.Rendition{Region: want.Region}, want
	if want.Cut.Gravity == images.Smart {
		shown = seen
		shown.Cut = want.Cut
		shown.Cut.Gravity = images.Center
	} else {
		seen.Cut = want.Cut
		shown.Gravity = images.Center
	}
	all, err := seen.Plan(width, height)
	if err != nil {
		return part, 0, 0, err
	}
	plan, err := shown.Plan(width, height)
	if err != nil {
		return part, 0, 0, err
	}
	part = all.Crop
	window := plan.Before().Window
	return part, window.Width / float64(part.Dx()), window.Height / float64(part.Dy()), nil
}

// eye is the point of a part of the original that draws the eye, as shares of
// the part's sides.
func eye(seen view, part image.Rectangle, shareX, shareY float64) (x, y float64) {
	pic := seen.pic
	all := image.Rect(0, 0, pic.Width, pic.Height)
	part = part.Sub(seen.origin)
	across := func(v int) int { return int(float64(v) * seen.scaleX) }
	down := func(v int) int { return int(float64(v) * seen.scaleY) }
	r := image.Rect(across(part.Min.X), down(part.Min.Y), across(part.Max.X), down(part.Max.Y)).Intersect(all)
	if r.Empty() {
		return 0.5, 0.5 // less than a sample
	}
	if r != all {
		var cut plane.Picture
		if err := raster.Crop(&cut, pic, r); err != nil {
			return 0.5, 0.5
		}
		pic = &cut
	}
	return look.Attention(pic, shareX, shareY)
}
