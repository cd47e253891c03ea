package codec_test

import (
	"fmt"
	"image"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/kamado/kamado/images"
	"github.com/kamado/kamado/images/codec"
)

// envPhotos names JPEG photographs, separated as in PATH, for BenchmarkEffort.
const envPhotos = "KAMADO_TEST_PHOTOS"

// BenchmarkEffort weighs processor time against bytes for the levels of effort
// of AVIF and WebP, at the default qualities, on photographs.
func BenchmarkEffort(b *testing.B) {
	p := newPool(b, func(c *codec.Config) { c.Log, c.Workers, c.Spare = nil, 1, -1 })
	names := filepath.SplitList(os.Getenv(envPhotos))
	if len(names) == 0 {
		b.Skipf("set %s to some photographs", envPhotos)
	}
	for i, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			b.Fatal(err)
		}
		for _, size := range []image.Point{{480, 360}, {1200, 900}} {
			r, _, err := p.Load(b.Context(), codec.LoadRequest{Data: data, Format: images.JPEG, Geometry: func(info codec.Info) (codec.Target, error) {
				crop := image.Rect(0, 0, min(info.Width, info.Height*4/3), min(info.Height, info.Width*3/4))
				return codec.Target{Crop: crop, Width: size.X, Height: size.Y}, nil
			}})
			if err != nil {
				b.Fatal(err)
			}
			for effort := 1; effort <= 7; effort++ {
				b.Run(fmt.Sprintf("avif/photo%d/%dx%d/effort%d", i, size.X, size.Y, effort), func(b *testing.B) {
					weigh(b, p, codec.SaveRequest{Raster: r, Format: images.AVIF, Quality: 60, Effort: effort})
				})
			}
			for _, effort := range []int{1, 3, 4, 5, 7, 8, 9} {
				b.Run(fmt.Sprintf("webp/photo%d/%dx%d/effort%d", i, size.X, size.Y, effort), func(b *testing.B) {
					weigh(b, p, codec.SaveRequest{Raster: r, Format: images.WebP, Quality: 78, Effort: effort})
				})
			}
		}
	}
}

// weigh writes a file again and again and tells what it costs and is.
func weigh(b *testing.B, p *codec.Pool, r codec.SaveRequest) {
	var file []byte
	var err error
	before := workersCPU(b, p)
	for b.Loop() {
		if file, err = p.Save(b.Context(), r); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64((workersCPU(b, p)-before).Microseconds())/1000/float64(b.N), "worker-ms/op")
	b.ReportMetric(float64(len(file)), "file-bytes")
	back, _, err := p.Load(b.Context(), codec.LoadRequest{Data: file, Format: r.Format})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(psnr(r.Raster, back), "dB")
}

// psnr is the peak signal to noise ratio of green, which is most of what is
// seen, in decibels.
func psnr(x, y *codec.Raster) float64 {
	p, q := &x.Frames[0].Picture.Planes[1], &y.Frames[0].Picture.Planes[1]
	sum := 0.0
	for i := range p.Height {
		for j, v := range p.Row(i) {
			d := float64(v) - float64(q.Row(i)[j])
			sum += d * d
		}
	}
	return 10 * math.Log10(255*255*float64(p.Width*p.Height)/max(sum, 1))
}
