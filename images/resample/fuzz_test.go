package resample

import (
	"testing"

	"github.com/kamado/kamado/images/plane"
)

// FuzzTwins looks for planes and sizes that the kernels and their twins resample
// differently. The plane is filled from the data over and over.
func FuzzTwins(f *testing.F) {
	if !haveKernels {
		f.Skip("needs vector kernels")
	}
	f.Add([]byte{0, 255}, uint8(10), uint8(9), uint8(4), uint8(90), uint8(0), uint16(0))
	f.Add([]byte{255}, uint8(200), uint8(100), uint8(33), uint8(17), uint8(1), uint16(0x1234))
	f.Add([]byte("some samples of no meaning"), uint8(3), uint8(250), uint8(100), uint8(16), uint8(2), uint16(0x8f01))
	var vector, scalar Resampler
	f.Fuzz(func(t *testing.T, samples []byte, sw, sh, dw, dh, kernel uint8, window uint16) {
		defer func() { haveKernels = true }()
		if len(samples) == 0 || sw == 0 || sh == 0 || dw == 0 || dh == 0 {
			return
		}
		var src, got, want plane.Plane
		src.Reset(int(sw), int(sh), 1, 1)
		for i := range src.Pix {
			src.Pix[i] = samples[i%len(samples)]
		}
		got.Reset(int(dw), int(dh), 1, 1)
		want.Reset(int(dw), int(dh), 1, 1)
		part := func(shift int) float64 { return float64(window>>shift&15) / 16 }
		win := Window{X: part(0) * float64(sw), Y: part(4) * float64(sh)}
		win.Width = (float64(sw) - win.X) * (part(8) + 1) / 2
		win.Height = (float64(sh) - win.Y) * (part(12) + 1) / 2
		k := Kernel(kernel) % kernels
		haveKernels = true
		err := vector.Plane(&got, &src, win, k)
		haveKernels = false
		wantErr := scalar.Plane(&want, &src, win, k)
		if (err == nil) != (wantErr == nil) {
			t.Fatalf("%v, the twin %v", err, wantErr)
		}
		if err == nil && !equal(t, &got, &want) {
			t.Fatalf("%v: %+v of %dx%d to %dx%d: kernels and twins differ", k, win, sw, sh, dw, dh)
		}
	})
}
