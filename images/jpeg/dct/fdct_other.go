//go:build !amd64 && !arm64

package dct

// useForwardAVX2 is a variable because tests set it.
var useForwardAVX2 = false

func forwardPairsAVX2(coef *int16, mask *uint64, second, pair int, src *byte, stride, pairs int, q *Quantizer) {
	panic("dct: no vector kernel on this architecture")
}
