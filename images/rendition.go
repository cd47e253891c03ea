package images

import (
	"fmt"
	"image"
	"math"
)

// Bounds of a rendition's numbers, the same in every grammar.
const (
	MaxSide    = 16383 // width and height before dpr; the longest side that WebP can write
	MaxDPR     = 5
	MaxBlur    = 100 // sigma in pixels of the rendition
	MaxSharpen = 10  // sigma in pixels of the rendition

	MaxZoom     = 10      // how many pixels may become of one where no box is given
	MaxTrim     = 255     // threshold of what counts as border, in levels
	MaxPixelate = 1000    // side of a block in pixels of the rendition
	MaxPadding  = 5000    // pixels before dpr
	MaxText     = 256     // bytes of a text in UTF-8
	MaxTextSize = 1000    // pixels before dpr
	MinMaxBytes = 256     // no picture in any format is smaller
	MaxMaxBytes = 1 << 30 // bytes
)

// Rendition is what is asked of an original. The zero value is the whole
// picture at its own size in its own format, upright and without metadata.
//
// Order of the operations: the original is put upright by its EXIF
// orientation, Region is cut out of it, borders are trimmed, Cut is cut out of
// what is left, it is rotated, then mirrored; then it is fitted into the box.
// Sharpening, blur, pixelation, colours, background, padding, watermark and
// text follow.
//
// It is a comparable value. Parsers hand out normalised ones (see Normal), for
// which == and equality of String are the same.
type Rendition struct {
	Width, Height int     // the box in CSS pixels, 0..MaxSide; 0: follows from the other side, both 0: the original's size
	DPR           float64 // device pixels per CSS pixel, 0.1..MaxDPR; 0 is 1
	Zoom          float64 // 0.1..MaxZoom times the original's size, where no box is given; 0 is 1
	Fit           Fit
	NoEnlarge     bool // for FitCrop, FitPad, FitStretch: a small original makes a small rendition
	Gravity       Gravity
	FocalX        float64 // 0..1 of the finished picture's whole width, before the crop; with Gravity Focal
	FocalY        float64
	GravityX      int // moved from where Gravity puts it, in CSS pixels, away from the edges that it names (right and down from the middle); -MaxSide..MaxSide
	GravityY      int

	Region image.Rectangle // in pixels of the upright original; empty: all of it. What lies outside is left out.
	Trim   int             // borders of one colour are cut off, as far as they differ by at most so many levels from the upper left pixel; 0: none
	Cut    Cut             // a part by its size
	Rotate int             // clockwise: 0, 90, 180, 270
	FlipH  bool            // mirrored left to right, after Rotate
	FlipV  bool            // mirrored top to bottom, after Rotate

	Background    Color // shows through transparency and fills padding, if HasBackground
	HasBackground bool  // otherwise transparency stays; where the format has none it becomes White
	Blur          float64
	Sharpen       float64
	Pixelate      int // side of the blocks in pixels of the rendition; 0 and 1: none
	Colours       Colours
	Padding       Padding
	Watermark     Watermark
	Text          Text
	Still         bool // the first frame only, even where the format could move
	Metadata      Metadata
	Profile       Profile

	Quality    int    // 1..100; 0: the service's default for the format
	MaxBytes   int    // quality is lowered until the file is no longer than this; 0: no bound. Lossy formats only
	Format     Format // FormatUnknown: the original's, JPEG when that cannot be written
	AutoFormat bool   // the best of what the client says it takes; Format is unknown then
}

// Metadata says what of the original's metadata stays in the rendition.
type Metadata uint8

// The choices.
const (
	MetadataStrip     Metadata = iota // nothing
	MetadataCopyright                 // copyright and artist
)

// Profile says what becomes of the original's colour profile.
type Profile uint8

// The choices.
const (
	ProfileConvert Profile = iota // colours are converted to sRGB, the profile is dropped
	ProfileKeep                   // colours stay as they are, the profile is written into the rendition
)

// Cut is a part of a picture by its size and place. The zero value is all.
type Cut struct {
	// Of the side of the upright original, after Region and Trim: pixels from
	// 1, a share of it below 1, 0: the whole side.
	Width, Height float64
	Gravity       Gravity // in the upright original
	FocalX        float64 // 0..1, with Gravity Focal
	FocalY        float64
}

// Colours are changes of colour as CSS filters do them (W3C Filter Effects,
// §8). The zero value is none.
type Colours struct {
	Brightness int // -100 (black)..100 (twice as bright)
	Contrast   int // -100 (grey)..100 (twice the contrast)
	Saturation int // -100 (grey)..100 (twice as saturated)
	Hue        int // degrees, 0..359
}

// Padding is canvas around the fitted picture, in CSS pixels, 0..MaxPadding.
type Padding struct{ Top, Right, Bottom, Left int }

