package render_test

import (
	"bytes"
	"encoding/binary"
	"math"
	"testing"

	"github.com/kamado/kamado/images"
	"github.com/kamado/kamado/images/codec/purego"
	"github.com/kamado/kamado/images/render"
)

// swapped is a profile (ICC.1:2010, three curves and a matrix) whose red is
// sRGB's green and the other way round.
func swapped(space string) []byte {
	xyz := func(x, y, z float64) []byte {
		out := []byte("XYZ \x00\x00\x00\x00")
		for _, v := range []float64{x, y, z} {
			out = binary.BigEndian.AppendUint32(out, uint32(int32(math.Round(v*65536))))
		}
		return out
	}
	curve := append([]byte("curv\x00\x00\x00\x00\x00\x00\x00\x01\x02\x33"), 0, 0) // gamma 2.2
	tags := []struct {
		name string
		data []byte
	}{
		{"rXYZ", xyz(0.3850649, 0.7168786, 0.0971045)},
		{"gXYZ", xyz(0.4360747, 0.2225045, 0.0139322)},
		{"bXYZ", xyz(0.1430804, 0.0606169, 0.7141733)},
		{"rTRC", curve}, {"gTRC", curve}, {"bTRC", curve},
		{"wtpt", xyz(0.9642, 1, 0.8249)},
	}
	table := binary.BigEndian.AppendUint32(nil, uint32(len(tags)))
	at := 128 + 4 + 12*len(tags)
	var body []byte
	for _, tag := range tags {
		table = append(table, tag.name...)
		table = binary.BigEndian.AppendUint32(table, uint32(at+len(body)))
		table = binary.BigEndian.AppendUint32(table, uint32(len(tag.data)))
		body = append(body, tag.data...)
	}
	head := make([]byte, 128)
	binary.BigEndian.PutUint32(head, uint32(at+len(body)))
	head[8], head[9] = 2, 0x10
	copy(head[12:], "mntr"+space+"XYZ ")
	copy(head[36:], "acsp")
	return append(append(head, table...), body...)
}

// withProfile puts a profile into an APP2 segment behind SOI.
func withProfile(data, profile []byte) []byte {
	segment := append([]byte("ICC_PROFILE\x00\x01\x01"), profile...)
	out := append([]byte{0xFF, 0xD8, 0xFF, 0xE2}, 0, 0)
	binary.BigEndian.PutUint16(out[4:], uint16(len(segment)+2))
	return append(append(out, segment...), data[2:]...)
}

func TestProfileIsAppliedAndDropped(t *testing.T) {
	src := withProfile(jpegOf(t, quarters(400, 300)), swapped("RGB "))
	r := newRenderer(render.Config{})
	for range 2 { // made, then kept
		res, err := r.Render(t.Context(), src, images.Rendition{Width: 100})
		if err != nil {
			t.Fatal(err)
		}
		m := decoded(t, res)
		if a, b := m.At(20, 20), m.At(80, 20); !greener(a) || greener(b) {
			t.Errorf("under a profile with red and green swapped, red is shown as %v and green as %v", a, b)
		}
		if bytes.Contains(res.Data, []byte("acsp")) {
			t.Error("the rendition still has the profile")
		}
	}
}

func greener(c interface{ RGBA() (r, g, b, a uint32) }) bool {
	r, g, _, _ := c.RGBA()
	return g > r
}

// Where no codec can apply a profile of tables, the picture is shown as if it
// were sRGB instead of not at all.
func TestUnknownProfileStillShowsThePicture(t *testing.T) {
	src := withProfile(jpegOf(t, quarters(400, 300)), swapped("Lab "))
	r := newRenderer(render.Config{Codecs: []render.Codec{purego.New(purego.Config{})}})
	res, err := r.Render(t.Context(), src, images.Rendition{Width: 100})
	if err != nil {
		t.Fatal(err)
	}
	if seen := corners(decoded(t, res)); seen != [4]int{0, 1, 2, 3} {
		t.Errorf("quadrants at the corners are %v", seen)
	}
}

func TestOtherFormatsByPureGo(t *testing.T) {
	r := newRenderer(render.Config{Codecs: []render.Codec{purego.New(purego.Config{})}})
	src := jpegOf(t, quarters(400, 300))
	png, err := r.Render(t.Context(), src, images.Rendition{Width: 200, Format: images.PNG})
	if err != nil {
		t.Fatal(err)
	}
	if seen := corners(decoded(t, png)); seen != [4]int{0, 1, 2, 3} || png.Format != images.PNG {
		t.Errorf("JPEG to PNG: %s with quadrants %v", png.Format, seen)
	}
	turned, err := r.Render(t.Context(), png.Data, images.Rendition{Width: 60, Rotate: 90, Fit: images.FitPad, Height: 100})
	if err != nil {
		t.Fatal(err)
	}
	if turned.Format != images.PNG || turned.Width != 60 || turned.Height != 100 {
		t.Errorf("PNG turned and padded: %s %dx%d", turned.Format, turned.Width, turned.Height)
	}
	if _, err := r.Render(t.Context(), src, images.Rendition{Width: 60, Format: images.AVIF}); images.KindOf(err) != images.Unprocessable {
		t.Errorf("AVIF without workers: %v, want it refused", err)
	}
}
