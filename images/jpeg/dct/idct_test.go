package dct

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

type inverse struct {
	name         string
	group, width int
	rows         int
	scalar       func(dst []byte, stride int, group []int16)
	exported     func(dst []byte, stride int, group []int16)
}

var inverses = []inverse{
	{"8", Group8, Width8, 8, func(d []byte, s int, g []int16) { inverse8Scalar(d, s, (*[Group8]int16)(g)) }, Inverse8},
	{"4", Group4, Width4, 4, func(d []byte, s int, g []int16) { inverse4Scalar(d, s, (*[Group4]int16)(g)) }, Inverse4},
	{"2", Group2, Width2, 2, func(d []byte, s int, g []int16) { inverse2Scalar(d, s, (*[Group2]int16)(g)) }, Inverse2},
}

// coefficients of growing size and density, to values that overflow.
func randomGroup(r *rand.Rand, n int) []int16 {
	g := make([]int16, n)
	span := 1 << r.IntN(17)
	density := r.IntN(100) + 1
	for i := range g {
		if r.IntN(100) < density {
			g[i] = int16(r.IntN(span) - span/2)
		}
	}
	if r.IntN(8) == 0 {
		for i := range g {
			g[i] = []int16{math.MinInt16, math.MaxInt16}[r.IntN(2)]
		}
	}
	return g
}

func TestInverseTwinsAgree(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for _, v := range inverses {
		t.Run(v.name, func(t *testing.T) {
			for range 20000 {
				n := 1 + r.IntN(3)
				stride := n*v.width + r.IntN(40)
				var a []int16
				for range n {
					a = append(a, randomGroup(r, v.group)...)
				}
				b := slices.Clone(a)
				input := slices.Clone(a)
				da := make([]byte, (v.rows-1)*stride+n*v.width)
				db := slices.Clone(da)
				for i := range n {
					v.scalar(da[i*v.width:], stride, a[i*v.group:])
				}
				v.exported(db, stride, b)
				if !slices.Equal(da, db) {
					t.Fatalf("kernel differs from scalar for %v:\n%v\n%v", input, db, da)
				}
				if slices.ContainsFunc(b, func(c int16) bool { return c != 0 }) {
					t.Fatal("group is not cleared")
				}
			}
		})
	}
}

// cosine is one value of the orthonormal n-point DCT basis.
func cosine(n, u, i int) float64 {
	s := math.Sqrt(2 / float64(n))
	if u == 0 {
		s = math.Sqrt(1 / float64(n))
	}
	return s * math.Cos(float64(2*i+1)*float64(u)*math.Pi/float64(2*n))
}

func TestInverseIsTheDCT(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for n, v := range map[int]inverse{8: inverses[0], 4: inverses[1], 2: inverses[2]} {
		t.Run(v.name, func(t *testing.T) {
			at := func(b, row, col int) int {
				if n == 2 {
					return (row*2+col)*16 + b
				}
				return row*16 + b*n + col
			}
			for range 300 {
				g := make([]int16, v.group)
				for i := range g {
					g[i] = int16(r.NormFloat64() * 60)
				}
				in := slices.Clone(g)
				dst := make([]byte, v.rows*v.width)
				v.exported(dst, v.width, g)
				for b := range v.width / n {
					for y := range n {
						for x := range n {
							sum := 0.0
							for row := range n {
								for col := range n {
									sum += float64(in[at(b, row, col)]) * cosine(n, row, y) * cosine(n, col, x)
								}
							}
							want := min(max(sum*float64(n)/8+128, 0), 255)
							if got := float64(dst[y*v.width+b*n+x]); math.Abs(got-want) > 1 {
								t.Fatalf("block %d sample (%d,%d) = %v, want %v", b, x, y, got, want)
							}
						}
					}
				}
			}
		})
	}
}

func TestInverseChecksLengths(t *testing.T) {
	for _, v := range inverses {
		for name, call := range map[string]func(){
			"short group":     func() { v.exported(make([]byte, 512), v.width, make([]int16, v.group-1)) },
			"part of a group": func() { v.exported(make([]byte, 1024), 2*v.width, make([]int16, 2*v.group-1)) },
			"short dst":       func() { v.exported(make([]byte, v.rows*v.width-1), v.width, make([]int16, v.group)) },
			"large stride":    func() { v.exported(make([]byte, v.rows*v.width), v.width+1, make([]int16, v.group)) },
		} {
			t.Run(v.name+" "+name, func(t *testing.T) {
				defer func() {
					if recover() == nil {
						t.Error("no panic")
					}
				}()
				call()
			})
		}
	}
}

func BenchmarkInverse(b *testing.B) {
	for _, v := range inverses {
		dst := make([]byte, v.rows*v.width)
		g := make([]int16, v.group)
		b.Run(v.name+"/kernel", func(b *testing.B) {
			for b.Loop() {
				v.exported(dst, v.width, g)
			}
		})
		b.Run(v.name+"/scalar", func(b *testing.B) {
			for b.Loop() {
				v.scalar(dst, v.width, g)
			}
		})
	}
}
