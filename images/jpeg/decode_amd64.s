#include "go_asm.h"
#include "textflag.h"

// The two loops of the entropy decoder, because compiled they run out of
// registers and shift through CX. sequential.go has their twins and says what
// the tables hold; kernel.go says who may call and what each exit means.
//
// R15: blockKernel, R14: scratch, R13: limit of s,
// R12: dequantiser, R11: AC table, R10: s, R9: count, R8: acc,
// DX: plan of the block, DI: the block or the line, SI: next byte of the window.

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

// SPEND takes the bits that s counts off R9 and refills.
#define SPEND \
	MOVBLZX R10, BX   \
	SUBQ BX, R9       \
	ANDL $-256, R10   \
	REFILL

// LOAD brings the state of the bit reader into registers.
#define LOAD \
	MOVQ blockKernel_bits(R15), BX  \
	MOVQ bitReader_acc(BX), R8      \
	MOVQ bitReader_count(BX), R9    \
	MOVQ bitReader_pos(BX), SI      \
	LEAQ bitReader_window(BX)(SI*1), SI

// SAVE writes it back. It uses BX.
#define SAVE \
	MOVQ blockKernel_bits(R15), BX  \
	MOVQ R8, bitReader_acc(BX)      \
	MOVQ R9, bitReader_count(BX)    \
	LEAQ bitReader_window(BX), BX   \
	SUBQ BX, SI                     \
	MOVQ blockKernel_bits(R15), BX  \
	MOVQ SI, bitReader_pos(BX)

// PLAN finds the plan of block number BX.
#define PLAN \
	IMULQ $blockPlan__size, BX    \
	MOVQ blockKernel_plan(R15), DX \
	ADDQ BX, DX

// MCU goes to done past the last MCU, and to more when the window must be filled. It uses AX and BX.
#define MCU(done, more) \
	MOVQ blockKernel_m(R15), AX        \
	CMPQ AX, blockKernel_m1(R15)       \
	JGE done                           \
	MOVQ blockKernel_bits(R15), BX     \
	MOVQ SI, AX                        \
	SUBQ BX, AX                        \
	CMPQ AX, bitReader_limit(BX)       \
	JGE more

// DC leaves the DC difference in AX. It uses BX and CX.
#define DC(slow) \
	MOVQ blockPlan_dc(DX), BX          \
	MOVQ R8, AX                        \
	SHRQ $(64-const_dcBits), AX        \
	MOVWLSX huffTable_dc(BX)(AX*2), AX \
	TESTL AX, AX                       \
	JEQ slow                           \
	MOVL AX, CX                        \
	ANDL $31, CX                       \
	SHLXQ CX, R8, R8                   \
	SUBQ CX, R9                        \
	SARL $5, AX

// SKIP steps over what the next bits show.
#define SKIP \
	MOVQ R8, AX                            \
	SHRQ $(64-const_skipBits), AX          \
	MOVWLZX huffTable_skip(R11)(AX*2), AX  \
	SHLXQ AX, R8, R8                       \
	ADDL AX, R10

// APART takes the entry AX apart: CX gets the second value, AX the first, R14
// the index of the first, whose second has index BX.
#define APART \
	MOVL AX, R14     \
	SHRL $27, R14    \
	NEGL R14         \
	ADDL BX, R14     \
	MOVL AX, CX      \
	SHLL $5, CX      \
	SARL $27, CX     \
	SHLL $10, AX     \
	SARL $26, AX

// VALUE reads one or two coefficients and stores them, the second first; past
// the last one that is wanted it goes to last.
#define VALUE(last) \
	MOVQ R8, AX                          \
	SHRQ $(64-const_valBits), AX         \
	MOVL huffTable_val(R11)(AX*4), AX    \
	SHLXQ AX, R8, R8                     \
	MOVWLZX AX, CX                       \
	ADDL CX, R10                         \
	CMPL R10, R13                        \
	JAE last                             \
	MOVL R10, BX                         \
	SHRL $8, BX                          \
	APART                                \
	IMULW 2(R12)(BX*4), CX               \
	MOVWLZX (R12)(BX*4), BX              \
	MOVW CX, (DI)(BX*2)                  \
	IMULW 2(R12)(R14*4), AX              \
	MOVWLZX (R12)(R14*4), R14            \
	MOVW AX, (DI)(R14*2)

// func runCoefsKernel(k *blockKernel) int
TEXT ·runCoefsKernel(SB), NOSPLIT, $0-16
	MOVQ k+0(FP), R15
	LOAD
	MOVLQZX blockKernel_limit(R15), R13
	MOVQ blockKernel_phase(R15), AX
	MOVQ blockKernel_block(R15), BX
	PLAN
	CMPQ AX, $const_phaseMCU
	JEQ mcu
	CMPQ AX, $const_phaseBlocks
	JEQ blocks
	CMPQ AX, $const_phaseDC
	JNE resume
	MOVL blockKernel_dc(R15), AX
	JMP difference

