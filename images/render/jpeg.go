package render

import (
	"context"
	"errors"
	"image"
	"math"

	"github.com/kamado/kamado/images"
	"github.com/kamado/kamado/images/exif"
	"github.com/kamado/kamado/images/icc"
	"github.com/kamado/kamado/images/jpeg"
	"github.com/kamado/kamado/images/plane"
	"github.com/kamado/kamado/images/raster"
	"github.com/kamado/kamado/images/resample"
)

// errNeedsCodec: this JPEG is one for a Codec.
var errNeedsCodec = errors.New("render: a JPEG that images/jpeg leaves to a codec")

// How many decoded samples there must be for one of the rendition. Less leaves
// too little for the filter and shows; more makes the entropy decoder and the
// transforms work for nothing. Mean ssimulacra2 against sharp, which keeps
// twice as many at the same sizes: -1.5 at 1.04, -0.4 at 1.11, -0.2 at 1.15,
// -0.1 at 1.2, all at quality 70; at quality 90, where the encoder hides less,
// -0.6 at 1.2 and 0.0 at 1.25.
//
// At 1/8 sharp itself goes down to 1.125. More detail than it keeps there
// would be paid for in bytes: 1.035 of sharp's at a reduction of 9.1.
const (
	oversample     = 1.15
	oversampleFine = 1.25
	fineQuality    = 80 // above this quality, and for lossless formats, the finer one
	oversampleDC   = 1.125
)

// dctScale is the smallest N for which decoding at N/8 leaves enough samples.
func dctScale(reduction float64, quality int) int {
	need := oversample
	if quality > fineQuality || quality == 0 {
		need = oversampleFine
	}
	if reduction/8 >= oversampleDC {
		return 1
	}
	for _, n := range [...]int{2, 4} {
		if reduction*float64(n)/8 >= need {
			return n
		}
	}
	return 8
}

// jpegSource is a JPEG whose header was read.
type jpegSource struct {
	data    []byte
	info    jpeg.Info
	width   int // upright
	height  int
	colours *icc.Transform // to sRGB; nil when nothing has to be done
}

func (in jpegSource) orientation() images.Orientation { return images.Orientation(in.info.Orientation) }

// openJPEG reads the header, and refuses what is over a limit or for a Codec.
func (j *job) openJPEG(src []byte) (jpegSource, error) {
	info, err := jpeg.ReadInfo(src)
	if err != nil {
		return jpegSource{}, jpegError(err)
	}
	in := jpegSource{data: src, info: info}
	in.width, in.height = in.orientation().Size(info.Width, info.Height)
	if info.Components != 4 && j.keeps(info.ICC, info.Components == 1) {
		j.profile = info.ICC
	} else if in.colours, err = j.profiles.transform(info.ICC); err != nil && !j.alone {
		return in, errNeedsCodec
	}
	if info.Components == 4 && !j.alone {
		return in, errNeedsCodec
	}
	if err := j.cfg.Limits.CheckOriginal(info.Width, info.Height); err != nil {
		return in, err
	}
	if j.want.Metadata == images.MetadataCopyright {
		j.rights = exif.Rights(info.Exif)
	}
	return in, nil
}

// planJPEG makes the plan of a rendition whose geometry is decided.
func (j *job) planJPEG(in jpegSource) (images.Plan, error) {
	plan, err := j.want.Plan(in.width, in.height)
	if err == nil {
		err = j.cfg.Limits.CheckPlan(plan)
	}
	return plan, err
}

// fromJPEG is the way of most pictures: everything in this process.
func (j *job) fromJPEG(ctx context.Context, src []byte) (Result, error) {
	in, err := j.openJPEG(src)
	if err != nil {
		return Result{}, err
	}
	var seen jpegSight
	if j.want.Undecided() {
		if err := j.decideJPEG(ctx, in, &seen); err != nil {
			return Result{}, err
		}
	}
	plan, err := j.planJPEG(in)
	if err != nil {
		return Result{}, err
	}
	var got view
	if seen.n > 0 && seen.serves(plan, j.want.Quality) {
		got = seen.view
	} else if got, err = j.decodeJPEG(ctx, in, plan, dctScale(plan.Reduction(), j.want.Quality)); err != nil {
		return Result{}, err
	}
	return j.renderView(ctx, in, got, plan)
}

// view is a picture decoded from an original: so many samples for each of its
// pixels, sample (0,0) at origin.
type view struct {
	pic            *plane.Picture
	scaleX, scaleY float64
	origin         image.Point
	turn           images.Orientation // what is to be done to it so that it stands upright; 0: nothing
	truncated      bool
}

// before is a plan in coordinates of a picture that stands upright after a
// turn. Its Turn is what is left to do to the resized picture.
func before(plan images.Plan, turn images.Orientation) images.Plan {
	plan.Turn = turn.Then(plan.Turn)
	return plan.Before()
}