// Text is words laid over the rendition. The zero value is none.
type Text struct {
	Words   string  // UTF-8 of at most MaxText bytes; lines end in \n
	Size    int     // height of a line's letters (em) in CSS pixels, 1..MaxTextSize; 0 until normalised: 24
	Color   Color   // of the letters
	Opacity float64 // 0..1; 0 until normalised: 1
	Gravity Gravity // any but Focal and Smart
	X, Y    int     // distance from the edges that Gravity names, in CSS pixels
}

// Watermark is a picture laid over the rendition. The zero value is none.
type Watermark struct {
	Name    string  // of a watermark in the configuration
	Opacity float64 // 0..1; 0 until the configuration's facts are filled in
	Gravity Gravity // any but Focal and Smart
	X, Y    int     // distance from the edges that Gravity names, in pixels of the rendition; -MaxSide..MaxSide
	Scale   float64 // width of the watermark as a share of the rendition's width, 0..1; 0: its own size

	// Version tells one content of the watermark picture from the next, so
	// that caches do. It is filled in by the configuration, never by a URL.
	Version string
}

// Turn is the rotation and the flips together.
func (r Rendition) Turn() Orientation {
	o := Upright
	switch r.Rotate {
	case 90:
		o = Turn90
	case 180:
		o = Turn180
	case 270:
		o = Turn270
	}
	if r.FlipH {
		o = o.Then(MirrorH)
	}
	if r.FlipV {
		o = o.Then(MirrorV)
	}
	return o
}

// Normal drops what has no effect, so that renditions that are the same
// picture of every original are equal.
func (r Rendition) Normal() Rendition {
	if r.DPR == 1 || r.Width == 0 && r.Height == 0 {
		r.DPR = 0
	}
	if r.Width == 0 && r.Height == 0 {
		r.Fit = FitInside
		r.NoEnlarge = false
	} else if r.Zoom != 0 {
		r.DPR, r.Zoom = r.density(), 0 // with a box, zoom and dpr are the same
		if r.DPR == 1 {
			r.DPR = 0
		}
	}
	if r.Zoom == 1 {
		r.Zoom = 0
	}
	if r.Width == 0 || r.Height == 0 {
		switch r.Fit {
		case FitCrop, FitPad:
			r.Fit = FitInside
		case FitClip, FitAuto:
			r.Fit = FitShrink
		}
	}
	if r.Fit == FitInside && r.NoEnlarge {
		r.Fit = FitShrink
	}
	if r.Fit == FitShrink || r.Fit == FitClip || r.Fit == FitAuto {
		r.NoEnlarge = false
	}
	if r.Gravity == Focal && (!r.Fit.cuts() || r.FocalX == 0.5 && r.FocalY == 0.5) || !r.Fit.cuts() && r.Fit != FitPad {
		r.Gravity = Center
	}
	if r.Gravity != Focal {
		r.FocalX, r.FocalY = 0, 0
	}
	if r.Gravity == Smart && !r.Fit.cuts() {
		r.Gravity = Center
	}
	if r.Gravity == Focal || r.Gravity == Smart || !r.Fit.cuts() && r.Fit != FitPad {
		r.GravityX, r.GravityY = 0, 0
	}
	r.Cut = r.Cut.normal()
	if r.Pixelate == 1 {
		r.Pixelate = 0
	}
	r.Text = r.Text.normal()
	if r.Region.Empty() {
		r.Region = image.Rectangle{}
	}
	// A half turn and both mirrors are one; write it as the turn, and every
	// mirrored turn with one mirror.
	switch turn := r.Turn(); turn {
	case Upright:
		r.Rotate, r.FlipH, r.FlipV = 0, false, false
	case MirrorH:
		r.Rotate, r.FlipH, r.FlipV = 0, true, false
	case Turn180:
		r.Rotate, r.FlipH, r.FlipV = 180, false, false
	case MirrorV:
		r.Rotate, r.FlipH, r.FlipV = 0, false, true
	case Turn90:
		r.Rotate, r.FlipH, r.FlipV = 90, false, false
	case Turn270:
		r.Rotate, r.FlipH, r.FlipV = 270, false, false
	case Transpose:
		r.Rotate, r.FlipH, r.FlipV = 90, true, false
	case Transverse:
		r.Rotate, r.FlipH, r.FlipV = 90, false, true
	}
	if !r.HasBackground {
		r.Background = Color{}
	}
	if r.Watermark.Name == "" {
		r.Watermark = Watermark{}
	}
	if r.AutoFormat {
		r.Format = FormatUnknown
	}
	if r.Format != FormatUnknown && !r.Format.Lossy() {
		r.Quality, r.MaxBytes = 0, 0
	}
	if r.Format != FormatUnknown && !r.Format.Animated() {
		r.Still = false
	}
	return r
}

