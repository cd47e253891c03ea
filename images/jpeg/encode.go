package jpeg

import (
	"errors"
	"fmt"

	"github.com/kamado/kamado/images/jpeg/dct"
	"github.com/kamado/kamado/images/plane"
)

// qualityDefault is what EncodeOptions.Quality 0 means: libjpeg's own default.
const qualityDefault = 75

// ErrEncode is what every refusal of the encoder wraps: a picture or an
// option that JPEG cannot hold. The destination is unchanged then.
var ErrEncode = errors.New("jpeg: cannot encode")

// EncodeOptions says how to encode. The zero value is quality 75, baseline,
// Huffman tables made for the picture, no metadata.
type EncodeOptions struct {
	Quality         int    // 1..100 on libjpeg's scale; 0 is 75
	Thrifty         bool   // high frequencies of luma are rounded towards zero: some 2 % fewer bytes (dct.Quantizer)
	Progressive     bool   // ten scans (six for grey) instead of one; always with tables made for the picture
	FixedHuffman    bool   // the tables of T.81 annex K instead of ones made for the picture: about 4 % more bytes
	RestartInterval int    // MCUs between restart markers, 0..65535; 0 is none
	ICC             []byte // a profile for APP2, in chunks if need be; at most 255*65519 bytes
	Exif            []byte // the whole payload of APP1, "Exif\0\0" included; at most 65533 bytes
}

// Encoder makes JPEG files. The zero value is ready. It keeps its scratch
// memory from one picture to the next (for a baseline picture a row of MCUs and at
// most tokensMax tokens; for a progressive one all coefficients), so reuse it. Not for
// concurrent use.
type Encoder struct {
	quality int  // that table and quant are made for; 0 when none
	thrifty bool // and quant, too
	table   [2][blockSize]uint16
	quant   [2]dct.Quantizer // of luma, of chroma

	frame encodeFrame
	coef  []int16  // blocks of a row of MCUs in scan order; or of the whole picture
	mask  []uint64 // for each block its coefficients that are not zero, zigzag order
	band  []byte   // rows at the edge of a plane, extended to whole blocks

	tokens tokenBuffer
	codes  encodeCodes
	bits   bitWriter
	scan   progressive
}

// Kept is how many bytes of large scratch memory the Encoder keeps for the next
// picture: tokens, and all coefficients of a progressive one.
func (e *Encoder) Kept() int {
	return cap(e.coef)*2 + cap(e.mask)*8 + cap(e.tokens.list)*4
}

// encodeComponent is one component of the frame being encoded.
type encodeComponent struct {
	plane         *plane.Plane
	width, height int // samples that count; the rest of the plane is not looked at
	h, v          int // sampling factors: blocks of it in an MCU, across and down
	blocksX       int // blocks that have samples, across
	blocksY       int
	slot          int // index of its first block in an MCU
	chroma        int // 0 or 1: which of the tables
}

// encodeFrame is the geometry of the picture being encoded.
type encodeFrame struct {
	width, height int
	components    [3]encodeComponent
	n             int // components in use
	mcusX, mcusY  int
	mcuBlocks     int // blocks of an MCU
	restart       int // MCUs of a restart interval, 0 for none
}

// Encode appends the JPEG file of p to dst and returns the longer slice. It
// takes Gray, and YCbCr whose chroma covers 1 or 2 samples each way. p is only
// read, and no longer needed afterwards. An alpha plane is ignored. The error
// wraps ErrEncode or plane.ErrShape, and dst is returned as it came.
func (e *Encoder) Encode(dst []byte, p *plane.Picture, opt EncodeOptions) ([]byte, error) {
	if err := checkOptions(&opt); err != nil {
		return dst, err
	}
	if err := e.frame.set(p, opt.RestartInterval); err != nil {
		return dst, err
	}
	defer e.frame.release()
	e.setQuality(opt.Quality, opt.Thrifty)

	out := append(dst, 0xFF, markerSOI)
	out = appendJFIF(out)
	out = appendMetadata(out, &opt)
	out = e.appendQuantTables(out)
	out = e.frame.appendHeader(out, opt.Progressive)
	if opt.Progressive {
		out = e.appendProgressive(out)
	} else {
		out = e.appendBaseline(out, opt.FixedHuffman)
	}
	return append(out, 0xFF, markerEOI), nil
}

