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

// scansOf cuts a progressive file behind its header into its scans, each from
// the first table before it on; what follows the last is left out.
func scansOf(data []byte) (head []byte, scans [][]byte) {
	at := bytes.Index(data, []byte{0xFF, 0xC2})
	at += 2 + int(data[at+2])<<8 + int(data[at+3])
	head, from := data[:at], at
	for data[at+1] != 0xD9 {
		sos := data[at+1] == 0xDA
		at += 2 + int(data[at+2])<<8 + int(data[at+3])
		if !sos {
			continue
		}
		for data[at] != 0xFF || data[at+1] == 0 {
			at++
		}
		scans = append(scans, data[from:at])
		from = at
	}
	return head, scans
}

// TestBandsOutsideTheCornerAreNotDecoded: at 2/8 a scan of coefficients 6 to 63 may lack its
// data, unless a later one refines it together with the lower ones.
func TestBandsOutsideTheCornerAreNotDecoded(t *testing.T) {
	t.Parallel()
	head, scans := scansOf(encodePlanes(t, 160, 160, 2, 2, jpeg.EncodeOptions{Quality: 90, Progressive: true}))
	high := -1
	for i, s := range scans {
		if at := bytes.Index(s, []byte{0xFF, 0xDA, 0, 8, 1, 1}); at >= 0 && s[at+7] == 6 && s[at+8] == 63 {
			high = i
		}
	}
	if high < 0 {
		t.Fatal("the encoder writes no scan of luma's coefficients 6 to 63")
	}
	file := func(n int, empty bool) []byte {
		out := bytes.Clone(head)
		for i, s := range scans[:n] {
			if i == high && empty {
				s = s[:bytes.Index(s, []byte{0xFF, 0xDA})+10]
			}
			out = append(out, s...)
		}
		return append(out, 0xFF, 0xD9)
	}
	for _, c := range []struct {
		scale, scans int
		idle         bool
	}{{1, len(scans), true}, {2, high + 1, true}, {2, len(scans), false}, {4, high + 1, false}} {
		var d jpeg.Decoder
		var want, got plane.Picture
		if _, err := d.Decode(&want, file(c.scans, false), jpeg.DecodeOptions{Scale: c.scale}); err != nil {
			t.Fatal(err)
		}
		res, err := d.Decode(&got, file(c.scans, true), jpeg.DecodeOptions{Scale: c.scale})
		if err != nil {
			t.Fatal(err)
		}
		if (res.Warnings == 0) != c.idle || c.idle && !samePlane(&got.Planes[0], &want.Planes[0]) {
			t.Errorf("scale %d/8, %d scans: %+v; idle must be %v", c.scale, c.scans, res, c.idle)
		}
	}
}
