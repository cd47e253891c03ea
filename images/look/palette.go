package look

import (
	"cmp"
	"math"
	"slices"

	"github.com/kamado/kamado/images/plane"
	"github.com/kamado/kamado/images/raster"
)

const (
	paletteSide   = 128 // longer side of the copy that is looked at
	paletteRounds = 8   // of moving the middles of the clusters; few move after five
)

// Swatch is a colour and how much of a picture has it.
type Swatch struct {
	Color raster.Color
	Share float64 // of what is opaque, 0..1
}

// Palette is at most n colours that stand for a picture, the largest share
// first; the shares sum to 1. They are the middles of clusters in Oklab (Ottosson 2020), where
// distances are those that people see. Fewer come when the picture has fewer, none
// when all of it is transparent.
func Palette(p *plane.Picture, n int) []Swatch {
	bins := count(small(p, paletteSide))
	middles := spread(bins, n)
	var members [][]bin
	for range paletteRounds {
		members = assign(bins, middles)
		for i, m := range members {
			middles[i] = mean(m)
		}
	}
	var total float64
	for _, b := range bins {
		total += b.weight
	}
	list := make([]Swatch, 0, len(middles))
	for i, m := range members {
		var weight float64
		for _, b := range m {
			weight += b.weight
		}
		list = append(list, Swatch{middles[i].color(), weight / total})
	}
	slices.SortFunc(list, func(a, b Swatch) int {
		return cmp.Or(cmp.Compare(b.Share, a.Share), cmp.Compare(a.Color.R, b.Color.R), cmp.Compare(a.Color.G, b.Color.G), cmp.Compare(a.Color.B, b.Color.B))
	})
	return list
}

// bin is the pixels whose colours share the upper five bits.
type bin struct {
	at     lab
	weight float64 // pixels, as far as they cover
}

// count sorts the pixels of an RGB picture into bins, each at the mean of its
// colours.
func count(p *plane.Picture) []bin {
	type sum struct{ r, g, b, n uint32 }
	sums := make([]sum, 1<<15)
	for y := range p.Height {
		r, g, b := p.Planes[0].Row(y), p.Planes[1].Row(y), p.Planes[2].Row(y)
		for x := range p.Width {
			s := &sums[uint32(r[x])>>3<<10|uint32(g[x])>>3<<5|uint32(b[x])>>3]
			a := uint32(alphaAt(p, x, y))
			s.r, s.g, s.b, s.n = s.r+a*uint32(r[x]), s.g+a*uint32(g[x]), s.b+a*uint32(b[x]), s.n+a
		}
	}
	var bins []bin
	for _, s := range sums {
		if n := float64(s.n); n > 0 {
			bins = append(bins, bin{labOf(float64(s.r)/n, float64(s.g)/n, float64(s.b)/n), n / 255})
		}
	}
	return bins
}

// spread picks the first middles: the heaviest bin, then again and again the
// one that most pixels times distance lie behind.
func spread(bins []bin, n int) []lab {
	var middles []lab
	far := make([]float64, len(bins))
	for i := range far {
		far[i] = 1
	}
	for len(middles) < n {
		best, most := -1, 0.0
		for i, b := range bins {
			if v := far[i] * b.weight; v > most {
				best, most = i, v
			}
		}
		if best < 0 {
			break
		}
		middles = append(middles, bins[best].at)
		for i, b := range bins {
			d := b.at.distance(bins[best].at)
			if len(middles) == 1 || d < far[i] {
				far[i] = d
			}
		}
	}
	return middles
}

// assign gives each bin to the nearest middle, the first of equals. No list is
// empty at first, because middles are bins; one that becomes empty later keeps a share of 0.
func assign(bins []bin, middles []lab) [][]bin {
	members := make([][]bin, len(middles))
	for _, b := range bins {
		best, least := 0, math.Inf(1)
		for i, m := range middles {
			if d := b.at.distance(m); d < least {
				best, least = i, d
			}
		}
		members[best] = append(members[best], b)
	}
	return members
}

func mean(bins []bin) lab {
	var sum lab
	var n float64
	for _, b := range bins {
		sum.l, sum.a, sum.b, n = sum.l+b.at.l*b.weight, sum.a+b.at.a*b.weight, sum.b+b.at.b*b.weight, n+b.weight
	}
	return lab{sum.l / n, sum.a / n, sum.b / n}
}

// lab is a colour in Oklab.
type lab struct{ l, a, b float64 }

func (c lab) distance(d lab) float64 {
	l, a, b := c.l-d.l, c.a-d.a, c.b-d.b
	return l*l + a*a + b*b
}

// labOf is the Oklab of sRGB in levels. Matrices: Ottosson, "A perceptual
// color space for image processing".
func labOf(red, green, blue float64) lab {
	r, g, b := linear(red/255), linear(green/255), linear(blue/255)
	l := math.Cbrt(0.4122214708*r + 0.5363325363*g + 0.0514459929*b)
	m := math.Cbrt(0.2119034982*r + 0.6806995451*g + 0.1073969566*b)
	s := math.Cbrt(0.0883024619*r + 0.2817188376*g + 0.6299787005*b)
	return lab{
		0.2104542553*l + 0.7936177850*m - 0.0040720468*s,
		1.9779984951*l - 2.4285922050*m + 0.4505937099*s,
		0.0259040371*l + 0.7827717662*m - 0.8086757660*s,
	}
}

// color is the nearest sRGB colour.
func (c lab) color() raster.Color {
	cube := func(v float64) float64 { return v * v * v }
	l := cube(c.l + 0.3963377774*c.a + 0.2158037573*c.b)
	m := cube(c.l - 0.1055613458*c.a - 0.0638541728*c.b)
	s := cube(c.l - 0.0894841775*c.a - 1.2914855480*c.b)
	return raster.Color{
		R: level(4.0767416621*l - 3.3077115913*m + 0.2309699292*s),
		G: level(-1.2684380046*l + 2.6097574011*m - 0.3413193965*s),
		B: level(-0.0041960863*l - 0.7034186147*m + 1.7076147010*s),
	}
}

// linear is the light of an sRGB value, 0..1 (IEC 61966-2-1).
func linear(v float64) float64 {
	if v <= 0.04045 {
		return v / 12.92
	}
	return math.Pow((v+0.055)/1.055, 2.4)
}

// level is the inverse of linear in levels, rounded.
func level(v float64) uint8 {
	v = min(max(v, 0), 1)
	if v <= 0.0031308 {
		return uint8(v*12.92*255 + 0.5)
	}
	return uint8((1.055*math.Pow(v, 1/2.4)-0.055)*255 + 0.5)
}
