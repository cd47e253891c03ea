#include "textflag.h"

// The kernels of resampling. vector.go says what each does and checks the
// lengths. Strides and offsets are in bytes.

// A quarter of a group of bytes is 4 samples of 4 rows, sample by sample;
// this shuffle makes it row by row.
DATA rowwise<>+0(SB)/8, $0x0d0905010c080400
DATA rowwise<>+8(SB)/8, $0x0f0b07030e0a0602
DATA rowwise<>+16(SB)/8, $0x0d0905010c080400
DATA rowwise<>+24(SB)/8, $0x0f0b07030e0a0602
GLOBL rowwise<>(SB), RODATA|NOPTR, $32

// The rounding terms: 1 << (downShift-1) and 1 << (acrossShift-1).
DATA rounding<>+0(SB)/4, $0x80
DATA rounding<>+4(SB)/4, $0x80000
GLOBL rounding<>(SB), RODATA|NOPTR, $8

// func zipKernel(to *int16, a, b *byte, blocks int)
TEXT ·zipKernel(SB), NOSPLIT, $0-32
	MOVQ to+0(FP), DI
	MOVQ a+8(FP), SI
	MOVQ b+16(FP), DX
	MOVQ blocks+24(FP), CX

zip:
	VPMOVZXBW (SI), Y0
	VPMOVZXBW (DX), Y1
	VPUNPCKLWD Y1, Y0, Y2
	VPUNPCKHWD Y1, Y0, Y3
	VMOVDQU Y2, (DI)
	VMOVDQU Y3, 32(DI)
	ADDQ $16, SI
	ADDQ $16, DX
	ADDQ $64, DI
	DECQ CX
	JNZ zip
	VZEROUPPER
	RET

#define MULTIPLY(at, temp, sum) \
	VPMADDWD at(AX), Y8, temp \
	VPADDD temp, sum, sum

#define NARROW(at, low, high) \
	VPSRAD $8, low, low         \
	VPSRAD $8, high, high       \
	VPACKSSDW high, low, low    \
	VMOVDQU low, at(DI)

// func downKernel(to, ring *int16, held *int, weights *int16, pairs, blocks int)
TEXT ·downKernel(SB), NOSPLIT, $0-48
	MOVQ to+0(FP), DI
	MOVQ ring+8(FP), SI
	MOVQ held+16(FP), DX
	MOVQ weights+24(FP), BX
	MOVQ pairs+32(FP), R8
	MOVQ blocks+40(FP), CX
	VPBROADCASTD rounding<>+0(SB), Y15

	SUBQ $4, CX
	JLT few

four: // 64 samples
	VMOVDQA Y15, Y0
	VMOVDQA Y15, Y1
	VMOVDQA Y15, Y2
	VMOVDQA Y15, Y3
	VMOVDQA Y15, Y4
	VMOVDQA Y15, Y5
	VMOVDQA Y15, Y6
	VMOVDQA Y15, Y7
	XORQ R9, R9

fourPair:
	MOVQ (DX)(R9*8), AX
	VPBROADCASTD (BX)(R9*4), Y8
	ADDQ SI, AX
	MULTIPLY(0, Y9, Y0)
	MULTIPLY(32, Y10, Y1)
	MULTIPLY(64, Y11, Y2)
	MULTIPLY(96, Y12, Y3)
	MULTIPLY(128, Y13, Y4)
	MULTIPLY(160, Y14, Y5)
	MULTIPLY(192, Y9, Y6)
	MULTIPLY(224, Y10, Y7)
	INCQ R9
	CMPQ R9, R8
	JLT fourPair
	NARROW(0, Y0, Y1)
	NARROW(32, Y2, Y3)
	NARROW(64, Y4, Y5)
	NARROW(96, Y6, Y7)
	ADDQ $128, DI
	ADDQ $256, SI
	SUBQ $4, CX
	JGE four

few:
	ADDQ $4, CX
	JZ done

one: // 16 samples
	VMOVDQA Y15, Y0
	VMOVDQA Y15, Y1
	XORQ R9, R9

onePair:
	MOVQ (DX)(R9*8), AX
	VPBROADCASTD (BX)(R9*4), Y8
	ADDQ SI, AX
	MULTIPLY(0, Y9, Y0)
	MULTIPLY(32, Y10, Y1)
	INCQ R9
	CMPQ R9, R8
	JLT onePair
	NARROW(0, Y0, Y1)
	ADDQ $32, DI
	ADDQ $64, SI
	DECQ CX
	JNZ one

done:
	VZEROUPPER
	RET

// func turnKernel(to, rows *int16, stride, blocks int)
TEXT ·turnKernel(SB), NOSPLIT, $0-32
	MOVQ to+0(FP), DI
	MOVQ rows+8(FP), SI
	MOVQ stride+16(FP), R8
	MOVQ blocks+24(FP), CX
	LEAQ (R8)(R8*2), R9

