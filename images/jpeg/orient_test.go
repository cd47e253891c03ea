package jpeg_test

import (
	"fmt"
	"image"
	"testing"

	"github.com/kamado/kamado/images/jpeg"
	"github.com/kamado/kamado/images/plane"
)

// encodePlanes encodes a test picture with chroma subsampled as told.
func encodePlanes(t testing.TB, width, height, subX, subY int, opt jpeg.EncodeOptions) []byte {
	t.Helper()
	src := photo(width, height)
	var p plane.Picture
	p.Reset(plane.YCbCr, false, width, height, subX, subY)
	for i := range 3 {
		q := &p.Planes[i]
		for y := range q.Height {
			for x := range q.Row(y) {
				px, py := min(x*q.SubX, width-1), min(y*q.SubY, height-1)
				c := src.YCbCrAt(px, py)
				q.Pix[y*q.Stride+x] = []uint8{c.Y, c.Cb, c.Cr}[i]
			}
		}
	}
	var e jpeg.Encoder
	data, err := e.Encode(nil, &p, opt)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// toFile maps a sample of the oriented plane, w x h, to the stored one (EXIF 4.6.5).
func toFile(orient, x, y, w, h int) (int, int) {
	switch orient {
	case 2:
		return w - 1 - x, y
	case 3:
		return w - 1 - x, h - 1 - y
	case 4:
		return x, h - 1 - y
	case 5:
		return y, x
	case 6:
		return y, w - 1 - x
	case 7:
		return h - 1 - y, w - 1 - x
	case 8:
		return h - 1 - y, x
	}
	return x, y
}

// Turning while decoding must give what turning the decoded picture gives, but
// for the rounding of the transform, which is not symmetric.
func TestOrientationIsAppliedWhileDecoding(t *testing.T) {
	var d jpeg.Decoder
	for _, sub := range [][2]int{{2, 2}, {2, 1}, {1, 1}} {
		for _, size := range [][2]int{{96, 64}, {101, 75}} {
			for _, progressive := range []bool{false, true} {
				data := encodePlanes(t, size[0], size[1], sub[0], sub[1], jpeg.EncodeOptions{Quality: 90, Progressive: progressive})
				for _, scale := range []int{1, 2, 4, 8} {
					for orient := 1; orient <= 8; orient++ {
						t.Run(fmt.Sprintf("%v/%v/%v/%d/%d", sub, size, progressive, scale, orient), func(t *testing.T) {
							checkOrientation(t, &d, data, size[0], size[1], scale, orient)
						})
					}
				}
			}
		}
	}
}

func checkOrientation(t *testing.T, d *jpeg.Decoder, data []byte, width, height, scale, orient int) {
	var plain, turned plane.Picture
	if _, err := d.Decode(&plain, data, jpeg.DecodeOptions{Scale: scale}); err != nil {
		t.Fatal(err)
	}
	res, err := d.Decode(&turned, data, jpeg.DecodeOptions{Scale: scale, Orient: orient})
	if err != nil {
		t.Fatal(err)
	}
	if err := turned.Check(); err != nil {
		t.Fatal(err)
	}
	ow, oh := width, height
	if orient >= 5 {
		ow, oh = oh, ow
	}
	if got := float64(ow-res.Origin.X) * float64(scale) / 8; got != turned.ExactWidth {
		t.Errorf("exact width %v, origin %v, want %v", turned.ExactWidth, res.Origin, got)
	}
	if got := float64(oh-res.Origin.Y) * float64(scale) / 8; got != turned.ExactHeight {
		t.Errorf("exact height %v, origin %v, want %v", turned.ExactHeight, res.Origin, got)
	}
	for i := range turned.N() {
		p, q := &turned.Planes[i], &plain.Planes[i]
		for y := range p.Height {
			for x, v := range p.Row(y) {
				fx, fy := toFile(orient, x, y, p.Width, p.Height)
				if fx >= q.Width || fy >= q.Height {
					continue // the edge of an MCU that the plain picture does not keep
				}
				if w := q.Pix[fy*q.Stride+fx]; int(v)-int(w) > 1 || int(w)-int(v) > 1 {
					t.Fatalf("plane %d sample (%d,%d) = %d, want %d", i, x, y, v, w)
				}
			}
		}
	}
}

func TestRegionCoversWhatWasAskedFor(t *testing.T) {
	var d jpeg.Decoder
	const width, height = 301, 203
	for _, opt := range []jpeg.EncodeOptions{{Quality: 90}, {Quality: 90, RestartInterval: 3}, {Quality: 90, Progressive: true}} {
		data := encodePlanes(t, width, height, 2, 2, opt)
		for _, scale := range []int{1, 2, 4, 8} {
			for orient := 1; orient <= 8; orient++ {
				ow, oh := width, height
				if orient >= 5 {
					ow, oh = oh, ow
				}
				for _, region := range []image.Rectangle{
					image.Rect(0, 0, 10, 10), image.Rect(50, 60, 120, 77), image.Rect(ow-9, oh-5, ow, oh),
					image.Rect(17, 100, 18, 101), image.Rect(-5, -5, ow+5, oh+5),
				} {
					t.Run(fmt.Sprintf("%d-%v/%d/%d/%v", opt.RestartInterval, opt.Progressive, scale, orient, region), func(t *testing.T) {
						checkRegion(t, &d, data, jpeg.DecodeOptions{Scale: scale, Orient: orient, Region: region}, image.Rect(0, 0, ow, oh))
					})
				}
			}
		}
	}
}

func checkRegion(t *testing.T, d *jpeg.Decoder, data []byte, opt jpeg.DecodeOptions, all image.Rectangle) {
	var part, whole plane.Picture
	res, err := d.Decode(&part, data, opt)
	if err != nil {
		t.Fatal(err)
	}
	if err := part.Check(); err != nil {
		t.Fatal(err)
	}
	full := opt
	full.Region = image.Rectangle{}
	resWhole, err := d.Decode(&whole, data, full)
	if err != nil {
		t.Fatal(err)
	}
	need := opt.Region.Intersect(all)
	covered := image.Rect(res.Origin.X, res.Origin.Y,
		res.Origin.X+int(part.ExactWidth*8)/opt.Scale, res.Origin.Y+int(part.ExactHeight*8)/opt.Scale)
	if !need.In(covered) {
		t.Fatalf("covers %v, asked for %v", covered, need)
	}
	if covered.Dx() > need.Dx()+32 || covered.Dy() > need.Dy()+32 {
		t.Errorf("covers %v, far more than %v", covered, need)
	}
	shift := res.Origin.Sub(resWhole.Origin)
	for i := range part.N() {
		p, q := &part.Planes[i], &whole.Planes[i]
		dx, dy := shift.X*opt.Scale/8/p.SubX, shift.Y*opt.Scale/8/p.SubY
		for y := range p.Height {
			for x, v := range p.Row(y) {
				if w := q.Pix[(y+dy)*q.Stride+x+dx]; v != w {
					t.Fatalf("plane %d sample (%d,%d) = %d, want %d", i, x, y, v, w)
				}
			}
		}
	}
}
