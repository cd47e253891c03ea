// Package jpeg decodes and encodes JPEG pictures as planes of luma and
// chroma, never as RGB, for programs that make smaller pictures out of large
// ones.
//
// Vocabulary: a file is a frame header (SOF) and one or more scans of entropy
// coded data; a scan is a sequence of MCUs; an MCU holds some 8x8 blocks of
// each of its components; a block is 64 quantised DCT coefficients. Scale N/8
// decodes every block to NxN samples instead of 8x8, and the decoder steps
// over the coefficients that this throws away without looking at their
// values, which is why small scales are cheap.
//
// At scale 8/8 the samples equal those of libjpeg-turbo's accurate integer
// DCT bit for bit, and at 1/8 too. At 2/8 and 4/8 they are the NxN corner of the
// DCT, transformed by an N-point IDCT: sharper and freer of aliasing than
// libjpeg's reduced transforms, which mix in coefficients beyond the corner.
//
// A [Decoder] and an [Encoder] own their scratch memory and their caches of
// tables. Reuse them: in steady state neither allocates. Neither may be used by two
// goroutines at once.
//
// Damaged data is treated as libjpeg-turbo treats it. An error before the
// first scan refuses the picture; after that, what is missing is grey, and
// [Result] says so. One thing is left out: libjpeg can smooth the blocks of a
// progressive picture whose later scans are missing, this package does not.
//
// Invariant: nothing the input says makes the package allocate more than
// [DecodeOptions] allows, read outside the input, or run without polling
// Interrupt.
package jpeg
