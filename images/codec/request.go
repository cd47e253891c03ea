package codec

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/kamado/kamado/images"
	"github.com/kamado/kamado/images/codec/wire"
	"github.com/kamado/kamado/images/plane"
)

// formats are those that workers may know; others need not start one.
var formats = [...]images.Format{images.JPEG, images.PNG, images.WebP, images.GIF, images.AVIF, images.HEIC, images.TIFF, images.SVG}

// unknown refuses a format that no worker knows.
func unknown(op string, f images.Format) error {
	if slices.Contains(formats[:], f) {
		return nil
	}
	return images.Wrap(images.Unprocessable, op, fmt.Sprintf("%v is not read or written by codec workers", f), ErrFormat)
}

// Probe reads the header of a file.
func (p *Pool) Probe(ctx context.Context, data []byte, format images.Format) (Info, error) {
	var info Info
	if err := unknown("probe", format); err != nil {
		return info, err
	}
	data, err := p.harmless(data, format)
	if err != nil {
		return info, err
	}
	err = p.with(ctx, "probe", func(ctx context.Context, t *talk) error {
		var err error
		info, err = t.open(ctx, data, wire.Open{Format: format, Probe: true, Frames: 1})
		return err
	})
	return info, err
}

// Load reads a file's header, asks r.Geometry for the wanted size and reads
// the pixels. The Info is valid, apart from an error of opening, even when
// Load fails later.
func (p *Pool) Load(ctx context.Context, r LoadRequest) (*Raster, Info, error) {
	var info Info
	var raster *Raster
	if err := unknown("load", r.Format); err != nil {
		return nil, info, err
	}
	data, err := p.harmless(r.Data, r.Format)
	if err != nil {
		return nil, info, err
	}
	err = p.with(ctx, "load", func(ctx context.Context, t *talk) error {
		frames := min(max(r.Frames, 1), wire.MaxFrames)
		var err error
		if info, err = t.open(ctx, data, wire.Open{Format: r.Format, Frames: frames, Keep: r.KeepProfile}); err != nil {
			return err
		}
		target, err := r.Resolve(info)
		if err != nil {
			t.drop()
			return err
		}
		raster, err = t.pixels(ctx, info, target, min(frames, info.Pages), t.profile)
		return err
	})
	return raster, info, err
}

// Save writes a file.
func (p *Pool) Save(ctx context.Context, r SaveRequest) ([]byte, error) {
	if err := r.Check(); err != nil {
		return nil, err
	}
	if err := unknown("save", r.Format); err != nil {
		return nil, err
	}
	var file []byte
	err := p.with(ctx, "save", func(ctx context.Context, t *talk) error {
		var err error
		file, err = t.save(ctx, r)
		return err
	})
	return file, err
}

// talk is one request's use of a worker.
type talk struct {
	p  *Pool
	w  *worker
	op string
	// settled: the worker waits for the next request. Else it must be killed
	// or given time.
	settled bool
	format  images.Format
	profile int // bytes of the colour profile that the worker offers
}

// with runs one request with a worker. A worker that died before the request
// reached it is replaced by another, once for each that there may be.
func (p *Pool) with(ctx context.Context, op string, do func(context.Context, *talk) error) error {
	for tries := p.c.Workers + p.c.Spare + 1; ; tries-- {
		w, err := p.acquire(ctx, op)
		if err != nil {
			return err
		}
		w.id++
		t := &talk{p: p, w: w, op: op, settled: true}
		limited, cancel := context.WithTimeout(ctx, p.c.Time)
		err = do(limited, t)
		cancel()
		if !t.settled && ctx.Err() != nil && errors.Is(err, context.Canceled) {
			go p.abandon(w)
			return err
		}
		p.release(w, t.settled)
		if tries > 1 && errors.Is(err, errNotSent) {
			continue
		}
		return err
	}
}

// errNotSent: the worker was dead before it got the request.
var errNotSent = errors.New("codec worker was gone")

// abandon waits a little for a worker whose request was given up, and kills
// it when that is not enough. The slot stays taken meanwhile.
func (p *Pool) abandon(w *worker) {
	ctx, cancel := context.WithTimeout(p.life, abandonGrace)
	defer cancel()
	id, m, err := w.receive(ctx)
	healthy := err == nil && id == w.id
	if _, ok := m.(wire.Info); ok && healthy {
		healthy = w.send(wire.Drop{}) == nil
	}
	p.release(w, healthy)
}

// deadline is what a worker is told: milliseconds from now.
func deadline(ctx context.Context) uint32 {
	at, ok := ctx.Deadline()
	if !ok {
		return 0
	}
	return uint32(max(time.Until(at).Milliseconds(), 1))
}

