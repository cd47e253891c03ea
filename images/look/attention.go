package look

import "github.com/kamado/kamado/images/plane"

// attentionSide is the longer side of the copy that is looked at. What cannot
// be seen at that size does not draw the eye, and noise is gone.
const attentionSide = 160

// Attention is where the middle of a window should be so that what draws the
// eye lies in it, as shares (0..1) of p's sides. The window is as large as
// width and height, shares of p's sides above 0 to 1, say: those of the crop
// that is to be made. Detail, colours of skin and saturated colours draw the
// eye, after the ideas of saliency by colour and edges (Itti, Koch and Niebur
// 1998) as croppers use them; what is in the middle of the window counts three times.
// Of equal windows it is the one nearest to the middle, so a picture of one
// colour gives (0.5, 0.5).
func Attention(p *plane.Picture, width, height float64) (x, y float64) {
	seen := small(p, attentionSide)
	sums := newIntegral(seen)
	w, h := window(width, seen.Width), window(height, seen.Height)
	var bestX, bestY, nearest int
	var most uint64
	found := false
	for top := 0; top+h <= seen.Height; top++ {
		for left := 0; left+w <= seen.Width; left++ {
			value := sums.sum(left, top, left+w, top+h) +
				2*sums.sum(left+w/4, top+h/4, left+w-w/4, top+h-h/4)
			dx, dy := 2*left+w-seen.Width, 2*top+h-seen.Height
			off := dx*dx + dy*dy
			if !found || value > most || value == most && off < nearest {
				found, most, nearest, bestX, bestY = true, value, off, left, top
			}
		}
	}
	return middle(bestX, w, seen.Width), middle(bestY, h, seen.Height)
}

// window is how many of size pixels a share is, at least one.
func window(share float64, size int) int {
	return min(max(int(share*float64(size)+0.5), 1), size)
}

// middle is the middle of from..from+part as a share of size.
func middle(from, part, size int) float64 {
	return float64(2*from+part) / float64(2*size)
}

// integral holds, for each corner of pixels, the sum of interest above and
// left of it, so that any window's sum takes four of them (Crow 1984).
type integral struct {
	stride int // width + 1
	sums   []uint64
}

func newIntegral(p *plane.Picture) *integral {
	n := &integral{stride: p.Width + 1, sums: make([]uint64, (p.Width+1)*(p.Height+1))}
	luma := make([]int32, p.Width*p.Height)
	for y := range p.Height {
		r, g, b := p.Planes[0].Row(y), p.Planes[1].Row(y), p.Planes[2].Row(y)
		for x := range p.Width {
			// BT.601, like the planes of a JPEG.
			luma[y*p.Width+x] = (299*int32(r[x]) + 587*int32(g[x]) + 114*int32(b[x])) / 1000
		}
	}
	for y := range p.Height {
		r, g, b := p.Planes[0].Row(y), p.Planes[1].Row(y), p.Planes[2].Row(y)
		var row uint64
		for x := range p.Width {
			row += uint64(interest(detail(luma, x, y, p.Width, p.Height), luma[y*p.Width+x], r[x], g[x], b[x])) * uint64(alphaAt(p, x, y))
			n.sums[(y+1)*n.stride+x+1] = n.sums[y*n.stride+x+1] + row
		}
	}
	return n
}

// sum is the interest of the pixels x0..x1-1, y0..y1-1.
func (n *integral) sum(x0, y0, x1, y1 int) uint64 {
	return n.sums[y1*n.stride+x1] + n.sums[y0*n.stride+x0] - n.sums[y0*n.stride+x1] - n.sums[y1*n.stride+x0]
}

// detail is how much a pixel differs from its four neighbours, 0..255. At the
// edges of the picture it is 0.
func detail(luma []int32, x, y, width, height int) int32 {
	if x == 0 || y == 0 || x == width-1 || y == height-1 {
		return 0
	}
	at := y*width + x
	d := 4*luma[at] - luma[at-1] - luma[at+1] - luma[at-width] - luma[at+width]
	return min(max(d, -d), 255)
}

// Weights of what draws the eye, in 1/256. Skin and saturation count little
// where nothing happens: a wall of the colour of skin is a wall.
const (
	weightDetail     = 51
	weightSkin       = 460
	weightSaturation = 51
	biasSkin         = 3  // of 255, detail that skin has at least
	biasSaturation   = 51 // the same of saturated colours
)

// interest is how much a pixel draws the eye, in 1/256 of a level.
func interest(detail, luma int32, r, g, b uint8) int32 {
	return weightDetail*detail +
		weightSkin*skin(luma, int32(r), int32(g), int32(b))*(detail+biasSkin)/255 +
		weightSaturation*saturation(luma, r, g, b)*(detail+biasSaturation)/255
}

// skin is how near a colour's direction is to that of skin, 0..255. The
// direction hardly differs between light and dark skin; brightness does.
func skin(luma, r, g, b int32) int32 {
	if luma < 40 || luma > 245 || r == 0 {
		return 0
	}
	// Shares of the sum in 1/1024; skin lies near 0.43 : 0.32 : 0.25.
	sum := r + g + b
	dr, dg, db := r*1024/sum-440, g*1024/sum-326, b*1024/sum-258
	far := dr*dr + dg*dg + db*db
	const reach = 90 * 90
	if far >= reach {
		return 0
	}
	return 255 * (reach - far) / reach
}

// saturation is that of HSV above a quarter, 0..255, of colours that are neither nearly
// black nor nearly white.
func saturation(luma int32, r, g, b uint8) int32 {
	most, least := int32(max(r, g, b)), int32(min(r, g, b))
	if luma < 20 || luma > 240 {
		return 0
	}
	return max(0, (255*(most-least)/most-64)*255/191)
}
