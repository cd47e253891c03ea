package purego

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io"
	"time"

	"github.com/kamado/kamado/images"
	"github.com/kamado/kamado/images/codec"
	"golang.org/x/image/tiff"
	"golang.org/x/image/webp"
)

func milliseconds(n int) time.Duration { return time.Duration(n) * time.Millisecond }

// open reads a header. Errors are the decoder's own.
func open(data []byte, format images.Format) (*source, error) {
	if len(data) == 0 {
		return nil, images.Errorf(images.Unprocessable, "the original is empty")
	}
	switch format {
	case images.PNG:
		parts, err := codec.SlimPNG(data)
		if err != nil {
			return nil, err
		}
		if len(parts) > 1 {
			data = bytes.Join(parts, nil)
		}
		return openStill(data, format, png.DecodeConfig, png.Decode, pngFacts)
	case images.WebP:
		return openStill(data, format, webp.DecodeConfig, webp.Decode, webpFacts)
	case images.TIFF:
		return openStill(data, format, tiff.DecodeConfig, tiff.Decode, tiffFacts)
	case images.GIF:
		return openGIF(data)
	case images.BMP:
		return openBMP(data)
	case images.ICO:
		return openICO(data)
	}
	return nil, fmt.Errorf("%w: %v", codec.ErrFormat, format)
}

// facts are what the standard decoders do not tell.
type facts struct {
	orientation int // EXIF; 0 when not said
	bits        int // of a sample; 0: as the colour model says
	icc         bool
	profile     func() []byte // with icc
	transparent bool          // alpha where the colour model alone does not show it
	pages       int
}