// ask sends a message and waits for the answer. Fail becomes an error.
func (t *talk) ask(ctx context.Context, first bool, m wire.Message, files ...memfd) (wire.Message, error) {
	if err := ctx.Err(); err != nil {
		return nil, interrupted(t.op, err)
	}
	t.settled = false
	if err := t.w.send(m, files...); err != nil {
		if first {
			return nil, images.Wrap(images.Unavailable, t.op, "the decoder was stopped; try again", fmt.Errorf("%w: %w", errNotSent, err))
		}
		return nil, t.lost(err)
	}
	id, answer, err := t.w.receive(ctx)
	switch {
	case err != nil && ctx.Err() != nil:
		return nil, interrupted(t.op, err)
	case errors.Is(err, wire.ErrMessage):
		return nil, t.broken(err)
	case err != nil:
		return nil, t.lost(err)
	case id != t.w.id:
		return nil, t.broken(fmt.Errorf("answer to request %d, not %d", id, t.w.id))
	}
	if fail, ok := answer.(wire.Fail); ok {
		t.settled = true
		return nil, refusal(t.op, t.format, fail)
	}
	return answer, nil
}

// dyingTime is how long a worker that has closed its socket may take to end:
// on a busy machine a killed process needs more than a second. One that still
// lives then is broken.
const dyingTime = 10 * time.Second

// lost explains a talk that broke off: nearly always the worker has died.
func (t *talk) lost(err error) error {
	select {
	case <-t.w.ended:
	case <-time.After(dyingTime):
		return t.broken(err)
	}
	return death(t.op, t.w.cmd.ProcessState, t.w.words.String())
}

// broken explains a worker that says what it must not; it is killed.
func (t *talk) broken(err error) error {
	return images.Wrap(images.Internal, t.op, "", fmt.Errorf("talk with codec worker: %w", err))
}

func (t *talk) open(ctx context.Context, data []byte, m wire.Open) (Info, error) {
	t.format = m.Format
	if t.w.hello.Loads&(1<<m.Format) == 0 {
		return Info{}, images.Wrap(images.Unprocessable, t.op, fmt.Sprintf("%s files are not read here", m.Format), ErrFormat)
	}
	pieces, err := parts(data, m.Format)
	if err != nil {
		return Info{}, err
	}
	in, err := inputMemfd(pieces...)
	if err != nil {
		return Info{}, images.Wrap(images.Unavailable, t.op, "", err)
	}
	defer in.close()
	m.Deadline = deadline(ctx)
	for _, part := range pieces {
		m.Length += uint64(len(part))
	}
	answer, err := t.ask(ctx, true, m, in)
	if err != nil {
		return Info{}, err
	}
	info, ok := answer.(wire.Info)
	if !ok {
		return Info{}, t.broken(fmt.Errorf("open was answered by %T", answer))
	}
	t.settled, t.profile = m.Probe, info.Profile
	return Info{Format: m.Format, Width: info.Width, Height: info.Height, Pages: info.Pages, Orientation: info.Orientation,
		Bits: info.Bits, Loop: info.Loop, Alpha: info.Alpha, ICC: info.ICC, Gray: info.Gray}, nil
}

// drop tells the worker that its open file is not wanted.
func (t *talk) drop() { t.settled = t.w.send(wire.Drop{}) == nil }

// pixels asks for the planes of the open file and profile bytes of its colour
// profile.
func (t *talk) pixels(ctx context.Context, info Info, target Target, frames, profile int) (*Raster, error) {
	var shape plane.Picture
	model := plane.RGB
	if info.Gray {
		model = plane.Gray
	}
	if int64(target.Width)*int64(target.Height)*int64(frames) > t.p.c.Output {
		t.drop()
		return nil, tooMuch(t.op, t.p.c.Output)
	}
	shape.Reset(model, info.Alpha, target.Width, target.Height, 1, 1)
	size := int64(shape.N()) * int64(len(planeBytes(&shape.Planes[0])))
	planes := size * int64(frames)
	if planes > t.p.c.Output {
		t.drop()
		return nil, tooMuch(t.op, t.p.c.Output)
	}
	out, err := outputMemfd(planes + int64(profile))
	if err != nil {
		t.drop()
		return nil, images.Wrap(images.Unavailable, t.op, "", err)
	}
	defer out.close()
	answer, err := t.ask(ctx, false, wire.Target{
		CropX: target.Crop.Min.X, CropY: target.Crop.Min.Y, CropWidth: target.Crop.Dx(), CropHeight: target.Crop.Dy(),
		Width: target.Width, Height: target.Height, Stride: shape.Planes[0].Stride,
		Frames: frames, Planes: shape.N(), Profile: profile, Capacity: uint64(planes + int64(profile)),
	}, out)
	if err != nil {
		return nil, err
	}
	done, ok := answer.(wire.Done)
	if !ok || len(done.Delays) > frames {
		return nil, t.broken(fmt.Errorf("target was answered by %T", answer))
	}
	t.settled = true
	r, err := collect(out, shape, done, size)
	if err == nil && profile > 0 {
		r.ICC = make([]byte, profile)
		if err := out.read(r.ICC, planes); err != nil {
			return nil, images.Wrap(images.Internal, "load", "", err)
		}
	}
	return r, err
}

