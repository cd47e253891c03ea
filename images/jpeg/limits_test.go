package jpeg_test

import (
	"encoding/binary"
	"errors"
	"slices"
	"testing"

	"github.com/kamado/kamado/images/jpeg"
	"github.com/kamado/kamado/images/plane"
)

func TestDecodeAllocatesNothing(t *testing.T) {
	for name, opt := range map[string]jpeg.EncodeOptions{
		"baseline": {Quality: 88}, "fixed": {Quality: 88, FixedHuffman: true},
		"restart": {Quality: 88, RestartInterval: 4}, "progressive": {Quality: 88, Progressive: true},
	} {
		data := encodePlanes(t, 320, 240, 2, 2, opt)
		for _, scale := range []int{1, 2, 4, 8} {
			var d jpeg.Decoder
			var p plane.Picture
			n := testing.AllocsPerRun(20, func() {
				if _, err := d.Decode(&p, data, jpeg.DecodeOptions{Scale: scale, Orient: 6}); err != nil {
					t.Fatal(err)
				}
			})
			if n != 0 {
				t.Errorf("%s at %d/8: %v allocations a picture, want 0", name, scale, n)
			}
		}
	}
}

// Files with Huffman tables of their own fill the cache of tables; it must
// stay bounded and right.
func TestManyHuffmanTables(t *testing.T) {
	var d jpeg.Decoder
	var p, q plane.Picture
	var files [][]byte
	for quality := 20; quality < 100; quality += 2 {
		files = append(files, encodePlanes(t, 64, 48, 2, 2, jpeg.EncodeOptions{Quality: quality}))
	}
	for round := range 2 {
		for _, data := range files {
			if _, err := d.Decode(&p, data, jpeg.DecodeOptions{}); err != nil {
				t.Fatal(err)
			}
			var fresh jpeg.Decoder
			if _, err := fresh.Decode(&q, data, jpeg.DecodeOptions{}); err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(p.Planes[0].Pix[:p.Planes[0].Stride*p.Height], q.Planes[0].Pix[:q.Planes[0].Stride*q.Height]) && !samePlane(&p.Planes[0], &q.Planes[0]) {
				t.Fatalf("round %d: reused decoder differs from a fresh one", round)
			}
		}
	}
	i := 0
	if n := testing.AllocsPerRun(len(files), func() {
		if _, err := d.Decode(&p, files[i%len(files)], jpeg.DecodeOptions{}); err != nil {
			t.Fatal(err)
		}
		i++
	}); n != 0 {
		t.Errorf("%v allocations a picture, want 0", n)
	}
}

func samePlane(a, b *plane.Plane) bool {
	for y := range a.Height {
		if !slices.Equal(a.Row(y), b.Row(y)) {
			return false
		}
	}
	return true
}

// patchSOF overwrites the size in the frame header.
func patchSOF(t *testing.T, data []byte, width, height int) []byte {
	t.Helper()
	out := slices.Clone(data)
	for i := 2; i+9 < len(out); i++ {
		if out[i] == 0xFF && out[i+1] >= 0xC0 && out[i+1] <= 0xC2 {
			binary.BigEndian.PutUint16(out[i+5:], uint16(height))
			binary.BigEndian.PutUint16(out[i+7:], uint16(width))
			return out
		}
	}
	t.Fatal("no frame header")
	return nil
}

