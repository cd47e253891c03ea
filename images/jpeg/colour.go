package jpeg

import "github.com/kamado/kamado/images/plane"

// finish makes the planes what their model promises, after all are decoded.
func (d *Decoder) finish(dst *plane.Picture) {
	f := &d.frame
	if d.expanding {
		for i := range f.n {
			expand(&dst.Planes[i], &d.native[i])
		}
	}
	if f.n != 4 || !f.adobe {
		return
	}
	// Adobe writes ink inverted, and YCCK is the YCbCr of inverted ink.
	if f.adobeTransform != 0 {
		inkFromYCC(&dst.Planes[0], &dst.Planes[1], &dst.Planes[2])
	} else {
		for i := range 3 {
			invert(&dst.Planes[i])
		}
	}
	invert(&dst.Planes[3])
}

// expand repeats the samples of src, which covers the same area at a whole
// ratio, to fill dst.
func expand(dst, src *plane.Plane) {
	fx, fy := src.SubX, src.SubY
	for y := range dst.Height {
		out := dst.Row(y)
		if y%fy != 0 {
			copy(out, dst.Row(y-1))
			continue
		}
		in := src.Row(y / fy)
		if fx == 1 {
			copy(out, in)
			continue
		}
		for x := range out {
			out[x] = in[x/fx]
		}
	}
}

func invert(p *plane.Plane) {
	for y := range p.Height {
		row := p.Row(y)
		for x, v := range row {
			row[x] = ^v
		}
	}
}

// Factors of JFIF's YCbCr to RGB, scaled by 2^16.
const (
	crToR = 91881
	cbToB = 116130
	crToG = 46802
	cbToG = 22554
	half  = 1 << 15
)

// inkFromYCC turns Y, Cb and Cr in place to cyan, magenta and yellow ink:
// red of YCbCr is inverted cyan inverted again.
func inkFromYCC(py, pcb, pcr *plane.Plane) {
	for y := range py.Height {
		ys, cbs, crs := py.Row(y), pcb.Row(y), pcr.Row(y)
		for x := range ys {
			l, cb, cr := int(ys[x]), int(cbs[x])-128, int(crs[x])-128
			ys[x] = clamp(l + (crToR*cr+half)>>16)
			cbs[x] = clamp(l + (-crToG*cr-cbToG*cb+half)>>16)
			crs[x] = clamp(l + (cbToB*cb+half)>>16)
		}
	}
}

func clamp(v int) uint8 { return uint8(min(max(v, 0), 255)) }
