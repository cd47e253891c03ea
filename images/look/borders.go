package look

import (
	"image"
	"image/color"

	"github.com/kamado/kamado/images/plane"
)

// Borders is the part of a picture, or of what of it lies within a rectangle,
// inside borders of one colour: rows and columns at the edges whose every pixel
// differs from the upper left one by at most threshold levels in red, green,
// blue and alpha. Where there is alpha, colours count as far as they cover, so
// that all that is transparent is one colour. What has one colour stays whole.
func Borders(p *plane.Picture, within image.Rectangle, threshold int) image.Rectangle {
	all := image.Rect(0, 0, p.Width, p.Height)
	if part := all.Intersect(within); !part.Empty() {
		all = part
	}
	e := edge{p: p, threshold: int32(threshold)}
	e.set(all.Min.X, all.Min.Y)
	in := all
	for in.Min.Y < in.Max.Y && e.first(in.Min.Y, all.Min.X, all.Max.X) == all.Max.X {
		in.Min.Y++
	}
	if in.Empty() {
		return all
	}
	for e.first(in.Max.Y-1, all.Min.X, all.Max.X) == all.Max.X {
		in.Max.Y--
	}
	// Each row can only move the sides outwards, so it is looked at beyond
	// them and no further.
	left, right := all.Max.X, all.Min.X
	for y := in.Min.Y; y < in.Max.Y; y++ {
		left = min(left, e.first(y, all.Min.X, left))
		right = max(right, e.last(y, right, all.Max.X))
	}
	in.Min.X, in.Max.X = left, right
	return in
}

// edge looks for the end of a border.
type edge struct {
	p         *plane.Picture
	threshold int32
	like      [4]int32 // red, green, blue, alpha of the border
	samples   [5]uint8 // the same as they lie in the planes
}

// set takes the border's colour from a pixel.
func (e *edge) set(x, y int) {
	e.like = e.colour(x, y)
	for i := range e.p.N() {
		q := &e.p.Planes[i]
		e.samples[i] = q.Pix[y/q.SubY*q.Stride+x/q.SubX]
	}
}

// equal says whether a pixel has just the samples of the border, which most of
// a border has.
func (e *edge) equal(x, y int) bool {
	for i := range e.p.N() {
		q := &e.p.Planes[i]
		if q.Pix[y/q.SubY*q.Stride+x/q.SubX] != e.samples[i] {
			return false
		}
	}
	return true
}

// colour is a pixel's colour times its alpha, and its alpha.
func (e *edge) colour(x, y int) [4]int32 {
	p := e.p
	at := func(i int) uint8 {
		q := &p.Planes[i]
		return q.Pix[y/q.SubY*q.Stride+x/q.SubX]
	}
	var r, g, b uint8
	switch p.Model {
	case plane.Gray:
		r = at(0)
		g, b = r, r
	case plane.YCbCr:
		r, g, b = color.YCbCrToRGB(at(0), at(1), at(2))
	case plane.CMYK:
		r, g, b = color.CMYKToRGB(at(0), at(1), at(2), at(3))
	default:
		r, g, b = at(0), at(1), at(2)
	}
	if !p.Alpha {
		return [4]int32{int32(r), int32(g), int32(b), 255}
	}
	a := int32(at(p.Model.Components()))
	over := func(v uint8) int32 { return (int32(v)*a + 127) / 255 }
	return [4]int32{over(r), over(g), over(b), a}
}

// border says whether a pixel belongs to the border.
func (e *edge) border(x, y int) bool {
	if e.equal(x, y) {
		return true
	}
	c := e.colour(x, y)
	for i, v := range c {
		if d := v - e.like[i]; max(d, -d) > e.threshold {
			return false
		}
	}
	return true
}

// first is the first of x0..x1-1 in row y that does not belong to the border,
// x1 when all do.
func (e *edge) first(y, x0, x1 int) int {
	for x := x0; x < x1; x++ {
		if !e.border(x, y) {
			return x
		}
	}
	return x1
}

// last is one more than the last of x0..x1-1 that does not belong to the
// border, x0 when all do.
func (e *edge) last(y, x0, x1 int) int {
	for x := x1; x > x0; x-- {
		if !e.border(x-1, y) {
			return x
		}
	}
	return x0
}
