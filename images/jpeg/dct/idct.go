package dct

// Sizes of the coefficient groups that the inverse transforms take, in int16
// values, and how a group is laid out. Coefficients are dequantised.
const (
	// Group8 is two 8x8 blocks side by side: row*16 + block*8 + column.
	Group8 = 2 * 64
	// Group4 is the 4x4 corners of four blocks: row*16 + block*4 + column.
	Group4 = 4 * 16
	// Group2 is the 2x2 corners of sixteen blocks, one coefficient after the
	// other: (row*2 + column)*16 + block.
	Group2 = 16 * 4
)

// Width of the samples that one group becomes, in bytes.
const (
	Width8 = 16
	Width4 = 16
	Width2 = 32
)

// Fixed-point constants of the inverse transforms, beside those that they
// share with the forward one.
const (
	inverseBits     = 13 // fraction bits of the constants
	inversePassBits = 2  // extra bits kept between the two passes

	// fix1306562965 is cos(pi/8) times the square root of 2, of the 4-point transform.
	fix1306562965 = 10703
)

// Shifts after the first and the second pass.
const (
	shift1 = inverseBits - inversePassBits
	shift2 = inverseBits + inversePassBits + 3
)

// Inverse8 transforms the two 8x8 blocks of each of some groups, one after the
// other in memory, to 8 rows of Width8 samples a group, side by side at dst, and
// clears the groups.
func Inverse8(dst []byte, stride int, groups []int16) {
	n := count(groups, Group8)
	checkRows(dst, stride, 8, n*Width8)
	if haveKernels {
		inverse8Kernel(&dst[0], stride, &groups[0], n)
		return
	}
	for i := range n {
		inverse8Scalar(dst[i*Width8:], stride, (*[Group8]int16)(groups[i*Group8:]))
	}
}

// Inverse4 transforms the four 4x4 corners of each of some groups, one after the
// other in memory, to 4 rows of Width4 samples a group, side by side at dst, and
// clears the groups.
func Inverse4(dst []byte, stride int, groups []int16) {
	n := count(groups, Group4)
	checkRows(dst, stride, 4, n*Width4)
	if haveKernels {
		inverse4Kernel(&dst[0], stride, &groups[0], n)
		return
	}
	for i := range n {
		inverse4Scalar(dst[i*Width4:], stride, (*[Group4]int16)(groups[i*Group4:]))
	}
}

// Inverse2 transforms the sixteen 2x2 corners of each of some groups, one after the
// other in memory, to 2 rows of Width2 samples a group, side by side at dst, and
// clears the groups.
func Inverse2(dst []byte, stride int, groups []int16) {
	n := count(groups, Group2)
	checkRows(dst, stride, 2, n*Width2)
	if haveKernels {
		inverse2Kernel(&dst[0], stride, &groups[0], n)
		return
	}
	for i := range n {
		inverse2Scalar(dst[i*Width2:], stride, (*[Group2]int16)(groups[i*Group2:]))
	}
}

// count is how many groups of a size there are; it panics unless they are
// whole and at least one.
func count(groups []int16, size int) int {
	if len(groups) < size || len(groups)%size != 0 {
		panic("dct: no whole groups")
	}
	return len(groups) / size
}

// checkRows panics unless dst holds rows of width bytes, stride apart.
func checkRows(dst []byte, stride, rows, width int) {
	if stride < width || len(dst) < (rows-1)*stride+width {
		panic("dct: destination is too small for its stride")
	}
}

func inverse8Scalar(dst []byte, stride int, g *[Group8]int16) {
	var in, out [8]int16
	for b := range 2 {
		var work [64]int16
		for x := range 8 {
			for y := range 8 {
				in[y] = g[y*16+b*8+x]
			}
			idct8(&out, &in, shift1)
			for y := range 8 {
				work[y*8+x] = out[y]
			}
		}
		for y := range 8 {
			idct8(&out, (*[8]int16)(work[y*8:]), shift2)
			row := dst[y*stride+b*8:][:8]
			for x := range row {
				row[x] = sample(out[x])
			}
		}
	}
	clear(g[:])
}

