package purego

import (
	"image"
	"image/color"

	"github.com/kamado/kamado/images/codec"
	"github.com/kamado/kamado/images/plane"
)

// picture gives the rows of a decoded image as planes.
type picture struct {
	image.Image
	at image.Point // of its first pixel
}

func newPicture(m image.Image) picture { return picture{m, m.Bounds().Min} }

// row writes row y of dst from the pixels that begin at (left, top), counted
// from the image's first pixel. dst is RGB or Gray, with straight alpha or
// without.
func (p picture) row(dst *plane.Picture, y, left, top int) {
	x0, y0 := p.at.X+left, p.at.Y+top
	n := dst.Width
	var out [4][]byte
	for i := range dst.N() {
		out[i] = dst.Planes[i].Row(y)
	}
	if dst.Model == plane.Gray {
		p.grayRow(out[0], out[1], x0, y0)
		return
	}
	switch m := p.Image.(type) {
	case *image.NRGBA:
		src := m.Pix[m.PixOffset(x0, y0):][:4*n]
		for x := range n {
			s := src[4*x : 4*x+4 : 4*x+4]
			out[0][x], out[1][x], out[2][x] = s[0], s[1], s[2]
			if out[3] != nil {
				out[3][x] = s[3]
			}
		}
	case *image.YCbCr:
		for x := range n {
			yi, ci := m.YOffset(x0+x, y0), m.COffset(x0+x, y0)
			out[0][x], out[1][x], out[2][x] = color.YCbCrToRGB(m.Y[yi], m.Cb[ci], m.Cr[ci])
			if out[3] != nil {
				out[3][x] = 255
			}
		}
	case *image.NYCbCrA:
		for x := range n {
			yi, ci := m.YOffset(x0+x, y0), m.COffset(x0+x, y0)
			out[0][x], out[1][x], out[2][x] = color.YCbCrToRGB(m.Y[yi], m.Cb[ci], m.Cr[ci])
			if out[3] != nil {
				out[3][x] = m.A[m.AOffset(x0+x, y0)]
			}
		}
	case *image.Paletted:
		p.palettedRow(out, m, x0, y0, n)
	default:
		for x := range n {
			c := straight(m.At(x0+x, y0))
			out[0][x], out[1][x], out[2][x] = c.R, c.G, c.B
			if out[3] != nil {
				out[3][x] = c.A
			}
		}
	}
}

func (p picture) palettedRow(out [4][]byte, m *image.Paletted, x0, y0, n int) {
	src := m.Pix[m.PixOffset(x0, y0):][:n]
	var table [256]color.NRGBA
	for i, c := range m.Palette[:min(len(m.Palette), 256)] {
		table[i] = straight(c)
	}
	for x, i := range src {
		c := table[i]
		out[0][x], out[1][x], out[2][x] = c.R, c.G, c.B
		if out[3] != nil {
			out[3][x] = c.A
		}
	}
}

func (p picture) grayRow(gray, alpha []byte, x0, y0 int) {
	if m, ok := p.Image.(*image.Gray); ok {
		copy(gray, m.Pix[m.PixOffset(x0, y0):][:len(gray)])
		for x := range alpha {
			alpha[x] = 255
		}
		return
	}
	for x := range gray {
		c := straight(p.At(x0+x, y0))
		gray[x] = c.G
		if alpha != nil {
			alpha[x] = c.A
		}
	}
}

// straight is a colour with straight alpha.
func straight(c color.Color) color.NRGBA {
	if c, ok := c.(color.NRGBA); ok {
		return c
	}
	return color.NRGBAModel.Convert(c).(color.NRGBA)
}

// unorient turns a crop in oriented pixels to the pixels as the file lies
// (EXIF 2.32, tag 274).
func unorient(r image.Rectangle, info codec.Info) image.Rectangle {
	w, h := info.Width, info.Height
	right := image.Rect(w-r.Max.X, r.Min.Y, w-r.Min.X, r.Max.Y)
	below := image.Rect(r.Min.X, h-r.Max.Y, r.Max.X, h-r.Min.Y)
	both := image.Rect(w-r.Max.X, h-r.Max.Y, w-r.Min.X, h-r.Min.Y)
	transpose := func(r image.Rectangle) image.Rectangle { return image.Rect(r.Min.Y, r.Min.X, r.Max.Y, r.Max.X) }
	switch info.Orientation {
	case 2:
		return right
	case 3:
		return both
	case 4:
		return below
	case 5:
		return transpose(r)
	case 6:
		return transpose(right)
	case 7:
		return transpose(both)
	case 8:
		return transpose(below)
	}
	return r
}
