package dct

// forwardPairsKernel does what forwardPairs does, two blocks at a time. It
// trusts its arguments: Forward has checked them.
//
//go:noescape
func forwardPairsKernel(coef *int16, mask *uint64, second, pair int, src *byte, stride, pairs int, q *Quantizer)
