package jpeg

import "encoding/binary"

// blockPlan says how one block of an MCU is decoded and where it goes.
type blockPlan struct {
	dc, ac  *huffTable
	dequant *[2 * blockSize]uint32 // by stream index + 1: quantiser<<16 | place in the group
	pred    *int32                 // DC predictor of the component
	quantDC int32
	base    int // scratch offset of the block row within the batch
	step    int // blocks of this row in an MCU
	first   int // place within them
}

// blockEnd is where the index of a coefficient, kept above the 8 bits that
// count bits used, ends a block.
const blockEnd = blockSize << 8

// rangeLimit clamps a DC value as the range limit table of libjpeg-turbo does:
// index the value modulo 1024, +128 and clamped to a sample.
var rangeLimit = func() (t [1024]uint8) {
	for i := range t {
		v := i
		if v >= 512 {
			v -= 1024
		}
		t[i] = uint8(min(max(v+128, 0), 255))
	}
	return t
}()

// runDC decodes MCUs m0 to m1 of the batch at scale 1/8: one sample a block,
// written to line; AC coefficients are stepped over. It returns the MCU at
// which the interval ran out of data, or m1.
func (d *Decoder) runDC(plan []blockPlan, m0, m1 int) int {
	if useDecodeKernels {
		return d.runKernel(plan, m0, m1, true)
	}
	b := &d.bits
	line := d.line
	pos, acc, count := b.pos, b.acc, b.count
	for m := m0; m < m1; m++ {
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
			count |= 56

			diff := int32(p.dc.dc[acc>>(64-dcBits)])
			if diff != 0 {
				acc <<= uint(diff) & 31
				count -= uint(diff) & 31
				diff >>= 5
			} else {
				b.pos, b.acc, b.count = pos, acc, count
				_, v := b.value(p.dc)
				b.refill()
				pos, acc, count = b.pos, b.acc, b.count
				diff = int32(v)
			}
			diff += *p.pred
			*p.pred = diff
			line[p.base+m*p.step+p.first] = rangeLimit[uint32(int32(int16(diff))*p.quantDC+4)>>3&1023]

			t := p.ac
			e := uint(t.skip[acc>>(64-skipBits)])
			acc <<= e & 63
			s := 1<<8 + e // index<<8 | bits used since the last refill
			if s < blockEnd {
				e = uint(t.skip[acc>>(64-skipBits)])
				acc <<= e & 63
				s += e
			}
		again:
			for s < blockEnd {
				count -= s & 255
				s &^= 255
				acc |= binary.BigEndian.Uint64(b.window[pos:]) >> (count & 63)
				pos += int((63 - count) >> 3)
				count |= 56
				e = uint(t.skip[acc>>(64-skipBits)])
				acc <<= e & 63
				s += e
				if s >= blockEnd {
					break
				}
				e = uint(t.skip[acc>>(64-skipBits)])
				acc <<= e & 63
				s += e
				if s >= blockEnd {
					break
				}
				e = uint(t.skip[acc>>(64-skipBits)])
				acc <<= e & 63
				s += e
			}
			count -= s & 255
			k := s >> 8
			if k-advanceEOB < blockSize || k == blockSize {
				continue
			}
			b.pos, b.count = pos, count+e&63
			b.seek(b.bitPos())
			s = b.skipOne(t, k-e>>8) << 8
			pos, acc, count = b.pos, b.acc, b.count
			goto again
		}
	}
	b.pos, b.acc, b.count = pos, acc, count
	return m1
}

// skipOne steps over one AC symbol the slow way. The index it returns is below
// 64, or one of those that end a block.
func (b *bitReader) skipOne(t *huffTable, k uint) uint {
	b.refill()
	advance, size := acAdvance(b.symbol(t))
	b.take(uint(size))
	return endIndex(k + uint(advance))
}

// endIndex makes every index past the last coefficient one that ends a block:
// runs of corrupt data may lead anywhere.
func endIndex(k uint) uint {
	if k >= blockSize {
		return blockSize
	}
	return k
}

