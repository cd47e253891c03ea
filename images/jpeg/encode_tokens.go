package jpeg

import (
	"encoding/binary"
	"math/bits"
	"slices"
)

// A token is one Huffman symbol of a scan and the bits that follow it, before
// any table is chosen:
//
//	bits 0-7   the symbol: run of zeros << 4 | size (T.81 F.1.2.2)
//	bits 8-9   the table: 0 DC, 1 AC of luma; 2 DC, 3 AC of chroma
//	bits 10-   the value of the following `size` bits
//
// Keeping tokens lets one pass over the coefficients serve both to count
// symbols and to write them, and makes writing one straight loop.
type token = uint32

const (
	tokenTables   = 4
	tokenSymbols  = tokenTables << 8 // distinct symbols with their tables
	tokenValueAt  = 10
	tokenAC       = 1 << 8
	tokenChroma   = 2 << 8
	symbolZeroRun = 0xF0 // sixteen zeros (ZRL)
	symbolEnd     = 0x00 // end of block
)

// tokensMax bounds the tokens kept before tables are made: 4 MiB of them,
// enough for a picture of about 6 megapixels at quality 75. The tables of a longer
// picture are made from its first tokensMax tokens, with a code for every symbol.
const tokensMax = 1 << 20

// blockTokensMax is the most tokens of one block: every coefficient its own.
const blockTokensMax = blockSize

// valueSpan is half the range of values that a token can hold: differences of DC
// are in -2047..2047, AC coefficients in -1023..1023.
const valueSpan = 2048

// valueTokens has for each value + valueSpan its size and following bits.
var valueTokens = makeValueTokens()

func makeValueTokens() (t [2 * valueSpan]token) {
	for i := range t {
		v := i - valueSpan
		size := bits.Len(uint(max(v, -v)))
		if v < 0 { // T.81 F.1.2.1.1: the low bits of v-1
			v += 1<<size - 1
		}
		t[i] = token(v)<<tokenValueAt | token(size)
	}
	return t
}

// tokenBuffer collects the tokens of a scan.
type tokenBuffer struct {
	list   []token
	n      int // tokens in list
	counts [tokenSymbols]uint32

	marks    []int    // indices into list before which a restart marker goes
	lastDC   [4]int32 // of each component; one more than there are, so that an index needs no check
	mcusLeft int      // until the next restart marker
}

func (b *tokenBuffer) begin(f *encodeFrame) {
	b.n = 0
	clear(b.counts[:])
	b.marks = b.marks[:0]
	b.lastDC = [4]int32{}
	b.mcusLeft = f.restart
}

// reserve makes room for n more tokens.
func (b *tokenBuffer) reserve(n int) {
	b.list = slices.Grow(b.list[:b.n], n)
	b.list = b.list[:cap(b.list)]
}

// addRow turns a row of MCUs into tokens.
func (b *tokenBuffer) addRow(f *encodeFrame, coef []int16, mask []uint64) {
	b.reserve(f.mcusX * f.mcuBlocks * blockTokensMax)
	if f.restart == 0 {
		b.addMCUs(f, coef, mask, f.mcusX)
		return
	}
	for x := 0; x < f.mcusX; {
		if b.mcusLeft == 0 {
			b.marks = append(b.marks, b.n)
			b.lastDC = [4]int32{}
			b.mcusLeft = f.restart
		}
		n := min(f.mcusX-x, b.mcusLeft)
		at := x * f.mcuBlocks
		b.addMCUs(f, coef[at*blockSize:], mask[at:], n)
		x += n
		b.mcusLeft -= n
	}
}

