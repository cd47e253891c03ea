package jpeg_test

import (
	"bytes"
	"image"
	stdjpeg "image/jpeg"
	"math/rand/v2"
	"testing"

	"github.com/kamado/kamado/images/jpeg"
	"github.com/kamado/kamado/images/plane"
)

// photo makes a picture with smooth areas, edges and some noise.
func photo(width, height int) *image.YCbCr {
	m := image.NewYCbCr(image.Rect(0, 0, width, height), image.YCbCrSubsampleRatio420)
	r := rand.New(rand.NewPCG(1, 2))
	for y := range height {
		for x := range width {
			v := x*200/width + (y*x/64)&31 + r.IntN(12)
			if (x/37+y/23)&3 == 0 {
				v += 90
			}
			m.Y[y*m.YStride+x] = uint8(min(v, 255))
		}
	}
	for i := range m.Cb {
		x, y := i%m.CStride, i/m.CStride
		m.Cb[i] = uint8(100 + x*50/width + r.IntN(4))
		m.Cr[i] = uint8(150 - y*80/height)
	}
	return m
}

func encodeStd(t testing.TB, m image.Image, quality int) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := stdjpeg.Encode(&b, m, &stdjpeg.Options{Quality: quality}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestFullScaleAgreesWithStandardLibrary(t *testing.T) {
	for _, size := range []image.Point{{64, 48}, {333, 201}, {17, 1}, {1, 1}} {
		data := encodeStd(t, photo(size.X, size.Y), 90)
		want, err := stdjpeg.Decode(bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		ref := want.(*image.YCbCr)
		var d jpeg.Decoder
		var p plane.Picture
		if _, err := d.Decode(&p, data, jpeg.DecodeOptions{}); err != nil {
			t.Fatal(err)
		}
		if err := p.Check(); err != nil {
			t.Fatal(err)
		}
		if p.Width != size.X || p.Height != size.Y || p.Model != plane.YCbCr {
			t.Fatalf("decoded %dx%d %v, want %v ycbcr", p.Width, p.Height, p.Model, size)
		}
		comparePlane(t, &p.Planes[0], ref.Y, ref.YStride, 2)
		comparePlane(t, &p.Planes[1], ref.Cb, ref.CStride, 2)
		comparePlane(t, &p.Planes[2], ref.Cr, ref.CStride, 2)
	}
}

func comparePlane(t *testing.T, p *plane.Plane, want []byte, stride, tolerance int) {
	t.Helper()
	for y := range p.Height {
		for x, v := range p.Row(y) {
			if w := want[y*stride+x]; int(v)-int(w) > tolerance || int(w)-int(v) > tolerance {
				t.Fatalf("sample (%d,%d) = %d, want %d within %d", x, y, v, w, tolerance)
			}
		}
	}
}
