package jpeg_test

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	stdjpeg "image/jpeg"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/kamado/kamado/images/jpeg"
	"github.com/kamado/kamado/images/plane"
)

// scene fills a picture with gradients, edges and some noise.
func scene(p *plane.Picture, seed uint64) {
	r := rand.New(rand.NewPCG(seed, 1))
	for i := range p.N() {
		q := &p.Planes[i]
		for y := range q.Height {
			row := q.Row(y)
			for x := range row {
				px, py := float64(x*q.SubX), float64(y*q.SubY)
				v := 128 + 70*math.Sin(px/23+float64(i))*math.Cos(py/31) + 40*math.Sin(px*py/900)
				if int(px/37)%3 == 1 && int(py/29)%2 == 0 {
					v += 50
				}
				v += 8 * (r.Float64() - 0.5)
				row[x] = byte(min(max(v, 0), 255))
			}
		}
	}
}

// shapes are the pictures that encoder tests walk: subsampling by sizes around
// whole blocks and MCUs.
func shapes(t *testing.T, check func(t *testing.T, p *plane.Picture)) {
	t.Helper()
	for _, sub := range [][2]int{{0, 0}, {1, 1}, {2, 1}, {2, 2}, {1, 2}} {
		for _, size := range [][2]int{{1, 1}, {7, 9}, {8, 8}, {16, 16}, {17, 15}, {23, 41}, {33, 17}, {48, 64}, {57, 250}} {
			var p plane.Picture
			if sub[0] == 0 {
				p.Reset(plane.Gray, false, size[0], size[1], 1, 1)
			} else {
				p.Reset(plane.YCbCr, false, size[0], size[1], sub[0], sub[1])
			}
			scene(&p, uint64(size[0]))
			check(t, &p)
		}
	}
}

// decoded returns the planes that the standard library reads.
func decoded(t *testing.T, name string, data []byte) [][]byte {
	t.Helper()
	img, err := stdjpeg.Decode(bytes.NewReader(data))
	if err != nil {
		t.Fatalf("%s: the standard library refuses our file: %v", name, err)
	}
	switch m := img.(type) {
	case *image.Gray:
		return [][]byte{packed(m.Pix, m.Stride, m.Rect.Dx(), m.Rect.Dy())}
	case *image.YCbCr:
		c := m.COffset(m.Rect.Max.X-1, m.Rect.Max.Y-1)
		return [][]byte{
			packed(m.Y, m.YStride, m.Rect.Dx(), m.Rect.Dy()),
			packed(m.Cb, m.CStride, c%m.CStride+1, c/m.CStride+1),
			packed(m.Cr, m.CStride, c%m.CStride+1, c/m.CStride+1),
		}
	}
	t.Fatalf("the standard library read a %T", img)
	return nil
}

func packed(pix []byte, stride, width, height int) []byte {
	var out []byte
	for y := range height {
		out = append(out, pix[y*stride:y*stride+width]...)
	}
	return out
}

// meanError compares planes with those of a picture.
func meanError(t *testing.T, p *plane.Picture, got [][]byte) float64 {
	t.Helper()
	worst := 0.0
	for i := range p.Model.Components() {
		q := &p.Planes[i]
		want := packed(q.Pix, q.Stride, q.Width, q.Height)
		if len(want) != len(got[i]) {
			t.Fatalf("plane %d has %d samples, want %d", i, len(got[i]), len(want))
		}
		sum := 0.0
		for k := range want {
			sum += math.Abs(float64(want[k]) - float64(got[i][k]))
		}
		worst = max(worst, sum/float64(len(want)))
	}
	return worst
}

