#include "textflag.h"

// func transposeBlocks(dst *byte, step int, src *byte, stride, n int)
//
// Rows are interleaved byte by byte, then in words and in longs: two columns
// of eight rows come to lie in each register.
TEXT ·transposeBlocks(SB), NOSPLIT, $0-40
	MOVQ dst+0(FP), DI
	MOVQ step+8(FP), R8
	MOVQ src+16(FP), SI
	MOVQ stride+24(FP), R9
	MOVQ n+32(FP), CX
	LEAQ (R8)(R8*2), R10 // 3 steps
	LEAQ (R9)(R9*2), R11 // 3 strides

block:
	LEAQ      (SI)(R9*4), DX
	MOVQ      (SI), X0
	MOVQ      (SI)(R9*1), X1
	MOVQ      (SI)(R9*2), X2
	MOVQ      (SI)(R11*1), X3
	MOVQ      (DX), X4
	MOVQ      (DX)(R9*1), X5
	MOVQ      (DX)(R9*2), X6
	MOVQ      (DX)(R11*1), X7
	PUNPCKLBW X1, X0
	PUNPCKLBW X3, X2
	PUNPCKLBW X5, X4
	PUNPCKLBW X7, X6
	MOVO      X0, X1
	PUNPCKLWL X2, X0 // columns 0 to 3 of rows 0 to 3
	PUNPCKHWL X2, X1 // columns 4 to 7
	MOVO      X4, X5
	PUNPCKLWL X6, X4 // of rows 4 to 7
	PUNPCKHWL X6, X5
	MOVO      X0, X2
	PUNPCKLLQ X4, X0
	PUNPCKHLQ X4, X2
	MOVO      X1, X3
	PUNPCKLLQ X5, X1
	PUNPCKHLQ X5, X3
	LEAQ      (DI)(R8*4), AX
	MOVQ      X0, (DI)
	MOVHPS    X0, (DI)(R8*1)
	MOVQ      X2, (DI)(R8*2)
	MOVHPS    X2, (DI)(R10*1)
	MOVQ      X1, (AX)
	MOVHPS    X1, (AX)(R8*1)
	MOVQ      X3, (AX)(R8*2)
	MOVHPS    X3, (AX)(R10*1)
	ADDQ      $8, DI
	LEAQ      (SI)(R9*8), SI
	DECQ      CX
	JNZ       block
	RET
