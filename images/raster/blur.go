package raster

import (
	"math"

	"github.com/kamado/kamado/images/plane"
)

// boxSigma is from which sigma on a Gaussian is made of three box blurs, whose
// cost does not grow with it. Below, a box is too coarse: its width is a whole
// number of samples.
const boxSigma = 2.5

// Blur blurs with a Gaussian of the given sigma in picture pixels, in place.
// Subsampled chroma gets sigma divided by its subsampling. Edges repeat.
// A sigma of 0 or less does nothing.
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
		s.blurPlane(q.Pix, q, sigma/float64(q.SubX), sigma/float64(q.SubY))
	}
	if p.Alpha {
		unpremultiply(p, n)
	}
}

// blurPlane blurs the samples of p into out, which has p's stride and may be
// p.Pix itself.
func (s *Scratch) blurPlane(out []uint8, p *plane.Plane, sigmaX, sigmaY float64) {
	need := p.Width * p.Height
	if cap(s.rows) < need {
		s.rows = make([]uint16, need)
	}
	rows := s.rows[:need]
	// 8 bits become 14, so that the two directions lose nothing between them.
	for y := range p.Height {
		line := rows[y*p.Width : (y+1)*p.Width]
		for x, v := range p.Row(y) {
			line[x] = uint16(v) << 6
		}
	}
	longest := max(p.Width, p.Height)
	if cap(s.ring) < longest {
		s.ring = make([]uint32, longest)
	}
	for y := range p.Height {
		s.blurLine(rows[y*p.Width:], 1, p.Width, sigmaX)
	}
	for x := range p.Width {
		s.blurLine(rows[x:], p.Width, p.Height, sigmaY)
	}
	for y := range p.Height {
		line := rows[y*p.Width : (y+1)*p.Width]
		row := out[y*p.Stride : y*p.Stride+p.Width]
		for x, v := range line {
			row[x] = uint8(min((v+32)>>6, 255))
		}
	}
}

// blurLine blurs n samples that lie step apart.
func (s *Scratch) blurLine(line []uint16, step, n int, sigma float64) {
	if sigma >= boxSigma {
		for _, radius := range boxRadii(sigma) {
			s.boxLine(line, step, n, radius)
		}
		return
	}
	kernel := s.gaussian(sigma)
	from := s.ring[:n]
	for i := range from {
		from[i] = uint32(line[i*step])
	}
	for i := range n {
		sum := kernel[0]*from[i] + 1<<15
		for k := 1; k < len(kernel); k++ {
			sum += kernel[k] * (from[max(i-k, 0)] + from[min(i+k, n-1)])
		}
		line[i*step] = uint16(sum >> 16)
	}
}

// gaussian is the half of a kernel from its middle on, summing to 65536 with
// the middle counted once. Samples of 14 bits times that fit 32 bits.
func (s *Scratch) gaussian(sigma float64) []uint32 {
	radius := int(math.Ceil(3 * sigma))
	weights := make([]float64, radius+1)
	total := 0.0
	for k := range weights {
		weights[k] = math.Exp(-float64(k*k) / (2 * sigma * sigma))
		total += weights[k]
		if k > 0 {
			total += weights[k]
		}
	}
	s.kernel = s.kernel[:0]
	sum := uint32(0)
	for k := range weights {
		w := uint32(math.Round(weights[k] / total * 65536))
		s.kernel = append(s.kernel, w)
		if k > 0 {
			sum += 2 * w
		}
	}
	s.kernel[0] = 65536 - sum
	return s.kernel
}

// boxRadii are the radii of three boxes in a row whose variance together comes
// nearest to sigma squared (W. M. Wells, "Efficient synthesis of Gaussian
// filters by cascaded uniform filters", 1986): a box of width w has variance
// (w*w-1)/12.
func boxRadii(sigma float64) [3]int {
	width := math.Sqrt(12*sigma*sigma/3 + 1)
	low := int(width)
	if low%2 == 0 {
		low--
	}
	// m boxes of width low, the others two wider.
	l := float64(low)
	m := int(math.Round((12*sigma*sigma - 3*l*l - 12*l - 9) / (-4*l - 4)))
	var radii [3]int
	for i := range radii {
		radii[i] = low / 2
		if i >= m {
			radii[i]++
		}
	}
	return radii
}

// boxLine takes the mean of 2*radius+1 samples around each, by a running sum.
func (s *Scratch) boxLine(line []uint16, step, n, radius int) {
	from := s.ring[:n]
	for i := range from {
		from[i] = uint32(line[i*step])
	}
	width := uint64(2*radius + 1)
	sum := uint64(from[0]) * uint64(radius+1)
	for k := 1; k <= radius; k++ {
		sum += uint64(from[min(k, n-1)])
	}
	for i := range n {
		line[i*step] = uint16((sum + width/2) / width)
		sum += uint64(from[min(i+radius+1, n-1)]) - uint64(from[max(i-radius, 0)])
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
	blurred := s.blurOf(luma, sigma)
	for y := range luma.Height {
		row, soft := luma.Row(y), blurred[y*luma.Stride:]
		for x, v := range row {
			row[x] = clamp8(2*int32(v) - int32(soft[x]))
		}
	}
}

// blurOf blurs a copy of a plane, with the plane's stride.
func (s *Scratch) blurOf(p *plane.Plane, sigma float64) []uint8 {
	if need := p.Stride * p.Height; cap(s.blurred) < need {
		s.blurred = make([]uint8, need)
	}
	s.blurred = s.blurred[:p.Stride*p.Height]
	s.blurPlane(s.blurred, p, sigma, sigma)
	return s.blurred
}

// sharpenRGB adds the mask of luma to all three planes.
func (s *Scratch) sharpenRGB(p *plane.Picture, sigma float64) {
	var luma plane.Plane
	luma.Reset(p.Width, p.Height, 1, 1)
	for y := range p.Height {
		row, r, g, b := luma.Row(y), p.Planes[0].Row(y), p.Planes[1].Row(y), p.Planes[2].Row(y)
		for x := range row {
			row[x], _, _ = ycbcr(r[x], g[x], b[x])
		}
	}
	blurred := s.blurOf(&luma, sigma)
	for y := range p.Height {
		row, soft := luma.Row(y), blurred[y*luma.Stride:]
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
