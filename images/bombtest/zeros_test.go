package bombtest

import (
	"bytes"
	"compress/zlib"
	"io"
	"testing"
)

func TestZeros(t *testing.T) {
	for _, n := range []int{0, 1, mega, 2 * mega, 3*mega + 5} {
		z, err := zlib.NewReader(bytes.NewReader(zeros(n)))
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(z)
		if err != nil || len(b) != n || bytes.Count(b, []byte{0}) != n {
			t.Errorf("%d zeros came out as %d bytes, %v", n, len(b), err)
		}
	}
}