// density is how many pixels one CSS pixel of the box gets, in as many digits as
// a number in a URL may have.
func (r Rendition) density() float64 {
	d := 1.0
	for _, f := range [...]float64{r.DPR, r.Zoom} {
		if f != 0 {
			d *= f
		}
	}
	return math.Floor(d*1e4+0.5) / 1e4
}

// Undecided says whether the geometry depends on what is seen in the picture:
// on borders, or on what draws the eye. Decide settles it.
func (r Rendition) Undecided() bool {
	return r.Trim > 0 || r.Gravity == Smart || r.Cut.Gravity == Smart
}

// Decide puts what was seen in the place of Trim and Smart: the part inside the
// borders, in pixels of the upright original, and the point that draws the eye,
// as shares (0..1) of the upright original's sides.
func (r Rendition) Decide(inside image.Rectangle, width, height int, eyeX, eyeY float64) Rendition {
	if r.Trim > 0 {
		r.Region, r.Trim = inside, 0
	}
	seen := image.Rect(0, 0, width, height)
	if !r.Region.Empty() {
		seen = seen.Intersect(r.Region)
	}
	share := func(at float64, from, size int) float64 {
		return min(max((at-float64(from))/float64(max(size, 1)), 0), 1)
	}
	x, y := eyeX*float64(width), eyeY*float64(height)
	if r.Cut.Gravity == Smart {
		r.Cut.Gravity = Focal
		r.Cut.FocalX, r.Cut.FocalY = share(x, seen.Min.X, seen.Dx()), share(y, seen.Min.Y, seen.Dy())
	}
	if r.Gravity == Smart {
		part := r.Cut.of(seen)
		at := r.Turn().forwardWindow(Window{X: x - float64(part.Min.X), Y: y - float64(part.Min.Y)}, part.Dx(), part.Dy())
		w, h := r.Turn().Size(part.Dx(), part.Dy())
		r.Gravity = Focal
		r.FocalX, r.FocalY = min(max(at.X/float64(max(w, 1)), 0), 1), min(max(at.Y/float64(max(h, 1)), 0), 1)
	}
	return r
}

// Validate says whether every number is in its range, naming the first one
// that is not.
func (r Rendition) Validate() error {
	switch {
	case r.Width < 0 || r.Width > MaxSide:
		return Invalidf("width", "%d is not between 0 and %d", r.Width, MaxSide)
	case r.Height < 0 || r.Height > MaxSide:
		return Invalidf("height", "%d is not between 0 and %d", r.Height, MaxSide)
	case r.DPR != 0 && !(r.DPR >= 0.1 && r.DPR <= MaxDPR):
		return Invalidf("dpr", "%v is not between 0.1 and %d", r.DPR, MaxDPR)
	case r.Zoom != 0 && !(r.Zoom >= 0.1 && r.Zoom <= MaxZoom):
		return Invalidf("zoom", "%v is not between 0.1 and %d", r.Zoom, MaxZoom)
	case r.Zoom != 0 && (r.Width != 0 || r.Height != 0) && !(r.density() >= 0.1 && r.density() <= MaxDPR):
		return Invalidf("zoom", "with dpr it makes %v, which is not between 0.1 and %d", r.density(), MaxDPR)
	case r.Fit >= fitCount:
		return Invalidf("fit", "no way of fitting has the number %d", r.Fit)
	case r.Gravity >= gravityCount:
		return Invalidf("gravity", "no gravity has the number %d", r.Gravity)
	case !(r.FocalX >= 0 && r.FocalX <= 1) || !(r.FocalY >= 0 && r.FocalY <= 1):
		return Invalidf("gravity", "the focal point %v, %v is not between 0 and 1", r.FocalX, r.FocalY)
	case r.Region.Min.X < 0 || r.Region.Min.Y < 0 || r.Region.Max.X > maxRegion || r.Region.Max.Y > maxRegion:
		return Invalidf("region", "%v is not between 0 and %d", r.Region, maxRegion)
	case max(r.GravityX, -r.GravityX) > MaxSide || max(r.GravityY, -r.GravityY) > MaxSide:
		return Invalidf("gravity", "the distances %d, %d are not between -%d and %d", r.GravityX, r.GravityY, MaxSide, MaxSide)
	case r.Trim < 0 || r.Trim > MaxTrim:
		return Invalidf("trim", "%d is not between 0 and %d", r.Trim, MaxTrim)
	case r.Rotate != 0 && r.Rotate != 90 && r.Rotate != 180 && r.Rotate != 270:
		return Invalidf("rotate", "%d is not 0, 90, 180 or 270", r.Rotate)
	case !(r.Blur >= 0 && r.Blur <= MaxBlur):
		return Invalidf("blur", "%v is not between 0 and %d", r.Blur, MaxBlur)
	case !(r.Sharpen >= 0 && r.Sharpen <= MaxSharpen):
		return Invalidf("sharpen", "%v is not between 0 and %d", r.Sharpen, MaxSharpen)
	case r.Pixelate < 0 || r.Pixelate > MaxPixelate:
		return Invalidf("pixelate", "%d is not between 0 and %d", r.Pixelate, MaxPixelate)
	case r.Profile > ProfileKeep:
		return Invalidf("profile", "no choice of profile has the number %d", r.Profile)
	case r.MaxBytes != 0 && (r.MaxBytes < MinMaxBytes || r.MaxBytes > MaxMaxBytes):
		return Invalidf("max_bytes", "%d is not between %d and %d", r.MaxBytes, MinMaxBytes, MaxMaxBytes)
	case r.Metadata > MetadataCopyright:
		return Invalidf("metadata", "no choice of metadata has the number %d", r.Metadata)
	case r.Quality < 0 || r.Quality > 100:
		return Invalidf("quality", "%d is not between 1 and 100", r.Quality)
	case r.Format != FormatUnknown && !r.Format.Writable():
		return Invalidf("format", "%s can be read but not written", r.Format)
	}
	for _, part := range [...]error{r.Cut.validate(), r.Colours.validate(), r.Padding.validate(), r.Text.validate()} {
		if part != nil {
			return part
		}
	}
	return r.Watermark.validate()
}

