#include "textflag.h"

// The forward DCT with quantisation of two blocks side by side: the first in
// the low half of every register, the second in the high half. fdct.go has
// the arithmetic.

// TRANSPOSE turns Y0..Y7, 8x8 words in each half, into Y8..Y15.
#define TRANSPOSE \
	VPUNPCKLWD Y1, Y0, Y8    \
	VPUNPCKHWD Y1, Y0, Y9    \
	VPUNPCKLWD Y3, Y2, Y10   \
	VPUNPCKHWD Y3, Y2, Y11   \
	VPUNPCKLWD Y5, Y4, Y12   \
	VPUNPCKHWD Y5, Y4, Y13   \
	VPUNPCKLWD Y7, Y6, Y14   \
	VPUNPCKHWD Y7, Y6, Y15   \
	VPUNPCKLDQ Y10, Y8, Y0   \
	VPUNPCKHDQ Y10, Y8, Y1   \
	VPUNPCKLDQ Y11, Y9, Y2   \
	VPUNPCKHDQ Y11, Y9, Y3   \
	VPUNPCKLDQ Y14, Y12, Y4  \
	VPUNPCKHDQ Y14, Y12, Y5  \
	VPUNPCKLDQ Y15, Y13, Y6  \
	VPUNPCKHDQ Y15, Y13, Y7  \
	VPUNPCKLQDQ Y4, Y0, Y8   \
	VPUNPCKHQDQ Y4, Y0, Y9   \
	VPUNPCKLQDQ Y5, Y1, Y10  \
	VPUNPCKHQDQ Y5, Y1, Y11  \
	VPUNPCKLQDQ Y6, Y2, Y12  \
	VPUNPCKHQDQ Y6, Y2, Y13  \
	VPUNPCKLQDQ Y7, Y3, Y14  \
	VPUNPCKHQDQ Y7, Y3, Y15

// EVEN gives one even coefficient from (t13,t12) in Y8 and Y9.
// R10 is forwardConst.
#define EVEN(factor, round, shift, low, high) \
	VPMADDWD factor*32(R10), Y8, low   \
	VPMADDWD factor*32(R10), Y9, high  \
	VPADDD round*32(R10), low, low     \
	VPADDD round*32(R10), high, high   \
	VPSRAD $shift, low, low            \
	VPSRAD $shift, high, high          \
	VPACKSSDW high, low, low

// ODD gives one odd coefficient from (t4,t5) in Y8, Y9 and (t6,t7) in Y10, Y11.
#define ODD(factor, round, shift, to) \
	VPMADDWD factor*32(R10), Y8, to         \
	VPMADDWD (factor+1)*32(R10), Y10, Y12   \
	VPMADDWD factor*32(R10), Y9, Y13        \
	VPMADDWD (factor+1)*32(R10), Y11, Y14   \
	VPADDD Y15, to, to                      \
	VPADDD Y15, Y13, Y13                    \
	VPADDD Y12, to, to                      \
	VPADDD Y14, Y13, Y13                    \
	VPSRAD $shift, to, to                   \
	VPSRAD $shift, Y13, Y13                 \
	VPACKSSDW Y13, to, to

// BUTTERFLY transforms Y8..Y15 to Y0..Y7, all but the scaling of 0 and 4.
#define BUTTERFLY(round, shift) \
	VPADDW Y15, Y8, Y0      \
	VPSUBW Y15, Y8, Y15     \
	VPADDW Y14, Y9, Y1      \
	VPSUBW Y14, Y9, Y14     \
	VPADDW Y13, Y10, Y2     \
	VPSUBW Y13, Y10, Y13    \
	VPADDW Y12, Y11, Y3     \
	VPSUBW Y12, Y11, Y12    \
	VPADDW Y3, Y0, Y4       \
	VPSUBW Y3, Y0, Y5       \
	VPADDW Y2, Y1, Y6       \
	VPSUBW Y2, Y1, Y7       \
	VPADDW Y6, Y4, Y0       \
	VPSUBW Y6, Y4, Y4       \
	VPUNPCKLWD Y7, Y5, Y8   \
	VPUNPCKHWD Y7, Y5, Y9   \
	EVEN(0, round, shift, Y2, Y3) \
	EVEN(1, round, shift, Y6, Y7) \
	VPUNPCKLWD Y13, Y12, Y8   \
	VPUNPCKHWD Y13, Y12, Y9   \
	VPUNPCKLWD Y15, Y14, Y10  \
	VPUNPCKHWD Y15, Y14, Y11  \
	VMOVDQU round*32(R10), Y15 \
	ODD(2, round, shift, Y1)  \
	ODD(4, round, shift, Y3)  \
	ODD(6, round, shift, Y5)  \
	ODD(8, round, shift, Y7)

// QUANTIZE divides row n, in place. R9 is the Quantizer.
#define QUANTIZE(n, row, temp) \
	VPABSW row, temp                       \
	VPADDW (n*32)(R9), temp, temp          \
	VPMULHUW (256+n*32)(R9), temp, temp    \
	VPMULHUW (512+n*32)(R9), temp, temp    \
	VPSIGNW row, temp, row

// STORE writes row n of both blocks: DI is the first, R13 the second.
#define STORE(n, half, row) \
	VMOVDQU half, (n*16)(DI)          \
	VEXTRACTI128 $1, row, (n*16)(R13)

