// Instructions that the Go assembler has no name for. Operands are numbers of
// registers V0 to V31, the destination last, as in the assembler's own. A word
// ends in the encodings of the second operand (n, bit 5) and of the
// destination (d, bit 0); Arm's manual (DDI 0487, C7.2) has the rest.

// MULTIPLY has the bits of a product with one 16-bit factor: factor k is lane
// k%8 of register k/8, up to 127.
#define MULTIPLY(k, n, d) ((((k)&1)<<20) | ((((k)>>1)&1)<<21) | ((((k)>>2)&1)<<11) | (((k)>>3)<<16) | ((n)<<5) | (d))

// Four 16-bit lanes, the low ones of n or (2) the high ones, times a factor,
// set or added to four 32-bit lanes.
#define SMULL(k, n, d)  WORD $(0x0f40a000 | MULTIPLY(k, n, d)) // smull  d.4s, n.4h, k
#define SMULL2(k, n, d) WORD $(0x4f40a000 | MULTIPLY(k, n, d)) // smull2 d.4s, n.8h, k
#define SMLAL(k, n, d)  WORD $(0x0f402000 | MULTIPLY(k, n, d)) // smlal  d.4s, n.4h, k
#define SMLAL2(k, n, d) WORD $(0x4f402000 | MULTIPLY(k, n, d)) // smlal2 d.4s, n.8h, k

// Shifted right, saturated (SQ) or rounded (R), to lanes of half the size in
// the low half of d or (2) in its high half.
#define SQSHRN_H(shift, n, d)  WORD $(0x0f009400 | ((32-(shift))<<16) | ((n)<<5) | (d)) // sqshrn  d.4h, n.4s, shift
#define SQSHRN2_H(shift, n, d) WORD $(0x4f009400 | ((32-(shift))<<16) | ((n)<<5) | (d)) // sqshrn2 d.8h, n.4s, shift
#define SQSHRN_B(shift, n, d)  WORD $(0x0f009400 | ((16-(shift))<<16) | ((n)<<5) | (d)) // sqshrn  d.8b, n.8h, shift
#define SQSHRN2_B(shift, n, d) WORD $(0x4f009400 | ((16-(shift))<<16) | ((n)<<5) | (d)) // sqshrn2 d.16b, n.8h, shift
#define RSHRN_H(shift, n, d)   WORD $(0x0f008c00 | ((32-(shift))<<16) | ((n)<<5) | (d)) // rshrn   d.4h, n.4s, shift
#define RSHRN2_H(shift, n, d)  WORD $(0x4f008c00 | ((32-(shift))<<16) | ((n)<<5) | (d)) // rshrn2  d.8h, n.4s, shift
#define SQXTN_B(n, d)          WORD $(0x0e214800 | ((n)<<5) | (d)) // sqxtn  d.8b, n.8h
#define SQXTN2_B(n, d)         WORD $(0x4e214800 | ((n)<<5) | (d)) // sqxtn2 d.16b, n.8h
#define SRSHR_H(shift, n, d)   WORD $(0x4f002400 | ((32-(shift))<<16) | ((n)<<5) | (d)) // srshr d.8h, n.8h, shift

// Sums and differences (n-m) of eight unsigned bytes, to 16-bit lanes.
#define UADDL(m, n, d)  WORD $(0x2e200000 | ((m)<<16) | ((n)<<5) | (d)) // uaddl  d.8h, n.8b, m.8b
#define UADDL2(m, n, d) WORD $(0x6e200000 | ((m)<<16) | ((n)<<5) | (d)) // uaddl2 d.8h, n.16b, m.16b
#define USUBL(m, n, d)  WORD $(0x2e202000 | ((m)<<16) | ((n)<<5) | (d)) // usubl  d.8h, n.8b, m.8b
#define USUBL2(m, n, d) WORD $(0x6e202000 | ((m)<<16) | ((n)<<5) | (d)) // usubl2 d.8h, n.16b, m.16b

#define UMULL(m, n, d)  WORD $(0x2e60c000 | ((m)<<16) | ((n)<<5) | (d)) // umull  d.4s, n.4h, m.4h
#define UMULL2(m, n, d) WORD $(0x6e60c000 | ((m)<<16) | ((n)<<5) | (d)) // umull2 d.4s, n.8h, m.8h

#define ABS_H(n, d)      WORD $(0x4e60b800 | ((n)<<5) | (d)) // abs  d.8h, n.8h
#define NEGATIVE_H(n, d) WORD $(0x4e60a800 | ((n)<<5) | (d)) // cmlt d.8h, n.8h, 0

// One value below 32 for every lane, times 2^8 or 2^16.
#define MOVI_H8(value, d)  WORD $(0x4f00a400 | ((value)<<5) | (d)) // movi d.8h, value, lsl 8
#define MOVI_S8(value, d)  WORD $(0x4f002400 | ((value)<<5) | (d)) // movi d.4s, value, lsl 8
#define MOVI_S16(value, d) WORD $(0x4f004400 | ((value)<<5) | (d)) // movi d.4s, value, lsl 16

// The factors of the transforms, fraction of 13 bits: factors has them, V0 and V1 keep
// them. idct8, idct4 and butterfly say what they are.
#define K4433   0
#define KM10704 1
#define K10703  2
#define KM6436  3
#define K9633   4
#define K6437   5
#define KM4927  6
#define KM7373  7
#define KM4176  8
#define KM20995 9
#define K4177   10
#define K4926   11
#define K8192   12
#define KM8192  13
#define KM10703 14

// LANES2 transposes pairs of lanes of registers a and b, into c and d.
#define LANES2(a, b, size, c, d) \
	VTRN1 b.size, a.size, c.size \
	VTRN2 b.size, a.size, d.size

// The odd coefficients of a transform share their factors in both directions.
// ODD computes, for one half of the lanes, from t4, t5, t6, t7 and their sums
// t4+t6 and t5+t7: with t7, t5, t3, t1 in that order it is the inverse one.
// It leaves the one of t4 in V14, of t5 in V15, of t6 in V12, of t7 in V13.
#define ODD(MULL, MLAL, t4, t5, t6, t7, sum46, sum57) \
	MULL(KM6436, sum46, 12)   \
	MULL(K9633, sum46, 13)    \
	MLAL(K9633, sum57, 12)    \
	MLAL(K6437, sum57, 13)    \
	VORR V12.B16, V12.B16, V14.B16 \
	VORR V13.B16, V13.B16, V15.B16 \
	MLAL(KM4927, t4, 14)      \
	MLAL(KM4176, t5, 15)      \
	MLAL(K4177, t6, 12)       \
	MLAL(K4926, t7, 13)       \
	MLAL(KM7373, t7, 14)      \
	MLAL(KM20995, t6, 15)     \
	MLAL(KM20995, t5, 12)     \
	MLAL(KM7373, t4, 13)
