package bombtest

// bitmap is a BITMAPINFOHEADER (Windows GDI).
func bitmap(width, height int32, depth uint16, compression, used uint32) []byte {
	b := make([]byte, 40)
	little.PutUint32(b, 40)
	little.PutUint32(b[4:], uint32(width))
	little.PutUint32(b[8:], uint32(height))
	little.PutUint16(b[12:], 1)
	little.PutUint16(b[14:], depth)
	little.PutUint32(b[16:], compression)
	little.PutUint32(b[32:], used)
	return b
}

func bmpOf(header []byte, more ...[]byte) []byte {
	b := append([]byte("BM"), make([]byte, 12)...)
	little.PutUint32(b[10:], uint32(14+len(header)))
	return join(b, header, join(more...))
}

// icon is an icon file of n entries that all are the same picture.
func icon(n int, picture []byte) []byte {
	b := little.AppendUint16([]byte{0, 0, 1, 0}, uint16(n))
	for range n {
		b = append(b, 0, 0, 0, 0, 1, 0, 32, 0)
		b = little.AppendUint32(b, uint32(len(picture)))
		b = little.AppendUint32(b, uint32(6+16*n))
	}
	return join(b, picture)
}

func bitmaps() []Bomb {
	const runs = 1
	hugePNG := func() []byte {
		return pngOf(ihdr(30000, 30000, 8, 6, 0), chunk("IDAT", zeros(1<<20)), chunk("IEND", nil))
	}
	return []Bomb{
		{Name: "bmp: 2^31-1 by 2^31-1", Make: func() []byte { return bmpOf(bitmap(1<<31-1, 1<<31-1, 24, 0, 0), make([]byte, 100)) }},
		{Name: "bmp: 1000000x1000000", Make: func() []byte { return bmpOf(bitmap(1_000_000, 1_000_000, 24, 0, 0), make([]byte, 100)) }},
		{Name: "bmp: 30000 by -2^31", Make: func() []byte { return bmpOf(bitmap(30000, -1<<31, 24, 0, 0), make([]byte, 100)) }},
		{Name: "bmp: negative width", Make: func() []byte { return bmpOf(bitmap(-30000, 30000, 24, 0, 0), make([]byte, 100)) }},
		{Name: "bmp: runs of 30000x30000", Make: func() []byte {
			return bmpOf(bitmap(30000, 30000, 8, runs, 256), make([]byte, 1024), repeated(1<<20, []byte{255, 0}))
		}},
		{Name: "bmp: palette of 4 GiB", Make: func() []byte { return bmpOf(bitmap(30000, 30000, 8, 0, 1<<32-1), make([]byte, 2000)) }},
		{Name: "bmp: pixels of 65,535 bits", Make: func() []byte { return bmpOf(bitmap(9000, 9000, 65535, 0, 0), make([]byte, 100)) }},
		{Name: "ico: 65,535 pictures", Make: func() []byte { return icon(65535, hugePNG()) }},
		{Name: "ico: a PNG of 30000x30000", Make: func() []byte { return icon(1, hugePNG()) }},
		{Name: "ico: a bitmap of 2^31", Make: func() []byte { return icon(1, bitmap(1<<31-1, 1<<31-1, 32, 0, 0)) }},
		{Name: "ico: a bitmap of 60000x60000", Make: func() []byte { return icon(1, bitmap(60000, 120000, 32, 0, 0)) }},
		{Name: "ico: a picture beyond the end", Make: func() []byte {
			b := icon(1, hugePNG())
			little.PutUint32(b[18:], 1<<31)
			return b
		}},
	}
}
