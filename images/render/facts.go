package render

import (
	"context"

	"github.com/kamado/kamado/images"
)

// Ask says which facts of an original are wanted beside those of its header.
// Each of them needs its pixels: one small decode for all.
type Ask struct {
	Palette              int // colours at most, 0..PaletteMax; 0: none
	BlurHashX, BlurHashY int // components of the BlurHash, 1..9 each; 0: none
	ThumbHash            bool
	Dominant             bool
	Attention            bool
}

// PaletteMax is the largest Ask.Palette.
const PaletteMax = 16

// Share is a colour of a palette.
type Share struct {
	Color images.Color
	Share float64 // of the opaque pixels, 0..1
}

// Facts is what there is to know about an original.
type Facts struct {
	Format        images.Format
	Width, Height int  // as a person sees it
	Orientation   int  // EXIF 1..8, as in the file
	Frames        int  // of an animation, pages of a TIFF; at least 1
	Bits          int  // of a sample
	Alpha         bool // has a channel of transparency
	Gray          bool
	Profile       bool // has a colour profile
	Progressive   bool // a JPEG in several scans

	// On request; the zero value where it was not asked for.
	Palette    []Share      // the largest share first
	Dominant   images.Color // the colour with the largest share
	BlurHash   string
	ThumbHash  []byte
	EyeX, EyeY float64 // the point that draws the eye, as shares of the sides
	Truncated  bool    // the pixels end early; known when some were asked for
}

// Facts reads what the header of src says, and looks at its pixels for what
// is asked for. Errors are those of Render.
func (r *Renderer) Facts(ctx context.Context, src []byte, ask Ask) (Facts, error) {
	return Facts{}, images.Errorf(images.Unprocessable, "facts are not read yet")
}
