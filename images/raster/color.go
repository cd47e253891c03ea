package raster

import "github.com/kamado/kamado/images/plane"

// The matrix of JFIF (BT.601, full range) in 16-bit fixed point; the rows of
// the forward matrix sum to 65536, 0 and 0, so that grey stays grey.
const (
	yR, yG, yB    = 19595, 38470, 7471
	cbR, cbG, cbB = -11059, -21709, 32768
	crR, crG, crB = 32768, -27439, -5329

	rCr = 91881  // 1.402
	gCb = -22554 // -0.344136
	gCr = -46802 // -0.714136
	bCb = 116130 // 1.772
)

func clamp8(v int32) uint8 {
	if uint32(v) > 255 {
		return uint8(^(v >> 31)) // below 0: 0, above: 255
	}
	return uint8(v)
}

// ycbcr gives the samples of an RGB colour, rounded.
func ycbcr(r, g, b uint8) (y, cb, cr uint8) {
	ri, gi, bi := int32(r), int32(g), int32(b)
	y = uint8((yR*ri + yG*gi + yB*bi + 1<<15) >> 16)
	cb = clamp8((cbR*ri + cbG*gi + cbB*bi + 128<<16 + 1<<15) >> 16)
	cr = clamp8((crR*ri + crG*gi + crB*bi + 128<<16 + 1<<15) >> 16)
	return y, cb, cr
}

// rgb is the inverse of ycbcr, rounded and clamped.
func rgb(y, cb, cr uint8) (r, g, b uint8) {
	yi := int32(y)<<16 + 1<<15
	cbi, cri := int32(cb)-128, int32(cr)-128
	return clamp8((yi + rCr*cri) >> 16), clamp8((yi + gCb*cbi + gCr*cri) >> 16), clamp8((yi + bCb*cbi) >> 16)
}

// samples is the colour in a model's samples. CMYK has no use for a
// background and gets the naive inks.
func (c Color) samples(m plane.Model) [4]uint8 {
	switch m {
	case plane.Gray:
		y, _, _ := ycbcr(c.R, c.G, c.B)
		return [4]uint8{y}
	case plane.YCbCr:
		y, cb, cr := ycbcr(c.R, c.G, c.B)
		return [4]uint8{y, cb, cr}
	case plane.CMYK:
		return [4]uint8{255 - c.R, 255 - c.G, 255 - c.B, 0}
	default:
		return [4]uint8{c.R, c.G, c.B}
	}
}

// Neutral says whether a colour is a grey that a Gray picture can hold.
func (c Color) Neutral() bool { return c.R == c.G && c.G == c.B }
