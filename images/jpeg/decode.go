package jpeg

import (
	"fmt"
	"image"

	"github.com/kamado/kamado/images/plane"
)

// Limits that hold when DecodeOptions leaves them 0.
const (
	// DefaultMaxPixels is 100 megapixels.
	DefaultMaxPixels = 100_000_000
	// DefaultMaxScans is ten times what usual progressive files have.
	DefaultMaxScans = 100
)

// interruptEvery is how many MCU rows are decoded between polls of Interrupt.
const interruptEvery = 8

// DecodeOptions say what to decode. The zero value decodes the whole picture
// at full size.
type DecodeOptions struct {
	// Scale is the numerator N of the scale N/8: 1, 2, 4 or 8; 0 means 8.
	Scale int
	// Region is the part that is needed, in pixels of the oriented picture at
	// full size; empty means all. The result covers at least it, and begins at Result.Origin.
	Region image.Rectangle
	// Orient is the EXIF orientation to undo, 1 to 8; 0 means 1.
	Orient int
	// MaxPixels bounds width x height of the file; 0 means DefaultMaxPixels.
	MaxPixels int
	// MaxScans bounds the scans of a file; 0 means DefaultMaxScans.
	MaxScans int
	// Interrupt is polled every few rows of MCUs; what it returns ends the decode.
	Interrupt func() error
}

// Result tells about a decoded picture.
type Result struct {
	// Truncated says that the input ended early; what is missing is grey.
	Truncated bool
	// Warnings counts irregularities that did not prevent decoding.
	Warnings int
	// Origin is where the corner of sample (0,0) lies, in pixels of the
	// oriented picture at full size. It is not (0,0) when a region was asked
	// for, and may be negative when a mirrored picture's size is no multiple of its MCU.
	Origin image.Point
}

// Decoder decodes pictures. The zero value is ready to use. It owns its
// scratch memory, so reuse it; it must not be used by two goroutines at once.
type Decoder struct {
	frame frame
	src   source
	head  scanHeader // of the scan being decoded
	bits  bitReader
	cache tableCache

	building *tableScratch // nil until tables are built

	scaling
	orient  orientation
	opt     DecodeOptions
	targets [componentsMax]target
	view    view

	expanding bool // components are decoded to native and expanded to dst
	native    [componentsMax]plane.Plane

	plan    [mcuBlocksMax]blockPlan
	past    [mcuBlocksMax]blockPlan // the same for MCUs that nobody needs: all samples go to line[0]
	planned int
	until   uint // coefficients from this index on are stepped over: limit, or all are read
	kernel  blockKernel
	band    bandKernel
	pred    [componentsMax]int32
	dequant [componentsMax][2 * blockSize]uint32

	line  []byte  // scale 1/8: samples of a batch
	coefs []int16 // other scales: coefficients of a batch, in groups; zero between batches
	spare [4 * 64]byte

	store    coefStore // of progressive pictures
	dcTables [componentsMax]*huffTable

	scans     int
	warnings  int
	truncated bool
}

// Decode decodes a picture into dst, whose memory is reused. dst becomes Gray,
// YCbCr, RGB (files that Adobe marks so) or CMYK; chroma planes keep the
// subsampling of the file, swapped when the orientation transposes.
//
// Errors before the first scan are FormatError, UnsupportedError or wrap
// ErrTooLarge; dst is then unchanged. Input that ends after the first scan
// began is no error: see Result.Truncated. After any other error the samples
// of dst are undefined.
func (d *Decoder) Decode(dst *plane.Picture, data []byte, opt DecodeOptions) (Result, error) {
	if err := d.configure(&opt); err != nil {
		return Result{}, err
	}
	d.src.reset(data)
	defer d.src.reset(nil) // do not keep the caller's memory alive
	d.frame.reset(false)
	var err error
	if d.head, err = d.frame.readHeader(&d.src); err != nil {
		return Result{}, fmt.Errorf("read header: %w", err)
	}
	f := &d.frame
	if f.width > d.opt.MaxPixels/f.height {
		return Result{}, fmt.Errorf("%w: %dx%d, limit %d pixels", ErrTooLarge, f.width, f.height, d.opt.MaxPixels)
	}
	if err := d.prepare(dst); err != nil {
		return Result{}, err
	}
	d.scans, d.warnings, d.truncated = 0, 0, false
	if err := d.decodeScans(); err != nil {
		return Result{}, err
	}
	d.finish(dst)
	return Result{
		Truncated: d.truncated,
		Warnings:  d.warnings + f.warnings,
		Origin:    d.view.origin,
	}, nil
}

// Kept is how many bytes of large scratch memory the Decoder keeps for the next
// picture: coefficients of a progressive one, and planes of one whose sampling
// is unusual.
func (d *Decoder) Kept() int {
	n := cap(d.store.values)*2 + cap(d.store.nonzero)*8
	for i := range d.native {
		n += cap(d.native[i].Pix)
	}
	return n
}

func (d *Decoder) configure(opt *DecodeOptions) error {
	d.opt = *opt
	if d.opt.Scale == 0 {
		d.opt.Scale = blockSide
	}
	if d.opt.Orient == 0 {
		d.opt.Orient = 1
	}
	if d.opt.MaxPixels <= 0 {
		d.opt.MaxPixels = DefaultMaxPixels
	}
	if d.opt.MaxScans <= 0 {
		d.opt.MaxScans = DefaultMaxScans
	}
	var ok bool
	if d.scaling, ok = scalingOf(d.opt.Scale); !ok {
		return fmt.Errorf("%w: scale %d/8", ErrOptions, opt.Scale)
	}
	if d.opt.Orient < 1 || d.opt.Orient > 8 {
		return fmt.Errorf("%w: orientation %d", ErrOptions, opt.Orient)
	}
	d.orient = orientationOf(d.opt.Orient)
	return nil
}

// decodeScans decodes the scan whose header was read and those after it.
func (d *Decoder) decodeScans() error {
	f := &d.frame
	if f.progressive() {
		d.store.prepare(f, d.n)
		defer d.store.release()
		if err := d.eachScan(); err != nil {
			return err
		}
		return d.render()
	}
	if d.head.n == f.n {
		return d.decodeSequential(&d.head)
	}
	d.grey()
	return d.eachScan()
}

// eachScan decodes scan after scan until the picture or the input ends.
func (d *Decoder) eachScan() error {
	for {
		if d.scans++; d.scans > d.opt.MaxScans {
			return fmt.Errorf("%w: limit %d", ErrTooManyScans, d.opt.MaxScans)
		}
		decode := (*Decoder).decodeSequential
		if d.frame.progressive() {
			decode = (*Decoder).decodeProgressive
		}
		if err := decode(d, &d.head); err != nil {
			return err
		}
		next, ok, err := d.frame.nextScan(&d.src)
		if d.src.ended {
			d.truncated = true
			d.warnings++
			return nil
		}
		if err != nil || !ok {
			return err
		}
		d.head = next
	}
}

// poll asks Interrupt whether to go on, every interruptEvery calls.
func (d *Decoder) poll(row int) error {
	if d.opt.Interrupt == nil || row%interruptEvery != 0 {
		return nil
	}
	if err := d.opt.Interrupt(); err != nil {
		return fmt.Errorf("decode interrupted: %w", err)
	}
	return nil
}
