package bombtest

import (
	"hash/crc32"
)

const signature = "\x89PNG\r\n\x1a\n"

// chunk is a PNG chunk (PNG 3rd edition, 5.3).
func chunk(kind string, body []byte) []byte {
	b := join(big.AppendUint32(nil, uint32(len(body))), []byte(kind), body)
	return big.AppendUint32(b, crc32.ChecksumIEEE(b[4:]))
}

func ihdr(width, height uint32, depth, colour, interlace byte) []byte {
	body := big.AppendUint32(big.AppendUint32(nil, width), height)
	return chunk("IHDR", append(body, depth, colour, 0, 0, interlace))
}

func pngOf(chunks ...[]byte) []byte { return join([]byte(signature), join(chunks...)) }

// smallPNG is a real picture of 8x8 with chunks before its pixels.
func smallPNG(more ...[]byte) []byte {
	return pngOf(ihdr(8, 8, 8, 0, 0), join(more...), chunk("IDAT", zeros(8*9)), chunk("IEND", nil))
}

func pngs() []Bomb {
	hundred := func() []byte { return zeros(100 << 20) }
	huge := func(width, height uint32, depth, colour, interlace byte) func() []byte {
		return func() []byte {
			return pngOf(ihdr(width, height, depth, colour, interlace), chunk("IDAT", zeros(1<<20)), chunk("IEND", nil))
		}
	}
	return []Bomb{
		{Name: "png: 2^31-1 by 2^31-1", Make: huge(1<<31-1, 1<<31-1, 8, 6, 0)},
		{Name: "png: 2^32-1 by 2^32-1", Make: huge(1<<32-1, 1<<32-1, 8, 6, 0)},
		{Name: "png: 100000x100000", Make: huge(100000, 100000, 8, 2, 0)},
		{Name: "png: 2^31-1 by 1", Make: huge(1<<31-1, 1, 8, 2, 0)},
		{Name: "png: 1 by 2^31-1", Make: huge(1, 1<<31-1, 8, 2, 0)},
		{Name: "png: 30000x30000 of one bit, whole", Make: func() []byte {
			return pngOf(ihdr(30000, 30000, 1, 0, 0), chunk("IDAT", zeros(30000*3751)), chunk("IEND", nil))
		}},
		{Name: "png: 10001x10001 of 16 bits", Make: huge(10001, 10001, 16, 6, 0)},
		{Name: "png: 30000x30000 interlaced", Make: huge(30000, 30000, 8, 6, 1)},
		{Name: "png: no pixels", Make: huge(0, 0, 8, 6, 0)},
		{Name: "png: no IDAT", Make: func() []byte { return pngOf(ihdr(9000, 9000, 8, 6, 0), chunk("IEND", nil)) }},
		{Name: "png: length of 4 GiB", Make: func() []byte {
			return pngOf(ihdr(8, 8, 8, 6, 0), []byte("\xFF\xFF\xFF\xFFIDAT"), make([]byte, 100))
		}},
		{Name: "png: a million chunks and no pixels", Make: func() []byte {
			return pngOf(ihdr(8, 8, 8, 6, 0), repeated(1_000_000, chunk("prIv", nil)))
		}},
		{Name: "png: a palette of nothing", Make: func() []byte {
			return pngOf(ihdr(30000, 30000, 8, 3, 0), chunk("PLTE", nil), chunk("IDAT", zeros(100)), chunk("IEND", nil))
		}},
		{Name: "png: text that inflates to 100 MB", Harmless: true, Make: func() []byte {
			return smallPNG(chunk("zTXt", join([]byte("a\x00\x00"), hundred())))
		}},
		{Name: "png: a thousand texts of 10 MB", Harmless: true, Make: func() []byte {
			return smallPNG(repeated(1000, chunk("zTXt", join([]byte("a\x00\x00"), zeros(10<<20)))))
		}},
		{Name: "png: international text that inflates", Harmless: true, Make: func() []byte {
			return smallPNG(chunk("iTXt", join([]byte("a\x00\x01\x00\x00\x00"), hundred())))
		}},
		{Name: "png: profile that inflates to 100 MB", Harmless: true, Make: func() []byte {
			return smallPNG(chunk("iCCP", join([]byte("a\x00\x00"), hundred())))
		}},
		{Name: "png: profile that inflates, in a huge picture", Make: func() []byte {
			return pngOf(ihdr(60000, 60000, 8, 2, 0), chunk("iCCP", join([]byte("a\x00\x00"), hundred())), chunk("IDAT", zeros(100)), chunk("IEND", nil))
		}},
		{Name: "png: pixels that inflate past the picture", Harmless: true, Make: func() []byte {
			return pngOf(ihdr(8, 8, 8, 0, 0), chunk("IDAT", hundred()), chunk("IEND", nil))
		}},
		{Name: "png: EXIF with entries of 4 GiB", Harmless: true, Make: func() []byte { return smallPNG(chunk("eXIf", wideExif()[10:])) }},
		{Name: "png: two billion frames", Harmless: true, Make: func() []byte {
			return smallPNG(chunk("acTL", []byte{0x7F, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0}))
		}},
	}
}
