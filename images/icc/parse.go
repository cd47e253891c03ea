package icc

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// ErrFormat says that data is not an ICC profile, or a damaged one.
var ErrFormat = errors.New("icc: not a valid profile")

// ErrUnsupported says that a profile is of a kind this package does not do:
// another colour space than RGB or grey, or made of lookup tables.
var ErrUnsupported = errors.New("icc: unsupported profile")

const (
	headerBytes   = 128     // ICC.1:2010 7.2
	tagBytes      = 12      // of an entry of the tag table, 7.3
	tagsMax       = 128     // of a profile; real ones have up to 40
	curvePointMax = 1 << 16 // of a tone curve; real ones have up to 4096
)

// Profile is what a transform needs of a parsed profile.
type Profile struct {
	gray     bool
	curves   [3]curve      // red, green, blue; the first alone for grey
	colorant [3][3]float64 // XYZ of full red, green, blue, under D50
}

// Gray says whether the profile is for grey pictures, not RGB ones.
func (p *Profile) Gray() bool { return p.gray }

// Parse reads a profile. The error wraps ErrFormat or ErrUnsupported. The
// profile keeps nothing of data.
func Parse(data []byte) (*Profile, error) {
	if len(data) < headerBytes+4 || string(data[36:40]) != "acsp" {
		return nil, fmt.Errorf("%w: no header", ErrFormat)
	}
	space, pcs := string(data[16:20]), string(data[20:24])
	if space != "RGB " && space != "GRAY" {
		return nil, fmt.Errorf("%w: colour space %q", ErrUnsupported, space)
	}
	if pcs != "XYZ " {
		return nil, fmt.Errorf("%w: connection space %q", ErrUnsupported, pcs)
	}
	count := binary.BigEndian.Uint32(data[headerBytes:])
	if count > tagsMax || int(count)*tagBytes > len(data)-headerBytes-4 {
		return nil, fmt.Errorf("%w: %d tags in %d bytes", ErrFormat, count, len(data))
	}
	tags := tagTable{data: data, entries: data[headerBytes+4:][:count*tagBytes]}
	p := &Profile{gray: space == "GRAY"}
	if p.gray {
		return p, tags.curve("kTRC", &p.curves[0])
	}
	for i, name := range [3]string{"r", "g", "b"} {
		if err := tags.curve(name+"TRC", &p.curves[i]); err != nil {
			return nil, err
		}
		if err := tags.xyz(name+"XYZ", &p.colorant[i]); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// tagTable is the tag table of a profile.
type tagTable struct {
	data    []byte
	entries []byte // 4 bytes name, 4 offset, 4 size each
}

// find returns the contents of a tag. One that is missing makes the
// profile one of another kind.
func (t *tagTable) find(name string) ([]byte, error) {
	for e := t.entries; len(e) >= tagBytes; e = e[tagBytes:] {
		if string(e[:4]) != name {
			continue
		}
		offset, size := uint64(binary.BigEndian.Uint32(e[4:])), uint64(binary.BigEndian.Uint32(e[8:]))
		if offset+size > uint64(len(t.data)) || size < 8 {
			return nil, fmt.Errorf("%w: tag %s of %d bytes at %d in %d", ErrFormat, name, size, offset, len(t.data))
		}
		return t.data[offset : offset+size], nil
	}
	return nil, fmt.Errorf("%w: no tag %s", ErrUnsupported, name)
}

// fixed reads an s15Fixed16Number (4.6).
func fixed(b []byte) float64 { return float64(int32(binary.BigEndian.Uint32(b))) / 65536 }

// xyz reads a tag of type XYZ (10.31).
func (t *tagTable) xyz(name string, to *[3]float64) error {
	tag, err := t.find(name)
	if err != nil {
		return err
	}
	if string(tag[:4]) != "XYZ " || len(tag) < 20 {
		return fmt.Errorf("%w: tag %s is no colour", ErrFormat, name)
	}
	for i := range to {
		to[i] = fixed(tag[8+4*i:])
	}
	return nil
}

// curve reads a tag of type curv (10.6) or para (10.18).
func (t *tagTable) curve(name string, to *curve) error {
	tag, err := t.find(name)
	if err != nil {
		return err
	}
	if len(tag) < 12 {
		return fmt.Errorf("%w: tag %s is too short", ErrFormat, name)
	}
	switch string(tag[:4]) {
	case "curv":
		n := binary.BigEndian.Uint32(tag[8:])
		points := tag[12:]
		if n > curvePointMax || int(n)*2 > len(points) {
			return fmt.Errorf("%w: tag %s has %d points in %d bytes", ErrFormat, name, n, len(points))
		}
		switch n {
		case 0:
			to.gamma = 1
		case 1:
			to.gamma = float64(binary.BigEndian.Uint16(points)) / 256
		default:
			to.points = make([]uint16, n)
			for i := range to.points {
				to.points[i] = binary.BigEndian.Uint16(points[2*i:])
			}
		}
		return nil
	case "para":
		return to.parametric(name, binary.BigEndian.Uint16(tag[8:]), tag[12:])
	}
	return fmt.Errorf("%w: tag %s has type %q", ErrUnsupported, name, tag[:4])
}

// curve is a tone curve: points at equal distances when there are any,
// else y = (a*x+b)^gamma + e above d, c*x + f below.
type curve struct {
	points           []uint16
	gamma            float64
	formula          bool
	a, b, c, d, e, f float64
}

// parametric reads the parameters of a function of table 65 (10.18).
func (to *curve) parametric(name string, kind uint16, params []byte) error {
	counts := [5]int{1, 3, 4, 5, 7}
	if int(kind) >= len(counts) {
		return fmt.Errorf("%w: tag %s has function %d", ErrUnsupported, name, kind)
	}
	if len(params) < 4*counts[kind] {
		return fmt.Errorf("%w: tag %s has too few parameters", ErrFormat, name)
	}
	var v [7]float64
	for i := range counts[kind] {
		v[i] = fixed(params[4*i:])
	}
	*to = curve{gamma: v[0], formula: true, a: v[1], b: v[2], c: v[3], d: v[4], e: v[5], f: v[6]}
	switch kind {
	case 0:
		to.formula = false
	case 1: // zero below -b/a
		to.c, to.d = 0, -to.b/to.a
	case 2: // c below -b/a, and c added above
		to.e, to.f, to.c, to.d = v[3], v[3], 0, -to.b/to.a
	}
	return nil
}

// at is the linear value, 0..1, of a device value, 0..1. Curves that
// are not numbers somewhere give 0 there.
func (c *curve) at(x float64) float64 {
	var y float64
	switch {
	case len(c.points) > 0:
		at := x * float64(len(c.points)-1)
		i := min(int(at), len(c.points)-2)
		a, b := float64(c.points[i]), float64(c.points[i+1])
		y = (a + (b-a)*(at-float64(i))) / 65535
	case !c.formula:
		y = math.Pow(x, c.gamma)
	case x >= c.d:
		y = math.Pow(c.a*x+c.b, c.gamma) + c.e
	default:
		y = c.c*x + c.f
	}
	if !(y > 0) { // NaN too
		return 0
	}
	return min(y, 1)
}
