package server

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/png"

	"github.com/kamado/kamado/images"
	"github.com/kamado/kamado/images/codec"
	"github.com/kamado/kamado/images/codec/sandbox"
)

// CodecState is how the sandboxed workers are on this machine.
type CodecState struct {
	Path    string   // of the executable
	Library string   // "libvips 8.14.1"
	Level   string   // how workers are started here
	Walls   []string // what shuts a worker in
	Missing []string // walls that this machine does not allow
}

// ProbeCodec starts one worker as the room would, lets it read a picture of one
// pixel, and ends it. It is for examining a machine, not for serving.
func ProbeCodec(ctx context.Context, cfg images.Codec) (state CodecState, err error) {
	if state.Path = cfg.Path; state.Path == "" {
		if state.Path, err = codec.Executable(); err != nil {
			return state, err
		}
	}
	pool, err := codec.NewPool(codec.Config{Path: state.Path, Workers: 1, Spare: -1, Memory: uint64(cfg.Memory)})
	if err != nil {
		return state, err
	}
	defer pool.Close()
	var pixel bytes.Buffer
	if err := png.Encode(&pixel, image.NewGray(image.Rect(0, 0, 1, 1))); err != nil {
		return state, err
	}
	info, err := pool.Probe(ctx, pixel.Bytes(), images.PNG)
	if err != nil {
		return state, err
	}
	if info.Width != 1 || info.Height != 1 {
		return state, fmt.Errorf("a worker reads one pixel as %dx%d", info.Width, info.Height)
	}
	stats := pool.Stats()
	state.Library, state.Level = stats.Library, stats.Level.String()
	state.Walls, state.Missing = stats.Layers.Names(), (sandbox.All &^ stats.Layers).Names()
	return state, nil
}
