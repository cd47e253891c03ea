package bombtest

import "encoding/base64"

// onePixel is a VP8 chunk of a picture of one pixel.
func onePixel() []byte {
	b, err := base64.StdEncoding.DecodeString("UklGRiIAAABXRUJQVlA4IBYAAAAwAQCdASoBAAEADsD+JaQAA3AAAAAA")
	if err != nil {
		panic(err)
	}
	return b[12:]
}

// riff wraps chunks in the container (WebP container specification).
func riff(chunks ...[]byte) []byte {
	body := join([]byte("WEBP"), join(chunks...))
	return join([]byte("RIFF"), little.AppendUint32(nil, uint32(len(body))), body)
}

func riffChunk(kind string, body []byte) []byte {
	b := join([]byte(kind), little.AppendUint32(nil, uint32(len(body))), body)
	if len(body)%2 == 1 {
		b = append(b, 0)
	}
	return b
}

func u24(v int) []byte { return []byte{byte(v), byte(v >> 8), byte(v >> 16)} }

// extended is the header of a canvas: flags 2 is animated, 32 has a profile.
func extended(flags byte, width, height int) []byte {
	return riffChunk("VP8X", join([]byte{flags, 0, 0, 0}, u24(width-1), u24(height-1)))
}

// lossy is a key frame's header with a size of 14 bits (RFC 6386, 9.1).
func lossy(width, height int) []byte {
	b := onePixel()
	at := 8 + 6
	little.PutUint16(b[at:], uint16(width))
	little.PutUint16(b[at+2:], uint16(height))
	return b
}

func lossless(width, height int) []byte {
	return riffChunk("VP8L", join([]byte{0x2F}, little.AppendUint32(nil, uint32(width-1)|uint32(height-1)<<14), make([]byte, 32)))
}

// anim is a frame of one pixel in an animation.
func anim() []byte {
	return riffChunk("ANMF", join(u24(0), u24(0), u24(0), u24(0), u24(100), []byte{0}, onePixel()))
}

func webps() []Bomb {
	moving := riffChunk("ANIM", make([]byte, 6))
	return []Bomb{
		{Name: "webp: canvas of 2^24 by 2^24", Make: func() []byte { return riff(extended(0, 1<<24, 1<<24), onePixel()) }},
		{Name: "webp: canvas of 65535x65535", Make: func() []byte { return riff(extended(0, 65535, 65535), onePixel()) }},
		{Name: "webp: 16383x16383 lossy", Make: func() []byte { return riff(lossy(16383, 16383)) }},
		{Name: "webp: 16384x16384 lossless", Make: func() []byte { return riff(lossless(16384, 16384)) }},
		{Name: "webp: no pixels", Make: func() []byte { return riff(lossy(0, 0)) }},
		{Name: "webp: moving canvas of 16383x16383", Make: func() []byte { return riff(extended(2, 16383, 16383), moving, repeated(3, anim())) }},
		{Name: "webp: ten thousand frames of 1000x1000", Make: func() []byte {
			return riff(extended(2, 1000, 1000), moving, repeated(10_000, anim()))
		}},
		{Name: "webp: moving and no frame", Make: func() []byte { return riff(extended(2, 5000, 5000), moving) }},
		{Name: "webp: profile of 16 MB around a huge picture", Make: func() []byte {
			return riff(extended(32, 16383, 16383), riffChunk("ICCP", make([]byte, 16<<20)), lossy(16383, 16383))
		}},
		{Name: "webp: a chunk of 4 GiB", Make: func() []byte {
			return riff(extended(0, 16383, 16383), []byte("VP8 \xFF\xFF\xFF\xFF"), make([]byte, 64))
		}},
		{Name: "webp: a million chunks and no picture", Make: func() []byte { return riff(extended(0, 8, 8), repeated(1_000_000, riffChunk("XXXX", nil))) }},
	}
}
