#include "go_asm.h"
#include "textflag.h"

// The loops of AC scans of progressive pictures. progressive.go has their
// twins; band.go says who may call and what each exit means.
//
// R15: bandKernel, R13: coefficients of the block up to the band's last, a bit each,
// R12: table, R11: index, R10: which coefficients are not zero, R9: count,
// R8: acc, DI: values of the block, SI: next byte of the window. AX, BX, CX, DX
// and R14 are scratch.

// REFILL makes R9 at least 56. It uses BX.
#define REFILL \
	MOVQ (SI), BX     \
	BSWAPQ BX         \
	SHRXQ R9, BX, BX  \
	ORQ BX, R8        \
	MOVL $63, BX      \
	SUBL R9, BX       \
	SHRL $3, BX       \
	ADDQ BX, SI       \
	ORL $56, R9

#define LOAD \
	MOVQ bandKernel_bits(R15), BX   \
	MOVQ bitReader_acc(BX), R8      \
	MOVQ bitReader_count(BX), R9    \
	MOVQ bitReader_pos(BX), SI      \
	LEAQ bitReader_window(BX)(SI*1), SI \
	MOVQ bandKernel_table(R15), R12 \
	MOVQ bandKernel_band(R15), R13

#define SAVE \
	MOVQ bandKernel_bits(R15), BX   \
	MOVQ R8, bitReader_acc(BX)      \
	MOVQ R9, bitReader_count(BX)    \
	LEAQ bitReader_window(BX), CX   \
	SUBQ CX, SI                     \
	MOVQ SI, bitReader_pos(BX)

// RESUME takes up the block in work.
#define RESUME \
	MOVQ bandKernel_i(R15), AX       \
	IMULQ bandKernel_per(R15), AX    \
	MOVQ bandKernel_values(R15), DI  \
	LEAQ (DI)(AX*2), DI              \
	MOVQ bandKernel_mask(R15), R10   \
	MOVQ bandKernel_k(R15), R11

// BLOCK takes up the next block.
#define BLOCK \
	MOVQ bandKernel_i(R15), AX       \
	MOVQ bandKernel_nonzero(R15), BX \
	MOVQ (BX)(AX*8), R10             \
	IMULQ bandKernel_per(R15), AX    \
	MOVQ bandKernel_values(R15), DI  \
	LEAQ (DI)(AX*2), DI              \
	MOVQ bandKernel_ss(R15), R11

// DONE stores which coefficients are not zero and counts the block.
#define DONE \
	MOVQ bandKernel_i(R15), AX       \
	MOVQ bandKernel_nonzero(R15), BX \
	MOVQ R10, (BX)(AX*8)             \
	INCQ bandKernel_i(R15)

// MORE goes to more when the window must be filled.
#define MORE(more) \
	MOVQ bandKernel_bits(R15), BX  \
	MOVQ SI, AX                    \
	SUBQ BX, AX                    \
	CMPQ AX, bitReader_limit(BX)   \
	JGE more

// SYMBOL reads a symbol to AX, with its length above.
#define SYMBOL(slow) \
	REFILL                                \
	MOVQ R8, AX                           \
	SHRQ $(64-const_lookBits), AX         \
	MOVWLZX huffTable_look(R12)(AX*2), AX \
	TESTL AX, AX                          \
	JEQ slow                              \
	MOVL AX, CX                           \
	SHRL $8, CX                           \
	SHLXQ CX, R8, R8                      \
	SUBQ CX, R9

// RUN reads the length of an end-of-band run of category CX to AX.
#define RUN \
	MOVQ R8, AX        \
	SHRQ $1, AX        \
	MOVL $63, BX       \
	SUBL CX, BX        \
	SHRXQ BX, AX, AX   \
	MOVL $1, BX        \
	SHLXQ CX, BX, BX   \
	ADDQ BX, AX        \
	SHLXQ CX, R8, R8   \
	SUBQ CX, R9

// ABOVE clears the bits of r below index R11.
#define ABOVE(r) \
	SHRXQ R11, r, r \
	SHLXQ R11, r, r

