package raster

import "github.com/kamado/kamado/images/plane"

// SigmaMax bounds the sigma of Blur and Sharpen, in picture pixels; more counts as
// this. At 500 a picture of thumbnail size is one colour already.
const SigmaMax = 500

// Blur blurs with a Gaussian of the given sigma in picture pixels, in place.
// Subsampled chroma gets sigma divided by its subsampling. At the edges the kernel is
// cut off and normalised. A sigma of 0 or less does nothing.
func (s *Scratch) Blur(p *plane.Picture, sigma float64) {
	if !(sigma > 0) {
		return
	}
	n := p.Model.Components()
	if p.Alpha {
		premultiply(p)
	}
	for i := range p.N() {
		q := &p.Planes[i]
		s.blurPlane(q, sigma)
		for y := range q.Height {
			copy(q.Row(y), s.blurred.Row(y))
		}
	}
	if p.Alpha {
		unpremultiply(p, n)
	}
}

// blurPlane blurs a plane into s.blurred.
func (s *Scratch) blurPlane(p *plane.Plane, sigma float64) {
	sigma = min(sigma, SigmaMax)
	s.blurred.Reset(p.Width, p.Height, p.SubX, p.SubY)
	if err := s.resampler.Blur(&s.blurred, p, sigma/float64(p.SubX), sigma/float64(p.SubY)); err != nil {
		// Invariant: sigma is in range, and both planes have one size.
		panic(err)
	}
}

// Sharpen adds what a blur of the given sigma would take away, in place: an
// unsharp mask of amount 1 on luma alone, so that colours do not fringe.
func (s *Scratch) Sharpen(p *plane.Picture, sigma float64) {
	if !(sigma > 0) || p.Model == plane.CMYK {
		return
	}
	if p.Model == plane.RGB {
		s.sharpenRGB(p, sigma)
		return
	}
	luma := &p.Planes[0]
	s.blurPlane(luma, sigma)
	for y := range luma.Height {
		row, soft := luma.Row(y), s.blurred.Row(y)
		for x, v := range row {
			row[x] = clamp8(2*int32(v) - int32(soft[x]))
		}
	}
}

// sharpenRGB adds the mask of luma to all three planes.
func (s *Scratch) sharpenRGB(p *plane.Picture, sigma float64) {
	luma := &s.luma
	luma.Reset(p.Width, p.Height, 1, 1)
	for y := range p.Height {
		lumaRow(luma.Row(y), p.Planes[0].Row(y), p.Planes[1].Row(y), p.Planes[2].Row(y))
	}
	s.blurPlane(luma, sigma)
	for y := range p.Height {
		row, soft := luma.Row(y), s.blurred.Row(y)
		for i := range 3 {
			q := p.Planes[i].Row(y)
			for x := range q {
				q[x] = clamp8(int32(q[x]) + int32(row[x]) - int32(soft[x]))
			}
		}
	}
}

// premultiply scales the colours of Gray or RGB by alpha; unpremultiply undoes
// it where there is any.
func premultiply(p *plane.Picture) {
	alpha := p.AlphaPlane()
	for i := range p.Model.Components() {
		for y := range p.Height {
			row, a := p.Planes[i].Row(y), alpha.Row(y)
			for x := range row {
				row[x] = mix(0, row[x], uint32(a[x]))
			}
		}
	}
}

func unpremultiply(p *plane.Picture, n int) {
	alpha := p.AlphaPlane()
	for i := range n {
		for y := range p.Height {
			row, a := p.Planes[i].Row(y), alpha.Row(y)
			for x := range row {
				if a[x] != 0 {
					row[x] = uint8(min((uint32(row[x])*255+uint32(a[x])/2)/uint32(a[x]), 255))
				}
			}
		}
	}
}
