package codec_test

import (
	"bytes"
	"image"
	"image/color"
	"image/png"
	"testing"
	"time"

	"github.com/kamado/kamado/images"
	"github.com/kamado/kamado/images/codec"
)

func gradient(w, h int) []byte {
	m := image.NewNRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			m.SetNRGBA(x, y, color.NRGBA{uint8(x * 255 / w), uint8(y * 255 / h), 100, 255})
		}
	}
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		panic(err)
	}
	return b.Bytes()
}

func TestThin(t *testing.T) {
	p := newPool(t, nil)
	data := gradient(1000, 750)
	began := time.Now()
	r, info, err := p.Load(t.Context(), codec.LoadRequest{Data: data, Format: images.PNG, Geometry: func(i codec.Info) (codec.Target, error) {
		return codec.Target{Width: 200, Height: 150}, nil
	}})
	t.Logf("first load: %v, %+v, %v, stats %+v", time.Since(began), info, err, p.Stats())
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("layers: %v; missing: %v; level %v", p.Stats().Layers, p.Stats().Layers.Missing(), p.Stats().Level)
	for _, f := range []images.Format{images.WebP, images.AVIF, images.PNG, images.GIF} {
		began = time.Now()
		file, err := p.Save(t.Context(), codec.SaveRequest{Raster: r, Format: f, Quality: 70})
		if err != nil {
			t.Fatal(f, err)
		}
		saved := time.Since(began)
		began = time.Now()
		back, info, err := p.Load(t.Context(), codec.LoadRequest{Data: file, Format: images.Sniff(file)})
		if err != nil {
			t.Fatal(f, err)
		}
		t.Logf("%v: %d bytes in %v, loaded in %v %+v; pixel %v %v", f, len(file), saved, time.Since(began), info, back.Frames[0].Picture.Planes[0].Row(70)[100:104], r.Frames[0].Picture.Planes[0].Row(70)[100:104])
	}
}
