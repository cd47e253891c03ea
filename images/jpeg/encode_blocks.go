package jpeg

import "github.com/kamado/kamado/images/jpeg/dct"

// transformRow transforms and quantises one row of MCUs. Blocks go to coef
// and mask in the order of an interleaved scan, so that the entropy coder walks
// straight through. Samples beyond a plane's edge are those at the edge.
//
// Blocks wholly outside their plane are what libjpeg makes them: the DC
// coefficient of the block before in the MCU and nothing else, which costs
// two short codes.
func (e *Encoder) transformRow(row int, coef []int16, mask []uint64) {
	f := &e.frame
	for i := range f.n {
		c := &f.components[i]
		for j := range c.v {
			first := c.slot + j*c.h
			if blockRow := row*c.v + j; blockRow < c.blocksY {
				e.transformBlocks(c, blockRow, coef[first*blockSize:], mask[first:])
				for b := c.blocksX; b < f.mcusX*c.h; b++ { // at most one
					at := first + b/c.h*f.mcuBlocks + b%c.h
					repeatDC(coef, mask, at)
				}
				continue
			}
			for b := range f.mcusX * c.h {
				repeatDC(coef, mask, first+b/c.h*f.mcuBlocks+b%c.h)
			}
		}
	}
}

// repeatDC makes block at a copy of the DC of the block before it.
func repeatDC(coef []int16, mask []uint64, at int) {
	mask[at] = 0
	block := coef[at*blockSize : (at+1)*blockSize]
	clear(block)
	block[0] = coef[(at-1)*blockSize]
}

// transformBlocks does one row of blocks of one component. coef and mask
// begin at the place of the first.
func (e *Encoder) transformBlocks(c *encodeComponent, blockRow int, coef []int16, mask []uint64) {
	layout := dct.Layout{Second: 1, Pair: e.frame.mcuBlocks}
	if c.h == 1 {
		layout = dct.Layout{Second: e.frame.mcuBlocks, Pair: 2 * e.frame.mcuBlocks}
	}
	q := &e.quant[c.chroma]
	top := 8 * blockRow
	src, stride := c.plane.Pix[top*c.plane.Stride:], c.plane.Stride
	pairs := (c.blocksX + 1) / 2
	whole := c.width / 16
	if top+8 > c.height {
		whole = 0
	}
	dct.Forward(coef, mask, layout, src, stride, whole, q)
	if whole == pairs {
		return
	}
	e.extend(c, 16*whole, 16*pairs, top)
	at := whole * layout.Pair
	dct.Forward(coef[at*blockSize:], mask[at:], layout, e.band, 16*(pairs-whole), pairs-whole, q)
}

// extend copies the samples left..right of eight rows to e.band and repeats
// the last sample of a row and the last row where the plane ends before.
func (e *Encoder) extend(c *encodeComponent, left, right, top int) {
	width := right - left
	if cap(e.band) < 8*width {
		e.band = make([]byte, 8*width)
	}
	e.band = e.band[:8*width]
	for y := range 8 {
		row := c.plane.Row(min(top+y, c.height-1))
		to := e.band[y*width : (y+1)*width]
		n := copy(to, row[left:c.width])
		edge := row[c.width-1]
		for x := n; x < width; x++ {
			to[x] = edge
		}
	}
}
