package look

import (
	"errors"
	"math"

	"github.com/kamado/kamado/images/plane"
)

// ThumbHash is the ThumbHash of a picture (evanw/thumbhash), 5 to 25 bytes:
// its shape, alpha and a few factors of luminance and two differences of
// colour.
func ThumbHash(p *plane.Picture) []byte {
	p = small(p, HashSide)
	w, h := p.Width, p.Height
	planes, hasAlpha := luminances(p)
	most := 7 // factors of luminance along the longer side
	if hasAlpha {
		most = 5
	}
	side := func(v int) int { return max(1, roundHalfUp(float64(most)*float64(v)/float64(max(w, h)))) }
	lx, ly := side(w), side(h)
	var l, pq, q, a channel
	l.encode(planes[0], w, h, max(3, lx), max(3, ly))
	pq.encode(planes[1], w, h, 3, 3)
	q.encode(planes[2], w, h, 3, 3)

	landscape := w > h
	header := roundHalfUp(63*l.dc) | roundHalfUp(31.5+31.5*pq.dc)<<6 | roundHalfUp(31.5+31.5*q.dc)<<12 | roundHalfUp(31*l.scale)<<18
	header2 := roundHalfUp(63*pq.scale)<<3 | roundHalfUp(63*q.scale)<<9
	if landscape {
		header2 |= ly | 1<<15
	} else {
		header2 |= lx
	}
	channels := []channel{l, pq, q}
	var extra []byte
	if hasAlpha {
		a.encode(planes[3], w, h, 5, 5)
		header |= 1 << 23
		extra = []byte{byte(roundHalfUp(15*a.dc) | roundHalfUp(15*a.scale)<<4)}
		channels = append(channels, a)
	}
	hash := append([]byte{byte(header), byte(header >> 8), byte(header >> 16), byte(header2), byte(header2 >> 8)}, extra...)
	high := false
	for _, c := range channels {
		for _, f := range c.ac {
			v := byte(roundHalfUp(15 * f))
			if high {
				hash[len(hash)-1] |= v << 4
			} else {
				hash = append(hash, v)
			}
			high = !high
		}
	}
	return hash
}

func roundHalfUp(v float64) int { return int(math.Floor(v + 0.5)) }

// luminances are, for each pixel laid over the mean colour, its luminance,
// yellow less blue, red less green, and alpha; and whether anything is
// transparent.
func luminances(p *plane.Picture) (planes [4][]float64, hasAlpha bool) {
	n := p.Width * p.Height
	var mean [3]float64
	var cover float64
	each := func(do func(r, g, b, alpha float64)) {
		for y := range p.Height {
			r, g, b := p.Planes[0].Row(y), p.Planes[1].Row(y), p.Planes[2].Row(y)
			for x := range p.Width {
				do(float64(r[x]), float64(g[x]), float64(b[x]), float64(alphaAt(p, x, y))/255)
			}
		}
	}
	each(func(r, g, b, alpha float64) {
		mean[0] += alpha / 255 * r
		mean[1] += alpha / 255 * g
		mean[2] += alpha / 255 * b
		cover += alpha
	})
	if cover > 0 {
		for i := range mean {
			mean[i] /= cover
		}
	}
	for i := range planes {
		planes[i] = make([]float64, 0, n)
	}
	each(func(r, g, b, alpha float64) {
		r = mean[0]*(1-alpha) + alpha/255*r
		g = mean[1]*(1-alpha) + alpha/255*g
		b = mean[2]*(1-alpha) + alpha/255*b
		planes[0] = append(planes[0], (r+g+b)/3)
		planes[1] = append(planes[1], (r+g)/2-b)
		planes[2] = append(planes[2], r-g)
		planes[3] = append(planes[3], alpha)
	})
	return planes, cover < float64(n)
}

// channel is the factors of one channel: the mean, and the others as shares
// (0..1, 0.5 is nothing) of the largest.
type channel struct {
	dc, scale float64
	ac        []float64
}

// encode takes the factors of the upper left triangle of nx by ny.
func (c *channel) encode(pix []float64, w, h, nx, ny int) {
	fx := make([]float64, w)
	for cy := range ny {
		for cx := 0; cx*ny < nx*(ny-cy); cx++ {
			for x := range fx {
				fx[x] = math.Cos(math.Pi / float64(w) * float64(cx) * (float64(x) + 0.5))
			}
			var f float64
			for y := range h {
				fy := math.Cos(math.Pi / float64(h) * float64(cy) * (float64(y) + 0.5))
				for x, v := range pix[y*w : (y+1)*w] {
					f += v * fx[x] * fy
				}
			}
			f /= float64(w * h)
			if cx == 0 && cy == 0 {
				c.dc = f
				continue
			}
			c.ac = append(c.ac, f)
			c.scale = max(c.scale, math.Abs(f))
		}
	}
	if c.scale > 0 {
		for i := range c.ac {
			c.ac[i] = 0.5 + 0.5/c.scale*c.ac[i]
		}
	}
}

