#include "neon.h"
#include "textflag.h"

DATA ·factors+0(SB)/2, $4433
DATA ·factors+2(SB)/2, $-10704
DATA ·factors+4(SB)/2, $10703
DATA ·factors+6(SB)/2, $-6436
DATA ·factors+8(SB)/2, $9633
DATA ·factors+10(SB)/2, $6437
DATA ·factors+12(SB)/2, $-4927
DATA ·factors+14(SB)/2, $-7373
DATA ·factors+16(SB)/2, $-4176
DATA ·factors+18(SB)/2, $-20995
DATA ·factors+20(SB)/2, $4177
DATA ·factors+22(SB)/2, $4926
DATA ·factors+24(SB)/2, $8192
DATA ·factors+26(SB)/2, $-8192
DATA ·factors+28(SB)/2, $-10703
DATA ·factors+30(SB)/2, $0
GLOBL ·factors(SB), RODATA|NOPTR, $32

// Rounding terms of the passes, to register d.
#define ROUND1(d) MOVI_S8(4, d)  // 1 << (shift1-1)
#define ROUND2(d) MOVI_S16(2, d) // 1 << (shift2-1)

// SUMS8 takes one half of the lanes of rows 0 to 7 in V16 to V23, with row 7 +
// row 3 in V2 and row 5 + row 1 in V3, to e0 V8, e1 V10, e2 V11, e3 V9 and
// o0 V14, o1 V15, o2 V12, o3 V13. V4 to V7 are scratch.
#define SUMS8(MULL, MLAL, ROUND) \
	ROUND(4)              \
	ROUND(5)              \
	MLAL(K8192, 16, 4)    \
	MLAL(K8192, 16, 5)    \
	MULL(K4433, 18, 6)    \
	MULL(K10703, 18, 7)   \
	MLAL(K8192, 20, 4)    \
	MLAL(KM8192, 20, 5)   \
	MLAL(KM10704, 22, 6)  \
	MLAL(K4433, 22, 7)    \
	VADD V6.S4, V5.S4, V10.S4 \
	VSUB V6.S4, V5.S4, V11.S4 \
	VADD V7.S4, V4.S4, V8.S4  \
	VSUB V7.S4, V4.S4, V9.S4  \
	ODD(MULL, MLAL, 23, 21, 19, 17, 2, 3)

// NARROW8 makes the eight results of the first pass, of one half of the lanes.
#define NARROW8(SQSHRN) \
	VADD V13.S4, V8.S4, V4.S4  \
	VSUB V13.S4, V8.S4, V5.S4  \
	VADD V12.S4, V10.S4, V6.S4 \
	VSUB V12.S4, V10.S4, V7.S4 \
	SQSHRN(11, 4, 24)          \
	SQSHRN(11, 5, 31)          \
	SQSHRN(11, 6, 25)          \
	SQSHRN(11, 7, 30)          \
	VADD V15.S4, V11.S4, V4.S4 \
	VSUB V15.S4, V11.S4, V5.S4 \
	VADD V14.S4, V9.S4, V6.S4  \
	VSUB V14.S4, V9.S4, V7.S4  \
	SQSHRN(11, 4, 26)          \
	SQSHRN(11, 5, 29)          \
	SQSHRN(11, 6, 27)          \
	SQSHRN(11, 7, 28)

// func inverse8Kernel(dst *byte, stride int, group *int16, groups int)
//
// Row i of a block is in one register, so that a pass over registers is a pass
// over columns. A group is two blocks, one after the other.
TEXT ·inverse8Kernel(SB), NOSPLIT, $0-32
	MOVD dst+0(FP), R0
	MOVD stride+8(FP), R1
	MOVD group+16(FP), R2
	MOVD groups+24(FP), R3
	LSL $1, R3 // blocks
	MOVD $·factors(SB), R4
	VLD1 (R4), [V0.B16, V1.B16]