turn:
	LEAQ (SI)(R8*4), DX
	VMOVDQU (SI), Y0
	VMOVDQU (SI)(R8*1), Y1
	VMOVDQU (SI)(R8*2), Y2
	VMOVDQU (SI)(R9*1), Y3
	VMOVDQU (DX), Y4
	VMOVDQU (DX)(R8*1), Y5
	VMOVDQU (DX)(R8*2), Y6
	VMOVDQU (DX)(R9*1), Y7

	VPUNPCKLDQ Y1, Y0, Y8
	VPUNPCKHDQ Y1, Y0, Y9
	VPUNPCKLDQ Y3, Y2, Y10
	VPUNPCKHDQ Y3, Y2, Y11
	VPUNPCKLDQ Y5, Y4, Y12
	VPUNPCKHDQ Y5, Y4, Y13
	VPUNPCKLDQ Y7, Y6, Y14
	VPUNPCKHDQ Y7, Y6, Y15

	VPUNPCKLQDQ Y10, Y8, Y0
	VPUNPCKHQDQ Y10, Y8, Y1
	VPUNPCKLQDQ Y11, Y9, Y2
	VPUNPCKHQDQ Y11, Y9, Y3
	VPUNPCKLQDQ Y14, Y12, Y4
	VPUNPCKHQDQ Y14, Y12, Y5
	VPUNPCKLQDQ Y15, Y13, Y6
	VPUNPCKHQDQ Y15, Y13, Y7

	VPERM2I128 $0x20, Y4, Y0, Y8
	VPERM2I128 $0x20, Y5, Y1, Y9
	VPERM2I128 $0x20, Y6, Y2, Y10
	VPERM2I128 $0x20, Y7, Y3, Y11
	VPERM2I128 $0x31, Y4, Y0, Y12
	VPERM2I128 $0x31, Y5, Y1, Y13
	VPERM2I128 $0x31, Y6, Y2, Y14
	VPERM2I128 $0x31, Y7, Y3, Y15
	VMOVDQU Y8, (DI)
	VMOVDQU Y9, 32(DI)
	VMOVDQU Y10, 64(DI)
	VMOVDQU Y11, 96(DI)
	VMOVDQU Y12, 128(DI)
	VMOVDQU Y13, 160(DI)
	VMOVDQU Y14, 192(DI)
	VMOVDQU Y15, 224(DI)
	ADDQ $32, SI
	ADDQ $256, DI
	DECQ CX
	JNZ turn
	VZEROUPPER
	RET

// TAP adds pair i of taps of the sample in work. BX: weights, AX: columns.
#define TAP(i, sum, temp, weight) \
	VPBROADCASTD (i*4)(BX), weight       \
	VPMADDWD (i*32)(AX), weight, temp    \
	VPADDD temp, sum, sum

// COLUMN finds the columns of sample k: 16 bytes a column. R10 is lo.
#define COLUMN(k, sum) \
	MOVLQSX (k*4)(DX), AX \
	VMOVDQA Y15, sum      \
	SUBQ R10, AX          \
	SHLQ $4, AX           \
	ADDQ SI, AX

#define SAMPLE3(k, sum) \
	COLUMN(k, sum)         \
	TAP(0, sum, Y8, Y9)    \
	TAP(1, sum, Y10, Y11)  \
	TAP(2, sum, Y12, Y13)  \
	ADDQ $12, BX

#define SAMPLE4(k, sum) \
	COLUMN(k, sum)         \
	TAP(0, sum, Y8, Y9)    \
	TAP(1, sum, Y10, Y11)  \
	TAP(2, sum, Y12, Y13)  \
	TAP(3, sum, Y8, Y9)    \
	ADDQ $16, BX

#define SAMPLE5(k, sum) \
	COLUMN(k, sum)         \
	TAP(0, sum, Y8, Y9)    \
	TAP(1, sum, Y10, Y11)  \
	TAP(2, sum, Y12, Y13)  \
	TAP(3, sum, Y8, Y9)    \
	TAP(4, sum, Y10, Y11)  \
	ADDQ $20, BX

#define SAMPLE6(k, sum) \
	COLUMN(k, sum)         \
	TAP(0, sum, Y8, Y9)    \
	TAP(1, sum, Y10, Y11)  \
	TAP(2, sum, Y12, Y13)  \
	TAP(3, sum, Y8, Y9)    \
	TAP(4, sum, Y10, Y11)  \
	TAP(5, sum, Y12, Y13)  \
	ADDQ $24, BX

#define SAMPLE7(k, sum) \
	COLUMN(k, sum)         \
	TAP(0, sum, Y8, Y9)    \
	TAP(1, sum, Y10, Y11)  \
	TAP(2, sum, Y12, Y13)  \
	TAP(3, sum, Y8, Y9)    \
	TAP(4, sum, Y10, Y11)  \
	TAP(5, sum, Y12, Y13)  \
	TAP(6, sum, Y8, Y9)    \
	ADDQ $28, BX