// maxRegion bounds the corners of a region: 2^20 pixels, longer than any side
// that a format here can have under the pixel limit's default.
const maxRegion = 1 << 20

func (w Watermark) validate() error {
	switch {
	case !(w.Opacity >= 0 && w.Opacity <= 1):
		return Invalidf("watermark", "the opacity %v is not between 0 and 1", w.Opacity)
	case !(w.Scale >= 0 && w.Scale <= 1):
		return Invalidf("watermark", "the scale %v is not between 0 and 1", w.Scale)
	case w.Gravity >= Focal:
		return Invalidf("watermark", "%s is no place for a watermark", w.Gravity)
	case max(w.X, -w.X) > MaxSide || max(w.Y, -w.Y) > MaxSide:
		return Invalidf("watermark", "the distances %d, %d are not between -%d and %d", w.X, w.Y, MaxSide, MaxSide)
	case w.Name != "" && !ValidName(w.Name):
		return Invalidf("watermark", "%q is not a name", w.Name)
	}
	return nil
}

// Qualities are the service's default qualities, 1..100, for requests that
// name none. Lossless formats have none.
type Qualities struct {
	// Default quality of JPEG renditions, 1 to 100.
	JPEG int `toml:"jpeg"`
	// Default quality of WebP renditions, 1 to 100.
	WebP int `toml:"webp"`
	// Default quality of AVIF renditions, 1 to 100.
	AVIF int `toml:"avif"`
}

// For is the default quality of a format, 0 where quality means nothing.
func (q Qualities) For(f Format) int {
	switch f {
	case JPEG:
		return q.JPEG
	case WebP:
		return q.WebP
	case AVIF:
		return q.AVIF
	}
	return 0
}

// Resolve settles what depends on the original and the service: the format
// (the original's where none is named, JPEG where that cannot be written) and
// the default quality. AutoFormat must have been settled before, by Negotiate.
func (r Rendition) Resolve(original Format, q Qualities) Rendition {
	if r.Format == FormatUnknown {
		r.Format = original
		if !original.Writable() {
			r.Format = JPEG
		}
	}
	r.AutoFormat = false
	if r.Quality == 0 {
		r.Quality = q.For(r.Format)
	}
	return r.Normal()
}

// ValidName says whether s can be the name of a preset, a watermark or an
// origin: 1 to 64 of a-z, 0-9, hyphen and underscore, beginning with a letter.
// Such a name is never a size, an option or a number.
func ValidName(s string) bool {
	if len(s) == 0 || len(s) > 64 || s[0] < 'a' || s[0] > 'z' {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if !(c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '_') {
			return false
		}
	}
	return true
}

// Check is Validate and the size of the box against the limits: what can be
// refused before the original is fetched.
func (r Rendition) Check(l Limits) error {
	if err := r.Validate(); err != nil {
		return err
	}
	width, height := r.box()
	if width > l.MaxOutputSide || height > l.MaxOutputSide {
		return &Error{Kind: TooLarge, Part: "max_output_side",
			Detail: fmt.Sprintf("a box of %dx%d is longer than the %d pixels allowed for a side", width, height, l.MaxOutputSide)}
	}
	return nil
}
