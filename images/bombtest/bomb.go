package bombtest

import (
	"bytes"
	"compress/flate"
	"compress/zlib"
	"encoding/binary"
	"slices"
	"sync"
	"testing"
)

// Bomb is one file.
type Bomb struct {
	Name     string
	Make     func() []byte
	Harmless bool // may be shown instead of refused
}

// All are the bombs of every format.
func All(t testing.TB) []Bomb {
	t.Helper()
	return slices.Concat(jpegs(), pngs(), gifs(), webps(), heifs(t), tiffs(), bitmaps(), drawings())
}

var (
	big    = binary.BigEndian
	little = binary.LittleEndian
)

// mega is how many zeros a piece of a stream stands for.
const mega = 1 << 20

// pieces are the first and every further megabyte of zeros in a zlib stream.
var pieces = sync.OnceValues(func() (first, further []byte) {
	var b bytes.Buffer
	z, _ := zlib.NewWriterLevel(&b, zlib.BestCompression)
	zero := make([]byte, mega)
	for range 2 {
		z.Write(zero) // to memory
		z.Flush()
		first, further = further, bytes.Clone(b.Bytes())
		b.Reset()
	}
	return first, further
})

// zeros is n zero bytes in a zlib stream, about a thousandth of them. It is
// put together from pieces, since deflating a hundred megabytes takes time.
func zeros(n int) []byte {
	var b bytes.Buffer
	if n < 2*mega {
		z, _ := zlib.NewWriterLevel(&b, zlib.BestCompression)
		z.Write(make([]byte, n))
		z.Close()
		return b.Bytes()
	}
	first, further := pieces()
	b.Write(first)
	for range n/mega - 1 {
		b.Write(further)
	}
	last, _ := flate.NewWriter(&b, flate.BestCompression)
	last.Write(make([]byte, n%mega))
	last.Close()
	// RFC 1950, 2.2: Adler-32 of zeros is their number and one.
	return big.AppendUint32(b.Bytes(), uint32(n%65521)<<16|1)
}

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
