package resample

import (
	"errors"
	"fmt"

	"github.com/kamado/kamado/images/plane"
)

// DeviationMax bounds the standard deviation of Blur, in samples of a plane.
const DeviationMax = 500

// deviationFine is the deviation up to which Blur works at full size. Above
// it the result holds so little detail that a coarser grid holds it as well.
const deviationFine = 6

// coarseDeviation is the deviation, in samples of the coarser grid, that is
// left there: enough that enlarging adds nothing that shows.
const coarseDeviation = 3

// ErrDeviation says that a deviation is not in 0..DeviationMax.
var ErrDeviation = errors.New("resample: deviation of blur out of range")

// Blur makes dst the Gaussian blur of src, which has the same size, with
// standard deviations in samples across and down. At the edges the kernel is cut off and
// normalised. The two must not share memory.
func (r *Resampler) Blur(dst, src *plane.Plane, across, down float64) error {
	if err := checkPlane(src); err != nil {
		return err
	}
	if err := checkPlane(dst); err != nil {
		return err
	}
	if dst.Width != src.Width || dst.Height != src.Height {
		return fmt.Errorf("%w: blur of %dx%d to %dx%d", plane.ErrShape, src.Width, src.Height, dst.Width, dst.Height)
	}
	if !(across >= 0 && across <= DeviationMax && down >= 0 && down <= DeviationMax) {
		return fmt.Errorf("%w: %g across, %g down", ErrDeviation, across, down)
	}
	coarseX, coarseY := coarse(across, src.Width), coarse(down, src.Height)
	if coarseX == src.Width && coarseY == src.Height {
		r.filter(dst, src, bell(across, src.Width, src.Width), bell(down, src.Height, src.Height))
		return nil
	}
	small := &r.small
	small.Reset(coarseX, coarseY, 1, 1)
	r.filter(small, src, bell(across, coarseX, src.Width), bell(down, coarseY, src.Height))
	r.filter(dst, small,
		span(0, float64(coarseX), float64(src.Width), src.Width, coarseX, CatmullRom),
		span(0, float64(coarseY), float64(src.Height), src.Height, coarseY, CatmullRom))
	return nil
}

// coarse is how many samples suffice for n blurred by deviation.
func coarse(deviation float64, n int) int {
	if deviation <= deviationFine {
		return n
	}
	return max(int(float64(n)*coarseDeviation/deviation), 1)
}

// bell is the axis that blurs limit samples and gives n of them.
func bell(deviation float64, n, limit int) axis {
	a := span(0, float64(limit), float64(n), n, limit, gaussian)
	a.wide = deviation
	if deviation < deviationMin {
		a.kernel, a.wide = Nearest, 1
	}
	return a
}

// deviationMin is the deviation below which a blur changes no sample: the
// neighbour's weight is under 2^-14.
const deviationMin = 0.22