var errThumbHash = errors.New("look: not a ThumbHash")

// thumbFacts is what the head of a ThumbHash says.
type thumbFacts struct {
	l, p, q, a channel
	lx, ly     int
	hasAlpha   bool
	width      int // of the drawn picture
	height     int
	at         int // of the first factor, in half bytes
}

// DecodeThumbHash draws the picture of a hash, at most 32 pixels a side, in
// RGB with alpha.
func DecodeThumbHash(hash []byte) (*plane.Picture, error) {
	t, err := readThumbHash(hash)
	if err != nil {
		return nil, err
	}
	out := new(plane.Picture)
	out.Reset(plane.RGB, true, t.width, t.height, 1, 1)
	for y := range t.height {
		for x := range t.width {
			at := func(c *channel, nx, ny int) float64 { return c.decode(x, y, t.width, t.height, nx, ny) }
			l, p, q := at(&t.l, t.lx, t.ly), at(&t.p, 3, 3), at(&t.q, 3, 3)
			a := t.a.dc
			if t.hasAlpha {
				a = at(&t.a, 5, 5)
			}
			b := l - 2.0/3*p
			r := (3*l - b + q) / 2
			for i, v := range [4]float64{r, r - q, b, a} {
				out.Planes[i].Row(y)[x] = uint8(255 * min(max(v, 0), 1))
			}
		}
	}
	return out, nil
}

// thumbSaturation makes up for what rounding takes from the colours.
const thumbSaturation = 1.25

func readThumbHash(hash []byte) (t thumbFacts, err error) {
	if len(hash) < 5 {
		return t, errThumbHash
	}
	header, header2 := int(hash[0])|int(hash[1])<<8|int(hash[2])<<16, int(hash[3])|int(hash[4])<<8
	t.l.dc, t.l.scale = float64(header&63)/63, float64(header>>18&31)/31
	t.p.dc, t.p.scale = float64(header>>6&63)/31.5-1, float64(header2>>3&63)/63*thumbSaturation
	t.q.dc, t.q.scale = float64(header>>12&63)/31.5-1, float64(header2>>9&63)/63*thumbSaturation
	t.a.dc, t.hasAlpha, t.at = 1, header>>23 != 0, 10
	most := 7
	if t.hasAlpha {
		if len(hash) < 6 {
			return t, errThumbHash
		}
		t.a.dc, t.a.scale, t.at, most = float64(hash[5]&15)/15, float64(hash[5]>>4)/15, 12, 5
	}
	shorter := header2 & 7
	ratio := min(float64(shorter)/float64(most), 1)
	t.lx, t.ly = max(3, shorter), max(3, most)
	t.width, t.height = max(1, roundHalfUp(32*ratio)), 32
	if header2>>15 != 0 {
		t.lx, t.ly = t.ly, t.lx
		t.width, t.height = t.height, t.width
	}
	type part struct {
		c      *channel
		nx, ny int
	}
	parts := []part{{&t.l, t.lx, t.ly}, {&t.p, 3, 3}, {&t.q, 3, 3}}
	if t.hasAlpha {
		parts = append(parts, part{&t.a, 5, 5})
	}
	for _, p := range parts {
		if !p.c.read(hash, &t.at, p.nx, p.ny) {
			return t, errThumbHash
		}
	}
	return t, nil
}

// read takes a channel's factors from half byte *at on.
func (c *channel) read(hash []byte, at *int, nx, ny int) bool {
	for cy := range ny {
		for cx := 0; cx*ny < nx*(ny-cy); cx++ {
			if cx == 0 && cy == 0 {
				continue
			}
			if *at/2 >= len(hash) {
				return false
			}
			v := hash[*at/2] >> (*at & 1 * 4) & 15
			c.ac = append(c.ac, (float64(v)/7.5-1)*c.scale)
			*at++
		}
	}
	return true
}

// decode is a channel's value at a pixel.
func (c *channel) decode(x, y, w, h, nx, ny int) float64 {
	v, i := c.dc, 0
	for cy := range ny {
		fy := 2 * math.Cos(math.Pi/float64(h)*(float64(y)+0.5)*float64(cy))
		for cx := 0; cx*ny < nx*(ny-cy); cx++ {
			if cx == 0 && cy == 0 {
				continue
			}
			v += c.ac[i] * math.Cos(math.Pi/float64(w)*(float64(x)+0.5)*float64(cx)) * fy
			i++
		}
	}
	return v
}
