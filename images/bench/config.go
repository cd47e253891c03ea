package bench

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"time"
)

// Config says what is measured. The zero value is not usable; start from Default.
type Config struct {
	Originals string   // folder of {kind}/{id}.jpg
	Program   string   // the kamado executable that is measured
	Version   string   // of that executable, for the report
	Peers     []string // folders that may hold node_modules, tried in order
	Imgproxy  string   // the imgproxy executable; empty: looked for in Peers and on the path
	Only      []string // names of subjects to measure beside kamado; empty: all that are installed
	Parts     []string // of Parts; empty: all
	Command   []string // how the bench was called, for the report

	Width, Height int // of the renditions in the middle of the jitter; 4:3
	Quality       int // 1..100
	Rounds        int // alternating rounds that count; one more warms up
	Repeat        int // how often a batch repeats its originals; each time at another size

	Timeout time.Duration // for one rendition, and for a subject to become ready
	Log     *slog.Logger  // what the subjects say; discarded when nil
	Talk    io.Writer     // progress for a person; discarded when nil
}

// The geometry: every size is 4:3 with whole numbers, so that no subject has to
// round, which would be measured as unlikeness.
const (
	aspectWidth  = 4
	aspectHeight = 3
	jitterSteps  = 6 // renditions are up to this many 4x3 steps smaller or larger
)

// The parts of a run. Classes are always measured first: the other figures lean on them.
const (
	PartClasses   = "classes"   // every class of originals, every cache off, beside every peer
	PartMezzanine = "mezzanine" // large originals with warm mezzanines
	PartSizes     = "sizes"     // five sizes of one large original at once
	PartBurst     = "burst"     // equal requests at once: how often the original is decoded
	PartLatency   = "latency"   // the slowest of a hundred at concurrency 4
	PartMemory    = "memory"    // of all processes, of kamado and of imgproxy
	PartMoire     = "moire"     // a picture that punishes every shortcut of a resize
	PartCached    = "cached"    // finished renditions, beside nginx
)

// Parts are all parts, in the order of their measurement.
var Parts = []string{PartClasses, PartMezzanine, PartSizes, PartBurst, PartLatency, PartMemory, PartMoire, PartCached}

// measures says whether a part is asked for.
func (c Config) measures(part string) bool {
	return len(c.Parts) == 0 || slices.Contains(c.Parts, part)
}

// Default is the measurement that the project's figures are stated in.
func Default() Config {
	return Config{Width: 480, Height: 360, Quality: 70, Rounds: 5, Repeat: 1, Timeout: 30 * time.Second}
}

// Validate complains about everything that is wrong at once.
func (c Config) Validate() error {
	var errs []error
	complain := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	complain(c.Originals != "", "no folder of originals given")
	complain(c.Program != "", "no program to measure given")
	complain(c.Width%aspectWidth == 0 && c.Width/aspectWidth*aspectHeight == c.Height,
		"size %dx%d is not 4:3 in whole steps of %dx%d", c.Width, c.Height, aspectWidth, aspectHeight)
	complain(c.Width > aspectWidth*jitterSteps && c.Width <= 4000, "width %d is not in %d..4000", c.Width, aspectWidth*jitterSteps+1)
	complain(c.Quality >= 1 && c.Quality <= 100, "quality %d is not in 1..100", c.Quality)
	complain(c.Rounds >= 1 && c.Rounds <= 1000, "rounds %d is not in 1..1000", c.Rounds)
	complain(c.Repeat >= 1 && c.Repeat <= 100, "repeat %d is not in 1..100", c.Repeat)
	for _, part := range c.Parts {
		complain(slices.Contains(Parts, part), "part %q is none of %s", part, strings.Join(Parts, ", "))
	}
	complain(c.Timeout > 0, "timeout %s is not positive", c.Timeout)
	return errors.Join(errs...)
}
