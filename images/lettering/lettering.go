package lettering

import (
	"fmt"

	"golang.org/x/image/font/gofont/goregular"
	"golang.org/x/image/font/sfnt"
)

// fontsMax is how many fonts a Fonts may have: each is asked for a character
// that the ones before it lack.
const fontsMax = 16

// Fonts are fonts ready to draw with.
type Fonts struct {
	fonts []*sfnt.Font
}

// New parses font files (TrueType or OpenType, one font each), which must not
// change afterwards. A character is drawn by the first that has it. Without
// any, it is the regular font of the Go project: Latin, Greek and Cyrillic.
func New(files [][]byte) (*Fonts, error) {
	if len(files) == 0 {
		files = [][]byte{goregular.TTF}
	}
	if len(files) > fontsMax {
		return nil, fmt.Errorf("lettering: %d fonts are more than %d", len(files), fontsMax)
	}
	f := new(Fonts)
	for i, file := range files {
		parsed, err := sfnt.Parse(file)
		if err != nil {
			return nil, fmt.Errorf("lettering: font %d: %w", i+1, err)
		}
		f.fonts = append(f.fonts, parsed)
	}
	return f, nil
}

// Default is New without files.
func Default() *Fonts {
	f, err := New(nil)
	if err != nil {
		panic("lettering: the font that is built in is a font: " + err.Error())
	}
	return f
}