block:
	FMOVQ 0(R2), F16
	FMOVQ 32(R2), F17
	FMOVQ 64(R2), F18
	FMOVQ 96(R2), F19
	FMOVQ 128(R2), F20
	FMOVQ 160(R2), F21
	FMOVQ 192(R2), F22
	FMOVQ 224(R2), F23
	STP (ZR, ZR), 0(R2)
	STP (ZR, ZR), 32(R2)
	STP (ZR, ZR), 64(R2)
	STP (ZR, ZR), 96(R2)
	STP (ZR, ZR), 128(R2)
	STP (ZR, ZR), 160(R2)
	STP (ZR, ZR), 192(R2)
	STP (ZR, ZR), 224(R2)

	// First pass, to V24 to V31.
	VADD V19.H8, V23.H8, V2.H8
	VADD V17.H8, V21.H8, V3.H8
	SUMS8(SMULL, SMLAL, ROUND1)
	NARROW8(SQSHRN_H)
	SUMS8(SMULL2, SMLAL2, ROUND1)
	NARROW8(SQSHRN2_H)

	// Transpose: columns become rows, back in V16 to V23.
	LANES2(V24, V25, H8, V4, V5)
	LANES2(V26, V27, H8, V6, V7)
	LANES2(V28, V29, H8, V8, V9)
	LANES2(V30, V31, H8, V10, V11)
	LANES2(V4, V6, S4, V24, V26)
	LANES2(V5, V7, S4, V25, V27)
	LANES2(V8, V10, S4, V28, V30)
	LANES2(V9, V11, S4, V29, V31)
	LANES2(V24, V28, D2, V16, V20)
	LANES2(V25, V29, D2, V17, V21)
	LANES2(V26, V30, D2, V18, V22)
	LANES2(V27, V31, D2, V19, V23)

	// Second pass. Of each sum the high 16 bits are enough, and two bits fewer.
	VADD V19.H8, V23.H8, V2.H8
	VADD V17.H8, V21.H8, V3.H8
	SUMS8(SMULL, SMLAL, ROUND2)
	VADD V13.S4, V8.S4, V24.S4
	VSUB V13.S4, V8.S4, V31.S4
	VADD V12.S4, V10.S4, V25.S4
	VSUB V12.S4, V10.S4, V30.S4
	VADD V15.S4, V11.S4, V26.S4
	VSUB V15.S4, V11.S4, V29.S4
	VADD V14.S4, V9.S4, V27.S4
	VSUB V14.S4, V9.S4, V28.S4
	SUMS8(SMULL2, SMLAL2, ROUND2)
	VADD V13.S4, V8.S4, V4.S4
	VSUB V13.S4, V8.S4, V5.S4
	VADD V12.S4, V10.S4, V6.S4
	VSUB V12.S4, V10.S4, V7.S4
	VUZP2 V4.H8, V24.H8, V24.H8
	VUZP2 V5.H8, V31.H8, V31.H8
	VUZP2 V6.H8, V25.H8, V25.H8
	VUZP2 V7.H8, V30.H8, V30.H8
	VADD V15.S4, V11.S4, V4.S4
	VSUB V15.S4, V11.S4, V5.S4
	VADD V14.S4, V9.S4, V6.S4
	VSUB V14.S4, V9.S4, V7.S4
	VUZP2 V4.H8, V26.H8, V26.H8
	VUZP2 V5.H8, V29.H8, V29.H8
	VUZP2 V6.H8, V27.H8, V27.H8
	VUZP2 V7.H8, V28.H8, V28.H8

	// To bytes: columns 0 and 4 in V16, 1 and 5 in V17, and so on.
	SQSHRN_B(2, 24, 16)
	SQSHRN_B(2, 25, 17)
	SQSHRN_B(2, 26, 18)
	SQSHRN_B(2, 27, 19)
	SQSHRN2_B(2, 28, 16)
	SQSHRN2_B(2, 29, 17)
	SQSHRN2_B(2, 30, 18)
	SQSHRN2_B(2, 31, 19)

	// Transpose back: rows 0 and 1 in V16, 4 and 5 in V17, 2 and 3 in V18, 6 and 7 in V19.
	LANES2(V16, V17, B16, V4, V5)
	LANES2(V18, V19, B16, V6, V7)
	LANES2(V4, V6, H8, V8, V9)
	LANES2(V5, V7, H8, V10, V11)
	VUZP1 V10.S4, V8.S4, V16.S4
	VUZP2 V10.S4, V8.S4, V17.S4
	VUZP1 V11.S4, V9.S4, V18.S4
	VUZP2 V11.S4, V9.S4, V19.S4
	VMOVI $128, V2.B16 // shifts the level
	VEOR V2.B16, V16.B16, V16.B16
	VEOR V2.B16, V17.B16, V17.B16
	VEOR V2.B16, V18.B16, V18.B16
	VEOR V2.B16, V19.B16, V19.B16
	MOVD R0, R5
	VST1.P V16.D[0], (R5)(R1)
	VST1.P V16.D[1], (R5)(R1)
	VST1.P V18.D[0], (R5)(R1)
	VST1.P V18.D[1], (R5)(R1)
	VST1.P V17.D[0], (R5)(R1)
	VST1.P V17.D[1], (R5)(R1)
	VST1.P V19.D[0], (R5)(R1)
	VST1 V19.D[1], (R5)

	ADD $8, R0
	ADD $16, R2
	SUB $1, R3
	TBNZ $0, R3, block
	ADD $224, R2 // to the next group
	CBNZ R3, block
	RET

