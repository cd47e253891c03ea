package raster

import (
	"fmt"

	"github.com/kamado/kamado/images/plane"
)

// Convert writes src into dst in another colour model: Gray, YCbCr with
// chroma subsampled by subX and subY, or RGB. Alpha is kept for Gray and RGB
// and must have been flattened for YCbCr. Chroma is averaged over its samples
// when it is subsampled and repeated when it is not: scale with
// images/resample where that would show. CMYK becomes RGB without a profile,
// as (255-ink)*(255-black)/255.
func Convert(dst, src *plane.Picture, m plane.Model, subX, subY int) error {
	if m == plane.CMYK || m == plane.YCbCr && src.Alpha {
		return fmt.Errorf("raster: cannot convert %s (alpha %t) to %s", src.Model, src.Alpha, m)
	}
	if subX < 1 || subY < 1 || subX > 4 || subY > 4 {
		return fmt.Errorf("raster: cannot subsample chroma by %dx%d", subX, subY)
	}
	dst.Reset(m, src.Alpha, src.Width, src.Height, subX, subY)
	dst.ExactWidth, dst.ExactHeight = src.ExactWidth, src.ExactHeight
	if src.Alpha {
		copyPlane(dst.AlphaPlane(), src.AlphaPlane())
	}
	switch m {
	case plane.Gray:
		toGray(dst, src)
	case plane.RGB:
		toRGB(dst, src)
	default:
		toYCbCr(dst, src)
	}
	return nil
}

func copyPlane(dst, src *plane.Plane) {
	for y := range dst.Height {
		copy(dst.Row(y), src.Row(y))
	}
}

// pixels gives the RGB of row y of a picture of any model, into out.
func pixels(src *plane.Picture, y int, out [][3]uint8) {
	switch src.Model {
	case plane.Gray:
		for x, v := range src.Planes[0].Row(y)[:len(out)] {
			out[x] = [3]uint8{v, v, v}
		}
	case plane.RGB:
		r, g, b := src.Planes[0].Row(y), src.Planes[1].Row(y), src.Planes[2].Row(y)
		for x := range out {
			out[x] = [3]uint8{r[x], g[x], b[x]}
		}
	case plane.CMYK:
		c, m, ye, k := src.Planes[0].Row(y), src.Planes[1].Row(y), src.Planes[2].Row(y), src.Planes[3].Row(y)
		for x := range out {
			white := 255 - uint32(k[x])
			ink := func(v uint8) uint8 { return uint8(((255-uint32(v))*white + 127) / 255) }
			out[x] = [3]uint8{ink(c[x]), ink(m[x]), ink(ye[x])}
		}
	default:
		cbp, crp := &src.Planes[1], &src.Planes[2]
		luma, cb, cr := src.Planes[0].Row(y), cbp.Row(y/cbp.SubY), crp.Row(y/crp.SubY)
		for x := range out {
			r, g, b := rgb(luma[x], cb[x/cbp.SubX], cr[x/crp.SubX])
			out[x] = [3]uint8{r, g, b}
		}
	}
}

func toGray(dst, src *plane.Picture) {
	if src.Model == plane.Gray || src.Model == plane.YCbCr {
		copyPlane(&dst.Planes[0], &src.Planes[0])
		return
	}
	line := make([][3]uint8, src.Width)
	for y := range src.Height {
		pixels(src, y, line)
		row := dst.Planes[0].Row(y)
		for x, p := range line {
			row[x], _, _ = ycbcr(p[0], p[1], p[2])
		}
	}
}

func toRGB(dst, src *plane.Picture) {
	if src.Model == plane.RGB {
		for i := range 3 {
			copyPlane(&dst.Planes[i], &src.Planes[i])
		}
		return
	}
	line := make([][3]uint8, src.Width)
	for y := range src.Height {
		pixels(src, y, line)
		r, g, b := dst.Planes[0].Row(y), dst.Planes[1].Row(y), dst.Planes[2].Row(y)
		for x, p := range line {
			r[x], g[x], b[x] = p[0], p[1], p[2]
		}
	}
}

// toYCbCr converts row by row and averages chroma over each block of
// SubX x SubY pixels, fewer at the right and lower edges.
func toYCbCr(dst, src *plane.Picture) {
	cb, cr := &dst.Planes[1], &dst.Planes[2]
	line := make([][3]uint8, src.Width)
	sums := make([][3]int32, cb.Width) // of Cb, of Cr, how many
	for y := range src.Height {
		pixels(src, y, line)
		row := dst.Planes[0].Row(y)
		for x, p := range line {
			luma, b, r := ycbcr(p[0], p[1], p[2])
			row[x] = luma
			s := &sums[x/cb.SubX]
			s[0] += int32(b)
			s[1] += int32(r)
			s[2]++
		}
		if (y+1)%cb.SubY != 0 && y+1 != src.Height {
			continue
		}
		b, r := cb.Row(y/cb.SubY), cr.Row(y/cb.SubY)
		for x := range sums {
			s := &sums[x]
			b[x], r[x] = uint8((s[0]+s[2]/2)/s[2]), uint8((s[1]+s[2]/2)/s[2])
			*s = [3]int32{}
		}
	}
}

// Flatten lays a picture over a background and drops its alpha, in place.
func Flatten(p *plane.Picture, background Color) {
	if !p.Alpha {
		return
	}
	under := background.samples(p.Model)
	alpha := p.AlphaPlane()
	for i := range p.Model.Components() {
		for y := range p.Height {
			row, a := p.Planes[i].Row(y), alpha.Row(y)
			for x := range row {
				row[x] = mix(under[i], row[x], uint32(a[x]))
			}
		}
	}
	p.Alpha = false
}

// mix is under*(1-a) + over*a for a in 0..255, rounded.
func mix(under, over uint8, a uint32) uint8 {
	v := uint32(under)*(255-a) + uint32(over)*a + 127
	return uint8(v / 255)
}
