package codectest

import (
	"bytes"
	"compress/zlib"
	"embed"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"image"
	"image/color"
	"image/color/palette"
	"image/gif"
	"image/jpeg"
	"image/png"

	"github.com/kamado/kamado/images"
	"golang.org/x/image/bmp"
	"golang.org/x/image/tiff"
)

// Width and Height are those of every sample's oriented picture.
const (
	Width  = 64
	Height = 48
)

//go:embed testdata
var files embed.FS

// Sample is a file and what is true of it.
type Sample struct {
	Name   string
	Format images.Format
	Data   []byte

	Pages       int // 1 when zero
	Orientation int // 1 when zero
	Bits        int // 8 when zero, -1: codecs differ
	Alpha       bool
	ICC         bool // wrong colours unless the profile is applied
	Gray        bool
	CMYK        bool // of pure inks: colours are those of print, duller
	CRule       bool // only C libraries read it: the format's rarer side
	Tolerance   int  // of a colour channel; 3 when zero
}

// quarter is the colour at a place of the oriented scene.
func quarter(x, y int) color.NRGBA {
	switch {
	case x < Width/2 && y < Height/2:
		return color.NRGBA{255, 0, 0, 255}
	case y < Height/2:
		return color.NRGBA{0, 255, 0, 255}
	case x < Width/2:
		return color.NRGBA{0, 0, 255, 255}
	}
	return color.NRGBA{255, 255, 255, 255}
}

// grey is the scene without colour, three steps and white.
func grey(x, y int) color.NRGBA {
	v := uint8(x/(Width/2)+y/(Height/2)*2) * 85
	return color.NRGBA{v, v, v, 255}
}

// scene paints the picture as it lies in a file of an orientation.
func scene(m interface {
	image.Image
	Set(x, y int, c color.Color)
}, orientation int, paint func(x, y int) color.NRGBA) {
	b := m.Bounds()
	for y := range b.Dy() {
		for x := range b.Dx() {
			ox, oy := oriented(x, y, orientation)
			m.Set(b.Min.X+x, b.Min.Y+y, paint(ox, oy))
		}
	}
}

// oriented is where a stored pixel is seen (EXIF 2.32, tag 274).
func oriented(x, y, orientation int) (int, int) {
	switch orientation {
	case 2:
		return Width - 1 - x, y
	case 3:
		return Width - 1 - x, Height - 1 - y
	case 4:
		return x, Height - 1 - y
	case 5:
		return y, x
	case 6:
		return Width - 1 - y, x
	case 7:
		return Width - 1 - y, Height - 1 - x
	case 8:
		return y, Height - 1 - x
	}
	return x, y
}

func stored(orientation int) image.Rectangle {
	if orientation >= 5 {
		return image.Rect(0, 0, Height, Width)
	}
	return image.Rect(0, 0, Width, Height)
}

func nrgba(orientation int) *image.NRGBA {
	m := image.NewNRGBA(stored(orientation))
	scene(m, orientation, quarter)
	return m
}

// must is for encoders that cannot fail on these pictures.
func must(encode func(*bytes.Buffer) error) []byte {
	var b bytes.Buffer
	if err := encode(&b); err != nil {
		panic(fmt.Sprintf("codectest: encode: %v", err))
	}
	return b.Bytes()
}

func pngOf(m image.Image) []byte {
	return must(func(b *bytes.Buffer) error { return png.Encode(b, m) })
}

func file(name string) []byte {
	b, err := files.ReadFile("testdata/" + name)
	if err != nil {
		panic("codectest: " + err.Error())
	}
	return b
}

// Samples are all still pictures of the suite.
func Samples() []Sample {
	list := append(pngSamples(), tiffSamples()...)
	list = append(list, bmpSamples()...)
	for o := 1; o <= 8; o++ {
		list = append(list,
			Sample{Name: fmt.Sprintf("png orientation %d", o), Format: images.PNG, Orientation: o, Data: Turned(pngOf(opaque{nrgba(o)}), o)},
			Sample{Name: fmt.Sprintf("tiff orientation %d", o), Format: images.TIFF, Orientation: o, Data: rawTIFF(o, false)},
			Sample{Name: fmt.Sprintf("jpeg orientation %d", o), Format: images.JPEG, Orientation: o, Tolerance: 12, Data: jpegWithEXIF(o)})
	}
	return append(list,
		Sample{Name: "gif", Format: images.GIF, Data: must(func(b *bytes.Buffer) error { return gif.Encode(b, paletted(), nil) }), Bits: -1},
		Sample{Name: "jpeg cmyk", Format: images.JPEG, Data: file("cmyk.jpg"), CMYK: true},
		Sample{Name: "webp with profile", Format: images.WebP, Data: file("p3.webp"), ICC: true},
		Sample{Name: "webp orientation 6", Format: images.WebP, Data: file("orientation6.webp"), Orientation: 6, CRule: true},
		Sample{Name: "avif", Format: images.AVIF, Data: file("still.avif"), Tolerance: 12},
		Sample{Name: "heic", Format: images.HEIC, Data: file("still.heic"), Tolerance: 40},
	)
}

