package raster

import (
	"math"

	"github.com/kamado/kamado/images/plane"
)

// Filters are the filter functions of CSS (W3C Filter Effects 1, §8) in the
// order in which they are applied. The zero value changes nothing.
type Filters struct {
	Brightness int // percent more: -100 is black, 100 twice the light
	Contrast   int // percent more: -100 is grey, 100 twice the contrast
	Saturation int // percent more: -100 is grey, 100 twice the saturation
	Hue        int // degrees
}

// matrix is a change of colour: three rows for red, green and blue (or luma
// and the chroma), of three factors and what is added, in levels.
type matrix [3][4]float64

// then is a after which b is done.
func (a matrix) then(b matrix) matrix {
	var m matrix
	for i := range m {
		for j := range 4 {
			for k := range 3 {
				m[i][j] += b[i][k] * a[k][j]
			}
		}
		m[i][3] += b[i][3]
	}
	return m
}

// Shares of light that the matrices of saturation and hue keep (§8, as
// feColorMatrix has them).
var lightShares = [3]float64{0.213, 0.715, 0.072}

// turnOfHue is what the sine of the angle adds in hue-rotate.
var turnOfHue = [3][3]float64{{-0.213, -0.715, 0.928}, {0.143, 0.140, -0.283}, {-0.787, 0.715, 0.072}}

// matrix is all filters as one, without clamping between them.
func (f Filters) matrix() matrix {
	scale := func(v, add float64) matrix {
		return matrix{{v, 0, 0, add}, {0, v, 0, add}, {0, 0, v, add}}
	}
	// chroma keeps the light, and of the rest the share by, and turned the share turned.
	chroma := func(by, turned float64) (m matrix) {
		for i := range m {
			for k := range 3 {
				m[i][k] = lightShares[k]*(1-by) + turned*turnOfHue[i][k]
			}
			m[i][i] += by
		}
		return m
	}
	contrast := 1 + float64(f.Contrast)/100
	sin, cos := math.Sincos(float64(f.Hue) * math.Pi / 180)
	return scale(1+float64(f.Brightness)/100, 0).
		then(scale(contrast, 127.5*(1-contrast))).
		then(chroma(1+float64(f.Saturation)/100, 0)).
		then(chroma(cos, sin))
}

// inYCbCr is the same change for luma and for chroma less 128, which is
// affine in them too.
func (a matrix) inYCbCr() matrix {
	forward := matrix{{yR, yG, yB}, {cbR, cbG, cbB}, {crR, crG, crB}}
	back := matrix{{1 << 16, 0, rCr}, {1 << 16, gCb, gCr}, {1 << 16, bCb, 0}}
	for i := range 3 {
		for k := range 3 {
			forward[i][k] /= 1 << 16
			back[i][k] /= 1 << 16
		}
	}
	return back.then(a).then(forward)
}

// fixed is a matrix with 16 fraction bits; the sums of rows stay below 2^31, as
// the factors of a row sum to at most 32.
type fixed [3][4]int32

func (a matrix) fixed() (f fixed) {
	for i := range f {
		for k := range 3 {
			f[i][k] = int32(math.Round(a[i][k] * (1 << 16)))
		}
		f[i][3] = int32(math.Round((a[i][3] + 0.5) * (1 << 16)))
	}
	return f
}

func (f *fixed) row(i int, a, b, c int32) int32 {
	m := &f[i]
	return (m[0]*a + m[1]*b + m[2]*c + m[3]) >> 16
}

// Adjust changes the colours of a Gray, YCbCr or RGB picture, in place. Alpha
// stays. The result is what clamped RGB would give, within a level of rounding,
// where the colours were those of RGB before.
func Adjust(p *plane.Picture, filters Filters) {
	m := filters.matrix()
	switch p.Model {
	case plane.Gray:
		adjustGray(&p.Planes[0], m)
	case plane.RGB:
		adjustRGB(p, m.fixed())
	case plane.YCbCr:
		adjustYCbCr(p, m.fixed(), m.inYCbCr().fixed())
	}
}

// adjustGray: grey stays grey in all filters, so each level has one result.
func adjustGray(p *plane.Plane, m matrix) {
	f := m.fixed()
	var table [256]uint8
	for v := range table {
		table[v] = clamp8(f.row(1, int32(v), int32(v), int32(v)))
	}
	for y := range p.Height {
		row := p.Row(y)
		for x, v := range row {
			row[x] = table[v]
		}
	}
}

func adjustRGB(p *plane.Picture, f fixed) {
	for y := range p.Height {
		r, g, b := p.Planes[0].Row(y), p.Planes[1].Row(y), p.Planes[2].Row(y)
		g, b = g[:len(r)], b[:len(r)]
		for x := range r {
			ri, gi, bi := int32(r[x]), int32(g[x]), int32(b[x])
			r[x], g[x], b[x] = clamp8(f.row(0, ri, gi, bi)), clamp8(f.row(1, ri, gi, bi)), clamp8(f.row(2, ri, gi, bi))
		}
	}
}

// adjustYCbCr changes each chroma sample and the lumas it belongs to. Where a
// result leaves the range, it goes through RGB, which clamps other colours.
func adjustYCbCr(p *plane.Picture, inRGB, f fixed) {
	luma, cb, cr := &p.Planes[0], &p.Planes[1], &p.Planes[2]
	for cy := range cb.Height {
		top, bottom := cy*cb.SubY, min((cy+1)*cb.SubY, p.Height)
		rowB, rowR := cb.Row(cy), cr.Row(cy)
		for cx := range rowB {
			left, right := cx*cb.SubX, min((cx+1)*cb.SubX, p.Width)
			b, r := int32(rowB[cx])-128, int32(rowR[cx])-128
			// Rows 1 and 2 have no part of luma: the filters keep grey grey.
			newB, newR := f.row(1, 0, b, r)+128, f.row(2, 0, b, r)+128
			seen := newB | newR
			add := f[0][1]*b + f[0][2]*r + f[0][3]
			for y := top; y < bottom; y++ {
				for _, v := range luma.Row(y)[left:right] {
					seen |= (f[0][0]*int32(v) + add) >> 16
				}
			}
			if uint32(seen) > 255 {
				rowB[cx], rowR[cx] = adjustBlock(luma, left, right, top, bottom, rowB[cx], rowR[cx], &inRGB)
				continue
			}
			rowB[cx], rowR[cx] = uint8(newB), uint8(newR)
			for y := top; y < bottom; y++ {
				row := luma.Row(y)[left:right]
				for x, v := range row {
					row[x] = uint8((f[0][0]*int32(v) + add) >> 16)
				}
			}
		}
	}
}

// adjustBlock changes the pixels of one chroma sample in RGB, and gives the
// mean of their chroma.
func adjustBlock(luma *plane.Plane, left, right, top, bottom int, cb, cr uint8, f *fixed) (uint8, uint8) {
	var sumB, sumR int
	for y := top; y < bottom; y++ {
		row := luma.Row(y)[left:right]
		for x, v := range row {
			r, g, b := rgb(v, cb, cr)
			ri, gi, bi := int32(r), int32(g), int32(b)
			newY, newB, newR := ycbcr(clamp8(f.row(0, ri, gi, bi)), clamp8(f.row(1, ri, gi, bi)), clamp8(f.row(2, ri, gi, bi)))
			row[x] = newY
			sumB, sumR = sumB+int(newB), sumR+int(newR)
		}
	}
	n := (bottom - top) * (right - left)
	return uint8((sumB + n/2) / n), uint8((sumR + n/2) / n)
}
