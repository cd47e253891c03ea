package images

// Fit is the way in which a picture is brought into a box of Width x Height.
type Fit uint8

// The ways of fitting. When only one side of the box is given, the other
// follows from the shape of the original; FitStretch apart, all then mean the same
// as those of them that do, or do not, enlarge.
const (
	// FitInside: as large as fits into the box, shape kept; may enlarge.
	FitInside Fit = iota
	// FitShrink: the same, but never larger than the original.
	FitShrink
	// FitCrop: exactly the box, shape kept; what does not fit is cut off,
	// where Gravity says. May enlarge unless Rendition.NoEnlarge.
	FitCrop
	// FitPad: as FitInside, then surrounded with the background to exactly
	// the box; Gravity says where the picture lies in it.
	FitPad
	// FitStretch: exactly the box, shape not kept.
	FitStretch
	// FitClip: shrunk until it just covers the box, never enlarged; what is
	// over the box is cut off, where Gravity says. A small picture stays small.
	FitClip
	// FitAuto: FitClip when picture and box are both wide or both tall, else
	// FitShrink.
	FitAuto

	fitCount
)

var fitNames = [fitCount]string{"inside", "shrink", "crop", "pad", "stretch", "clip", "auto"}

// String is the name in URLs and presets.
func (f Fit) String() string {
	if f < fitCount {
		return fitNames[f]
	}
	return "fit?"
}

// ParseFit is the inverse of String.
func ParseFit(s string) (Fit, bool) {
	for f, name := range fitNames {
		if s == name {
			return Fit(f), true
		}
	}
	return 0, false
}

// cuts says whether a way of fitting may cut something off.
func (f Fit) cuts() bool { return f == FitCrop || f == FitClip || f == FitAuto }
