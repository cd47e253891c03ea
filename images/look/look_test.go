package look_test

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"image"
	"math"
	"os"
	"testing"

	"github.com/kamado/kamado/images/look"
	"github.com/kamado/kamado/images/plane"
	"github.com/kamado/kamado/images/raster"
)

// drawn is an RGB picture, with alpha when any of it is not opaque.
func drawn(width, height int, at func(x, y int) [4]uint8) *plane.Picture {
	p := new(plane.Picture)
	p.Reset(plane.RGB, true, width, height, 1, 1)
	opaque := true
	for y := range height {
		for x := range width {
			c := at(x, y)
			opaque = opaque && c[3] == 255
			for i, v := range c {
				p.Planes[i].Row(y)[x] = v
			}
		}
	}
	p.Alpha = !opaque
	return p
}

// sample is the picture of a kind as testdata/hashes.mjs makes it.
func sample(kind, w, h int) *plane.Picture {
	seed := 1
	noise := func() uint8 { seed = (seed*1103 + 12345) % 65536; return uint8(seed >> 8) }
	return drawn(w, h, func(x, y int) [4]uint8 {
		gx, gy := uint8(x*255/max(1, w-1)), uint8(y*255/max(1, h-1))
		inside := (2*x-w)*(2*x-w)*h*h+(2*y-h)*(2*y-h)*w*w < w*w*h*h
		switch kind {
		case 0:
			return [4]uint8{gx, gy, 255 - gx, 255}
		case 1:
			if (x>>3^y>>3)&1 != 0 {
				return [4]uint8{250, 240, 10, 255}
			}
			return [4]uint8{20, 30, 90, 255}
		case 2:
			return [4]uint8{noise(), noise(), noise(), 255}
		case 3:
			if inside {
				return [4]uint8{200, 40, 60, 255}
			}
			return [4]uint8{200, 40, 60, 0}
		case 4:
			return [4]uint8{gx, 128, gy, gy}
		case 5:
			return [4]uint8{128, 128, 128, 255}
		case 6:
			if inside {
				return [4]uint8{255, 255, 255, 255}
			}
			return [4]uint8{0, 0, 0, 255}
		}
		return [4]uint8{}
	})
}