// CORRECT reads a correction bit for each coefficient that AX names, which are
// at most 56, and applies those of the corner.
#define CORRECT(next, count, many) \
	POPCNTQ AX, CX                  \
	CMPL CX, $const_refillBits      \
	JHI many                        \
	REFILL                          \
	MOVQ bandKernel_corner(R15), BX \
	ANDQ AX, BX                     \
	JEQ count                       \
next: \
	TZCNTQ BX, CX                   \
	BZHIQ CX, AX, R14               \
	POPCNTQ R14, R14                \
	SHLXQ R14, R8, R14              \
	SHRQ $63, R14                   \
	MOVQ bandKernel_slot(R15), R12  \
	MOVBLZX (R12)(CX*1), CX         \
	MOVWLSX (DI)(CX*2), R12         \
	MOVQ bandKernel_al(R15), R13    \
	SHLXL R13, R14, R14             \
	ANDNL R14, R12, R14             \
	MOVL R12, R13                   \
	SARL $31, R13                   \
	XORL R13, R14                   \
	SUBL R13, R14                   \
	ADDL R14, R12                   \
	MOVW R12, (DI)(CX*2)            \
	BLSRQ BX, BX                    \
	JNE next                        \
	MOVQ bandKernel_table(R15), R12 \
	MOVQ bandKernel_band(R15), R13  \
count: \
	POPCNTQ AX, CX                  \
	SHLXQ CX, R8, R8                \
	SUBQ CX, R9

// func runRefineKernel(k *bandKernel) (exit int)
TEXT ·runRefineKernel(SB), NOSPLIT, $0-16
	MOVQ k+0(FP), R15
	LOAD
	MOVQ bandKernel_phase(R15), AX
	CMPQ AX, $const_bandNext
	JEQ next
	CMPQ AX, $const_bandBlock
	JEQ block
	RESUME
	MOVQ bandKernel_phase(R15), AX
	CMPQ AX, $const_bandSymbol
	JNE resume
	MOVL bandKernel_symbol(R15), AX
	JMP decoded

resume:
	MOVLQSX bandKernel_sign(R15), DX
	CMPQ AX, $const_bandCorrected
	JEQ corrected
	JMP covered

next:
	MOVQ bandKernel_i(R15), AX
	CMPQ AX, bandKernel_n(R15)
	JGE done
	MORE(more)

block:
	BLOCK
	CMPQ bandKernel_run(R15), $0
	JNE band

symbol:
	CMPQ R11, bandKernel_se(R15)
	JHI store
	SYMBOL(slow)

decoded:
	MOVL AX, CX
	SHRL $4, CX
	ANDL $15, CX
	TESTL $15, AX
	JEQ empty
	MOVQ R8, DX
	SARQ $63, DX
	NOTQ DX
	ORQ $1, DX // 1 for a one, -1 for a zero
	ADDQ R8, R8
	DECQ R9
	JMP place

empty:
	CMPL CX, $15
	JNE run
	XORL DX, DX

place: // of the zero that CX more zeros precede
	MOVQ R10, BX
	NOTQ BX
	ANDQ R13, BX
	ABOVE(BX)
	MOVL $1, AX
	SHLXQ CX, AX, AX
	PDEPQ BX, AX, AX
	TZCNTQ AX, CX
	TESTQ AX, AX
	CMOVQEQ bandKernel_end(R15), CX
	BZHIQ CX, R10, AX
	ABOVE(AX)
	MOVQ CX, R11
	TESTQ AX, AX
	JEQ corrected
	CORRECT(nextCorner, counted, many)

corrected:
	TESTQ DX, DX
	JEQ stored
	MOVL $(const_blockSize-1), CX
	CMPQ R11, CX
	CMOVQCS R11, CX
	BTSQ CX, R10
	MOVQ bandKernel_corner(R15), BX
	BTQ CX, BX
	JCC stored
	MOVQ bandKernel_slot(R15), BX
	MOVBLZX (BX)(CX*1), CX
	MOVQ bandKernel_al(R15), BX
	SHLXL BX, DX, DX
	MOVW DX, (DI)(CX*2)

