package jpeg

import (
	"encoding/binary"
	"math/bits"
)

// scanScript is one scan of a progressive file.
type scanScript struct {
	component   int // -1: all, interleaved
	first, last int // coefficients in zigzag order: T.81's Ss and Se
	before, low int // bits known before and after the scan: Ah and Al
}

// The scans that libjpeg's simple progression sends: rough DC, the luma that
// shows most, rough chroma, the rest of luma, then bit after bit.
var (
	scansColour = []scanScript{
		{-1, 0, 0, 0, 1},
		{0, 1, 5, 0, 2}, {2, 1, 63, 0, 1}, {1, 1, 63, 0, 1}, {0, 6, 63, 0, 2}, {0, 1, 63, 2, 1},
		{-1, 0, 0, 1, 0},
		{2, 1, 63, 1, 0}, {1, 1, 63, 1, 0}, {0, 1, 63, 1, 0},
	}
	scansGray = []scanScript{
		{-1, 0, 0, 0, 1},
		{0, 1, 5, 0, 2}, {0, 6, 63, 0, 2}, {0, 1, 63, 2, 1},
		{-1, 0, 0, 1, 0},
		{0, 1, 63, 1, 0},
	}
)

// A progressive token is a symbol and up to 16 bits after it, or bits alone.
//
//	bits 0-8    the symbol, | 256 for the second DC table
//	bits 9-13   how many bits follow
//	bits 14-29  the bits
//	bit  30     there is no symbol
const (
	bitsCountAt = 9
	bitsValueAt = 14
	bitsAlone   = 1 << 30
	bitsSymbols = 512
)

// endRunMax is the longest run of blocks without further coefficients (T.81 G.1.2.2).
const endRunMax = 0x7FFF

// correctionsMax is when a run of blocks ends because of its correction
// bits. Any number would do; libjpeg's gives the same runs.
const correctionsMax = 1000 - blockSize + 1

// progressive is the state of a scan.
type progressive struct {
	list   []uint32 // tokens
	marks  []int    // indices into list before which a restart marker goes
	counts [bitsSymbols]uint32
	code   [bitsSymbols]uint32 // code << codeSizeBits | length

	endRun      int    // blocks that ended and are not written yet
	corrections []byte // bits of those blocks, written after the run
	block       []byte // correction bits of the block in work
	lastDC      [4]int
}

// appendProgressive writes all scans of a progressive file. The coefficients
// of the whole picture are held: 2 bytes for each sample.
func (e *Encoder) appendProgressive(out []byte) []byte {
	f := &e.frame
	row := (f.mcusX + 1) * f.mcuBlocks
	e.reserve(row * f.mcusY)
	for y := range f.mcusY {
		at := y * row
		e.transformRow(y, e.coef[at*blockSize:(at+row)*blockSize], e.mask[at:at+row])
	}
	script := scansGray
	if f.n == 3 {
		script = scansColour
	}
	out = f.appendRestartInterval(out)
	for _, s := range script {
		e.scan.begin()
		if s.component < 0 {
			e.collectDC(s)
		} else {
			e.collectAC(s)
		}
		out = e.appendScan(out, s)
	}
	return out
}

// begin empties the state for a scan.
func (p *progressive) begin() {
	p.list, p.marks = p.list[:0], p.marks[:0]
	clear(p.counts[:])
	p.endRun, p.corrections, p.block = 0, p.corrections[:0], p.block[:0]
	p.lastDC = [4]int{}
}

// symbol adds a symbol and n bits after it.
func (p *progressive) symbol(symbol, value uint32, n int) {
	p.counts[symbol%bitsSymbols]++
	p.list = append(p.list, symbol|uint32(n)<<bitsCountAt|value<<bitsValueAt)
}

// raw adds bits alone.
func (p *progressive) raw(list []byte) {
	for len(list) > 0 {
		n := min(len(list), 16)
		value := uint32(0)
		for _, b := range list[:n] {
			value = value<<1 | uint32(b)
		}
		p.list = append(p.list, bitsAlone|uint32(n)<<bitsCountAt|value<<bitsValueAt)
		list = list[n:]
	}
}

