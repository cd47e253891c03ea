package bench

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"
)

// Config says what is measured. The zero value is not usable; start from Default.
type Config struct {
	Originals string   // folder of {kind}/{id}.jpg
	Program   string   // the kamado executable that is measured
	Version   string   // of that executable, for the report
	Peers     []string // folders that may hold node_modules, tried in order
	Only      []string // names of subjects to measure beside kamado; empty: all that are installed

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
	complain(c.Timeout > 0, "timeout %s is not positive", c.Timeout)
	return errors.Join(errs...)
}
