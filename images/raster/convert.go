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

// lumaRow gives the luma of a row of RGB.
func lumaRow(out, r, g, b []uint8) {
	r, g, b = r[:len(out)], g[:len(out)], b[:len(out)]
	for x := range out {
		out[x] = uint8((yR*uint32(r[x]) + yG*uint32(g[x]) + yB*uint32(b[x]) + 1<<15) >> 16)
	}
}

// inksRow turns a row of ink amounts to RGB.
func inksRow(r, g, b []uint8, src *plane.Picture, y int) {
	k := src.Planes[3].Row(y)
	for i, out := range [3][]uint8{r, g, b} {
		ink := src.Planes[i].Row(y)[:len(out)]
		for x := range out {
			out[x] = uint8(((255-uint32(ink[x]))*(255-uint32(k[x])) + 127) / 255)
		}
	}
}

func toGray(dst, src *plane.Picture) {
	out := &dst.Planes[0]
	switch src.Model {
	case plane.Gray, plane.YCbCr:
		copyPlane(out, &src.Planes[0])
	case plane.RGB:
		for y := range out.Height {
			lumaRow(out.Row(y), src.Planes[0].Row(y), src.Planes[1].Row(y), src.Planes[2].Row(y))
		}
	default:
		line := make([]uint8, 3*src.Width)
		r, g, b := line[:src.Width], line[src.Width:2*src.Width], line[2*src.Width:]
		for y := range out.Height {
			inksRow(r, g, b, src, y)
			lumaRow(out.Row(y), r, g, b)
		}
	}
}

func toRGB(dst, src *plane.Picture) {
	for i := range 3 {
		switch src.Model {
		case plane.Gray:
			copyPlane(&dst.Planes[i], &src.Planes[0])
		case plane.RGB:
			copyPlane(&dst.Planes[i], &src.Planes[i])
		}
	}
	for y := range dst.Height {
		r, g, b := dst.Planes[0].Row(y), dst.Planes[1].Row(y), dst.Planes[2].Row(y)
		switch src.Model {
		case plane.CMYK:
			inksRow(r, g, b, src, y)
		case plane.YCbCr:
			colourRow(r, g, b, src, y)
		}
	}
}

// colourRow turns a row of YCbCr to RGB.
func colourRow(r, g, b []uint8, src *plane.Picture, y int) {
	cbp, crp := &src.Planes[1], &src.Planes[2]
	luma, cb, cr := src.Planes[0].Row(y), cbp.Row(y/cbp.SubY), crp.Row(y/crp.SubY)
	luma, g, b = luma[:len(r)], g[:len(r)], b[:len(r)]
	if cbp.SubX == 1 && crp.SubX == 1 {
		cb, cr = cb[:len(r)], cr[:len(r)]
		for x := range r {
			r[x], g[x], b[x] = rgb(luma[x], cb[x], cr[x])
		}
		return
	}
	for x := range r {
		r[x], g[x], b[x] = rgb(luma[x], cb[x/cbp.SubX], cr[x/crp.SubX])
	}
}

// toYCbCr converts to luma, and averages over each block of SubX x SubY
// pixels, fewer at the right and lower edges, for chroma.
func toYCbCr(dst, src *plane.Picture) {
	switch src.Model {
	case plane.Gray:
		copyPlane(&dst.Planes[0], &src.Planes[0])
		for i := 1; i < 3; i++ {
			for y := range dst.Planes[i].Height {
				fillRow(dst.Planes[i].Row(y), 128)
			}
		}
	case plane.YCbCr:
		copyPlane(&dst.Planes[0], &src.Planes[0])
		for i := 1; i < 3; i++ {
			meanPlane(&dst.Planes[i], &src.Planes[i], src.Width, src.Height)
		}
	default:
		fromRGB(dst, src)
	}
}