// collect copies the planes out of the memory that the worker wrote to. The
// first frame gets the planes of shape.
func collect(out memfd, shape plane.Picture, done wire.Done, size int64) (*Raster, error) {
	r := &Raster{Frames: make([]Frame, len(done.Delays)), Loop: done.Loop, Truncated: done.Truncated}
	for i := range r.Frames {
		f := &r.Frames[i]
		f.Delay = time.Duration(done.Delays[i]) * time.Millisecond
		if i == 0 {
			f.Picture = shape
		} else {
			f.Picture.Reset(shape.Model, shape.Alpha, shape.Width, shape.Height, 1, 1)
		}
		at := size * int64(i)
		for n := range f.Picture.N() {
			b := planeBytes(&f.Picture.Planes[n])
			if err := out.read(b, at); err != nil {
				return nil, images.Wrap(images.Internal, "load", "", err)
			}
			at += int64(len(b))
		}
	}
	return r, nil
}

func tooMuch(op string, limit int64) error {
	return &images.Error{Op: op, Kind: images.TooLarge, Detail: fmt.Sprintf("the rendition needs more than the %d bytes allowed", limit)}
}

// fileOverhead is room for headers and for pixels that do not compress.
const fileOverhead = 64 << 10

func (t *talk) save(ctx context.Context, r SaveRequest) ([]byte, error) {
	t.format = r.Format
	if t.w.hello.Saves&(1<<r.Format) == 0 {
		return nil, images.Wrap(images.Unprocessable, t.op, fmt.Sprintf("%s files are not written here", r.Format), ErrFormat)
	}
	m, parts := t.describe(r)
	in, err := inputMemfd(parts...)
	if err != nil {
		return nil, images.Wrap(images.Unavailable, t.op, "", err)
	}
	defer in.close()
	out, err := outputMemfd(int64(m.Capacity))
	if err != nil {
		return nil, images.Wrap(images.Unavailable, t.op, "", err)
	}
	defer out.close()
	if m.Length > uint64(t.p.c.Output) || len(m.Delays) > wire.MaxFrames || len(r.ICC) > wire.MaxICC {
		return nil, tooMuch(t.op, t.p.c.Output)
	}
	m.Deadline = deadline(ctx)
	answer, err := t.ask(ctx, true, m, in, out)
	if err != nil {
		return nil, err
	}
	saved, ok := answer.(wire.Saved)
	if !ok || saved.Length > m.Capacity || saved.Length == 0 {
		return nil, t.broken(fmt.Errorf("save was answered by %T", answer))
	}
	t.settled = true
	file := make([]byte, saved.Length)
	if err := out.read(file, 0); err != nil {
		return nil, images.Wrap(images.Internal, t.op, "", err)
	}
	return file, nil
}

// describe makes the message and lists the memory that goes with it.
func (t *talk) describe(r SaveRequest) (wire.Save, [][]byte) {
	first := &r.Raster.Frames[0].Picture
	m := wire.Save{
		Format: r.Format, Quality: r.Quality, Effort: r.Effort, Lossless: r.Lossless,
		Width: first.Width, Height: first.Height, Stride: first.Planes[0].Stride, Planes: first.N(),
		Loop: min(max(r.Raster.Loop, 0), wire.MaxLoop), ICC: len(r.ICC),
	}
	if m.Quality == 0 {
		m.Quality = defaultQuality
	}
	frames := r.Raster.Frames
	if !r.Format.Animated() {
		frames = frames[:1]
	}
	var parts [][]byte
	for i := range frames {
		ms := frames[i].Delay.Milliseconds()
		m.Delays = append(m.Delays, uint32(min(max(ms, 0), wire.MaxDelay)))
		for n := range first.N() {
			parts = append(parts, rows(&frames[i].Picture.Planes[n], first.Width, first.Height, m.Stride))
		}
	}
	parts = append(parts, r.ICC)
	for _, b := range parts {
		m.Length += uint64(len(b))
	}
	pixels := uint64(first.Width) * uint64(first.Height) * uint64(first.N()) * uint64(len(frames))
	m.Capacity = min(pixels+pixels/2+uint64(len(r.ICC))+fileOverhead, uint64(t.p.c.Output))
	return m, parts
}

// rows is a plane's rows at the stride that all planes share; planes from
// Reset have it already.
func rows(p *plane.Plane, width, height, stride int) []byte {
	if p.Stride == stride && len(p.Pix) >= stride*height {
		return p.Pix[:stride*height]
	}
	b := make([]byte, stride*height)
	for y := range height {
		copy(b[y*stride:], p.Pix[y*p.Stride:][:width])
	}
	return b
}
