package bench

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// original is one JPEG file of the corpus.
type original struct {
	kind, id      string
	path          string // absolute
	width, height int
	class         string
}

// job is one original with the size of a rendition of it.
type job struct {
	original      *original
	width, height int
	quality       int
}

// ErrNoOriginals says that a folder holds nothing that could be measured.
var ErrNoOriginals = errors.New("no {kind}/{id}.jpg in the folder of originals")

// readCorpus lists the originals {kind}/{id}.jpg of a folder, in the order of
// their names, and says what it left out.
func readCorpus(dir string) (originals []*original, notes []string, err error) {
	dir, err = filepath.Abs(dir)
	if err != nil {
		return nil, nil, err
	}
	ignored := 0
	err = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		name, _ := filepath.Rel(dir, path)
		kind, file, ok := strings.Cut(filepath.ToSlash(name), "/")
		id, isJPEG := cutExtension(file)
		if !ok || !isJPEG || strings.Contains(file, "/") {
			ignored++
			return nil
		}
		coding, err := readCoding(path)
		if err != nil {
			notes = append(notes, fmt.Sprintf("left out %s: %v", name, err))
			return nil
		}
		originals = append(originals, &original{
			kind: kind, id: id, path: path, width: coding.width, height: coding.height, class: coding.class(),
		})
		return nil
	})
	if err != nil {
		return nil, nil, fmt.Errorf("list the originals: %w", err)
	}
	if ignored > 0 {
		notes = append(notes, fmt.Sprintf("left out %d files that are no {kind}/{id}.jpg", ignored))
	}
	if len(originals) == 0 {
		return nil, notes, fmt.Errorf("%w: %s", ErrNoOriginals, dir)
	}
	return originals, notes, nil
}

func cutExtension(file string) (string, bool) {
	for _, ext := range []string{".jpg", ".jpeg"} {
		if id, ok := strings.CutSuffix(file, ext); ok && id != "" {
			return id, true
		}
	}
	return "", false
}

// classes groups originals by class, the small ones first.
func classes(originals []*original) [][]*original {
	var groups [][]*original
	for _, o := range originals {
		i := slices.IndexFunc(groups, func(g []*original) bool { return g[0].class == o.class })
		if i < 0 {
			groups = append(groups, []*original{o})
			continue
		}
		groups[i] = append(groups[i], o)
	}
	slices.SortFunc(groups, func(a, b []*original) int {
		if d := megapixels(a[0].width, a[0].height) - megapixels(b[0].width, b[0].height); d != 0 {
			return d
		}
		return strings.Compare(a[0].class, b[0].class)
	})
	return groups
}

// megapixels is the size class: 1 (below 2 MP), 3 (below 6 MP) or 12.
func megapixels(width, height int) int {
	switch n := width * height; {
	case n < 2_000_000:
		return 1
	case n < 6_000_000:
		return 3
	default:
		return 12
	}
}

// jobs is the batch of one class in one round. Every job of a round has its own
// size, and an original comes back at another size in every round until all
// 2*jitterSteps+1 were used, so that no cache of renditions could help.
func jobs(c Config, group []*original, round int) []job {
	var out []job
	for repeat := range c.Repeat {
		for i, o := range group {
			step := (round*c.Repeat+repeat+5*i)%(2*jitterSteps+1) - jitterSteps
			out = append(out, job{
				original: o, quality: c.Quality,
				width: c.Width + aspectWidth*step, height: c.Height + aspectHeight*step,
			})
		}
	}
	return out
}

// coding is what the header of a JPEG says about how it was made.
type coding struct {
	width, height int
	components    int
	subX, subY    int // luma samples per chroma sample
	progressive   bool
	restart       bool
	optimised     bool // sequential, with Huffman tables that are not the ones of T.81 K.3
}