// mark puts a restart marker here.
func (p *progressive) mark() {
	p.flushRun()
	p.marks = append(p.marks, len(p.list))
	p.lastDC = [4]int{}
}

// flushRun writes the run of ended blocks and their corrections.
func (p *progressive) flushRun() {
	if p.endRun == 0 {
		return
	}
	size := bits.Len(uint(p.endRun)) - 1
	p.symbol(uint32(size)<<4, uint32(p.endRun)&(1<<size-1), size)
	p.endRun = 0
	p.raw(p.corrections)
	p.corrections = p.corrections[:0]
}

// collectDC makes the tokens of an interleaved DC scan.
func (e *Encoder) collectDC(s scanScript) {
	f, p := &e.frame, &e.scan
	row := (f.mcusX + 1) * f.mcuBlocks
	left := f.restart
	for mcu := range f.mcusX * f.mcusY {
		if f.restart > 0 {
			if left == 0 {
				p.mark()
				left = f.restart
			}
			left--
		}
		at := mcu/f.mcusX*row + mcu%f.mcusX*f.mcuBlocks
		for i := range f.n {
			c := &f.components[i]
			for range c.h * c.v {
				dc := int(e.coef[at*blockSize]) >> s.low
				at++
				if s.before > 0 {
					p.raw([]byte{byte(dc & 1)})
					continue
				}
				t := valueTokens[(dc-p.lastDC[i&3]+valueSpan)&(2*valueSpan-1)]
				p.lastDC[i&3] = dc
				size := t & 15
				p.symbol(size|uint32(c.chroma)<<8, t>>tokenValueAt, int(size))
			}
		}
	}
}

// collectAC makes the tokens of a scan of AC coefficients of one component,
// its blocks row by row.
func (e *Encoder) collectAC(s scanScript) {
	f, p := &e.frame, &e.scan
	c := &f.components[s.component]
	row := (f.mcusX + 1) * f.mcuBlocks
	band := ^uint64(0) << s.first & (^uint64(0) >> (blockSize - 1 - s.last))
	left := f.restart
	for by := range c.blocksY {
		for bx := range c.blocksX {
			if f.restart > 0 {
				if left == 0 {
					p.mark()
					left = f.restart
				}
				left--
			}
			at := by/c.v*row + bx/c.h*f.mcuBlocks + c.slot + by%c.v*c.h + bx%c.h
			block := (*[blockSize]int16)(e.coef[at*blockSize:])
			if s.before == 0 {
				p.firstAC(block, e.mask[at]&band, s)
			} else {
				p.refineAC(block, e.mask[at]&band, s)
			}
		}
	}
	p.flushRun()
}

// firstAC is T.81 G.1.2.2.
func (p *progressive) firstAC(block *[blockSize]int16, mask uint64, s scanScript) {
	k := s.first - 1
	for ; mask != 0; mask &= mask - 1 {
		z := bits.TrailingZeros64(mask)
		v := int(block[zigzag[z&63]&63])
		size := max(v, -v) >> s.low
		if size == 0 {
			continue
		}
		if v < 0 {
			size = -size
		}
		run := z - k - 1
		k = z
		p.flushRun()
		for ; run > 15; run -= 16 {
			p.symbol(symbolZeroRun, 0, 0)
		}
		t := valueTokens[(size+valueSpan)&(2*valueSpan-1)]
		p.symbol(uint32(run)<<4|t&15, t>>tokenValueAt, int(t&15))
	}
	if k < s.last {
		p.ended()
	}
}

// ended counts a block that has no more coefficients in this scan.
func (p *progressive) ended() {
	p.endRun++
	p.corrections = append(p.corrections, p.block...)
	p.block = p.block[:0]
	if p.endRun == endRunMax || len(p.corrections) > correctionsMax {
		p.flushRun()
	}
}

