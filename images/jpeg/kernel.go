package jpeg

// blockKernel is what the assembly twins of runDC and runCoefs work on. They
// decode block after block and come back when a symbol needs the slow way, the
// window must be filled, or all is done; run handles what they came back with and
// sends them on.
//
// Preconditions, which set checks: every block of MCUs m to m1 has its place
// in out or line.
type blockKernel struct {
	bits    *bitReader
	plan    *blockPlan
	planned int
	block   int // of the MCU, the one in work
	m, m1   int // MCUs of the batch: the one in work, the end

	out              *int16 // coefficients of the batch
	line             *byte  // samples of the batch, at scale 1/8
	place            int    // where in out the block in work begins
	shift            uint64 // the layout, and 1<<shift - 1
	mask, size, lane int
	limit            uint32 // coefficients from here on are stepped over, << 8
	s, e             uint32 // index and entry at which the kernel came back
	dc               int32  // value of the block's DC coefficient; its difference in phaseDC
	phase            int    // where to go on
}

// Where a kernel begins.
const (
	phaseMCU    = iota // with the next MCU, if there is one
	phaseBlocks        // with the blocks of an MCU: the window is filled
	phaseDC            // with a DC difference that was read the slow way
	phaseValue         // with the next coefficient
	phaseSkip          // with stepping over the next one
	phaseEnd           // behind the block's last one
)

// Why a kernel came back.
const (
	exitDone   = iota // MCU m1 is reached
	exitMore          // the window must be filled
	exitDC            // a DC difference needs the slow way
	exitValue         // so does a coefficient
	exitSkip          // so does one that is stepped over
	exitUnsafe        // a broken invariant: an MCU used more bytes than there can be
)

// blockStartMax is the last place of the window at which a block may begin: it
// has 64 symbols of at most 32 bits, and one load.
//
//lint:ignore U1000 the assembly reads it
const blockStartMax = windowBytes + mcuBytesMax - blockSize*4 - 16

// setKernel prepares for MCUs m0 to m1 of the batch; sample asks for one sample of
// each block instead of coefficients.
func (d *Decoder) setKernel(plan []blockPlan, m0, m1 int, sample bool) *blockKernel {
	k, l := &d.kernel, d.lay
	*k = blockKernel{
		bits: &d.bits, plan: &plan[0], planned: len(plan), m: m0, m1: m1,
		shift: uint64(l.shift), mask: 1<<l.shift - 1, size: l.size, lane: l.lane,
	}
	for i := range plan {
		p := &plan[i]
		last := (m1-1)*p.step + p.first
		if sample {
			_ = d.line[p.base+last]
		} else {
			_ = d.coefs[p.base+l.offset(last)+l.place(d.n-1, d.n-1)]
		}
	}
	if sample {
		k.line = &d.line[0]
	} else {
		k.out, k.limit = &d.coefs[0], uint32(d.until)<<8
	}
	return k
}

// runKernel decodes MCUs m0 to m1 of the batch with the kernels. It returns the MCU at which
// the interval ran out of data, or m1.
func (d *Decoder) runKernel(plan []blockPlan, m0, m1 int, sample bool) int {
	if m0 >= m1 || len(plan) == 0 {
		return m1
	}
	b, k := &d.bits, d.setKernel(plan, m0, m1, sample)
	for {
		exit := 0
		if sample {
			exit = runDCKernel(k)
		} else {
			exit = runCoefsKernel(k)
		}
		switch exit {
		case exitDone:
			return m1
		case exitMore:
			if !b.more(&d.src) {
				return k.m
			}
			k.phase = phaseBlocks
		case exitDC:
			_, v := b.value(plan[k.block].dc)
			b.refill()
			k.dc, k.phase = int32(v), phaseDC
		case exitValue:
			p, index := &plan[k.block], b.unread(k)
			k.goOn(b.valueOne(p.ac, index, d.coefs[k.place:], p.dequant))
		case exitSkip:
			index := b.unread(k)
			k.goOn(b.skipOne(plan[k.block].ac, index))
		default:
			panic("jpeg: an MCU uses more bytes than it can")
		}
	}
}

// unread puts back the bits of the entry that led out of the block, or that
// is a slow one, and returns the index before it.
func (b *bitReader) unread(k *blockKernel) uint {
	b.count += uint(k.e & 63)
	b.seek(b.bitPos())
	return uint((k.s - k.e>>8) & 255)
}

// goOn says where the kernel goes on after a symbol read the slow way.
func (k *blockKernel) goOn(index uint) {
	k.s, k.phase = uint32(index)<<8, phaseValue
	switch {
	case index == blockSize:
		k.phase = phaseEnd
	case k.s >= k.limit:
		k.phase = phaseSkip
	}
}

// A refill is enough for what the kernels read between two.
const (
	_ = uint(refillBits - dcBits - 4*valBits)
	_ = uint(refillBits - 5*valBits)
	_ = uint(refillBits - dcBits - 2*skipUseMax)
	_ = uint(refillBits - 3*skipUseMax)
)
