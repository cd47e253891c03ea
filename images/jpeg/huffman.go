package jpeg

// Index widths of the lookup tables, in bits. Wider tables join more symbols
// in one lookup but leave the first-level cache and cost more to make; these were measured.
//
// The kernels count on a DC difference and four values, or five values, being no
// more than a refill: dcBits + 4*valBits and 5*valBits are at most refillBits.
const (
	lookBits = 9  // code to symbol, for the slow path
	dcBits   = 10 // code and difference to difference
	skipBits = 13 // several AC symbols to how far they lead
	// skipUseMax is how many bits a lookup of skip may use at most: a refill
	// (56 bits) is good for three of them, and for four of the others.
	skipUseMax = 18
	valBits    = 11 // one or two AC symbols with their values, and the end-of-block after them
)

// The tables of AC symbols code where a lookup leads as an advance of the
// coefficient index. The end of the block is an advance so large that a loop
// needs no other exit than index < 64:
//
//	index after the lookup   meaning
//	1..63                    go on
//	64                       the block ended with its last coefficient
//	128..191                 end-of-block was read
//	anything else            a slow entry, or symbols past coefficient 63
const (
	advanceEOB  = 128
	advanceSlow = 255
)

// huffTable is a Huffman table made fast. Its parts are built when a scan
// first needs them.
type huffTable struct {
	spec  huffSpec
	class uint8  // 0 = DC, 1 = AC
	used  uint64 // clock of the last use, for eviction

	maxCode  [18]int32             // largest code of each length, -1 = none; [17] ends the search
	valDelta [17]int32             // index of the value minus code, per length
	look     [1 << lookBits]uint16 // length<<8 | symbol; 0 = longer code

	hasDC, hasSkip, hasVal bool
	again                  bool // a scan used it before

	// dc: difference<<5 | bits used. 0 = slow.
	dc [1 << dcBits]int16
	// skip: advance<<8 | bits used, of all the symbols that the index shows.
	skip [1 << skipBits]uint16
	// val: of one or two symbols and, where the index shows it, the
	// end-of-block that follows. Bits 0-7: bits used; 8-15: advance;
	// 16-21: value of the first symbol; 22-26: value of the second;
	// 27-31: advance of the second alone. Without a second, its part is zero,
	// and what is stored for it is then stored again by the first.
	val [1 << valBits]uint32
}

// tableCacheMax is how many Huffman tables a Decoder keeps: the four of usual
// files and those of a few files with tables of their own.
const tableCacheMax = 12

// tableCache finds tables by what DHT said. Memory is reused on eviction, so
// files with tables of their own cost time but no allocation.
type tableCache struct {
	tables []*huffTable
	clock  uint64
}

// get returns the table for a specification. Tables fetched for one scan (at
// most 8) never evict each other.
func (c *tableCache) get(spec *huffSpec, class uint8) (*huffTable, error) {
	c.clock++
	oldest := 0
	for i, t := range c.tables {
		if t.class == class && t.spec == *spec {
			t.used = c.clock
			return t, nil
		}
		if t.used < c.tables[oldest].used {
			oldest = i
		}
	}
	var t *huffTable
	if len(c.tables) < tableCacheMax {
		t = new(huffTable)
		c.tables = append(c.tables, t)
	} else {
		t = c.tables[oldest]
	}
	t.used = c.clock
	t.class = class
	t.spec = *spec
	t.hasDC, t.hasSkip, t.hasVal, t.again = false, false, false, false
	if err := t.derive(); err != nil {
		t.spec = huffSpec{} // must not be found again
		t.used = 0
		return nil, err
	}
	return t, nil
}

