package jpeg

// Marker codes, T.81 table B.1: the byte after 0xFF.
const (
	markerTEM   = 0x01
	markerSOF0  = 0xC0 // baseline sequential, Huffman
	markerSOF1  = 0xC1 // extended sequential, Huffman
	markerSOF2  = 0xC2 // progressive, Huffman
	markerSOF3  = 0xC3 // lossless, Huffman
	markerDHT   = 0xC4
	markerSOF5  = 0xC5 // differential (hierarchical) ...
	markerSOF7  = 0xC7
	markerJPG   = 0xC8
	markerSOF9  = 0xC9 // sequential, arithmetic
	markerSOF15 = 0xCF
	markerDAC   = 0xCC
	markerRST0  = 0xD0
	markerRST7  = 0xD7
	markerSOI   = 0xD8
	markerEOI   = 0xD9
	markerSOS   = 0xDA
	markerDQT   = 0xDB
	markerDNL   = 0xDC
	markerDRI   = 0xDD
	markerAPP0  = 0xE0
	markerAPP1  = 0xE1
	markerAPP2  = 0xE2
	markerAPP14 = 0xEE
	markerAPP15 = 0xEF
	markerCOM   = 0xFE
)

// Signatures at the start of application segments.
const (
	jfifSignature  = "JFIF\x00"
	exifSignature  = "Exif\x00\x00"
	iccSignature   = "ICC_PROFILE\x00" // then chunk number and count, one byte each
	adobeSignature = "Adobe"
)

// Geometry that T.81 fixes.
const (
	blockSide      = 8
	blockSize      = 64
	tablesMax      = 4     // quantisation tables, and Huffman tables of a class
	componentsMax  = 4     // of a picture; T.81 allows 255, of a scan 4
	mcuBlocksMax   = 10    // T.81 B.2.3
	samplingMax    = 4     // T.81 table B.2
	sideMax        = 65500 // what libjpeg-turbo takes; the format can say 65535
	segmentDataMax = 65533 // bytes of a segment after its two length bytes
)

// zigzag maps the position of a coefficient in the stream to its place in the
// block, row*8 + column (T.81 figure A.6). The 16 entries past the end catch
// runs of corrupt streams that leave the block.
var zigzag = [blockSize + 16]uint8{
	0, 1, 8, 16, 9, 2, 3, 10,
	17, 24, 32, 25, 18, 11, 4, 5,
	12, 19, 26, 33, 40, 48, 41, 34,
	27, 20, 13, 6, 7, 14, 21, 28,
	35, 42, 49, 56, 57, 50, 43, 36,
	29, 22, 15, 23, 30, 37, 44, 51,
	58, 59, 52, 45, 38, 31, 39, 46,
	53, 60, 61, 54, 47, 55, 62, 63,
	63, 63, 63, 63, 63, 63, 63, 63,
	63, 63, 63, 63, 63, 63, 63, 63,
}