// damagedHeaders are files whose headers lead beyond them, or beyond what the
// codec may say.
func damagedHeaders() []Sample {
	var list []Sample
	for _, f := range []images.Format{images.AVIF, images.HEIC} {
		still := file("still." + f.String())
		brand := binary.BigEndian.Uint32(still)
		box := func(name string, header ...byte) {
			data := append(append(bytes.Clone(still[:brand]), header...), still[brand:]...)
			list = append(list, Sample{Name: f.String() + " " + name, Format: f, Data: data})
		}
		list = append(list, Sample{Name: f.String() + " cut in its first box", Format: f, Data: still[:brand-1]})
		box("with a box past the end", 0, 1, 0, 0, 'f', 'r', 'e', 'e')
		box("with a long box past the end", 0, 0, 0, 1, 'f', 'r', 'e', 'e', 0, 0, 1, 0, 0, 0, 0, 0)
		box("with a box back to its own beginning", 0, 0, 0, 1, 'f', 'r', 'e', 'e', 0, 0, 0, 0, 0, 0, 0, 0)
		box("with a box back to the beginning", 0, 0, 0, 1, 'f', 'r', 'e', 'e', 255, 255, 255, 255, 255, 255, 255, byte(256-brand))
	}
	for _, at := range []int{16, 20} { // width and height in the header
		wide := pngOf(opaque{nrgba(1)})
		binary.BigEndian.PutUint32(wide[at:], 1<<20+1)
		binary.BigEndian.PutUint32(wide[29:], crc32.ChecksumIEEE(wide[12:29]))
		list = append(list, Sample{Name: fmt.Sprintf("png with a long side at %d", at), Format: images.PNG, Data: wide})
	}
	return list
}

// opaque hides alpha, so that encoders write three channels.
type opaque struct{ *image.NRGBA }

func (opaque) Opaque() bool { return true }

func paletted() *image.Paletted {
	m := image.NewPaletted(stored(1), palette.WebSafe)
	scene(m, 1, quarter)
	return m
}

func pngSamples() []Sample {
	half := image.NewNRGBA(stored(1))
	scene(half, 1, func(x, y int) color.NRGBA { c := quarter(x, y); c.A = 128; return c })
	deep, deepAlpha := image.NewRGBA64(stored(1)), image.NewNRGBA64(stored(1))
	scene(deep, 1, quarter)
	scene(deepAlpha, 1, func(x, y int) color.NRGBA { c := quarter(x, y); c.A = 128; return c })
	gray, gray16 := image.NewGray(stored(1)), image.NewGray16(stored(1))
	scene(gray, 1, grey)
	scene(gray16, 1, grey)
	clear := image.NewPaletted(stored(1), color.Palette{color.NRGBA{255, 0, 0, 128}, color.NRGBA{0, 255, 0, 128}, color.NRGBA{0, 0, 255, 128}, color.NRGBA{255, 255, 255, 128}})
	for i := range clear.Pix {
		x, y := i%clear.Stride, i/clear.Stride
		clear.Pix[i] = uint8(x/(Width/2) + y/(Height/2)*2)
	}
	return []Sample{
		{Name: "png", Format: images.PNG, Data: pngOf(opaque{nrgba(1)})},
		{Name: "png alpha", Format: images.PNG, Data: pngOf(half), Alpha: true},
		{Name: "png 16 bits", Format: images.PNG, Data: pngOf(deep), Bits: 16},
		{Name: "png 16 bits alpha", Format: images.PNG, Data: pngOf(deepAlpha), Bits: 16, Alpha: true},
		{Name: "png gray", Format: images.PNG, Data: pngOf(gray), Gray: true},
		{Name: "png gray 16 bits", Format: images.PNG, Data: pngOf(gray16), Gray: true, Bits: 16},
		{Name: "png palette", Format: images.PNG, Data: pngOf(paletted()), Bits: -1},
		{Name: "png palette alpha", Format: images.PNG, Data: pngOf(clear), Bits: -1, Alpha: true},
		{Name: "png interlaced", Format: images.PNG, Data: file("interlaced.png")},
		{Name: "png with profile", Format: images.PNG, Data: file("p3.png"), ICC: true},
		{Name: "png 16 bits with profile", Format: images.PNG, Data: file("p3-16.png"), ICC: true, Bits: 16, Tolerance: 12},
		{Name: "png broken profile", Format: images.PNG, Data: pngChunk(pngOf(opaque{nrgba(1)}), "iCCP", brokenProfile())},
	}
}

