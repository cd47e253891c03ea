#include "textflag.h"

// The two loops of the entropy coder, because compiled they run out of
// registers. encode_tokens.go has their twins and what a token is.

// PUT appends the token in R13 and counts its symbol. DI: list, R10: counts.
#define PUT \
	MOVL R13, (DI)         \
	ADDQ $4, DI            \
	ANDL $1023, R13        \
	INCL (R10)(R13*4)

// VALUE looks the value in R13 up: its size and bits. R11: values.
#define VALUE \
	ADDL $2048, R13        \
	ANDL $4095, R13        \
	MOVL (R11)(R13*4), R13

// func addBlocks(list *token, coef *int16, mask *uint64, blocks int, slots *[mcuBlocksMax][2]uint32, n int, counts *[tokenSymbols]uint32, values *[2 * valueSpan]token, order *[blockSize + 16]uint8, lastDC *[4]int32) int
TEXT ·addBlocks(SB), NOSPLIT, $0-88
	MOVQ list+0(FP), DI
	MOVQ coef+8(FP), SI
	MOVQ mask+16(FP), DX
	MOVQ blocks+24(FP), CX
	MOVQ slots+32(FP), R8
	MOVQ n+40(FP), AX
	LEAQ (R8)(AX*8), R9 // end of slots
	MOVQ counts+48(FP), R10
	MOVQ values+56(FP), R11
	MOVQ order+64(FP), R12

block:
	MOVL (R8), AX  // component * 4
	MOVL 4(R8), BX // table bits
	ADDQ $8, R8
	CMPQ R8, R9
	CMOVQEQ slots+32(FP), R8
	ADDQ lastDC+72(FP), AX
	MOVWLSX (SI), R13
	MOVL R13, R15
	SUBL (AX), R13
	MOVL R15, (AX)
	VALUE
	ORL BX, R13
	PUT
	ORL $256, BX // AC
	MOVQ (DX), AX
	ADDQ $8, DX
	XORL R15, R15 // coefficient before
	ANDQ $-2, AX
	JZ end

coefficient:
	TZCNTQ AX, R14
	BLSRQ AX, AX
	NOTL R15
	ADDL R14, R15 // zeros between
	MOVBLZX (R12)(R14*1), R13
	MOVWLSX (SI)(R13*2), R13
	CMPL R15, $15
	JA zeros

value:
	VALUE
	SHLL $4, R15
	ORL BX, R13
	ORL R15, R13
	MOVL R14, R15
	PUT
	TESTQ AX, AX
	JNZ coefficient
	CMPL R15, $63
	JEQ next

end:
	MOVL BX, R13
	PUT

next:
	ADDQ $128, SI
	DECQ CX
	JNZ block
	SUBQ list+0(FP), DI
	SHRQ $2, DI
	MOVQ DI, ret+80(FP)
	RET

zeros:
	MOVL BX, (DI)
	ORL $0xF0, (DI)
	ADDQ $4, DI
	INCL 0x3C0(R10)(BX*4) // 0xF0 symbols on
	SUBL $16, R15
	CMPL R15, $15
	JA zeros
	JMP value

// func packPairs(raw *byte, list *token, pairs int, codes *[tokenSymbols]uint32, pending uint64, n uint) (bits uint64, left uint, bytes int)
TEXT ·packPairs(SB), NOSPLIT, $0-72
	MOVQ raw+0(FP), DI
	MOVQ list+8(FP), SI
	MOVQ pairs+16(FP), CX
	MOVQ codes+24(FP), DX
	MOVQ pending+32(FP), R8
	MOVQ n+40(FP), R9

pair:
	MOVL (SI), R10
	MOVL 4(SI), R11
	MOVL R10, AX
	MOVL R11, BX
	ANDL $1023, AX
	ANDL $1023, BX
	MOVL (DX)(AX*4), AX
	MOVL (DX)(BX*4), BX
	SHRL $10, R10
	SHRL $10, R11
	MOVL AX, R12
	MOVL BX, R13
	SHRL $5, R12
	SHRL $5, R13
	ORL R12, R10
	ORL R13, R11
	ANDL $31, AX
	ANDL $31, BX
	SHLXQ BX, R10, R10
	ADDL BX, AX
	ORQ R11, R10
	SHLXQ AX, R8, R8
	ADDL AX, R9
	ORQ R10, R8
	MOVL R9, R12
	NEGL R12
	SHLXQ R12, R8, R13
	BSWAPQ R13
	MOVQ R13, (DI)
	MOVL R9, R12
	SHRL $3, R12
	ADDQ R12, DI
	ANDL $7, R9
	ADDQ $8, SI
	DECQ CX
	JNZ pair
	MOVQ R8, bits+48(FP)
	MOVQ R9, left+56(FP)
	SUBQ raw+0(FP), DI
	MOVQ DI, bytes+64(FP)
	RET
