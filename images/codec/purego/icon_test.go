package purego_test

import (
	"bytes"
	"encoding/binary"
	"image"
	"image/color"
	"image/png"
	"testing"

	"github.com/kamado/kamado/images"
	"github.com/kamado/kamado/images/codec"
	"github.com/kamado/kamado/images/codec/purego"
)

// iconOf puts pictures into an icon as they are.
func iconOf(pictures ...[]byte) []byte {
	b := binary.LittleEndian.AppendUint16([]byte{0, 0, 1, 0}, uint16(len(pictures)))
	at := 6 + 16*len(pictures)
	for _, p := range pictures {
		b = append(b, 0, 0, 0, 0, 1, 0, 32, 0) // sizes here are often wrong; nobody reads them
		b = binary.LittleEndian.AppendUint32(b, uint32(len(p)))
		b = binary.LittleEndian.AppendUint32(b, uint32(at))
		at += len(p)
	}
	return bytes.Join(append([][]byte{b}, pictures...), nil)
}

// plain is a PNG of one colour.
func plain(t *testing.T, side int, c color.NRGBA) []byte {
	t.Helper()
	m := image.NewNRGBA(image.Rect(0, 0, side, side))
	for i := range side * side {
		m.SetNRGBA(i%side, i/side, c)
	}
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestBestOfAnIcon: the largest picture that can be read is the icon's.
func TestBestOfAnIcon(t *testing.T) {
	small, large := plain(t, 16, color.NRGBA{255, 0, 0, 255}), plain(t, 48, color.NRGBA{0, 255, 0, 255})
	broken := plain(t, 64, color.NRGBA{0, 0, 255, 255})[:20]
	c := purego.New(purego.Config{})
	for name, data := range map[string][]byte{
		"largest last": iconOf(small, large), "largest first": iconOf(large, small), "a broken one that is larger": iconOf(broken, small, large, broken),
	} {
		r, info, err := c.Load(t.Context(), codec.LoadRequest{Data: data, Format: images.ICO})
		if err != nil || info.Width != 48 || info.Format != images.ICO || r.Frames[0].Picture.Planes[1].Row(3)[3] != 255 {
			t.Errorf("%s: %+v, %v", name, info, err)
		}
	}
	for name, data := range map[string][]byte{"only a broken one": iconOf(broken), "none": iconOf()} {
		if _, _, err := c.Load(t.Context(), codec.LoadRequest{Data: data, Format: images.ICO}); images.KindOf(err) != images.Unprocessable {
			t.Errorf("%s: %v", name, err)
		}
	}
}
