package bombtest

// screen is a GIF's header with a palette of two colours (GIF89a, 17 to 19).
func screen(width, height int) []byte {
	b := little.AppendUint16([]byte("GIF89a"), uint16(width))
	b = little.AppendUint16(b, uint16(height))
	return append(b, 0x80, 0, 0, 0, 0, 0, 255, 255, 255)
}

// still is a frame of a size at a place with these data, one sub-block.
func still(x, y, width, height int, data []byte) []byte {
	b := []byte{0x2C}
	for _, v := range []int{x, y, width, height} {
		b = little.AppendUint16(b, uint16(v))
	}
	b = append(b, 0, 2) // no palette of its own; codes of 2 bits
	for len(data) > 0 {
		n := min(len(data), 255)
		b = append(append(b, byte(n)), data[:n]...)
		data = data[n:]
	}
	return append(b, 0)
}

// dot is clear, colour 0, end: codes of three bits, 4 0 5.
var dot = []byte{0x44, 0x01}

func gifOf(parts ...[]byte) []byte { return join(join(parts...), []byte{0x3B}) }

// gifs: where a small frame lies on a canvas that cannot be meant, the reader
// of the workers takes the frame for the canvas, as browsers once did.
func gifs() []Bomb {
	return []Bomb{
		{Name: "gif: canvas of 65535x65535", Harmless: true, Make: func() []byte { return gifOf(screen(65535, 65535), still(0, 0, 1, 1, dot)) }},
		{Name: "gif: frame of 60000x60000", Make: func() []byte { return gifOf(screen(60000, 60000), still(0, 0, 60000, 60000, dot)) }},
		{Name: "gif: canvas of 65535x2000", Harmless: true, Make: func() []byte { return gifOf(screen(65535, 2000), still(0, 0, 1, 1, dot)) }},
		{Name: "gif: ten thousand frames of 1000x1000", Make: func() []byte {
			return gifOf(screen(1000, 1000), repeated(10_000, still(0, 0, 1, 1, dot)))
		}},
		{Name: "gif: 256 frames of 5000x5000", Make: func() []byte {
			return gifOf(screen(5000, 5000), repeated(256, still(0, 0, 5000, 5000, dot)))
		}},
		{Name: "gif: two frames of 9000x9000", Make: func() []byte {
			return gifOf(screen(9000, 9000), repeated(2, still(0, 0, 9000, 9000, dot)))
		}},
		{Name: "gif: frame far larger than a small canvas", Harmless: true, Make: func() []byte {
			return gifOf(screen(4, 4), still(0, 0, 65535, 65535, dot))
		}},
		{Name: "gif: no frame", Make: func() []byte { return gifOf(screen(5000, 5000)) }},
		{Name: "gif: no pixels", Harmless: true, Make: func() []byte { return gifOf(screen(0, 0), still(0, 0, 0, 0, dot)) }},
		{Name: "gif: a million comments and no frame", Make: func() []byte {
			return gifOf(screen(8, 8), repeated(1_000_000, []byte{0x21, 0xFE, 0}))
		}},
		{Name: "gif: one comment of 8 MB and no frame", Make: func() []byte {
			return gifOf(screen(8, 8), []byte{0x21, 0xFE}, repeated(8<<12, append([]byte{255}, make([]byte, 255)...)), []byte{0})
		}},
	}
}
