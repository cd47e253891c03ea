package codec

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"github.com/kamado/kamado/images"
)

const (
	// pngChunksMax is how many chunks a PNG may have: 64 MiB of pixels in
	// pieces of 8 KiB, as many writers cut them, are 8,192.
	pngChunksMax = 100_000
	// pngSlack is how many bytes of IDAT there may be beyond twice the bytes
	// of the pixels: no deflate stream is longer than a little more than what
	// it holds, so the rest is not of the picture, but would be inflated, a
	// thousandfold.
	pngSlack = 4 << 10
	// pngPiecesMax is how many pieces are written one by one; more are put
	// together first.
	pngPiecesMax = 64
)

// pngKept are the chunks that say how the pixels are seen (PNG 3rd edition,
// 11); the first of each is kept. Texts, times, frames of APNG and what is
// private are not: nobody reads them here, and a decoder would inflate or
// store each one before it comes to the picture.
var pngKept = map[string]bool{"PLTE": true, "tRNS": true, "iCCP": true, "sRGB": true, "gAMA": true, "cHRM": true, "eXIf": true}

// SlimPNG gives a PNG in pieces, with only what makes its picture. The pieces
// are parts of data, but for a header. What does not look like chunks is given
// as it is, for the decoder to refuse. The error is an *images.Error.
func SlimPNG(data []byte) ([][]byte, error) {
	const signature, header, frame = 8, 13, 12 // frame: length, type and checksum around the content
	if len(data) < signature+header+frame || string(data[signature+4:signature+8]) != "IHDR" {
		return [][]byte{data}, nil
	}
	s := slim{data: data, pixels: pngPixels(data[signature+8:][:header]), seen: map[string]bool{}}
	at := signature
	for chunks := 0; len(data)-at >= frame; chunks++ {
		if chunks == pngChunksMax {
			return nil, images.Errorf(images.TooLarge, "the original is a PNG file of more than %d chunks", pngChunksMax)
		}
		length := int64(binary.BigEndian.Uint32(data[at:]))
		if length > int64(len(data)-at-frame) {
			break
		}
		next := at + frame + int(length)
		kind := string(data[at+4 : at+8])
		s.chunk(kind, at, next)
		if at = next; kind == "IEND" {
			return s.finish(at), nil
		}
	}
	return s.finish(len(data)), nil
}

// slim collects pieces.
type slim struct {
	data   []byte
	parts  [][]byte
	from   int   // of what is not yet in parts
	pixels int64 // bytes of IDAT that may still come
	seen   map[string]bool
}

func (s *slim) chunk(kind string, at, next int) {
	const frame = 12
	length := int64(next - at - frame)
	switch {
	case kind == "IDAT" && length > 0 && s.pixels > 0:
		if s.pixels -= length; s.pixels < 0 {
			s.cut(at, int(length+s.pixels))
			s.from = next
		}
	case kind == "IHDR" && at == 8, kind == "IEND", pngKept[kind] && !s.seen[kind], kind[0] >= 'A' && kind[0] <= 'Z' && kind != "IDAT" && !pngKept[kind]:
		s.seen[kind] = true
	default:
		s.leave(at)
		s.from = next
	}
}

// leave ends a piece before at.
func (s *slim) leave(at int) {
	if at > s.from {
		s.parts = append(s.parts, s.data[s.from:at])
	}
}

// cut keeps the first n bytes of an IDAT chunk, as a chunk of its own.
func (s *slim) cut(at, n int) {
	s.leave(at)
	head := append(binary.BigEndian.AppendUint32(nil, uint32(n)), "IDAT"...)
	body := s.data[at+8:][:n]
	sum := crc32.Update(crc32.ChecksumIEEE(head[4:]), crc32.IEEETable, body)
	s.parts = append(s.parts, head, body, binary.BigEndian.AppendUint32(nil, sum))
}

func (s *slim) finish(end int) [][]byte {
	s.leave(end)
	return s.parts
}

// pngPixels is how many bytes of IDAT a picture with this header can need.
func pngPixels(ihdr []byte) int64 {
	const many = 1 << 40
	width, height := int64(binary.BigEndian.Uint32(ihdr)), int64(binary.BigEndian.Uint32(ihdr[4:]))
	samples := map[byte]int64{0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[ihdr[9]]
	row := 1 + (width*samples*int64(ihdr[8])+7)/8 // with its filter byte; below 2^44
	if row > many/max(height, 1) {
		return many
	}
	n := 2*row*height + pngSlack
	if ihdr[12] != 0 { // interlaced: seven pictures with rows of their own
		n *= 2
	}
	return n
}

// parts is what of a file goes to a worker.
func parts(data []byte, f images.Format) ([][]byte, error) {
	switch {
	case len(data) == 0:
		return nil, images.Errorf(images.Unprocessable, "the original is empty")
	case f == images.PNG:
		list, err := SlimPNG(data)
		if err != nil {
			return nil, fmt.Errorf("slim PNG: %w", err)
		}
		if len(list) > pngPiecesMax {
			list = [][]byte{bytes.Join(list, nil)}
		}
		return list, nil
	}
	return [][]byte{data}, nil
}