// The hashes are those of their authors' encoders, and so are the pictures
// that they stand for.
func TestHashesAreThePublishedOnes(t *testing.T) {
	f, err := os.Open("testdata/hashes.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines := 0
	for scan := bufio.NewScanner(f); scan.Scan(); lines++ {
		var kind, w, h, tw, th int
		var b43, b99, b11, thumb, bSums, tSums string
		if _, err := fmt.Sscan(scan.Text(), &kind, &w, &h, &b43, &b99, &b11, &thumb, &bSums, &tw, &th, &tSums); err != nil {
			t.Fatal(err)
		}
		p := sample(kind, w, h)
		for _, tt := range []struct{ name, got, want string }{
			{"BlurHash of 4x3", look.BlurHash(p, 4, 3), b43},
			{"BlurHash of 9x9", look.BlurHash(p, 9, 9), b99},
			{"BlurHash of 1x1", look.BlurHash(p, 1, 1), b11},
		} {
			if tt.got != tt.want {
				t.Errorf("kind %d, %dx%d: %s is %s, want %s", kind, w, h, tt.name, tt.got, tt.want)
			}
		}
		blurred, err := look.DecodeBlurHash(b43, 8, 6)
		if err != nil {
			t.Fatal(err)
		}
		nearSums(t, blurred, bSums, 3)
		raw, _ := hex.DecodeString(thumb)
		sameThumbHash(t, fmt.Sprintf("kind %d, %dx%d", kind, w, h), look.ThumbHash(p), raw, kind == 5)
		back, err := look.DecodeThumbHash(raw)
		if err != nil {
			t.Fatal(err)
		}
		if back.Width != tw || back.Height != th {
			t.Errorf("kind %d, %dx%d: the ThumbHash is drawn as %dx%d, want %dx%d", kind, w, h, back.Width, back.Height, tw, th)
		}
		nearSums(t, back, tSums, 4)
	}
	if lines != 32 {
		t.Errorf("%d lines of hashes, want 32", lines)
	}
}

// sameThumbHash wants equal heads, and factors that are equal but for some that lie
// between two half bytes: the last bit of a cosine decides there, and those
// of JavaScript are not Go's. Factors of a flat picture are such bits alone.
func sameThumbHash(t *testing.T, name string, got, want []byte, flat bool) {
	t.Helper()
	if len(got) != len(want) || string(got[:5]) != string(want[:5]) {
		t.Errorf("%s: ThumbHash is %x, want %x", name, got, want)
		return
	}
	off := 0
	for i := 5; i < len(got) && !flat; i++ {
		for _, shift := range []int{0, 4} {
			switch d := int(got[i]>>shift&15) - int(want[i]>>shift&15); d {
			case 0:
			case 1, -1:
				off++
			default:
				off += 100
			}
		}
	}
	if off > 3 {
		t.Errorf("%s: ThumbHash is %x, want %x", name, got, want)
	}
}

// nearSums compares the sums of channels; a sample in a hundred may be off by one.
func nearSums(t *testing.T, p *plane.Picture, want string, channels int) {
	t.Helper()
	var sums [4]int
	if _, err := fmt.Sscanf(want, "%d,%d,%d,%d", &sums[0], &sums[1], &sums[2], &sums[3]); err != nil {
		t.Fatal(err)
	}
	for i := range channels {
		got := 0
		for y := range p.Height {
			for _, v := range p.Planes[i].Row(y) {
				got += int(v)
			}
		}
		if d := got - sums[i]; max(d, -d) > p.Width*p.Height/100 {
			t.Errorf("channel %d sums to %d, want %d", i, got, sums[i])
		}
	}
}

// Hashes of a picture in another model are those of its RGB.
func TestHashesOfOtherModels(t *testing.T) {
	p := sample(0, 80, 60)
	var grey, back plane.Picture
	if err := raster.Convert(&grey, p, plane.Gray, 1, 1); err != nil {
		t.Fatal(err)
	}
	if err := raster.Convert(&back, &grey, plane.RGB, 1, 1); err != nil {
		t.Fatal(err)
	}
	if got, want := look.BlurHash(&grey, 4, 3), look.BlurHash(&back, 4, 3); got != want {
		t.Errorf("BlurHash of grey is %s, of the same in RGB %s", got, want)
	}
	if got, want := look.ThumbHash(&grey), look.ThumbHash(&back); string(got) != string(want) {
		t.Errorf("ThumbHash of grey is %x, of the same in RGB %x", got, want)
	}
}

func FuzzDecodeHashes(f *testing.F) {
	f.Add([]byte("LEHV6nWB2yk8pyo0adR*.7kCMdnj"))
	f.Add([]byte{0x1f, 0x08, 0x0a, 0x0d, 0x02, 0x77, 0x09, 0x78, 0x85, 0x88, 0x77, 0x87, 0x58, 0x85, 0x77, 0x98, 0x87, 0x88, 0x77, 0x77, 0x77, 0x77, 0x77, 0x77})
	f.Fuzz(func(t *testing.T, data []byte) {
		if p, err := look.DecodeBlurHash(string(data), 5, 4); err == nil && p.Check() != nil {
			t.Error(p.Check())
		}
		if p, err := look.DecodeThumbHash(data); err == nil && (p.Check() != nil || p.Width > 32 || p.Height > 32) {
			t.Errorf("%dx%d: %v", p.Width, p.Height, p.Check())
		}
	})
}

// models gives p in each model that can hold it.
func models(t *testing.T, p *plane.Picture) map[string]*plane.Picture {
	t.Helper()
	m := map[string]*plane.Picture{"rgb": p}
	convert := func(name string, model plane.Model, subX, subY int) {
		to := new(plane.Picture)
		if err := raster.Convert(to, p, model, subX, subY); err != nil {
			t.Fatal(err)
		}
		m[name] = to
	}
	convert("gray", plane.Gray, 1, 1)
	if p.Alpha {
		return m
	}
	convert("4:4:4", plane.YCbCr, 1, 1)
	convert("4:2:0", plane.YCbCr, 2, 2)
	ink := new(plane.Picture)
	ink.Reset(plane.CMYK, false, p.Width, p.Height, 1, 1)
	for i := range 4 {
		for y := range p.Height {
			for x := range p.Width {
				ink.Planes[i].Row(y)[x] = 0
				if i < 3 {
					ink.Planes[i].Row(y)[x] = 255 - p.Planes[i].Row(y)[x]
				}
			}
		}
	}
	m["cmyk"] = ink
	return m
}

func TestBordersAreFoundToThePixel(t *testing.T) {
	framed := func(in image.Rectangle, border, inner [4]uint8) *plane.Picture {
		return drawn(64, 48, func(x, y int) [4]uint8 {
			if image.Pt(x, y).In(in) {
				return inner
			}
			// Levels of noise that the threshold allows.
			c := border
			c[1] += uint8((x*7 + y*3) % 4)
			return c
		})
	}
	in := image.Rect(10, 6, 50, 40)
	for _, tt := range []struct {
		name      string
		p         *plane.Picture
		threshold int
		want      image.Rectangle
	}{
		{"a frame on all sides", framed(in, [4]uint8{240, 240, 240, 255}, [4]uint8{30, 90, 40, 255}), 8, in},
		{"a frame of noise above the threshold", framed(in, [4]uint8{240, 240, 240, 255}, [4]uint8{30, 90, 40, 255}), 1, image.Rect(0, 0, 64, 48)},
		{"above and below alone", framed(image.Rect(0, 6, 64, 40), [4]uint8{0, 0, 0, 255}, [4]uint8{200, 90, 40, 255}), 8, image.Rect(0, 6, 64, 40)},
		{"one pixel", framed(image.Rect(63, 47, 64, 48), [4]uint8{0, 0, 0, 255}, [4]uint8{200, 200, 40, 255}), 60, image.Rect(63, 47, 64, 48)},
		{"one colour stays whole", framed(image.Rectangle{}, [4]uint8{90, 80, 70, 255}, [4]uint8{}), 8, image.Rect(0, 0, 64, 48)},
		{"transparent whatever the colour", drawn(64, 48, func(x, y int) [4]uint8 {
			if image.Pt(x, y).In(in) {
				return [4]uint8{200, 200, 200, 255}
			}
			return [4]uint8{uint8(4 * x), uint8(5 * y), 9, 0}
		}), 1, in},
	} {
		for name, p := range models(t, tt.p) {
			if name == "4:2:0" {
				continue // chroma reaches over the edge by a pixel; below
			}
			if name == "gray" && tt.threshold == 1 && !tt.p.Alpha {
				continue // luma of the noise is smaller than the noise
			}
			if got := look.Borders(p, image.Rectangle{}, tt.threshold); got != tt.want {
				t.Errorf("%s, %s: inside is %v, want %v", tt.name, name, got, tt.want)
			}
		}
	}
	even := framed(image.Rect(10, 6, 50, 40), [4]uint8{240, 240, 240, 255}, [4]uint8{30, 90, 40, 255})
	if got := look.Borders(models(t, even)["4:2:0"], image.Rectangle{}, 8); got != in {
		t.Errorf("4:2:0: inside is %v, want %v", got, in)
	}
	part := image.Rect(3, 2, 40, 48)
	if got := look.Borders(even, part, 8); got != in.Intersect(part) {
		t.Errorf("within %v: inside is %v, want %v", part, got, in.Intersect(part))
	}
	if n := testing.AllocsPerRun(5, func() { look.Borders(even, image.Rectangle{}, 8) }); n != 0 {
		t.Errorf("%v allocations, want none", n)
	}
}

// A textured, coloured thing on a plain ground draws the eye, wherever it is.
func TestAttentionFindsTheThing(t *testing.T) {
	thing := func(cx, cy int) *plane.Picture {
		return drawn(320, 200, func(x, y int) [4]uint8 {
			if d := (x-cx)*(x-cx) + (y-cy)*(y-cy); d < 30*30 {
				if (x/4+y/4)%2 == 0 {
					return [4]uint8{220, 60, 30, 255}
				}
				return [4]uint8{240, 190, 150, 255}
			}
			return [4]uint8{uint8(100 + x/8), uint8(110 + y/8), 120, 255}
		})
	}
	for _, at := range []image.Point{{60, 100}, {250, 60}, {160, 150}, {40, 40}, {290, 170}} {
		p := thing(at.X, at.Y)
		all := map[string]*plane.Picture{"rgb": p}
		if at.X == 60 {
			all = models(t, p)
		}
		for name, p := range all {
			x, y := look.Attention(p, 0.3, 0.4)
			// The window holds the thing's middle.
			if math.Abs(x*320-float64(at.X)) > 48 || math.Abs(y*200-float64(at.Y)) > 40 {
				t.Errorf("thing at %v, %s: the eye is at %.0f,%.0f", at, name, x*320, y*200)
			}
		}
		// Looked at in a mirror, it is in the mirrored place.
		var mirrored plane.Picture
		raster.Orient(&mirrored, p, 2)
		x, y := look.Attention(p, 0.5, 1)
		mx, my := look.Attention(&mirrored, 0.5, 1)
		if math.Abs(x-(1-mx)) > 0.02 || math.Abs(y-my) > 0.02 {
			t.Errorf("thing at %v: the eye is at %v,%v, mirrored at %v,%v", at, x, y, mx, my)
		}
	}
	if x, y := look.Attention(sample(5, 300, 200), 0.4, 0.4); math.Abs(x-0.5) > 0.01 || math.Abs(y-0.5) > 0.01 {
		t.Errorf("in a picture of one colour the eye is at %v,%v, want the middle", x, y)
	}
	// What cannot be seen does not draw the eye.
	hidden := thing(250, 100)
	hidden.Alpha = true
	hidden.Planes[3].Reset(320, 200, 1, 1)
	for y := range 200 {
		for x := range hidden.Planes[3].Row(y) {
			hidden.Planes[3].Row(y)[x] = 255
			if x > 160 {
				hidden.Planes[3].Row(y)[x] = 0
			}
		}
	}
	if x, _ := look.Attention(hidden, 0.3, 1); x > 0.65 {
		t.Errorf("a transparent thing draws the eye to %v", x)
	}
}

func TestAttentionOfAnyShape(t *testing.T) {
	for _, size := range []image.Point{{1, 1}, {1, 3000}, {3000, 1}, {2, 2}, {5000, 3}} {
		p := sample(0, size.X, size.Y)
		if x, y := look.Attention(p, 0.001, 2); !(x >= 0 && x <= 1 && y >= 0 && y <= 1) {
			t.Errorf("%v: the eye is at %v,%v", size, x, y)
		}
		if got := look.Palette(p, 5); len(got) == 0 {
			t.Errorf("%v: no colour", size)
		}
		look.BlurHash(p, 4, 3)
		look.ThumbHash(p)
		look.Borders(p, image.Rectangle{}, 10)
	}
}

func TestPaletteTellsColoursAndShares(t *testing.T) {
	bands := drawn(200, 100, func(x, y int) [4]uint8 {
		switch {
		case x < 100:
			return [4]uint8{200, 30, 40, 255}
		case x < 160:
			return [4]uint8{30, 60, 210, 255}
		}
		return [4]uint8{240, 240, 230, 255}
	})
	want := []look.Swatch{
		{Color: raster.Color{R: 200, G: 30, B: 40}, Share: 0.5},
		{Color: raster.Color{R: 30, G: 60, B: 210}, Share: 0.3},
		{Color: raster.Color{R: 240, G: 240, B: 230}, Share: 0.2},
	}
	for name, p := range models(t, bands) {
		if name == "gray" {
			continue
		}
		got := look.Palette(p, 3)
		if len(got) != 3 {
			t.Fatalf("%s: %d colours, want 3", name, len(got))
		}
		for i, s := range got {
			d := func(a, b uint8) int { return max(int(a)-int(b), int(b)-int(a)) }
			c, w := s.Color, want[i].Color
			// Pixels between two bands mix both.
			if d(c.R, w.R) > 6 || d(c.G, w.G) > 6 || d(c.B, w.B) > 6 || math.Abs(s.Share-want[i].Share) > 0.02 {
				t.Errorf("%s: colour %d is %+v, want %+v", name, i, s, want[i])
			}
		}
	}
	if got := look.Palette(sample(5, 50, 50), 6); len(got) != 1 || got[0] != (look.Swatch{Color: raster.Color{R: 128, G: 128, B: 128}, Share: 1}) {
		t.Errorf("a picture of one colour has %v", got)
	}
	if got := look.Palette(sample(7, 50, 50), 6); len(got) != 0 {
		t.Errorf("nothing visible has the colours %v", got)
	}
	var sum float64
	for _, s := range look.Palette(sample(2, 90, 90), 8) {
		sum += s.Share
	}
	if math.Abs(sum-1) > 1e-9 {
		t.Errorf("shares sum to %v", sum)
	}
}
