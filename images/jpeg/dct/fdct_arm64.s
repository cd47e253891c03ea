#include "neon.h"
#include "textflag.h"

// The forward DCT with quantisation of two blocks side by side, one after the
// other. fdct.go has the arithmetic. V0 and V1 keep the factors, V24 to V31
// the columns of both blocks as bytes: the first in the low halves.

// EVEN computes one even coefficient from t13 in V3 and t12 in V5.
#define EVEN(k13, k12, shift, low, high, to) \
	SMULL(k13, 3, low)         \
	SMULL2(k13, 3, high)       \
	SMLAL(k12, 5, low)         \
	SMLAL2(k12, 5, high)       \
	RSHRN_H(shift, low, to)    \
	RSHRN2_H(shift, high, to)

// BUTTERFLY transforms the sums t0 to t3 in V16 to V19 and the differences t4
// to t7 in V20 to V23 to V8 to V15, all but the scaling of 0 and 4. V2 to V7
// are scratch. The odd coefficients come first: they pass through V12 to V15.
#define BUTTERFLY(shift) \
	VADD V22.H8, V20.H8, V2.H8  \
	VADD V23.H8, V21.H8, V3.H8  \
	ODD(SMULL, SMLAL, 20, 21, 22, 23, 2, 3)    \
	RSHRN_H(shift, 13, 9)       \
	RSHRN_H(shift, 12, 11)      \
	RSHRN_H(shift, 15, 6)       \
	RSHRN_H(shift, 14, 7)       \
	ODD(SMULL2, SMLAL2, 20, 21, 22, 23, 2, 3)  \
	RSHRN2_H(shift, 13, 9)      \
	RSHRN2_H(shift, 12, 11)     \
	RSHRN2_H(shift, 15, 6)      \
	RSHRN2_H(shift, 14, 7)      \
	VORR V6.B16, V6.B16, V13.B16 \
	VORR V7.B16, V7.B16, V15.B16 \
	VADD V19.H8, V16.H8, V2.H8  \
	VSUB V19.H8, V16.H8, V3.H8  \
	VADD V18.H8, V17.H8, V4.H8  \
	VSUB V18.H8, V17.H8, V5.H8  \
	VADD V4.H8, V2.H8, V8.H8    \
	VSUB V4.H8, V2.H8, V12.H8   \
	EVEN(K10703, K4433, shift, 6, 7, 10)   \
	EVEN(K4433, KM10704, shift, 2, 4, 14)

// TRANSPOSE turns V8 to V15 into rows 0 to 3 in V2 to V5 and 7 to 4 in V16 to V19.
#define TRANSPOSE \
	LANES2(V8, V9, H8, V16, V17)   \
	LANES2(V10, V11, H8, V18, V19) \
	LANES2(V12, V13, H8, V20, V21) \
	LANES2(V14, V15, H8, V22, V23) \
	LANES2(V16, V18, S4, V8, V10)  \
	LANES2(V17, V19, S4, V9, V11)  \
	LANES2(V20, V22, S4, V12, V14) \
	LANES2(V21, V23, S4, V13, V15) \
	LANES2(V8, V12, D2, V2, V19)   \
	LANES2(V9, V13, D2, V3, V18)   \
	LANES2(V10, V14, D2, V4, V17)  \
	LANES2(V11, V15, D2, V5, V16)

// QUANTIZE divides row n, in place. R7 is the Quantizer, whose rows take 32
// bytes: the eight values twice.
#define QUANTIZE(n, number, row) \
	FMOVQ (n*32)(R7), F2       \
	FMOVQ (256+n*32)(R7), F4   \
	ABS_H(number, 3)           \
	VADD V2.H8, V3.H8, V3.H8   \
	UMULL(4, 3, 5)             \
	UMULL2(4, 3, 6)            \
	FMOVQ (512+n*32)(R7), F4   \
	VUZP2 V6.H8, V5.H8, V3.H8  \
	UMULL(4, 3, 5)             \
	UMULL2(4, 3, 6)            \
	NEGATIVE_H(number, 2)      \
	VUZP2 V6.H8, V5.H8, V3.H8  \
	VEOR V2.B16, V3.B16, V3.B16 \
	VSUB V2.H8, V3.H8, row.H8

