package dct

// useForwardAVX2 says whether the vector kernel may run on this processor:
// every arm64 has NEON. Tests set it to compare the twins.
var useForwardAVX2 = true

// forwardPairsAVX2 does what forwardPairs does, two blocks at a time. It
// trusts its arguments: Forward has checked them.
//
//go:noescape
func forwardPairsAVX2(coef *int16, mask *uint64, second, pair int, src *byte, stride, pairs int, q *Quantizer)