// decodeJPEG decodes what a plan needs, at n/8.
func (j *job) decodeJPEG(ctx context.Context, in jpegSource, plan images.Plan, n int) (view, error) {
	region := reach(before(plan, in.orientation()), float64(n)/8)
	pixels := in.width * in.height
	if !region.Empty() {
		pixels = region.Dx() * region.Dy()
	}
	if err := j.claim(ctx, scratchOfJPEG(in.info, n, pixels, plan)+j.scratchOfText(plan)); err != nil {
		return view{}, err
	}
	return j.decodeRegion(ctx, in, n, images.Upright, region)
}

// leaves is what is left to be done to what was turned while decoding, so
// that it stands upright.
func (in jpegSource) leaves(turn images.Orientation) images.Orientation {
	return turn.Inverse().Then(in.orientation())
}

// decodeRegion decodes a part of a picture, turned, at n/8 into the workspace.
// The region is one of the turned picture. A turn costs 0.5 to 3 ns a sample
// while decoding and 0.1 ns in raster.Orient, so turn is for those who look at
// what was decoded.
func (j *job) decodeRegion(ctx context.Context, in jpegSource, n int, turn images.Orientation, region image.Rectangle) (view, error) {
	got, err := j.ws.decoder.Decode(&j.ws.decoded, in.data, jpeg.DecodeOptions{
		Scale:     n,
		Orient:    int(turn),
		MaxPixels: j.cfg.Limits.MaxPixels,
		Interrupt: ctx.Err,
		Region:    region,
	})
	if err != nil {
		return view{}, jpegError(err)
	}
	j.lap("decode")
	scale := float64(n) / 8
	return view{&j.ws.decoded, scale, scale, got.Origin, in.leaves(turn), got.Truncated}, nil
}

// renderView makes the rendition from what was decoded of a JPEG.
func (j *job) renderView(ctx context.Context, in jpegSource, got view, plan images.Plan) (Result, error) {
	// Chroma at full resolution for what continues in RGB.
	sub := 2
	if in.colours != nil || j.want.Format != images.JPEG {
		sub = 1
	}
	pic, err := j.resize(got, plan, sub)
	if err != nil {
		return Result{}, err
	}
	pic, err = j.toSRGB(pic, in.colours)
	if err != nil {
		return Result{}, err
	}
	res, err := j.finishAndSave(ctx, pic, plan)
	res.Truncated = got.truncated
	return res, err
}

// resize brings a plan's window to its size and turns it, in the workspace's
// resized and spare.
func (j *job) resize(got view, plan images.Plan, sub int) (*plane.Picture, error) {
	plan = before(plan, got.turn)
	win := resample.Window{
		X:      (plan.Window.X - float64(got.origin.X)) * got.scaleX,
		Y:      (plan.Window.Y - float64(got.origin.Y)) * got.scaleY,
		Width:  plan.Window.Width * got.scaleX,
		Height: plan.Window.Height * got.scaleY,
	}
	pic := &j.ws.resized
	across, down := plan.Turn.Mirrors()
	err := j.ws.resampler.PictureToMirror(pic, got.pic, win, plan.Width, plan.Height, sub, sub, resample.Lanczos3, across, down)
	if err != nil {
		return nil, err
	}
	if plan.Turn > images.Upright {
		pic = &j.ws.spare
		raster.OrientPlaced(pic, &j.ws.resized, int(plan.Turn))
	}
	j.lap("resize")
	return pic, nil
}

// reach is the part of the source that the filter reads: the crop and three
// lobes of Lanczos around it, in whole pixels, where plan is one before any turn. Empty
// when that is everything.
func reach(plan images.Plan, scale float64) image.Rectangle {
	all := image.Rect(0, 0, plan.SourceWidth, plan.SourceHeight)
	if plan.Crop == all {
		return image.Rectangle{}
	}
	// One lobe is as wide as a sample of the coarser side; chroma samples are
	// up to twice that wide.
	lobe := func(source float64, size int) int {
		return int(math.Ceil(3*2*max(source/float64(size), 1/scale))) + 1
	}
	x, y := lobe(plan.Window.Width, plan.Width), lobe(plan.Window.Height, plan.Height)
	return image.Rect(plan.Crop.Min.X-x, plan.Crop.Min.Y-y, plan.Crop.Max.X+x, plan.Crop.Max.Y+y).Intersect(all)
}

// jpegError gives a decoder's error its kind.
func jpegError(err error) error {
	var format jpeg.FormatError
	var unsupported jpeg.UnsupportedError
	switch {
	case errors.As(err, &unsupported):
		return errNeedsCodec
	case errors.Is(err, jpeg.ErrTooLarge):
		return images.Wrap(images.TooLarge, "decode jpeg", "the original has more pixels than allowed", err)
	case errors.Is(err, jpeg.ErrTooManyScans):
		return images.Wrap(images.TooLarge, "decode jpeg", "the original has more scans than allowed", err)
	case errors.As(err, &format):
		return images.Wrap(images.Unprocessable, "decode jpeg", "the original is a damaged JPEG: "+format.Error(), err)
	}
	return err
}
