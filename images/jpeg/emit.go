package jpeg

import (
	"encoding/binary"

	"github.com/kamado/kamado/images/jpeg/dct"
)

// emit transforms a batch of n MCUs that begins at (mx, my) of the scan, and
// puts the samples in their planes.
func (d *Decoder) emit(h *scanHeader, mx, my, n int) {
	base := 0
	for _, ci := range h.comps[:h.n] {
		c := &d.frame.comps[ci]
		bh, bv := c.h, c.v
		if h.n == 1 {
			bh, bv = 1, 1
		}
		row := d.rowSize(bh)
		t := &d.targets[ci]
		for y := range bv {
			d.emitRow(t, base+y*row, mx*bh, my*bv+y, n*bh)
		}
		base += bv * row
	}
}

// emitRow puts n blocks, from block (bx, by) of the component to the right, in place.
func (d *Decoder) emitRow(t *target, at, bx, by, n int) {
	x, y := bx*d.n-t.x0, by*d.n-t.y0
	if d.n == 1 {
		d.scatter(t, d.line[at:at+n], n, x, y, n, 1)
		return
	}
	group := 1 << d.lay.shift
	direct := !d.orient.transpose && !d.orient.flipX
	p := t.plane
	oy := y
	if d.orient.flipY {
		oy = t.h - d.n - y
	}
	direct = direct && oy >= 0 && oy+d.n <= p.Height
	for i := 0; i < n; i += group {
		coefs := d.coefs[at+d.lay.offset(i):]
		ox := x + i*d.n
		if room := (p.Stride - ox) / (group * d.n); direct && room > 0 {
			groups := min((n-i+group-1)/group, room)
			d.inverse(p.Pix[oy*p.Stride+ox:], p.Stride, coefs[:groups*d.lay.size])
			i += (groups - 1) * group
			continue
		}
		w := group * d.n
		d.inverse(d.spare[:], w, coefs[:d.lay.size])
		m := min(group, n-i) * d.n
		if d.orient.flipX || d.orient.transpose || d.orient.flipY {
			// Each block is turned already; blocks take their places one by one.
			for b := 0; b < m; b += d.n {
				d.putBlock(t, d.spare[b:], w, ox+b, y)
			}
			continue
		}
		d.scatter(t, d.spare[:], w, ox, y, m, d.n)
	}
}

// inverse transforms whole groups.
func (d *Decoder) inverse(dst []byte, stride int, groups []int16) {
	switch d.n {
	case 2:
		dct.Inverse2(dst, stride, groups)
	case 4:
		dct.Inverse4(dst, stride, groups)
	case 8:
		dct.Inverse8(dst, stride, groups)
	}
}

// putBlock copies one block, turned already, to where (x, y) of the file
// comes to lie, as far as it lies in the plane.
func (d *Decoder) putBlock(t *target, src []byte, stride, x, y int) {
	if d.orient.flipX {
		x = t.w - d.n - x
	}
	if d.orient.flipY {
		y = t.h - d.n - y
	}
	if d.orient.transpose {
		x, y = y, x
	}
	p := t.plane
	if x >= 0 && y >= 0 && x+d.n <= p.Width && y+d.n <= p.Height {
		moveBlock(p.Pix[y*p.Stride+x:], p.Stride, src, stride, d.n)
		return
	}
	from, to := max(-x, 0), min(d.n, p.Width-x)
	if from >= to {
		return
	}
	for r := max(-y, 0); r < min(d.n, p.Height-y); r++ {
		copy(p.Pix[(y+r)*p.Stride+x+from:][:to-from], src[r*stride+from:])
	}
}

// moveBlock copies n rows of n samples; n is 2, 4 or 8.
func moveBlock(dst []byte, dstStride int, src []byte, stride, n int) {
	switch n {
	case 2:
		binary.LittleEndian.PutUint16(dst, binary.LittleEndian.Uint16(src))
		binary.LittleEndian.PutUint16(dst[dstStride:], binary.LittleEndian.Uint16(src[stride:]))
	case 4:
		for r := range 4 {
			binary.LittleEndian.PutUint32(dst[r*dstStride:], binary.LittleEndian.Uint32(src[r*stride:]))
		}
	default:
		for r := range 8 {
			binary.LittleEndian.PutUint64(dst[r*dstStride:], binary.LittleEndian.Uint64(src[r*stride:]))
		}
	}
}

// scatter puts w x h samples, in the file's orientation, where they belong.
func (d *Decoder) scatter(t *target, src []byte, stride, x, y, w, h int) {
	w, h = min(w, t.w-x), min(h, t.h-y)
	p, o := t.plane, d.orient
	for r := range h {
		if w <= 0 {
			return
		}
		row := src[r*stride:][:w]
		fy := y + r
		if o.flipY {
			fy = t.h - 1 - fy
		}
		if !o.transpose && !o.flipX {
			copy(p.Pix[fy*p.Stride+x:][:w], row)
			continue
		}
		fx, step := x, 1
		if o.flipX {
			fx, step = t.w-1-x, -1
		}
		at := fy*p.Stride + fx
		if o.transpose {
			at, step = fx*p.Stride+fy, step*p.Stride
		}
		for _, v := range row {
			p.Pix[at] = v
			at += step
		}
	}
}

// grey fills the planes: components whose scan never comes stay so.
func (d *Decoder) grey() {
	for i := range d.frame.n {
		p := d.targets[i].plane
		for j := range p.Pix {
			p.Pix[j] = 128
		}
	}
}
