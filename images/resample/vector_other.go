//go:build !amd64 && !arm64

package resample

// useAVX2 is a variable because tests set it.
var useAVX2 = false

const noKernel = "resample: no vector kernels on this architecture"

func zipAVX2(to *int16, a, b *byte, blocks int) { panic(noKernel) }

func downAVX2(to, ring *int16, held *int, weights *int16, pairs, blocks int) { panic(noKernel) }

func turnAVX2(to, rows *int16, stride, blocks int) { panic(noKernel) }

func acrossAVX2(to *byte, stride int, columns *int16, start *int32, lo int, weights *int16, pairs, groups int) {
	panic(noKernel)
}
