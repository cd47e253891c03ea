package raster

import "github.com/kamado/kamado/images/plane"

// Pixelate makes blocks of side x side pixels one colour each, the mean of
// what they show, in place; blocks begin at the upper left corner and are cut at the
// other edges. A subsampled chroma sample belongs to the block in which its
// middle lies. A side below 2 does nothing.
func Pixelate(p *plane.Picture, side int) {
	if side < 2 {
		return
	}
	n := p.Model.Components()
	alpha := p.AlphaPlane()
	for i := range n {
		pixelatePlane(&p.Planes[i], alpha, side)
	}
	if alpha != nil {
		pixelatePlane(alpha, nil, side)
	}
}

// blockEnd is the first sample after from that lies in another block, for
// samples that are sub pixels long.
func blockEnd(from, side, sub, limit int) int {
	block := (2*from + 1) * sub / 2 / side
	end := from + 1
	for end < limit && (2*end+1)*sub/2/side == block {
		end++
	}
	return end
}

// pixelatePlane averages each block, weighted by alpha where there is one.
func pixelatePlane(p, alpha *plane.Plane, side int) {
	for top := 0; top < p.Height; {
		bottom := blockEnd(top, side, p.SubY, p.Height)
		for left := 0; left < p.Width; {
			right := blockEnd(left, side, p.SubX, p.Width)
			var sum, weight uint64
			for y := top; y < bottom; y++ {
				row := p.Row(y)[left:right]
				if alpha == nil {
					for _, v := range row {
						sum += uint64(v)
					}
					weight += uint64(len(row))
					continue
				}
				a := alpha.Row(y)[left:right]
				for x, v := range row {
					sum += uint64(v) * uint64(a[x])
					weight += uint64(a[x])
				}
			}
			if weight > 0 {
				v := uint8((sum + weight/2) / weight)
				for y := top; y < bottom; y++ {
					fillRow(p.Row(y)[left:right], v)
				}
			}
			left = right
		}
		top = bottom
	}
}
