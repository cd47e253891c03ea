package purego_test

import (
	"errors"
	"testing"

	"github.com/kamado/kamado/images"
	"github.com/kamado/kamado/images/codec"
	"github.com/kamado/kamado/images/codec/codectest"
	"github.com/kamado/kamado/images/codec/purego"
)

func TestConformance(t *testing.T) {
	codectest.Run(t, codectest.Can{
		Loads:    []images.Format{images.PNG, images.GIF, images.WebP, images.TIFF, images.BMP, images.ICO},
		Saves:    []images.Format{images.PNG, images.GIF},
		Profiles: true,
	}, func(*testing.T) codectest.Codec { return purego.New(purego.Config{}) })
}

// FuzzLoad: whatever the bytes are, the answer is a picture or an error that
// says whose fault it is, within the memory that is allowed.
func FuzzLoad(f *testing.F) {
	for _, s := range codectest.Samples() {
		f.Add(s.Data)
	}
	f.Add(codectest.AnimatedGIF())
	c := purego.New(purego.Config{Memory: 16 << 20})
	f.Fuzz(func(t *testing.T, data []byte) {
		format := images.Sniff(data)
		r, info, err := c.Load(t.Context(), codec.LoadRequest{Data: data, Format: format, Frames: 4,
			Geometry: func(i codec.Info) (codec.Target, error) {
				return codec.Target{Width: min(i.Width, 33), Height: min(i.Height, 21)}, nil
			}})
		if err != nil {
			if k := images.KindOf(err); k != images.Unprocessable && k != images.TooLarge {
				t.Fatalf("%v, kind %v: %v", format, k, err)
			}
			return
		}
		if info.Width*info.Height > 16<<20 {
			t.Fatalf("%dx%d pixels were decoded", info.Width, info.Height)
		}
		for i := range r.Frames {
			if err := r.Frames[i].Picture.Check(); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// TestMemory: a header that promises more pixels than may be decoded is
// refused before any is.
func TestMemory(t *testing.T) {
	c := purego.New(purego.Config{Memory: 1000})
	for _, s := range codectest.Samples() {
		if s.Format == images.JPEG || s.Format == images.AVIF || s.Format == images.HEIC || s.CRule {
			continue
		}
		if _, _, err := c.Load(t.Context(), codec.LoadRequest{Data: s.Data, Format: s.Format}); !errors.Is(err, codec.ErrMemory) || images.KindOf(err) != images.TooLarge {
			t.Errorf("%s: %v, want ErrMemory", s.Name, err)
		}
	}
}