func tiffSamples() []Sample {
	deep := image.NewRGBA64(stored(1))
	scene(deep, 1, quarter)
	gray := image.NewGray(stored(1))
	scene(gray, 1, grey)
	write := func(m image.Image, c tiff.CompressionType) []byte {
		return must(func(b *bytes.Buffer) error {
			return tiff.Encode(b, m, &tiff.Options{Compression: c, Predictor: c == tiff.Deflate})
		})
	}
	return []Sample{
		{Name: "tiff deflate alpha", Format: images.TIFF, Data: write(nrgba(1), tiff.Deflate), Alpha: true},
		{Name: "tiff 16 bits", Format: images.TIFF, Data: write(deep, tiff.Uncompressed), Bits: 16, Alpha: true},
		{Name: "tiff gray", Format: images.TIFF, Data: write(gray, tiff.Deflate), Gray: true},
		{Name: "tiff palette", Format: images.TIFF, Data: write(paletted(), tiff.Deflate), Bits: -1},
		{Name: "tiff cmyk", Format: images.TIFF, Data: rawTIFF(1, true), CMYK: true, CRule: true},
		{Name: "tiff cmyk deflate", Format: images.TIFF, Data: file("cmyk.tif"), CMYK: true, CRule: true},
		{Name: "tiff tiled pyramid orientation 6", Format: images.TIFF, Data: file("orientation6-tiled-pyramid.tif"), Orientation: 6, Pages: -1},
		{Name: "tiff jpeg inside", Format: images.TIFF, Data: file("jpeg.tif"), Tolerance: 30, CRule: true},
	}
}

func bmpSamples() []Sample {
	write := func(m image.Image) []byte {
		return must(func(b *bytes.Buffer) error { return bmp.Encode(b, m) })
	}
	return []Sample{
		{Name: "bmp", Format: images.BMP, Data: write(opaque{nrgba(1)}), Alpha: false},
		{Name: "bmp palette", Format: images.BMP, Data: write(paletted())},
		{Name: "bmp rle8", Format: images.BMP, Data: bmpRLE8(), Bits: 8},
		{Name: "bmp 16 bits top down", Format: images.BMP, Data: bmp16()},
		{Name: "ico bitmap", Format: images.ICO, Data: ico(icoBitmap()), Alpha: true},
		{Name: "ico png", Format: images.ICO, Data: ico(pngOf(opaque{nrgba(1)}))},
	}
}

// Turned gives a PNG an EXIF orientation.
func Turned(p []byte, orientation int) []byte { return pngChunk(p, "eXIf", exif(orientation)) }

// pngChunk puts a chunk after the header.
func pngChunk(p []byte, kind string, body []byte) []byte {
	const header = 8 + 25
	chunk := binary.BigEndian.AppendUint32(nil, uint32(len(body)))
	chunk = append(append(chunk, kind...), body...)
	chunk = binary.BigEndian.AppendUint32(chunk, crc32.ChecksumIEEE(chunk[4:]))
	return append(append(append([]byte{}, p[:header]...), chunk...), p[header:]...)
}

func brokenProfile() []byte {
	return append([]byte("bad\x00\x00"), must(func(b *bytes.Buffer) error {
		w := zlib.NewWriter(b)
		w.Write([]byte("this is no profile at all"))
		return w.Close()
	})...)
}

// exif is a block with the one tag 274.
func exif(orientation int) []byte {
	b := []byte("II*\x00\x08\x00\x00\x00\x01\x00")
	b = append(b, 0x12, 0x01, 3, 0, 1, 0, 0, 0, byte(orientation), 0, 0, 0)
	return append(b, 0, 0, 0, 0)
}

func jpegWithEXIF(orientation int) []byte {
	b := must(func(b *bytes.Buffer) error { return jpeg.Encode(b, nrgba(orientation), &jpeg.Options{Quality: 95}) })
	body := append([]byte("Exif\x00\x00"), exif(orientation)...)
	app1 := append([]byte{0xFF, 0xE1, 0, byte(len(body) + 2)}, body...)
	return append(append(append([]byte{}, b[:2]...), app1...), b[2:]...)
}

