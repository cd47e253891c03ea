package bombtest

import (
	"bytes"
	"testing"

	"github.com/kamado/kamado/images"
	"github.com/kamado/kamado/images/codec/codectest"
)

// box is a box of ISO/IEC 14496-12, 4.2.
func box(kind string, parts ...[]byte) []byte {
	body := join(parts...)
	return join(big.AppendUint32(nil, uint32(len(body)+8)), []byte(kind), body)
}

// full is a box with a version of 0 and no flags.
func full(kind string, parts ...[]byte) []byte {
	return box(kind, append([][]byte{make([]byte, 4)}, parts...)...)
}

// picture is a real file of a format.
func picture(t testing.TB, f images.Format) []byte {
	t.Helper()
	for _, s := range codectest.Samples() {
		if s.Format == f && s.Name == f.String() {
			return s.Data
		}
	}
	t.Fatalf("no sample of %v", f)
	return nil
}

// spoken is a real file that claims another size (box ispe, ISO/IEC 23008-12,
// 6.5.3).
func spoken(file []byte, width, height uint32) []byte {
	b := bytes.Clone(file)
	for at := 0; ; at += 4 {
		i := bytes.Index(b[at:], []byte("ispe"))
		if i < 0 {
			return b
		}
		at += i
		big.PutUint32(b[at+8:], width)
		big.PutUint32(b[at+12:], height)
	}
}

func brand(b []byte) []byte {
	return b[:big.Uint32(b)]
}

// nested is a box in a box in a box, n deep.
func nested(n int) []byte {
	b := make([]byte, 0, 8*n)
	for i := range n {
		b = append(big.AppendUint32(b, uint32(8*(n-i))), "dinf"...)
	}
	return b
}

func heifs(t testing.TB) []Bomb {
	var list []Bomb
	for _, f := range []images.Format{images.AVIF, images.HEIC} {
		file := picture(t, f)
		meta := func(parts ...[]byte) []byte {
			handler := full("hdlr", make([]byte, 4), []byte("pict"), make([]byte, 13))
			return join(brand(file), full("meta", append([][]byte{handler, full("pitm", []byte{0, 1})}, parts...)...))
		}
		name := f.String() + ": "
		list = append(list,
			Bomb{Name: name + "65535x65535", Make: func() []byte { return spoken(file, 65535, 65535) }},
			Bomb{Name: name + "2^31-1 by 2^31-1", Make: func() []byte { return spoken(file, 1<<31-1, 1<<31-1) }},
			Bomb{Name: name + "2^32-1 by 2^32-1", Make: func() []byte { return spoken(file, 1<<32-1, 1<<32-1) }},
			Bomb{Name: name + "30000x10000", Make: func() []byte { return spoken(file, 30000, 10000) }},
			Bomb{Name: name + "no pixels", Make: func() []byte { return spoken(file, 0, 0) }},
			Bomb{Name: name + "boxes 100,000 deep", Make: func() []byte { return meta(nested(100_000)) }},
			Bomb{Name: name + "a million empty boxes", Make: func() []byte { return join(brand(file), repeated(1_000_000, box("free"))) }},
			Bomb{Name: name + "a million empty boxes inside", Make: func() []byte { return meta(repeated(1_000_000, box("free"))) }},
			Bomb{Name: name + "65,535 items of 65,535 extents", Make: func() []byte {
				entry := []byte{0, 1, 0, 0, 0xFF, 0xFF}
				return meta(full("iloc", []byte{0x44, 0, 0xFF, 0xFF}, repeated(60_000, entry)))
			}},
			Bomb{Name: name + "65,535 items without a name", Make: func() []byte {
				return meta(full("iinf", []byte{0xFF, 0xFF}, repeated(60_000, full("infe", []byte{0, 1, 0, 0}))))
			}},
			Bomb{Name: name + "a property table of a million", Make: func() []byte {
				return meta(box("iprp", box("ipco", repeated(500_000, box("xxxx")))))
			}},
		)
	}
	return list
}
