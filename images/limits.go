package images

import (
	"errors"
	"fmt"
	"time"

	"github.com/kamado/kamado/internal/unit"
)

// Limits bound what one request may cost. Every one is checked before the
// memory or the time it speaks of is spent.
type Limits struct {
	// Largest original in bytes; a larger one is answered with 413 and not read to its end.
	MaxBytes unit.Bytes `toml:"max_bytes"`
	// Most pixels of an original's one frame (width times height).
	MaxPixels int `toml:"max_pixels"`
	// Most frames of an animation that are kept; further ones are left out.
	MaxFrames int `toml:"max_frames"`
	// Most pixels of all frames of an animation together.
	MaxFramePixels int `toml:"max_frame_pixels"`
	// Longest side of a rendition in pixels, dpr and padding included.
	MaxOutputSide int `toml:"max_output_side"`
	// Most pixels of a rendition.
	MaxOutputPixels int `toml:"max_output_pixels"`
	// How long one rendition may take from the request's arrival to its last byte made, fetching the original included.
	Time time.Duration `toml:"time"`
	// How many renditions are made at the same time. 0: as many as there are processors.
	Concurrency int `toml:"concurrency"`
	// How many requests may wait for their turn; one more is answered with 503 and Retry-After.
	Queue int `toml:"queue"`
}

// DefaultLimits suit a service for photographs from cameras and phones.
func DefaultLimits() Limits {
	return Limits{
		MaxBytes:        64 * unit.MiB,
		MaxPixels:       100_000_000,
		MaxFrames:       256,
		MaxFramePixels:  100_000_000,
		MaxOutputSide:   8192,
		MaxOutputPixels: 40_000_000,
		Time:            20 * time.Second,
		Queue:           256,
	}
}

// Validate gives all complaints at once.
func (l Limits) Validate() error {
	var errs []error
	positive := func(name string, v int64) {
		if v <= 0 {
			errs = append(errs, fmt.Errorf("limits.%s must be more than 0, not %d", name, v))
		}
	}
	positive("max_bytes", int64(l.MaxBytes))
	positive("max_pixels", int64(l.MaxPixels))
	positive("max_frames", int64(l.MaxFrames))
	positive("max_frame_pixels", int64(l.MaxFramePixels))
	positive("max_output_side", int64(l.MaxOutputSide))
	positive("max_output_pixels", int64(l.MaxOutputPixels))
	positive("time", int64(l.Time))
	if l.Concurrency < 0 {
		errs = append(errs, fmt.Errorf("limits.concurrency must not be negative, not %d", l.Concurrency))
	}
	if l.Queue < 0 {
		errs = append(errs, fmt.Errorf("limits.queue must not be negative, not %d", l.Queue))
	}
	if l.MaxOutputSide > MaxSide {
		errs = append(errs, fmt.Errorf("limits.max_output_side must be at most %d, not %d", MaxSide, l.MaxOutputSide))
	}
	return errors.Join(errs...)
}

// CheckOriginal refuses an original whose header promises more pixels than
// allowed.
func (l Limits) CheckOriginal(width, height int) error {
	if width <= 0 || height <= 0 {
		return Errorf(Unprocessable, "the original has no pixels (%dx%d)", width, height)
	}
	// Both sides of a header fit 32 bits, so the product fits 64.
	if int64(width)*int64(height) > int64(l.MaxPixels) {
		return &Error{Kind: TooLarge, Part: "max_pixels",
			Detail: fmt.Sprintf("the original has %dx%d pixels, more than the %d allowed", width, height, l.MaxPixels)}
	}
	return nil
}

// CheckPlan refuses a rendition that would be larger than allowed.
func (l Limits) CheckPlan(p Plan) error {
	for _, size := range [][2]int{{p.Width, p.Height}, {p.CanvasWidth, p.CanvasHeight}} {
		w, h := size[0], size[1]
		if w > l.MaxOutputSide || h > l.MaxOutputSide {
			return &Error{Kind: TooLarge, Part: "max_output_side",
				Detail: fmt.Sprintf("the rendition would be %dx%d, longer than the %d pixels allowed for a side", w, h, l.MaxOutputSide)}
		}
		if int64(w)*int64(h) > int64(l.MaxOutputPixels) {
			return &Error{Kind: TooLarge, Part: "max_output_pixels",
				Detail: fmt.Sprintf("the rendition would be %dx%d, more than the %d pixels allowed", w, h, l.MaxOutputPixels)}
		}
	}
	return nil
}