// rawTIFF is an uncompressed TIFF of one strip, RGB or CMYK.
func rawTIFF(orientation int, cmyk bool) []byte {
	m := nrgba(orientation)
	samples, photometric := 3, 2
	if cmyk {
		samples, photometric = 4, 5
	}
	w, h := m.Rect.Dx(), m.Rect.Dy()
	var pixels []byte
	for i := 0; i < len(m.Pix); i += 4 {
		if cmyk {
			pixels = append(pixels, 255-m.Pix[i], 255-m.Pix[i+1], 255-m.Pix[i+2], 0)
		} else {
			pixels = append(pixels, m.Pix[i:i+3]...)
		}
	}
	entries := [][3]int{{256, 4, w}, {257, 4, h}, {258, 3, -1}, {259, 3, 1}, {262, 3, photometric}, {273, 4, -2}, {274, 3, orientation},
		{277, 3, samples}, {278, 4, h}, {279, 4, len(pixels)}}
	bits := 8 + 2 + 12*len(entries) + 4
	b := []byte("II*\x00\x08\x00\x00\x00")
	b = binary.LittleEndian.AppendUint16(b, uint16(len(entries)))
	for _, e := range entries {
		count, value := 1, e[2]
		switch value {
		case -1:
			count, value = samples, bits
		case -2:
			value = bits + 2*samples
		}
		b = binary.LittleEndian.AppendUint16(b, uint16(e[0]))
		b = binary.LittleEndian.AppendUint16(b, uint16(e[1]))
		b = binary.LittleEndian.AppendUint32(b, uint32(count))
		b = binary.LittleEndian.AppendUint32(b, uint32(value))
	}
	b = append(b, 0, 0, 0, 0)
	for range samples {
		b = append(b, 8, 0)
	}
	return append(b, pixels...)
}

// bmpHeader is a file header and a BITMAPINFOHEADER.
func bmpHeader(depth, compression, height, more int) []byte {
	b := append([]byte("BM"), make([]byte, 52)...)
	binary.LittleEndian.PutUint32(b[10:], uint32(54+more))
	binary.LittleEndian.PutUint32(b[14:], 40)
	binary.LittleEndian.PutUint32(b[18:], Width)
	binary.LittleEndian.PutUint32(b[22:], uint32(int32(height)))
	binary.LittleEndian.PutUint16(b[26:], 1)
	binary.LittleEndian.PutUint16(b[28:], uint16(depth))
	binary.LittleEndian.PutUint32(b[30:], uint32(compression))
	return b
}

func bmpRLE8() []byte {
	b := bmpHeader(8, 1, Height, 4*256)
	binary.LittleEndian.PutUint32(b[46:], 4)
	binary.LittleEndian.PutUint32(b[10:], 54+16)
	b = append(b, 0, 0, 255, 0, 0, 255, 0, 0, 255, 0, 0, 0, 255, 255, 255, 0) // blue green red
	for y := Height - 1; y >= 0; y-- {
		i := byte(y / (Height / 2) * 2)
		b = append(b, Width/2, i, 0, 4, i+1, i+1, i+1, i+1, Width/2-4, i+1, 0, 0)
	}
	return append(b, 0, 1)
}

func bmp16() []byte {
	b := bmpHeader(16, 3, -Height, 12)
	for _, mask := range []uint32{0xF800, 0x07E0, 0x001F} {
		b = binary.LittleEndian.AppendUint32(b, mask)
	}
	for y := range Height {
		for x := range Width {
			c := quarter(x, y)
			b = binary.LittleEndian.AppendUint16(b, uint16(c.R)>>3<<11|uint16(c.G)>>2<<5|uint16(c.B)>>3)
		}
	}
	return b
}

// icoBitmap is a bitmap of 32 bits with an empty alpha byte and a mask that
// hides nothing.
func icoBitmap() []byte {
	b := bmpHeader(32, 0, 2*Height, 0)[14:]
	for y := Height - 1; y >= 0; y-- {
		for x := range Width {
			c := quarter(x, y)
			b = append(b, c.B, c.G, c.R, 0)
		}
	}
	return append(b, make([]byte, Height*8)...)
}

func ico(picture []byte) []byte {
	b := []byte{0, 0, 1, 0, 1, 0, Width, Height, 0, 0, 1, 0, 32, 0}
	b = binary.LittleEndian.AppendUint32(b, uint32(len(picture)))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(b)+4))
	return append(b, picture...)
}
