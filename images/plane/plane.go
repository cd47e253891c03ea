// Package plane holds pictures as planes of 8-bit samples: the form in which
// they travel between decoder, resampler, operations and encoder.
//
// Vocabulary: a plane is one component (luma, a chroma, red, alpha); a picture
// is some planes with a colour model. Chroma planes may be subsampled: SubX
// and SubY say how many picture samples one plane sample covers. The exact
// size of a picture is a real number, because a JPEG of 4001 pixels decoded at
// 1/8 covers 500.125 samples and is stored in 501; filters use the exact size,
// or chroma shifts by half a sample.
//
// Invariant: every plane has Slack readable bytes after its last row, so that
// vector loads may run past a row. The package allocates, and converts between
// colour models; it reads no file and knows no file format.
package plane

import (
	"errors"
	"fmt"
)

// Slack is how many bytes past the last sample of a plane may be read, and
// how many bytes at least lie between the end of a row and the end of Pix.
// Unit: bytes. Vector kernels load 32 bytes at a time.
const Slack = 64

// strideAlign keeps rows on 32-byte boundaries relative to each other.
const strideAlign = 32

// Model is the colour model of a Picture.
type Model uint8

// The models. YCbCr is the full-range BT.601 of JFIF. RGB is sRGB.
// CMYK holds ink amounts the usual way round (255 = full ink).
const (
	Gray Model = iota
	YCbCr
	RGB
	CMYK
)

// Components is the number of colour planes of a model, without alpha.
func (m Model) Components() int {
	switch m {
	case Gray:
		return 1
	case CMYK:
		return 4
	default:
		return 3
	}
}

func (m Model) String() string {
	switch m {
	case Gray:
		return "gray"
	case YCbCr:
		return "ycbcr"
	case RGB:
		return "rgb"
	case CMYK:
		return "cmyk"
	}
	return fmt.Sprintf("model(%d)", uint8(m))
}

// Plane is one component at 8 bits a sample.
type Plane struct {
	Pix    []byte // row y starts at y*Stride; len(Pix) >= (Height-1)*Stride + Width + Slack
	Stride int    // bytes from one row to the next, >= Width
	Width  int    // stored samples in a row
	Height int    // stored rows
	SubX   int    // picture samples per plane sample, across: 1, 2 or 4
	SubY   int    // the same, down
}

// Row returns row y, Width samples long.
func (p *Plane) Row(y int) []byte {
	return p.Pix[y*p.Stride : y*p.Stride+p.Width : y*p.Stride+p.Width]
}

// Reset gives the plane a size, reusing its memory where that is large enough.
// The samples are undefined afterwards.
func (p *Plane) Reset(width, height, subX, subY int) {
	stride := (width + Slack + strideAlign - 1) &^ (strideAlign - 1)
	need := stride*height + Slack
	if cap(p.Pix) < need {
		p.Pix = make([]byte, need)
	}
	p.Pix = p.Pix[:need]
	p.Stride, p.Width, p.Height, p.SubX, p.SubY = stride, width, height, subX, subY
}

// Picture is a picture of 1 to 4 colour planes and, when Alpha is set, one
// more plane of straight (not premultiplied) alpha after them.
type Picture struct {
	Model  Model
	Alpha  bool
	Width  int // picture samples across, stored
	Height int // picture samples down, stored

	// ExactWidth and ExactHeight are the size that the stored samples stand
	// for; each is in (Width-1, Width]. A plane's own exact size is this
	// divided by its SubX and SubY.
	ExactWidth, ExactHeight float64

	Planes [5]Plane
}

// N is the number of planes in use, alpha included.
func (p *Picture) N() int {
	n := p.Model.Components()
	if p.Alpha {
		n++
	}
	return n
}

// AlphaPlane returns the alpha plane, nil when the picture has none.
func (p *Picture) AlphaPlane() *Plane {
	if !p.Alpha {
		return nil
	}
	return &p.Planes[p.Model.Components()]
}

// Reset gives the picture a model and size and every plane its size, reusing
// memory. Chroma planes of YCbCr get subX and subY; all others 1.
func (p *Picture) Reset(m Model, alpha bool, width, height, subX, subY int) {
	p.Model, p.Alpha, p.Width, p.Height = m, alpha, width, height
	p.ExactWidth, p.ExactHeight = float64(width), float64(height)
	for i := range p.N() {
		sx, sy := 1, 1
		if m == YCbCr && (i == 1 || i == 2) {
			sx, sy = subX, subY
		}
		p.Planes[i].Reset((width+sx-1)/sx, (height+sy-1)/sy, sx, sy)
	}
}

// ErrShape says that a picture's planes do not fit its size or model.
var ErrShape = errors.New("plane: sizes of planes do not fit the picture")

// Check returns ErrShape unless every plane in use holds the samples its
// numbers promise, Slack included. Kernels rely on it.
func (p *Picture) Check() error {
	if p.Width <= 0 || p.Height <= 0 {
		return fmt.Errorf("%w: %dx%d", ErrShape, p.Width, p.Height)
	}
	for i := range p.N() {
		q := &p.Planes[i]
		if q.SubX < 1 || q.SubY < 1 || q.Stride < q.Width ||
			q.Width < (p.Width+q.SubX-1)/q.SubX || q.Height < (p.Height+q.SubY-1)/q.SubY ||
			len(q.Pix) < (q.Height-1)*q.Stride+q.Width+Slack {
			return fmt.Errorf("%w: plane %d is %dx%d stride %d len %d, subsampled %dx%d, for %dx%d",
				ErrShape, i, q.Width, q.Height, q.Stride, len(q.Pix), q.SubX, q.SubY, p.Width, p.Height)
		}
	}
	return nil
}
