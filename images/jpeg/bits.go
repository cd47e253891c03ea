package jpeg

import "encoding/binary"

const (
	// mcuBytesMax bounds the bytes that one MCU can use: 10 blocks of 64
	// symbols of 17 bits (a bad code) with 15 more, and one load.
	mcuBytesMax = mcuBlocksMax*blockSize*4 + 16
	// refillBits is how many bits a refill makes ready at least.
	refillBits = 56
	// windowBytes is how much entropy coded data is made ready at a time: it
	// should stay in the first-level cache until it is used.
	windowBytes = 8 << 10
)

// bitReader reads bits from one restart interval. The window holds bytes without
// stuffing; past the end of the interval it holds zeros, as libjpeg-turbo
// reads them.
//
// Invariant: the top count bits of acc are the next bits of the stream, and
// what lies below them is either zero or the bits that follow.
type bitReader struct {
	window [windowBytes + mcuBytesMax]byte
	pos    int    // next byte to load
	acc    uint64 // next bits, from the top
	count  uint   // bits that acc holds for certain, 0..63

	end   int  // bytes of the interval in the window
	ended bool // the interval has no more than these
	// limit: an MCU may start without a look at the state while pos < limit.
	limit int
}

// begin starts an interval at the place where src stands.
func (b *bitReader) begin(src *source) {
	b.pos, b.acc, b.count, b.end, b.ended = 0, 0, 0, 0, false
	b.fill(src)
}

// fill loads the window from its start up.
func (b *bitReader) fill(src *source) {
	b.end += src.read(b.window[b.end:windowBytes])
	if src.marker != 0 {
		b.ended = true
		clear(b.window[b.end : b.end+mcuBytesMax])
		b.limit = b.end + 1
		return
	}
	b.limit = windowBytes - mcuBytesMax
}

// more prepares for another MCU when pos has reached limit. It returns false
// when the interval is used up: bits past its end have been read.
func (b *bitReader) more(src *source) bool {
	if b.ended {
		return !b.overrun()
	}
	at := b.bitPos()
	from := at >> 3
	b.end = copy(b.window[:], b.window[from:b.end])
	b.fill(src)
	b.seek(at & 7)
	return true
}

// overrun says whether bits past the end of the interval have been read.
func (b *bitReader) overrun() bool { return b.ended && b.bitPos() > b.end*8 }

// bitPos is the position of the next bit in the window.
func (b *bitReader) bitPos() int { return b.pos*8 - int(b.count) }

// seek moves to a bit of the window.
func (b *bitReader) seek(bit int) {
	b.pos = bit >> 3
	b.acc = binary.BigEndian.Uint64(b.window[b.pos:]) << (bit & 7)
	b.pos += 7
	b.count = 56 - uint(bit&7)
}

// refill makes count at least refillBits.
func (b *bitReader) refill() {
	b.acc |= binary.BigEndian.Uint64(b.window[b.pos:]) >> (b.count & 63)
	b.pos += int((63 - b.count) >> 3)
	b.count |= refillBits
}

// take returns the next n bits; n is 0 to 16 and count at least n.
func (b *bitReader) take(n uint) int {
	v := b.acc >> 1 >> ((63 - n) & 63)
	b.acc <<= n & 63
	b.count -= n
	return int(v)
}

// symbol decodes one symbol the slow way; count must be at least 17. A code
// that the table lacks uses 17 bits and is symbol 0, as in libjpeg-turbo.
func (b *bitReader) symbol(t *huffTable) uint8 {
	if e := t.look[b.acc>>(64-lookBits)]; e != 0 {
		b.acc <<= e >> 8 & 63
		b.count -= uint(e >> 8)
		return uint8(e)
	}
	l := uint(lookBits + 1)
	for int32(b.acc>>(64-l)) > t.maxCode[l] {
		l++
	}
	code := int32(b.acc >> (64 - l))
	b.acc <<= l & 63
	b.count -= l
	if l > 16 {
		return 0
	}
	return t.spec.values[uint8(code+t.valDelta[l])]
}

// value decodes one symbol and its additional bits the slow way. For DC the
// symbol is the category.
func (b *bitReader) value(t *huffTable) (symbol uint8, value int) {
	b.refill()
	symbol = b.symbol(t)
	if size := uint(symbol & 15); size != 0 {
		value = extend(b.take(size), int(size))
	}
	return symbol, value
}