#define GROUP(SAMPLE) \
	SAMPLE(0, Y0)   \
	SAMPLE(1, Y1)   \
	SAMPLE(2, Y2)   \
	SAMPLE(3, Y3)   \
	SAMPLE(4, Y4)   \
	SAMPLE(5, Y5)   \
	SAMPLE(6, Y6)   \
	SAMPLE(7, Y7)

// FINISH brings the sums of eight samples of eight rows to bytes and stores
// them at DI, R8 bytes from row to row; R9 is three rows.
#define FINISH \
	VPSRAD $20, Y0, Y0        \
	VPSRAD $20, Y1, Y1        \
	VPSRAD $20, Y2, Y2        \
	VPSRAD $20, Y3, Y3        \
	VPSRAD $20, Y4, Y4        \
	VPSRAD $20, Y5, Y5        \
	VPSRAD $20, Y6, Y6        \
	VPSRAD $20, Y7, Y7        \
	VPACKSSDW Y1, Y0, Y0      \
	VPACKSSDW Y3, Y2, Y2      \
	VPACKSSDW Y5, Y4, Y4      \
	VPACKSSDW Y7, Y6, Y6      \
	VPACKUSWB Y2, Y0, Y0      \
	VPACKUSWB Y6, Y4, Y4      \
	VPSHUFB Y14, Y0, Y0       \
	VPSHUFB Y14, Y4, Y4       \
	VPUNPCKLDQ Y4, Y0, Y1     \
	VPUNPCKHDQ Y4, Y0, Y2     \
	LEAQ (DI)(R8*4), R11      \
	VMOVQ X1, (DI)            \
	VMOVHPS X1, (DI)(R8*1)    \
	VMOVQ X2, (DI)(R8*2)      \
	VMOVHPS X2, (DI)(R9*1)    \
	VEXTRACTI128 $1, Y1, X1   \
	VEXTRACTI128 $1, Y2, X2   \
	VMOVQ X1, (R11)           \
	VMOVHPS X1, (R11)(R8*1)   \
	VMOVQ X2, (R11)(R8*2)     \
	VMOVHPS X2, (R11)(R9*1)   \
	ADDQ $8, DI               \
	ADDQ $32, DX

// func acrossKernel(to *byte, stride int, columns *int16, start *int32, lo int, weights *int16, pairs, groups int)
TEXT ·acrossKernel(SB), NOSPLIT, $0-64
	MOVQ to+0(FP), DI
	MOVQ stride+8(FP), R8
	MOVQ columns+16(FP), SI
	MOVQ start+24(FP), DX
	MOVQ lo+32(FP), R10
	MOVQ weights+40(FP), BX
	MOVQ pairs+48(FP), R12
	MOVQ groups+56(FP), CX
	LEAQ (R8)(R8*2), R9
	VPBROADCASTD rounding<>+4(SB), Y15
	VMOVDQU rowwise<>(SB), Y14
	CMPQ R12, $3
	JEQ by3
	CMPQ R12, $4
	JEQ by4
	CMPQ R12, $5
	JEQ by5
	CMPQ R12, $6
	JEQ by6
	CMPQ R12, $7
	JEQ by7
	JMP any

by3:
	GROUP(SAMPLE3)
	FINISH
	DECQ CX
	JNZ by3
	VZEROUPPER
	RET

by4:
	GROUP(SAMPLE4)
	FINISH
	DECQ CX
	JNZ by4
	VZEROUPPER
	RET

by5:
	GROUP(SAMPLE5)
	FINISH
	DECQ CX
	JNZ by5
	VZEROUPPER
	RET

by6:
	GROUP(SAMPLE6)
	FINISH
	DECQ CX
	JNZ by6
	VZEROUPPER
	RET

by7:
	GROUP(SAMPLE7)
	FINISH
	DECQ CX
	JNZ by7
	VZEROUPPER
	RET

// Any number of pairs: a loop for each sample.
#define SAMPLE(k, sum, loop) \
	COLUMN(k, sum)          \
	MOVQ R12, R13           \
loop: \
	TAP(0, sum, Y8, Y9)     \
	ADDQ $4, BX             \
	ADDQ $32, AX            \
	DECQ R13                \
	JNZ loop

any:
	SAMPLE(0, Y0, any0)
	SAMPLE(1, Y1, any1)
	SAMPLE(2, Y2, any2)
	SAMPLE(3, Y3, any3)
	SAMPLE(4, Y4, any4)
	SAMPLE(5, Y5, any5)
	SAMPLE(6, Y6, any6)
	SAMPLE(7, Y7, any7)
	FINISH
	DECQ CX
	JNZ any
	VZEROUPPER
	RET
