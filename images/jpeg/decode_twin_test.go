//go:build amd64

package jpeg

import (
	"fmt"
	"image"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/kamado/kamado/images/plane"
)

// randomFile encodes a small picture of some kind.
func randomFile(t testing.TB, r *rand.Rand, e *Encoder) []byte {
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
	r := rand.New(rand.NewPCG(5, 6))
	var e Encoder
	var d Decoder
	for i := range 500 {
		data := randomFile(t, r, &e)
		for range r.IntN(4) {
			data[150+r.IntN(len(data)-150)] ^= 1 << r.IntN(8)
		}
		opt := DecodeOptions{Scale: 1 << r.IntN(4), Orient: 1 + r.IntN(8), MaxPixels: 1 << 20, MaxScans: 50}
		if r.IntN(3) == 0 {
			x, y := r.IntN(100), r.IntN(100)
			opt.Region = image.Rect(x, y, x+1+r.IntN(50), y+1+r.IntN(50))
		}
		if msg := compareTwins(&d, data, opt); msg != "" {
			t.Fatalf("file %d %+v: %s", i, opt, msg)
		}
	}
}

// compareTwins says how the kernels and their twins differ on a file; "" is not at all.
func compareTwins(d *Decoder, data []byte, opt DecodeOptions) string {
	defer func() { useDecodeKernels = true }()
	var got, want plane.Picture
	useDecodeKernels = true
	res, err := d.Decode(&got, data, opt)
	useDecodeKernels = false
	wantRes, wantErr := d.Decode(&want, data, opt)
	if res != wantRes || (err == nil) != (wantErr == nil) {
		return fmt.Sprintf("%+v, %v; the twin %+v, %v", res, err, wantRes, wantErr)
	}
	for k := range got.N() {
		a, b := &got.Planes[k], &want.Planes[k]
		for y := 0; err == nil && y < a.Height; y++ {
			if !slices.Equal(a.Row(y), b.Row(y)) {
				return fmt.Sprintf("row %d of plane %d", y, k)
			}
		}
	}
	return ""
}

// FuzzDecodeTwins looks for files that the kernels and their twins read differently.
func FuzzDecodeTwins(f *testing.F) {
	if !useDecodeKernels {
		f.Skip("needs a processor with BMI2")
	}
	r := rand.New(rand.NewPCG(7, 8))
	var e Encoder
	for range 24 {
		f.Add(randomFile(f, r, &e), uint16(r.UintN(1<<16)))
	}
	var d Decoder
	f.Fuzz(func(t *testing.T, data []byte, mode uint16) {
		opt := DecodeOptions{Scale: 1 << (mode & 3), Orient: int(mode>>2&7) + 1, MaxPixels: 1 << 18, MaxScans: 20}
		if mode>>5&1 != 0 {
			x, y := int(mode>>6&31)*4, int(mode>>11)*4
			opt.Region = image.Rect(x, y, x+20, y+30)
		}
		if msg := compareTwins(&d, data, opt); msg != "" {
			t.Fatalf("%+v: %s", opt, msg)
		}
	})
}
