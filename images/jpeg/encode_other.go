//go:build !amd64

package jpeg

// useEncodeKernels is a variable because tests set it.
var useEncodeKernels = false

const noEncodeKernel = "jpeg: no kernels on this architecture"

func addBlocks(list *token, coef *int16, mask *uint64, blocks int, slots *[mcuBlocksMax][2]uint32, n int, counts *[tokenSymbols]uint32, values *[2 * valueSpan]token, order *[blockSize + 16]uint8, lastDC *[4]int32) int {
	panic(noEncodeKernel)
}

func packPairs(raw *byte, list *token, pairs int, codes *[tokenSymbols]uint32, pending uint64, n uint) (bits uint64, left uint, bytes int) {
	panic(noEncodeKernel)
}
