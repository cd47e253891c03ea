package icc

import (
	"encoding/binary"
	"errors"
	"math"
	"testing"

	"github.com/kamado/kamado/images/plane"
)

// builder makes profiles.
type builder struct {
	space, pcs string
	names      []string
	tags       [][]byte
}

func (b *builder) add(name string, tag []byte) *builder {
	b.names, b.tags = append(b.names, name), append(b.tags, tag)
	return b
}

func (b *builder) bytes() []byte {
	data := make([]byte, headerBytes+4+tagBytes*len(b.tags))
	copy(data[16:], b.space)
	copy(data[20:], b.pcs)
	copy(data[36:], "acsp")
	binary.BigEndian.PutUint32(data[headerBytes:], uint32(len(b.tags)))
	for i, tag := range b.tags {
		e := data[headerBytes+4+tagBytes*i:]
		copy(e, b.names[i])
		binary.BigEndian.PutUint32(e[4:], uint32(len(data)))
		binary.BigEndian.PutUint32(e[8:], uint32(len(tag)))
		data = append(data, tag...)
	}
	binary.BigEndian.PutUint32(data, uint32(len(data)))
	return data
}

func fixedBytes(tag []byte, values ...float64) []byte {
	for _, v := range values {
		tag = binary.BigEndian.AppendUint32(tag, uint32(int32(math.Round(v*65536))))
	}
	return tag
}

func xyz(v [3]float64) []byte { return fixedBytes([]byte("XYZ \x00\x00\x00\x00"), v[:]...) }

func para(kind byte, values ...float64) []byte {
	return fixedBytes([]byte{'p', 'a', 'r', 'a', 0, 0, 0, 0, 0, kind, 0, 0}, values...)
}

func curv(points ...uint16) []byte {
	tag := []byte("curv\x00\x00\x00\x00")
	tag = binary.BigEndian.AppendUint32(tag, uint32(len(points)))
	for _, v := range points {
		tag = binary.BigEndian.AppendUint16(tag, v)
	}
	return tag
}

// srgbCurve is sRGB's tone curve as a table of n points.
func srgbCurve(n int) []byte {
	points := make([]uint16, n)
	for i := range points {
		v := float64(i) / float64(n-1)
		if v <= 0.04045 {
			v /= 12.92
		} else {
			v = math.Pow((v+0.055)/1.055, 2.4)
		}
		points[i] = uint16(math.Round(v * 65535))
	}
	return curv(points...)
}

var srgbPara = para(3, 2.4, 1/1.055, 0.055/1.055, 1/12.92, 0.04045)

// displayP3 has the colourants of Display P3 under D50.
var displayP3 = [3][3]float64{
	{0.515102, 0.241182, -0.001050}, {0.291965, 0.692236, 0.041882}, {0.157153, 0.066581, 0.784378},
}

func matrixProfile(colorant [3][3]float64, tone []byte) []byte {
	b := &builder{space: "RGB ", pcs: "XYZ "}
	for i, c := range []string{"r", "g", "b"} {
		b.add(c+"XYZ", xyz(colorant[i])).add(c+"TRC", tone)
	}
	return b.bytes()
}

func grayProfile(tone []byte) []byte {
	return (&builder{space: "GRAY", pcs: "XYZ "}).add("kTRC", tone).bytes()
}

