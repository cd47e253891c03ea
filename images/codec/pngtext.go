package codec

import "encoding/binary"

// pngPartsMax bounds the pieces that a PNG is cut into; what text comes after
// so many stays in. Real files have a handful of texts.
const pngPartsMax = 1024

// withoutText gives a PNG in pieces, its text chunks left out (PNG 3rd edition,
// 11.3.3): nobody reads them here, and a worker would inflate each one, a
// thousandfold, before it comes to the picture. What does not look like chunks
// is given as it is.
func withoutText(data []byte) [][]byte {
	const signature, frame = 8, 12 // length, type and checksum around the content
	var parts [][]byte
	from := 0
	for at := signature; len(data)-at >= frame && len(parts) < pngPartsMax; {
		length := int64(binary.BigEndian.Uint32(data[at:]))
		if length > int64(len(data)-at-frame) {
			break
		}
		next := at + frame + int(length)
		switch string(data[at+4 : at+8]) {
		case "tEXt", "zTXt", "iTXt":
			if at > from {
				parts = append(parts, data[from:at])
			}
			from = next
		}
		at = next
	}
	return append(parts, data[from:])
}
