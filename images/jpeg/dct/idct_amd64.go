package dct

import "golang.org/x/sys/cpu"

// haveKernels says whether the vector kernels may run on this processor.
// Tests set it to compare the twins.
var haveKernels = cpu.X86.HasAVX2

// The kernels trust their arguments: the exported functions have checked them.
// groups is at least 1.

//go:noescape
func inverse8Kernel(dst *byte, stride int, group *int16, groups int)

//go:noescape
func inverse4Kernel(dst *byte, stride int, group *int16, groups int)

//go:noescape
func inverse2Kernel(dst *byte, stride int, group *int16, groups int)
