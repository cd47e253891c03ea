package codec

import (
	"image"
	"time"

	"github.com/kamado/kamado/images"
	"github.com/kamado/kamado/images/plane"
)

// Info is what a file's header says.
type Info struct {
	Format        images.Format
	Width, Height int // oriented: as a person sees it
	Pages         int // frames of an animation, pages of a TIFF; at least 1
	Orientation   int // EXIF 1..8, as in the file; Load has applied it
	Bits          int // of a sample in the file
	Loop          int // times an animation is shown, 0 for ever
	Alpha         bool
	ICC           bool // has a colour profile; Load has applied it, or kept it when asked to
	Gray          bool // Load gives plane.Gray, not plane.RGB
}

// Target is the wanted part and size.
type Target struct {
	Crop          image.Rectangle // oriented pixels of the original; empty: all
	Width, Height int             // of the result
}

// LoadRequest asks for the pixels of a file.
type LoadRequest struct {
	Data   []byte
	Format images.Format // as images.Sniff says; a file of another format is refused

	// Geometry is called once with the facts of the header, before memory
	// for pixels is spent. An error of its own is returned by Load as it is:
	// this is where limits are checked. Nil means the whole picture in its
	// own size.
	Geometry func(Info) (Target, error)

	// Frames is how many frames of an animation are wanted at most; 0 and 1
	// mean the first.
	Frames int

	// KeepProfile: an embedded colour profile is not applied; the planes
	// stay in its colours and it comes out as Raster.ICC, for
	// SaveRequest.ICC. A profile that does not describe RGB or grey planes
	// (print inks) is applied all the same.
	KeepProfile bool
}

// Frame is one picture of an animation, or the only one.
type Frame struct {
	Picture plane.Picture // RGB or Gray, straight alpha or none, all planes full size
	Delay   time.Duration // until the next frame
}

// Raster is frames of one size and colour model, at least one.
type Raster struct {
	Frames    []Frame
	Loop      int  // times the animation is shown, 0 for ever
	Truncated bool // the file was damaged; what could be read is there

	// ICC is the colour profile of the planes, when KeepProfile asked for it
	// and the file has one that fits them; nil means sRGB.
	ICC []byte
}

// SaveRequest asks for a file of a raster.
type SaveRequest struct {
	Raster   *Raster
	Format   images.Format
	Quality  int    // 1..100 where the format has quality; 0 means 80
	Effort   int    // 1 fastest to 9 smallest; 0 is the format's default
	Lossless bool   // WebP and AVIF
	ICC      []byte // profile to write into the file; nil for none, which means sRGB
}

// defaultQuality stands where a SaveRequest names none.
const defaultQuality = 80

// whole fills in what a Target leaves out and refuses what is not in the
// picture.
func (t Target) whole(info Info) (Target, error) {
	all := image.Rect(0, 0, info.Width, info.Height)
	if t.Crop.Empty() {
		t.Crop = all
	}
	if t.Width == 0 && t.Height == 0 {
		t.Width, t.Height = t.Crop.Dx(), t.Crop.Dy()
	}
	if !t.Crop.In(all) || t.Width < 1 || t.Height < 1 {
		return t, images.Errorf(images.Internal, "target %dx%d of %v does not fit a picture of %dx%d", t.Width, t.Height, t.Crop, info.Width, info.Height)
	}
	return t, nil
}

// Resolve calls the request's Geometry, if there is one, and gives a complete
// target inside the picture.
func (r LoadRequest) Resolve(info Info) (Target, error) {
	var t Target
	if r.Geometry != nil {
		var err error
		if t, err = r.Geometry(info); err != nil {
			return t, err
		}
	}
	return t.whole(info)
}

// Check refuses a request that no codec could fulfil: no frame, frames of
// different shape, planes that do not fit.
func (r SaveRequest) Check() error {
	if r.Raster == nil || len(r.Raster.Frames) == 0 {
		return images.Errorf(images.Internal, "save: no frame")
	}
	first := &r.Raster.Frames[0].Picture
	if first.Model != plane.Gray && first.Model != plane.RGB {
		return images.Errorf(images.Internal, "save: planes are %v, not rgb or gray", first.Model)
	}
	for i := range r.Raster.Frames {
		p := &r.Raster.Frames[i].Picture
		if p.Model != first.Model || p.Alpha != first.Alpha || p.Width != first.Width || p.Height != first.Height {
			return images.Errorf(images.Internal, "save: frame %d has another shape than the first", i)
		}
		if err := p.Check(); err != nil {
			return images.Wrap(images.Internal, "save", "", err)
		}
	}
	if r.Quality < 0 || r.Quality > 100 || r.Effort < 0 || r.Effort > 9 {
		return images.Errorf(images.Internal, "save: quality %d or effort %d out of range", r.Quality, r.Effort)
	}
	return nil
}
