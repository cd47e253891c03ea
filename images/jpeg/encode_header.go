package jpeg

import "encoding/binary"

// iccChunkMax is how many bytes of a profile fit in one APP2 segment beside
// its signature and two numbers (ICC.1:2010 B.4).
const iccChunkMax = segmentDataMax - len(iccSignature) - 2

// The quantisation tables of T.81 K.1 and K.2, in natural order; quality 50.
var (
	quantLuma = [blockSize]uint8{
		16, 11, 10, 16, 24, 40, 51, 61,
		12, 12, 14, 19, 26, 58, 60, 55,
		14, 13, 16, 24, 40, 57, 69, 56,
		14, 17, 22, 29, 51, 87, 80, 62,
		18, 22, 37, 56, 68, 109, 103, 77,
		24, 35, 55, 64, 81, 104, 113, 92,
		49, 64, 78, 87, 103, 121, 120, 101,
		72, 92, 95, 98, 112, 100, 103, 99,
	}
	quantChroma = [blockSize]uint8{
		17, 18, 24, 47, 99, 99, 99, 99,
		18, 21, 26, 66, 99, 99, 99, 99,
		24, 26, 56, 99, 99, 99, 99, 99,
		47, 66, 99, 99, 99, 99, 99, 99,
		99, 99, 99, 99, 99, 99, 99, 99,
		99, 99, 99, 99, 99, 99, 99, 99,
		99, 99, 99, 99, 99, 99, 99, 99,
		99, 99, 99, 99, 99, 99, 99, 99,
	}
)

// setQuality makes the quantisation tables of a quality, 1..100, on the scale
// of libjpeg: 50 is the tables of annex K, 100 divides by 1.
func (e *Encoder) setQuality(quality int, thrifty bool) {
	if e.quality == quality && e.thrifty == thrifty {
		return
	}
	percent := 200 - 2*quality
	if quality < 50 {
		percent = 5000 / quality
	}
	for i, base := range [2]*[blockSize]uint8{&quantLuma, &quantChroma} {
		for k, v := range base {
			e.table[i][k] = uint16(min(max((int(v)*percent+50)/100, 1), 255))
		}
		e.quant[i].Set(&e.table[i], thrifty && i == 0)
	}
	e.quality, e.thrifty = quality, thrifty
}

// appendSegment appends a marker and the length of the payload that follows.
func appendSegment(out []byte, marker byte, payload int) []byte {
	out = append(out, 0xFF, marker)
	return binary.BigEndian.AppendUint16(out, uint16(payload+2))
}

// appendJFIF appends the JFIF 1.01 header: no density, square samples, no thumbnail.
func appendJFIF(out []byte) []byte {
	out = appendSegment(out, markerAPP0, 14)
	out = append(out, jfifSignature...)
	return append(out, 1, 1, 0, 0, 1, 0, 1, 0, 0)
}

// appendMetadata appends Exif and the profile.
func appendMetadata(out []byte, opt *EncodeOptions) []byte {
	if len(opt.Exif) > 0 {
		out = appendSegment(out, markerAPP1, len(opt.Exif))
		out = append(out, opt.Exif...)
	}
	chunks := (len(opt.ICC) + iccChunkMax - 1) / iccChunkMax
	for i := range chunks {
		chunk := opt.ICC[i*iccChunkMax : min((i+1)*iccChunkMax, len(opt.ICC))]
		out = appendSegment(out, markerAPP2, len(iccSignature)+2+len(chunk))
		out = append(out, iccSignature...)
		out = append(out, byte(i+1), byte(chunks))
		out = append(out, chunk...)
	}
	return out
}

// appendQuantTables appends the tables in use, a segment each, 8-bit (T.81 B.2.4.1).
func (e *Encoder) appendQuantTables(out []byte) []byte {
	for i := range min(e.frame.n, 2) {
		out = appendSegment(out, markerDQT, 1+blockSize)
		out = append(out, byte(i))
		for k := range blockSize {
			out = append(out, byte(e.table[i][zigzag[k]]))
		}
	}
	return out
}

// appendHeader appends the frame header (T.81 B.2.2).
func (f *encodeFrame) appendHeader(out []byte, progressive bool) []byte {
	marker := byte(markerSOF0)
	if progressive {
		marker = markerSOF2
	}
	out = appendSegment(out, marker, 6+3*f.n)
	out = append(out, 8)
	out = binary.BigEndian.AppendUint16(out, uint16(f.height))
	out = binary.BigEndian.AppendUint16(out, uint16(f.width))
	out = append(out, byte(f.n))
	for i := range f.n {
		c := &f.components[i]
		out = append(out, byte(i+1), byte(c.h<<4|c.v), byte(c.chroma))
	}
	return out
}

// appendRestartInterval appends DRI where there is an interval (T.81 B.2.4.4).
func (f *encodeFrame) appendRestartInterval(out []byte) []byte {
	if f.restart == 0 {
		return out
	}
	out = appendSegment(out, markerDRI, 2)
	return binary.BigEndian.AppendUint16(out, uint16(f.restart))
}

// appendScanHeader appends the header of the one scan of a baseline file.
func (f *encodeFrame) appendScanHeader(out []byte) []byte {
	out = f.appendRestartInterval(out)
	out = appendSegment(out, markerSOS, 4+2*f.n)
	out = append(out, byte(f.n))
	for i := range f.n {
		tables := byte(f.components[i].chroma)
		out = append(out, byte(i+1), tables<<4|tables)
	}
	return append(out, 0, blockSize-1, 0)
}
