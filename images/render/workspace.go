package render

import (
	"github.com/kamado/kamado/images/jpeg"
	"github.com/kamado/kamado/images/plane"
	"github.com/kamado/kamado/images/raster"
	"github.com/kamado/kamado/images/resample"
)

// keepBytes is how much a workspace may hold and still be kept for reuse; one
// that grew beyond it on a huge picture is left to the garbage collector. 8 MiB
// holds the planes of a 12-megapixel original decoded at 1/4 four times over.
const keepBytes = 8 << 20

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
	out     []byte
}

func (r *Renderer) workspace() *workspace {
	select {
	case ws := <-r.free:
		return ws
	default:
		return new(workspace)
	}
}

func (r *Renderer) release(ws *workspace) {
	if ws.bytes() > keepBytes {
		return
	}
	select {
	case r.free <- ws:
	default:
	}
}

func (ws *workspace) bytes() int {
	n := cap(ws.out)
	for _, p := range []*plane.Picture{&ws.decoded, &ws.resized, &ws.spare, &ws.rgb} {
		for i := range p.Planes {
			n += cap(p.Planes[i].Pix)
		}
	}
	return n
}