// openStill serves the formats of the standard and x/image decoders.
func openStill(data []byte, format images.Format, config func(io.Reader) (image.Config, error),
	decode func(io.Reader) (image.Image, error), look func([]byte) (facts, error)) (*source, error) {
	more, err := look(data)
	if err != nil {
		return nil, err
	}
	c, err := config(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	if c.Width < 1 || c.Height < 1 {
		return nil, fmt.Errorf("%dx%d pixels", c.Width, c.Height)
	}
	info, size := describe(c, more)
	info.Format = format
	s := &source{info: info, bytes: int64(c.Width) * int64(c.Height) * size, profile: more.profile}
	s.frames = func(ctx context.Context, _ int, each func(picture, int) error) (bool, error) {
		m, err := decode(&reader{ctx: ctx, Reader: bytes.NewReader(data)})
		if err != nil {
			return false, err
		}
		if m.Bounds().Dx() != c.Width || m.Bounds().Dy() != c.Height {
			return false, fmt.Errorf("%v pixels where the header says %dx%d", m.Bounds(), c.Width, c.Height)
		}
		return false, each(newPicture(m), 0)
	}
	return s, nil
}

// describe makes an Info, and the bytes that a decoded pixel takes.
func describe(c image.Config, more facts) (codec.Info, int64) {
	info := codec.Info{Width: c.Width, Height: c.Height, Pages: 1, Orientation: 1, Bits: 8, Loop: 1, Alpha: more.transparent, ICC: more.icc}
	size := int64(4)
	switch c.ColorModel {
	case color.GrayModel:
		info.Gray, size = !more.transparent, 1
	case color.Gray16Model:
		info.Gray, info.Bits, size = !more.transparent, 16, 2
	case color.NRGBAModel, color.NYCbCrAModel:
		info.Alpha = true
	case color.NRGBA64Model:
		info.Alpha, info.Bits, size = true, 16, 8
	case color.RGBA64Model:
		info.Bits, size = 16, 8
	case color.YCbCrModel:
		size = 3
	}
	if p, ok := c.ColorModel.(color.Palette); ok {
		size = 1
		for _, entry := range p {
			if _, _, _, a := entry.RGBA(); a != 0xFFFF {
				info.Alpha = true
			}
		}
	}
	if more.transparent {
		size = max(size*2, 4)
	}
	if more.bits > 0 {
		info.Bits = more.bits
	}
	if more.orientation >= 1 && more.orientation <= 8 {
		info.Orientation = more.orientation
	}
	if info.Orientation >= 5 {
		info.Width, info.Height = info.Height, info.Width
	}
	info.Pages = max(more.pages, 1)
	return info, size
}

// pngFacts walks the chunks before the first pixels (PNG 3rd edition, 5.3).
func pngFacts(data []byte) (facts, error) {
	var f facts
	at := 8
	for at+8 <= len(data) {
		n := int(binary.BigEndian.Uint32(data[at:]))
		body := data[at+8:]
		if n < 0 || n > len(body) {
			break
		}
		body = body[:n]
		switch string(data[at+4 : at+8]) {
		case "IHDR":
			if n >= 9 {
				f.bits = int(body[8])
			}
		case "tRNS":
			f.transparent = true
		case "iCCP":
			f.icc, f.profile = true, func() []byte { return pngProfile(body) }
		case "eXIf":
			f.orientation = exifOrientation(body)
		case "IDAT", "IEND":
			return f, nil
		}
		at += 12 + n
	}
	return f, nil
}

// webpFacts walks the chunks of the RIFF container.
func webpFacts(data []byte) (facts, error) {
	var f facts
	at := 12
	for at+8 <= len(data) {
		n := int(binary.LittleEndian.Uint32(data[at+4:]))
		body := data[at+8:]
		if n < 0 || n > len(body) {
			break
		}
		body = body[:n]
		switch string(data[at : at+4]) {
		case "VP8X":
			if n > 0 && body[0]&0x02 != 0 {
				return f, fmt.Errorf("%w: animated WebP: %w", codec.ErrFormat, errUnsupported)
			}
			if n > 0 && body[0]&0x10 != 0 {
				f.transparent = true
			}
		case "VP8L":
			if n > 4 && body[4]&0x10 != 0 {
				f.transparent = true
			}
		case "ICCP":
			f.icc, f.profile = true, func() []byte { return body }
		case "EXIF":
			f.orientation = exifOrientation(bytes.TrimPrefix(body, []byte("Exif\x00\x00")))
		}
		at += 8 + n + n&1
	}
	return f, nil
}

func tiffFacts(data []byte) (facts, error) {
	var f facts
	walkTIFF(data, func(tag, count, value uint32) {
		switch tag {
		case 274:
			f.orientation = int(value)
		case 338: // ExtraSamples: 1 premultiplied, 2 straight alpha
			f.transparent = value == 1 || value == 2
		case 34675: // InterColorProfile, TIFF/EP 5.2
			f.icc = true
			if at, n := uint64(value), uint64(count); n <= profileMax && at+n <= uint64(len(data)) {
				f.profile = func() []byte { return data[at : at+n] }
			}
		}
	})
	return f, nil
}

// exifOrientation finds tag 274 in an EXIF block, which is a small TIFF.
func exifOrientation(exif []byte) (orientation int) {
	walkTIFF(exif, func(tag, _, value uint32) {
		if tag == 274 {
			orientation = int(value)
		}
	})
	return orientation
}

// walkTIFF tells the tags of the first directory with how many values they
// have and the first value, or its offset where all are longer than four bytes.
func walkTIFF(b []byte, tell func(tag, count, value uint32)) {
	if len(b) < 8 {
		return
	}
	var order binary.ByteOrder = binary.LittleEndian
	if b[0] == 'M' {
		order = binary.BigEndian
	}
	at := int64(order.Uint32(b[4:]))
	if order.Uint16(b[2:]) != 42 || at+2 > int64(len(b)) {
		return
	}
	count := int64(order.Uint16(b[at:]))
	for i := range count {
		entry := at + 2 + 12*i
		if entry+12 > int64(len(b)) {
			return
		}
		value := order.Uint32(b[entry+8:])
		if order.Uint16(b[entry+2:]) == 3 { // SHORT: in the first two bytes
			value = uint32(order.Uint16(b[entry+8:]))
		}
		tell(uint32(order.Uint16(b[entry:])), order.Uint32(b[entry+4:]), value)
	}
}

// reader stops a decoder when the context ends.
type reader struct {
	ctx context.Context
	*bytes.Reader
}

func (r *reader) Read(b []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.Reader.Read(b)
}

func (r *reader) ReadAt(b []byte, off int64) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.Reader.ReadAt(b, off)
}
