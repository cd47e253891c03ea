package jpeg_test

import (
	"bytes"
	"image"
	"testing"

	"github.com/kamado/kamado/images/jpeg"
	"github.com/kamado/kamado/images/plane"
)

// withoutIntervals takes the data out of the first n restart intervals of a file
// of one scan and leaves their markers.
func withoutIntervals(t *testing.T, data []byte, n int) []byte {
	t.Helper()
	at := bytes.Index(data, []byte{0xFF, 0xDA})
	at += 2 + int(data[at+2])<<8 + int(data[at+3])
	out := bytes.Clone(data[:at])
	for range n {
		for data[at] != 0xFF || data[at+1] == 0 {
			at++
		}
		out = append(out, data[at:at+2]...)
		at += 2
	}
	return append(out, data[at:]...)
}

// TestIntervalsOutsideTheRegionAreNotDecoded: what lies before a region, between
// restart markers, may be missing altogether without a warning.
func TestIntervalsOutsideTheRegionAreNotDecoded(t *testing.T) {
	t.Parallel()
	const side, mcus = 320, 20 // 4:2:0
	for _, every := range []int{1, 7, mcus, 33} {
		data := encodePlanes(t, side, side, 2, 2, jpeg.EncodeOptions{Quality: 80, RestartInterval: every})
		damaged := withoutIntervals(t, data, 10*mcus/every)
		for _, scale := range []int{1, 2, 4, 8} {
			var d jpeg.Decoder
			var want, got plane.Picture
			opt := jpeg.DecodeOptions{Scale: scale, Region: image.Rect(160, 170, 230, 230)}
			if _, err := d.Decode(&want, data, opt); err != nil {
				t.Fatal(err)
			}
			res, err := d.Decode(&got, damaged, opt)
			if err != nil || res.Warnings != 0 || res.Truncated {
				t.Fatalf("restart every %d, scale %d/8: %+v, %v; want no warning", every, scale, res, err)
			}
			for i := range want.N() {
				if !samePlane(&got.Planes[i], &want.Planes[i]) {
					t.Errorf("restart every %d, scale %d/8: plane %d differs", every, scale, i)
				}
			}
		}
	}
}
