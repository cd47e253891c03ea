package render

import (
	"github.com/kamado/kamado/images/jpeg"
	"github.com/kamado/kamado/images/plane"
	"github.com/kamado/kamado/images/raster"
	"github.com/kamado/kamado/images/resample"
)

// halvesMax is how many times the decoded picture of a set is halved at most.
const halvesMax = 3

// workspace is the scratch memory of one rendition.
type workspace struct {
	decoder   jpeg.Decoder
	encoder   jpeg.Encoder
	resampler resample.Resampler
	raster    raster.Scratch

	decoded plane.Picture
	resized plane.Picture
	spare   plane.Picture // the other one of resized, for steps that cannot work in place
	rgb     plane.Picture
	halves  [halvesMax]plane.Picture // of decoded, for sets
	out     []byte

	reserved int // bytes of scratch.used; more than bytes() at first
	loose    int // how many pictures in a row it was much too large for
}

// bytes is how much memory the workspace holds. The resampler holds some rows
// only.
func (ws *workspace) bytes() int {
	n := cap(ws.out) + ws.decoder.Kept() + ws.encoder.Kept()
	pictures := [4 + halvesMax]*plane.Picture{&ws.decoded, &ws.resized, &ws.spare, &ws.rgb}
	for i := range ws.halves {
		pictures[4+i] = &ws.halves[i]
	}
	for _, p := range pictures {
		for i := range p.Planes {
			n += cap(p.Planes[i].Pix)
		}
	}
	return n
}