func transform(t *testing.T, data []byte) *Transform {
	t.Helper()
	p, err := Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	tr, err := p.Transform()
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

func TestSRGBIsRecognised(t *testing.T) {
	for name, data := range map[string][]byte{
		"formula":       matrixProfile(srgb, srgbPara),
		"table of 1024": matrixProfile(srgb, srgbCurve(1024)),
		"table of 4096": matrixProfile(srgb, srgbCurve(4096)),
		"grey":          grayProfile(srgbPara),
		"grey of 4096":  grayProfile(srgbCurve(4096)),
	} {
		if !transform(t, data).Identity() {
			t.Errorf("%s: not recognised", name)
		}
	}
	for name, data := range map[string][]byte{
		"display p3":   matrixProfile(displayP3, srgbPara),
		"gamma 1.8":    matrixProfile(srgb, curv(0x01CD)),
		"linear":       matrixProfile(srgb, curv()),
		"grey gamma 1": grayProfile(para(0, 1)),
	} {
		if transform(t, data).Identity() {
			t.Errorf("%s: taken for sRGB", name)
		}
	}
}

func TestColours(t *testing.T) {
	p3 := matrixProfile(displayP3, srgbPara)
	for _, c := range []struct {
		name     string
		profile  []byte
		in, want [3]uint8
	}{
		{"white stays white", p3, [3]uint8{255, 255, 255}, [3]uint8{255, 255, 255}},
		{"grey stays grey", p3, [3]uint8{100, 100, 100}, [3]uint8{100, 100, 100}},
		// color(display-p3 0.8 0.4 0.2) by the matrices of CSS Color 4, which go by D65.
		{"a brown of display p3", p3, [3]uint8{204, 102, 51}, [3]uint8{219, 94, 31}},
		{"full green is clipped", p3, [3]uint8{0, 255, 0}, [3]uint8{0, 255, 0}},
		{"linear mid grey", matrixProfile(srgb, curv()), [3]uint8{128, 128, 128}, [3]uint8{188, 188, 188}},
		{"gamma 1.8", matrixProfile(srgb, curv(0x01CD)), [3]uint8{128, 0, 255}, [3]uint8{147, 0, 255}},
	} {
		var p plane.Picture
		p.Reset(plane.RGB, false, 1, 1, 1, 1)
		for i, v := range c.in {
			p.Planes[i].Row(0)[0] = v
		}
		if err := transform(t, c.profile).Apply(&p); err != nil {
			t.Fatal(err)
		}
		for i, want := range c.want {
			if got := p.Planes[i].Row(0)[0]; math.Abs(float64(got)-float64(want)) > 1 {
				t.Errorf("%s: component %d = %d, want %d", c.name, i, got, want)
			}
		}
	}
}

func TestGrayTone(t *testing.T) {
	var p plane.Picture
	p.Reset(plane.Gray, false, 1, 1, 1, 1)
	p.Planes[0].Row(0)[0] = 128
	if err := transform(t, grayProfile(para(0, 1))).Apply(&p); err != nil {
		t.Fatal(err)
	}
	if got := p.Planes[0].Row(0)[0]; got != 188 {
		t.Errorf("linear 128 = %d, want 188", got)
	}
	if err := transform(t, matrixProfile(displayP3, srgbPara)).Apply(&p); !errors.Is(err, ErrModel) {
		t.Errorf("RGB profile on grey: error %v, want %v", err, ErrModel)
	}
}

func TestFunctions(t *testing.T) {
	for _, c := range []struct {
		name    string
		tag     []byte
		x, want float64
	}{
		{"0: power", para(0, 2), 0.5, 0.25},
		{"1: above", para(1, 2, 2, -0.5), 0.5, 0.25},
		{"1: below", para(1, 2, 2, -0.5), 0.2, 0},
		{"2: above", para(2, 2, 1, -0.5, 0.25), 0.75, 0.3125},
		{"2: below", para(2, 2, 1, -0.5, 0.25), 0.2, 0.25},
		{"3: above", para(3, 2, 1, 0, 0.5, 0.5), 0.5, 0.25},
		{"3: below", para(3, 2, 1, 0, 0.5, 0.5), 0.2, 0.1},
		{"4: above", para(4, 2, 1, 0, 0.5, 0.5, 0.25, 0.125), 0.5, 0.5},
		{"4: below", para(4, 2, 1, 0, 0.5, 0.5, 0.25, 0.125), 0.2, 0.225},
		{"table", curv(0, 32768, 65535), 0.25, 0.25},
		{"gamma 2", curv(0x200), 0.5, 0.25},
	} {
		p, err := Parse(grayProfile(c.tag))
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if got := p.curves[0].at(c.x); math.Abs(got-c.want) > 1e-4 {
			t.Errorf("%s: at(%v) = %v, want %v", c.name, c.x, got, c.want)
		}
	}
}

func TestRefusals(t *testing.T) {
	good := matrixProfile(srgb, srgbPara)
	cut := func(n int) []byte { return good[:n] }
	change := func(at int, v byte) []byte {
		out := append([]byte(nil), good...)
		out[at] = v
		return out
	}
	for name, c := range map[string]struct {
		data []byte
		want error
	}{
		"empty":               {nil, ErrFormat},
		"header cut":          {cut(100), ErrFormat},
		"no signature":        {change(36, 'x'), ErrFormat},
		"too many tags":       {change(headerBytes, 1), ErrFormat},
		"tags cut":            {cut(headerBytes + 20), ErrFormat},
		"last tag cut":        {cut(len(good) - 1), ErrFormat},
		"offset outside":      {change(headerBytes+4+4, 0x7F), ErrFormat},
		"cmyk":                {(&builder{space: "CMYK", pcs: "XYZ "}).bytes(), ErrUnsupported},
		"lab":                 {(&builder{space: "RGB ", pcs: "Lab "}).bytes(), ErrUnsupported},
		"lookup tables alone": {(&builder{space: "RGB ", pcs: "XYZ "}).add("A2B0", make([]byte, 40)).bytes(), ErrUnsupported},
		"unknown function":    {grayProfile(para(5, 1, 1, 1, 1, 1, 1, 1)), ErrUnsupported},
		"few parameters":      {grayProfile(para(4, 1, 1)), ErrFormat},
		"curve cut":           {grayProfile(curv(1, 2, 3)[:16]), ErrFormat},
		"curve of other type": {grayProfile([]byte("abcdefghijklmnop")), ErrUnsupported},
		"colourant too short": {(&builder{space: "RGB ", pcs: "XYZ "}).add("rTRC", srgbPara).add("rXYZ", xyz(srgb[0])[:16]).bytes(), ErrFormat},
	} {
		if _, err := Parse(c.data); !errors.Is(err, c.want) {
			t.Errorf("%s: error %v, want %v", name, err, c.want)
		}
	}
	p, err := Parse(matrixProfile([3][3]float64{{30000, 1, 1}, {1, 1, 1}, {1, 1, 1}}, srgbPara))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Transform(); !errors.Is(err, ErrFormat) {
		t.Errorf("huge colourants: error %v, want %v", err, ErrFormat)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(matrixProfile(displayP3, srgbPara))
	f.Add(matrixProfile(srgb, srgbCurve(16)))
	f.Add(grayProfile(curv(0x200)))
	f.Add(grayProfile(para(2, 2, 0, 0, 1)))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := Parse(data)
		if err != nil {
			if !errors.Is(err, ErrFormat) && !errors.Is(err, ErrUnsupported) {
				t.Fatalf("error %v is neither kind", err)
			}
			return
		}
		tr, err := p.Transform()
		if err != nil {
			return
		}
		var pic plane.Picture
		m := plane.RGB
		if p.Gray() {
			m = plane.Gray
		}
		pic.Reset(m, false, 16, 16, 1, 1)
		for i := range pic.Planes[0].Pix {
			pic.Planes[0].Pix[i] = byte(i)
		}
		if err := tr.Apply(&pic); err != nil {
			t.Fatal(err)
		}
	})
}

func BenchmarkApply(b *testing.B) {
	p, _ := Parse(matrixProfile(displayP3, srgbPara))
	tr, err := p.Transform()
	if err != nil {
		b.Fatal(err)
	}
	var pic plane.Picture
	pic.Reset(plane.RGB, false, 480, 360, 1, 1)
	b.ReportAllocs()
	for b.Loop() {
		if err := tr.Apply(&pic); err != nil {
			b.Fatal(err)
		}
	}
}