// runCoefs decodes MCUs m0 to m1 of the batch at the larger scales. Coefficients
// before limit (in stream order) are dequantised into d.coefs, the rest stepped over.
func (d *Decoder) runCoefs(m0, m1 int) int {
	b := &d.bits
	plan := d.plan[:d.planned]
	if useDecodeKernels {
		return d.runKernel(plan, m0, m1, false)
	}
	coefs := d.coefs
	limit, lay := d.until<<8, d.lay
	pos, acc, count := b.pos, b.acc, b.count
	for m := m0; m < m1; m++ {
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
			count |= 56

			diff := int32(p.dc.dc[acc>>(64-dcBits)])
			if diff != 0 {
				acc <<= uint(diff) & 31
				count -= uint(diff) & 31
				diff >>= 5
			} else {
				b.pos, b.acc, b.count = pos, acc, count
				_, v := b.value(p.dc)
				b.refill()
				pos, acc, count = b.pos, b.acc, b.count
				diff = int32(v)
			}
			diff += *p.pred
			*p.pred = diff
			block := coefs[p.base+lay.offset(m*p.step+p.first):]
			dc := int16(diff * p.quantDC) // stored last: coefficients that nobody wants go to its place

			t := p.ac
			s := uint(1 << 8) // index<<8 | bits used since the last refill
			var e uint32
		values:
			for {
				e = t.val[acc>>(64-valBits)]
				acc <<= e & 63
				s += uint(e) & 0xFFFF
				if s >= limit {
					break
				}
				q := p.dequant[s>>8&127]
				block[q&0xFFFF] = int16(int32(e<<5)>>27) * int16(q>>16)
				q = p.dequant[(s>>8-uint(e>>27))&127]
				block[q&0xFFFF] = int16(int32(e<<10)>>26) * int16(q>>16)

				e = t.val[acc>>(64-valBits)]
				acc <<= e & 63
				s += uint(e) & 0xFFFF
				if s >= limit {
					break
				}
				q = p.dequant[s>>8&127]
				block[q&0xFFFF] = int16(int32(e<<5)>>27) * int16(q>>16)
				q = p.dequant[(s>>8-uint(e>>27))&127]
				block[q&0xFFFF] = int16(int32(e<<10)>>26) * int16(q>>16)

				e = t.val[acc>>(64-valBits)]
				acc <<= e & 63
				s += uint(e) & 0xFFFF
				if s >= limit {
					break
				}
				q = p.dequant[s>>8&127]
				block[q&0xFFFF] = int16(int32(e<<5)>>27) * int16(q>>16)
				q = p.dequant[(s>>8-uint(e>>27))&127]
				block[q&0xFFFF] = int16(int32(e<<10)>>26) * int16(q>>16)

				count -= s & 255
				s &^= 255
				acc |= binary.BigEndian.Uint64(b.window[pos:]) >> (count & 63)
				pos += int((63 - count) >> 3)
				count |= 56
			}
			count -= s & 255
			if k := s >> 8; k-advanceEOB < blockSize || k <= blockSize {
				q := p.dequant[k&127]
				block[q&0xFFFF] += int16(int32(e<<5)>>27) * int16(q>>16)
				q = p.dequant[(k-uint(e>>27))&127]
				block[q&0xFFFF] += int16(int32(e<<10)>>26) * int16(q>>16)
				if k >= blockSize {
					block[0] = dc
					continue
				}
				s &^= 255
			} else {
				b.pos, b.count = pos, count+uint(e)&63
				b.seek(b.bitPos())
				s = b.valueOne(t, k-uint(e)>>8&255, block, p.dequant) << 8
				pos, acc, count = b.pos, b.acc, b.count
				if s == blockEnd {
					block[0] = dc
					continue
				}
				if s < limit {
					goto values
				}
			}
			var step uint
		skips:
			for s < blockEnd {
				count -= s & 255
				s &^= 255
				acc |= binary.BigEndian.Uint64(b.window[pos:]) >> (count & 63)
				pos += int((63 - count) >> 3)
				count |= 56
				step = uint(t.skip[acc>>(64-skipBits)])
				acc <<= step & 63
				s += step
				if s >= blockEnd {
					break
				}
				step = uint(t.skip[acc>>(64-skipBits)])
				acc <<= step & 63
				s += step
				if s >= blockEnd {
					break
				}
				step = uint(t.skip[acc>>(64-skipBits)])
				acc <<= step & 63
				s += step
			}
			count -= s & 255
			k := s >> 8
			if k-advanceEOB < blockSize || k == blockSize {
				block[0] = dc
				continue
			}
			b.pos, b.count = pos, count+step&63
			b.seek(b.bitPos())
			s = b.skipOne(t, k-step>>8) << 8
			pos, acc, count = b.pos, b.acc, b.count
			goto skips
		}
	}
	b.pos, b.acc, b.count = pos, acc, count
	return m1
}

// valueOne decodes one AC symbol the slow way and stores its value; a run that
// leaves the block stores to the last coefficient, as libjpeg-turbo does.
func (b *bitReader) valueOne(t *huffTable, k uint, block []int16, dequant *[2 * blockSize]uint32) uint {
	symbol, value := b.value(t)
	b.refill()
	if symbol&15 == 0 {
		if symbol != 0xF0 {
			return blockSize
		}
		return endIndex(k + blockSide*2)
	}
	k += uint(symbol >> 4)
	q := dequant[min(k+1, blockSize)]
	if at := q & 0xFFFF; k < blockSize {
		block[at] += int16(value) * int16(q>>16)
	} else {
		block[at] = int16(value) * int16(q>>16)
	}
	return endIndex(k + 1)
}
