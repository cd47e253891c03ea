package resample

import "golang.org/x/sys/cpu"

// haveKernels says whether the vector kernels may run on this processor. Tests
// set it to compare the twins.
var haveKernels = cpu.X86.HasAVX2

// The kernels trust their arguments: their callers in vector.go check them.
// Lengths: blocks of 16 samples, groups of 8.

//go:noescape
func zipKernel(to *int16, a, b *byte, blocks int)

//go:noescape
func downKernel(to, ring *int16, held *int, weights *int16, pairs, blocks int)

//go:noescape
func turnKernel(to, rows *int16, stride, blocks int)

//go:noescape
func acrossKernel(to *byte, stride int, columns *int16, start *int32, lo int, weights *int16, pairs, groups int)
