package dct

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// testTable is a table with small, odd, even and power-of-two divisors.
func testTable(r *rand.Rand) *[BlockSize]uint16 {
	var t [BlockSize]uint16
	for i := range t {
		t[i] = uint16(1 + r.IntN(255))
		if i%7 == 0 {
			t[i] = uint16(1 + r.IntN(4))
		}
	}
	return &t
}

// fill makes rows of samples of one of several characters.
func fill(r *rand.Rand, src []byte) {
	switch r.IntN(4) {
	case 0: // noise
		for i := range src {
			src[i] = byte(r.UintN(256))
		}
	case 1: // extremes
		for i := range src {
			src[i] = byte(255 * r.UintN(2))
		}
	case 2: // nearly flat
		base := r.UintN(250)
		for i := range src {
			src[i] = byte(base + r.UintN(3))
		}
	default: // one value
		v := byte(255 * r.UintN(2))
		for i := range src {
			src[i] = v
		}
	}
}

func TestForwardTwinsAgree(t *testing.T) {
	if !haveKernels {
		t.Skip("needs vector kernels")
	}
	r := rand.New(rand.NewPCG(1, 2))
	for range 3000 {
		pairs := 1 + r.IntN(5)
		stride := 16*pairs + r.IntN(40)
		src := make([]byte, 7*stride+16*pairs)
		fill(r, src)
		at := []Layout{{1, 2}, {1, 6}, {3, 6}, {6, 12}}[r.IntN(4)]
		blocks := (pairs-1)*at.Pair + at.Second + 1
		var q Quantizer
		q.Set(testTable(r), r.IntN(2) == 0)
		wantCoef, gotCoef := make([]int16, blocks*64), make([]int16, blocks*64)
		wantMask, gotMask := make([]uint64, blocks), make([]uint64, blocks)
		forwardPairs(wantCoef, wantMask, at, src, stride, pairs, &q)
		Forward(gotCoef, gotMask, at, src, stride, pairs, &q)
		if !slices.Equal(wantCoef, gotCoef) || !slices.Equal(wantMask, gotMask) {
			t.Fatalf("pairs %d stride %d layout %v: kernel and twin differ", pairs, stride, at)
		}
	}
}

func TestQuantizerDividesExactly(t *testing.T) {
	for _, thrifty := range []bool{false, true} {
		for first := 1; first < 256; first += 64 {
			dividesExactly(t, first, thrifty)
		}
	}
}

// dividesExactly compares with a division, for divisors from first on.
func dividesExactly(t *testing.T, first int, thrifty bool) {
	t.Helper()
	var table [BlockSize]uint16
	for i := range table {
		table[i] = uint16(min(first+i, 255))
	}
	var q Quantizer
	q.Set(&table, thrifty)
	var work [BlockSize]int32
	var block [BlockSize]int16
	for v := int32(-16384); v <= 16384; v += 3 {
		for i := range work {
			work[i] = v
		}
		quantize(&block, &work, &q)
		for i, got := range block {
			divisor := int32(table[i]) * 8
			half := divisor / 2
			if thrifty {
				half -= divisor * int32(i/8+i%8) / 175
			}
			want := (max(v, -v) + half) / divisor
			if v < 0 {
				want = -want
			}
			if int32(got) != want {
				t.Fatalf("%d / %d = %d, want %d (thrifty %v)", v, divisor, got, want, thrifty)
			}
		}
	}
}

// TestForwardIsTheDCT compares with the formula of T.81 A.3.3.
func TestForwardIsTheDCT(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 50 {
		src := make([]byte, 64)
		fill(r, src)
		var work [BlockSize]int32
		forwardBlock(&work, src, 8)
		for v := range 8 {
			for u := range 8 {
				sum := 0.0
				for y := range 8 {
					for x := range 8 {
						sum += (float64(src[8*y+x]) - 128) *
							math.Cos(float64(2*x+1)*float64(u)*math.Pi/16) *
							math.Cos(float64(2*y+1)*float64(v)*math.Pi/16)
					}
				}
				if u == 0 {
					sum *= math.Sqrt2 / 2
				}
				if v == 0 {
					sum *= math.Sqrt2 / 2
				}
				if want := 2 * sum; math.Abs(want-float64(work[8*v+u])) > 4 {
					t.Fatalf("coefficient %d,%d = %d, want %.2f", u, v, work[8*v+u], want)
				}
			}
		}
	}
}

func BenchmarkForward(b *testing.B) {
	const pairs = 30
	src := make([]byte, 8*16*pairs)
	fill(rand.New(rand.NewPCG(5, 6)), src)
	coef := make([]int16, 64*2*pairs)
	mask := make([]uint64, 2*pairs)
	var q Quantizer
	q.Set(testTable(rand.New(rand.NewPCG(7, 8))), true)
	b.ReportAllocs()
	for b.Loop() {
		Forward(coef, mask, Layout{1, 2}, src, 16*pairs, pairs, &q)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/(2*pairs), "ns/block")
}
