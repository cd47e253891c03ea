package lettering_test

import (
	"bytes"
	"encoding/binary"
	"image"
	"strings"
	"sync"
	"testing"

	"golang.org/x/image/font/gofont/goregular"

	"github.com/kamado/kamado/images"
	"github.com/kamado/kamado/images/lettering"
	"github.com/kamado/kamado/images/plane"
)

func newFonts(t testing.TB, files ...[]byte) *lettering.Fonts {
	t.Helper()
	f, err := lettering.New(files)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func text(words string, size int, g images.Gravity) images.Text {
	return images.Text{Words: words, Size: size, Color: images.Color{R: 200, G: 100, B: 50}, Opacity: 1, Gravity: g}
}

// ink is the part of the canvas that letters cover.
func ink(mark *plane.Picture, at image.Point) (r image.Rectangle, sum int) {
	if mark == nil {
		return r, 0
	}
	for y := range mark.Height {
		for x, v := range mark.AlphaPlane().Row(y) {
			if v > 0 {
				p := image.Pt(x, y).Add(at)
				r = r.Union(image.Rectangle{Min: p, Max: p.Add(image.Pt(1, 1))})
				sum += int(v)
			}
		}
	}
	return r, sum
}

func TestTextStandsWhereItIsAskedFor(t *testing.T) {
	f := newFonts(t)
	for g, want := range map[images.Gravity]image.Rectangle{
		images.NorthWest: image.Rect(0, 0, 100, 40), images.North: image.Rect(100, 0, 300, 40), images.NorthEast: image.Rect(300, 0, 400, 40),
		images.West: image.Rect(0, 130, 100, 170), images.Center: image.Rect(100, 130, 300, 170), images.East: image.Rect(300, 130, 400, 170),
		images.SouthWest: image.Rect(0, 260, 100, 300), images.South: image.Rect(100, 260, 300, 300), images.SouthEast: image.Rect(300, 260, 400, 300),
	} {
		mark, at := f.Draw(text("Hamburg", 20, g), 400, 300, 1)
		if r, _ := ink(mark, at); r.Empty() || !r.In(want) {
			t.Errorf("%s: letters cover %v, want a part of %v", g, r, want)
		}
	}
	away := text("Hamburg", 20, images.SouthEast)
	away.X, away.Y = 30, 20
	plain, _ := ink(f.Draw(text("Hamburg", 20, images.SouthEast), 400, 300, 1))
	moved, _ := ink(f.Draw(away, 400, 300, 1))
	if moved != plain.Sub(image.Pt(30, 20)) {
		t.Errorf("30, 20 away from the corner, letters cover %v, beside it %v", moved, plain)
	}
	if mark, _ := f.Draw(text("x", 20, images.Center), 400, 300, 1); mark.Planes[0].Row(3)[1] != 200 || mark.Planes[2].Row(0)[0] != 50 {
		t.Error("the mark has another colour than the text")
	}
}

func TestScaleMakesLettersLarger(t *testing.T) {
	f := newFonts(t)
	one, sumOne := ink(f.Draw(text("Scale", 20, images.NorthWest), 400, 300, 1))
	two, sumTwo := ink(f.Draw(text("Scale", 20, images.NorthWest), 800, 600, 2))
	if d := two.Dx() - 2*one.Dx(); d < -2 || d > 2 {
		t.Errorf("letters are %v wide at 1 and %v at 2", one.Dx(), two.Dx())
	}
	if ratio := float64(sumTwo) / float64(sumOne); ratio < 3.8 || ratio > 4.2 {
		t.Errorf("at twice the scale letters cover %.2f times as much, want 4", ratio)
	}
}

func TestLinesAreBroken(t *testing.T) {
	f := newFonts(t)
	height := func(words string, width int) int {
		r, _ := ink(f.Draw(text(words, 20, images.NorthWest), width, 1000, 1))
		if r.Max.X > width {
			t.Errorf("%q reaches to %d of %d", words, r.Max.X, width)
		}
		return (r.Max.Y + 23) / 24 // lines are 23.4 pixels high
	}
	for _, tt := range []struct {
		words string
		width int
		lines int
	}{
		{"HHHH HHHH HHHH", 1000, 1},
		{"HHHH HHHH HHHH", 140, 2},
		{"HHHH HHHH HHHH", 70, 3},
		{"HHHH\nHHHH\n\nHHHH", 1000, 4},
		{"HHHHHHHHHHHH", 70, 3},
		{"HHHH-HHHH", 80, 2},
	} {
		if got := height(tt.words, tt.width); got != tt.lines {
			t.Errorf("%q in %d pixels has %d lines, want %d", tt.words, tt.width, got, tt.lines)
		}
	}
	left := text("HHHH HHHH HHHH", 20, images.NorthWest)
	left.X = 40
	if r, _ := ink(f.Draw(left, 250, 1000, 1)); r.Min.X < 40 || r.Max.X > 210 {
		t.Errorf("with margins of 40 in 250 letters cover %v", r)
	}
}

// Memory and place are the canvas' whatever is asked for.
func TestLargeTextIsCutAtTheCanvas(t *testing.T) {
	f := newFonts(t)
	huge := text("H", images.MaxTextSize, images.Center)
	mark, at := f.Draw(huge, 300, 200, 2)
	if r, _ := ink(mark, at); !r.In(image.Rect(0, 0, 300, 200)) || mark.Width > 300 || mark.Height > 200 {
		t.Errorf("the mark is %dx%d at %v of 300x200", mark.Width, mark.Height, at)
	}
	// The same letter in bands and in one.
	whole, _ := f.Draw(text("O", 900, images.NorthWest), 1000, 1200, 1)
	if whole.Width*whole.Height < 1<<18 {
		t.Fatalf("a mark of %dx%d has one band", whole.Width, whole.Height)
	}
	for y := range whole.Height {
		row := whole.AlphaPlane().Row(y)
		if row[0] > 128 && y < whole.Height/8 || row[whole.Width-1] > 128 && y < whole.Height/8 {
			t.Fatalf("row %d of an O has ink in its corners", y)
		}
	}
	away := text("x", 20, images.NorthWest)
	away.X = -4000
	if mark, _ := f.Draw(away, 300, 200, 1); mark != nil {
		t.Errorf("text beside the canvas makes a mark of %dx%d", mark.Width, mark.Height)
	}
	if mark, _ := f.Draw(text(" \n ", 20, images.Center), 300, 200, 1); mark != nil {
		t.Errorf("spaces make a mark of %dx%d", mark.Width, mark.Height)
	}
}

// blank is the font without any character: its segments of cmap begin after
// they end.
func blank(t *testing.T, file []byte) []byte {
	t.Helper()
	file = bytes.Clone(file)
	for i := range int(binary.BigEndian.Uint16(file[4:])) {
		entry := file[12+16*i:]
		if string(entry[:4]) != "cmap" {
			continue
		}
		table := file[binary.BigEndian.Uint32(entry[8:]):]
		for k := range int(binary.BigEndian.Uint16(table[2:])) {
			sub := table[binary.BigEndian.Uint32(table[4+8*k+4:]):]
			if binary.BigEndian.Uint16(sub) != 4 {
				continue
			}
			twice := int(binary.BigEndian.Uint16(sub[6:])) // twice the segments
			for s := 0; s < twice; s += 2 {
				binary.BigEndian.PutUint16(sub[16+twice+s:], 0xFFFF)
			}
		}
	}
	return file
}

func TestTheNextFontDrawsWhatOneLacks(t *testing.T) {
	plain, _ := newFonts(t).Draw(text("Ag", 30, images.Center), 200, 100, 1)
	lacking := newFonts(t, blank(t, goregular.TTF))
	if mark, _ := lacking.Draw(text("Ag", 30, images.Center), 200, 100, 1); bytes.Equal(mark.AlphaPlane().Pix, plain.AlphaPlane().Pix) {
		t.Fatal("a font without characters draws them")
	}
	both := newFonts(t, blank(t, goregular.TTF), goregular.TTF)
	if mark, _ := both.Draw(text("Ag", 30, images.Center), 200, 100, 1); !bytes.Equal(mark.AlphaPlane().Pix, plain.AlphaPlane().Pix) {
		t.Error("the second font does not stand in for the first")
	}
}

func TestFontsThatAreNone(t *testing.T) {
	for _, file := range [][]byte{nil, []byte("not a font"), goregular.TTF[:100]} {
		if _, err := lettering.New([][]byte{file}); err == nil {
			t.Errorf("%d bytes pass for a font", len(file))
		}
	}
	if _, err := lettering.New(make([][]byte, 17)); err == nil {
		t.Error("17 fonts are taken")
	}
}

func TestManyDrawAtOnce(t *testing.T) {
	f := newFonts(t)
	want, _ := f.Draw(text("at once", 24, images.Center), 300, 100, 1)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 20 {
				if got, _ := f.Draw(text("at once", 24, images.Center), 300, 100, 1); !bytes.Equal(got.AlphaPlane().Pix, want.AlphaPlane().Pix) {
					t.Error("a text drawn beside others is another")
				}
			}
		})
	}
	wg.Wait()
}

