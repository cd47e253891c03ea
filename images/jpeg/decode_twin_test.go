//go:build amd64

package jpeg

import (
	"image"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/kamado/kamado/images/plane"
)

// randomFile encodes a small picture of some kind.
func randomFile(t *testing.T, r *rand.Rand, e *Encoder) []byte {
	t.Helper()
	var p plane.Picture
	m := plane.YCbCr
	if r.IntN(5) == 0 {
		m = plane.Gray
	}
	p.Reset(m, false, 1+r.IntN(120), 1+r.IntN(120), 1+r.IntN(2), 1+r.IntN(2))
	amplitude := 1 + r.UintN(255)
	for i := range p.N() {
		for k := range p.Planes[i].Pix {
			p.Planes[i].Pix[k] = byte(r.UintN(amplitude))
			if k%97 < 60 && amplitude < 128 {
				p.Planes[i].Pix[k] = byte(amplitude)
			}
		}
	}
	data, err := e.Encode(nil, &p, EncodeOptions{
		Quality: 1 + r.IntN(100), FixedHuffman: r.IntN(2) == 0, RestartInterval: max(0, r.IntN(9)-4), Progressive: r.IntN(3) == 0,
	})
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// TestDecodeTwinsAgree decodes sound and damaged files with the kernels of the
// entropy decoder and without. Not parallel: it sets a variable of the package.
func TestDecodeTwinsAgree(t *testing.T) {
	if !useDecodeKernels {
		t.Skip("needs a processor with BMI2")
	}
	defer func() { useDecodeKernels = true }()
	r := rand.New(rand.NewPCG(5, 6))
	var e Encoder
	var d Decoder
	for i := range 1500 {
		data := randomFile(t, r, &e)
		for range r.IntN(4) {
			data[150+r.IntN(len(data)-150)] ^= 1 << r.IntN(8)
		}
		opt := DecodeOptions{Scale: 1 << r.IntN(4), Orient: 1 + r.IntN(8), MaxPixels: 1 << 20, MaxScans: 50}
		if r.IntN(3) == 0 {
			x, y := r.IntN(100), r.IntN(100)
			opt.Region = image.Rect(x, y, x+1+r.IntN(50), y+1+r.IntN(50))
		}
		var got, want plane.Picture
		useDecodeKernels = true
		res, err := d.Decode(&got, data, opt)
		useDecodeKernels = false
		wantRes, wantErr := d.Decode(&want, data, opt)
		if res != wantRes || (err == nil) != (wantErr == nil) {
			t.Fatalf("file %d %+v: %+v, %v; the twin %+v, %v", i, opt, res, err, wantRes, wantErr)
		}
		if err != nil {
			continue
		}
		for k := range got.N() {
			a, b := &got.Planes[k], &want.Planes[k]
			for y := range a.Height {
				if !slices.Equal(a.Row(y), b.Row(y)) {
					t.Fatalf("file %d %+v: row %d of plane %d differs from the twin's", i, opt, y, k)
				}
			}
		}
	}
}