// SUMS4 takes one half of the lanes of rows 0 to 3 in V16 to V19 to e0 V4, e1
// V5, o0 V6, o1 V7.
#define SUMS4(MULL, MLAL, ROUND) \
	ROUND(4)             \
	ROUND(5)             \
	MULL(K10703, 17, 6)  \
	MULL(K4433, 17, 7)   \
	MLAL(K8192, 16, 4)   \
	MLAL(K8192, 16, 5)   \
	MLAL(K4433, 19, 6)   \
	MLAL(KM10703, 19, 7) \
	MLAL(K8192, 18, 4)   \
	MLAL(KM8192, 18, 5)

#define RESULTS4(a0, a1, a2, a3) \
	VADD V6.S4, V4.S4, a0.S4 \
	VADD V7.S4, V5.S4, a1.S4 \
	VSUB V7.S4, V5.S4, a2.S4 \
	VSUB V6.S4, V4.S4, a3.S4

#define NARROW4(SQSHRN) \
	RESULTS4(V8, V9, V10, V11) \
	SQSHRN(11, 8, 20)          \
	SQSHRN(11, 9, 21)          \
	SQSHRN(11, 10, 22)         \
	SQSHRN(11, 11, 23)

// TRANSPOSE4 turns V20 to V23, a 4x4 block in each half, to V16 to V19.
#define TRANSPOSE4 \
	LANES2(V20, V21, H8, V8, V9)   \
	LANES2(V22, V23, H8, V10, V11) \
	LANES2(V8, V10, S4, V16, V18)  \
	LANES2(V9, V11, S4, V17, V19)

// TWO4 transforms the two blocks of a group at byte offset at, and makes bytes of the
// rows in a half of V24 to V27.
#define TWO4(at, SQSHRN) \
	FMOVQ (at)(R2), F16        \
	FMOVQ (32+at)(R2), F17     \
	FMOVQ (64+at)(R2), F18     \
	FMOVQ (96+at)(R2), F19     \
	SUMS4(SMULL, SMLAL, ROUND1)   \
	NARROW4(SQSHRN_H)             \
	SUMS4(SMULL2, SMLAL2, ROUND1) \
	NARROW4(SQSHRN2_H)            \
	TRANSPOSE4                    \
	SUMS4(SMULL, SMLAL, ROUND2)   \
	RESULTS4(V20, V21, V22, V23)  \
	SUMS4(SMULL2, SMLAL2, ROUND2) \
	RESULTS4(V8, V9, V10, V11)    \
	VUZP2 V8.H8, V20.H8, V20.H8   \
	VUZP2 V9.H8, V21.H8, V21.H8   \
	VUZP2 V10.H8, V22.H8, V22.H8  \
	VUZP2 V11.H8, V23.H8, V23.H8  \
	TRANSPOSE4                    \
	SQSHRN(2, 16, 24)             \
	SQSHRN(2, 17, 25)             \
	SQSHRN(2, 18, 26)             \
	SQSHRN(2, 19, 27)