// class names what originals are compared among themselves. Baseline 4:2:0
// without restart markers is what cameras write and has no suffix.
func (c coding) class() string {
	name := fmt.Sprintf("%d MP", megapixels(c.width, c.height))
	if c.components == 1 {
		name += " grey"
	} else if c.components == 4 {
		name += " CMYK"
	} else if c.subX != 2 || c.subY != 2 {
		name += map[[2]int]string{{1, 1}: " 4:4:4", {2, 1}: " 4:2:2", {1, 2}: " 4:4:0", {4, 1}: " 4:1:1"}[[2]int{c.subX, c.subY}]
	}
	if c.progressive {
		name += " progressive"
	}
	if c.optimised && !c.progressive { // progressive files always are
		name += " optimised"
	}
	if c.restart {
		name += " restart"
	}
	return name
}

// headerBytesMax is how far into a file its frame header is looked for: EXIF
// and an ICC profile of several segments lie before it.
const headerBytesMax = 1 << 20

var errNoFrame = errors.New("no JPEG frame header found")

func readCoding(path string) (coding, error) {
	f, err := os.Open(path)
	if err != nil {
		return coding{}, err
	}
	defer f.Close()
	head := make([]byte, headerBytesMax)
	n, _ := f.ReadAt(head, 0) // a short file is judged by what it holds
	return parseCoding(head[:n])
}

// parseCoding walks the segments up to the first scan (T.81 B.2).
func parseCoding(b []byte) (coding, error) {
	var c coding
	if len(b) < 4 || b[0] != 0xff || b[1] != 0xd8 {
		return c, errors.New("not a JPEG")
	}
	for i := 2; i+4 <= len(b); {
		if b[i] != 0xff {
			return c, errNoFrame
		}
		marker, size := b[i+1], int(b[i+2])<<8|int(b[i+3])
		body := b[i+4:]
		if size < 2 || len(body) < size-2 {
			return c, errNoFrame
		}
		body = body[:size-2]
		switch {
		case marker == 0xff: // fill byte
			i++
			continue
		case marker == 0xda: // start of scan
			if c.width == 0 {
				return c, errNoFrame
			}
			return c, nil
		case marker == 0xc4:
			c.optimised = c.optimised || !standardTables(body)
		case marker == 0xdd && len(body) >= 2:
			c.restart = body[0] != 0 || body[1] != 0
		case marker >= 0xc0 && marker <= 0xcf && marker != 0xc4 && marker != 0xc8 && marker != 0xcc:
			if !c.frame(marker, body) {
				return c, errNoFrame
			}
		}
		i += 2 + size
	}
	return c, errNoFrame
}

// standardBits are how many codes of each length the typical tables of T.81
// K.3 have: DC and AC of luminance, then of chrominance. Nearly every encoder
// that does not count symbols uses them, and no count gives the same four.
var standardBits = [4][16]byte{
	{0, 1, 5, 1, 1, 1, 1, 1, 1},
	{0, 2, 1, 3, 3, 2, 4, 3, 5, 5, 4, 4, 0, 0, 1, 0x7d},
	{0, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1},
	{0, 2, 1, 2, 4, 4, 3, 4, 7, 5, 4, 4, 0, 1, 2, 0x77},
}

// standardTables walks the tables of one DHT segment (T.81 B.2.4.2).
func standardTables(body []byte) bool {
	for len(body) >= 17 {
		bits := [16]byte(body[1:17])
		if !slices.Contains(standardBits[:], bits) {
			return false
		}
		values := 0
		for _, n := range bits {
			values += int(n)
		}
		body = body[min(len(body), 17+values):]
	}
	return true
}

// frame reads a start of frame (T.81 B.2.2): precision, height, width, and
// three bytes for each component.
func (c *coding) frame(marker byte, body []byte) bool {
	if len(body) < 6 {
		return false
	}
	c.height, c.width = int(body[1])<<8|int(body[2]), int(body[3])<<8|int(body[4])
	c.components = int(body[5])
	c.progressive = marker == 0xc2
	if c.width == 0 || c.height == 0 || len(body) < 6+3*c.components {
		return false
	}
	if c.components >= 3 {
		luma, chroma := body[7], body[10]
		if chroma>>4 == 0 || chroma&15 == 0 {
			return false
		}
		c.subX, c.subY = int(luma>>4)/int(chroma>>4), int(luma&15)/int(chroma&15)
	}
	return true
}
