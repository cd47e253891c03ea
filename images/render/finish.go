package render

import (
	"context"

	"github.com/kamado/kamado/images"
	"github.com/kamado/kamado/images/codec"
	"github.com/kamado/kamado/images/jpeg"
	"github.com/kamado/kamado/images/plane"
	"github.com/kamado/kamado/images/raster"
	"github.com/kamado/kamado/images/resample"
)

// finishAndSave finishes one picture and writes it.
func (j *job) finishAndSave(ctx context.Context, pic *plane.Picture, plan images.Plan) (Result, error) {
	pic, err := j.finish(pic, plan)
	if err != nil {
		return Result{}, err
	}
	if j.want.Format == images.JPEG {
		return j.saveJPEG(pic)
	}
	return j.saveFrames(ctx, &codec.Raster{Frames: []codec.Frame{{Picture: *pic}}})
}

// finishFrames turns and finishes every frame of what a Codec loaded and
// writes them.
func (j *job) finishFrames(ctx context.Context, loaded *codec.Raster, plan images.Plan) (Result, error) {
	for i := range loaded.Frames {
		if err := ctx.Err(); err != nil {
			return Result{}, err
		}
		pic := &loaded.Frames[i].Picture
		if plan.Turn > images.Upright {
			raster.Orient(&j.ws.spare, pic, int(plan.Turn))
			pic = &j.ws.spare
		}
		pic, err := j.finish(pic, plan)
		if err != nil {
			return Result{}, err
		}
		if j.want.Format == images.JPEG {
			return j.saveJPEG(pic)
		}
		loaded.Frames[i].Picture = *own(pic, &loaded.Frames[i].Picture, j.ws)
	}
	return j.saveFrames(ctx, loaded)
}

// own makes sure that a frame does not lie in the workspace, which the next
// frame overwrites.
func own(pic, frame *plane.Picture, ws *workspace) *plane.Picture {
	for _, scratch := range []*plane.Picture{&ws.resized, &ws.spare, &ws.rgb} {
		if pic == scratch {
			kept := *pic
			*scratch = plane.Picture{}
			return &kept
		}
	}
	if pic != frame {
		panic("render: a finished frame is the frame itself or scratch memory")
	}
	return pic
}

// finish does to a picture of its final size what is left: sharpen, blur,
// blocks, colours, background, canvas, watermark, text. The result is pic or memory
// of the workspace.
func (j *job) finish(pic *plane.Picture, plan images.Plan) (*plane.Picture, error) {
	want := j.want
	mark, known := j.cfg.Watermarks[want.Watermark.Name]
	if want.Watermark.Name != "" && !known {
		return nil, images.Invalidf("watermark", "there is no watermark called %q", want.Watermark.Name)
	}
	words := want.Text.Words != ""
	if pic.Model == plane.CMYK && (want.Colours != images.Colours{} || known || words) {
		if err := j.convert(&pic, plane.RGB); err != nil {
			return nil, err
		}
	}
	j.ws.raster.Sharpen(pic, want.Sharpen)
	j.ws.raster.Blur(pic, want.Blur)
	raster.Pixelate(pic, want.Pixelate)
	if want.Colours != (images.Colours{}) {
		raster.Adjust(pic, raster.Filters(want.Colours))
	}
	background := raster.Color(images.White)
	if want.HasBackground {
		background = raster.Color(want.Background)
	}
	if want.HasBackground || !want.Format.Alpha() {
		raster.Flatten(pic, background)
	}
	// Colour laid over grey needs a model that has colour.
	coloured := known || plan.Padded() && !background.Neutral() || words && !raster.Color(want.Text.Color).Neutral()
	if pic.Model == plane.Gray && coloured {
		if err := j.convert(&pic, plane.RGB); err != nil {
			return nil, err
		}
	}
	if plan.Padded() {
		next, err := j.pad(pic, plan, background)
		if err != nil {
			return nil, err
		}
		pic = next
	}
	if known {
		if err := j.lay(pic, mark); err != nil {
			return nil, err
		}
	}
	if words {
		if err := j.write(pic); err != nil {
			return nil, err
		}
	}
	if want.Sharpen > 0 || want.Blur > 0 || want.Pixelate > 1 || want.Colours != (images.Colours{}) || plan.Padded() || known || words {
		j.lap("finish")
	}
	return pic, nil
}

