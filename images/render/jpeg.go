package render

import (
	"context"
	"errors"
	"image"
	"math"

	"github.com/kamado/kamado/images"
	"github.com/kamado/kamado/images/exif"
	"github.com/kamado/kamado/images/jpeg"
	"github.com/kamado/kamado/images/plane"
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

// fromJPEG is the way of most pictures: everything in this process.
func (j *job) fromJPEG(ctx context.Context, src []byte) (Result, error) {
	info, err := jpeg.ReadInfo(src)
	if err != nil {
		return Result{}, jpegError(err)
	}
	colours, err := j.profiles.transform(info.ICC)
	if !j.alone && (info.Components == 4 || err != nil) {
		return Result{}, errNeedsCodec
	}
	if err := j.cfg.Limits.CheckOriginal(info.Width, info.Height); err != nil {
		return Result{}, err
	}
	if j.want.Metadata == images.MetadataCopyright {
		j.rights = exif.Rights(info.Exif)
	}
	plan, err := j.want.Plan(images.Orientation(info.Orientation).Size(info.Width, info.Height))
	if err == nil {
		err = j.cfg.Limits.CheckPlan(plan)
	}
	if err != nil {
		return Result{}, err
	}
	pic, truncated, err := j.decodeJPEG(ctx, src, info, plan, colours != nil)
	if err == nil {
		pic, err = j.toSRGB(pic, colours)
	}
	if err != nil {
		return Result{}, err
	}
	res, err := j.finishAndSave(ctx, pic, plan)
	res.Truncated = truncated
	return res, err
}

// decodeJPEG decodes and resizes. full asks for chroma at full resolution,
// for what continues in RGB.
func (j *job) decodeJPEG(ctx context.Context, src []byte, info jpeg.Info, plan images.Plan, full bool) (*plane.Picture, bool, error) {
	n := dctScale(plan.Reduction(), j.want.Quality)
	scale := float64(n) / 8
	opt := jpeg.DecodeOptions{
		Scale:     n,
		Orient:    int(images.Orientation(info.Orientation).Then(plan.Turn)),
		MaxPixels: j.cfg.Limits.MaxPixels,
		Interrupt: ctx.Err,
		Region:    reach(plan, scale),
	}
	pixels := info.Width * info.Height
	if !opt.Region.Empty() {
		pixels = opt.Region.Dx() * opt.Region.Dy()
	}
	if err := j.claim(ctx, scratchOfJPEG(info, n, pixels, plan)); err != nil {
		return nil, false, err
	}
	got, err := j.ws.decoder.Decode(&j.ws.decoded, src, opt)
	if err != nil {
		return nil, false, jpegError(err)
	}
	j.lap("decode")
	subX, subY := 2, 2
	if full || j.want.Format != images.JPEG {
		subX, subY = 1, 1
	}
	win := resample.Window{
		X:      (plan.Window.X - float64(got.Origin.X)) * scale,
		Y:      (plan.Window.Y - float64(got.Origin.Y)) * scale,
		Width:  plan.Window.Width * scale,
		Height: plan.Window.Height * scale,
	}
	err = j.ws.resampler.Picture(&j.ws.resized, &j.ws.decoded, win, plan.Width, plan.Height, subX, subY, resample.Lanczos3)
	if err != nil {
		return nil, false, err
	}
	j.lap("resize")
	return &j.ws.resized, got.Truncated, nil
}

// reach is the part of the source that the filter reads: the crop and three
// lobes of Lanczos around it, in whole pixels of the turned original. Empty
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
