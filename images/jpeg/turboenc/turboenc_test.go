//go:build libjpeg && cgo

package turboenc

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"unsafe"

	"github.com/kamado/kamado/images/jpeg"
	"github.com/kamado/kamado/images/plane"
)

// scene fills a picture with what makes all sorts of coefficients.
func scene(p *plane.Picture, r *rand.Rand) {
	noise := float64(r.IntN(80))
	for i := range p.N() {
		q := &p.Planes[i]
		for y := range q.Height {
			row := q.Row(y)
			for x := range row {
				v := 128 + 90*math.Sin(float64(x)/17+float64(i))*math.Cos(float64(y)/13) + noise*(r.Float64()-0.5)
				if (x/31+y/27)%5 == 0 {
					v = float64(255 * (x / 31 % 2))
				}
				row[x] = byte(min(max(v, 0), 255))
			}
		}
	}
}

// each walks shapes, subsamplings, qualities and restart intervals.
func each(t *testing.T, check func(t *testing.T, name string, p *plane.Picture, quality, restart int)) {
	t.Helper()
	r := rand.New(rand.NewPCG(1, 2))
	for range 400 {
		var p plane.Picture
		width, height := 1+r.IntN(100), 1+r.IntN(100)
		subX, subY := 1+r.IntN(2), 1+r.IntN(2)
		model := plane.YCbCr
		if r.IntN(5) == 0 {
			model = plane.Gray
		}
		p.Reset(model, false, width, height, subX, subY)
		scene(&p, r)
		quality := 1 + r.IntN(100)
		restart := max(0, r.IntN(12)-5)
		name := fmt.Sprintf("%v %dx%d sub %dx%d q%d restart %d", model, width, height, subX, subY, quality, restart)
		check(t, name, &p, quality, restart)
	}
}

// turbo is the file that libjpeg-turbo makes, in Go memory.
func turbo(p *plane.Picture, opt options) []byte {
	var buffer unsafe.Pointer
	var room int
	out := bytes.Clone(pad(p).encode(opt, &buffer, &room))
	release(buffer)
	return out
}

func TestFixedHuffmanIsTurboToTheByte(t *testing.T) {
	var e jpeg.Encoder
	each(t, func(t *testing.T, name string, p *plane.Picture, quality, restart int) {
		want := turbo(p, options{quality: quality, restart: restart})
		got, err := e.Encode(nil, p, jpeg.EncodeOptions{Quality: quality, RestartInterval: restart, FixedHuffman: true})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if !bytes.Equal(got, want) {
			at := difference(got, want)
			t.Fatalf("%s: %d bytes, want the %d of libjpeg-turbo; at %d % x, want % x", name, len(got), len(want),
				at, got[at:min(at+24, len(got))], want[at:min(at+24, len(want))])
		}
	})
}

func difference(a, b []byte) int {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return i
		}
	}
	return min(len(a), len(b))
}

// TestTablesAreAsShortAsTurbo: both are optimal, but ties between lengths are
// broken otherwise, and so a few more or less 0xFF want stuffing.
func TestTablesAreAsShortAsTurbo(t *testing.T) {
	var e jpeg.Encoder
	each(t, func(t *testing.T, name string, p *plane.Picture, quality, restart int) {
		for _, progressive := range []bool{false, true} {
			want := turbo(p, options{quality: quality, restart: restart, optimize: true, progressive: progressive})
			got, err := e.Encode(nil, p, jpeg.EncodeOptions{Quality: quality, RestartInterval: restart, Progressive: progressive})
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if len(got) > len(want)+len(want)/200+24 {
				t.Errorf("%s progressive %v: %d bytes, libjpeg-turbo needs %d", name, progressive, len(got), len(want))
			}
		}
	})
}

func BenchmarkAgainstTurbo(b *testing.B) {
	var p plane.Picture
	p.Reset(plane.YCbCr, false, 480, 360, 2, 2)
	scene(&p, rand.New(rand.NewPCG(9, 9)))
	for _, optimize := range []bool{false, true} {
		b.Run(fmt.Sprintf("ours/480x360-q70-optimal=%v", optimize), func(b *testing.B) {
			var e jpeg.Encoder
			var dst []byte
			for b.Loop() {
				dst, _ = e.Encode(dst[:0], &p, jpeg.EncodeOptions{Quality: 70, FixedHuffman: !optimize})
			}
			b.ReportMetric(float64(len(dst)), "bytes")
		})
		b.Run(fmt.Sprintf("turbo/480x360-q70-optimal=%v", optimize), func(b *testing.B) {
			in := pad(&p)
			var buffer unsafe.Pointer
			var room, size int
			for b.Loop() {
				size = len(in.encode(options{quality: 70, optimize: optimize}, &buffer, &room))
			}
			release(buffer)
			b.ReportMetric(float64(size), "bytes")
		})
	}
}
