package bombtest

import (
	"bytes"
	"image"
	"image/jpeg"
)

// smallJPEG is a real picture of 16x16.
func smallJPEG() []byte {
	var b bytes.Buffer
	if err := jpeg.Encode(&b, image.NewGray(image.Rect(0, 0, 16, 16)), nil); err != nil {
		panic(err)
	}
	return b.Bytes()
}

// segment is a marker with its length (T.81 B.1.1.4).
func segment(marker byte, body []byte) []byte {
	return join([]byte{0xFF, marker}, big.AppendUint16(nil, uint16(len(body)+2)), body)
}

// frame is a start of frame of n components without subsampling.
func frame(marker byte, width, height, n int) []byte {
	body := []byte{8}
	body = big.AppendUint16(big.AppendUint16(body, uint16(height)), uint16(width))
	body = append(body, byte(n))
	for i := range n {
		body = append(body, byte(i+1), 0x11, 0)
	}
	return segment(marker, body)
}

// framed is the small picture with another frame header.
func framed(marker byte, width, height, n int) []byte {
	b := smallJPEG()
	at := bytes.Index(b, []byte{0xFF, 0xC0})
	size := int(big.Uint16(b[at+2:])) + 2
	return join(b[:at], frame(marker, width, height, n), b[at+size:])
}

// before puts segments just behind the first marker of a picture.
func before(b []byte, segments ...[]byte) []byte {
	return join(b[:2], join(segments...), b[2:])
}

// repeated is n times the same.
func repeated(n int, b []byte) []byte { return bytes.Repeat(b, n) }

// profile is n chunks of an ICC profile (ICC.1:2010 B.4), 64 KiB each.
func profile(n int) []byte {
	var out []byte
	for i := range n {
		body := join([]byte("ICC_PROFILE\x00"), []byte{byte(i + 1), byte(n)}, make([]byte, 65000))
		out = append(out, segment(0xE2, body)...)
	}
	return out
}

// loopedExif is an EXIF block whose directories lead to themselves.
func loopedExif() []byte {
	dir := []byte("II*\x00\x08\x00\x00\x00\x01\x00\x69\x87\x04\x00\x01\x00\x00\x00\x08\x00\x00\x00\x08\x00\x00\x00")
	return segment(0xE1, join([]byte("Exif\x00\x00"), dir))
}

// wideExif is an EXIF block that promises 65,535 entries of 4 GiB each.
func wideExif() []byte {
	entry := []byte("\x12\x01\x07\x00\xFF\xFF\xFF\xFF\x08\x00\x00\x00")
	return segment(0xE1, join([]byte("Exif\x00\x00II*\x00\x08\x00\x00\x00\xFF\xFF"), repeated(5000, entry)))
}

func jpegs() []Bomb {
	return []Bomb{
		{Name: "jpeg: 65535x65535", Make: func() []byte { return framed(0xC0, 65535, 65535, 1) }},
		{Name: "jpeg: 65535x65535 in colour", Make: func() []byte { return framed(0xC0, 65535, 65535, 3) }},
		{Name: "jpeg: 65535x65535 progressive", Make: func() []byte { return framed(0xC2, 65535, 65535, 3) }},
		{Name: "jpeg: 65535x65535 of inks", Make: func() []byte { return framed(0xC0, 65535, 65535, 4) }},
		{Name: "jpeg: 40000x4000", Make: func() []byte { return framed(0xC0, 40000, 4000, 1) }},
		{Name: "jpeg: no lines", Make: func() []byte { return framed(0xC0, 65535, 0, 1) }},
		{Name: "jpeg: many scans", Make: func() []byte {
			return scans(1)
		}},
		{Name: "jpeg: many scans of inks", Make: func() []byte { return scans(4) }},
		{Name: "jpeg: only segments", Make: func() []byte {
			return join([]byte{0xFF, 0xD8}, repeated(1_000_000, segment(0xEF, nil)))
		}},
		{Name: "jpeg: only fill bytes", Make: func() []byte { return join([]byte{0xFF, 0xD8}, repeated(8<<20, []byte{0xFF})) }},
		{Name: "jpeg: profile of 16 MB around a huge frame", Make: func() []byte { return before(framed(0xC0, 65535, 65535, 3), profile(255)) }},
		{Name: "jpeg: profile of 16 MB", Harmless: true, Make: func() []byte { return before(smallJPEG(), profile(255)) }},
		{Name: "jpeg: EXIF that leads in circles", Harmless: true, Make: func() []byte { return before(smallJPEG(), loopedExif()) }},
		{Name: "jpeg: EXIF with entries of 4 GiB", Harmless: true, Make: func() []byte { return before(smallJPEG(), wideExif()) }},
		{Name: "jpeg: EXIF of a thousand blocks", Harmless: true, Make: func() []byte { return before(smallJPEG(), repeated(1000, wideExif()[:1000])) }},
		{Name: "jpeg: twelve bits and huge", Make: func() []byte {
			b := framed(0xC1, 65535, 65535, 3)
			b[bytes.Index(b, []byte{0xFF, 0xC1})+4] = 12
			return b
		}},
	}
}

// scans is a progressive picture of n components that is refined 20,000 times.
func scans(n int) []byte {
	scan := segment(0xDA, []byte{1, 1, 0, 0, 0, 0})
	return join([]byte{0xFF, 0xD8}, frame(0xC2, 2000, 2000, n), tables(), repeated(20000, scan), []byte{0xFF, 0xD9})
}

// tables are the quantisation and Huffman tables of the small picture.
func tables() []byte {
	b := smallJPEG()
	var out []byte
	for at := 2; at+4 < len(b) && b[at+1] != 0xDA; {
		size := int(big.Uint16(b[at+2:])) + 2
		if b[at+1] == 0xDB || b[at+1] == 0xC4 {
			out = append(out, b[at:at+size]...)
		}
		at += size
	}
	return out
}
