package jpeg

import (
	"encoding/binary"
	"math/bits"
)

// storeKeepMax bounds the coefficient memory that a Decoder keeps between
// pictures. Unit: bytes. A 3 megapixel progressive file at full size needs 10 MB.
const storeKeepMax = 16 << 20

// coefStore holds the coefficients of a progressive picture between scans.
// Only the corner that the scale uses is kept, at 1/8 the DC alone; of the
// other coefficients refinement scans need to know no more than whether they
// are zero, which is one bit.
type coefStore struct {
	values  []int16  // corner coefficients, quantised, per block
	nonzero []uint64 // per block: bit k tells whether the coefficient at stream index k is not zero

	per    int              // values per block
	slot   [blockSize]uint8 // stream index to place among the values of a block
	corner uint64           // which stream indices have a slot
	comps  [componentsMax]coefPlane
}

// coefPlane is one component within a coefStore.
type coefPlane struct {
	base   int // number of its first block
	stride int // blocks in a row, whole MCUs
}

// prepare makes room for a picture; all coefficients are zero then.
func (s *coefStore) prepare(f *frame, n int) {
	s.corner, s.per = 0, 0
	for k := range blockSize {
		if int(zigzag[k]>>3) < n && int(zigzag[k]&7) < n {
			s.slot[k] = uint8(s.per)
			s.corner |= 1 << k
			s.per++
		}
	}
	blocks := 0
	for i := range f.n {
		c := &f.comps[i]
		s.comps[i] = coefPlane{blocks, f.mcusX * c.h}
		blocks += f.mcusX * c.h * f.mcusY * c.v
	}
	s.values = zeroed(s.values, blocks*s.per)
	if s.per > 1 {
		s.nonzero = zeroed(s.nonzero, blocks)
	}
}

// zeroed gives a slice of n zeros, in the memory of old when that suffices.
func zeroed[T int16 | uint64](old []T, n int) []T {
	if cap(old) < n {
		return make([]T, n)
	}
	old = old[:n]
	clear(old)
	return old
}

// release drops memory beyond storeKeepMax.
func (s *coefStore) release() {
	if cap(s.values)*2+cap(s.nonzero)*8 > storeKeepMax {
		s.values, s.nonzero = nil, nil
	}
}

// acScan is the state of a progressive AC scan.
type acScan struct {
	table  *huffTable
	ss, se uint
	al     uint
	run    int // blocks that an end-of-band run still covers
}

// decodeProgressive decodes one scan of a progressive picture into the store.
func (d *Decoder) decodeProgressive(h *scanHeader) error {
	var ac acScan
	for _, ci := range h.comps[:h.n] {
		if err := d.progressiveTables(&d.frame.comps[ci], h, &ac); err != nil {
			return err
		}
	}
	if h.ss > 0 && d.idle(h) {
		return nil // the search for the next marker passes over the data
	}
	s := d.shape(h)
	iv := interval{left: d.frame.restart}
	d.pred = [componentsMax]int32{}
	d.bits.begin(&d.src)
	for my := range s.my1 {
		if err := d.poll(my); err != nil {
			return err
		}
		for mx := 0; mx < s.mcusX; {
			fresh := d.frame.restart != 0 && iv.left == 0
			run := d.interval(s.mcusX-mx, &iv)
			if fresh {
				ac.run = 0
			}
			if !iv.empty {
				var got int
				switch {
				case h.ss == 0:
					got = d.runProgressiveDC(h, mx, my, run)
				case h.ah == 0:
					got = d.runFirst(h.comps[0], &ac, mx, my, run)
				default:
					got = d.runRefine(h.comps[0], &ac, mx, my, run)
				}
				if iv.empty = got < run; iv.empty {
					d.truncated = d.truncated || d.src.ended
					d.warnings++
				}
			}
			mx += run
		}
	}
	return nil
}

