package purego

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/kamado/kamado/images"
	"github.com/kamado/kamado/images/codec"
	"github.com/kamado/kamado/images/plane"
	"github.com/kamado/kamado/images/raster"
	"github.com/kamado/kamado/images/resample"
)

// Config bounds what one request may cost. Zero values mean the defaults.
type Config struct {
	Memory int64 // most bytes of decoded pixels of one original; 0: 512 MiB
}

// Codec has the same three methods as codec.Pool. It keeps nothing between
// requests and may be used by any number of goroutines, each of which spends
// up to Config.Memory.
type Codec struct{ memory int64 }

// New gives a Codec.
func New(c Config) *Codec {
	if c.Memory <= 0 {
		c.Memory = 512 << 20
	}
	return &Codec{memory: c.Memory}
}

// source is a file whose header was read.
type source struct {
	info  codec.Info
	bytes int64 // of one decoded frame, at most
	// frames decodes up to n frames, each at the full size of the file, not
	// oriented, and hands them on one after another; the picture belongs to
	// the callee until it returns.
	frames func(ctx context.Context, n int, each func(picture, int) error) (damaged bool, err error)
	delays []int // milliseconds, of animations

	profile func() []byte // the colour profile in the file; nil: none
}

// Probe reads the header of a file.
func (c *Codec) Probe(ctx context.Context, data []byte, format images.Format) (info codec.Info, err error) {
	defer catch("probe", &err)
	s, err := open(data, format)
	if err != nil {
		return info, explain("probe", format, err)
	}
	return s.info, nil
}

// Load reads a file's header, asks r.Geometry for the wanted size and reads
// the pixels.
func (c *Codec) Load(ctx context.Context, r codec.LoadRequest) (out *codec.Raster, info codec.Info, err error) {
	defer catch("load", &err)
	s, err := open(r.Data, r.Format)
	if err != nil {
		return nil, info, explain("load", r.Format, err)
	}
	target, err := r.Resolve(s.info)
	if err != nil {
		return nil, s.info, err
	}
	frames := min(max(r.Frames, 1), s.info.Pages)
	result := int64(target.Width) * int64(target.Height) * 4 * int64(frames)
	if s.bytes > c.memory || result > c.memory {
		return nil, s.info, images.Wrap(images.TooLarge, "load", "the picture needs more memory than is allowed",
			fmt.Errorf("%w: %d bytes decoded, %d of the result", codec.ErrMemory, s.bytes, result))
	}
	out = &codec.Raster{Loop: s.info.Loop}
	l := loader{info: s.info, target: target}
	if s.profile != nil {
		l.colours = newColours(s.profile(), s.info, r.KeepProfile)
		out.ICC = l.colours.kept
	}
	out.Truncated, err = s.frames(ctx, frames, func(p picture, i int) error {
		frame, err := l.frame(p)
		if err == nil {
			err = l.colours.toSRGB(&frame.Picture)
		}
		if err == nil && i < len(s.delays) {
			frame.Delay = milliseconds(s.delays[i])
		}
		out.Frames = append(out.Frames, frame)
		return err
	})
	if ctx.Err() != nil {
		return nil, s.info, images.Wrap(images.Timeout, "load", "the picture took too long", ctx.Err())
	}
	if err != nil {
		return nil, s.info, explain("load", r.Format, err)
	}
	return out, s.info, nil
}

// loader turns decoded frames into what was asked for.
type loader struct {
	info      codec.Info
	target    codec.Target
	colours   colours
	resampler resample.Resampler
	full      plane.Picture // the crop, as the file lies
}

func (l *loader) frame(p picture) (codec.Frame, error) {
	crop := unorient(l.target.Crop, l.info)
	model := plane.RGB
	if l.info.Gray {
		model = plane.Gray
	}
	l.full.Reset(model, l.info.Alpha, crop.Dx(), crop.Dy(), 1, 1)
	for y := range crop.Dy() {
		p.row(&l.full, y, crop.Min.X, crop.Min.Y+y)
	}
	width, height := l.target.Width, l.target.Height
	if l.info.Orientation >= 5 {
		width, height = height, width
	}
	var sized plane.Picture
	if width == crop.Dx() && height == crop.Dy() {
		sized = l.full
		l.full = plane.Picture{}
	} else if err := l.resampler.Picture(&sized, &l.full, resample.Whole(&l.full), width, height, 1, 1, resample.Lanczos3); err != nil {
		return codec.Frame{}, err
	}
	if l.info.Orientation == 1 {
		return codec.Frame{Picture: sized}, nil
	}
	var turned plane.Picture
	raster.Orient(&turned, &sized, l.info.Orientation)
	return codec.Frame{Picture: turned}, nil
}

// errUnsupported marks a file of a known format but of a kind that is not
// read here.
var errUnsupported = errors.New("not read by pure Go")

// explain gives errors of decoders a kind and words for the client.
func explain(op string, f images.Format, err error) error {
	var known *images.Error
	if errors.As(err, &known) || err == nil {
		return err
	}
	name := strings.ToUpper(f.String())
	if errors.Is(err, codec.ErrFormat) {
		return images.Wrap(images.Unprocessable, op, fmt.Sprintf("%s is not read or written without kamado-codec", name), err)
	}
	file := "a " + name + " file"
	if f == images.ICO {
		file = "an ICO file"
	}
	if errors.Is(err, errUnsupported) || strings.Contains(err.Error(), "unsupported") || strings.Contains(err.Error(), "not implemented") {
		return images.Wrap(images.Unprocessable, op, file+" of this kind is not supported", err)
	}
	return images.Wrap(images.Unprocessable, op, fmt.Sprintf("the original is not %s that can be read", file), err)
}

// catch turns a panic of a decoder into an error: bytes from strangers chose
// its way.
func catch(op string, err *error) {
	if v := recover(); v != nil {
		*err = images.Wrap(images.Unprocessable, op, "the decoder crashed on this picture", fmt.Errorf("%w: %v", codec.ErrCrashed, v))
	}
}
