package jpeg_test

import (
	"testing"

	"github.com/kamado/kamado/images/jpeg"
	"github.com/kamado/kamado/images/plane"
)

// fuzzPixelsMax keeps a fuzzing process small.
const fuzzPixelsMax = 1 << 20

func addSeeds(f *testing.F) {
	for _, opt := range []jpeg.EncodeOptions{
		{Quality: 80}, {Quality: 80, RestartInterval: 2}, {Quality: 95, FixedHuffman: true}, {Quality: 80, Progressive: true},
		{Quality: 50, Exif: exifWith("MM", 0x01, 0x12, 0, 3, 0, 0, 0, 1, 0, 6, 0, 0), ICC: []byte("icc")},
	} {
		f.Add(encodePlanes(f, 40, 24, 2, 2, opt), uint8(0))
		f.Add(encodePlanes(f, 24, 40, 2, 1, opt), uint8(13))
	}
}

// FuzzDecode looks for panics, planes that break their promises, and pictures
// that depend on what was decoded before.
func FuzzDecode(f *testing.F) {
	addSeeds(f)
	var reused jpeg.Decoder
	f.Fuzz(func(t *testing.T, data []byte, mode uint8) {
		opt := jpeg.DecodeOptions{
			Scale: 1 << (mode & 3), Orient: int(mode>>2&7) + 1, MaxPixels: fuzzPixelsMax, MaxScans: 20,
		}
		var p, q plane.Picture
		res, err := reused.Decode(&p, data, opt)
		if _, infoErr := jpeg.ReadInfo(data); infoErr != nil && err == nil {
			t.Fatalf("decoded, but its header gives %v", infoErr)
		}
		if err != nil {
			return
		}
		if err := p.Check(); err != nil {
			t.Fatal(err)
		}
		var fresh jpeg.Decoder
		resFresh, err := fresh.Decode(&q, data, opt)
		if err != nil || res != resFresh || p.N() != q.N() {
			t.Fatalf("fresh decoder gives %+v, %v; reused one %+v", resFresh, err, res)
		}
		for i := range p.N() {
			if !samePlane(&p.Planes[i], &q.Planes[i]) {
				t.Fatalf("plane %d of a fresh decoder differs", i)
			}
		}
	})
}

func FuzzReadInfo(f *testing.F) {
	addSeeds(f)
	f.Fuzz(func(t *testing.T, data []byte, _ uint8) {
		info, err := jpeg.ReadInfo(data)
		if err != nil {
			return
		}
		if info.Width < 1 || info.Height < 1 || info.Orientation < 1 || info.Orientation > 8 || len(info.ICC) > len(data) {
			t.Fatalf("info %+v", info)
		}
	})
}