// idle says whether an AC scan may be passed over: nothing of its band is
// wanted, nor does a later scan of the component refine it together with
// something that is.
func (d *Decoder) idle(h *scanHeader) bool {
	corner := d.store.corner &^ 1
	band := bandMask(h.ss, h.se)
	if corner == 0 || band&corner != 0 {
		return corner == 0
	}
	id := d.frame.comps[h.comps[0]].id
	ahead := d.src
	for scans := d.scans; scans < d.opt.MaxScans; {
		m := ahead.nextMarker()
		switch {
		case m == markerEOI:
			return true
		case m == markerSOI:
			return false
		case m == markerTEM || m >= markerRST0 && m <= markerRST7:
			continue
		}
		seg, err := ahead.segment()
		if err != nil {
			return false
		}
		if m != markerSOS {
			continue
		}
		scans++
		if len(seg) != 6 || seg[0] != 1 { // more than one component: DC
			continue
		}
		ss, se := seg[3], seg[4]
		if ss > se || se >= blockSize {
			return false
		}
		if later := bandMask(ss, se); seg[1] == id && later&band != 0 && later&corner != 0 {
			return false
		}
	}
	return false
}

// bandMask has a bit for each coefficient from ss to se, which is at most 63.
func bandMask(ss, se uint8) uint64 { return 2<<se - 1<<ss }

// progressiveTables fetches the tables that a scan needs. An AC scan that will
// be passed over has its table checked all the same.
func (d *Decoder) progressiveTables(c *component, h *scanHeader, ac *acScan) error {
	f := &d.frame
	id, specs, class := c.td, &f.dc, uint8(0)
	if h.ss > 0 {
		id, specs, class = c.ta, &f.ac, 1
	} else if h.ah != 0 {
		return nil // refining DC takes no table
	}
	if id >= tablesMax || !specs[id].ok {
		return FormatError("scan without its Huffman table")
	}
	t, err := d.cache.get(&specs[id], class)
	if err != nil {
		return err
	}
	if class == 0 {
		t.buildDC()
		for i := range f.n {
			if &f.comps[i] == c {
				d.dcTables[i] = t
			}
		}
	}
	*ac = acScan{table: t, ss: uint(h.ss), se: uint(h.se), al: uint(h.al)}
	return nil
}

// dcPlan is one block of an MCU of a DC scan.
type dcPlan struct {
	table *huffTable
	pred  *int32
	at    int // its place among the values
	step  int // to the same block of the next MCU
}

// runProgressiveDC decodes n MCUs of a DC scan, first or refining.
func (d *Decoder) runProgressiveDC(h *scanHeader, mx, my, n int) int {
	var plan [mcuBlocksMax]dcPlan
	s, blocks := &d.store, 0
	for i, ci := range h.comps[:h.n] {
		c, p := &d.frame.comps[ci], &s.comps[ci]
		bh, bv := c.h, c.v
		if h.n == 1 {
			bh, bv = 1, 1
		}
		for y := range bv {
			for x := range bh {
				at := p.base + (my*bv+y)*p.stride + mx*bh + x
				plan[blocks] = dcPlan{d.dcTables[ci], &d.pred[i], at * s.per, bh * s.per}
				blocks++
			}
		}
	}
	if h.ah != 0 {
		return d.refineDC(plan[:blocks], h.al, n)
	}
	return d.firstDC(plan[:blocks], h.al, n)
}

// firstDC decodes n MCUs of DC differences.
func (d *Decoder) firstDC(plan []dcPlan, al uint8, n int) int {
	b, values := &d.bits, d.store.values
	pos, acc, count := b.pos, b.acc, b.count
	for m := range n {
		if pos >= b.limit {
			b.pos, b.acc, b.count = pos, acc, count
			if !b.more(&d.src) {
				return m
			}
			pos, acc, count = b.pos, b.acc, b.count
		}
		for i := range plan {
			p := &plan[i]
			acc |= binary.BigEndian.Uint64(b.window[pos:]) >> (count & 63)
			pos += int((63 - count) >> 3)
			count |= refillBits
			diff := int32(p.table.dc[acc>>(64-dcBits)])
			if diff != 0 {
				acc <<= uint(diff) & 31
				count -= uint(diff) & 31
				diff >>= 5
			} else {
				b.pos, b.acc, b.count = pos, acc, count
				_, v := b.value(p.table)
				pos, acc, count = b.pos, b.acc, b.count
				diff = int32(v)
			}
			diff += *p.pred
			*p.pred = diff
			values[p.at] = int16(diff << (al & 31))
			p.at += p.step
		}
	}
	b.pos, b.acc, b.count = pos, acc, count
	return n
}

