package purego

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"image/draw"
	"image/gif"

	"github.com/kamado/kamado/images"
	"github.com/kamado/kamado/images/codec"
)

// gifFramesMax bounds how many frames of a GIF are counted: walking over one
// costs little, but files can be all frames.
const gifFramesMax = 100_000

// gifScan is what a walk over the blocks of a GIF finds without decoding.
type gifScan struct {
	width, height int
	ends          []int // offset just after each complete frame
	delays        []int // milliseconds
	loop          int   // times shown, 0 for ever
	alpha         bool
	complete      bool // the trailer was seen
}

// scanGIF walks the blocks (GIF89a, sections 18 to 27).
func scanGIF(data []byte) (*gifScan, error) {
	if len(data) < 13 {
		return nil, errors.New("gif: cut inside the header")
	}
	s := &gifScan{width: int(binary.LittleEndian.Uint16(data[6:])), height: int(binary.LittleEndian.Uint16(data[8:])), loop: 1}
	at := 13 + colourTable(data[10])
	delay := 0
	for at < len(data) && len(s.ends) < gifFramesMax {
		switch data[at] {
		case 0x21: // extension
			if at+2 > len(data) {
				return s, nil
			}
			end := subBlocks(data, at+2)
			if end < 0 {
				return s, nil
			}
			s.extension(data[at+1], data[at+2:end], &delay)
			at = end
		case 0x2C: // image
			if at+10 > len(data) {
				return s, nil
			}
			s.partial(data[at+1:])
			end := subBlocks(data, at+10+colourTable(data[at+9])+1)
			if end < 0 {
				return s, nil
			}
			s.ends = append(s.ends, end)
			s.delays = append(s.delays, delay)
			delay = 0
			at = end
		case 0x3B: // trailer
			s.complete = true
			return s, nil
		default:
			return s, nil
		}
	}
	return s, nil
}

// extension reads the graphic control (section 23) and the application
// extension NETSCAPE2.0, which says how often to repeat: n repeats are n+1
// showings.
func (s *gifScan) extension(label byte, b []byte, delay *int) {
	switch {
	case label == 0xF9 && len(b) >= 5 && b[0] >= 4:
		*delay = 10 * int(binary.LittleEndian.Uint16(b[2:]))
		if b[1]&1 != 0 || b[1]>>2&7 == 2 { // transparent colour, or disposal to background
			s.alpha = true
		}
	case label == 0xFF && len(b) >= 16 && string(b[1:12]) == "NETSCAPE2.0" && b[12] >= 3 && b[13] == 1:
		s.loop = int(binary.LittleEndian.Uint16(b[14:]))
		if s.loop > 0 {
			s.loop++
		}
	}
}

// partial: a frame that does not cover the screen lets it shine through.
func (s *gifScan) partial(b []byte) {
	x, y := binary.LittleEndian.Uint16(b), binary.LittleEndian.Uint16(b[2:])
	w, h := binary.LittleEndian.Uint16(b[4:]), binary.LittleEndian.Uint16(b[6:])
	if len(s.ends) == 0 && (x > 0 || y > 0 || int(x)+int(w) < s.width || int(y)+int(h) < s.height) {
		s.alpha = true
	}
}

// colourTable is the bytes of the table that a packed field announces.
func colourTable(packed byte) int {
	if packed&0x80 == 0 {
		return 0
	}
	return 3 << (packed&7 + 1)
}

// subBlocks is the offset after the block terminator, -1 when there is none.
func subBlocks(data []byte, at int) int {
	for at < len(data) {
		n := int(data[at])
		at += 1 + n
		if n == 0 {
			return at
		}
	}
	return -1
}

func openGIF(data []byte) (*source, error) {
	scan, err := scanGIF(data)
	if err != nil {
		return nil, err
	}
	if scan.width == 0 || scan.height == 0 {
		return nil, errors.New("gif: no pixels")
	}
	if len(scan.ends) == 0 {
		return nil, errors.New("gif: no complete frame")
	}
	return &source{
		info: codec.Info{Format: images.GIF, Width: scan.width, Height: scan.height, Pages: len(scan.ends), Orientation: 1,
			Bits: 8, Loop: scan.loop, Alpha: scan.alpha},
		bytes:  int64(scan.width) * int64(scan.height) * (8 + gifBatch), // the canvas, the one before, frames
		delays: scan.delays,
		frames: func(ctx context.Context, n int, each func(picture, int) error) (bool, error) {
			return !scan.complete, scan.compose(ctx, data, n, each)
		},
	}, nil
}

// gifBatch is how many frames are decoded at a time: the standard decoder
// gives all frames of what it is given.
const gifBatch = 8

// compose draws the frames over each other as a viewer does.
func (s *gifScan) compose(ctx context.Context, data []byte, n int, each func(picture, int) error) error {
	canvas := image.NewNRGBA(image.Rect(0, 0, s.width, s.height))
	before := image.NewNRGBA(canvas.Rect)
	header := 13 + colourTable(data[10])
	begin := header
	for i := 0; i < n; {
		last := min(i+gifBatch, n)
		part := make([]byte, 0, header+s.ends[last-1]-begin+1)
		part = append(append(append(part, data[:header]...), data[begin:s.ends[last-1]]...), 0x3B)
		g, err := gif.DecodeAll(&reader{ctx: ctx, Reader: bytes.NewReader(part)})
		if err != nil {
			return err
		}
		if len(g.Image) != last-i {
			return fmt.Errorf("gif: %d frames where %d were counted", len(g.Image), last-i)
		}
		for j, frame := range g.Image {
			if g.Disposal[j] == gif.DisposalPrevious {
				copy(before.Pix, canvas.Pix)
			}
			draw.Draw(canvas, frame.Rect, frame, frame.Rect.Min, draw.Over)
			if err := each(newPicture(canvas), i+j); err != nil {
				return err
			}
			switch g.Disposal[j] {
			case gif.DisposalPrevious:
				copy(canvas.Pix, before.Pix)
			case gif.DisposalBackground:
				draw.Draw(canvas, frame.Rect, image.Transparent, image.Point{}, draw.Src)
			}
		}
		begin, i = s.ends[last-1], last
	}
	return nil
}
