//go:build !amd64

package dct

// haveKernels: no vector kernels for this architecture.
const haveKernels = false

func inverse8Kernel(*byte, int, *[Group8]int16) {}
func inverse4Kernel(*byte, int, *[Group4]int16) {}
func inverse2Kernel(*byte, int, *[Group2]int16) {}
