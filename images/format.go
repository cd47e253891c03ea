package images

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
)

// Format is a file format of pictures.
type Format uint8

// The formats. FormatUnknown in a Rendition means "as the original, JPEG when
// that cannot be written".
const (
	FormatUnknown Format = iota
	JPEG
	PNG
	WebP
	GIF
	AVIF
	HEIC
	TIFF
	BMP
	ICO
	SVG // a drawing; read only where the service was told to

	formatCount
)

// formatFacts is what there is to know about a format without reading it.
type formatFacts struct {
	name      string
	mediaType string
	extension string   // without the dot, the usual one
	aliases   []string // other names and extensions
	writable  bool     // renditions can be in this format
	lossy     bool     // quality means something
	alpha     bool     // transparency survives
	animated  bool     // several frames survive
}

var formats = [formatCount]formatFacts{
	FormatUnknown: {name: "unknown", mediaType: "application/octet-stream"},
	JPEG:          {name: "jpeg", mediaType: "image/jpeg", extension: "jpg", aliases: []string{"jpe", "jfif"}, writable: true, lossy: true},
	PNG:           {name: "png", mediaType: "image/png", extension: "png", writable: true, alpha: true},
	WebP:          {name: "webp", mediaType: "image/webp", extension: "webp", writable: true, lossy: true, alpha: true, animated: true},
	GIF:           {name: "gif", mediaType: "image/gif", extension: "gif", writable: true, alpha: true, animated: true},
	AVIF:          {name: "avif", mediaType: "image/avif", extension: "avif", writable: true, lossy: true, alpha: true},
	HEIC:          {name: "heic", mediaType: "image/heic", extension: "heic", aliases: []string{"heif"}},
	TIFF:          {name: "tiff", mediaType: "image/tiff", extension: "tif"},
	BMP:           {name: "bmp", mediaType: "image/bmp", extension: "bmp"},
	ICO:           {name: "ico", mediaType: "image/x-icon", extension: "ico"},
	SVG:           {name: "svg", mediaType: "image/svg+xml", extension: "svg"},
}

func (f Format) facts() formatFacts {
	if f >= formatCount {
		return formats[FormatUnknown]
	}
	return formats[f]
}

// String is the format's name: "jpeg", "png", ...
func (f Format) String() string { return f.facts().name }

// MediaType is the registered media type.
func (f Format) MediaType() string { return f.facts().mediaType }

// Extension is the usual file name extension without its dot: "jpg", "tif".
// It is empty for FormatUnknown.
func (f Format) Extension() string { return f.facts().extension }

// Writable says whether renditions can be made in this format. The others are
// formats of originals only.
func (f Format) Writable() bool { return f.facts().writable }

// Lossy says whether quality means something.
func (f Format) Lossy() bool { return f.facts().lossy }

// Alpha says whether transparency survives; JPEG needs a background instead.
func (f Format) Alpha() bool { return f.facts().alpha }

// Animated says whether more than one frame survives when this is written.
func (f Format) Animated() bool { return f.facts().animated }

// ParseFormat finds a format by name or extension, in lower case, without a
// dot: "jpg" and "jpeg" are JPEG.
func ParseFormat(s string) (Format, bool) {
	for f := JPEG; f < formatCount; f++ {
		if s == formats[f].name || s == formats[f].extension {
			return f, true
		}
		for _, alias := range formats[f].aliases {
			if s == alias {
				return f, true
			}
		}
	}
	return FormatUnknown, false
}

// Formats lists all formats; the writable ones when only those are wanted.
func Formats(writableOnly bool) []Format {
	var list []Format
	for f := JPEG; f < formatCount; f++ {
		if !writableOnly || f.Writable() {
			list = append(list, f)
		}
	}
	return list
}

// MarshalText is String.
func (f Format) MarshalText() ([]byte, error) { return []byte(f.String()), nil }

// UnmarshalText is ParseFormat.
func (f *Format) UnmarshalText(text []byte) error {
	v, ok := ParseFormat(strings.ToLower(string(text)))
	if !ok {
		return fmt.Errorf("%q is not a format of pictures", text)
	}
	*f = v
	return nil
}

