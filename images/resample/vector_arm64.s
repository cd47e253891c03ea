#include "neon.h"
#include "textflag.h"

// The kernels of resampling. vector.go says what each does and checks the
// lengths. Strides and offsets are in bytes. Between each other the kernels
// keep an order of their own: of 16 samples of a pair of rows, those of the first row
// and then those of the second; and turned columns one after the other.

// func zipKernel(to *int16, a, b *byte, blocks int)
TEXT ·zipKernel(SB), NOSPLIT, $0-32
	MOVD to+0(FP), R0
	MOVD a+8(FP), R1
	MOVD b+16(FP), R2
	MOVD blocks+24(FP), R3

zip:
	VLD1.P 16(R1), [V0.B16]
	VLD1.P 16(R2), [V1.B16]
	VUXTL V0.B8, V2.H8
	VUXTL2 V0.B16, V3.H8
	VUXTL V1.B8, V4.H8
	VUXTL2 V1.B16, V5.H8
	VST1.P [V2.H8, V3.H8, V4.H8, V5.H8], 64(R0)
	SUB $1, R3
	CBNZ R3, zip
	RET

// PAIR adds a pair of rows, 16 samples of each at R9, to V16 to V19 or to V20
// to V23. V0 has the two weights.
#define PAIR(s0, s1, s2, s3) \
	VLD1.P 64(R9), [V4.H8, V5.H8, V6.H8, V7.H8] \
	SMLAL(0, 0, 4, s0)   \
	SMLAL2(0, 0, 4, s1)  \
	SMLAL(0, 0, 5, s2)   \
	SMLAL2(0, 0, 5, s3)  \
	SMLAL(1, 0, 6, s0)   \
	SMLAL2(1, 0, 6, s1)  \
	SMLAL(1, 0, 7, s2)   \
	SMLAL2(1, 0, 7, s3)

// func downKernel(to, ring *int16, held *int, weights *int16, pairs, blocks int)
TEXT ·downKernel(SB), NOSPLIT, $0-48
	MOVD to+0(FP), R0
	MOVD ring+8(FP), R1
	MOVD held+16(FP), R2
	MOVD weights+24(FP), R3
	MOVD pairs+32(FP), R4
	MOVD blocks+40(FP), R5
	MOVD $128, R6 // the rounding term: 1 << (downShift-1)
	VDUP R6, V1.S4

	SUBS $2, R5, R5
	BLT last

two: // 32 samples
	VORR V1.B16, V1.B16, V16.B16
	VORR V1.B16, V1.B16, V17.B16
	VORR V1.B16, V1.B16, V18.B16
	VORR V1.B16, V1.B16, V19.B16
	VORR V1.B16, V1.B16, V20.B16
	VORR V1.B16, V1.B16, V21.B16
	VORR V1.B16, V1.B16, V22.B16
	VORR V1.B16, V1.B16, V23.B16
	MOVD R2, R6
	MOVD R3, R7
	MOVD R4, R8

twoPair:
	MOVD.P 8(R6), R9
	FMOVS.P 4(R7), F0
	ADD R1, R9
	PAIR(16, 17, 18, 19)
	PAIR(20, 21, 22, 23)
	SUB $1, R8
	CBNZ R8, twoPair
	SQSHRN_H(8, 16, 24)
	SQSHRN_H(8, 18, 25)
	SQSHRN_H(8, 20, 26)
	SQSHRN_H(8, 22, 27)
	SQSHRN2_H(8, 17, 24)
	SQSHRN2_H(8, 19, 25)
	SQSHRN2_H(8, 21, 26)
	SQSHRN2_H(8, 23, 27)
	VST1.P [V24.H8, V25.H8, V26.H8, V27.H8], 64(R0)
	ADD $128, R1
	SUBS $2, R5, R5
	BGE two

last:
	TBZ $0, R5, done // one block is left if the number was odd
	VORR V1.B16, V1.B16, V16.B16
	VORR V1.B16, V1.B16, V17.B16
	VORR V1.B16, V1.B16, V18.B16
	VORR V1.B16, V1.B16, V19.B16

lastPair:
	MOVD.P 8(R2), R9
	FMOVS.P 4(R3), F0
	ADD R1, R9
	PAIR(16, 17, 18, 19)
	SUB $1, R4
	CBNZ R4, lastPair
	SQSHRN_H(8, 16, 24)
	SQSHRN_H(8, 18, 25)
	SQSHRN2_H(8, 17, 24)
	SQSHRN2_H(8, 19, 25)
	VST1 [V24.H8, V25.H8], (R0)

done:
	RET

// func turnKernel(to, rows *int16, stride, blocks int)
TEXT ·turnKernel(SB), NOSPLIT, $0-32
	MOVD to+0(FP), R0
	MOVD rows+8(FP), R1
	MOVD stride+16(FP), R2
	MOVD blocks+24(FP), R3
	LSL $1, R3 // of eight columns

