package raster

import (
	"fmt"
	"image"

	"github.com/kamado/kamado/images/plane"
)

// Crop writes the rectangle of src into dst. Where chroma is subsampled the
// corner moves to the next chroma sample up and left, so that luma and chroma
// stay together; crops that must be exact belong into the resampling window.
func Crop(dst, src *plane.Picture, r image.Rectangle) error {
	if r.Empty() || !r.In(image.Rect(0, 0, src.Width, src.Height)) {
		return fmt.Errorf("raster: crop %v outside %dx%d", r, src.Width, src.Height)
	}
	subX, subY := chroma(src)
	r.Min.X -= r.Min.X % subX
	r.Min.Y -= r.Min.Y % subY
	dst.Reset(src.Model, src.Alpha, r.Dx(), r.Dy(), subX, subY)
	for i := range src.N() {
		d, s := &dst.Planes[i], &src.Planes[i]
		for y := range d.Height {
			copy(d.Row(y), s.Row(y + r.Min.Y/s.SubY)[r.Min.X/s.SubX:])
		}
	}
	return nil
}

func chroma(p *plane.Picture) (subX, subY int) {
	if p.Model == plane.YCbCr {
		return p.Planes[1].SubX, p.Planes[1].SubY
	}
	return 1, 1
}

// Pad writes src onto a canvas of width x height with its corner at (x, y).
// The canvas is filled with the background; when clear is set and src has
// alpha, it is transparent instead. A chroma sample that lies across the edge
// of src mixes both sides by how much of it each covers.
func Pad(dst, src *plane.Picture, width, height, x, y int, background Color, clear bool) error {
	if !image.Rect(x, y, x+src.Width, y+src.Height).In(image.Rect(0, 0, width, height)) {
		return fmt.Errorf("raster: %dx%d at %d,%d does not lie in %dx%d", src.Width, src.Height, x, y, width, height)
	}
	subX, subY := chroma(src)
	dst.Reset(src.Model, src.Alpha, width, height, subX, subY)
	fill := background.samples(src.Model)
	for i := range src.N() {
		d, s := &dst.Planes[i], &src.Planes[i]
		v := uint8(255)
		if i < src.Model.Components() {
			v = fill[i]
		} else if clear {
			v = 0
		}
		for row := range d.Height {
			fillRow(d.Row(row), v)
		}
		if s.SubX == 1 && s.SubY == 1 {
			for row := range s.Height {
				copy(d.Row(y + row)[x:], s.Row(row))
			}
			continue
		}
		padChroma(d, s, src.Width, src.Height, x, y, v)
	}
	return nil
}

func fillRow(row []uint8, v uint8) {
	for i := range row {
		row[i] = v
	}
}

// padChroma computes each chroma sample of the canvas as the mean over the
// pixels it covers, of the picture's chroma inside and the fill outside.
func padChroma(d, s *plane.Plane, width, height, x, y int, fill uint8) {
	if x%d.SubX == 0 && y%d.SubY == 0 && width%d.SubX == 0 && height%d.SubY == 0 {
		for row := range s.Height {
			copy(d.Row(y/d.SubY + row)[x/d.SubX:], s.Row(row))
		}
		return
	}
	area := int32(d.SubX * d.SubY)
	for cy := y / d.SubY; cy*d.SubY < y+height && cy < d.Height; cy++ {
		row := d.Row(cy)
		for cx := x / d.SubX; cx*d.SubX < x+width && cx < d.Width; cx++ {
			sum := area / 2
			for dy := range d.SubY {
				py := cy*d.SubY + dy - y
				for dx := range d.SubX {
					px := cx*d.SubX + dx - x
					v := fill
					if px >= 0 && py >= 0 && px < width && py < height {
						v = s.Pix[py/s.SubY*s.Stride+px/s.SubX]
					}
					sum += int32(v)
				}
			}
			row[cx] = uint8(sum / area)
		}
	}
}
