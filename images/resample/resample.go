package resample

import (
	"errors"
	"fmt"
	"math"

	"github.com/kamado/kamado/images/plane"
)

// Window is a part of a plane or picture, in its own samples; the first
// sample covers 0..1.
type Window struct{ X, Y, Width, Height float64 }

// Whole is the window of all that a picture stands for.
func Whole(p *plane.Picture) Window {
	return Window{Width: p.ExactWidth, Height: p.ExactHeight}
}

// ErrWindow says that a window is empty, not a number or outside its plane.
var ErrWindow = errors.New("resample: window outside the plane")

// ErrSize says that a size asked for is not a size.
var ErrSize = errors.New("resample: bad size")

// sideMax bounds the side of a result, as a guard against nonsense; limits of
// what may be asked for are the caller's.
const sideMax = 1 << 20

// Resampler changes sizes. The zero value is ready. It keeps its scratch
// memory: reuse it, and it allocates nothing for sizes seen lately. Not for concurrent use.
type Resampler struct {
	ring    []int16 // pairs of source rows, interleaved
	held    []int   // byte offsets into ring of the pairs of the row in work
	rows    []int16 // eight combined rows
	columns []int16 // the same turned: pairs of columns of eight rows
	band    []byte  // eight rows of result where the plane has no room for whole groups

	across, down *filter // of the plane before

	small         plane.Plane // a coarser grid for wide blurs
	premultiplied plane.Plane // scratch of pictures with alpha
	alpha         plane.Plane // alpha at the size of a subsampled plane
}

// Plane resamples the window of src to the whole of dst, whose size is set
// already. The two must not share memory.
func (r *Resampler) Plane(dst, src *plane.Plane, win Window, k Kernel) error {
	if err := checkPlane(src); err != nil {
		return err
	}
	if err := checkPlane(dst); err != nil {
		return err
	}
	if err := win.check(float64(src.Width), float64(src.Height), dst.Width, dst.Height); err != nil {
		return err
	}
	if k >= kernels {
		return fmt.Errorf("resample: no such kernel: %v", k)
	}
	r.resample(dst, src, win, extent{float64(dst.Width), float64(dst.Height), 0, 0}, k)
	return nil
}

// Picture resamples the window of src, in picture samples, to a picture of
// width x height whose chroma covers subX x subY samples. dst gets its model
// and size from the call; it must not share memory with src. Colour is
// weighted by alpha where there is alpha, so that what is transparent does
// not bleed.
func (r *Resampler) Picture(dst, src *plane.Picture, win Window, width, height, subX, subY int, k Kernel) error {
	return r.picture(dst, src, win, width, height, subX, subY, k, false, false)
}

// PictureToMirror is Picture for a result that is mirrored afterwards, across
// or down or both. Where that side is no multiple of subX or subY, the first
// chroma sample reaches outside instead of the last, so that chroma lies where
// it should once the samples have changed places.
func (r *Resampler) PictureToMirror(dst, src *plane.Picture, win Window, width, height, subX, subY int, k Kernel, across, down bool) error {
	return r.picture(dst, src, win, width, height, subX, subY, k, across, down)
}

func (r *Resampler) picture(dst, src *plane.Picture, win Window, width, height, subX, subY int, k Kernel, lastX, lastY bool) error {
	if err := src.Check(); err != nil {
		return err
	}
	if width < 1 || height < 1 || width > sideMax || height > sideMax || subX < 1 || subY < 1 || subX > 4 || subY > 4 {
		return fmt.Errorf("%w: %dx%d, chroma by %dx%d", ErrSize, width, height, subX, subY)
	}
	if err := win.check(float64(src.Width), float64(src.Height), width, height); err != nil {
		return err
	}
	if k >= kernels {
		return fmt.Errorf("resample: no such kernel: %v", k)
	}
	dst.Reset(src.Model, src.Alpha, width, height, subX, subY)
	opaque := !src.Alpha || isOpaque(src.AlphaPlane())
	for i := range src.N() {
		from, to := &src.Planes[i], &dst.Planes[i]
		if !opaque && i < src.Model.Components() {
			from = r.premultiply(src, i)
		}
		part := Window{
			win.X / float64(from.SubX), win.Y / float64(from.SubY),
			win.Width / float64(from.SubX), win.Height / float64(from.SubY),
		}
		size := extent{width: float64(width) / float64(to.SubX), height: float64(height) / float64(to.SubY)}
		if lastX {
			size.left = float64(to.Width) - size.width
		}
		if lastY {
			size.top = float64(to.Height) - size.height
		}
		r.resample(to, from, part, size, k)
	}
	if !opaque {
		r.unpremultiply(dst)
	}
	return nil
}