// refineDC decodes n MCUs of one more bit for each DC value.
func (d *Decoder) refineDC(plan []dcPlan, al uint8, n int) int {
	b, values := &d.bits, d.store.values
	for m := range n {
		if b.pos >= b.limit && !b.more(&d.src) {
			return m
		}
		b.refill() // an MCU takes ten bits at most
		set := b.acc
		for i := range plan {
			p := &plan[i]
			values[p.at] |= int16(set>>63) << (al & 31)
			set <<= 1
			p.at += p.step
		}
		b.acc = set
		b.count -= uint(len(plan))
	}
	return n
}

// runFirst decodes n blocks of a first AC scan.
func (d *Decoder) runFirst(ci int, ac *acScan, bx, by, n int) int {
	if useDecodeKernels {
		return d.runBand(ci, ac, bx, by, n, false)
	}
	b, s := &d.bits, &d.store
	p := &s.comps[ci]
	block := p.base + by*p.stride + bx
	for i := 0; i < n; i++ {
		if ac.run > 0 {
			skip := min(ac.run, n-i)
			ac.run -= skip
			i += skip - 1
			continue
		}
		if b.pos >= b.limit && !b.more(&d.src) {
			return i
		}
		values := s.values[(block+i)*s.per:][:s.per]
		mask := s.nonzero[block+i]
		for k := ac.ss; k <= ac.se; k++ {
			b.refill()
			symbol := b.symbol(ac.table)
			r, size := uint(symbol>>4), uint(symbol&15)
			if size == 0 {
				if r != 15 {
					ac.run = 1<<r + b.take(r) - 1
					break
				}
				k += 15
				continue
			}
			k += r
			v := int16(extend(b.take(size), int(size)) << ac.al)
			at := min(k, blockSize-1) // past the block: the last, as libjpeg-turbo has it
			if s.corner>>at&1 != 0 {
				values[s.slot[at]] = v
			}
			mask |= 1 << at
			if v == 0 {
				mask &^= 1 << at
			}
		}
		s.nonzero[block+i] = mask
	}
	return n
}

// runRefine decodes n blocks of a refining AC scan.
func (d *Decoder) runRefine(ci int, ac *acScan, bx, by, n int) int {
	if useDecodeKernels {
		return d.runBand(ci, ac, bx, by, n, true)
	}
	b, s := &d.bits, &d.store
	p := &s.comps[ci]
	block := p.base + by*p.stride + bx
	for i := range n {
		if b.pos >= b.limit && !b.more(&d.src) {
			return i
		}
		values := s.values[(block+i)*s.per:][:s.per]
		mask := s.nonzero[block+i]
		k := ac.ss
		if ac.run == 0 {
			for ; k <= ac.se; k++ {
				b.refill()
				symbol := b.symbol(ac.table)
				r, size := uint(symbol>>4), symbol&15
				v := int16(0)
				if size != 0 {
					v = int16(2*b.take(1)-1) << ac.al
				} else if r != 15 {
					ac.run = 1<<r + b.take(r)
					break
				}
				end := zeroAfter(mask, k, ac.se, r)
				if old := mask & (1<<end - 1) &^ (1<<k - 1); old != 0 {
					s.correct(b, values, old, ac.al)
				}
				k = end
				if v != 0 {
					at := min(k, blockSize-1)
					if s.corner>>at&1 != 0 {
						values[s.slot[at]] = v
					}
					mask |= 1 << at
				}
			}
		}
		if ac.run > 0 {
			if k <= ac.se {
				s.correct(b, values, mask&(2<<ac.se-1)&^(1<<k-1), ac.al)
			}
			ac.run--
		}
		s.nonzero[block+i] = mask
	}
	return n
}