// checkOptions fills in defaults and refuses what does not fit in a file.
func checkOptions(opt *EncodeOptions) error {
	if opt.Quality == 0 {
		opt.Quality = qualityDefault
	}
	switch {
	case opt.Quality < 1 || opt.Quality > 100:
		return fmt.Errorf("%w: quality %d is not in 1..100", ErrEncode, opt.Quality)
	case opt.RestartInterval < 0 || opt.RestartInterval > 65535:
		return fmt.Errorf("%w: restart interval %d is not in 0..65535", ErrEncode, opt.RestartInterval)
	case len(opt.Exif) > segmentDataMax:
		return fmt.Errorf("%w: Exif of %d bytes, at most %d fit", ErrEncode, len(opt.Exif), segmentDataMax)
	case len(opt.ICC) > 255*iccChunkMax:
		return fmt.Errorf("%w: ICC profile of %d bytes, at most %d fit", ErrEncode, len(opt.ICC), 255*iccChunkMax)
	}
	return nil
}

// set takes the geometry of a picture.
func (f *encodeFrame) set(p *plane.Picture, restart int) error {
	if p.Model != plane.Gray && p.Model != plane.YCbCr {
		return fmt.Errorf("%w: colour model %v; convert to ycbcr first", ErrEncode, p.Model)
	}
	if err := p.Check(); err != nil {
		return err
	}
	if p.Width > sideMax || p.Height > sideMax {
		return fmt.Errorf("%w: %dx%d, at most %d a side", ErrEncode, p.Width, p.Height, sideMax)
	}
	*f = encodeFrame{width: p.Width, height: p.Height, n: p.Model.Components(), restart: restart}
	subX, subY := 1, 1
	if f.n == 3 {
		subX, subY = p.Planes[1].SubX, p.Planes[1].SubY
		if subX > 2 || subY > 2 || p.Planes[2].SubX != subX || p.Planes[2].SubY != subY ||
			p.Planes[0].SubX != 1 || p.Planes[0].SubY != 1 {
			return fmt.Errorf("%w: chroma subsampled %dx%d and %dx%d", ErrEncode,
				subX, subY, p.Planes[2].SubX, p.Planes[2].SubY)
		}
	}
	f.mcusX = (p.Width + 8*subX - 1) / (8 * subX)
	f.mcusY = (p.Height + 8*subY - 1) / (8 * subY)
	for i := range f.n {
		c := encodeComponent{plane: &p.Planes[i], h: subX, v: subY, slot: f.mcuBlocks}
		c.width, c.height = p.Width, p.Height
		if i > 0 {
			c.h, c.v, c.chroma = 1, 1, 1
			c.width, c.height = (p.Width+subX-1)/subX, (p.Height+subY-1)/subY
		}
		c.blocksX, c.blocksY = (c.width+7)/8, (c.height+7)/8
		f.components[i] = c
		f.mcuBlocks += c.h * c.v
	}
	return nil
}

// release lets go of the picture, so that a pooled encoder does not keep it.
func (f *encodeFrame) release() {
	for i := range f.components {
		f.components[i].plane = nil
	}
}

// appendBaseline writes the one scan of a baseline file, its tables before it.
func (e *Encoder) appendBaseline(out []byte, fixed bool) []byte {
	f := &e.frame
	blocks := (f.mcusX + 1) * f.mcuBlocks // one MCU more, because blocks come in pairs
	e.reserve(blocks)
	e.tokens.begin(f)
	e.bits.reset()
	started := false
	start := func(complete bool) {
		if fixed {
			e.codes.setFixed()
		} else {
			e.codes.setOptimal(&e.tokens.counts, f.n == 3, complete)
		}
		out = e.codes.appendTables(out, f.n == 3)
		out = f.appendScanHeader(out)
		started = true
	}
	if fixed {
		start(false)
	}
	for row := range f.mcusY {
		e.transformRow(row, e.coef, e.mask)
		e.tokens.addRow(f, e.coef, e.mask)
		if !started && e.tokens.n >= tokensMax {
			start(true)
		}
		if started {
			out = e.bits.append(out, &e.tokens, &e.codes)
		}
	}
	if !started {
		start(false)
	}
	out = e.bits.append(out, &e.tokens, &e.codes)
	return e.bits.finish(out)
}

// reserve makes room for blocks.
func (e *Encoder) reserve(blocks int) {
	if cap(e.mask) < blocks {
		e.mask = make([]uint64, blocks)
		e.coef = make([]int16, blocks*blockSize)
	}
	e.mask = e.mask[:blocks]
	e.coef = e.coef[:blocks*blockSize]
}
