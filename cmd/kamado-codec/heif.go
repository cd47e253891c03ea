package main

import (
	"encoding/binary"
	"errors"
)

var (
	// errBoxes refuses a HEIF file whose boxes do not lie in the file.
	errBoxes = errors.New("a box runs past the end of the file")
	// errManyBoxes refuses one that is nothing but boxes: libheif keeps each.
	errManyBoxes = errors.New("more boxes than a picture has")
)

// boxesMax is how many outer boxes a file may have; a picture has 3 to 10.
const boxesMax = 1000

// checkBoxes walks a HEIF file's outer boxes as far as libheif does, which is
// up to the one named meta, and refuses one that others should follow but
// that ends beyond the file: libheif 1.19 asserts there that it can go on,
// and aborts, and one with too many of them. What else is wrong with the file libheif says itself. Boxes:
// ISO/IEC 14496-12, 4.2.
func checkBoxes(b []byte) error {
	const short, long = 8, 16 // bytes of a header with 32 and with 64 bits of size
	for n := 0; len(b) >= short; n++ {
		if n == boxesMax {
			return errManyBoxes
		}
		size, header := uint64(binary.BigEndian.Uint32(b)), uint64(short)
		kind := string(b[4:short])
		if size == 1 && len(b) >= long {
			size, header = binary.BigEndian.Uint64(b[short:]), long
		}
		if size == 0 || kind == "meta" { // the last box, or all that is needed
			return nil
		}
		if size < header || size > uint64(len(b)) {
			return errBoxes
		}
		b = b[size:]
	}
	return nil
}