// BLOCK transforms the block in one half of V24 to V31, stores its
// coefficients at R12 and its mask at R13. The 1024 is the level shift. For the
// mask, saturated bytes keep whether a word is zero, a table look-up brings them to zigzag
// order (R9), and byte i of eight keeps bit i (R10).
#define BLOCK(UADD, USUB) \
	UADD(31, 24, 16)           \
	UADD(30, 25, 17)           \
	UADD(29, 26, 18)           \
	UADD(28, 27, 19)           \
	USUB(28, 27, 20)           \
	USUB(29, 26, 21)           \
	USUB(30, 25, 22)           \
	USUB(31, 24, 23)           \
	BUTTERFLY(11)              \
	MOVI_H8(4, 2)              \
	VSUB V2.H8, V8.H8, V8.H8   \
	VSHL $2, V8.H8, V8.H8      \
	VSHL $2, V12.H8, V12.H8    \
	TRANSPOSE                  \
	VSUB V16.H8, V2.H8, V23.H8 \
	VSUB V17.H8, V3.H8, V22.H8 \
	VSUB V18.H8, V4.H8, V21.H8 \
	VSUB V19.H8, V5.H8, V20.H8 \
	VADD V16.H8, V2.H8, V16.H8 \
	VADD V17.H8, V3.H8, V17.H8 \
	VADD V18.H8, V4.H8, V18.H8 \
	VADD V19.H8, V5.H8, V19.H8 \
	BUTTERFLY(15)              \
	SRSHR_H(2, 8, 8)           \
	SRSHR_H(2, 12, 12)         \
	QUANTIZE(0, 8, V8)         \
	QUANTIZE(1, 9, V9)         \
	QUANTIZE(2, 10, V10)       \
	QUANTIZE(3, 11, V11)       \
	QUANTIZE(4, 12, V12)       \
	QUANTIZE(5, 13, V13)       \
	QUANTIZE(6, 14, V14)       \
	QUANTIZE(7, 15, V15)       \
	VST1.P [V8.H8, V9.H8, V10.H8, V11.H8], 64(R12) \
	VST1 [V12.H8, V13.H8, V14.H8, V15.H8], (R12)   \
	SQXTN_B(8, 16)             \
	SQXTN_B(10, 17)            \
	SQXTN_B(12, 18)            \
	SQXTN_B(14, 19)            \
	SQXTN2_B(9, 16)            \
	SQXTN2_B(11, 17)           \
	SQXTN2_B(13, 18)           \
	SQXTN2_B(15, 19)           \
	VLD1 (R9), [V2.B16, V3.B16, V4.B16, V5.B16] \
	VTBL V2.B16, [V16.B16, V17.B16, V18.B16, V19.B16], V20.B16 \
	VTBL V3.B16, [V16.B16, V17.B16, V18.B16, V19.B16], V21.B16 \
	VTBL V4.B16, [V16.B16, V17.B16, V18.B16, V19.B16], V22.B16 \
	VTBL V5.B16, [V16.B16, V17.B16, V18.B16, V19.B16], V23.B16 \
	VDUP R10, V6.D2            \
	VCMTST V20.B16, V20.B16, V20.B16 \
	VCMTST V21.B16, V21.B16, V21.B16 \
	VCMTST V22.B16, V22.B16, V22.B16 \
	VCMTST V23.B16, V23.B16, V23.B16 \
	VAND V6.B16, V20.B16, V20.B16 \
	VAND V6.B16, V21.B16, V21.B16 \
	VAND V6.B16, V22.B16, V22.B16 \
	VAND V6.B16, V23.B16, V23.B16 \
	VADDP V21.B16, V20.B16, V20.B16 \
	VADDP V23.B16, V22.B16, V22.B16 \
	VADDP V22.B16, V20.B16, V20.B16 \
	VADDP V20.B16, V20.B16, V20.B16 \
	FMOVD F20, (R13)

// func forwardPairsKernel(coef *int16, mask *uint64, second, pair int, src *byte, stride, pairs int, q *Quantizer)
TEXT ·forwardPairsKernel(SB), NOSPLIT, $0-64
	MOVD coef+0(FP), R0
	MOVD mask+8(FP), R1
	MOVD second+16(FP), R2
	MOVD pair+24(FP), R3
	MOVD src+32(FP), R4
	MOVD stride+40(FP), R5
	MOVD pairs+48(FP), R6
	MOVD q+56(FP), R7
	MOVD $·factors(SB), R8
	VLD1 (R8), [V0.B16, V1.B16]
	MOVD $·zigzagNatural(SB), R9
	MOVD $0x8040201008040201, R10

next:
	MOVD R4, R11
	VLD1.P (R11)(R5), [V16.B16]
	VLD1.P (R11)(R5), [V17.B16]
	VLD1.P (R11)(R5), [V18.B16]
	VLD1.P (R11)(R5), [V19.B16]
	VLD1.P (R11)(R5), [V20.B16]
	VLD1.P (R11)(R5), [V21.B16]
	VLD1.P (R11)(R5), [V22.B16]
	VLD1 (R11), [V23.B16]

	// Rows become columns, in both halves.
	LANES2(V16, V17, B16, V2, V3)
	LANES2(V18, V19, B16, V4, V5)
	LANES2(V20, V21, B16, V6, V7)
	LANES2(V22, V23, B16, V8, V9)
	LANES2(V2, V4, H8, V16, V18)
	LANES2(V3, V5, H8, V17, V19)
	LANES2(V6, V8, H8, V20, V22)
	LANES2(V7, V9, H8, V21, V23)
	LANES2(V16, V20, S4, V24, V28)
	LANES2(V17, V21, S4, V25, V29)
	LANES2(V18, V22, S4, V26, V30)
	LANES2(V19, V23, S4, V27, V31)

	MOVD R0, R12
	MOVD R1, R13
	BLOCK(UADDL, USUBL)
	ADD R2<<7, R0, R12
	ADD R2<<3, R1, R13
	BLOCK(UADDL2, USUBL2)

	ADD R3<<7, R0, R0
	ADD R3<<3, R1, R1
	ADD $16, R4
	SUB $1, R6
	CBNZ R6, next
	RET
