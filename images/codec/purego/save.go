package purego

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/gif"
	"image/png"
	"time"

	"github.com/kamado/kamado/images"
	"github.com/kamado/kamado/images/codec"
	"github.com/kamado/kamado/images/plane"
)

// Save writes a PNG or a GIF. A GIF has no room for a colour profile.
func (c *Codec) Save(ctx context.Context, r codec.SaveRequest) (file []byte, err error) {
	defer catch("save", &err)
	if err := r.Check(); err != nil {
		return nil, err
	}
	switch r.Format {
	case images.PNG:
		file, err = savePNG(r)
	case images.GIF:
		file, err = saveGIF(ctx, r)
	default:
		err = fmt.Errorf("%w: %v", codec.ErrFormat, r.Format)
	}
	if ctx.Err() != nil {
		return nil, images.Wrap(images.Timeout, "save", "the picture took too long", ctx.Err())
	}
	if err != nil {
		return nil, explain("save", r.Format, err)
	}
	return file, nil
}

func savePNG(r codec.SaveRequest) ([]byte, error) {
	p := &r.Raster.Frames[0].Picture
	var m image.Image
	if p.Model == plane.Gray && !p.Alpha {
		m = &image.Gray{Pix: p.Planes[0].Pix, Stride: p.Planes[0].Stride, Rect: image.Rect(0, 0, p.Width, p.Height)}
	} else {
		m = interleave(p)
	}
	level := png.DefaultCompression
	switch {
	case r.Effort >= 7:
		level = png.BestCompression
	case r.Effort >= 1 && r.Effort <= 3:
		level = png.BestSpeed
	}
	var b bytes.Buffer
	if err := (&png.Encoder{CompressionLevel: level}).Encode(&b, m); err != nil {
		return nil, err
	}
	if len(r.ICC) > 0 {
		return withProfile(b.Bytes(), r.ICC), nil
	}
	return b.Bytes(), nil
}

// interleave makes an image of planes.
func interleave(p *plane.Picture) *image.NRGBA {
	m := image.NewNRGBA(image.Rect(0, 0, p.Width, p.Height))
	green, blue := 1, 2
	if p.Model == plane.Gray {
		green, blue = 0, 0
	}
	alpha := p.AlphaPlane()
	for y := range p.Height {
		out := m.Pix[y*m.Stride:]
		rr, g, b := p.Planes[0].Row(y), p.Planes[green].Row(y), p.Planes[blue].Row(y)
		for x := range p.Width {
			out[4*x], out[4*x+1], out[4*x+2], out[4*x+3] = rr[x], g[x], b[x], 255
		}
		if alpha != nil {
			for x, a := range alpha.Row(y)[:p.Width] {
				out[4*x+3] = a
			}
		}
	}
	return m
}

// saveGIF gives each frame its own palette; every frame covers the whole
// picture and is cleared before the next where either has transparency.
func saveGIF(ctx context.Context, r codec.SaveRequest) ([]byte, error) {
	first := &r.Raster.Frames[0].Picture
	g := &gif.GIF{Config: image.Config{Width: first.Width, Height: first.Height}, LoopCount: -1}
	switch loop := r.Raster.Loop; {
	case loop == 0:
		g.LoopCount = 0
	case loop > 1:
		g.LoopCount = loop - 1
	}
	for i := range r.Raster.Frames {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		f := &r.Raster.Frames[i]
		m := interleave(&f.Picture)
		palette, transparent := choosePalette(m)
		g.Image = append(g.Image, dither(m, palette, transparent))
		g.Delay = append(g.Delay, int((f.Delay+5*time.Millisecond)/(10*time.Millisecond)))
		disposal := byte(gif.DisposalNone)
		if transparent >= 0 {
			disposal = gif.DisposalBackground
			if i > 0 { // what was before must not shine through
				g.Disposal[i-1] = gif.DisposalBackground
			}
		}
		g.Disposal = append(g.Disposal, disposal)
	}
	var b bytes.Buffer
	err := gif.EncodeAll(&b, g)
	return b.Bytes(), err
}
