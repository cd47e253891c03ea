package purego_test

import (
	"testing"

	"github.com/kamado/kamado/images"
	"github.com/kamado/kamado/images/codec/codectest"
	"github.com/kamado/kamado/images/codec/purego"
)

func TestConformance(t *testing.T) {
	codectest.Run(t, codectest.Can{
		Loads: []images.Format{images.PNG, images.GIF, images.WebP, images.TIFF, images.BMP, images.ICO},
		Saves: []images.Format{images.PNG, images.GIF},
	}, func(*testing.T) codectest.Codec { return purego.New(purego.Config{}) })
}
