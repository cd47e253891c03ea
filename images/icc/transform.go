package icc

import (
	"errors"
	"fmt"
	"math"
	"sync"

	"github.com/kamado/kamado/images/plane"
)

// srgb has the XYZ of the full red, green and blue of sRGB, adapted to D50
// by Bradford's matrix as profiles of sRGB have them (IEC 61966-2-1).
var srgb = [3][3]float64{
	{0.4360747, 0.2225045, 0.0139322},
	{0.3850649, 0.7168786, 0.0971045},
	{0.1430804, 0.0606169, 0.7141733},
}

const (
	linearBits = 15 // of a linear value: 1 is 1<<linearBits
	matrixBits = 14 // fraction bits of the matrix
	encodeBits = 13 // index bits of the table back to device values: 0.4 of a level a step at black
)

// matrixMax bounds the entries of the matrix. Real ones stay below 3.
const matrixMax = 8

// ErrModel says that a picture's colour model is not the one its profile is for.
var ErrModel = errors.New("icc: the profile is for another colour model")

// Transform brings samples to sRGB. It is never changed once made, and
// may be used by several goroutines at once.
type Transform struct {
	gray     bool
	identity bool
	tone     [256]uint8                // grey: the whole transform
	linear   [3][256]int32             // device value to linear, 0..1<<linearBits
	matrix   [3][3]int64               // [out][in], matrixBits fraction bits
	encode   *[1<<encodeBits + 1]uint8 // linear to sRGB
}

// Transform makes the transform of a profile. The error wraps ErrFormat: a matrix of
// nonsense.
func (p *Profile) Transform() (*Transform, error) {
	t := &Transform{gray: p.gray, encode: encodeTable()}
	if p.gray {
		for i := range t.tone {
			t.tone[i] = encoded(p.curves[0].at(float64(i) / 255))
		}
		t.identity = t.tonesStay()
		return t, nil
	}
	for i := range p.curves {
		for v := range t.linear[i] {
			t.linear[i][v] = int32(math.Round(p.curves[i].at(float64(v)/255) * (1 << linearBits)))
		}
	}
	inverse := invert(srgb)
	for out := range 3 {
		for in := range 3 {
			sum := 0.0
			for k := range 3 {
				sum += inverse[k][out] * p.colorant[in][k]
			}
			if !(math.Abs(sum) < matrixMax) {
				return nil, fmt.Errorf("%w: colourants out of range", ErrFormat)
			}
			t.matrix[out][in] = int64(math.Round(sum * (1 << matrixBits)))
		}
	}
	t.identity = t.coloursStay()
	return t, nil
}

// Identity says whether the transform changes nothing that shows: the profile is
// sRGB itself, to within one level of 255.
func (t *Transform) Identity() bool { return t.identity }

// Gray says whether the transform is for grey pictures, not RGB ones.
func (t *Transform) Gray() bool { return t.gray }

// Apply transforms an RGB or Gray picture in place; alpha stays. It returns
// ErrModel when the profile is for the other model.
func (t *Transform) Apply(p *plane.Picture) error {
	want := plane.RGB
	if t.gray {
		want = plane.Gray
	}
	if p.Model != want {
		return fmt.Errorf("%w: %v, want %v", ErrModel, p.Model, want)
	}
	if t.identity {
		return nil
	}
	for y := range p.Height {
		if t.gray {
			row := p.Planes[0].Row(y)
			for x, v := range row {
				row[x] = t.tone[v]
			}
			continue
		}
		t.row(p.Planes[0].Row(y), p.Planes[1].Row(y), p.Planes[2].Row(y))
	}
	return nil
}

// row transforms one row.
func (t *Transform) row(red, green, blue []uint8) {
	green, blue = green[:len(red)], blue[:len(red)]
	for x := range red {
		red[x], green[x], blue[x] = t.colour(red[x], green[x], blue[x])
	}
}

func (t *Transform) colour(r, g, b uint8) (uint8, uint8, uint8) {
	lr, lg, lb := int64(t.linear[0][r]), int64(t.linear[1][g]), int64(t.linear[2][b])
	return t.level(lr*t.matrix[0][0] + lg*t.matrix[0][1] + lb*t.matrix[0][2]),
		t.level(lr*t.matrix[1][0] + lg*t.matrix[1][1] + lb*t.matrix[1][2]),
		t.level(lr*t.matrix[2][0] + lg*t.matrix[2][1] + lb*t.matrix[2][2])
}

// level encodes a sum of linear values times the matrix.
func (t *Transform) level(sum int64) uint8 {
	const down = linearBits + matrixBits - encodeBits
	i := (sum + 1<<(down-1)) >> down
	return t.encode[min(max(i, 0), 1<<encodeBits)]
}

// tonesStay says whether every grey stays within a level.
func (t *Transform) tonesStay() bool {
	for i, v := range t.tone {
		if d := int(v) - i; d < -1 || d > 1 {
			return false
		}
	}
	return true
}

// coloursStay tries the greys and a grid of colours.
func (t *Transform) coloursStay() bool {
	const step = 17 // 16 values a side, with 0 and 255
	near := func(a, b uint8) bool { d := int(a) - int(b); return d >= -1 && d <= 1 }
	stays := func(r, g, b uint8) bool {
		r1, g1, b1 := t.colour(r, g, b)
		return near(r, r1) && near(g, g1) && near(b, b1)
	}
	for v := range 256 {
		if !stays(uint8(v), uint8(v), uint8(v)) {
			return false
		}
	}
	for r := 0; r < 256; r += step {
		for g := 0; g < 256; g += step {
			for b := 0; b < 256; b += step {
				if !stays(uint8(r), uint8(g), uint8(b)) {
					return false
				}
			}
		}
	}
	return true
}

// encodeTable is the same for all profiles and made once, 8 KB.
var encodeTable = sync.OnceValue(func() *[1<<encodeBits + 1]uint8 {
	var t [1<<encodeBits + 1]uint8
	for i := range t {
		t[i] = encoded(float64(i) / (1 << encodeBits))
	}
	return &t
})

// encoded is the sRGB level of a linear value (IEC 61966-2-1, 5.2).
func encoded(v float64) uint8 {
	if v <= 0.0031308 {
		v *= 12.92
	} else {
		v = 1.055*math.Pow(v, 1/2.4) - 0.055
	}
	return uint8(min(max(math.Round(v*255), 0), 255))
}

// invert gives the inverse of a matrix that has one.
func invert(m [3][3]float64) (out [3][3]float64) {
	minor := func(r, c int) float64 {
		r1, r2, c1, c2 := (r+1)%3, (r+2)%3, (c+1)%3, (c+2)%3
		return m[r1][c1]*m[r2][c2] - m[r1][c2]*m[r2][c1]
	}
	determinant := m[0][0]*minor(0, 0) + m[0][1]*minor(0, 1) + m[0][2]*minor(0, 2)
	for r := range 3 {
		for c := range 3 {
			out[c][r] = minor(r, c) / determinant
		}
	}
	return out
}
