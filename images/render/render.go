package render

import (
	"context"
	"errors"
	"image"
	"time"

	"github.com/kamado/kamado/images"
	"github.com/kamado/kamado/images/codec"
	"github.com/kamado/kamado/images/lettering"
	"github.com/kamado/kamado/images/plane"
)

// Codec loads and saves the formats that images/jpeg does not. Its errors are
// *images.Error, or codec.ErrNoWorker and codec.ErrFormat, which mean
// that another Codec may still be able to.
type Codec interface {
	Load(ctx context.Context, req codec.LoadRequest) (*codec.Raster, codec.Info, error)
	Save(ctx context.Context, req codec.SaveRequest) ([]byte, error)
	Probe(ctx context.Context, data []byte, format images.Format) (codec.Info, error)
}

// Config is what a Renderer is made of.
type Config struct {
	Limits    images.Limits
	Qualities images.Qualities

	// Codecs are asked in this order; one that answers ErrNoWorker or
	// ErrFormat passes the request on. Usually the sandboxed pool, then
	// pure Go.
	Codecs []Codec

	// Watermarks by the name that renditions give: RGB with alpha, shared
	// and never written to.
	Watermarks map[string]*plane.Picture

	// Fonts draw the texts of renditions; nil is lettering's own font.
	Fonts *lettering.Fonts

	// Workspaces is how many sets of scratch memory are kept for reuse,
	// about as many as renditions are made at a time. Range: >= 1.
	Workspaces int
	// Scratch is how much scratch memory all renditions in progress may take
	// together; one that needs more is made alone. Unit: bytes. Default:
	// DefaultScratch for each of Workspaces.
	Scratch int
}

// Stage is how long one part of the work took, for Server-Timing.
type Stage struct {
	Name     string // "look", "decode", "resize", "finish", "encode"
	Duration time.Duration
}

// Result is one finished rendition.
type Result struct {
	Data          []byte // owned by the caller
	Format        images.Format
	Width, Height int
	Quality       int  // what was encoded with: the rendition's, or less for its MaxBytes; 0 for lossless formats
	Frames        int  // 1 unless animated
	Truncated     bool // the original was cut short; what was missing is filled in
	Shared        bool // made from a decode that others of a set needed otherwise: its bytes may not be those of one made alone
	Stages        []Stage
}

// Renderer makes renditions. Safe for concurrent use.
type Renderer struct {
	cfg      Config
	scratch  scratch
	profiles profiles
}

// New returns a Renderer. It starts nothing.
func New(cfg Config) *Renderer {
	cfg.Workspaces = max(1, cfg.Workspaces)
	if cfg.Scratch <= 0 {
		cfg.Scratch = cfg.Workspaces * DefaultScratch
	}
	if cfg.Fonts == nil {
		cfg.Fonts = lettering.Default()
	}
	return &Renderer{cfg: cfg, scratch: scratch{limit: cfg.Scratch, keep: cfg.Workspaces}}
}

// Render makes the rendition want of the original src. want.AutoFormat must
// have been settled. src is only read, and not kept.
//
// Outcomes: a Result; Unprocessable when src is no picture that can be shown;
// TooLarge when src or the rendition is over a limit; Timeout when ctx's
// deadline passed; ctx.Err() when the caller went away; Unavailable when a
// codec worker died, in which case trying again may succeed; Invalid when
// want names what this service does not have.
func (r *Renderer) Render(ctx context.Context, src []byte, want images.Rendition) (Result, error) {
	format, err := r.sniff(src)
	if err != nil {
		return Result{}, err
	}
	job := r.job(format, want)
	defer job.giveBack()
	res, err := job.run(ctx, src)
	if err != nil {
		return Result{}, explain(ctx, err)
	}
	return res, nil
}

// sniff tells the format of an original, if it is one and not too long.
func (r *Renderer) sniff(src []byte) (images.Format, error) {
	if len(src) == 0 {
		return 0, images.Errorf(images.Unprocessable, "the original is empty")
	}
	if int64(len(src)) > int64(r.cfg.Limits.MaxBytes) {
		return 0, &images.Error{Kind: images.TooLarge, Part: "max_bytes",
			Detail: "the original has more bytes than allowed"}
	}
	format := images.Sniff(src[:min(len(src), images.SniffLength)])
	if format == images.FormatUnknown {
		return 0, images.Errorf(images.Unprocessable, "the original is not a picture in a format that is known here")
	}
	return format, nil
}

// job begins a rendition.
func (r *Renderer) job(format images.Format, want images.Rendition) *job {
	return &job{Renderer: r, want: want.Resolve(format, r.cfg.Qualities), format: format, started: time.Now()}
}

// job is one rendition on its way.
type job struct {
	*Renderer
	ws      *workspace // nil until claim
	want    images.Rendition
	format  images.Format // of the original
	started time.Time
	rights  []byte // Exif payload to write, nil for none
	profile []byte // colour profile to write, nil for none: the pixels are in it
	alone   bool   // no Codec can read it: decode a JPEG here even where its colours are then only near
	stages  []Stage

	// The mark of the text, once it was drawn: all frames have the same. It is
	// nil when nothing of the text is seen.
	lettered  bool
	letters   *plane.Picture
	lettersAt image.Point
}

// claim gets the job a workspace that may grow to need bytes.
func (j *job) claim(ctx context.Context, need int) (err error) {
	j.giveBack()
	j.ws, err = j.scratch.take(ctx, need)
	return err
}

func (j *job) giveBack() {
	if j.ws != nil {
		j.scratch.give(j.ws)
		j.ws = nil
	}
}

// lap ends a stage.
func (j *job) lap(name string) {
	now := time.Now()
	j.stages = append(j.stages, Stage{name, now.Sub(j.started)})
	j.started = now
}

func (j *job) run(ctx context.Context, src []byte) (Result, error) {
	if j.format != images.JPEG {
		return j.fromCodec(ctx, src)
	}
	res, err := j.fromJPEG(ctx, src)
	if !errors.Is(err, errNeedsCodec) {
		return res, err
	}
	res, err = j.fromCodec(ctx, src)
	if passes(err) {
		j.alone = true
		res, err = j.fromJPEG(ctx, src)
	}
	return res, err
}

// codec calls fn with one Codec after the other until one of them can. When
// none can, one that could at another time is what the error tells of.
func (j *job) codec(fn func(Codec) error) error {
	var last, absent error = codec.ErrFormat, nil
	for _, c := range j.cfg.Codecs {
		if last = fn(c); !passes(last) {
			return last
		}
		if absent == nil && errors.Is(last, codec.ErrNoWorker) {
			absent = last
		}
	}
	if absent != nil {
		return absent
	}
	return last
}

// passes says whether the next Codec may be asked.
func passes(err error) bool {
	return errors.Is(err, codec.ErrNoWorker) || errors.Is(err, codec.ErrFormat)
}

// explain gives every error that leaves the package a kind.
func explain(ctx context.Context, err error) error {
	var known *images.Error
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return images.Wrap(images.Timeout, "render", "the picture took longer than allowed", err)
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.As(err, &known):
		return err
	case errors.Is(err, errNeedsCodec), passes(err):
		return images.Wrap(images.Unprocessable, "render", "this service cannot read or write that format: kamado-codec is not installed beside it", err)
	}
	return err
}
