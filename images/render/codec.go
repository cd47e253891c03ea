package render

import (
	"context"

	"github.com/kamado/kamado/images"
	"github.com/kamado/kamado/images/codec"
)

// fromCodec is the way of every picture that images/jpeg does not decode.
func (j *job) fromCodec(ctx context.Context, src []byte) (Result, error) {
	if j.want.Undecided() {
		whole, plan, err := j.decideCodec(ctx, src)
		if err != nil {
			return Result{}, err
		}
		if whole != nil {
			return j.fromLoaded(ctx, *whole, plan)
		}
	}
	var plan images.Plan
	loaded, _, err := j.load(ctx, src, j.frames(), func(info codec.Info) (codec.Target, error) {
		var err error
		plan, err = j.admit(info)
		before := plan.Before()
		return codec.Target{Crop: before.Crop, Width: before.Width, Height: before.Height}, err
	})
	if err != nil {
		return Result{}, err
	}
	j.lap("decode")
	if err := j.claim(ctx, scratchOfPlan(plan)+j.scratchOfText(plan)); err != nil {
		return Result{}, err
	}
	res, err := j.finishFrames(ctx, loaded, plan)
	res.Truncated = loaded.Truncated
	return res, err
}

// load asks the Codecs for pixels.
func (j *job) load(ctx context.Context, src []byte, frames int, geometry func(codec.Info) (codec.Target, error)) (*codec.Raster, codec.Info, error) {
	req := codec.LoadRequest{
		Data: src, Format: j.format, Frames: frames, Geometry: geometry,
		KeepProfile: j.want.Profile == images.ProfileKeep,
	}
	var loaded *codec.Raster
	var info codec.Info
	err := j.codec(func(c Codec) (err error) {
		loaded, info, err = c.Load(ctx, req)
		return err
	})
	if err != nil {
		return nil, info, err
	}
	j.profile = loaded.ICC
	return loaded, info, nil
}

// fromLoaded makes a rendition from a still picture that was loaded upright.
func (j *job) fromLoaded(ctx context.Context, got view, plan images.Plan) (Result, error) {
	if err := j.claim(ctx, scratchOfPlan(plan)+j.scratchOfText(plan)); err != nil {
		return Result{}, err
	}
	pic, err := j.resize(got, plan, 1)
	if err != nil {
		return Result{}, err
	}
	res, err := j.finishAndSave(ctx, pic, plan)
	res.Truncated = got.truncated
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
