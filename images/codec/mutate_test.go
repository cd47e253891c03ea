package codec_test

import (
	"errors"
	"testing"

	"github.com/kamado/kamado/images"
	"github.com/kamado/kamado/images/codec"
	"github.com/kamado/kamado/images/codec/codectest"
)

// FuzzLoad gives changed files to a worker that dies at every system call
// nobody foresaw: damage may be refused, but must not crash a decoder, hang it
// or make it ask for more.
func FuzzLoad(f *testing.F) {
	for _, s := range codectest.Samples() {
		if s.Format != images.BMP && s.Format != images.ICO {
			f.Add(s.Data)
		}
	}
	f.Add(codectest.AnimatedGIF())
	p := newPool(f, func(c *codec.Config) { c.Log = nil })
	f.Fuzz(func(t *testing.T, data []byte) {
		format := images.Sniff(data)
		r, _, err := p.Load(t.Context(), codec.LoadRequest{Data: data, Format: format, Frames: 4,
			Geometry: func(i codec.Info) (codec.Target, error) {
				if i.Width*i.Height > 1<<22 {
					return codec.Target{}, images.Errorf(images.TooLarge, "too many pixels to look at")
				}
				return codec.Target{Width: min(i.Width, 33), Height: min(i.Height, 21)}, nil
			}})
		if err != nil {
			if k := images.KindOf(err); k != images.Unprocessable && k != images.TooLarge || errors.Is(err, codec.ErrCrashed) {
				t.Fatalf("%v, kind %v: %v", format, k, err)
			}
			return
		}
		for i := range r.Frames {
			if err := r.Frames[i].Picture.Check(); err != nil {
				t.Fatal(err)
			}
		}
	})
}