turn:
	MOVD R1, R4
	VLD1.P (R4)(R2), [V0.H8]
	VLD1.P (R4)(R2), [V1.H8]
	VLD1.P (R4)(R2), [V2.H8]
	VLD1.P (R4)(R2), [V3.H8]
	VLD1.P (R4)(R2), [V4.H8]
	VLD1.P (R4)(R2), [V5.H8]
	VLD1.P (R4)(R2), [V6.H8]
	VLD1 (R4), [V7.H8]
	LANES2(V0, V1, H8, V16, V17)
	LANES2(V2, V3, H8, V18, V19)
	LANES2(V4, V5, H8, V20, V21)
	LANES2(V6, V7, H8, V22, V23)
	LANES2(V16, V18, S4, V0, V2)
	LANES2(V17, V19, S4, V1, V3)
	LANES2(V20, V22, S4, V4, V6)
	LANES2(V21, V23, S4, V5, V7)
	LANES2(V0, V4, D2, V16, V20)
	LANES2(V1, V5, D2, V17, V21)
	LANES2(V2, V6, D2, V18, V22)
	LANES2(V3, V7, D2, V19, V23)
	VST1.P [V16.H8, V17.H8, V18.H8, V19.H8], 64(R0)
	VST1.P [V20.H8, V21.H8, V22.H8, V23.H8], 64(R0)
	ADD $16, R1
	SUB $1, R3
	CBNZ R3, turn
	RET

// SAMPLE makes one sample of eight rows, bytes in a half of register to. R3 is
// start, R2 columns less lo, R5 weights, R6 pairs, R7 half of them; V1 the
// rounding term.
#define SAMPLE(loop, odd, done, SQSHRUN, to) \
	MOVW.P 4(R3), R9               \
	VORR V1.B16, V1.B16, V2.B16    \
	VORR V1.B16, V1.B16, V3.B16    \
	ADD R9<<4, R2, R9              \
	MOVD R7, R10                   \
	CBZ R10, odd                   \
loop: \
	FMOVD.P 8(R5), F0              \
	VLD1.P 64(R9), [V4.H8, V5.H8, V6.H8, V7.H8] \
	SMLAL(0, 0, 4, 2)              \
	SMLAL2(0, 0, 4, 3)             \
	SMLAL(1, 0, 5, 2)              \
	SMLAL2(1, 0, 5, 3)             \
	SMLAL(2, 0, 6, 2)              \
	SMLAL2(2, 0, 6, 3)             \
	SMLAL(3, 0, 7, 2)              \
	SMLAL2(3, 0, 7, 3)             \
	SUB $1, R10                    \
	CBNZ R10, loop                 \
odd: \
	TBZ $0, R6, done               \
	FMOVS.P 4(R5), F0              \
	VLD1 (R9), [V4.H8, V5.H8]      \
	SMLAL(0, 0, 4, 2)              \
	SMLAL2(0, 0, 4, 3)             \
	SMLAL(1, 0, 5, 2)              \
	SMLAL2(1, 0, 5, 3)             \
done: \
	VUZP2 V3.H8, V2.H8, V2.H8      \
	SQSHRUN(4, 2, to)

// func acrossKernel(to *byte, stride int, columns *int16, start *int32, lo int, weights *int16, pairs, groups int)
TEXT ·acrossKernel(SB), NOSPLIT, $0-64
	MOVD to+0(FP), R0
	MOVD stride+8(FP), R1
	MOVD columns+16(FP), R2
	MOVD start+24(FP), R3
	MOVD lo+32(FP), R4
	MOVD weights+40(FP), R5
	MOVD pairs+48(FP), R6
	MOVD groups+56(FP), R8
	SUB R4<<4, R2, R2 // a column takes 16 bytes
	LSR $1, R6, R7
	MOVD $0x80000, R9 // the rounding term: 1 << (acrossShift-1)
	VDUP R9, V1.S4

group:
	// Samples 0 and 4 to V16, 1 and 5 to V17, 2 and 6 to V18, 3 and 7 to V19.
	SAMPLE(loop0, odd0, done0, SQSHRUN_B, 16)
	SAMPLE(loop1, odd1, done1, SQSHRUN_B, 17)
	SAMPLE(loop2, odd2, done2, SQSHRUN_B, 18)
	SAMPLE(loop3, odd3, done3, SQSHRUN_B, 19)
	SAMPLE(loop4, odd4, done4, SQSHRUN2_B, 16)
	SAMPLE(loop5, odd5, done5, SQSHRUN2_B, 17)
	SAMPLE(loop6, odd6, done6, SQSHRUN2_B, 18)
	SAMPLE(loop7, odd7, done7, SQSHRUN2_B, 19)

	// Rows 0 and 1 to V16, 4 and 5 to V17, 2 and 3 to V18, 6 and 7 to V19.
	LANES2(V16, V17, B16, V4, V5)
	LANES2(V18, V19, B16, V6, V7)
	LANES2(V4, V6, H8, V20, V21)
	LANES2(V5, V7, H8, V22, V23)
	VUZP1 V22.S4, V20.S4, V16.S4
	VUZP2 V22.S4, V20.S4, V17.S4
	VUZP1 V23.S4, V21.S4, V18.S4
	VUZP2 V23.S4, V21.S4, V19.S4
	MOVD R0, R9
	VST1.P V16.D[0], (R9)(R1)
	VST1.P V16.D[1], (R9)(R1)
	VST1.P V18.D[0], (R9)(R1)
	VST1.P V18.D[1], (R9)(R1)
	VST1.P V17.D[0], (R9)(R1)
	VST1.P V17.D[1], (R9)(R1)
	VST1.P V19.D[0], (R9)(R1)
	VST1 V19.D[1], (R9)
	ADD $8, R0
	SUB $1, R8
	CBNZ R8, group
	RET