func TestEncodeIsReadBack(t *testing.T) {
	var e jpeg.Encoder
	for _, opt := range []jpeg.EncodeOptions{
		{Quality: 100}, {Quality: 95, FixedHuffman: true}, {Quality: 95, RestartInterval: 3},
		{Quality: 95, Progressive: true}, {Quality: 100, Progressive: true},
	} {
		shapes(t, func(t *testing.T, p *plane.Picture) {
			name := fmt.Sprintf("%+v of %v %dx%d sub %dx%d", opt, p.Model, p.Width, p.Height, p.Planes[1].SubX, p.Planes[1].SubY)
			data, err := e.Encode(nil, p, opt)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			bound := 3.0
			if opt.Quality == 100 {
				bound = 0.6
			}
			if got := meanError(t, p, decoded(t, name, data)); got > bound {
				t.Errorf("%s: mean error %.2f, want at most %.1f", name, got, bound)
			}
		})
	}
}

// TestThriftyIsSmallerAndNearlyAsGood: fewer bytes for a little more error, chroma as it was, and an Encoder that
// goes from one to the other and back makes the files of a fresh one.
func TestThriftyIsSmallerAndNearlyAsGood(t *testing.T) {
	var p plane.Picture
	p.Reset(plane.YCbCr, false, 320, 240, 2, 2)
	scene(&p, 1)
	var kept jpeg.Encoder
	var files [2][]byte
	var errs [2]float64
	var chroma [2][]byte
	for round := range 4 {
		thrifty := round % 2
		opt := jpeg.EncodeOptions{Quality: 70, Thrifty: thrifty == 1}
		data, err := kept.Encode(nil, &p, opt)
		if err != nil {
			t.Fatal(err)
		}
		var fresh jpeg.Encoder
		if want, err := fresh.Encode(nil, &p, opt); err != nil || !bytes.Equal(data, want) {
			t.Errorf("round %d: an Encoder that was used makes another file (%v)", round, err)
		}
		planes := decoded(t, fmt.Sprint(opt), data)
		files[thrifty], errs[thrifty], chroma[thrifty] = data, meanError(t, &p, planes), planes[1]
	}
	if saved := 1 - float64(len(files[1]))/float64(len(files[0])); saved < 0.005 || saved > 0.05 {
		t.Errorf("%d bytes instead of %d: saved %.1f %%, want 0.5 to 5 %%", len(files[1]), len(files[0]), 100*saved)
	}
	if errs[1] > errs[0]*1.05 {
		t.Errorf("mean error %.3f instead of %.3f", errs[1], errs[0])
	}
	if !bytes.Equal(chroma[0], chroma[1]) {
		t.Error("chroma differs")
	}
}

// TestProgressiveIsTheSamePicture decodes both forms. The standard library is no
// judge here: it miscounts restart intervals of scans of one component.
func TestProgressiveIsTheSamePicture(t *testing.T) {
	var e jpeg.Encoder
	var d jpeg.Decoder
	for _, opt := range []jpeg.EncodeOptions{{Quality: 90}, {Quality: 90, RestartInterval: 2}, {Quality: 30, RestartInterval: 5}} {
		shapes(t, func(t *testing.T, p *plane.Picture) {
			var planes [2][]byte
			for i := range planes {
				opt.Progressive = i == 1
				data, err := e.Encode(nil, p, opt)
				if err != nil {
					t.Fatal(err)
				}
				var got plane.Picture
				res, err := d.Decode(&got, data, jpeg.DecodeOptions{})
				if err != nil || res.Truncated || res.Warnings > 0 {
					t.Fatalf("%+v of %dx%d: decoding gives %+v, %v", opt, p.Width, p.Height, res, err)
				}
				for k := range got.N() {
					q := &got.Planes[k]
					planes[i] = append(planes[i], packed(q.Pix, q.Stride, q.Width, q.Height)...)
				}
			}
			if !bytes.Equal(planes[0], planes[1]) {
				t.Errorf("%+v of %v %dx%d: the progressive file is another picture", opt, p.Model, p.Width, p.Height)
			}
		})
	}
}

