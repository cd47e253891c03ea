package raster

import (
	"fmt"
	"math"

	"github.com/kamado/kamado/images/plane"
)

// Composite lays mark over base with mark's corner at (x, y) of base, in
// place. mark is RGB with or without alpha; what falls outside base is cut
// off. opacity is 0..1. base may have alpha; YCbCr may be subsampled, its
// chroma then takes the mean of the mark's over each chroma sample.
func Composite(base, mark *plane.Picture, x, y int, opacity float64) error {
	if mark.Model != plane.RGB {
		return fmt.Errorf("raster: a %s picture cannot be laid over another", mark.Model)
	}
	scale := uint32(math.Round(min(max(opacity, 0), 1) * 255))
	x0, x1 := max(x, 0), min(x+mark.Width, base.Width)
	y0, y1 := max(y, 0), min(y+mark.Height, base.Height)
	if x0 >= x1 || y0 >= y1 || scale == 0 {
		return nil
	}
	o := overlay{base: base, mark: mark, x: x, y: y, x0: x0, x1: x1, y0: y0, y1: y1, opacity: scale}
	switch base.Model {
	case plane.YCbCr:
		o.luma()
		o.chroma(1)
		o.chroma(2)
	case plane.Gray, plane.RGB:
		o.straight()
	default:
		return fmt.Errorf("raster: nothing can be laid over a %s picture", base.Model)
	}
	return nil
}

// overlay is one Composite: the part of base from (x0, y0) to (x1, y1) is
// under the mark, whose corner is at (x, y).
type overlay struct {
	base, mark     *plane.Picture
	x, y           int
	x0, x1, y0, y1 int
	opacity        uint32
}

// at gives the mark's colour and cover over pixel (px, py) of base.
func (o *overlay) at(px, py int) (r, g, b uint8, a uint32) {
	i := px - o.x
	r, g, b = o.mark.Planes[0].Row(py - o.y)[i], o.mark.Planes[1].Row(py - o.y)[i], o.mark.Planes[2].Row(py - o.y)[i]
	a = 255
	if o.mark.Alpha {
		a = uint32(o.mark.Planes[3].Row(py - o.y)[i])
	}
	return r, g, b, (a*o.opacity + 127) / 255
}

func (o *overlay) luma() {
	for py := o.y0; py < o.y1; py++ {
		row := o.base.Planes[0].Row(py)
		for px := o.x0; px < o.x1; px++ {
			r, g, b, a := o.at(px, py)
			luma, _, _ := ycbcr(r, g, b)
			row[px] = mix(row[px], luma, a)
		}
	}
}

// chroma mixes plane i (1 Cb, 2 Cr): over each of its samples the mark covers
// the mean of its cover, with the mean of its colour weighted by it.
func (o *overlay) chroma(i int) {
	p := &o.base.Planes[i]
	area := uint32(p.SubX * p.SubY)
	for cy := o.y0 / p.SubY; cy*p.SubY < o.y1; cy++ {
		row := p.Row(cy)
		for cx := o.x0 / p.SubX; cx*p.SubX < o.x1; cx++ {
			var cover, weighted uint32
			for py := max(cy*p.SubY, o.y0); py < min((cy+1)*p.SubY, o.y1); py++ {
				for px := max(cx*p.SubX, o.x0); px < min((cx+1)*p.SubX, o.x1); px++ {
					r, g, b, a := o.at(px, py)
					_, cb, cr := ycbcr(r, g, b)
					v := cb
					if i == 2 {
						v = cr
					}
					cover += a
					weighted += a * uint32(v)
				}
			}
			if cover > 0 {
				row[cx] = mix(row[cx], uint8((weighted+cover/2)/cover), (cover+area/2)/area)
			}
		}
	}
}

// straight mixes onto Gray or RGB, with alpha as Porter and Duff's "over".
func (o *overlay) straight() {
	n := o.base.Model.Components()
	for py := o.y0; py < o.y1; py++ {
		for px := o.x0; px < o.x1; px++ {
			r, g, b, a := o.at(px, py)
			over := [3]uint8{r, g, b}
			if n == 1 {
				over[0], _, _ = ycbcr(r, g, b)
			}
			if o.base.Alpha {
				under := &o.base.Planes[n].Row(py)[px]
				total := a*255 + uint32(*under)*(255-a) // cover of both, in 255ths squared
				if total == 0 {
					continue
				}
				*under = uint8((total + 127) / 255)
				a = (a*255*255 + total/2) / total // the mark's share of the colour
			}
			for i := range n {
				v := &o.base.Planes[i].Row(py)[px]
				*v = mix(*v, over[i], a)
			}
		}
	}
}
