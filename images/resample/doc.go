// Package resample changes the size of planes and pictures with separable
// filters, in fixed point, so that a result does not depend on the machine.
//
// Vocabulary: a window is the part of a plane that becomes the whole result,
// in samples of that plane and as real numbers, because the chroma of a picture of
// 375 rows has 187.5; a filter is, for each sample of the result along one
// axis, which source samples it takes and with what weights; taps are those
// samples. Shrinking widens the kernel by the ratio, so nothing aliases that the kernel
// lets pass.
//
// How: source rows are combined to one row of the result's height, in 16 bits
// with 6 fraction bits; eight such rows at a time are turned, so that one
// register holds the same column of eight rows, and combined along the other
// axis. Only the few source rows that one row of the result needs are held,
// never an intermediate picture. The kernels exist in assembly for AVX2 and
// NEON, and as scalar twins that agree with them bit for bit.
//
// Invariants: weights of one output sample sum to exactly 1, so that a flat
// plane stays flat; no sample outside the window is looked at; filters are
// kept in a cache bounded by its bytes.
package resample
