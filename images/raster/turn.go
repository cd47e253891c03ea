package raster

import "github.com/kamado/kamado/images/plane"

// Orient writes src into dst as EXIF orientation o (tag 0x0112, 1 to 8) asks:
// what is done to the stored samples so that they stand upright. Any other
// number copies. Subsampled chroma turns with its plane, so a quarter turn of
// 4:2:2 gives 4:4:0; where a mirrored side is odd, the chroma samples come to lie
// between those of src, and take the mean of two.
func Orient(dst, src *plane.Picture, o int) {
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
		d, s := &dst.Planes[i], &src.Planes[i]
		orientPlane(d, s, o)
		// Sample i of an odd side of n samples now stands where n-1-i and the one
		// before it meet.
		flipX, flipY := flips(o)
		if flipX && s.SubX == 2 && src.Width%2 == 1 {
			meet(d, swap)
		}
		if flipY && s.SubY == 2 && src.Height%2 == 1 {
			meet(d, !swap)
		}
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

// orientPlane walks the destination; each of its rows is a row or a column of
// the source, forwards or backwards.
func orientPlane(dst, src *plane.Plane, o int) {
	flipX, flipY := flips(o)
	// Walking a destination row moves through the source by step, from start.
	for y := range dst.Height {
		row := dst.Row(y)
		if o < 5 || o > 8 {
			sy := y
			if flipY {
				sy = src.Height - 1 - y
			}
			from := src.Row(sy)
			if !flipX {
				copy(row, from)
				continue
			}
			for x := range row {
				row[x] = from[len(row)-1-x]
			}
			continue
		}
		// Transposed: this row is a column of the source.
		sx := y
		if flipX {
			sx = src.Width - 1 - y
		}
		at, step := sx, src.Stride
		if flipY {
			at, step = sx+(src.Height-1)*src.Stride, -src.Stride
		}
		for x := range row {
			row[x] = src.Pix[at]
			at += step
		}
	}
}
