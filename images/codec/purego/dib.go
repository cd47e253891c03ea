package purego

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"image/color"
	"math/bits"

	"github.com/kamado/kamado/images"
	"github.com/kamado/kamado/images/codec"
)

// dib is a device independent bitmap, the inside of BMP and ICO: a header of
// a version told by its length, masks or a palette, rows from the bottom up.
// Layouts: Windows GDI, "Bitmap Header Types".
type dib struct {
	width, height int
	topDown       bool
	depth         int // bits of a pixel: 1, 2, 4, 8, 16, 24, 32
	compression   uint32
	masks         [4]uint32 // red, green, blue, alpha of 16 and 32 bits
	palette       []color.NRGBA
	pixels        []byte
	icon          bool // half of the height is a mask of transparency
}

// Compressions.
const (
	dibRGB       = 0
	dibRLE8      = 1
	dibRLE4      = 2
	dibFields    = 3
	dibAlphaBits = 6
)

const dibSideMax = 1 << 20

var errDIB = errors.New("bitmap: bad header")

// parseDIB reads the header at the start of b. pixels is the offset of the
// pixels in b, 0 when they follow the palette.
func parseDIB(b []byte, pixels int, icon bool) (*dib, error) {
	if len(b) < 16 {
		return nil, fmt.Errorf("%w: cut short", errDIB)
	}
	size := int(binary.LittleEndian.Uint32(b))
	d := &dib{icon: icon}
	entry, used := 4, 0
	switch {
	case size == 12:
		entry = 3
		d.width, d.height = int(binary.LittleEndian.Uint16(b[4:])), int(int16(binary.LittleEndian.Uint16(b[6:])))
		d.depth = int(binary.LittleEndian.Uint16(b[10:]))
	case size >= 40 && size <= 124 && len(b) >= size:
		d.width, d.height = int(int32(binary.LittleEndian.Uint32(b[4:]))), int(int32(binary.LittleEndian.Uint32(b[8:])))
		d.depth = int(binary.LittleEndian.Uint16(b[14:]))
		d.compression = binary.LittleEndian.Uint32(b[16:])
		used = int(binary.LittleEndian.Uint32(b[32:]))
	default:
		return nil, fmt.Errorf("%w: %d bytes long", errDIB, size)
	}
	if d.height < 0 {
		d.topDown, d.height = true, -d.height
	}
	if icon {
		d.height /= 2
	}
	if d.width < 1 || d.height < 1 || d.width > dibSideMax || d.height > dibSideMax {
		return nil, fmt.Errorf("%w: %dx%d", errDIB, d.width, d.height)
	}
	at, err := d.colours(b, size, entry, used)
	if err != nil {
		return nil, err
	}
	if pixels > 0 {
		at = pixels
	}
	if at > len(b) {
		return nil, fmt.Errorf("%w: pixels begin after the end", errDIB)
	}
	d.pixels = b[at:]
	return d, nil
}

// colours reads masks and palette, and tells where they end.
func (d *dib) colours(b []byte, at, entry, used int) (int, error) {
	switch d.depth {
	case 1, 2, 4, 8:
		if used <= 0 || used > 1<<d.depth {
			used = 1 << d.depth
		}
		for range used {
			if at+entry > len(b) {
				return 0, fmt.Errorf("%w: cut inside the palette", errDIB)
			}
			d.palette = append(d.palette, color.NRGBA{b[at+2], b[at+1], b[at], 255})
			at += entry
		}
		if d.compression > dibRLE4 || d.compression == dibRLE8 && d.depth != 8 || d.compression == dibRLE4 && d.depth != 4 {
			return 0, fmt.Errorf("bitmap: %w: compression %d of %d bits", errUnsupported, d.compression, d.depth)
		}
		return at, nil
	case 16:
		d.masks = [4]uint32{0x7C00, 0x03E0, 0x001F, 0}
	case 24:
	case 32:
		d.masks = [4]uint32{0xFF0000, 0xFF00, 0xFF, 0}
		if d.icon {
			d.masks[3] = 0xFF000000
		}
	default:
		return 0, fmt.Errorf("bitmap: %w: %d bits", errUnsupported, d.depth)
	}
	switch {
	case d.compression == dibRGB:
		return at, nil
	case (d.compression == dibFields || d.compression == dibAlphaBits) && d.depth != 24:
	default:
		return 0, fmt.Errorf("bitmap: %w: compression %d of %d bits", errUnsupported, d.compression, d.depth)
	}
	// In the header where it is long enough, else just after it: offset 40 in both.
	n := 3
	if at >= 56 || d.compression == dibAlphaBits {
		n = 4
	}
	if len(b) < 40+4*n {
		return 0, fmt.Errorf("%w: cut inside the masks", errDIB)
	}
	for i := range n {
		d.masks[i] = binary.LittleEndian.Uint32(b[40+4*i:])
	}
	return max(at, 40+4*n), nil
}

