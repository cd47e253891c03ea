package resample

import (
	"slices"

	"github.com/kamado/kamado/images/plane"
)

const (
	rowBits      = 6 // fraction bits of a combined row
	groupRows    = 8 // rows combined along x at once
	groupColumns = 8 // output samples of a row that the horizontal kernel makes at once
	turnColumns  = 16

	downShift   = weightBits - rowBits // from sums of weighted samples to a combined row
	acrossShift = weightBits + rowBits // from sums of weighted combined rows to samples
)

// vector resamples with the assembly kernels, eight rows of the result at a time.
func (r *Resampler) vector(dst, src *plane.Plane, fx, fy *filter) {
	width := (fx.hi - fx.lo + turnColumns - 1) / turnColumns * turnColumns
	slots := fy.pairs + 1
	r.ring = grow(r.ring, slots*2*width)
	r.rows = grow(r.rows, groupRows*width)
	// The horizontal kernel may read pairs past the last column, with weight zero.
	r.columns = grow(r.columns, groupRows*(width+2*fx.pairs+2))
	direct := dst.Stride >= fx.n
	if !direct {
		r.band = slices.Grow(r.band[:0], groupRows*fx.n)[:groupRows*fx.n]
	}
	next := 0 // pair of source rows to be interleaved next
	for top := 0; top < dst.Height; top += groupRows {
		n := min(groupRows, dst.Height-top)
		for y := range n {
			next = r.interleave(src, fx.lo, width, slots, next, fy, top+y)
			weights := fy.weight[(top+y)*2*fy.pairs:]
			down(r.rows[y*width:(y+1)*width], r.ring, r.held, weights)
		}
		turn(r.columns, r.rows, width)
		if direct && n == groupRows && top+groupRows < dst.Height {
			across(dst.Pix[top*dst.Stride:], dst.Stride, r.columns, fx)
			continue
		}
		r.band = slices.Grow(r.band[:0], groupRows*fx.n)[:groupRows*fx.n]
		across(r.band, fx.n, r.columns, fx)
		for y := range n {
			copy(dst.Row(top+y), r.band[y*fx.n:])
		}
	}
}

// grow returns s with room for n, its content undefined.
func grow(s []int16, n int) []int16 {
	if cap(s) < n {
		return make([]int16, n)
	}
	return s[:n]
}

// interleave brings the pairs of source rows that output row y takes into
// the ring, notes in r.held where they are, and returns the pair that comes after.
func (r *Resampler) interleave(src *plane.Plane, left, width, slots, next int, fy *filter, y int) int {
	first := int(fy.start[y]) / 2
	count := int(fy.count[y])
	next = max(next, first)
	for ; next < first+count; next++ {
		a := src.Pix[2*next*src.Stride+left:]
		b := a
		if 2*next+1 < src.Height {
			b = src.Pix[(2*next+1)*src.Stride+left:]
		}
		slot := next % slots
		zip(r.ring[slot*2*width:(slot+1)*2*width], a, b)
	}
	r.held = r.held[:0]
	for pair := first; pair < first+count; pair++ {
		r.held = append(r.held, pair%slots*4*width)
	}
	return next
}

// zip brings two rows of bytes to words, both rows' 16 samples together, in the order
// that down wants. It is the kernels' own: with AVX2 a0 b0 a1 b1 ... of
// samples 0-3, 8-11, 4-7, 12-15, with NEON a0 a1 ... and then b0 b1 ...
func zip(to []int16, a, b []byte) {
	n := len(to) / 2
	if n%turnColumns != 0 || len(a) < n || len(b) < n {
		panic("resample: zip: rows too short")
	}
	zipKernel(&to[0], &a[0], &b[0], n/turnColumns)
}

// down combines the pairs of rows at the byte offsets held.
func down(to []int16, ring []int16, held []int, weights []int16) {
	n := len(to)
	if n%turnColumns != 0 || len(held) == 0 || len(weights) < 2*len(held) {
		panic("resample: down: weights too short")
	}
	for _, at := range held {
		if at < 0 || at/2+2*n > len(ring) {
			panic("resample: down: row outside the ring")
		}
	}
	downKernel(&to[0], &ring[0], &held[0], &weights[0], len(held), n/turnColumns)
}

// turn turns eight rows of width samples: to holds, for each pair of columns,
// the pair of row 0, of row 1, ... of row 7; with NEON, one column and then the other.
func turn(to, rows []int16, width int) {
	if width%turnColumns != 0 || len(rows) < groupRows*width || len(to) < groupRows*width {
		panic("resample: turn: buffers too short")
	}
	turnKernel(&to[0], &rows[0], 2*width, width/turnColumns)
}

// across combines turned columns to fx.n samples of eight rows.
func across(to []byte, stride int, columns []int16, fx *filter) {
	last := int(fx.start[fx.n-1]) - fx.lo
	if stride < 0 || len(to) < (groupRows-1)*stride+fx.n || fx.n%groupColumns != 0 ||
		len(fx.start) < fx.n || len(fx.weight) < 2*fx.n*fx.pairs ||
		len(columns) < groupRows*(last+2*fx.pairs) {
		panic("resample: across: buffers too short")
	}
	acrossKernel(&to[0], stride, &columns[0], &fx.start[0], fx.lo, &fx.weight[0], fx.pairs, fx.n/groupColumns)
}