func TestEncodeKeepsWhatIsInDst(t *testing.T) {
	var p plane.Picture
	p.Reset(plane.YCbCr, false, 30, 20, 2, 2)
	scene(&p, 1)
	var e jpeg.Encoder
	got, err := e.Encode([]byte("before"), &p, jpeg.EncodeOptions{})
	if err != nil || !bytes.HasPrefix(got, []byte("before\xff\xd8")) {
		t.Fatalf("Encode = %.10q, %v", got, err)
	}
}

func TestEncodeMetadata(t *testing.T) {
	var p plane.Picture
	p.Reset(plane.Gray, false, 8, 8, 1, 1)
	icc := make([]byte, 150000)
	for i := range icc {
		icc[i] = byte(i * 7)
	}
	exif := []byte("Exif\x00\x00MM\x00\x2a")
	var e jpeg.Encoder
	data, err := e.Encode(nil, &p, jpeg.EncodeOptions{ICC: icc, Exif: exif})
	if err != nil {
		t.Fatal(err)
	}
	var gotICC, gotExif []byte
	for at := 2; data[at+1] != 0xDA; {
		size := int(data[at+2])<<8 | int(data[at+3])
		payload := data[at+4 : at+2+size]
		switch data[at+1] {
		case 0xE1:
			gotExif = payload
		case 0xE2:
			gotICC = append(gotICC, payload[14:]...)
		}
		at += 2 + size
	}
	if !bytes.Equal(gotICC, icc) || !bytes.Equal(gotExif, exif) {
		t.Errorf("profile of %d bytes and Exif of %d came back, want %d and %d", len(gotICC), len(gotExif), len(icc), len(exif))
	}
	decoded(t, "with metadata", data)
}

func TestEncodeRefuses(t *testing.T) {
	var good, rgb, wide, odd, broken plane.Picture
	good.Reset(plane.Gray, false, 8, 8, 1, 1)
	rgb.Reset(plane.RGB, false, 8, 8, 1, 1)
	wide.Reset(plane.Gray, false, 65501, 1, 1, 1)
	odd.Reset(plane.YCbCr, false, 8, 8, 4, 1)
	broken.Reset(plane.Gray, false, 8, 8, 1, 1)
	broken.Planes[0].Pix = broken.Planes[0].Pix[:20]
	for name, c := range map[string]struct {
		p    *plane.Picture
		opt  jpeg.EncodeOptions
		want error
	}{
		"quality above 100":         {&good, jpeg.EncodeOptions{Quality: 101}, jpeg.ErrEncode},
		"quality below 0":           {&good, jpeg.EncodeOptions{Quality: -1}, jpeg.ErrEncode},
		"restart interval too long": {&good, jpeg.EncodeOptions{RestartInterval: 65536}, jpeg.ErrEncode},
		"exif too long":             {&good, jpeg.EncodeOptions{Exif: make([]byte, 65534)}, jpeg.ErrEncode},
		"profile too long":          {&good, jpeg.EncodeOptions{ICC: make([]byte, 255*65519+1)}, jpeg.ErrEncode},
		"rgb":                       {&rgb, jpeg.EncodeOptions{}, jpeg.ErrEncode},
		"too wide":                  {&wide, jpeg.EncodeOptions{}, jpeg.ErrEncode},
		"chroma by four":            {&odd, jpeg.EncodeOptions{}, jpeg.ErrEncode},
		"planes too short":          {&broken, jpeg.EncodeOptions{}, plane.ErrShape},
	} {
		var e jpeg.Encoder
		if got, err := e.Encode([]byte("x"), c.p, c.opt); !errors.Is(err, c.want) || string(got) != "x" {
			t.Errorf("%s: Encode = %q, %v, want %v", name, got, err, c.want)
		}
	}
}