// alpha says whether pixels can be transparent.
func (d *dib) alpha() bool { return d.icon || d.masks[3] != 0 }

// decode gives the picture; what the file lacks is left black, or transparent.
func (d *dib) decode(ctx context.Context) (*image.NRGBA, bool, error) {
	m := image.NewNRGBA(image.Rect(0, 0, d.width, d.height))
	if d.compression == dibRLE4 || d.compression == dibRLE8 {
		return m, d.runs(m), ctx.Err()
	}
	stride := (d.width*d.depth + 31) / 32 * 4
	short := false
	for i := range d.height {
		if i&63 == 0 && ctx.Err() != nil {
			return nil, false, ctx.Err()
		}
		row := d.pixels[min(i*stride, len(d.pixels)):]
		if len(row) < (d.width*d.depth+7)/8 {
			short = true
			break
		}
		d.row(m.Pix[d.line(i)*m.Stride:], row)
	}
	if d.icon {
		d.mask(m, stride*d.height)
	} else if d.masks[3] != 0 {
		opaqueIfEmpty(m)
	}
	return m, short, nil
}

// line is where row i of the file goes.
func (d *dib) line(i int) int {
	if d.topDown {
		return i
	}
	return d.height - 1 - i
}

func (d *dib) row(out, in []byte) {
	for x := range d.width {
		var c color.NRGBA
		switch d.depth {
		case 24:
			c = color.NRGBA{in[3*x+2], in[3*x+1], in[3*x], 255}
		case 32:
			c = d.masked(binary.LittleEndian.Uint32(in[4*x:]))
		case 16:
			c = d.masked(uint32(binary.LittleEndian.Uint16(in[2*x:])))
		default:
			bit := x * d.depth
			c = d.indexed(in[bit/8] >> (8 - d.depth - bit%8) & (1<<d.depth - 1))
		}
		out[4*x], out[4*x+1], out[4*x+2], out[4*x+3] = c.R, c.G, c.B, c.A
	}
}

func (d *dib) indexed(i byte) color.NRGBA {
	if int(i) < len(d.palette) {
		return d.palette[i]
	}
	return color.NRGBA{A: 255}
}

func (d *dib) masked(v uint32) color.NRGBA {
	c := color.NRGBA{part(v, d.masks[0]), part(v, d.masks[1]), part(v, d.masks[2]), 255}
	if d.masks[3] != 0 {
		c.A = part(v, d.masks[3])
	}
	return c
}

// part is the bits of a mask, scaled to 0..255.
func part(v, mask uint32) byte {
	if mask == 0 {
		return 0
	}
	low := bits.TrailingZeros32(mask)
	most := mask >> low
	return byte((uint64(v&mask>>low)*255 + uint64(most)/2) / uint64(most))
}

// runs decodes RLE4 and RLE8; true when it ended early.
func (d *dib) runs(m *image.NRGBA) bool {
	x, y, b := 0, 0, d.pixels
	put := func(i byte) {
		if x < d.width && y < d.height {
			c := d.indexed(i)
			m.SetNRGBA(x, d.line(y), c)
		}
		x++
	}
	nibble := func(v byte, i int) byte {
		if d.compression == dibRLE8 {
			return v
		}
		return v >> (4 * (1 - i&1)) & 15
	}
	for i := range m.Pix { // what no run covers is the first colour
		if i&3 == 3 {
			m.Pix[i] = 255
		}
	}
	for len(b) >= 2 && y < d.height {
		n, v := int(b[0]), b[1]
		b = b[2:]
		switch {
		case n > 0:
			for i := range n {
				put(nibble(v, i))
			}
		case v == 0:
			x, y = 0, y+1
		case v == 1:
			return false
		case v == 2:
			if len(b) < 2 {
				return true
			}
			x, y, b = x+int(b[0]), y+int(b[1]), b[2:]
		default: // v pixels as they are, padded to 16 bits
			size := int(v)
			if d.compression == dibRLE4 {
				size = (size + 1) / 2
			}
			if len(b) < size {
				return true
			}
			for i := range int(v) {
				at := i
				if d.compression == dibRLE4 {
					at /= 2
				}
				put(nibble(b[at], i))
			}
			b = b[min(size+size&1, len(b)):]
		}
	}
	return y < d.height-1
}

