package resample

import "github.com/kamado/kamado/images/plane"

// isOpaque says whether alpha is 255 everywhere.
func isOpaque(a *plane.Plane) bool {
	for y := range a.Height {
		for _, v := range a.Row(y) {
			if v != 255 {
				return false
			}
		}
	}
	return true
}

// neutral is the value of plane i that carries no colour: premultiplying
// pulls towards it.
func neutral(m plane.Model, i int) int32 {
	if m == plane.YCbCr && i > 0 {
		return 128
	}
	return 0
}

// premultiply returns plane i of p weighted by alpha, in scratch memory.
func (r *Resampler) premultiply(p *plane.Picture, i int) *plane.Plane {
	from := &p.Planes[i]
	alpha := r.alphaFor(p, from)
	to := &r.premultiplied
	to.Reset(from.Width, from.Height, from.SubX, from.SubY)
	zero := neutral(p.Model, i)
	for y := range from.Height {
		a, in, out := alpha.Row(y), from.Row(y), to.Row(y)
		for x, v := range in {
			out[x] = byte(zero + rounded((int32(v)-zero)*int32(a[x])))
		}
	}
	return to
}

// rounded divides by 255, to the nearest.
func rounded(v int32) int32 {
	if v < 0 {
		return -((-v + 127) / 255)
	}
	return (v + 127) / 255
}

// unpremultiply takes the weight of alpha off the colours of p.
func (r *Resampler) unpremultiply(p *plane.Picture) {
	for i := range p.Model.Components() {
		q := &p.Planes[i]
		alpha := r.alphaFor(p, q)
		zero := neutral(p.Model, i)
		for y := range q.Height {
			a, row := alpha.Row(y), q.Row(y)
			for x, v := range row {
				if weight := int32(a[x]); weight != 0 && weight != 255 {
					d := (int32(v) - zero) * 255
					half := weight / 2
					if d < 0 {
						half = -half
					}
					row[x] = byte(min(max(zero+(d+half)/weight, 0), 255))
				}
			}
		}
	}
}

// alphaFor returns the picture's alpha at the size of one of its planes:
// means where the plane is subsampled.
func (r *Resampler) alphaFor(p *plane.Picture, q *plane.Plane) *plane.Plane {
	alpha := p.AlphaPlane()
	if q.SubX == 1 && q.SubY == 1 {
		return alpha
	}
	to := &r.alpha
	to.Reset(q.Width, q.Height, q.SubX, q.SubY)
	for y := range q.Height {
		out := to.Row(y)
		top, bottom := y*q.SubY, min((y+1)*q.SubY, p.Height)
		for x := range out {
			left, right := x*q.SubX, min((x+1)*q.SubX, p.Width)
			sum := 0
			for row := top; row < bottom; row++ {
				for _, v := range alpha.Row(row)[left:right] {
					sum += int(v)
				}
			}
			n := (bottom - top) * (right - left)
			out[x] = byte((sum + n/2) / n)
		}
	}
	return to
}