// SniffLength is how many bytes Sniff looks at. Fewer are enough for every
// format whose first bytes are there.
const SniffLength = 64

// Sniff tells a format by its first bytes; the name of a file and the media
// type that somebody claims enter nothing. FormatUnknown: none of ours.
func Sniff(head []byte) Format {
	switch {
	case bytes.HasPrefix(head, []byte{0xFF, 0xD8, 0xFF}):
		return JPEG
	case bytes.HasPrefix(head, []byte("\x89PNG\r\n\x1a\n")):
		return PNG
	case len(head) >= 12 && string(head[:4]) == "RIFF" && string(head[8:12]) == "WEBP":
		return WebP
	case bytes.HasPrefix(head, []byte("GIF87a")), bytes.HasPrefix(head, []byte("GIF89a")):
		return GIF
	case bytes.HasPrefix(head, []byte("II*\x00")), bytes.HasPrefix(head, []byte("MM\x00*")),
		bytes.HasPrefix(head, []byte("II+\x00")), bytes.HasPrefix(head, []byte("MM\x00+")): // + is BigTIFF
		return TIFF
	case sniffBMP(head):
		return BMP
	case sniffICO(head):
		return ICO
	case sniffSVG(head):
		return SVG
	}
	return sniffISO(head)
}

// sniffSVG takes every XML document for a drawing, and what begins with the
// element svg: the declaration alone can be longer than SniffLength, and
// package svg refuses what is something else.
func sniffSVG(head []byte) bool {
	head = bytes.TrimLeft(bytes.TrimPrefix(head, []byte("\xEF\xBB\xBF")), " \t\r\n")
	for _, begin := range []string{"<?xml", "<svg", "<!DOCTYPE svg"} {
		if rest, ok := bytes.CutPrefix(head, []byte(begin)); ok && len(rest) > 0 {
			return bytes.IndexByte([]byte(" \t\r\n>/["), rest[0]) >= 0
		}
	}
	return false
}

// sniffBMP needs more than "BM", which begins ordinary text: the reserved
// words must be zero and the length of the second header one that exists.
func sniffBMP(head []byte) bool {
	if len(head) < 18 || head[0] != 'B' || head[1] != 'M' || binary.LittleEndian.Uint32(head[6:]) != 0 {
		return false
	}
	switch binary.LittleEndian.Uint32(head[14:]) {
	case 12, 16, 40, 52, 56, 64, 108, 124: // OS/2 1, OS/2 2 short, BITMAPINFOHEADER, V2, V3, OS/2 2, V4, V5
		return true
	}
	return false
}

// sniffICO: reserved 0, type 1 (icon; 2 is a cursor), 1 to 255 pictures, and
// the first entry's reserved byte zero.
func sniffICO(head []byte) bool {
	return len(head) >= 10 && head[0] == 0 && head[1] == 0 && head[2] == 1 && head[3] == 0 &&
		head[4] != 0 && head[5] == 0 && head[9] == 0
}

// sniffISO tells AVIF from HEIC by the brands of the ftyp box (ISO/IEC
// 14496-12 4.3): the major brand at offset 8, compatible ones from 16 on. The
// general brands mif1 and msf1 say only "HEIF"; then the compatible brands
// decide, and HEIC is what is left.
func sniffISO(head []byte) Format {
	if len(head) < 12 || string(head[4:8]) != "ftyp" {
		return FormatUnknown
	}
	size := int(min(binary.BigEndian.Uint32(head), uint32(len(head))))
	brands := []string{string(head[8:12])}
	for at := 16; at+4 <= size; at += 4 {
		brands = append(brands, string(head[at:at+4]))
	}
	general := false
	for _, b := range brands {
		switch b {
		case "avif", "avis":
			return AVIF
		case "heic", "heix", "heim", "heis", "hevc", "hevx", "hevm", "hevs":
			return HEIC
		case "mif1", "msf1", "mif2", "miaf":
			general = true
		}
	}
	if general {
		return HEIC
	}
	return FormatUnknown
}