// addMCUs turns n MCUs into tokens. The caller has reserved room.
func (b *tokenBuffer) addMCUs(f *encodeFrame, coef []int16, mask []uint64, n int) {
	var componentOf [mcuBlocksMax]uint8
	slot := 0
	for i := range f.n {
		for range f.components[i].h * f.components[i].v {
			componentOf[slot] = uint8(i)
			slot++
		}
	}
	if useEncodeKernels {
		b.addMCUsFast(f, coef, mask, n, &componentOf)
		return
	}
	list, at := b.list, b.n
	counts := &b.counts
	slot = 0
	for i := range n * f.mcuBlocks {
		c := componentOf[slot]
		if slot++; slot == f.mcuBlocks {
			slot = 0
		}
		base := token(0)
		if c > 0 {
			base = tokenChroma
		}
		block := (*[blockSize]int16)(coef[i*blockSize:])
		dc := int32(block[0])
		t := valueTokens[(dc-b.lastDC[c&3]+valueSpan)&(2*valueSpan-1)] | base
		b.lastDC[c&3] = dc
		list[at] = t
		at++
		counts[t%tokenSymbols]++

		base |= tokenAC
		k := 0
		for rest := mask[i] &^ 1; rest != 0; rest &= rest - 1 {
			z := bits.TrailingZeros64(rest)
			run := z - k - 1
			k = z
			for run > 15 {
				list[at] = base | symbolZeroRun
				at++
				counts[(base|symbolZeroRun)%tokenSymbols]++
				run -= 16
			}
			v := int(block[zigzag[z&63]&63])
			t := valueTokens[(v+valueSpan)&(2*valueSpan-1)] | base | token(run)<<4
			list[at] = t
			at++
			counts[t%tokenSymbols]++
		}
		if k != blockSize-1 {
			list[at] = base | symbolEnd
			at++
			counts[base%tokenSymbols]++
		}
	}
	b.n = at
}

// addMCUsFast is addMCUs by the kernel, which needs its lengths checked.
func (b *tokenBuffer) addMCUsFast(f *encodeFrame, coef []int16, mask []uint64, n int, componentOf *[mcuBlocksMax]uint8) {
	blocks := n * f.mcuBlocks
	if blocks < 1 || len(coef) < blocks*blockSize || len(mask) < blocks || len(b.list)-b.n < blocks*blockTokensMax {
		panic("jpeg: tokens or blocks outside their buffers")
	}
	var slots [mcuBlocksMax][2]uint32
	for i := range f.mcuBlocks {
		c := uint32(componentOf[i])
		slots[i][0] = 4 * c
		if c > 0 {
			slots[i][1] = tokenChroma
		}
	}
	b.n += addBlocks(&b.list[b.n], &coef[0], &mask[0], blocks, &slots, f.mcuBlocks, &b.counts, &valueTokens, &zigzag, &b.lastDC)
}

// bitWriter writes tokens as entropy-coded data. Between calls it holds the
// bits that do not fill a byte.
type bitWriter struct {
	bits    uint64 // the low n bits are pending
	n       uint   // 0..7
	restart int    // number of the next restart marker, 0..7
	raw     []byte // bits of a batch before 0xFF bytes are stuffed
}

func (w *bitWriter) reset() { w.bits, w.n, w.restart = 0, 0, 0 }

// append writes all tokens of b and empties it.
func (w *bitWriter) append(out []byte, b *tokenBuffer, codes *encodeCodes) []byte {
	from := 0
	for _, mark := range b.marks {
		out = w.write(out, b.list[from:mark], codes)
		out = w.restartMarker(out)
		from = mark
	}
	out = w.write(out, b.list[from:b.n], codes)
	b.n, b.marks = 0, b.marks[:0]
	return out
}

// restartMarker fills the last byte and writes the next restart marker.
func (w *bitWriter) restartMarker(out []byte) []byte {
	out = w.finish(out)
	out = append(out, 0xFF, byte(markerRST0+w.restart))
	w.restart = (w.restart + 1) % 8
	return out
}

// tokenBitsMax is the most bits a token can take: a code of 16 and a value of 11.
const tokenBitsMax = codeLengthMax + 11

