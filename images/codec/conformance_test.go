package codec_test

import (
	"testing"

	"github.com/kamado/kamado/images"
	"github.com/kamado/kamado/images/codec/codectest"
)

func TestConformance(t *testing.T) {
	p := newPool(t, nil)
	codectest.Run(t, codectest.Can{
		Loads:    []images.Format{images.JPEG, images.PNG, images.WebP, images.GIF, images.AVIF, images.HEIC, images.TIFF},
		Saves:    []images.Format{images.PNG, images.WebP, images.GIF, images.AVIF},
		Profiles: true, Rare: true, WebPMoves: true,
	}, func(*testing.T) codectest.Codec { return p })
	if s := p.Stats(); s.Died+s.Killed > 0 {
		t.Errorf("workers died under the suite: %+v", s)
	}
}
