package dct

import (
	"encoding/binary"
	"slices"
	"testing"
)

// FuzzInverseTwins looks for coefficients that the kernels and their twins
// transform differently. A group is filled from the data over and over.
func FuzzInverseTwins(f *testing.F) {
	if !haveKernels {
		f.Skip("needs vector kernels")
	}
	f.Add([]byte{1, 2}, uint8(0), uint8(0))
	f.Add([]byte{0xff, 0x7f, 0, 0x80}, uint8(1), uint8(3))
	f.Add([]byte{0, 0x80, 0xff, 0x7f, 0xff, 0x7f}, uint8(2), uint8(17))
	f.Fuzz(func(t *testing.T, data []byte, which, slack uint8) {
		if len(data) < 2 {
			return
		}
		v := inverses[int(which)%len(inverses)]
		n := 1 + len(data)/2/v.group%4
		group := make([]int16, n*v.group)
		for i := range group {
			at := 2 * i % (len(data) &^ 1)
			group[i] = int16(binary.LittleEndian.Uint16(data[at:]))
		}
		stride := n*v.width + int(slack)
		want := make([]byte, (v.rows-1)*stride+n*v.width)
		got, twin := slices.Clone(want), slices.Clone(group)
		for i := range n {
			v.scalar(want[i*v.width:], stride, twin[i*v.group:])
		}
		v.exported(got, stride, group)
		if !slices.Equal(got, want) || !slices.Equal(group, twin) {
			t.Fatalf("%s, %d groups: kernel %v, twin %v", v.name, n, got, want)
		}
	})
}

// FuzzForwardTwins looks for samples and tables that the kernel and its twin
// transform and quantise differently.
func FuzzForwardTwins(f *testing.F) {
	if !haveKernels {
		f.Skip("needs vector kernels")
	}
	f.Add([]byte{0, 255}, []byte{1}, uint8(0))
	f.Add([]byte{255, 255, 255, 255, 0, 0, 0, 0}, []byte{1, 255, 16}, uint8(3))
	f.Add([]byte("some samples of no meaning"), []byte{3, 4, 5}, uint8(130))
	f.Fuzz(func(t *testing.T, samples, divisors []byte, mode uint8) {
		if len(samples) == 0 || len(divisors) == 0 {
			return
		}
		pairs := 1 + int(mode&3)
		stride := 16*pairs + int(mode>>4)
		at := []Layout{{1, 2}, {1, 6}, {3, 6}, {6, 12}}[mode>>2&3]
		src := make([]byte, 7*stride+16*pairs)
		for i := range src {
			src[i] = samples[i%len(samples)]
		}
		var table [BlockSize]uint16
		for i := range table {
			table[i] = uint16(max(divisors[i%len(divisors)], 1))
		}
		var q Quantizer
		q.Set(&table, table[0]&1 == 1)
		blocks := (pairs-1)*at.Pair + at.Second + 1
		wantCoef, gotCoef := make([]int16, blocks*64), make([]int16, blocks*64)
		wantMask, gotMask := make([]uint64, blocks), make([]uint64, blocks)
		forwardPairs(wantCoef, wantMask, at, src, stride, pairs, &q)
		Forward(gotCoef, gotMask, at, src, stride, pairs, &q)
		if !slices.Equal(wantCoef, gotCoef) || !slices.Equal(wantMask, gotMask) {
			t.Fatalf("kernel %v %x, twin %v %x", gotCoef, gotMask, wantCoef, wantMask)
		}
	})
}
