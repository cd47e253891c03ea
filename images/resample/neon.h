// Instructions that the Go assembler has no name for. Operands are numbers of
// registers V0 to V31, the destination last, as in the assembler's own. A word
// ends in the encodings of the second operand (n, bit 5) and of the
// destination (d, bit 0); Arm's manual (DDI 0487, C7.2) has the rest.

// MULTIPLY has the bits of a product with lane k, 0 to 7, of 16 bits of register m, V0 to V15.
#define MULTIPLY(k, m, n, d) ((((k)&1)<<20) | ((((k)>>1)&1)<<21) | (((k)>>2)<<11) | ((m)<<16) | ((n)<<5) | (d))

// Four 16-bit lanes, the low ones of n or (2) the high ones, times a lane,
// added to four 32-bit lanes.
#define SMLAL(k, m, n, d)  WORD $(0x0f402000 | MULTIPLY(k, m, n, d)) // smlal  d.4s, n.4h, m.h[k]
#define SMLAL2(k, m, n, d) WORD $(0x4f402000 | MULTIPLY(k, m, n, d)) // smlal2 d.4s, n.8h, m.h[k]

// Shifted right and saturated to lanes of half the size, of 16 bits (H) or, from
// signed to unsigned, of 8 (U), in the low half of d or (2) in its high half.
#define SQSHRN_H(shift, n, d)   WORD $(0x0f009400 | ((32-(shift))<<16) | ((n)<<5) | (d)) // sqshrn   d.4h, n.4s, shift
#define SQSHRN2_H(shift, n, d)  WORD $(0x4f009400 | ((32-(shift))<<16) | ((n)<<5) | (d)) // sqshrn2  d.8h, n.4s, shift
#define SQSHRUN_B(shift, n, d)  WORD $(0x2f008400 | ((16-(shift))<<16) | ((n)<<5) | (d)) // sqshrun  d.8b, n.8h, shift
#define SQSHRUN2_B(shift, n, d) WORD $(0x6f008400 | ((16-(shift))<<16) | ((n)<<5) | (d)) // sqshrun2 d.16b, n.8h, shift

// LANES2 transposes pairs of lanes of registers a and b, into c and d.
#define LANES2(a, b, size, c, d) \
	VTRN1 b.size, a.size, c.size \
	VTRN2 b.size, a.size, d.size
