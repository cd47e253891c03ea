package exif_test

import (
	"bytes"
	"encoding/binary"
	"testing"
	"unicode/utf8"

	"github.com/kamado/kamado/images/exif"
)

// payload builds an Exif payload with the given ASCII tags.
func payload(order binary.AppendByteOrder, mark string, tags map[uint16]string, sequence ...uint16) []byte {
	out := order.AppendUint32(order.AppendUint16([]byte("Exif\x00\x00"+mark), 42), 8)
	out = order.AppendUint16(out, uint16(len(sequence)))
	at := 8 + 2 + 12*len(sequence) + 4
	var tail []byte
	for _, tag := range sequence {
		value := tags[tag] + "\x00"
		out = order.AppendUint16(order.AppendUint16(out, tag), 2)
		out = order.AppendUint32(out, uint32(len(value)))
		if len(value) <= 4 {
			out = append(out, (value + "\x00\x00\x00")[:4]...)
			continue
		}
		out = order.AppendUint32(out, uint32(at+len(tail)))
		tail = append(tail, value...)
	}
	return append(order.AppendUint32(out, 0), tail...)
}

func TestRightsKeepsArtistAndCopyrightOnly(t *testing.T) {
	tags := map[uint16]string{0x010F: "A Camera Maker", 0x013B: "Aoi", 0x8298: "(c) 2011 Aoi, all rights reserved"}
	want := payload(binary.BigEndian, "MM", tags, 0x013B, 0x8298)
	for _, in := range [][]byte{
		payload(binary.BigEndian, "MM", tags, 0x010F, 0x013B, 0x8298),
		payload(binary.LittleEndian, "II", tags, 0x010F, 0x013B, 0x8298),
	} {
		got := exif.Rights(in)
		if !bytes.HasPrefix(got, want) || bytes.Contains(got, []byte("Camera")) {
			t.Errorf("Rights = %q, want %q", got, want)
		}
		if again := exif.Rights(got); !bytes.Equal(again, got) {
			t.Errorf("Rights of its own result = %q, want %q", again, got)
		}
	}
}

func TestRightsIsNilWithoutAny(t *testing.T) {
	for name, in := range map[string][]byte{
		"nothing":        nil,
		"another tag":    payload(binary.BigEndian, "MM", map[uint16]string{0x010F: "A Camera Maker"}, 0x010F),
		"an empty text":  payload(binary.BigEndian, "MM", map[uint16]string{0x8298: ""}, 0x8298),
		"no TIFF header": []byte("Exif\x00\x00hello world"),
		"XMP":            []byte("http://ns.adobe.com/xap/1.0/\x00<x/>"),
	} {
		if got := exif.Rights(in); got != nil {
			t.Errorf("%s: Rights = %q, want nil", name, got)
		}
	}
}

func FuzzRights(f *testing.F) {
	f.Add(payload(binary.BigEndian, "MM", map[uint16]string{0x8298: "(c) Aoi"}, 0x8298))
	f.Add(payload(binary.LittleEndian, "II", map[uint16]string{0x013B: "Aoi", 0x8298: "x"}, 0x013B, 0x8298))
	f.Fuzz(func(t *testing.T, in []byte) {
		if f := exif.Read(in); !utf8.ValidString(f.Model + f.Make + f.Copyright + f.Artist + f.Description) {
			t.Errorf("texts are not UTF-8: %+v", f)
		}
		got := exif.Rights(in)
		if len(got) > 2*4100+64 {
			t.Fatalf("%d bytes of rights", len(got))
		}
		if got != nil && !bytes.Equal(exif.Rights(got), got) {
			t.Fatalf("Rights(%q) is not its own rights", got)
		}
	})
}

func TestReadTellsNoPlace(t *testing.T) {
	t.Parallel()
	// A directory with a model, a place (GPS, 0x8825), a copyright of two, and a
	// text of four bytes in the entry itself.
	var tiff bytes.Buffer
	put := func(v any) { _ = binary.Write(&tiff, binary.LittleEndian, v) } // a buffer does not fail
	tiff.WriteString("II*\x00\x08\x00\x00\x00")
	texts := []string{"Pico\x00 \x00", "Ann\x00Bob\x00"}
	put(uint16(4))
	at := uint32(8 + 2 + 4*12 + 4)
	put([]uint16{0x0110, 2})
	put([]uint32{uint32(len(texts[0])), at})
	put([]uint16{0x0131, 2})
	put(uint32(4))
	tiff.WriteString("1.0\x00")
	put([]uint16{0x8298, 2})
	put([]uint32{uint32(len(texts[1])), at + uint32(len(texts[0]))})
	put([]uint16{0x8825, 4})
	put([]uint32{1, 0})
	put(uint32(0))
	tiff.WriteString(texts[0] + texts[1])
	got := exif.Read(append([]byte("Exif\x00\x00"), tiff.Bytes()...))
	if want := (exif.Facts{Model: "Pico", Software: "1.0", Copyright: "Ann; Bob"}); got != want {
		t.Errorf("Read = %+v, want %+v", got, want)
	}
	if got := exif.Read([]byte("Exif\x00\x00II")); got != (exif.Facts{}) {
		t.Errorf("of nothing: %+v", got)
	}
}
