//go:build !amd64 && !arm64

package dct

// haveKernels: no vector kernels for this architecture.
const haveKernels = false

func inverse8Kernel(*byte, int, *int16, int) {}
func inverse4Kernel(*byte, int, *int16, int) {}
func inverse2Kernel(*byte, int, *int16, int) {}