// derive fills the canonical decoding tables (T.81 F.2.2.3) and the short lookup.
func (t *huffTable) derive() error {
	clear(t.look[:])
	code, p := int32(0), int32(0)
	for l := 1; l <= 16; l++ {
		n := int32(t.spec.counts[l-1])
		t.valDelta[l] = p - code
		if n == 0 {
			t.maxCode[l] = -1
		}
		if n > 0 {
			if code+n >= 1<<l { // a code of ones alone is not allowed
				return FormatError("DHT has more codes than fit")
			}
			t.maxCode[l] = code + n - 1
			if l <= lookBits {
				t.fillLook(int(code), int(p), int(n), l)
			}
		}
		code, p = (code+n)<<1, p+n
	}
	t.maxCode[17] = 1<<31 - 1
	if t.class == 0 {
		for _, v := range t.spec.values[:p] {
			if v > 15 {
				return FormatError("DHT has a DC category past 15")
			}
		}
	}
	return nil
}

func (t *huffTable) fillLook(code, p, n, l int) {
	span := 1 << (lookBits - l)
	at := code * span
	for i := range n {
		e := uint16(l)<<8 | uint16(t.spec.values[p+i])
		for j := range span {
			t.look[at+i*span+j] = e
		}
	}
}

// eachCode calls f for every code of at most bits bits, in order.
func (t *huffTable) eachCode(bits int, f func(code, length int, symbol uint8)) {
	code, p := 0, 0
	for l := 1; l <= bits; l++ {
		for range t.spec.counts[l-1] {
			f(code, l, t.spec.values[p])
			code++
			p++
		}
		code <<= 1
	}
}

// extend maps the additional bits of a category to a value (T.81 F.2.2.1).
func extend(bits, size int) int {
	if bits < 1<<(size-1) {
		return bits - 1<<size + 1
	}
	return bits
}

// buildDC fills the table of DC differences.
func (t *huffTable) buildDC() {
	if t.hasDC {
		return
	}
	t.hasDC = true
	at := 0
	t.eachCode(dcBits, func(_, l int, size uint8) {
		part := t.dc[at : at+1<<(dcBits-l)]
		at += len(part)
		rest := dcBits - l - int(size)
		if rest < 0 || size > 10 {
			clear(part) // a difference past ±1023 does not fit the entry
			return
		}
		diff := 1 - 1<<size // of bits 0, T.81 F.2.2.1
		for v := range 1 << size {
			if v == 1<<size>>1 {
				diff = v
			}
			fill(part[v<<rest:][:1<<rest], int16(diff<<5|(l+int(size))))
			diff++
		}
	})
	clear(t.dc[at:])
}

// fill sets all of s to e.
func fill[T int16 | uint16 | uint32](s []T, e T) {
	for i := range s {
		s[i] = e
	}
}

// acAdvance says how far an AC symbol leads and how many bits follow its code.
// Symbols of size 0 other than 0xF0 end the block, as in libjpeg-turbo.
func acAdvance(symbol uint8) (advance, size int) {
	size = int(symbol & 15)
	if size == 0 && symbol != 0xF0 {
		return advanceEOB, 0
	}
	return int(symbol>>4) + 1, size
}

// buildSkip fills the table that steps over AC coefficients. A table for w index bits
// is made of copies of the tables for fewer bits: what follows a symbol is
// the table of the bits that remain.
func (t *huffTable) buildSkip(scratch *skipScratch) {
	if t.hasSkip {
		return
	}
	t.hasSkip = true
	for w := range skipBits + 1 {
		table := scratch.of(w)
		if w == skipBits {
			table = t.skip[:]
		}
		at := 0 // codes in order lie side by side
		t.eachCode(w, func(_, l int, symbol uint8) {
			first := table[at : at+1<<(w-l)]
			at += len(first)
			advance, size := acAdvance(symbol)
			if l+size > skipUseMax {
				fill(first, advanceSlow<<8)
				return
			}
			e := uint16(advance<<8 | (l + size))
			rest := w - l - size
			if advance == advanceEOB || rest <= 0 {
				fill(first, e)
				return
			}
			follow(first[:1<<rest], scratch.of(rest), e)
			for n := 1 << rest; n < len(first); n *= 2 {
				copy(first[n:], first[:n])
			}
		})
		fill(table[at:], advanceSlow<<8)
	}
}

