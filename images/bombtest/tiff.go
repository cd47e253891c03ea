package bombtest

// entry is a directory entry of one or more LONGs (TIFF 6.0, section 2).
func entry(tag, kind uint16, count, value uint32) []byte {
	b := little.AppendUint16(little.AppendUint16(nil, tag), kind)
	return little.AppendUint32(little.AppendUint32(b, count), value)
}

// tiffOf is a file of one directory that is followed by another at next.
func tiffOf(next uint32, entries ...[]byte) []byte {
	b := little.AppendUint16([]byte("II*\x00\x08\x00\x00\x00"), uint16(len(entries)))
	return little.AppendUint32(join(b, join(entries...)), next)
}

// sized is a grey picture of one strip at offset 8 with a compression.
func sized(width, height uint32, compression uint32, more ...[]byte) [][]byte {
	return append([][]byte{entry(256, 4, 1, width), entry(257, 4, 1, height), entry(258, 3, 1, 8), entry(259, 3, 1, compression),
		entry(262, 3, 1, 1), entry(273, 4, 1, 8), entry(277, 3, 1, 1), entry(278, 4, 1, height), entry(279, 4, 1, 100)}, more...)
}

func tiffs() []Bomb {
	const none, lzw, deflate, jpegInside = 1, 5, 8, 7
	return []Bomb{
		{Name: "tiff: 2^32-1 by 2^32-1", Make: func() []byte { return tiffOf(0, sized(1<<32-1, 1<<32-1, none)...) }},
		{Name: "tiff: 100000x100000", Make: func() []byte { return tiffOf(0, sized(100000, 100000, lzw)...) }},
		{Name: "tiff: 100000x100000 deflated", Make: func() []byte { return tiffOf(0, sized(100000, 100000, deflate)...) }},
		{Name: "tiff: 65535x65535 of JPEG", Make: func() []byte { return tiffOf(0, sized(65535, 65535, jpegInside)...) }},
		{Name: "tiff: no pixels", Make: func() []byte { return tiffOf(0, sized(0, 0, none)...) }},
		{Name: "tiff: directories that lead in circles", Make: func() []byte { return tiffOf(8, sized(30000, 30000, none)...) }},
		{Name: "tiff: a hundred thousand directories", Make: func() []byte {
			one := sized(20000, 20000, none)
			size := uint32(2 + 12*len(one) + 4)
			b := []byte("II*\x00\x08\x00\x00\x00")
			for i := range uint32(100_000) {
				b = append(b, tiffOf(8+(i+1)*size, one...)[8:]...)
			}
			return b
		}},
		{Name: "tiff: 65,535 entries", Make: func() []byte {
			return join([]byte("II*\x00\x08\x00\x00\x00\xFF\xFF"), repeated(65535, entry(65000, 7, 1<<31, 8)), make([]byte, 4))
		}},
		{Name: "tiff: a billion strips", Make: func() []byte {
			return tiffOf(0, entry(256, 4, 1, 30000), entry(257, 4, 1, 30000), entry(258, 3, 1, 8), entry(259, 3, 1, 1), entry(262, 3, 1, 1),
				entry(273, 4, 1<<30, 8), entry(277, 3, 1, 1), entry(278, 4, 1, 1), entry(279, 4, 1<<30, 8))
		}},
		{Name: "tiff: tiles of 2^31", Make: func() []byte {
			return tiffOf(0, entry(256, 4, 1, 30000), entry(257, 4, 1, 30000), entry(258, 3, 1, 8), entry(259, 3, 1, 1), entry(262, 3, 1, 1),
				entry(277, 3, 1, 1), entry(322, 4, 1, 1<<31), entry(323, 4, 1, 1<<31), entry(324, 4, 1, 8), entry(325, 4, 1, 100))
		}},
		{Name: "tiff: 65,535 samples", Make: func() []byte {
			return tiffOf(0, entry(256, 4, 1, 9000), entry(257, 4, 1, 9000), entry(258, 3, 65535, 8), entry(259, 3, 1, 1), entry(262, 3, 1, 2),
				entry(273, 4, 1, 8), entry(277, 3, 1, 65535), entry(278, 4, 1, 9000), entry(279, 4, 1, 100))
		}},
		{Name: "tiff: a profile of 2 GiB", Make: func() []byte { return tiffOf(0, sized(20000, 20000, none, entry(34675, 7, 1<<31, 8))...) }},
		{Name: "tiff: a directory beyond the end", Make: func() []byte { return []byte("II*\x00\xF0\xFF\xFF\x7F\x00\x00") }},
		{Name: "tiff: BigTIFF with 2^63 entries", Make: func() []byte {
			return join([]byte("II+\x00\x08\x00\x00\x00\x10\x00\x00\x00\x00\x00\x00\x00\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x7F"), make([]byte, 64))
		}},
	}
}
