package jpeg

import "golang.org/x/sys/cpu"

// useEncodeKernels says whether the entropy coder's kernels may run on this
// processor. Tests set it to compare the twins.
var useEncodeKernels = cpu.X86.HasBMI1 && cpu.X86.HasBMI2

// addBlocks does what the loop of addMCUs does, and returns how many tokens
// it wrote. slots is n pairs of a component's number, times 4, and the table bits of its
// tokens.
//
//go:noescape
func addBlocks(list *token, coef *int16, mask *uint64, blocks int, slots *[mcuBlocksMax][2]uint32, n int, counts *[tokenSymbols]uint32, values *[2 * valueSpan]token, order *[blockSize + 16]uint8, lastDC *[4]int32) int

// packPairs does what the loop of pack does for pairs of tokens, and returns
// the bits pending and how many bytes it wrote.
//
//go:noescape
func packPairs(raw *byte, list *token, pairs int, codes *[tokenSymbols]uint32, pending uint64, n uint) (bits uint64, left uint, bytes int)
