// Package dct holds the discrete cosine transforms of JPEG: inverse ones of
// 8x8, 4x4 and 2x2 samples, and the forward one with quantisation.
//
// Each transform exists twice: a scalar Go function, and an assembly kernel for
// amd64 with AVX2, chosen when the program starts, and for arm64 with NEON,
// which every arm64 has. The two agree bit for bit, overflow included, so a
// picture does not depend on the machine.
//
// Vocabulary: a group is the few blocks that one kernel call transforms side
// by side, their coefficients interleaved row by row. Kernels get checked
// lengths: every exported function panics on slices too short before it
// touches memory.
package dct
