package render

import (
	"context"

	"github.com/kamado/kamado/images"
	"github.com/kamado/kamado/images/codec"
)

// fromCodec is the way of every picture that images/jpeg does not decode.
func (j *job) fromCodec(ctx context.Context, src []byte) (Result, error) {
	var plan images.Plan
	req := codec.LoadRequest{
		Data:   src,
		Format: j.format,
		Frames: j.frames(),
		Geometry: func(info codec.Info) (codec.Target, error) {
			var err error
			plan, err = j.admit(info)
			before := plan.Before()
			return codec.Target{Crop: before.Crop, Width: before.Width, Height: before.Height}, err
		},
	}
	var loaded *codec.Raster
	err := j.codec(func(c Codec) (err error) {
		loaded, _, err = c.Load(ctx, req)
		return err
	})
	if err != nil {
		return Result{}, err
	}
	j.lap("decode")
	if err := j.claim(ctx, scratchOfPlan(plan)); err != nil {
		return Result{}, err
	}
	res, err := j.finishFrames(ctx, loaded, plan)
	res.Truncated = loaded.Truncated
	return res, err
}

// frames is how many frames of an animation the rendition can show.
func (j *job) frames() int {
	if j.want.Still || !j.want.Format.Animated() {
		return 1
	}
	return j.cfg.Limits.MaxFrames
}

// admit makes the plan for an original whose header has been read, if it and
// the rendition are within the limits.
func (j *job) admit(info codec.Info) (images.Plan, error) {
	limits := j.cfg.Limits
	if err := limits.CheckOriginal(info.Width, info.Height); err != nil {
		return images.Plan{}, err
	}
	plan, err := j.want.Plan(info.Width, info.Height)
	if err != nil {
		return plan, err
	}
	if err := limits.CheckPlan(plan); err != nil {
		return plan, err
	}
	// Both what is decoded and what is written exist for every frame.
	frames := min(max(info.Pages, 1), j.frames())
	largest := max(info.Width*info.Height, plan.CanvasWidth*plan.CanvasHeight)
	if frames > 1 && int64(frames)*int64(largest) > int64(limits.MaxFramePixels) {
		return plan, &images.Error{Kind: images.TooLarge, Part: "max_frame_pixels",
			Detail: "the frames of the animation have more pixels together than allowed"}
	}
	return plan, nil
}