// meanPlane changes the subsampling of a plane of a picture of width x height.
func meanPlane(dst, src *plane.Plane, width, height int) {
	if dst.SubX == src.SubX && dst.SubY == src.SubY {
		copyPlane(dst, src)
		return
	}
	for cy := range dst.Height {
		row := dst.Row(cy)
		for cx := range row {
			sum, n := 0, 0
			for y := cy * dst.SubY; y < min((cy+1)*dst.SubY, height); y++ {
				for x := cx * dst.SubX; x < min((cx+1)*dst.SubX, width); x++ {
					sum += int(src.Pix[y/src.SubY*src.Stride+x/src.SubX])
					n++
				}
			}
			row[cx] = uint8((sum + n/2) / n)
		}
	}
}

// fromRGB converts RGB and CMYK. Chroma is linear in RGB, so that of the sums
// of a block's colours is the sum of its chroma, at a quarter of the work.
func fromRGB(dst, src *plane.Picture) {
	cb, cr := &dst.Planes[1], &dst.Planes[2]
	width := src.Width
	line := make([]uint8, 3*width) // of RGB, where src holds inks
	sums := make([]int32, 3*cb.Width)
	sr, sg, sb := sums[:cb.Width], sums[cb.Width:2*cb.Width], sums[2*cb.Width:]
	for y := range src.Height {
		r, g, b := line[:width], line[width:2*width], line[2*width:]
		if src.Model == plane.CMYK {
			inksRow(r, g, b, src, y)
		} else {
			r, g, b = src.Planes[0].Row(y)[:width], src.Planes[1].Row(y)[:width], src.Planes[2].Row(y)[:width]
		}
		lumaRow(dst.Planes[0].Row(y), r, g, b)
		addRow(sr, r, cb.SubX)
		addRow(sg, g, cb.SubX)
		addRow(sb, b, cb.SubX)
		if (y+1)%cb.SubY != 0 && y+1 != src.Height {
			continue
		}
		rows := int32(y%cb.SubY + 1)
		cbRow, crRow := cb.Row(y/cb.SubY), cr.Row(y/cb.SubY)
		for x := range cbRow {
			n := rows * int32(min(cb.SubX, width-x*cb.SubX))
			half := 128<<16*n + n<<15
			cbRow[x] = clamp8(divided(cbR*sr[x]+cbG*sg[x]+cbB*sb[x]+half, n) >> 16)
			crRow[x] = clamp8(divided(crR*sr[x]+crG*sg[x]+crB*sb[x]+half, n) >> 16)
		}
		clear(sums)
	}
}

// divided is v/n for the sizes of blocks that occur, the common ones by shifts.
// v is not negative.
func divided(v, n int32) int32 {
	switch n {
	case 1:
		return v
	case 2:
		return v >> 1
	case 4:
		return v >> 2
	}
	return v / n
}

// addRow adds each run of sub samples to its sum.
func addRow(sums []int32, row []uint8, sub int) {
	switch sub {
	case 1:
		for x, v := range row {
			sums[x] += int32(v)
		}
	case 2:
		n := len(row) / 2
		for x := range n {
			sums[x] += int32(row[2*x]) + int32(row[2*x+1])
		}
		if len(row)%2 == 1 {
			sums[n] += int32(row[len(row)-1])
		}
	default:
		for x, v := range row {
			sums[x/sub] += int32(v)
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

// AddAlpha gives a Gray or RGB picture without alpha one that is opaque.
func AddAlpha(p *plane.Picture) {
	if p.Alpha {
		return
	}
	p.Alpha = true
	alpha := p.AlphaPlane()
	alpha.Reset(p.Width, p.Height, 1, 1)
	for y := range alpha.Height {
		fillRow(alpha.Row(y), 255)
	}
}

// mix is under*(1-a) + over*a for a in 0..255, rounded.
func mix(under, over uint8, a uint32) uint8 {
	v := uint32(under)*(255-a) + uint32(over)*a + 127
	return uint8(v / 255)
}
