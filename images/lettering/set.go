package lettering

import (
	"image"
	"math"
	"unicode"

	"golang.org/x/image/font"
	"golang.org/x/image/font/sfnt"
	"golang.org/x/image/math/fixed"
)

// sizeMax bounds the em in pixels: images.MaxTextSize at images.MaxDPR.
const sizeMax = 5000

// setter sets lines of text.
type setter struct {
	fonts []*sfnt.Font
	ppem  fixed.Int26_6
	buf   sfnt.Buffer
}

// letter is a character with its glyph.
type letter struct {
	char    rune
	font    *sfnt.Font
	index   sfnt.GlyphIndex
	advance fixed.Int26_6 // to the next one, without kerning
}

// line is letters beside each other.
type line struct {
	letters []letter
	width   fixed.Int26_6
}

// letter finds a character in the first font that has it; where none has, it
// is the first font's sign for that.
func (s *setter) letter(c rune) letter {
	l := letter{char: c, font: s.fonts[0]}
	for _, f := range s.fonts {
		if i, err := f.GlyphIndex(&s.buf, c); err == nil && i != 0 {
			l.font, l.index = f, i
			break
		}
	}
	if advance, err := l.font.GlyphAdvance(&s.buf, l.index, s.ppem, font.HintingNone); err == nil {
		l.advance = max(advance, 0)
	}
	return l
}

// kern is how much further b stands from a than a's advance says.
func (s *setter) kern(a, b letter) fixed.Int26_6 {
	if a.font != b.font {
		return 0
	}
	k, err := a.font.Kern(&s.buf, a.index, b.index, s.ppem, font.HintingNone)
	if err != nil {
		return 0
	}
	return k
}

// lines breaks words at \n, and where a line would become wider than most:
// after the last space or hyphen or beside the last ideograph, else between
// letters. A line has at least one letter.
func (s *setter) lines(words string, most fixed.Int26_6) []line {
	var lines []line
	var row []letter
	var width fixed.Int26_6 // of row
	end := func(n int) {
		lines = append(lines, s.line(row[:n]))
		row = append([]letter(nil), row[n:]...)
		width = s.width(row)
	}
	for _, c := range words {
		if c == '\n' {
			end(len(row))
			continue
		}
		row = append(row, s.letter(c))
		width += s.width(row[max(0, len(row)-2):])
		if len(row) > 1 {
			width -= row[len(row)-2].advance
		}
		if c != ' ' && len(row) > 1 && width > most {
			end(breakAt(row))
		}
	}
	end(len(row))
	return lines
}

// breakAt is how many letters stay on a line that became too wide with its last
// one.
func breakAt(row []letter) int {
	for n := len(row) - 1; n > 0; n-- {
		before, after := row[n-1].char, row[n].char
		if before == ' ' || before == '-' || ideograph(before) || ideograph(after) {
			return n
		}
	}
	return len(row) - 1
}

// ideograph says whether lines may be broken on both sides of a character.
func ideograph(c rune) bool {
	return unicode.In(c, unicode.Han, unicode.Hiragana, unicode.Katakana)
}

// line drops the spaces at the end.
func (s *setter) line(row []letter) line {
	for len(row) > 0 && row[len(row)-1].char == ' ' {
		row = row[:len(row)-1]
	}
	return line{row, s.width(row)}
}

func (s *setter) width(row []letter) fixed.Int26_6 {
	var w fixed.Int26_6
	for i, l := range row {
		w += l.advance
		if i > 0 {
			w += s.kern(row[i-1], l)
		}
	}
	return max(w, 0)
}

// metrics are the first font's: how far lines are apart, and the first
// baseline is from the top.
func (s *setter) metrics() (height, ascent fixed.Int26_6) {
	m, err := s.fonts[0].Metrics(&s.buf, s.ppem, font.HintingNone)
	if err != nil || m.Height <= 0 || m.Height > 4*s.ppem || m.Ascent < 0 || m.Ascent > 4*s.ppem {
		return s.ppem * 6 / 5, s.ppem
	}
	return m.Height, m.Ascent
}

// block is the size of all lines, in whole pixels.
func (s *setter) block(lines []line) image.Point {
	height, _ := s.metrics()
	var width fixed.Int26_6
	for _, l := range lines {
		width = max(width, l.width)
	}
	return image.Pt(width.Ceil(), (height * fixed.Int26_6(len(lines))).Ceil())
}

// put gives every letter its place; the block's corner is at corner of the canvas.
func (s *setter) put(lines []line, block image.Point, align float64, corner image.Point) []glyph {
	height, ascent := s.metrics()
	var glyphs []glyph
	for i, l := range lines {
		free := fixed.I(block.X) - l.width
		x := fixed.I(corner.X) + fixed.Int26_6(math.Floor(float64(free)*align))
		y := fixed.I(corner.Y) + ascent + height*fixed.Int26_6(i)
		for k, c := range l.letters {
			if k > 0 {
				x += s.kern(l.letters[k-1], c)
			}
			g := glyph{font: c.font, index: c.index, at: fixed.Point26_6{X: x, Y: y}}
			if bounds, _, err := c.font.GlyphBounds(&s.buf, c.index, s.ppem, font.HintingNone); err == nil {
				g.ink = pixels(bounds.Add(g.at))
				glyphs = append(glyphs, g)
			}
			x += c.advance
		}
	}
	return glyphs
}

// pixels is the smallest whole rectangle around another; empty stays empty.
func pixels(r fixed.Rectangle26_6) image.Rectangle {
	if r.Min.X >= r.Max.X || r.Min.Y >= r.Max.Y {
		return image.Rectangle{}
	}
	return image.Rect(r.Min.X.Floor(), r.Min.Y.Floor(), r.Max.X.Ceil(), r.Max.Y.Ceil())
}
