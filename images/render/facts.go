package render

import (
	"context"
	"errors"
	"image"

	"github.com/kamado/kamado/images"
	"github.com/kamado/kamado/images/codec"
	"github.com/kamado/kamado/images/look"
	"github.com/kamado/kamado/images/plane"
	"github.com/kamado/kamado/images/raster"
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

// pixels says whether more is asked than the header says.
func (a Ask) pixels() bool {
	return a.Palette > 0 || a.BlurHashX > 0 || a.BlurHashY > 0 || a.ThumbHash || a.Dominant || a.Attention
}

// Facts reads what the header of src says, and looks at its pixels for what
// is asked for. Errors are those of Render.
func (r *Renderer) Facts(ctx context.Context, src []byte, ask Ask) (Facts, error) {
	format, err := r.sniff(src)
	if err != nil {
		return Facts{}, err
	}
	j := r.job(format, images.Rendition{})
	defer j.giveBack()
	var f Facts
	err = errNeedsCodec
	if format == images.JPEG {
		f, err = j.factsOfJPEG(ctx, src, ask)
	}
	if errors.Is(err, errNeedsCodec) {
		f, err = j.factsFromCodec(ctx, src, ask)
		if passes(err) && format == images.JPEG {
			j.alone = true
			f, err = j.factsOfJPEG(ctx, src, ask)
		}
	}
	if err != nil {
		return Facts{}, explain(ctx, err)
	}
	return f, nil
}

func (j *job) factsOfJPEG(ctx context.Context, src []byte, ask Ask) (Facts, error) {
	in, err := j.openJPEG(src)
	if err != nil {
		return Facts{}, err
	}
	f := Facts{
		Format: images.JPEG, Width: in.width, Height: in.height, Orientation: in.info.Orientation, Frames: 1, Bits: in.info.Precision,
		Gray: in.info.Components == 1, Profile: len(in.info.ICC) > 0, Progressive: in.info.Progressive,
	}
	if !ask.pixels() {
		return f, nil
	}
	n := smallScale(in.width, in.height)
	width, height := smallSize(in.width, in.height)
	plan := images.Plan{
		Window:      images.Window{Width: float64(in.width), Height: float64(in.height)},
		SourceWidth: in.width, SourceHeight: in.height,
		Width: width, Height: height, CanvasWidth: width, CanvasHeight: height,
	}
	if err := j.claim(ctx, scratchOfJPEG(in.info, n, in.width*in.height, plan)); err != nil {
		return Facts{}, err
	}
	got, err := j.decodeRegion(ctx, in, n, images.Upright, image.Rectangle{})
	if err != nil {
		return Facts{}, err
	}
	f.Truncated = got.truncated
	pic, err := j.resize(got, plan, 1)
	if err != nil {
		return Facts{}, err
	}
	pic, err = j.toSRGB(pic, in.colours)
	if err != nil {
		return Facts{}, err
	}
	f.look(pic, ask)
	return f, nil
}

func (j *job) factsFromCodec(ctx context.Context, src []byte, ask Ask) (f Facts, err error) {
	var info codec.Info
	if !ask.pixels() {
		err = j.codec(func(c Codec) (err error) {
			info, err = c.Probe(ctx, src, j.format)
			return err
		})
		if err != nil {
			return f, err
		}
		return headerFacts(info), j.cfg.Limits.CheckOriginal(info.Width, info.Height)
	}
	loaded, info, err := j.load(ctx, src, 1, func(info codec.Info) (t codec.Target, err error) {
		t.Width, t.Height = smallSize(info.Width, info.Height)
		return t, j.cfg.Limits.CheckOriginal(info.Width, info.Height)
	})
	if err != nil {
		return f, err
	}
	f = headerFacts(info)
	f.Truncated = loaded.Truncated
	f.look(&loaded.Frames[0].Picture, ask)
	return f, nil
}

func headerFacts(info codec.Info) Facts {
	return Facts{
		Format: info.Format, Width: info.Width, Height: info.Height, Orientation: info.Orientation, Frames: max(info.Pages, 1),
		Bits: info.Bits, Alpha: info.Alpha, Gray: info.Gray, Profile: info.ICC,
	}
}

// look fills in what is asked for from a small upright sRGB picture, which it
// changes.
func (f *Facts) look(pic *plane.Picture, ask Ask) {
	if n := min(ask.Palette, PaletteMax); n > 0 || ask.Dominant {
		swatches := look.Palette(pic, max(n, dominantOf))
		if ask.Dominant && len(swatches) > 0 {
			f.Dominant = images.Color(swatches[0].Color)
		}
		if n > 0 && n < dominantOf {
			swatches = look.Palette(pic, n)
		}
		for _, s := range swatches[:min(n, len(swatches))] {
			f.Palette = append(f.Palette, Share{images.Color(s.Color), s.Share})
		}
	}
	if ask.Attention {
		f.EyeX, f.EyeY = look.Attention(pic, 0.5, 0.5)
	}
	if ask.ThumbHash {
		f.ThumbHash = look.ThumbHash(pic)
	}
	if ask.BlurHashX > 0 || ask.BlurHashY > 0 {
		raster.Flatten(pic, raster.Color(images.White)) // a BlurHash knows no transparency
		f.BlurHash = look.BlurHash(pic, ask.BlurHashX, ask.BlurHashY)
	}
}

// dominantOf is how many colours a picture is divided into before the largest
// is called dominant: with fewer, colours that nobody sees come out as means.
const dominantOf = 6