// follow writes to dst the entry e joined with what next says comes after it.
// Joins that lead past the end of any block are left out: an advance is below
// 64, or that much above advanceEOB. So is a rest that is unknown: advanceSlow
// and anything are more.
func follow(dst, next []uint16, e uint16) {
	next = next[:len(dst)]
	for i := range dst {
		joined := uint32(next[i]) + uint32(e)
		if joined>>8&^advanceEOB >= blockSize || joined&255 > skipUseMax {
			joined = uint32(e)
		}
		dst[i] = uint16(joined)
	}
}

// tableScratch is what building tables needs besides them.
type tableScratch struct {
	fewer  skipScratch
	second valScratch
}

// skipScratch holds the tables of fewer index bits while one is built: the
// table for w bits is at 1<<w.
type skipScratch [2 << skipBits]uint16

func (s *skipScratch) of(w int) []uint16 { return s[1<<w : 2<<w] }

// Largest absolute values that an entry of val can hold. Others are slow:
// they take seven bits or more, so few lookups can show them.
const (
	valFirstMax  = 31
	valSecondMax = 15
)

// valScratch holds, for each number w of index bits, at 1<<w what a second
// symbol adds to an entry of val, 0 where the index shows none.
type valScratch [1 << valBits]uint32

// buildVal fills the table of AC values.
func (t *huffTable) buildVal(scratch *valScratch) {
	if t.hasVal {
		return
	}
	t.hasVal = true
	eobCode, eobLen := t.find(0)
	for w := range valBits {
		t.fillSecond(scratch[1<<w:2<<w], w, eobCode, eobLen)
	}
	at := 0
	t.eachCode(valBits, func(_, l int, symbol uint8) {
		part := t.val[at : at+1<<(valBits-l)]
		at += len(part)
		advance, size := acAdvance(symbol)
		rest := valBits - l - size
		switch {
		case rest < 0 || 1<<size > valFirstMax+1:
			fill(part, advanceSlow<<8)
			return
		case advance == advanceEOB:
			fill(part, uint32(advanceEOB<<8|l))
			return
		}
		second := scratch[1<<rest : 2<<rest]
		for v := range 1 << size {
			value := 0
			if size > 0 {
				value = extend(v, size)
			}
			e := uint32(value&63)<<16 | uint32(advance<<8|(l+size))
			span := part[v<<rest:][:len(second)]
			for i, more := range second {
				span[i] = e + more
			}
		}
	})
	fill(t.val[at:], advanceSlow<<8)
}

// fillSecond fills the part of valScratch for w index bits.
func (t *huffTable) fillSecond(table []uint32, w, eobCode, eobLen int) {
	at := 0
	t.eachCode(w, func(_, l int, symbol uint8) {
		part := table[at : at+1<<(w-l)]
		at += len(part)
		advance, size := acAdvance(symbol)
		rest := w - l - size
		switch {
		case advance == advanceEOB:
			fill(part, uint32(advanceEOB<<8|l))
			return
		case rest < 0 || 1<<size > valSecondMax+1:
			clear(part)
			return
		}
		for v := range 1 << size {
			value := 0
			if size > 0 {
				value = extend(v, size)
			}
			e := uint32(advance)<<27 | uint32(value&31)<<22 | uint32(advance<<8|(l+size))
			span := part[v<<rest:][:1<<rest]
			fill(span, e)
			if eobLen > 0 && eobLen <= rest {
				n := 1 << (rest - eobLen)
				fill(span[eobCode*n:][:n], e+uint32(advanceEOB<<8+eobLen))
			}
		}
	})
	clear(table[at:])
}

// find returns the code of a symbol; length 0 when the table lacks it.
func (t *huffTable) find(symbol uint8) (code, length int) {
	t.eachCode(16, func(c, l int, s uint8) {
		if s == symbol && length == 0 {
			code, length = c, l
		}
	})
	return code, length
}