// mask applies an icon's mask of transparency, one bit a pixel after the
// colours. Icons of 32 bits have alpha; the mask counts only where that is
// zero everywhere.
func (d *dib) mask(m *image.NRGBA, at int) {
	if d.depth == 32 && !opaqueIfEmpty(m) {
		return
	}
	stride := (d.width + 31) / 32 * 4
	for i := range d.height {
		row := d.pixels[min(at+i*stride, len(d.pixels)):]
		if len(row) < (d.width+7)/8 {
			return
		}
		for x := range d.width {
			if row[x/8]>>(7-x%8)&1 != 0 {
				m.Pix[d.line(i)*m.Stride+4*x+3] = 0
			}
		}
	}
}

// opaqueIfEmpty: many writers leave the alpha byte zero everywhere and mean
// nothing by it. True when that was so.
func opaqueIfEmpty(m *image.NRGBA) bool {
	for i := 3; i < len(m.Pix); i += 4 {
		if m.Pix[i] != 0 {
			return false
		}
	}
	for i := 3; i < len(m.Pix); i += 4 {
		m.Pix[i] = 255
	}
	return true
}

func (d *dib) source(format images.Format) *source {
	return &source{
		info: codec.Info{Format: format, Width: d.width, Height: d.height, Pages: 1, Orientation: 1, Bits: min(d.depth, 8), Loop: 1,
			Alpha: d.alpha()},
		bytes: 4 * int64(d.width) * int64(d.height),
		frames: func(ctx context.Context, _ int, each func(picture, int) error) (bool, error) {
			m, short, err := d.decode(ctx)
			if err != nil {
				return false, err
			}
			return short, each(newPicture(m), 0)
		},
	}
}

func openBMP(data []byte) (*source, error) {
	if len(data) < 30 || data[0] != 'B' || data[1] != 'M' {
		return nil, errDIB
	}
	pixels := int(binary.LittleEndian.Uint32(data[10:])) - 14
	if pixels < 0 {
		pixels = 0
	}
	d, err := parseDIB(data[14:], pixels, false)
	if err != nil {
		return nil, err
	}
	return d.source(images.BMP), nil
}

// iconsMax is how many pictures of an icon are looked at; real ones have ten.
const iconsMax = 256

// openICO takes the largest picture of an icon, the deepest of equals; each is
// a bitmap without its file header, or a PNG.
func openICO(data []byte) (*source, error) {
	if len(data) < 6 {
		return nil, errDIB
	}
	var best *source
	var failure error
	for i := range min(int(binary.LittleEndian.Uint16(data[4:])), iconsMax) {
		entry := 6 + 16*i
		if entry+16 > len(data) {
			break
		}
		length, at := uint64(binary.LittleEndian.Uint32(data[entry+8:])), uint64(binary.LittleEndian.Uint32(data[entry+12:]))
		if at > uint64(len(data)) || length == 0 {
			continue
		}
		one, err := openIcon(data[at:min(at+length, uint64(len(data)))])
		if err != nil {
			failure = err
			continue
		}
		if best == nil || one.info.Width*one.info.Height > best.info.Width*best.info.Height ||
			one.info.Width*one.info.Height == best.info.Width*best.info.Height && one.info.Bits > best.info.Bits {
			best = one
		}
	}
	if best == nil {
		return nil, fmt.Errorf("icon: no picture in it: %w", cmp.Or(failure, errDIB))
	}
	best.info.Format = images.ICO
	return best, nil
}

func openIcon(b []byte) (*source, error) {
	if images.Sniff(b[:min(len(b), images.SniffLength)]) == images.PNG {
		one, err := open(b, images.PNG)
		if err == nil {
			one.info.Format = images.ICO
		}
		return one, err
	}
	d, err := parseDIB(b, 0, true)
	if err != nil {
		return nil, err
	}
	return d.source(images.ICO), nil
}
