package resample

import "github.com/kamado/kamado/images/plane"

// scalar is the twin of vector: the same sums, one at a time.
func (r *Resampler) scalar(dst, src *plane.Plane, fx, fy *filter) {
	width := fx.hi - fx.lo
	r.rows = grow(r.rows, width)
	for y := range dst.Height {
		taps := min(2*int(fy.count[y]), src.Height-int(fy.start[y]))
		downScalar(r.rows, src, fx.lo, int(fy.start[y]), fy.weight[y*2*fy.pairs:][:taps])
		acrossScalar(dst.Row(y), r.rows, fx)
	}
}

// downScalar combines source rows from row first on.
func downScalar(to []int16, src *plane.Plane, left, first int, weights []int16) {
	for x := range to {
		sum := int32(1 << (downShift - 1))
		at := first*src.Stride + left + x
		for _, w := range weights {
			sum += int32(w) * int32(src.Pix[at])
			at += src.Stride
		}
		to[x] = int16(min(max(sum>>downShift, -1<<15), 1<<15-1))
	}
}

// acrossScalar combines the samples of a row.
func acrossScalar(to []byte, row []int16, fx *filter) {
	for x := range to {
		sum := int32(1 << (acrossShift - 1))
		part := row[int(fx.start[x])-fx.lo:]
		weights := fx.weight[x*2*fx.pairs : (x+1)*2*fx.pairs]
		for i, w := range weights[:min(len(weights), len(part))] {
			sum += int32(w) * int32(part[i])
		}
		to[x] = byte(min(max(sum>>acrossShift, 0), 255))
	}
}