stored:
	INCQ R11
	JMP symbol

run:
	RUN
	MOVQ AX, bandKernel_run(R15)

band: // the rest of the band has corrections only
	MOVQ R10, AX
	ANDQ R13, AX
	ABOVE(AX)
	TESTQ AX, AX
	JEQ covered
	CORRECT(nextBand, countedBand, manyBand)

covered:
	DECQ bandKernel_run(R15)

store:
	DONE
	JMP next

done:
	MOVL $const_bandDone, AX
	JMP exit

more:
	MOVL $const_bandMore, AX
	JMP exit

slow:
	MOVL $const_bandSlow, AX
	JMP exit

many:
	MOVL DX, bandKernel_sign(R15)
	MOVQ AX, bandKernel_old(R15)
	MOVL $const_bandMany, AX
	JMP exit

manyBand:
	MOVQ AX, bandKernel_old(R15)
	MOVL $const_bandManyLast, AX

exit:
	MOVQ R10, bandKernel_mask(R15)
	MOVQ R11, bandKernel_k(R15)
	SAVE
	MOVQ AX, exit+8(FP)
	RET

// func runFirstKernel(k *bandKernel) (exit int)
TEXT ·runFirstKernel(SB), NOSPLIT, $0-16
	MOVQ k+0(FP), R15
	LOAD
	MOVQ bandKernel_phase(R15), AX
	CMPQ AX, $const_bandNext
	JEQ next
	CMPQ AX, $const_bandBlock
	JEQ block
	RESUME
	MOVL bandKernel_symbol(R15), AX
	JMP decoded

next:
	MOVQ bandKernel_n(R15), CX
	SUBQ bandKernel_i(R15), CX
	JLE done
	MOVQ bandKernel_run(R15), AX
	TESTQ AX, AX
	JEQ open
	CMPQ AX, CX // blocks that the run covers
	CMOVQLT AX, CX
	SUBQ CX, bandKernel_run(R15)
	ADDQ CX, bandKernel_i(R15)
	JMP next

open:
	MORE(more)

block:
	BLOCK

symbol:
	CMPQ R11, bandKernel_se(R15)
	JHI store
	SYMBOL(slow)

decoded:
	MOVL AX, CX
	SHRL $4, CX
	ANDL $15, CX
	ANDL $15, AX // size
	JEQ empty
	ADDQ CX, R11
	MOVL $64, BX
	SUBL AX, BX
	SHRXQ BX, R8, DX
	MOVQ R8, CX
	NOTQ CX
	SARQ $63, CX // ones where the value is negative
	SHLXQ AX, R8, R8
	SUBQ AX, R9
	MOVL $1, BX
	SHLXL AX, BX, BX
	DECL BX
	ANDL CX, BX
	SUBL BX, DX // T.81 F.2.2.1: less 1<<size - 1
	MOVQ bandKernel_al(R15), BX
	SHLXL BX, DX, DX
	MOVL $(const_blockSize-1), CX
	CMPQ R11, CX
	CMOVQCS R11, CX
	BTSQ CX, R10
	TESTW DX, DX
	JEQ zero

keep:
	INCQ R11
	MOVQ bandKernel_corner(R15), BX
	BTQ CX, BX
	JCC symbol
	MOVQ bandKernel_slot(R15), BX
	MOVBLZX (BX)(CX*1), CX
	MOVW DX, (DI)(CX*2)
	JMP symbol

zero: // a value so large that nothing of it is left
	BTRQ CX, R10
	JMP keep

empty:
	CMPL CX, $15
	JNE run
	ADDQ $16, R11
	JMP symbol

run:
	RUN
	DECQ AX
	MOVQ AX, bandKernel_run(R15)

store:
	DONE
	JMP next

done:
	MOVL $const_bandDone, AX
	JMP exit

more:
	MOVL $const_bandMore, AX
	JMP exit

slow:
	MOVL $const_bandSlow, AX

exit:
	MOVQ R10, bandKernel_mask(R15)
	MOVQ R11, bandKernel_k(R15)
	SAVE
	MOVQ AX, exit+8(FP)
	RET
