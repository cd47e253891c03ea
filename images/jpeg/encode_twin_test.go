//go:build amd64

package jpeg

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/kamado/kamado/images/plane"
)

// TestEncodeTwinsAgree encodes with the kernels of the entropy coder and
// without. Not parallel: it sets a variable of the package.
func TestEncodeTwinsAgree(t *testing.T) {
	if !useEncodeKernels {
		t.Skip("needs a processor with BMI1 and BMI2")
	}
	defer func() { useEncodeKernels = true }()
	r := rand.New(rand.NewPCG(1, 2))
	var e Encoder
	for range 400 {
		var p plane.Picture
		m := plane.YCbCr
		if r.IntN(4) == 0 {
			m = plane.Gray
		}
		p.Reset(m, false, 1+r.IntN(90), 1+r.IntN(90), 1+r.IntN(2), 1+r.IntN(2))
		amplitude := 1 + r.UintN(255)
		for i := range p.N() {
			for k := range p.Planes[i].Pix {
				p.Planes[i].Pix[k] = byte(r.UintN(amplitude))
				if k%97 < 60 && amplitude < 128 {
					p.Planes[i].Pix[k] = byte(amplitude)
				}
			}
		}
		opt := EncodeOptions{Quality: 1 + r.IntN(100), FixedHuffman: r.IntN(2) == 0, Thrifty: r.IntN(2) == 0, RestartInterval: max(0, r.IntN(9)-4)}
		useEncodeKernels = true
		fast, err := e.Encode(nil, &p, opt)
		if err != nil {
			t.Fatal(err)
		}
		useEncodeKernels = false
		plain, err := e.Encode(nil, &p, opt)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(fast, plain) {
			t.Fatalf("%+v of %v %dx%d: kernels and twins differ", opt, m, p.Width, p.Height)
		}
	}
}
