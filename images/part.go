package images

import (
	"image"
	"math"
	"unicode"
	"unicode/utf8"
)

// normal drops what has no effect.
func (c Cut) normal() Cut {
	if c.Width == 0 && c.Height == 0 {
		return Cut{}
	}
	if c.Gravity == Focal && c.FocalX == 0.5 && c.FocalY == 0.5 {
		c.Gravity = Center
	}
	if c.Gravity != Focal {
		c.FocalX, c.FocalY = 0, 0
	}
	return c
}

func (c Cut) validate() error {
	side := func(v float64) bool { return v >= 0 && v < 1 || v <= maxRegion && v == math.Floor(v) }
	switch {
	case !side(c.Width) || !side(c.Height):
		return Invalidf("cut", "%v, %v are not whole numbers of pixels up to %d or shares below 1", c.Width, c.Height, maxRegion)
	case c.Gravity >= gravityCount:
		return Invalidf("cut", "no gravity has the number %d", c.Gravity)
	case !(c.FocalX >= 0 && c.FocalX <= 1) || !(c.FocalY >= 0 && c.FocalY <= 1):
		return Invalidf("cut", "the focal point %v, %v is not between 0 and 1", c.FocalX, c.FocalY)
	}
	return nil
}

// of is the part that is cut out of what is seen. Smart counts as the middle.
func (c Cut) of(seen image.Rectangle) image.Rectangle {
	if c.Width == 0 && c.Height == 0 {
		return seen
	}
	x, y := c.Gravity.share()
	focalX, focalY := math.NaN(), math.NaN()
	if c.Gravity == Focal {
		focalX, focalY = c.FocalX, c.FocalY
	}
	w, h := cutSide(c.Width, seen.Dx()), cutSide(c.Height, seen.Dy())
	left := seen.Min.X + int(cut(float64(seen.Dx()), w, x, focalX, 0))
	top := seen.Min.Y + int(cut(float64(seen.Dy()), h, y, focalY, 0))
	return image.Rect(left, top, left+w, top+h)
}

// cutSide is how many of size pixels a side of a Cut is.
func cutSide(v float64, size int) int {
	switch {
	case v == 0:
		return size
	case v < 1:
		return max(1, int(v*float64(size)+0.5))
	}
	return min(int(v), size)
}

func (c Colours) validate() error {
	for _, v := range [...]struct {
		name  string
		value int
	}{{"brightness", c.Brightness}, {"contrast", c.Contrast}, {"saturation", c.Saturation}} {
		if v.value < -100 || v.value > 100 {
			return Invalidf(v.name, "%d is not between -100 and 100", v.value)
		}
	}
	if c.Hue < 0 || c.Hue > 359 {
		return Invalidf("hue", "%d is not between 0 and 359", c.Hue)
	}
	return nil
}

func (p Padding) validate() error {
	for _, v := range [...]int{p.Top, p.Right, p.Bottom, p.Left} {
		if v < 0 || v > MaxPadding {
			return Invalidf("padding", "%d is not between 0 and %d", v, MaxPadding)
		}
	}
	return nil
}

// Defaults of a Text whose URL says the words alone.
const (
	defaultTextSize    = 24
	defaultTextOpacity = 1
)

// normal fills in what a URL may leave out.
func (t Text) normal() Text {
	if t.Words == "" {
		return Text{}
	}
	if t.Size == 0 {
		t.Size = defaultTextSize
	}
	if t.Opacity == 0 {
		t.Opacity = defaultTextOpacity
	}
	return t
}

func (t Text) validate() error {
	switch {
	case len(t.Words) > MaxText:
		return Invalidf("text", "it is longer than %d bytes", MaxText)
	case !utf8.ValidString(t.Words):
		return Invalidf("text", "it is not UTF-8")
	case t.Size < 0 || t.Size > MaxTextSize:
		return Invalidf("text", "the size %d is not between 1 and %d", t.Size, MaxTextSize)
	case !(t.Opacity >= 0 && t.Opacity <= 1):
		return Invalidf("text", "the opacity %v is not between 0 and 1", t.Opacity)
	case t.Gravity >= Focal:
		return Invalidf("text", "%s is no place for a text", t.Gravity)
	case max(t.X, -t.X) > MaxSide || max(t.Y, -t.Y) > MaxSide:
		return Invalidf("text", "the distances %d, %d are not between -%d and %d", t.X, t.Y, MaxSide, MaxSide)
	}
	for _, c := range t.Words {
		if c != '\n' && !unicode.IsGraphic(c) {
			return Invalidf("text", "it has a character that cannot be seen: %U", c)
		}
	}
	return nil
}
