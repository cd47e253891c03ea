package bench

import (
	"bytes"
	"context"
	"fmt"
	"image/jpeg"
	"time"
)

// subject is one thing that makes renditions.
//
// render does one job after the other and gives an outcome for each, in order,
// and the CPU that all of them took together. An error means that the subject
// itself is broken and is measured no further; a job that went wrong is an
// outcome that says why. close ends its processes.
type subject interface {
	name() string
	render(ctx context.Context, batch []job) ([]outcome, time.Duration, error)
	close() error
}

// outcome is one rendition, or why there is none.
type outcome struct {
	jpeg []byte
	why  string // empty when it counts
}

// accept makes an outcome of bytes: they count when they are a whole JPEG of
// the size asked for.
func accept(b []byte, j job) outcome {
	c, err := jpeg.DecodeConfig(bytes.NewReader(b))
	switch {
	case err != nil:
		return outcome{why: "not a JPEG"}
	case c.Width != j.width || c.Height != j.height:
		return outcome{why: fmt.Sprintf("%dx%d instead of %dx%d", c.Width, c.Height, j.width, j.height)}
	case !bytes.HasSuffix(b, []byte{0xff, 0xd9}):
		return outcome{why: "cut short"}
	}
	return outcome{jpeg: b}
}
