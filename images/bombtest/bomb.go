package bombtest

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"slices"
)

// Bomb is one file.
type Bomb struct {
	Name     string
	Make     func() []byte
	Harmless bool // may be shown instead of refused
}

// All are the bombs of every format.
func All() []Bomb {
	return slices.Concat(jpegs(), pngs(), gifs(), webps(), heifs(), tiffs(), bitmaps(), drawings())
}

var (
	big    = binary.BigEndian
	little = binary.LittleEndian
)

// zeros is n zero bytes, deflated: about a thousandth of them.
func zeros(n int) []byte {
	var b bytes.Buffer
	z, _ := zlib.NewWriterLevel(&b, zlib.BestCompression)
	piece := make([]byte, 1<<20)
	for ; n > 0; n -= len(piece) {
		z.Write(piece[:min(n, len(piece))]) // to memory
	}
	z.Close()
	return b.Bytes()
}

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
