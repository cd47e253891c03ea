package jpeg

// Index widths of the lookup tables, in bits. Wider tables join more symbols
// in one lookup but leave the first-level cache; these were measured.
const (
	lookBits = 9  // code to symbol, for the slow path
	dcBits   = 12 // code and difference to difference
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
	t.hasDC, t.hasSkip, t.hasVal = false, false, false
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
	clear(t.dc[:])
	t.eachCode(dcBits, func(code, l int, size uint8) {
		rest := dcBits - l - int(size)
		if rest < 0 || size > 10 {
			return // a difference past ±1023 does not fit the entry
		}
		at := code << (dcBits - l)
		for v := range 1 << size {
			diff := 0
			if size > 0 {
				diff = extend(v, int(size))
			}
			e := int16(diff<<5 | (l + int(size)))
			for j := range 1 << rest {
				t.dc[at+v<<rest+j] = e
			}
		}
	})
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
		for i := range table {
			table[i] = advanceSlow << 8
		}
		t.eachCode(w, func(code, l int, symbol uint8) {
			advance, size := acAdvance(symbol)
			first := table[code<<(w-l) : (code+1)<<(w-l)]
			if l+size > skipUseMax {
				return // a slow entry
			}
			e := uint16(advance<<8 | (l + size))
			rest := w - l - size
			if advance == advanceEOB || rest <= 0 {
				for i := range first {
					first[i] = e
				}
				return
			}
			follow(first[:1<<rest], scratch.of(rest), e)
			for n := 1 << rest; n < len(first); n *= 2 {
				copy(first[n:], first[:n])
			}
		})
	}
}

// follow writes to dst the entry e joined with what next says comes after it.
// Joins that lead past the end of any block are left out.
func follow(dst, next []uint16, e uint16) {
	for i, n := range next {
		joined := n>>8 + e>>8
		limit := uint16(blockSize)
		if n>>8 >= advanceEOB {
			limit += advanceEOB
		}
		if joined >= limit || (n+e)&255 > skipUseMax {
			dst[i] = e // so is a rest that is unknown: advanceSlow is above both limits
			continue
		}
		dst[i] = n + e
	}
}

// tableScratch is what building tables needs besides them.
type tableScratch struct {
	fewer skipScratch
	one   valScratch
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

// valScratch holds one symbol for each index while val is built:
// value<<16 | advance<<8 | bits used.
type valScratch [1 << valBits]int32

// buildVal fills the table of AC values.
func (t *huffTable) buildVal(one *valScratch) {
	if t.hasVal {
		return
	}
	t.hasVal = true
	t.fillOne(one)
	for i := range t.val {
		t.val[i] = joinVal(one, i)
	}
}

// fillOne fills the table of single symbols.
func (t *huffTable) fillOne(one *valScratch) {
	for i := range one {
		one[i] = advanceSlow << 8
	}
	t.eachCode(valBits, func(code, l int, symbol uint8) {
		advance, size := acAdvance(symbol)
		rest := valBits - l - size
		if rest < 0 || size > 5 {
			return
		}
		at := code << (valBits - l)
		for v := range 1 << size {
			value := 0
			if size > 0 {
				value = extend(v, size)
			}
			e := int32(value<<16 | advance<<8 | (l + size))
			span := one[at+v<<rest:][:1<<rest]
			for i := range span {
				span[i] = e
			}
		}
	})
}

// joinVal makes the entry of val for index i.
func joinVal(one *valScratch, i int) uint32 {
	first := one[i]
	used, advance := int(first&255), uint32(first>>8&255)
	e := uint32(first>>16&63)<<16 | advance<<8 | uint32(used)
	if advance >= advanceEOB {
		return e
	}
	second := one[i<<used&(1<<valBits-1)]
	n, step, value := int(second&255), uint32(second>>8&255), second>>16
	if used+n > valBits || step == advanceSlow {
		return e
	}
	if step == advanceEOB {
		return e + advanceEOB<<8 + uint32(n)
	}
	if value > valSecondMax || value < -valSecondMax {
		return e
	}
	e += step<<27 | uint32(value&31)<<22 | step<<8 | uint32(n)
	used += n
	third := one[i<<used&(1<<valBits-1)]
	if n := int(third & 255); third>>8&255 == advanceEOB && used+n <= valBits {
		e += advanceEOB<<8 + uint32(n)
	}
	return e
}