// func forwardPairsKernel(coef *int16, mask *uint64, second, pair int, src *byte, stride, pairs int, q *Quantizer)
TEXT ·forwardPairsKernel(SB), NOSPLIT, $0-64
	MOVQ coef+0(FP), DI
	MOVQ mask+8(FP), DX
	MOVQ second+16(FP), R11
	MOVQ pair+24(FP), R12
	MOVQ src+32(FP), SI
	MOVQ stride+40(FP), R8
	MOVQ pairs+48(FP), CX
	MOVQ q+56(FP), R9
	LEAQ ·forwardConst(SB), R10
	LEAQ ·forwardShuffle(SB), R15
	LEAQ (R8)(R8*2), AX // three rows

next:
	LEAQ (SI)(R8*4), BX
	VPMOVZXBW (SI), Y0
	VPMOVZXBW (SI)(R8*1), Y1
	VPMOVZXBW (SI)(R8*2), Y2
	VPMOVZXBW (SI)(AX*1), Y3
	VPMOVZXBW (BX), Y4
	VPMOVZXBW (BX)(R8*1), Y5
	VPMOVZXBW (BX)(R8*2), Y6
	VPMOVZXBW (BX)(AX*1), Y7
	TRANSPOSE
	BUTTERFLY(10, 11)
	VPSUBW 12*32(R10), Y0, Y0
	VPSLLW $2, Y0, Y0
	VPSLLW $2, Y4, Y4
	TRANSPOSE
	BUTTERFLY(11, 15)
	VPADDW 13*32(R10), Y0, Y0
	VPADDW 13*32(R10), Y4, Y4
	VPSRAW $2, Y0, Y0
	VPSRAW $2, Y4, Y4

	MOVQ R11, R13
	SHLQ $7, R13
	ADDQ DI, R13
	QUANTIZE(0, Y0, Y8)
	QUANTIZE(1, Y1, Y9)
	QUANTIZE(2, Y2, Y10)
	QUANTIZE(3, Y3, Y11)
	QUANTIZE(4, Y4, Y12)
	QUANTIZE(5, Y5, Y13)
	QUANTIZE(6, Y6, Y14)
	QUANTIZE(7, Y7, Y15)
	STORE(0, X0, Y0)
	STORE(1, X1, Y1)
	STORE(2, X2, Y2)
	STORE(3, X3, Y3)
	STORE(4, X4, Y4)
	STORE(5, X5, Y5)
	STORE(6, X6, Y6)
	STORE(7, X7, Y7)

	// Bytes keep whether a word is zero; shuffle them to zigzag order.
	VPACKSSWB Y1, Y0, Y0
	VPACKSSWB Y3, Y2, Y1
	VPACKSSWB Y5, Y4, Y2
	VPACKSSWB Y7, Y6, Y3
	VPXOR Y15, Y15, Y15

	VPSHUFB 0*32(R15), Y0, Y4
	VPSHUFB 1*32(R15), Y1, Y5
	VPSHUFB 2*32(R15), Y2, Y6
	VPOR Y5, Y4, Y4
	VPOR Y6, Y4, Y4
	VPSHUFB 3*32(R15), Y0, Y5
	VPSHUFB 4*32(R15), Y1, Y6
	VPSHUFB 5*32(R15), Y2, Y7
	VPSHUFB 6*32(R15), Y3, Y8
	VPOR Y6, Y5, Y5
	VPOR Y8, Y7, Y7
	VPOR Y7, Y5, Y5
	VPSHUFB 7*32(R15), Y0, Y6
	VPSHUFB 8*32(R15), Y1, Y7
	VPSHUFB 9*32(R15), Y2, Y8
	VPSHUFB 10*32(R15), Y3, Y9
	VPOR Y7, Y6, Y6
	VPOR Y9, Y8, Y8
	VPOR Y8, Y6, Y6
	VPSHUFB 11*32(R15), Y1, Y7
	VPSHUFB 12*32(R15), Y2, Y8
	VPSHUFB 13*32(R15), Y3, Y9
	VPOR Y8, Y7, Y7
	VPOR Y9, Y7, Y7

	// First block: low halves of Y4..Y7; second: high halves.
	VPERM2I128 $0x20, Y5, Y4, Y8
	VPERM2I128 $0x20, Y7, Y6, Y9
	VPERM2I128 $0x31, Y5, Y4, Y10
	VPERM2I128 $0x31, Y7, Y6, Y11
	VPCMPEQB Y15, Y8, Y8
	VPCMPEQB Y15, Y9, Y9
	VPCMPEQB Y15, Y10, Y10
	VPCMPEQB Y15, Y11, Y11
	VPMOVMSKB Y8, BX
	VPMOVMSKB Y9, R13
	SHLQ $32, R13
	ORQ R13, BX
	NOTQ BX
	MOVQ BX, (DX)
	VPMOVMSKB Y10, BX
	VPMOVMSKB Y11, R13
	SHLQ $32, R13
	ORQ R13, BX
	NOTQ BX
	MOVQ BX, (DX)(R11*8)

	LEAQ (DX)(R12*8), DX
	MOVQ R12, BX
	SHLQ $7, BX
	ADDQ BX, DI
	ADDQ $16, SI
	DECQ CX
	JNZ next
	VZEROUPPER
	RET
