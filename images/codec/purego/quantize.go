package purego

import (
	"image"
	"image/color"
	"slices"
)

// Colours are counted in cells of 5 bits a channel, so the cost of choosing a
// palette is bounded by 32,768 cells whatever the picture's size.
const (
	cellBits  = 5
	cellShift = 8 - cellBits
	cells     = 1 << (3 * cellBits)
)

// alphaHalf: a pixel below it is transparent in a format that knows only that.
const alphaHalf = 128

// cell is what the pixels of one cell add up to.
type cell struct {
	count   int64
	r, g, b int64
}

func (c *cell) mean() [3]int64 {
	return [3]int64{c.r / c.count, c.g / c.count, c.b / c.count}
}

func cellOf(r, g, b uint8) int {
	return int(r>>cellShift)<<(2*cellBits) | int(g>>cellShift)<<cellBits | int(b>>cellShift)
}

// choosePalette finds at most 256 colours by median cut: the box of cells
// whose colours differ most, weighted by pixels, is cut at its median until
// there are enough. transparent is the index of the colour that means
// nothing, -1 when every pixel is opaque.
func choosePalette(m *image.NRGBA) (palette color.Palette, transparent int) {
	table := make([]cell, cells)
	transparent = -1
	colours := 256
	for i := 0; i < len(m.Pix); i += 4 {
		p := m.Pix[i : i+4 : i+4]
		if p[3] < alphaHalf {
			transparent, colours = 0, 255
			continue
		}
		c := &table[cellOf(p[0], p[1], p[2])]
		c.count++
		c.r += int64(p[0])
		c.g += int64(p[1])
		c.b += int64(p[2])
	}
	used := slices.DeleteFunc(table, func(c cell) bool { return c.count == 0 })
	if transparent == 0 {
		palette = append(palette, color.NRGBA{})
	}
	if len(used) == 0 {
		return append(palette, color.NRGBA{A: 255}), transparent
	}
	boxes := []box{newBox(used)}
	for len(boxes) < colours {
		best := 0
		for i := range boxes {
			if boxes[i].spread > boxes[best].spread {
				best = i
			}
		}
		if boxes[best].spread == 0 {
			break
		}
		left, right := boxes[best].cut()
		boxes[best] = left
		boxes = append(boxes, right)
	}
	for _, b := range boxes {
		palette = append(palette, b.colour())
	}
	return palette, transparent
}

// box is cells that share one colour of the palette.
type box struct {
	cells  []cell
	axis   int   // channel in which they differ most
	spread int64 // that difference times the pixels; 0 for one cell
}

func newBox(list []cell) box {
	b := box{cells: list}
	low, high := [3]int64{255, 255, 255}, [3]int64{}
	var pixels int64
	for i := range list {
		for k, v := range list[i].mean() {
			low[k], high[k] = min(low[k], v), max(high[k], v)
		}
		pixels += list[i].count
	}
	for k := range low {
		if d := high[k] - low[k]; len(list) > 1 && d*pixels > b.spread {
			b.axis, b.spread = k, d*pixels
		}
	}
	return b
}

// cut halves the pixels along the axis; each half has a cell.
func (b box) cut() (box, box) {
	slices.SortFunc(b.cells, func(x, y cell) int { return int(x.mean()[b.axis] - y.mean()[b.axis]) })
	var all, sum int64
	for i := range b.cells {
		all += b.cells[i].count
	}
	at := 1
	for i := range b.cells[:len(b.cells)-1] {
		sum += b.cells[i].count
		at = i + 1
		if 2*sum >= all {
			break
		}
	}
	return newBox(b.cells[:at:at]), newBox(b.cells[at:])
}

func (b box) colour() color.NRGBA {
	var sum cell
	for _, c := range b.cells {
		sum.count += c.count
		sum.r += c.r
		sum.g += c.g
		sum.b += c.b
	}
	m := sum.mean()
	return color.NRGBA{uint8(m[0]), uint8(m[1]), uint8(m[2]), 255}
}

// nearest finds palette colours, remembering the answer for a cell of 6 bits
// a channel: at most 262,144 searches a frame.
type nearest struct {
	palette     color.Palette
	transparent int
	known       []int16 // 0: not known, else index + 1
}

func (n *nearest) index(r, g, b int32) uint8 {
	key := r>>2<<12 | g>>2<<6 | b>>2
	if i := n.known[key]; i > 0 {
		return uint8(i - 1)
	}
	best, least := 0, int32(1<<30)
	for i, c := range n.palette {
		if i == n.transparent {
			continue
		}
		p := c.(color.NRGBA)
		dr, dg, db := int32(p.R)-r, int32(p.G)-g, int32(p.B)-b
		if d := 3*dr*dr + 6*dg*dg + db*db; d < least { // about the eye's weights
			best, least = i, d
		}
	}
	n.known[key] = int16(best + 1)
	return uint8(best)
}

// dither maps a picture onto a palette and passes each pixel's error on to
// its neighbours (Floyd and Steinberg, 7 3 5 1 of 16).
func dither(m *image.NRGBA, palette color.Palette, transparent int) *image.Paletted {
	out := image.NewPaletted(m.Rect, palette)
	find := nearest{palette: palette, transparent: transparent, known: make([]int16, 1<<18)}
	w := m.Rect.Dx()
	here, below := make([][3]int32, w+2), make([][3]int32, w+2) // errors times 16, shifted by one
	for y := range m.Rect.Dy() {
		src, dst := m.Pix[y*m.Stride:], out.Pix[y*out.Stride:]
		clear(below)
		for x := range w {
			p := src[4*x : 4*x+4 : 4*x+4]
			if p[3] < alphaHalf {
				dst[x] = uint8(transparent)
				continue
			}
			var want [3]int32
			for k := range want {
				want[k] = min(max(int32(p[k])+(here[x+1][k]+8)>>4, 0), 255)
			}
			i := find.index(want[0], want[1], want[2])
			dst[x] = i
			got := palette[i].(color.NRGBA)
			for k, v := range [3]uint8{got.R, got.G, got.B} {
				e := want[k] - int32(v)
				here[x+2][k] += 7 * e
				below[x][k] += 3 * e
				below[x+1][k] += 5 * e
				below[x+2][k] += e
			}
		}
		here, below = below, here
	}
	return out
}
