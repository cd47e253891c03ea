package delivery

import (
	"bytes"
	"image"
	"image/color"
	"image/png"
	"strings"

	"golang.org/x/image/font"
	"golang.org/x/image/font/basicfont"
	"golang.org/x/image/math/fixed"

	"github.com/kamado/kamado/images"
)

// Bounds of the picture of an error, in pixels: large enough for a few words,
// small enough that drawing one costs less than a millisecond.
const (
	errorSideMin  = 96
	errorSideMax  = 640
	errorWidth    = 320 // when the URL says no size
	errorHeight   = 180
	errorMargin   = 8
	errorLineStep = 15
)

// errorPalette: paper, ink, and the bar at the top.
var errorPalette = color.Palette{
	color.RGBA{0xf4, 0xf1, 0xec, 0xff}, color.RGBA{0x2b, 0x2b, 0x2b, 0xff}, color.RGBA{0xc2, 0x41, 0x2c, 0xff},
}

// errorPictureSize is the size that was asked for, brought within the bounds,
// so that a page's layout holds.
func errorPictureSize(want images.Rendition) (width, height int) {
	width, height = want.Width, want.Height
	switch {
	case width == 0 && height == 0:
		return errorWidth, errorHeight
	case width == 0:
		width = height * errorWidth / errorHeight
	case height == 0:
		height = width * errorHeight / errorWidth
	}
	return min(max(width, errorSideMin), errorSideMax), min(max(height, errorSideMin), errorSideMax)
}

// drawError writes a title and a text on a picture and encodes it as PNG.
func drawError(width, height int, title, text string) []byte {
	img := image.NewPaletted(image.Rect(0, 0, width, height), errorPalette)
	for i := range 4 * img.Stride {
		img.Pix[i] = 2
	}
	face := basicfont.Face7x13
	d := font.Drawer{Dst: img, Src: image.NewUniform(errorPalette[1]), Face: face}
	y := errorMargin + errorLineStep
	columns := (width - 2*errorMargin) / face.Advance
	for _, line := range append(wrap(plain(title), columns), wrap(plain(text), columns)...) {
		if y > height-errorMargin {
			break
		}
		d.Dot = fixed.P(errorMargin, y)
		d.DrawString(line)
		y += errorLineStep
	}
	var out bytes.Buffer
	enc := png.Encoder{CompressionLevel: png.BestSpeed}
	if err := enc.Encode(&out, img); err != nil {
		panic("delivery: encoding a picture in memory failed: " + err.Error()) // the sides are positive, a buffer does not fail
	}
	return out.Bytes()
}

// plain keeps what the font has.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if r < 0x20 || r > 0x7e {
			return '?'
		}
		return r
	}, s)
}

// wrap breaks a text into lines of at most columns letters, at spaces where it
// can.
func wrap(s string, columns int) []string {
	columns = max(columns, 1)
	var lines []string
	line := ""
	for _, word := range strings.Fields(s) {
		for len(word) > columns {
			if line != "" {
				lines, line = append(lines, line), ""
			}
			lines, word = append(lines, word[:columns]), word[columns:]
		}
		switch {
		case line == "":
			line = word
		case len(line)+1+len(word) <= columns:
			line += " " + word
		default:
			lines, line = append(lines, line), word
		}
	}
	if line != "" {
		lines = append(lines, line)
	}
	return lines
}
