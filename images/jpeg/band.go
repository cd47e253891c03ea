package jpeg

import "math/bits"

// bandKernel is what the assembly twins of runFirst and runRefine work on:
// blocks in a row of one component. They come back when something needs the
// slow way, the window must be filled, or all is done; runBand handles what they
// came back with and sends them on.
//
// Preconditions, which setBand checks: blocks 0 to n lie in values and nonzero,
// and every coefficient of the corner has its slot below per.
type bandKernel struct {
	bits    *bitReader
	table   *huffTable
	values  *int16
	nonzero *uint64
	slot    *[blockSize]uint8
	corner  uint64

	n, i, per   int    // blocks; the one in work; values of a block
	ss, se, end uint64 // first and last coefficient of the band, and the one after
	band        uint64 // coefficients up to se, a bit each
	al          uint64
	run         int // blocks that an end-of-band run still covers

	//lint:ignore U1000 the assembly keeps them here
	k, mask uint64 // of the block in work: index, and coefficients that are not zero
	old     uint64 // coefficients to correct the slow way
	symbol  uint32 // read the slow way
	//lint:ignore U1000 the assembly keeps it here
	sign  int32 // of the coefficient that comes after the correction; 0 = none
	phase int   // where to go on
}

// Where a kernel begins.
const (
	bandNext      = iota // with the next block, if there is one
	bandBlock            // with it: the window is filled
	bandSymbol           // behind a symbol
	bandCorrected        // behind the corrections before a coefficient
	bandCovered          // behind those of the rest of the band
)

// Why a kernel came back.
const (
	bandDone     = iota // all blocks are decoded
	bandMore            // the window must be filled
	bandSlow            // a symbol needs the slow way
	bandMany            // corrections are more than a refill: old, then sign
	bandManyLast        // so are those of the rest of the band
)

// setBand prepares for n blocks of a component from block on.
func (d *Decoder) setBand(ac *acScan, block, n int) *bandKernel {
	s, k := &d.store, &d.band
	values, nonzero := s.values[block*s.per:(block+n)*s.per], s.nonzero[block:block+n]
	if ac.se >= blockSize || ac.ss > ac.se || s.per != bits.OnesCount64(s.corner) {
		panic("jpeg: a band outside the block")
	}
	*k = bandKernel{
		bits: &d.bits, table: ac.table, values: &values[0], nonzero: &nonzero[0], slot: &s.slot, corner: s.corner,
		n: n, per: s.per, ss: uint64(ac.ss), se: uint64(ac.se), end: uint64(ac.se) + 1, band: 2<<ac.se - 1,
		al: uint64(ac.al), run: ac.run,
	}
	return k
}

// runBand decodes n blocks of an AC scan with the kernels, as runFirst and
// runRefine do.
func (d *Decoder) runBand(ci int, ac *acScan, bx, by, n int, refine bool) int {
	if n <= 0 {
		return n
	}
	b, s := &d.bits, &d.store
	p := &s.comps[ci]
	block := p.base + by*p.stride + bx
	k := d.setBand(ac, block, n)
	defer func() { ac.run = k.run }()
	for {
		exit := 0
		if refine {
			exit = runRefineKernel(k)
		} else {
			exit = runFirstKernel(k)
		}
		switch exit {
		case bandDone:
			return n
		case bandMore:
			if !b.more(&d.src) {
				return k.i
			}
			k.phase = bandBlock
		case bandSlow:
			k.symbol, k.phase = uint32(b.symbol(ac.table)), bandSymbol
		case bandMany, bandManyLast:
			s.correct(b, s.values[(block+k.i)*s.per:][:s.per], k.old, ac.al)
			k.phase = bandCorrected
			if exit == bandManyLast {
				k.phase = bandCovered
			}
		}
	}
}
