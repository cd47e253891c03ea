package server

import (
	"context"
	"log/slog"

	"github.com/kamado/kamado/images"
	"github.com/kamado/kamado/images/codec"
	"github.com/kamado/kamado/images/render"
)

// Shrink makes renditions outside of a service, for programs that compare
// pictures. Safe for concurrent use.
type Shrink struct {
	renderer *render.Renderer
	pool     *codec.Pool // nil: no kamado-codec
}

// Shrinker makes a Shrink with the codecs that are there. Close it.
func Shrinker() *Shrink {
	s := &Shrink{}
	var codecs []render.Codec
	if path, err := codec.Executable(); err == nil {
		// Workers that cannot be made are workers that are not there.
		if pool, err := codec.NewPool(codec.Config{Path: path, Log: slog.New(slog.DiscardHandler)}); err == nil {
			s.pool, codecs = pool, append(codecs, pool)
		}
	}
	s.renderer = render.New(render.Config{
		Limits: images.DefaultLimits(), Qualities: images.Default().Quality, Codecs: append(codecs, pureCodecs()...), Workspaces: 1,
	})
	return s
}

// Render makes one rendition.
func (s *Shrink) Render(ctx context.Context, data []byte, want images.Rendition) ([]byte, error) {
	res, err := s.renderer.Render(ctx, data, want)
	return res.Data, err
}

// Close ends the workers.
func (s *Shrink) Close() error {
	if s.pool == nil {
		return nil
	}
	return s.pool.Close()
}