// zeroAfter is the index of the zero coefficient that r more zeros precede,
// from k on; se+1 when the band ends first.
func zeroAfter(mask uint64, k, se, r uint) uint {
	if r == 0 && mask>>k&1 == 0 {
		return k
	}
	zeros := ^mask & (2<<se - 1) &^ (1<<k - 1)
	for ; r > 0 && zeros != 0; r-- {
		zeros &= zeros - 1
	}
	if zeros == 0 {
		return se + 1
	}
	return uint(bits.TrailingZeros64(zeros))
}

// correct reads a correction bit for each coefficient of a block that mask
// names, and grows those of the corner by a bit where it says so.
func (s *coefStore) correct(b *bitReader, values []int16, mask uint64, al uint) {
	one := int16(1) << al
	for mask != 0 {
		b.refill()
		part := mask
		n := uint(bits.OnesCount64(part))
		if n > refillBits {
			part &= 1<<32 - 1 // then each half is less than a refill
			n = uint(bits.OnesCount64(part))
		}
		set := b.acc
		b.acc <<= n & 63
		b.count -= n
		for m := part & s.corner; m != 0; m &= m - 1 {
			k := bits.TrailingZeros64(m)
			at := uint(bits.OnesCount64(part & (m&-m - 1))) // which of the bits read is its own
			if set<<(at&63)>>63 == 0 {
				continue
			}
			v := &values[s.slot[k&63]]
			switch {
			case *v&one != 0:
			case *v >= 0:
				*v += one
			default:
				*v -= one
			}
		}
		mask &^= part
	}
}

// renderBatch is how many blocks are dequantised before they are transformed.
const renderBatch = 32

// render turns the stored coefficients into samples.
func (d *Decoder) render() error {
	f, v := &d.frame, &d.view
	for ci := range f.n {
		c := &f.comps[ci]
		d.dequantTable(&d.dequant[0], &c.quant, d.orient)
		x0, x1 := v.mx0*c.h, min(v.mx1*c.h, c.blocksX)
		for by := v.my0 * c.v; by < min(v.my1*c.v, c.blocksY); by++ {
			if err := d.poll(by); err != nil {
				return err
			}
			for bx := x0; bx < x1; bx += renderBatch {
				n := min(renderBatch, x1-bx)
				d.dequantise(ci, bx, by, n)
				d.emitRow(&d.targets[ci], 0, bx, by, n)
			}
		}
	}
	return nil
}

// dequantise brings n stored blocks into the batch buffers.
func (d *Decoder) dequantise(ci, bx, by, n int) {
	s := &d.store
	p := &s.comps[ci]
	block := p.base + by*p.stride + bx
	quant := int32(d.frame.comps[ci].quant[0])
	for i := range n {
		values := s.values[(block+i)*s.per:][:s.per]
		if s.per == 1 {
			d.line[i] = rangeLimit[uint32(int32(values[0])*quant+4)>>3&1023]
			continue
		}
		out := d.coefs[d.lay.offset(i):]
		out[0] = int16(int32(values[0]) * quant)
		if s.per == 4 { // the others are coefficients 1, 2 and 4, most of them not zero
			q1, q2, q4 := d.dequant[0][2], d.dequant[0][3], d.dequant[0][5]
			out[q1&0xFFFF] = values[1] * int16(q1>>16)
			out[q2&0xFFFF] = values[2] * int16(q2>>16)
			out[q4&0xFFFF] = values[3] * int16(q4>>16)
			continue
		}
		for m := s.nonzero[block+i] & s.corner; m != 0; m &= m - 1 {
			k := bits.TrailingZeros64(m)
			q := d.dequant[0][k+1]
			out[q&0xFFFF] = values[s.slot[k]] * int16(q>>16)
		}
	}
}