func TestLimits(t *testing.T) {
	small := encodePlanes(t, 64, 48, 2, 2, jpeg.EncodeOptions{Quality: 80})
	progressive := encodePlanes(t, 64, 48, 2, 2, jpeg.EncodeOptions{Quality: 80, Progressive: true})
	stop := errors.New("stop")
	for _, c := range []struct {
		name string
		data []byte
		opt  jpeg.DecodeOptions
		want error
	}{
		{"more pixels than the default", patchSOF(t, small, 65000, 65000), jpeg.DecodeOptions{}, jpeg.ErrTooLarge},
		{"more pixels than allowed", small, jpeg.DecodeOptions{MaxPixels: 64*48 - 1}, jpeg.ErrTooLarge},
		{"as many pixels as allowed", small, jpeg.DecodeOptions{MaxPixels: 64 * 48}, nil},
		{"side past what libjpeg-turbo takes", patchSOF(t, small, 65501, 1), jpeg.DecodeOptions{}, jpeg.ErrTooLarge},
		{"progressive bomb", patchSOF(t, progressive, 65000, 65000), jpeg.DecodeOptions{}, jpeg.ErrTooLarge},
		{"more scans than allowed", progressive, jpeg.DecodeOptions{MaxScans: 2}, jpeg.ErrTooManyScans},
		{"interrupted", small, jpeg.DecodeOptions{Interrupt: func() error { return stop }}, stop},
		{"interrupted progressive", progressive, jpeg.DecodeOptions{Interrupt: func() error { return stop }}, stop},
		{"scale", small, jpeg.DecodeOptions{Scale: 9}, jpeg.ErrOptions},
		{"orientation", small, jpeg.DecodeOptions{Orient: 9}, jpeg.ErrOptions},
	} {
		t.Run(c.name, func(t *testing.T) {
			var d jpeg.Decoder
			var p plane.Picture
			if _, err := d.Decode(&p, c.data, c.opt); !errors.Is(err, c.want) {
				t.Errorf("error %v, want %v", err, c.want)
			}
			if errors.Is(c.want, jpeg.ErrTooLarge) && p.Planes[0].Pix != nil {
				t.Error("memory was spent on a refused picture")
			}
		})
	}
}

func TestRefusals(t *testing.T) {
	good := encodePlanes(t, 64, 48, 2, 2, jpeg.EncodeOptions{Quality: 80})
	sof := slices.Index(good, 0xC0)
	with := func(at int, v byte) []byte {
		out := slices.Clone(good)
		out[at] = v
		return out
	}
	for _, c := range []struct {
		name        string
		data        []byte
		unsupported bool
	}{
		{"empty", nil, false},
		{"not a JPEG", []byte("GIF89a........"), false},
		{"SOI alone", good[:2], false},
		{"cut in the header", good[:sof+4], false},
		{"no height", patchSOF(t, good, 64, 0), false},
		{"no width", patchSOF(t, good, 0, 48), false},
		{"arithmetic", with(sof, 0xC9), true},
		{"lossless", with(sof, 0xC3), true},
		{"hierarchical", with(sof, 0xC5), true},
		{"12 bits", with(sof+3, 12), true},
		{"two components", with(sof+8, 2), false},
		{"end before a scan", append(slices.Clone(good[:2]), 0xFF, 0xD9), false},
		{"second SOI", append(slices.Clone(good[:2]), good...), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			var d jpeg.Decoder
			var p plane.Picture
			_, err := d.Decode(&p, c.data, jpeg.DecodeOptions{})
			_, infoErr := jpeg.ReadInfo(c.data)
			for _, err := range []error{err, infoErr} {
				var format jpeg.FormatError
				var unsupported jpeg.UnsupportedError
				if c.unsupported && !errors.As(err, &unsupported) || !c.unsupported && !errors.As(err, &format) {
					t.Errorf("error %v (%T)", err, err)
				}
			}
		})
	}
}

// A cut file is grey from where the data ends, and no error.
func TestTruncatedIsGrey(t *testing.T) {
	for _, opt := range []jpeg.EncodeOptions{{Quality: 90}, {Quality: 90, RestartInterval: 4}, {Quality: 90, Progressive: true}} {
		data := encodePlanes(t, 160, 160, 2, 2, opt)
		cut := data[:len(data)/2]
		for _, scale := range []int{1, 2, 4, 8} {
			var d jpeg.Decoder
			var p plane.Picture
			res, err := d.Decode(&p, cut, jpeg.DecodeOptions{Scale: scale})
			if err != nil {
				t.Fatal(err)
			}
			if !res.Truncated || res.Warnings == 0 {
				t.Errorf("result %+v, want truncated with warnings", res)
			}
			if last := p.Planes[0].Row(p.Height - 1); !opt.Progressive && last[len(last)-1] != 128 {
				t.Errorf("last sample %d, want grey", last[len(last)-1])
			}
		}
		if res, err := new(jpeg.Decoder).Decode(new(plane.Picture), data[:len(data)-2], jpeg.DecodeOptions{}); err != nil || (!opt.Progressive && res.Truncated) {
			t.Errorf("without end marker: %+v, %v", res, err)
		}
	}
}