resume:
	MOVQ blockPlan_ac(DX), R11
	MOVQ blockPlan_dequant(DX), R12
	MOVL blockKernel_s(R15), R10
	MOVQ blockKernel_place(R15), DI
	MOVQ blockKernel_out(R15), CX
	LEAQ (CX)(DI*2), DI
	CMPQ AX, $const_phaseSkip
	JEQ skip
	CMPQ AX, $const_phaseEnd
	JEQ end
	JMP value

mcu:
	MCU(done, more)

blocks:
	XORL BX, BX
	MOVQ BX, blockKernel_block(R15)
	MOVQ blockKernel_plan(R15), DX

block:
	LEAQ -const_blockStartMax(SI), BX
	CMPQ BX, blockKernel_bits(R15)
	JHI unsafe
	REFILL
	DC(slowDC)

difference:
	MOVQ blockPlan_pred(DX), CX
	ADDL (CX), AX
	MOVL AX, (CX)
	IMULL blockPlan_quantDC(DX), AX
	MOVL AX, blockKernel_dc(R15)

	// The place of the block: layout.offset.
	MOVQ blockKernel_m(R15), AX
	IMULQ blockPlan_step(DX), AX
	ADDQ blockPlan_first(DX), AX
	MOVQ blockKernel_shift(R15), CX
	SHRXQ CX, AX, BX
	IMULQ blockKernel_size(R15), BX
	ANDQ blockKernel_mask(R15), AX
	IMULQ blockKernel_lane(R15), AX
	ADDQ BX, AX
	ADDQ blockPlan_base(DX), AX
	MOVQ AX, blockKernel_place(R15)
	MOVQ blockKernel_out(R15), DI
	LEAQ (DI)(AX*2), DI

	MOVQ blockPlan_ac(DX), R11
	MOVQ blockPlan_dequant(DX), R12
	MOVL $256, R10

value: // at least 44 bits are there, enough for four
	VALUE(last)
	VALUE(last)
	VALUE(last)
	VALUE(last)

values: // 56 bits, enough for five
	SPEND
	VALUE(last)
	VALUE(last)
	VALUE(last)
	VALUE(last)
	VALUE(last)
	JMP values

last: // the value in AX may be wanted yet: with it the block ended, or the next is not
	MOVBLZX R10, BX
	SUBQ BX, R9
	SHRL $8, R10
	LEAL -const_advanceEOB(R10), CX
	CMPL CX, $const_blockSize
	JB store
	CMPL R10, $const_blockSize
	JHI slowValue

store:
	MOVL R10, BX
	ANDL $127, BX
	APART
	ANDL $127, R14
	IMULW 2(R12)(BX*4), CX
	MOVWLZX (R12)(BX*4), BX
	ADDW CX, (DI)(BX*2)
	IMULW 2(R12)(R14*4), AX
	MOVWLZX (R12)(R14*4), R14
	ADDW AX, (DI)(R14*2)
	CMPL R10, $const_blockSize
	JAE end
	SHLL $8, R10
	REFILL
	JMP skipped

skip:
	SPEND

skipped:
	SKIP
	CMPL R10, $(const_blockSize<<8)
	JAE over
	SKIP
	CMPL R10, $(const_blockSize<<8)
	JAE over
	SKIP
	CMPL R10, $(const_blockSize<<8)
	JB skip

over:
	MOVBLZX R10, BX
	SUBQ BX, R9
	SHRL $8, R10
	LEAL -const_advanceEOB(R10), CX
	CMPL CX, $const_blockSize
	JB end
	CMPL R10, $const_blockSize
	JNE slowSkip

end:
	MOVL blockKernel_dc(R15), AX
	MOVW AX, (DI)
	ADDQ $blockPlan__size, DX
	MOVQ blockKernel_block(R15), BX
	INCQ BX
	MOVQ BX, blockKernel_block(R15)
	CMPQ BX, blockKernel_planned(R15)
	JLT block
	INCQ blockKernel_m(R15)
	JMP mcu

done:
	MOVL $const_exitDone, AX
	JMP exit

more:
	MOVL $const_exitMore, AX
	JMP exit

unsafe:
	MOVL $const_exitUnsafe, AX
	JMP exit

slowDC:
	MOVL $const_exitDC, AX
	JMP exit

