package codec_test

import (
	"bytes"
	"image/gif"
	"testing"

	"github.com/kamado/kamado/images"
	"github.com/kamado/kamado/images/codec"
	"github.com/kamado/kamado/images/codec/codectest"
	"github.com/kamado/kamado/images/codec/purego"
	"github.com/kamado/kamado/images/render"
)

func renderer(l images.Limits, codecs ...render.Codec) *render.Renderer {
	return render.New(render.Config{Limits: l, Qualities: images.Qualities{JPEG: 80, WebP: 90, AVIF: 60}, Codecs: codecs, Workspaces: 2})
}

// TestMotionThroughTheRenderer: a moving original stays moving in a size, in
// both formats that can, is a still where asked for, and is held to the
// limits of frames and their pixels.
func TestMotionThroughTheRenderer(t *testing.T) {
	p := newPool(t, nil)
	original := codectest.MovingGIF(3)
	limits := images.DefaultLimits()
	r := renderer(limits, p, purego.New(purego.Config{}))
	small := images.Rendition{Width: 32}
	webp := small
	webp.Format = images.WebP
	moving, err := r.Render(t.Context(), original, webp)
	if err != nil || moving.Frames != 4 || moving.Width != 32 || moving.Height != 24 {
		t.Fatalf("GIF to WebP: %+v, %v", moving, err)
	}
	for name, src := range map[string][]byte{"GIF": original, "WebP": moving.Data} {
		want := small
		want.Format = images.GIF
		res, err := r.Render(t.Context(), src, want)
		if err != nil || res.Frames != 4 {
			t.Fatalf("%s to GIF: %d frames, %v", name, res.Frames, err)
		}
		g, err := gif.DecodeAll(bytes.NewReader(res.Data))
		if err != nil || len(g.Image) != 4 || g.LoopCount != 2 || g.Delay[2] != 30 || g.Config.Width != 32 {
			t.Errorf("%s to GIF: %v, loop %d, delays %v", name, err, g.LoopCount, g.Delay)
		}
		still := want
		still.Still = true
		if res, err := r.Render(t.Context(), src, still); err != nil || res.Frames != 1 {
			t.Errorf("%s, still: %d frames, %v", name, res.Frames, err)
		}
		jpeg := want
		jpeg.Format = images.JPEG
		if res, err := r.Render(t.Context(), src, jpeg); err != nil || res.Frames != 1 {
			t.Errorf("%s to JPEG: %d frames, %v", name, res.Frames, err)
		}
	}
	limits.MaxFrames = 2
	if res, err := renderer(limits, p).Render(t.Context(), original, webp); err != nil || res.Frames != 2 {
		t.Errorf("two frames allowed: %d, %v", res.Frames, err)
	}
	limits.MaxFrames, limits.MaxFramePixels = 256, codectest.Width*codectest.Height*4-1
	for _, c := range []render.Codec{p, purego.New(purego.Config{})} {
		want := small
		want.Format = images.GIF
		if _, err := renderer(limits, c).Render(t.Context(), original, want); images.KindOf(err) != images.TooLarge {
			t.Errorf("%T: too many pixels of frames: %v", c, err)
		}
	}
}

// TestEveryFormatThroughTheRenderer: each sample of each format becomes a
// JPEG with workers, and without them where pure Go reads it.
func TestEveryFormatThroughTheRenderer(t *testing.T) {
	p := newPool(t, func(c *codec.Config) { c.SVG = true })
	seen := map[images.Format]bool{}
	with, without := renderer(images.DefaultLimits(), p, purego.New(purego.Config{})), renderer(images.DefaultLimits(), purego.New(purego.Config{}))
	samples := append(codectest.Samples(), codectest.Sample{Name: "svg", Format: images.SVG, Data: drawing(`<rect width="40" height="30" fill="red"/>`), CRule: true})
	for _, s := range samples {
		want := images.Rendition{Width: 20, Format: images.JPEG}
		res, err := with.Render(t.Context(), s.Data, want)
		if err != nil || res.Width != 20 || res.Height != 15 {
			t.Errorf("%s with workers: %dx%d, %v", s.Name, res.Width, res.Height, err)
		}
		seen[s.Format] = true
		_, err = without.Render(t.Context(), s.Data, want)
		needs := s.CRule || s.Format == images.AVIF || s.Format == images.HEIC
		if err != nil && (!needs || images.KindOf(err) != images.Unprocessable) {
			t.Errorf("%s without workers: %v", s.Name, err)
		}
	}
	for _, f := range images.Formats(false) {
		if !seen[f] {
			t.Errorf("no sample of %v", f)
		}
	}
}