// idct8 is one 8-point pass. The two sums of odd inputs wrap at 16 bits, all
// else at 32, and the shifted result saturates at 16: what vector units do.
func idct8(out, in *[8]int16, shift uint) {
	round := int32(1) << (shift - 1)
	z2, z3 := int32(in[2]), int32(in[6])
	t2 := z2*fix0541196100 + z3*(fix0541196100-fix1847759065)
	t3 := z2*(fix0541196100+fix0765366865) + z3*fix0541196100
	t0 := (int32(in[0]) + int32(in[4])) << inverseBits
	t1 := (int32(in[0]) - int32(in[4])) << inverseBits
	e0, e1, e2, e3 := t0+t3+round, t1+t2+round, t1-t2+round, t0-t3+round

	i1, i3, i5, i7 := int32(in[1]), int32(in[3]), int32(in[5]), int32(in[7])
	s3, s4 := int32(in[7]+in[3]), int32(in[5]+in[1])
	z3 = s3*(fix1175875602-fix1961570560) + s4*fix1175875602
	z4 := s3*fix1175875602 + s4*(fix1175875602-fix0390180644)
	o0 := i7*(fix0298631336-fix0899976223) - i1*fix0899976223 + z3
	o1 := i5*(fix2053119869-fix2562915447) - i3*fix2562915447 + z4
	o2 := i3*(fix3072711026-fix2562915447) - i5*fix2562915447 + z3
	o3 := i1*(fix1501321110-fix0899976223) - i7*fix0899976223 + z4

	out[0], out[7] = saturate((e0+o3)>>shift), saturate((e0-o3)>>shift)
	out[1], out[6] = saturate((e1+o2)>>shift), saturate((e1-o2)>>shift)
	out[2], out[5] = saturate((e2+o1)>>shift), saturate((e2-o1)>>shift)
	out[3], out[4] = saturate((e3+o0)>>shift), saturate((e3-o0)>>shift)
}

func inverse4Scalar(dst []byte, stride int, g *[Group4]int16) {
	for b := range 4 {
		var work [16]int16
		for x := range 4 {
			at := b*4 + x
			a0, a1, a2, a3 := idct4(g[at], g[16+at], g[32+at], g[48+at], shift1)
			work[x], work[4+x], work[8+x], work[12+x] = a0, a1, a2, a3
		}
		for y := range 4 {
			w := work[y*4:][:4]
			a0, a1, a2, a3 := idct4(w[0], w[1], w[2], w[3], shift2)
			row := dst[y*stride+b*4:][:4]
			row[0], row[1], row[2], row[3] = sample(a0), sample(a1), sample(a2), sample(a3)
		}
	}
	clear(g[:])
}

// idct4 is one 4-point pass, scaled so that a 4x4 corner keeps the mean of its 8x8 block.
func idct4(c0, c1, c2, c3 int16, shift uint) (a0, a1, a2, a3 int16) {
	round := int32(1) << (shift - 1)
	e0 := (int32(c0)+int32(c2))<<inverseBits + round
	e1 := (int32(c0)-int32(c2))<<inverseBits + round
	o0 := int32(c1)*fix1306562965 + int32(c3)*fix0541196100
	o1 := int32(c1)*fix0541196100 - int32(c3)*fix1306562965
	return saturate((e0 + o0) >> shift), saturate((e1 + o1) >> shift),
		saturate((e1 - o1) >> shift), saturate((e0 - o0) >> shift)
}

func inverse2Scalar(dst []byte, stride int, g *[Group2]int16) {
	top, bottom := dst[:Width2], dst[stride:][:Width2]
	for b := range 16 {
		c00, c01, c10, c11 := g[b], g[16+b], g[32+b], g[48+b]
		// Sums wrap at 16 bits: in range for every valid block.
		s, d := c00+c01+4, c00-c01+4
		t, u := c10+c11, c10-c11
		top[2*b], top[2*b+1] = sample((s+t)>>3), sample((d+u)>>3)
		bottom[2*b], bottom[2*b+1] = sample((s-t)>>3), sample((d-u)>>3)
	}
	clear(g[:])
}

// saturate clamps to 16 bits.
func saturate(v int32) int16 {
	return int16(min(max(v, -1<<15), 1<<15-1))
}

// sample clamps to a signed byte and shifts the level to unsigned (T.81 A.3.1).
func sample(v int16) uint8 {
	return uint8(min(max(v, -128), 127) + 128)
}