// check returns ErrWindow unless the window covers a part of width x height.
// It may reach over by half a sample of a result of n x m samples: that is
// how far rounding to whole samples moves a picture.
func (w Window) check(width, height float64, n, m int) error {
	overX, overY := w.Width/float64(2*n)+windowSlack, w.Height/float64(2*m)+windowSlack
	// Written so that NaN fails.
	if !(w.Width > 0 && w.Height > 0 && w.Width <= 2*width && w.Height <= 2*height && w.X >= -overX && w.Y >= -overY &&
		w.X+w.Width <= width+overX && w.Y+w.Height <= height+overY) {
		return fmt.Errorf("%w: %+v in %gx%g", ErrWindow, w, width, height)
	}
	return nil
}

// windowSlack is how far a window may reach outside through rounding of its numbers.
const windowSlack = 1e-6

func checkPlane(p *plane.Plane) error {
	if p.Width < 1 || p.Height < 1 || p.Stride < p.Width || len(p.Pix) < (p.Height-1)*p.Stride+p.Width+plane.Slack {
		return fmt.Errorf("%w: %dx%d stride %d len %d", plane.ErrShape, p.Width, p.Height, p.Stride, len(p.Pix))
	}
	return nil
}

// extent is the exact size that a plane stands for: a chroma plane of 244
// samples may stand for 243.5. What is too much lies at its end, or left and top of it.
type extent struct{ width, height, left, top float64 }

// resample does one plane.
func (r *Resampler) resample(dst, src *plane.Plane, win Window, size extent, k Kernel) {
	across := span(win.X, win.Width, size.width, dst.Width, src.Width, k)
	down := span(win.Y, win.Height, size.height, dst.Height, src.Height, k)
	across.offset -= size.left * across.step
	down.offset -= size.top * down.step
	if x, y, ok := across.copies(&down); ok {
		for row := range dst.Height {
			copy(dst.Row(row), src.Pix[(y+row)*src.Stride+x:][:dst.Width])
		}
		return
	}
	r.filter(dst, src, across, down)
}

// filter does one plane along two axes.
func (r *Resampler) filter(dst, src *plane.Plane, across, down axis) {
	fx := filters.get(across.padded(groupColumns), r.across, r.down)
	fy := filters.get(down, fx, r.down)
	r.across, r.down = fx, fy
	if haveKernels {
		r.vector(dst, src, fx, fy)
	} else {
		r.scalar(dst, src, fx, fy)
	}
}

// span is the axis that lays n samples, which stand for exact, over a part
// of limit source samples.
func span(offset, size, exact float64, n, limit int, k Kernel) axis {
	lo := min(max(int(math.Floor(offset+windowSlack)), 0), limit-1)
	hi := min(int(math.Ceil(offset+size-windowSlack)), limit)
	step := size / exact
	return axis{
		offset: offset, step: step, n: n, lo: lo, hi: max(hi, lo+1), kernel: k, padding: 1,
		wide: max(step, 1), // as wide as the coarser grid asks
	}
}

// padded is the axis whose filter has a multiple of n output samples.
func (a axis) padded(n int) axis {
	a.padding = n
	return a
}

// copies says whether a pair of axes only picks samples, and from where.
func (a *axis) copies(b *axis) (x, y int, ok bool) {
	x, y = int(a.offset), int(b.offset)
	ok = a.step == 1 && b.step == 1 && float64(x) == a.offset && float64(y) == b.offset &&
		x+a.n <= a.hi && y+b.n <= b.hi && a.kernel != Mitchell && a.kernel != gaussian
	return x, y, ok
}
