//go:build !amd64 && !arm64

package resample

// haveKernels is a variable because tests set it.
var haveKernels = false

const noKernel = "resample: no vector kernels on this architecture"

func zipKernel(to *int16, a, b *byte, blocks int) { panic(noKernel) }

func downKernel(to, ring *int16, held *int, weights *int16, pairs, blocks int) { panic(noKernel) }

func turnKernel(to, rows *int16, stride, blocks int) { panic(noKernel) }

func acrossKernel(to *byte, stride int, columns *int16, start *int32, lo int, weights *int16, pairs, groups int) {
	panic(noKernel)
}
