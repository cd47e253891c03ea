package jpeg

import "github.com/kamado/kamado/images/jpeg/dct"

// layout says how the coefficients of the blocks of a row lie in memory: in
// groups, as the kernels of package dct want them.
type layout struct {
	shift uint // log2 of the blocks in a group
	lane  int  // int16 values between neighbouring blocks of a group, per row
	size  int  // int16 values of a group
}

// offset is where the coefficients of block i of a row begin.
func (l layout) offset(i int) int {
	return i>>(l.shift&63)*l.size + i&(1<<(l.shift&63)-1)*l.lane
}

// row is how many int16 values a row of n blocks takes, whole groups.
func (l layout) row(n int) int {
	return (n + 1<<l.shift - 1) >> l.shift * l.size
}

// place is the offset of coefficient (row, col) within its block.
func (l layout) place(row, col int) int {
	return row*l.lane<<l.shift + col
}

// scaling holds what depends on the scale alone.
type scaling struct {
	n     int    // samples a block side: 1, 2, 4, 8
	limit uint   // stream index after the last coefficient used
	lay   layout // of the coefficients
	batch int    // MCUs decoded before they are transformed
}

func scalingOf(n int) (scaling, bool) {
	switch n {
	case 1:
		return scaling{n: 1, limit: 1, batch: 256}, true
	case 2:
		return scaling{n: 2, limit: 5, lay: layout{4, 1, dct.Group2}, batch: 64}, true
	case 4:
		return scaling{n: 4, limit: 25, lay: layout{2, 4, dct.Group4}, batch: 16}, true
	case 8:
		return scaling{n: 8, limit: blockSize, lay: layout{1, 8, dct.Group8}, batch: 8}, true
	}
	return scaling{}, false
}

// dequantTable makes the table that dequantises on store: per stream index
// plus one the quantiser and the place of the coefficient, both turned by the
// orientation: transposing swaps row and column, mirroring negates the odd ones.
// Coefficients outside the corner get quantiser 0, so that they add nothing.
func (s *scaling) dequantTable(t *[2 * blockSize]uint32, quant *[blockSize]uint16, o orientation) {
	clear(t[:])
	for k := range quant {
		row, col := int(zigzag[k]>>3), int(zigzag[k]&7)
		if row >= s.n || col >= s.n {
			continue
		}
		q := quant[k]
		if o.flipX && col&1 != 0 {
			q = -q
		}
		if o.flipY && row&1 != 0 {
			q = -q
		}
		if o.transpose {
			row, col = col, row
		}
		t[k+1] = uint32(q)<<16 | uint32(s.place(row, col))
	}
}

func (s *scaling) place(row, col int) int {
	if s.n == 2 { // planar: all blocks' first coefficients, then all second ones
		return (row*2 + col) << s.lay.shift
	}
	return s.lay.place(row, col)
}

// orientation is an EXIF orientation as operations on the stored picture, in
// this order: mirror left-right, mirror top-bottom, transpose.
type orientation struct{ flipX, flipY, transpose bool }

func orientationOf(exif int) orientation {
	return orientation{
		flipX:     exif == 2 || exif == 3 || exif == 7 || exif == 8,
		flipY:     exif == 3 || exif == 4 || exif == 6 || exif == 7,
		transpose: exif >= 5,
	}
}