// write appends tokens as stuffed bytes.
func (w *bitWriter) write(out []byte, list []token, codes *encodeCodes) []byte {
	if w.raw == nil {
		w.raw = make([]byte, rawBatchBytes)
	}
	raw := w.raw
	for len(list) > 0 {
		batch := list[:min(len(list), (len(raw)-16)*8/tokenBitsMax)]
		list = list[len(batch):]
		out = appendStuffed(out, raw[:w.pack(raw, batch, &codes.code)])
	}
	return out
}

// rawBatchBytes is how many bytes are packed before they are stuffed: little
// enough to stay in the first-level cache.
const rawBatchBytes = 8192

// pack writes tokens to raw, most significant bit first, and returns how many
// whole bytes there are. The bits left over stay in w.
func (w *bitWriter) pack(raw []byte, list []token, codes *[tokenSymbols]uint32) int {
	pending, n, at := w.bits, w.n, 0
	// Two tokens are at most 54 bits and at most 7 wait: they fit in 64.
	if pairs := len(list) / 2; useEncodeKernels && pairs > 0 {
		// A pair writes 8 bytes, of which it keeps at most 7.
		if len(raw) < len(list)*tokenBitsMax/8+16 {
			panic("jpeg: tokens outside their buffer")
		}
		pending, n, at = packPairs(&raw[0], &list[0], pairs, codes, pending, n)
		list = list[2*pairs:]
	}
	for ; len(list) >= 2; list = list[2:] {
		t0, t1 := list[0], list[1]
		c0, c1 := codes[t0%tokenSymbols], codes[t1%tokenSymbols]
		n0, n1 := uint(c0%(1<<codeSizeBits)), uint(c1%(1<<codeSizeBits))
		v := uint64(c0>>codeSizeBits|t0>>tokenValueAt)<<n1 | uint64(c1>>codeSizeBits|t1>>tokenValueAt)
		n0 += n1
		pending = pending<<(n0&63) | v
		n += n0
		binary.BigEndian.PutUint64(raw[at:], pending<<(-n&63))
		at += int(n >> 3)
		n &= 7
	}
	if len(list) == 1 {
		c := codes[list[0]%tokenSymbols]
		length := c % (1 << codeSizeBits)
		pending = pending<<length | uint64(c>>codeSizeBits|list[0]>>tokenValueAt)
		n += uint(length)
		binary.BigEndian.PutUint64(raw[at:], pending<<(-n&63))
		at += int(n >> 3)
		n &= 7
	}
	w.bits, w.n = pending, n
	return at
}

// finish fills the last byte with ones (T.81 F.1.2.3).
func (w *bitWriter) finish(out []byte) []byte {
	if w.n > 0 {
		last := byte(w.bits<<(8-w.n) | (1<<(8-w.n) - 1))
		out = append(out, last)
		if last == 0xFF {
			out = append(out, 0)
		}
	}
	w.bits, w.n = 0, 0
	return out
}

// appendStuffed appends raw with a zero after every 0xFF (T.81 B.1.1.5).
func appendStuffed(out, raw []byte) []byte {
	const ones, highs = 0x0101010101010101, 0x8080808080808080
	out = slices.Grow(out, 2*len(raw)+8)
	at := len(out)
	out = out[:cap(out)]
	for len(raw) >= 8 {
		v := binary.LittleEndian.Uint64(raw)
		binary.LittleEndian.PutUint64(out[at:], v)
		// A byte of 0xFF loses its high bit when one is added, and nothing else
		// does unless a 0xFF below it carries: no false alarm, none missed.
		if v&^(v+ones)&highs == 0 {
			at += 8
			raw = raw[8:]
			continue
		}
		for _, c := range raw[:8] {
			out[at] = c
			at++
			if c == 0xFF {
				out[at] = 0
				at++
			}
		}
		raw = raw[8:]
	}
	for _, c := range raw {
		out[at] = c
		at++
		if c == 0xFF {
			out[at] = 0
			at++
		}
	}
	return out[:at]
}
