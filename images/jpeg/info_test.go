package jpeg_test

import (
	"bytes"
	"testing"

	"github.com/kamado/kamado/images/jpeg"
)

// exifWith makes an APP1 payload with one entry in IFD0.
func exifWith(order string, entry ...byte) []byte {
	b := []byte("Exif\x00\x00")
	if order == "MM" {
		b = append(b, "MM\x00*\x00\x00\x00\x08\x00\x01"...)
	} else {
		b = append(b, "II*\x00\x08\x00\x00\x00\x01\x00"...)
	}
	return append(append(b, entry...), 0, 0, 0, 0)
}

func TestReadInfo(t *testing.T) {
	icc := bytes.Repeat([]byte("profile."), 20000) // three chunks
	big := exifWith("MM", 0x01, 0x12, 0, 3, 0, 0, 0, 1, 0, 6, 0, 0)
	for _, c := range []struct {
		name string
		exif []byte
		want int
	}{
		{"big endian", big, 6},
		{"little endian", exifWith("II", 0x12, 0x01, 3, 0, 1, 0, 0, 0, 8, 0, 0, 0), 8},
		{"out of range", exifWith("II", 0x12, 0x01, 3, 0, 1, 0, 0, 0, 9, 0, 0, 0), 1},
		{"wrong type", exifWith("II", 0x12, 0x01, 4, 0, 1, 0, 0, 0, 6, 0, 0, 0), 1},
		{"other tag", exifWith("II", 0x13, 0x01, 3, 0, 1, 0, 0, 0, 6, 0, 0, 0), 1},
		{"directory past the end", []byte("Exif\x00\x00II*\x00\xff\xff\xff\xff"), 1},
		{"cut directory", big[:20], 1},
		{"nonsense", []byte("Exif\x00\x00nonsense"), 1},
		{"absent", nil, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			data := encodePlanes(t, 40, 30, 2, 1, jpeg.EncodeOptions{Quality: 80, Exif: c.exif, ICC: icc, RestartInterval: 5})
			info, err := jpeg.ReadInfo(data)
			if err != nil {
				t.Fatal(err)
			}
			if info.Orientation != c.want {
				t.Errorf("orientation %d, want %d", info.Orientation, c.want)
			}
			if !bytes.Equal(info.Exif, c.exif) || !bytes.Equal(info.ICC, icc) {
				t.Errorf("Exif of %d bytes, ICC of %d, want %d and %d", len(info.Exif), len(info.ICC), len(c.exif), len(icc))
			}
			if info.Width != 40 || info.Height != 30 || info.Components != 3 || info.SubX != 2 || info.SubY != 1 ||
				info.Progressive || info.Precision != 8 || info.RestartInterval != 5 || info.AdobeTransform != -1 {
				t.Errorf("info %+v", info)
			}
		})
	}
}

// A profile with a chunk missing, repeated or misnumbered is no profile.
func TestBrokenICC(t *testing.T) {
	chunk := func(number, count byte) []byte {
		payload := append([]byte("ICC_PROFILE\x00"), number, count, 'x', 'y')
		return append([]byte{0xFF, 0xE2, 0, byte(len(payload) + 2)}, payload...)
	}
	plain := encodePlanes(t, 16, 16, 1, 1, jpeg.EncodeOptions{Quality: 80})
	for _, c := range []struct {
		name   string
		chunks [][]byte
		want   string
	}{
		{"in order", [][]byte{chunk(1, 2), chunk(2, 2)}, "xyxy"},
		{"out of order", [][]byte{chunk(2, 2), chunk(1, 2)}, "xyxy"},
		{"missing", [][]byte{chunk(1, 2)}, ""},
		{"repeated", [][]byte{chunk(1, 2), chunk(1, 2)}, ""},
		{"number zero", [][]byte{chunk(0, 1)}, ""},
		{"number past count", [][]byte{chunk(3, 2)}, ""},
		{"counts differ", [][]byte{chunk(1, 2), chunk(2, 3)}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			data := append([]byte{0xFF, 0xD8}, bytes.Join(c.chunks, nil)...)
			info, err := jpeg.ReadInfo(append(data, plain[2:]...))
			if err != nil {
				t.Fatal(err)
			}
			if string(info.ICC) != c.want {
				t.Errorf("profile %q, want %q", info.ICC, c.want)
			}
		})
	}
}
