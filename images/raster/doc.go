// Package raster holds the operations on pictures after they have their size:
// turning, cropping, padding, blurring, sharpening, making blocks, adjusting
// colours, laying one over another, and changing the colour model.
//
// Every operation works plane by plane, so that one implementation serves
// subsampled YCbCr, RGB and grey alike. Pictures with alpha are Gray or RGB,
// never YCbCr: what comes from a JPEG has none, and what is made from RGB is
// flattened before it becomes YCbCr. Alpha is straight; operations that mix
// neighbouring samples premultiply inside.
//
// Sizes are trusted to fit plane.Picture.Check; destinations are given their
// shape here and reuse their memory. Resampling is not done here but in
// images/resample.
package raster

import (
	"github.com/kamado/kamado/images/plane"
	"github.com/kamado/kamado/images/resample"
)

// Color is an opaque sRGB colour.
type Color struct{ R, G, B uint8 }

// Scratch is memory that operations need between two calls. The zero value is
// ready; it must not be used by two goroutines at a time.
type Scratch struct {
	resampler resample.Resampler // which blurs with its kernels
	blurred   plane.Plane
	luma      plane.Plane // of an RGB picture that is sharpened
}
