package dct

// forwardPairsKernel does what forwardPairs does, two blocks at a time. It
// trusts its arguments: Forward has checked them.
//
//go:noescape
func forwardPairsKernel(coef *int16, mask *uint64, second, pair int, src *byte, stride, pairs int, q *Quantizer)

// forwardConst holds the operands of the kernel's multiply-add instructions
// and its rounding terms. A row serves 16 words or 8 double words.
//
//lint:ignore U1000 the assembly reads it
var forwardConst = makeForwardConst()

//lint:ignore U1000 makes what the assembly reads
func makeForwardConst() (c [14][16]int16) {
	// Pairs of factors: the even ones for (t13, t12), the odd ones for
	// (t4, t5) and then (t6, t7), from the sums in butterfly multiplied out.
	pairs := [10][2]int16{
		{fix0541196100 + fix0765366865, fix0541196100}, // 2
		{fix0541196100, fix0541196100 - fix1847759065}, // 6

		{fix1175875602 - fix0899976223, fix1175875602 - fix0390180644}, // 1
		{fix1175875602, fix1175875602 + fix1501321110 - fix0899976223 - fix0390180644},

		{fix1175875602 - fix1961570560, fix1175875602 - fix2562915447}, // 3
		{fix1175875602 + fix3072711026 - fix2562915447 - fix1961570560, fix1175875602},

		{fix1175875602, fix1175875602 + fix2053119869 - fix2562915447 - fix0390180644}, // 5
		{fix1175875602 - fix2562915447, fix1175875602 - fix0390180644},

		{fix1175875602 + fix0298631336 - fix0899976223 - fix1961570560, fix1175875602}, // 7
		{fix1175875602 - fix1961570560, fix1175875602 - fix0899976223},
	}
	for i, p := range pairs {
		for k := range 16 {
			c[i][k] = p[k%2]
		}
	}
	for k := range 16 {
		if k%2 == 0 { // low halves of double words
			c[10][k] = 1 << (forwardBits - forwardPassBits - 1)
			c[11][k] = 1 << (forwardBits + forwardPassBits - 1)
		}
		c[12][k] = 1024                       // the level shift
		c[13][k] = 1 << (forwardPassBits - 1) // rounding of 0 and 4
	}
	return c
}

// forwardShuffle has the byte shuffles that bring a block, packed to bytes
// in four registers of two rows each, to zigzag order: for each 16 places
// of the result, one shuffle per register it draws from. Both halves of a row
// are equal, because two blocks are shuffled at once.
// The registers drawn from are 0-2, 0-3, 0-3 and 1-3.
//
//lint:ignore U1000 the assembly reads it
var forwardShuffle = makeForwardShuffle()

//lint:ignore U1000 makes what the assembly reads
func makeForwardShuffle() (s [14][32]uint8) {
	from := [14][2]int{
		{0, 0}, {0, 1}, {0, 2},
		{1, 0}, {1, 1}, {1, 2}, {1, 3},
		{2, 0}, {2, 1}, {2, 2}, {2, 3},
		{3, 1}, {3, 2}, {3, 3},
	}
	const nothing = 0x80 // such a shuffle index gives zero
	for i, f := range from {
		for k := range 16 {
			n := zigzagNatural[16*f[0]+k]
			v := uint8(nothing)
			if int(n/16) == f[1] {
				v = n % 16
			}
			s[i][k], s[i][16+k] = v, v
		}
	}
	return s
}
