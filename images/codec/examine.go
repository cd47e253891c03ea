package codec

import (
	"context"
	"fmt"
	"time"

	"github.com/kamado/kamado/images"
	"github.com/kamado/kamado/images/codec/sandbox"
)

// Examination is what kamado-codec can do on this machine.
type Examination struct {
	Library string          // "libvips 8.14.1"
	Loads   []images.Format // that it can read
	Saves   []images.Format // that it can write
	Level   sandbox.Level   // the strongest at which it starts
	Layers  sandbox.Layers  // walls that hold; Layers.Missing() are those that do not
	Start   time.Duration   // until it was ready
}

// Examine starts one worker as a Pool would, asks it who it is and ends it.
// The error wraps ErrNoWorker when none can be started.
func Examine(ctx context.Context, c Config) (Examination, error) {
	c.Workers, c.Spare = 1, -1
	p, err := NewPool(c)
	if err != nil {
		return Examination{}, err
	}
	defer p.Close()
	began := time.Now()
	w, err := p.acquire(ctx, "examine")
	if err != nil {
		return Examination{}, fmt.Errorf("examine %s: %w", c.Path, err)
	}
	e := Examination{Library: w.hello.Library, Layers: sandbox.Layers(w.hello.Layers), Level: p.Stats().Level, Start: time.Since(began),
		Loads: named(w.hello.Loads), Saves: named(w.hello.Saves)}
	p.release(w, true)
	return e, nil
}

// named lists the formats of a Hello's bits.
func named(bits uint32) (list []images.Format) {
	for _, f := range images.Formats(false) {
		if bits&(1<<f) != 0 {
			list = append(list, f)
		}
	}
	return list
}
