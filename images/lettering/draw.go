package lettering

import (
	"image"
	"math"

	"golang.org/x/image/font/sfnt"
	"golang.org/x/image/math/fixed"
	"golang.org/x/image/vector"

	"github.com/kamado/kamado/images"
	"github.com/kamado/kamado/images/plane"
)

// bandPixels is how many pixels of a glyph are drawn at a time: their sums take
// four bytes each, and a glyph may be as large as the canvas.
const bandPixels = 1 << 18

// coverMax bounds the pixels that all glyphs of a text cover together, in
// pixels of the canvas: signs without advance can lie on top of each other. What is
// beyond it is left out; ordinary text covers less than 1.
const coverMax = 4

// Draw draws a text for a canvas of width x height pixels, scale pixels for
// each CSS pixel. The mark is RGB with alpha, no larger than the part of the
// canvas that letters cover, and its corner belongs at at of the canvas. It is nil when
// nothing of the text is seen there. The text's opacity is not in it.
//
// Lines are broken at the canvas' width less the text's distance from its
// edge, at either side.
func (f *Fonts) Draw(text images.Text, width, height int, scale float64) (mark *plane.Picture, at image.Point) {
	if width < 1 || height < 1 || !(scale > 0) {
		return nil, image.Point{}
	}
	px := func(v int) int { return int(math.Floor(float64(v)*scale + 0.5)) }
	s := setter{fonts: f.fonts, ppem: fixed.Int26_6(min(max(float64(text.Size)*scale, 1), sizeMax) * 64)}
	margin := 0
	if text.X > 0 {
		margin = px(text.X)
	}
	lines := s.lines(text.Words, fixed.I(max(width-2*margin, 1)))
	block := s.block(lines)
	place := images.Watermark{Gravity: text.Gravity, X: px(text.X), Y: px(text.Y)}
	x, y := place.Place(width, height, block.X, block.Y)
	glyphs := s.put(lines, block, alignment(text.Gravity), image.Pt(x, y))

	var seen image.Rectangle
	canvas := image.Rect(0, 0, width, height)
	for i := range glyphs {
		seen = seen.Union(glyphs[i].ink.Intersect(canvas))
	}
	if seen.Empty() {
		return nil, image.Point{}
	}
	mark = new(plane.Picture)
	mark.Reset(plane.RGB, true, seen.Dx(), seen.Dy(), 1, 1)
	for i, v := range [4]uint8{text.Color.R, text.Color.G, text.Color.B, 0} {
		pix := mark.Planes[i].Pix
		for k := range pix {
			pix[k] = v
		}
	}
	d := drawer{alpha: mark.AlphaPlane(), seen: seen, ppem: s.ppem, left: coverMax * width * height}
	for i := range glyphs {
		d.glyph(&glyphs[i])
	}
	return mark, seen.Min
}

// alignment is how much of the free space of a line lies before it.
func alignment(g images.Gravity) float64 {
	switch g {
	case images.NorthWest, images.West, images.SouthWest:
		return 0
	case images.NorthEast, images.East, images.SouthEast:
		return 1
	}
	return 0.5
}

// glyph is a letter in its place.
type glyph struct {
	font  *sfnt.Font
	index sfnt.GlyphIndex
	at    fixed.Point26_6 // its origin on the canvas
	ink   image.Rectangle // what it may cover of the canvas
}

// drawer draws glyphs into the alpha of a mark.
type drawer struct {
	alpha  *plane.Plane
	seen   image.Rectangle // of the canvas: what the mark shows
	ppem   fixed.Int26_6
	left   int // pixels that may still be covered
	buf    sfnt.Buffer
	raster vector.Rasterizer
	cover  image.Alpha
}

// glyph draws one, band by band. A glyph that the font cannot give, such as a
// picture in colour, is left out.
func (d *drawer) glyph(g *glyph) {
	ink := g.ink.Intersect(d.seen)
	if d.left -= ink.Dx() * ink.Dy(); ink.Empty() || d.left < 0 {
		return
	}
	outline, err := g.font.LoadGlyph(&d.buf, g.index, d.ppem, nil)
	if err != nil {
		return
	}
	rows := max(1, bandPixels/ink.Dx())
	for top := ink.Min.Y; top < ink.Max.Y; top += rows {
		band := image.Rect(ink.Min.X, top, ink.Max.X, min(top+rows, ink.Max.Y))
		d.band(outline, g.at, band)
	}
}

// band draws the part of an outline that lies in a rectangle of the canvas.
func (d *drawer) band(outline sfnt.Segments, at fixed.Point26_6, band image.Rectangle) {
	d.raster.Reset(band.Dx(), band.Dy())
	x, y := float32(at.X)/64-float32(band.Min.X), float32(at.Y)/64-float32(band.Min.Y)
	p := func(v fixed.Point26_6) (float32, float32) { return float32(v.X)/64 + x, float32(v.Y)/64 + y }
	for _, s := range outline {
		ax, ay := p(s.Args[0])
		bx, by := p(s.Args[1])
		cx, cy := p(s.Args[2])
		switch s.Op {
		case sfnt.SegmentOpMoveTo:
			d.raster.ClosePath()
			d.raster.MoveTo(ax, ay)
		case sfnt.SegmentOpLineTo:
			d.raster.LineTo(ax, ay)
		case sfnt.SegmentOpQuadTo:
			d.raster.QuadTo(ax, ay, bx, by)
		case sfnt.SegmentOpCubeTo:
			d.raster.CubeTo(ax, ay, bx, by, cx, cy)
		}
	}
	d.raster.ClosePath()
	size := image.Rect(0, 0, band.Dx(), band.Dy())
	if need := band.Dx() * band.Dy(); cap(d.cover.Pix) < need {
		d.cover.Pix = make([]byte, need)
	}
	d.cover = image.Alpha{Pix: d.cover.Pix[:band.Dx()*band.Dy()], Stride: band.Dx(), Rect: size}
	clear(d.cover.Pix)
	d.raster.Draw(&d.cover, size, image.Opaque, image.Point{})
	for row := range band.Dy() {
		to := d.alpha.Row(band.Min.Y - d.seen.Min.Y + row)[band.Min.X-d.seen.Min.X:]
		for i, v := range d.cover.Pix[row*band.Dx() : (row+1)*band.Dx()] {
			// Neighbours that overlap cover what either covers.
			to[i] = max(to[i], v)
		}
	}
}
