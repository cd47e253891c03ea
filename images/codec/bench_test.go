package codec_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/kamado/kamado/images"
	"github.com/kamado/kamado/images/codec"
)

// BenchmarkNull is a request that reads one small header: the price of the way
// to a worker and back, the memfd included.
func BenchmarkNull(b *testing.B) {
	p := newPool(b, func(c *codec.Config) { c.Kill, c.Log = false, nil })
	data := small()
	for b.Loop() {
		if _, err := p.Probe(b.Context(), data, images.PNG); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkStart is from a pool without a process to the first answer.
func BenchmarkStart(b *testing.B) {
	data := small()
	for b.Loop() {
		p := newPool(b, func(c *codec.Config) { c.Log, c.Spare = nil, -1 })
		if _, err := p.Probe(b.Context(), data, images.PNG); err != nil {
			b.Fatal(err)
		}
		p.Close()
	}
}

// workersCPU is the processor time of all processes of a pool.
func workersCPU(b *testing.B, p *codec.Pool) (d time.Duration) {
	for _, pid := range p.Pids() {
		d += processCPU(b, pid)
	}
	return d
}

// BenchmarkConvert makes 480 wide pictures of 12 megapixels, and says what
// processor time the worker takes.
func BenchmarkConvert(b *testing.B) {
	const w, h = 4000, 3000
	original := photo(w, h)
	p := newPool(b, func(c *codec.Config) { c.Log, c.Workers, c.Spare = nil, 1, -1 })
	target := func(width int) func(codec.Info) (codec.Target, error) {
		return func(codec.Info) (codec.Target, error) { return codec.Target{Width: width, Height: width * h / w}, nil }
	}
	files := map[images.Format][]byte{images.PNG: original}
	whole, _, err := p.Load(b.Context(), codec.LoadRequest{Data: original, Format: images.PNG})
	if err != nil {
		b.Fatal(err)
	}
	for _, f := range []images.Format{images.WebP, images.AVIF} {
		if files[f], err = p.Save(b.Context(), codec.SaveRequest{Raster: whole, Format: f, Quality: 80, Effort: 1}); err != nil {
			b.Fatal(err)
		}
	}
	for _, f := range []images.Format{images.PNG, images.WebP, images.AVIF} {
		b.Run(fmt.Sprintf("load/%v-%dx%d-to-480x360", f, w, h), func(b *testing.B) {
			before := workersCPU(b, p)
			for b.Loop() {
				if _, _, err := p.Load(b.Context(), codec.LoadRequest{Data: files[f], Format: f, Geometry: target(480)}); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64((workersCPU(b, p)-before).Microseconds())/1000/float64(b.N), "worker-ms/op")
		})
	}
	thumb, _, err := p.Load(b.Context(), codec.LoadRequest{Data: original, Format: images.PNG, Geometry: target(480)})
	if err != nil {
		b.Fatal(err)
	}
	for _, f := range []images.Format{images.PNG, images.WebP, images.AVIF, images.GIF} {
		b.Run(fmt.Sprintf("save/%v-480x360", f), func(b *testing.B) {
			before := workersCPU(b, p)
			var file []byte
			for b.Loop() {
				if file, err = p.Save(b.Context(), codec.SaveRequest{Raster: thumb, Format: f, Quality: 75}); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64((workersCPU(b, p)-before).Microseconds())/1000/float64(b.N), "worker-ms/op")
			b.ReportMetric(float64(len(file)), "file-bytes")
		})
	}
	for _, pid := range p.Pids() {
		b.Logf("PSS after the mix: %d KiB", resident(b, pid)>>10)
	}
}