// refineAC is T.81 G.1.2.3.
func (p *progressive) refineAC(block *[blockSize]int16, mask uint64, s scanScript) {
	end := 0 // the last coefficient that becomes known in this scan
	for rest := mask; rest != 0; rest &= rest - 1 {
		z := bits.TrailingZeros64(rest)
		if v := int(block[zigzag[z&63]&63]); max(v, -v)>>s.low == 1 {
			end = z
		}
	}
	run, k := 0, s.first-1
	for ; mask != 0; mask &= mask - 1 {
		z := bits.TrailingZeros64(mask)
		v := int(block[zigzag[z&63]&63])
		size := max(v, -v) >> s.low
		if size == 0 {
			continue
		}
		run += z - k - 1
		k = z
		for ; run > 15 && z <= end; run -= 16 {
			p.flushRun()
			p.symbol(symbolZeroRun, 0, 0)
			p.raw(p.block)
			p.block = p.block[:0]
		}
		if size > 1 { // known before: one more bit of it
			p.block = append(p.block, byte(size&1))
			continue
		}
		p.flushRun()
		sign := uint32(1)
		if v < 0 {
			sign = 0
		}
		p.symbol(uint32(run)<<4|1, sign, 1)
		p.raw(p.block)
		p.block = p.block[:0]
		run = 0
	}
	if run += s.last - k; run > 0 || len(p.block) > 0 {
		p.ended()
	}
}

// appendScan writes the tables, header and data of a scan.
func (e *Encoder) appendScan(out []byte, s scanScript) []byte {
	f, p := &e.frame, &e.scan
	switch {
	case s.component >= 0:
		chroma := f.components[s.component].chroma
		out = e.appendScanTable(out, 0, byte(0x10|chroma))
	case s.before == 0:
		for i := range min(f.n, 2) {
			out = e.appendScanTable(out, i, byte(i))
		}
	}
	from, to := s.component, s.component+1
	if s.component < 0 {
		from, to = 0, f.n
	}
	out = appendSegment(out, markerSOS, 4+2*(to-from))
	out = append(out, byte(to-from))
	for i := from; i < to; i++ {
		chroma := byte(f.components[i].chroma)
		switch {
		case s.component >= 0:
			out = append(out, byte(i+1), chroma)
		case s.before == 0:
			out = append(out, byte(i+1), chroma<<4)
		default: // bits need no table
			out = append(out, byte(i+1), 0)
		}
	}
	out = append(out, byte(s.first), byte(s.last), byte(s.before<<4|s.low))

	e.bits.reset()
	at := 0
	for _, mark := range p.marks {
		out = e.bits.writeScan(out, p.list[at:mark], &p.code)
		out = e.bits.restartMarker(out)
		at = mark
	}
	out = e.bits.writeScan(out, p.list[at:], &p.code)
	return e.bits.finish(out)
}

// appendScanTable makes table i of the scan from what was counted and writes it.
func (e *Encoder) appendScanTable(out []byte, i int, id byte) []byte {
	p, spec := &e.scan, &e.codes.specs[i]
	e.codes.setLengths(spec, p.counts[i<<8:(i+1)<<8])
	code, k := uint32(0), 0
	for length := 1; length <= codeLengthMax; length++ {
		for range spec.lengths[length] {
			p.code[i<<8|int(spec.symbols[k])] = code<<codeSizeBits | uint32(length)
			code++
			k++
		}
		code <<= 1
	}
	return spec.append(out, id)
}

// writeScan appends progressive tokens as stuffed bytes.
func (w *bitWriter) writeScan(out []byte, list []uint32, codes *[bitsSymbols]uint32) []byte {
	if w.raw == nil {
		w.raw = make([]byte, rawBatchBytes)
	}
	for len(list) > 0 {
		batch := list[:min(len(list), (rawBatchBytes-16)/4)] // a token is at most 32 bits
		list = list[len(batch):]
		pending, n, at := w.bits, w.n, 0
		for _, t := range batch {
			if t&bitsAlone == 0 {
				c := codes[t%bitsSymbols]
				length := uint(c % (1 << codeSizeBits))
				pending = pending<<length | uint64(c>>codeSizeBits)
				n += length
			}
			count := uint(t>>bitsCountAt) & 31
			pending = pending<<count | uint64(t&(bitsAlone-1)>>bitsValueAt)
			n += count
			binary.BigEndian.PutUint64(w.raw[at:], pending<<(-n&63))
			at += int(n >> 3)
			n &= 7
		}
		w.bits, w.n = pending, n
		out = appendStuffed(out, w.raw[:at])
	}
	return out
}
