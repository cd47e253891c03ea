package codec_test

import (
	"bytes"
	"image/png"
	"slices"
	"testing"

	"github.com/kamado/kamado/images"
	"github.com/kamado/kamado/images/codec"
	"github.com/kamado/kamado/images/codec/codectest"
)

// chunks lists the names of the chunks of a PNG that is well formed.
func chunks(t *testing.T, parts [][]byte) (names []string) {
	t.Helper()
	b := bytes.Join(parts, nil)
	for b = b[8:]; len(b) >= 12; {
		n := int(b[0])<<24 | int(b[1])<<16 | int(b[2])<<8 | int(b[3])
		names = append(names, string(b[4:8]))
		b = b[12+n:]
	}
	if len(b) > 0 {
		t.Fatalf("%d bytes after the last chunk", len(b))
	}
	return names
}

// with puts chunks behind the header of a PNG, whatever their checksum.
func with(p []byte, kinds ...string) []byte {
	const header = 8 + 25
	var more []byte
	for _, kind := range kinds {
		more = append(append(append(more, 0, 0, 0, 3), kind...), 1, 2, 3, 0, 0, 0, 0)
	}
	return slices.Concat(p[:header], more, p[header:])
}

func TestSlimPNG(t *testing.T) {
	whole := small()
	usual := chunks(t, [][]byte{whole})
	for _, c := range []struct {
		name string
		data []byte
		want []string
	}{
		{"nothing to leave out", whole, usual},
		{"texts", with(whole, "tEXt", "zTXt", "iTXt", "tIME"), usual},
		{"private and frames", with(whole, "prIv", "acTL", "fcTL", "prIv"), usual},
		{"what says how it is seen, once", with(whole, "gAMA", "gAMA", "tEXt", "sRGB", "gAMA", "eXIf"),
			slices.Concat(usual[:1], []string{"gAMA", "sRGB", "eXIf"}, usual[1:])},
		{"what nobody knows and must", with(whole, "NEWc"), slices.Concat(usual[:1], []string{"NEWc"}, usual[1:])},
		{"bytes after the end", append(bytes.Clone(whole), "tail"...), usual},
	} {
		t.Run(c.name, func(t *testing.T) {
			parts, err := codec.SlimPNG(c.data)
			if err != nil {
				t.Fatal(err)
			}
			if got := chunks(t, parts); !slices.Equal(got, c.want) {
				t.Errorf("chunks %v, want %v", got, c.want)
			}
		})
	}
	for n := range len(whole) { // cut anywhere: nothing is lost that was there
		parts, err := codec.SlimPNG(whole[:n])
		if err != nil || !bytes.Equal(bytes.Join(parts, nil), whole[:n]) {
			t.Fatalf("cut to %d bytes: %v", n, err)
		}
	}
	if _, err := codec.SlimPNG(with(whole, slices.Repeat([]string{"prIv"}, 100_000)...)); images.KindOf(err) != images.TooLarge {
		t.Errorf("100,000 chunks: %v", err)
	}
}

// TestSlimPNGKeepsThePicture: every sample is the same picture afterwards.
func TestSlimPNGKeepsThePicture(t *testing.T) {
	for _, s := range codectest.Samples() {
		if s.Format != images.PNG {
			continue
		}
		parts, err := codec.SlimPNG(s.Data)
		if err != nil {
			t.Fatal(err)
		}
		before, err := png.Decode(bytes.NewReader(s.Data))
		if err != nil {
			t.Fatal(err)
		}
		after, err := png.Decode(bytes.NewReader(bytes.Join(parts, nil)))
		if err != nil {
			t.Fatalf("%s: %v", s.Name, err)
		}
		for y := range before.Bounds().Dy() {
			for x := range before.Bounds().Dx() {
				if before.At(x, y) != after.At(x, y) {
					t.Fatalf("%s: another pixel at %d,%d", s.Name, x, y)
				}
			}
		}
	}
}

// FuzzSlimPNG: nothing is invented, and what is kept is kept again.
func FuzzSlimPNG(f *testing.F) {
	f.Add(with(small()[:200], "tEXt", "gAMA"))
	f.Add(wide(3, 3))
	f.Fuzz(func(t *testing.T, data []byte) {
		parts, err := codec.SlimPNG(data)
		if err != nil {
			return
		}
		out := bytes.Join(parts, nil)
		if len(out) > len(data) {
			t.Fatalf("%d bytes became %d", len(data), len(out))
		}
		again, err := codec.SlimPNG(out)
		if err != nil || !bytes.Equal(bytes.Join(again, nil), out) {
			t.Fatalf("another result the second time: %v", err)
		}
	})
}
