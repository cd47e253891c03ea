package dct

// haveKernels says whether the vector kernels may run on this processor: every
// arm64 has NEON. Tests set it to compare the twins.
var haveKernels = true

// The kernels trust their arguments: the exported functions have checked them.
// groups is at least 1.

//go:noescape
func inverse8Kernel(dst *byte, stride int, group *int16, groups int)

//go:noescape
func inverse4Kernel(dst *byte, stride int, group *int16, groups int)

//go:noescape
func inverse2Kernel(dst *byte, stride int, group *int16, groups int)
