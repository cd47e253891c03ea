package render

import (
	"fmt"
	"math"
	"testing"

	"github.com/kamado/kamado/images"
	"github.com/kamado/kamado/images/jpeg"
	"github.com/kamado/kamado/images/plane"
)

// A file that fits costs one encoding; one that does not costs at most
// encodingsMax, and the quality found is near the highest that fits.
func TestSearchForQuality(t *testing.T) {
	sizes := map[string]func(q int) float64{
		"a photograph":    func(q int) float64 { return 9000 * math.Exp(float64(q)/28) },
		"a steep one":     func(q int) float64 { return 900 * math.Exp(float64(q)/14) },
		"a flat one":      func(q int) float64 { return 20000 + 100*float64(q) },
		"one with a jump": func(q int) float64 { return 9000*math.Exp(float64(q)/28) + 1e5*math.Max(0, float64(q)-80) },
	}
	for name, size := range sizes {
		for _, quality := range []int{100, 90, 75, 40, 11, 10, 3} {
			for limit := 2000.0; limit < 1.2*size(quality); limit *= 1.15 {
				calls := 0
				j := &job{want: images.Rendition{Quality: quality, MaxBytes: int(limit)}}
				data, q, err := j.within(func(q int) ([]byte, error) {
					calls++
					return make([]byte, int(size(q))), nil
				})
				best := 0
				for q := qualityLeast; q <= quality; q++ {
					if size(q) <= limit {
						best = q
					}
				}
				fits := size(quality) <= limit
				if fits && (calls != 1 || q != quality || err != nil) {
					t.Errorf("%s, quality %d fits %.0f: %d encodings, %d, %v", name, quality, limit, calls, q, err)
				}
				if calls > encodingsMax {
					t.Errorf("%s from %d within %.0f: %d encodings", name, quality, limit, calls)
				}
				if fits {
					continue
				}
				if best == 0 {
					if images.KindOf(err) != images.TooLarge {
						t.Errorf("%s from %d within %.0f: %v, want too large", name, quality, limit, err)
					}
					continue
				}
				if err != nil || float64(len(data)) > limit || q < best-5 || q > best {
					t.Errorf("%s from %d within %.0f: %d bytes at %d (%v), %d fits", name, quality, limit, len(data), q, err, best)
				}
			}
		}
	}
	fails := &job{want: images.Rendition{Quality: 50, MaxBytes: 300}}
	broken := fmt.Errorf("broken")
	if _, _, err := fails.within(func(int) ([]byte, error) { return nil, broken }); err != broken {
		t.Errorf("an encoder's error comes out as %v", err)
	}
}

// Small members of a set are made from half-size copies.
func TestSetHalvesLargePictures(t *testing.T) {
	r := New(Config{Limits: images.DefaultLimits(), Qualities: images.Qualities{JPEG: 80}})
	src := flatJPEG(t, 800, 600)
	var wants []images.Rendition
	for _, w := range []int{700, 160, 90, 40} {
		wants = append(wants, images.Rendition{Width: w})
	}
	for _, one := range r.RenderSet(t.Context(), src, wants) {
		if one.Err != nil {
			t.Fatal(one.Err)
		}
	}
	if len(r.scratch.idle) != 1 {
		t.Fatalf("%d workspaces were used, want 1", len(r.scratch.idle))
	}
	halves := &r.scratch.idle[0].halves
	for i, width := range []int{400, 200, 100} {
		if halves[i].Width != width {
			t.Errorf("half %d is %d samples wide, want %d", i+1, halves[i].Width, width)
		}
	}
	if r.scratch.used != 0 {
		t.Errorf("%d bytes of scratch are still taken", r.scratch.used)
	}
}

func flatJPEG(t *testing.T, width, height int) []byte {
	t.Helper()
	var p plane.Picture
	p.Reset(plane.YCbCr, false, width, height, 2, 2)
	for i := range 3 {
		for k := range p.Planes[i].Pix {
			p.Planes[i].Pix[k] = 100
		}
	}
	var e jpeg.Encoder
	data, err := e.Encode(nil, &p, jpeg.EncodeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return data
}