// FuzzDraw: whatever the words are, the mark lies on the canvas.
func FuzzDraw(f *testing.F) {
	f.Add("Hello, World", 24, 0, 0, uint8(0), 300, 200, 1.0)
	f.Add("長い文章 ながい-x\n\n  ", 12, -5, 7, uint8(4), 90, 50, 2.5)
	f.Add(strings.Repeat("e\u0301\u20dd", 40), 1000, 0, 0, uint8(8), 500, 500, 5.0)
	fonts := newFonts(f)
	f.Fuzz(func(t *testing.T, words string, size, x, y int, g uint8, width, height int, scale float64) {
		text := images.Text{Words: words, Size: size, Opacity: 1, Gravity: images.Gravity(g % 9), X: x, Y: y}
		if (images.Rendition{Text: text}).Validate() != nil || width > 600 || height > 600 || scale > images.MaxDPR {
			return
		}
		mark, at := fonts.Draw(text, width, height, scale)
		if mark == nil {
			return
		}
		if err := mark.Check(); err != nil {
			t.Fatal(err)
		}
		if !image.Rect(0, 0, mark.Width, mark.Height).Add(at).In(image.Rect(0, 0, width, height)) {
			t.Fatalf("a mark of %dx%d at %v leaves the canvas of %dx%d", mark.Width, mark.Height, at, width, height)
		}
	})
}

func BenchmarkDraw(b *testing.B) {
	f := newFonts(b)
	for b.Loop() {
		f.Draw(text("© 2026 Kamado Pictures", 18, images.SouthEast), 480, 360, 1)
	}
}