// pad puts a picture on its canvas. Where the rendition has no background and
// its format has alpha, the canvas is transparent, also around a picture that
// has no alpha.
func (j *job) pad(pic *plane.Picture, plan images.Plan, background raster.Color) (*plane.Picture, error) {
	clear := !j.want.HasBackground && j.want.Format.Alpha()
	if clear && !pic.Alpha {
		if pic.Model != plane.Gray && pic.Model != plane.RGB {
			if err := j.convert(&pic, plane.RGB); err != nil {
				return nil, err
			}
		}
		raster.AddAlpha(pic)
	}
	next := j.other(pic)
	err := raster.Pad(next, pic, plan.CanvasWidth, plan.CanvasHeight, plan.OffsetX, plan.OffsetY, background, clear)
	return next, err
}

// write draws the rendition's text and lays it over.
func (j *job) write(base *plane.Picture) error {
	t := j.want.Text
	if !j.lettered {
		scale := j.want.DPR
		if scale == 0 {
			scale = 1
		}
		j.letters, j.lettersAt = j.cfg.Fonts.Draw(t, base.Width, base.Height, scale)
		j.lettered = true
	}
	if j.letters == nil {
		return nil
	}
	return raster.Composite(base, j.letters, j.lettersAt.X, j.lettersAt.Y, t.Opacity)
}

// scratchOfText is the memory of a text's mark at most.
func (j *job) scratchOfText(plan images.Plan) int {
	if j.want.Text.Words == "" {
		return 0
	}
	return 4 * plan.CanvasWidth * plan.CanvasHeight
}

// other is memory of the workspace that is not pic.
func (j *job) other(pic *plane.Picture) *plane.Picture {
	if pic == &j.ws.spare {
		return &j.ws.resized
	}
	return &j.ws.spare
}

// convert changes the model of *pic, moving it to other memory.
func (j *job) convert(pic **plane.Picture, m plane.Model) error {
	next := j.other(*pic)
	if err := raster.Convert(next, *pic, m, 2, 2); err != nil {
		return err
	}
	*pic = next
	return nil
}

// lay puts the watermark where the rendition wants it.
func (j *job) lay(base, mark *plane.Picture) error {
	w := j.want.Watermark
	if w.Scale > 0 {
		width := max(1, int(w.Scale*float64(base.Width)+0.5))
		height := max(1, int(float64(width)*float64(mark.Height)/float64(mark.Width)+0.5))
		all := resample.Window{Width: mark.ExactWidth, Height: mark.ExactHeight}
		if err := j.ws.resampler.Picture(&j.ws.rgb, mark, all, width, height, 1, 1, resample.Lanczos3); err != nil {
			return err
		}
		mark = &j.ws.rgb
	}
	x, y := w.Place(base.Width, base.Height, mark.Width, mark.Height)
	return raster.Composite(base, mark, x, y, w.Opacity)
}

// saveJPEG writes a picture of any model with our own encoder.
func (j *job) saveJPEG(pic *plane.Picture) (Result, error) {
	if pic.Model != plane.Gray && pic.Model != plane.YCbCr {
		if err := j.convert(&pic, plane.YCbCr); err != nil {
			return Result{}, err
		}
	}
	opt := jpeg.EncodeOptions{Thrifty: true, Exif: j.rights, ICC: j.written(pic.Model == plane.Gray)}
	data, quality, err := j.within(func(quality int) (_ []byte, err error) {
		opt.Quality = quality
		j.ws.out, err = j.ws.encoder.Encode(j.ws.out[:0], pic, opt)
		return j.ws.out, err
	})
	if err != nil {
		return Result{}, err
	}
	j.lap("encode")
	return Result{Data: data, Format: images.JPEG, Quality: quality, Width: pic.Width, Height: pic.Height, Frames: 1, Stages: j.stages}, nil
}

// saveFrames writes pictures with a Codec, which takes Gray and RGB.
func (j *job) saveFrames(ctx context.Context, out *codec.Raster) (Result, error) {
	for i := range out.Frames {
		pic := &out.Frames[i].Picture
		if pic.Model == plane.Gray || pic.Model == plane.RGB {
			continue
		}
		var converted plane.Picture
		if err := raster.Convert(&converted, pic, plane.RGB, 1, 1); err != nil {
			return Result{}, err
		}
		out.Frames[i].Picture = converted
	}
	gray := out.Frames[0].Picture.Model == plane.Gray
	req := codec.SaveRequest{Raster: out, Format: j.want.Format, ICC: j.written(gray)}
	data, quality, err := j.within(func(quality int) (data []byte, err error) {
		req.Quality = quality
		err = j.codec(func(c Codec) (err error) {
			data, err = c.Save(ctx, req)
			return err
		})
		return data, err
	})
	if err != nil {
		return Result{}, err
	}
	j.lap("encode")
	first := &out.Frames[0].Picture
	return Result{Data: data, Format: j.want.Format, Quality: quality, Width: first.Width, Height: first.Height, Frames: len(out.Frames), Stages: j.stages}, nil
}
