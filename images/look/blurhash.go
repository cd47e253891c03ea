package look

import (
	"fmt"
	"math"

	"github.com/kamado/kamado/images/plane"
)

// HashSide is the longer side that hashes are made of: larger pictures are
// shrunk to it. Their authors ask for as much.
const HashSide = 100

// ComponentsMax bounds the components of a BlurHash along each side.
const ComponentsMax = 9

const base83 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz#$%*+,-.:;=?@[]^_{|}~"

// BlurHash is the BlurHash of a picture (woltapp/blurhash, Algorithm.md), with
// 1..ComponentsMax components across and down; others count as the nearest of
// these. Alpha is not looked at: flatten first.
func BlurHash(p *plane.Picture, xComponents, yComponents int) string {
	nx, ny := min(max(xComponents, 1), ComponentsMax), min(max(yComponents, 1), ComponentsMax)
	factors := cosineFactors(lightOf(small(p, HashSide)), nx, ny)
	out := make([]byte, 0, 4+2*nx*ny)
	out = append83(out, nx-1+(ny-1)*9, 1)
	// The largest factor of the others is the unit of them all. The reference
	// encoder takes the largest, not the largest without its sign.
	most := 0.0
	if len(factors) > 1 {
		most = math.Inf(-1)
		for _, f := range factors[1:] {
			most = max(most, f[0], f[1], f[2])
		}
	}
	unit, scale := 0, 1.0
	if len(factors) > 1 {
		unit = int(min(max(math.Floor(most*166-0.5), 0), 82))
		scale = float64(unit+1) / 166
	}
	out = append83(out, unit, 1)
	dc := factors[0]
	out = append83(out, int(level(dc[0]))<<16|int(level(dc[1]))<<8|int(level(dc[2])), 4)
	for _, f := range factors[1:] {
		v := 0
		for _, c := range f {
			v = v*19 + int(min(max(math.Floor(signedPower(c/scale, 0.5)*9+9.5), 0), 18))
		}
		out = append83(out, v, 2)
	}
	return string(out)
}

// light is a picture in linear light, 0..1.
type light struct {
	width, height int
	pix           [][3]float64
}

func lightOf(p *plane.Picture) light {
	var table [256]float64
	for i := range table {
		table[i] = linear(float64(i) / 255)
	}
	l := light{p.Width, p.Height, make([][3]float64, 0, p.Width*p.Height)}
	for y := range p.Height {
		r, g, b := p.Planes[0].Row(y), p.Planes[1].Row(y), p.Planes[2].Row(y)
		for x := range p.Width {
			l.pix = append(l.pix, [3]float64{table[r[x]], table[g[x]], table[b[x]]})
		}
	}
	return l
}

// cosines are cos(pi i k / n) for i below n and k below components.
func cosines(n, components int) [][]float64 {
	table := make([][]float64, components)
	for k := range table {
		table[k] = make([]float64, n)
		for i := range table[k] {
			table[k][i] = math.Cos(math.Pi * float64(k) * float64(i) / float64(n))
		}
	}
	return table
}

// cosineFactors are the means of a picture times each pair of cosines, row by
// row of components.
func cosineFactors(l light, nx, ny int) [][3]float64 {
	across, down := cosines(l.width, nx), cosines(l.height, ny)
	factors := make([][3]float64, 0, nx*ny)
	for j := range ny {
		for i := range nx {
			scale := 2 / float64(l.width*l.height)
			if i == 0 && j == 0 {
				scale /= 2
			}
			var f [3]float64
			for y := range l.height {
				var row [3]float64
				for x, c := range l.pix[y*l.width : (y+1)*l.width] {
					w := across[i][x]
					row[0], row[1], row[2] = row[0]+w*c[0], row[1]+w*c[1], row[2]+w*c[2]
				}
				for k := range f {
					f[k] += row[k] * down[j][y]
				}
			}
			factors = append(factors, [3]float64{f[0] * scale, f[1] * scale, f[2] * scale})
		}
	}
	return factors
}

func signedPower(v, power float64) float64 {
	return math.Copysign(math.Pow(math.Abs(v), power), v)
}

// append83 appends v in so many digits of base 83.
func append83(out []byte, v, digits int) []byte {
	power := 1
	for range digits - 1 {
		power *= 83
	}
	for ; power > 0; power /= 83 {
		out = append(out, base83[v/power%83])
	}
	return out
}

// DecodeBlurHash draws the picture of a hash, 1..256 pixels a side, in RGB.
func DecodeBlurHash(hash string, width, height int) (*plane.Picture, error) {
	digits, err := digits83(hash)
	if err != nil {
		return nil, err
	}
	if len(digits) < 6 || width < 1 || height < 1 || width > 256 || height > 256 {
		return nil, fmt.Errorf("look: a BlurHash of %d digits as %dx%d", len(digits), width, height)
	}
	nx, ny := digits[0]%9+1, digits[0]/9+1
	if len(digits) != 4+2*nx*ny {
		return nil, fmt.Errorf("look: a BlurHash of %dx%d components has %d digits, not %d", nx, ny, 4+2*nx*ny, len(digits))
	}
	scale := float64(digits[1]+1) / 166
	dc := ((digits[2]*83+digits[3])*83+digits[4])*83 + digits[5]
	factors := [][3]float64{{linear(float64(dc>>16&255) / 255), linear(float64(dc>>8&255) / 255), linear(float64(dc&255) / 255)}}
	for i := 6; i < len(digits); i += 2 {
		v := digits[i]*83 + digits[i+1]
		part := func(v int) float64 { return signedPower(float64(v-9)/9, 2) * scale }
		factors = append(factors, [3]float64{part(v / 361), part(v / 19 % 19), part(v % 19)})
	}
	p := new(plane.Picture)
	p.Reset(plane.RGB, false, width, height, 1, 1)
	across, down := cosines(width, nx), cosines(height, ny)
	for y := range height {
		for x := range width {
			for c := range 3 {
				var v float64
				for i, f := range factors {
					v += f[c] * across[i%nx][x] * down[i/nx][y]
				}
				p.Planes[c].Row(y)[x] = level(v)
			}
		}
	}
	return p, nil
}

// digits83 reads the digits of a hash.
func digits83(hash string) ([]int, error) {
	if len(hash) > 4+2*ComponentsMax*ComponentsMax {
		return nil, fmt.Errorf("look: a BlurHash of %d digits", len(hash))
	}
	digits := make([]int, len(hash))
	for i := range len(hash) {
		digits[i] = -1
		for v := range len(base83) {
			if base83[v] == hash[i] {
				digits[i] = v
			}
		}
		if digits[i] < 0 {
			return nil, fmt.Errorf("look: %q is no digit of a BlurHash", hash[i])
		}
	}
	return digits, nil
}