slowValue: // a code of few bits with a large value is read here, all else outside
	CMPL AX, $(const_advanceSlow<<8)
	JNE elsewhere
	REFILL
	MOVQ R8, CX
	SHRQ $(64-const_lookBits), CX
	MOVWLZX huffTable_look(R11)(CX*2), CX
	MOVL CX, R14
	ANDL $15, R14
	JEQ elsewhere // no such code, or one without a value
	MOVL CX, BX
	SHRL $4, BX
	ANDL $15, BX
	LEAL -(const_advanceSlow-1)(R10)(BX*1), BX // index after it
	CMPL BX, $const_blockSize
	JHI elsewhere
	MOVL BX, R10
	SHRL $8, CX
	SHLXQ CX, R8, R8
	SUBL CX, R9
	SUBL R14, R9
	MOVQ R8, AX
	SHLXQ R14, R8, R8
	MOVQ AX, CX
	NOTQ CX
	SARQ $63, CX // ones where the value is negative
	NEGL R14
	SHRXQ R14, AX, AX
	NEGL R14
	MOVL $1, BX
	SHLXL R14, BX, BX
	DECL BX
	ANDL CX, BX
	SUBL BX, AX // T.81 F.2.2.1: less 1<<size - 1
	IMULW 2(R12)(R10*4), AX
	MOVWLZX (R12)(R10*4), BX
	MOVW AX, (DI)(BX*2)
	CMPL R10, $const_blockSize
	JEQ end
	SHLL $8, R10
	REFILL
	CMPL R10, R13
	JB value
	JMP skipped

elsewhere:
	MOVL AX, blockKernel_e(R15)
	MOVL R10, blockKernel_s(R15)
	MOVL $const_exitValue, AX
	JMP exit

slowSkip:
	MOVL AX, blockKernel_e(R15)
	MOVL R10, blockKernel_s(R15)
	MOVL $const_exitSkip, AX

exit:
	SAVE
	MOVQ AX, exit+8(FP)
	RET

// func runDCKernel(k *blockKernel) int
TEXT ·runDCKernel(SB), NOSPLIT, $0-16
	MOVQ k+0(FP), R15
	LOAD
	MOVQ blockKernel_line(R15), DI
	LEAQ ·rangeLimit(SB), R12
	MOVQ blockKernel_phase(R15), AX
	MOVQ blockKernel_block(R15), BX
	PLAN
	CMPQ AX, $const_phaseMCU
	JEQ mcu
	CMPQ AX, $const_phaseBlocks
	JEQ blocks
	CMPQ AX, $const_phaseDC
	JNE resume
	MOVL blockKernel_dc(R15), AX
	JMP difference

resume:
	MOVQ blockPlan_ac(DX), R11
	MOVL blockKernel_s(R15), R10
	CMPQ AX, $const_phaseSkip
	JEQ skip
	JMP end

mcu:
	MCU(done, more)

blocks:
	XORL BX, BX
	MOVQ BX, blockKernel_block(R15)
	MOVQ blockKernel_plan(R15), DX

block:
	LEAQ -const_blockStartMax(SI), BX
	CMPQ BX, blockKernel_bits(R15)
	JHI unsafe
	REFILL
	DC(slowDC)

difference:
	MOVQ blockPlan_pred(DX), CX
	ADDL (CX), AX
	MOVL AX, (CX)
	MOVWLSX AX, AX
	IMULL blockPlan_quantDC(DX), AX
	ADDL $4, AX
	SHRL $3, AX
	ANDL $1023, AX
	MOVBLZX (R12)(AX*1), AX
	MOVQ blockKernel_m(R15), CX
	IMULQ blockPlan_step(DX), CX
	ADDQ blockPlan_first(DX), CX
	ADDQ blockPlan_base(DX), CX
	MOVB AX, (DI)(CX*1)
	MOVQ blockPlan_ac(DX), R11
	MOVL $256, R10
	SKIP
	CMPL R10, $(const_blockSize<<8)
	JAE over
	SKIP
	CMPL R10, $(const_blockSize<<8)
	JAE over

skip:
	SPEND
	SKIP
	CMPL R10, $(const_blockSize<<8)
	JAE over
	SKIP
	CMPL R10, $(const_blockSize<<8)
	JAE over
	SKIP
	CMPL R10, $(const_blockSize<<8)
	JB skip

over:
	MOVBLZX R10, BX
	SUBQ BX, R9
	SHRL $8, R10
	LEAL -const_advanceEOB(R10), CX
	CMPL CX, $const_blockSize
	JB end
	CMPL R10, $const_blockSize
	JNE slowSkip

end:
	ADDQ $blockPlan__size, DX
	MOVQ blockKernel_block(R15), BX
	INCQ BX
	MOVQ BX, blockKernel_block(R15)
	CMPQ BX, blockKernel_planned(R15)
	JLT block
	INCQ blockKernel_m(R15)
	JMP mcu

done:
	MOVL $const_exitDone, AX
	JMP exit

more:
	MOVL $const_exitMore, AX
	JMP exit

unsafe:
	MOVL $const_exitUnsafe, AX
	JMP exit

slowDC:
	MOVL $const_exitDC, AX
	JMP exit

slowSkip:
	MOVL AX, blockKernel_e(R15)
	MOVL R10, blockKernel_s(R15)
	MOVL $const_exitSkip, AX

exit:
	SAVE
	MOVQ AX, exit+8(FP)
	RET