// TestEncodeLongPicture passes the bound on tokens, so that the tables are made
// before the end of the picture.
func TestEncodeLongPicture(t *testing.T) {
	var p plane.Picture
	p.Reset(plane.YCbCr, false, 1600, 1100, 2, 2)
	r := rand.New(rand.NewPCG(1, 1))
	for i := range p.N() {
		q := &p.Planes[i]
		for y := range q.Height / 2 * 2 {
			for x := range q.Row(y) {
				if y < q.Height*7/8 {
					q.Row(y)[x] = byte(r.UintN(64) + 96)
				} else { // symbols that came never before
					q.Row(y)[x] = byte(255 * r.UintN(2))
				}
			}
		}
	}
	var e jpeg.Encoder
	data, err := e.Encode(nil, &p, jpeg.EncodeOptions{Quality: 100})
	if err != nil {
		t.Fatal(err)
	}
	if got := meanError(t, &p, decoded(t, "a long picture", data)); got > 0.6 {
		t.Errorf("mean error %.2f, want at most 0.6", got)
	}
}

func TestEncodeAllocatesNothing(t *testing.T) {
	var p plane.Picture
	p.Reset(plane.YCbCr, false, 480, 360, 2, 2)
	scene(&p, 3)
	for _, opt := range []jpeg.EncodeOptions{{Quality: 70}, {Quality: 70, FixedHuffman: true}, {Quality: 70, Progressive: true}} {
		var e jpeg.Encoder
		var dst []byte
		if n := testing.AllocsPerRun(10, func() {
			dst, _ = e.Encode(dst[:0], &p, opt)
		}); n != 0 {
			t.Errorf("%+v: %v allocations a picture, want 0", opt, n)
		}
	}
}

func BenchmarkEncode(b *testing.B) {
	var p plane.Picture
	p.Reset(plane.YCbCr, false, 480, 360, 2, 2)
	scene(&p, 3)
	for name, opt := range map[string]jpeg.EncodeOptions{
		"optimal": {Quality: 70}, "fixed": {Quality: 70, FixedHuffman: true}, "progressive": {Quality: 70, Progressive: true},
	} {
		b.Run("480x360-q70-"+name, func(b *testing.B) {
			var e jpeg.Encoder
			var dst []byte
			b.ReportAllocs()
			for b.Loop() {
				dst, _ = e.Encode(dst[:0], &p, opt)
			}
			b.ReportMetric(float64(len(dst)), "bytes")
		})
	}
}

// FuzzEncode encodes any samples of any shape, and has the file read back.
func FuzzEncode(f *testing.F) {
	f.Add([]byte{0, 255, 3, 9}, uint8(17), uint8(9), uint8(6), uint8(100), uint8(0))
	f.Add([]byte("samples"), uint8(40), uint8(33), uint8(3), uint8(1), uint8(2))
	f.Fuzz(func(t *testing.T, samples []byte, width, height, kind, quality, restart uint8) {
		if width == 0 || height == 0 || len(samples) == 0 {
			return
		}
		var p, got plane.Picture
		m := plane.YCbCr
		if kind&1 != 0 {
			m = plane.Gray
		}
		p.Reset(m, false, int(width), int(height), 1+int(kind>>1&1), 1+int(kind>>2&1))
		for i := range p.N() {
			for k := range p.Planes[i].Pix {
				p.Planes[i].Pix[k] = samples[(k+i)%len(samples)]
			}
		}
		opt := jpeg.EncodeOptions{
			Quality: 1 + int(quality)%100, RestartInterval: int(restart),
			FixedHuffman: kind&8 != 0, Progressive: kind&16 != 0,
		}
		var e jpeg.Encoder
		data, err := e.Encode(nil, &p, opt)
		if err != nil {
			t.Fatal(err)
		}
		var d jpeg.Decoder
		if res, err := d.Decode(&got, data, jpeg.DecodeOptions{}); err != nil || res.Truncated || res.Warnings > 0 {
			t.Fatalf("%+v: decoding gives %+v, %v", opt, res, err)
		}
		if got.Width != p.Width || got.Height != p.Height || got.N() != p.N() {
			t.Fatalf("%dx%d came back as %dx%d", p.Width, p.Height, got.Width, got.Height)
		}
	})
}