// func inverse4Kernel(dst *byte, stride int, group *int16, groups int)
//
// Row i of two blocks is in one register.
TEXT ·inverse4Kernel(SB), NOSPLIT, $0-32
	MOVD dst+0(FP), R0
	MOVD stride+8(FP), R1
	MOVD group+16(FP), R2
	MOVD groups+24(FP), R3
	MOVD $·factors(SB), R4
	VLD1 (R4), [V0.B16, V1.B16]
	VMOVI $128, V2.B16 // shifts the level
	VEOR V28.B16, V28.B16, V28.B16
	VEOR V29.B16, V29.B16, V29.B16
	VEOR V30.B16, V30.B16, V30.B16
	VEOR V31.B16, V31.B16, V31.B16

group:
	TWO4(0, SQSHRN_B)
	TWO4(16, SQSHRN2_B)
	VST1.P [V28.B16, V29.B16, V30.B16, V31.B16], 64(R2)
	VST1.P [V28.B16, V29.B16, V30.B16, V31.B16], 64(R2)
	VEOR V2.B16, V24.B16, V24.B16
	VEOR V2.B16, V25.B16, V25.B16
	VEOR V2.B16, V26.B16, V26.B16
	VEOR V2.B16, V27.B16, V27.B16
	MOVD R0, R5
	VST1.P [V24.B16], (R5)(R1)
	VST1.P [V25.B16], (R5)(R1)
	VST1.P [V26.B16], (R5)(R1)
	VST1 [V27.B16], (R5)
	ADD $16, R0
	SUB $1, R3
	CBNZ R3, group
	RET

// EIGHT2 makes the samples of eight of sixteen blocks, from coefficients c00,
// c01, c10, c11, in a half of V24 and V25, top, and of V26 and V27, bottom.
#define EIGHT2(c00, c01, c10, c11, SQSHRN) \
	VADD V3.H8, c00.H8, c00.H8 \
	VADD c01.H8, c00.H8, V4.H8 \
	VSUB c01.H8, c00.H8, V5.H8 \
	VADD c11.H8, c10.H8, V6.H8 \
	VSUB c11.H8, c10.H8, V7.H8 \
	VADD V6.H8, V4.H8, V8.H8   \
	VADD V7.H8, V5.H8, V9.H8   \
	VSUB V6.H8, V4.H8, V10.H8  \
	VSUB V7.H8, V5.H8, V11.H8  \
	SQSHRN(3, 8, 24)           \
	SQSHRN(3, 9, 25)           \
	SQSHRN(3, 10, 26)          \
	SQSHRN(3, 11, 27)

// func inverse2Kernel(dst *byte, stride int, group *int16, groups int)
TEXT ·inverse2Kernel(SB), NOSPLIT, $0-32
	MOVD dst+0(FP), R0
	MOVD stride+8(FP), R1
	MOVD group+16(FP), R2
	MOVD groups+24(FP), R3
	VMOVI $128, V2.B16 // shifts the level
	MOVD $4, R4
	VDUP R4, V3.H8 // to round
	VEOR V28.B16, V28.B16, V28.B16
	VEOR V29.B16, V29.B16, V29.B16
	VEOR V30.B16, V30.B16, V30.B16
	VEOR V31.B16, V31.B16, V31.B16

group:
	MOVD R2, R4
	VLD1.P 64(R4), [V16.B16, V17.B16, V18.B16, V19.B16]
	VLD1 (R4), [V20.B16, V21.B16, V22.B16, V23.B16]
	VST1.P [V28.B16, V29.B16, V30.B16, V31.B16], 64(R2)
	VST1.P [V28.B16, V29.B16, V30.B16, V31.B16], 64(R2)
	EIGHT2(V16, V18, V20, V22, SQSHRN_B)
	EIGHT2(V17, V19, V21, V23, SQSHRN2_B)
	VEOR V2.B16, V24.B16, V24.B16
	VEOR V2.B16, V25.B16, V25.B16
	VEOR V2.B16, V26.B16, V26.B16
	VEOR V2.B16, V27.B16, V27.B16
	MOVD R0, R5
	ADD R1, R0, R6
	VST2 [V24.B16, V25.B16], (R5)
	VST2 [V26.B16, V27.B16], (R6)
	ADD $32, R0
	SUB $1, R3
	CBNZ R3, group
	RET
