// Package look tells what is seen in a picture: what draws the eye, where
// borders of one colour end, which colours it has, and what it looks like in
// thirty bytes.
//
// Vocabulary: the eye is the point of a picture that a crop should keep; a
// swatch is a colour and how much of the picture has it; a hash is a BlurHash
// or a ThumbHash, a text or some bytes from which a page draws a placeholder
// before the picture is there.
//
// Invariants: all functions are pure and deterministic, take every model of
// plane.Picture with or without alpha, and only read it. Borders looks at the
// samples as they are and allocates nothing; the others look at a copy of at
// most some thousand pixels, so their cost does not grow with the picture
// beyond one pass to make it. Pictures must have passed plane.Picture.Check.
package look

import (
	"github.com/kamado/kamado/images/plane"
	"github.com/kamado/kamado/images/raster"
	"github.com/kamado/kamado/images/resample"
)

// small is p in RGB with at most side pixels along either side: p itself when
// it is that already.
func small(p *plane.Picture, side int) *plane.Picture {
	if longer := max(p.Width, p.Height); longer > side {
		shrink := func(v int) int { return max(1, (2*v*side+longer)/(2*longer)) }
		var r resample.Resampler
		to := new(plane.Picture)
		if err := r.Picture(to, p, resample.Whole(p), shrink(p.Width), shrink(p.Height), 1, 1, resample.Linear); err != nil {
			panic("look: a picture that passes Check can be resampled: " + err.Error())
		}
		p = to
	}
	if p.Model == plane.RGB {
		return p
	}
	to := new(plane.Picture)
	if err := raster.Convert(to, p, plane.RGB, 1, 1); err != nil {
		panic("look: every picture has its RGB: " + err.Error())
	}
	return to
}

// alphaAt is the cover of a pixel, 255 where there is no alpha.
func alphaAt(p *plane.Picture, x, y int) uint8 {
	if !p.Alpha {
		return 255
	}
	return p.AlphaPlane().Row(y)[x]
}
