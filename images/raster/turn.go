package raster

import (
	"encoding/binary"
	"math/bits"

	"github.com/kamado/kamado/images/plane"
)

// Orient writes src into dst as EXIF orientation o (tag 0x0112, 1 to 8) asks:
// what is done to the stored samples so that they stand upright. Any other
// number copies. Subsampled chroma turns with its plane, so a quarter turn of
// 4:2:2 gives 4:4:0; where a mirrored side is odd, the chroma samples come to lie
// between those of src, and take the mean of two.
func Orient(dst, src *plane.Picture, o int) {
	OrientPlaced(dst, src, o)
	flipX, flipY := flips(o)
	swap := o >= 5 && o <= 8
	for i := range src.N() {
		// Sample i of an odd side of n samples now stands where n-1-i and the one
		// before it meet.
		d, s := &dst.Planes[i], &src.Planes[i]
		if flipX && s.SubX == 2 && src.Width%2 == 1 {
			meet(d, swap)
		}
		if flipY && s.SubY == 2 && src.Height%2 == 1 {
			meet(d, !swap)
		}
	}
}

// OrientPlaced is Orient for a picture whose chroma already lies so that it is
// in place when turned (resample.Resampler.PictureToMirror).
func OrientPlaced(dst, src *plane.Picture, o int) {
	swap := o >= 5 && o <= 8
	width, height := src.Width, src.Height
	exactWidth, exactHeight := src.ExactWidth, src.ExactHeight
	subX, subY := 1, 1
	if src.Model == plane.YCbCr {
		subX, subY = src.Planes[1].SubX, src.Planes[1].SubY
	}
	if swap {
		width, height, subX, subY = height, width, subY, subX
		exactWidth, exactHeight = exactHeight, exactWidth
	}
	dst.Reset(src.Model, src.Alpha, width, height, subX, subY)
	dst.ExactWidth, dst.ExactHeight = exactWidth, exactHeight
	for i := range src.N() {
		orientPlane(&dst.Planes[i], &src.Planes[i], o)
	}
}

// flips says which sides of the source an orientation walks backwards.
func flips(o int) (x, y bool) {
	return o == 2 || o == 3 || o == 7 || o == 8, o == 3 || o == 4 || o == 6 || o == 7
}

// meet makes each sample the mean of itself and the next one down, or
// across; the last stays.
func meet(p *plane.Plane, down bool) {
	if down {
		for y := range p.Height - 1 {
			row, next := p.Row(y), p.Row(y+1)
			for x, v := range row {
				row[x] = uint8((uint32(v) + uint32(next[x]) + 1) / 2)
			}
		}
		return
	}
	for y := range p.Height {
		row := p.Row(y)
		for x := range len(row) - 1 {
			row[x] = uint8((uint32(row[x]) + uint32(row[x+1]) + 1) / 2)
		}
	}
}

// orientPlane writes src into dst, which has its size.
func orientPlane(dst, src *plane.Plane, o int) {
	flipX, flipY := flips(o)
	if o >= 5 && o <= 8 {
		transpose(dst, src, flipX, flipY)
		return
	}
	for y := range dst.Height {
		from := y
		if flipY {
			from = src.Height - 1 - y
		}
		if flipX {
			reverse(dst.Row(y), src.Row(from))
		} else {
			copy(dst.Row(y), src.Row(from))
		}
	}
}

// reverse writes src backwards.
func reverse(dst, src []byte) {
	n := len(dst)
	i := 0
	for ; i+8 <= n; i += 8 {
		binary.LittleEndian.PutUint64(dst[i:], bits.ReverseBytes64(binary.LittleEndian.Uint64(src[n-8-i:])))
	}
	for ; i < n; i++ {
		dst[i] = src[n-1-i]
	}
}

// transposeBand is how many source rows are walked together: their samples
// make a line of the processor's cache in each row of the result, and stay in
// that cache until the last column.
const transposeBand = 64

// transpose makes rows of columns, in blocks of 8x8. flipX and flipY mirror
// the source's sides first.
func transpose(dst, src *plane.Plane, flipX, flipY bool) {
	at, step := 0, dst.Stride // of the source's first column in dst, and from each to the next
	if flipX {
		at, step = (dst.Height-1)*dst.Stride, -dst.Stride
	}
	from, stride := 0, src.Stride
	if flipY {
		from, stride = (src.Height-1)*src.Stride, -src.Stride
	}
	for x0 := 0; x0 < dst.Width; x0 += transposeBand {
		x1 := min(x0+transposeBand, dst.Width)
		for c := 0; c < dst.Height; c += 8 {
			x := x0
			if c+8 <= dst.Height {
				blocks := (x1 - x) / 8
				transposeColumn(dst.Pix, at+c*step+x, step, src.Pix, from+x*stride+c, stride, blocks)
				x += 8 * blocks
			}
			for ; x < x1; x++ {
				for i := c; i < min(c+8, dst.Height); i++ {
					dst.Pix[at+i*step+x] = src.Pix[from+x*stride+i]
				}
			}
		}
	}
}

// transposeColumnGo is transposeColumn without assembly.
func transposeColumnGo(dst []byte, at, step int, src []byte, from, stride, n int) {
	for i := range n {
		transposeBlock(dst, at+8*i, step, src, from+8*i*stride, stride)
	}
}

// transposeBlock transposes 8x8 bytes: it lets quarters of 4x4 change places,
// then of 2x2, then single bytes.
func transposeBlock(dst []byte, at, step int, src []byte, from, stride int) {
	load := func(i int) uint64 { return binary.LittleEndian.Uint64(src[from+i*stride:]) }
	a, b, c, d := load(0), load(1), load(2), load(3)
	e, f, g, h := load(4), load(5), load(6), load(7)

	a, e = a&lower32|e<<32, a>>32|e&^lower32
	b, f = b&lower32|f<<32, b>>32|f&^lower32
	c, g = c&lower32|g<<32, c>>32|g&^lower32
	d, h = d&lower32|h<<32, d>>32|h&^lower32

	a, c = a&lower16|c&lower16<<16, a>>16&lower16|c&^lower16
	b, d = b&lower16|d&lower16<<16, b>>16&lower16|d&^lower16
	e, g = e&lower16|g&lower16<<16, e>>16&lower16|g&^lower16
	f, h = f&lower16|h&lower16<<16, f>>16&lower16|h&^lower16

	store := func(i int, v uint64) { binary.LittleEndian.PutUint64(dst[at+i*step:], v) }
	store(0, a&lower8|b&lower8<<8)
	store(1, a>>8&lower8|b&^lower8)
	store(2, c&lower8|d&lower8<<8)
	store(3, c>>8&lower8|d&^lower8)
	store(4, e&lower8|f&lower8<<8)
	store(5, e>>8&lower8|f&^lower8)
	store(6, g&lower8|h&lower8<<8)
	store(7, g>>8&lower8|h&^lower8)
}

// The lower half of every 8, 4 and 2 bytes.
const (
	lower32 = 0x00000000FFFFFFFF
	lower16 = 0x0000FFFF0000FFFF
	lower8  = 0x00FF00FF00FF00FF
)
