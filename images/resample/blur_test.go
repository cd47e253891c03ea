package resample

import (
	"errors"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/kamado/kamado/images/plane"
)

func TestBlurIsTheFormula(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var rs Resampler
	for _, c := range []struct {
		deviation float64
		bound     float64
	}{{0, 1e-6}, {0.1, 1e-6}, {0.5, 0.6}, {1, 0.6}, {2.5, 0.6}, {6, 0.6}, {7, 2.5}, {15, 2.5}, {40, 2.5}} {
		src := noise(r, 150, 3)
		for x := range 75 { // an edge beside the noise
			src.Row(0)[x], src.Row(1)[x], src.Row(2)[x] = 250, 250, 250
		}
		copy(src.Row(1), src.Row(0))
		copy(src.Row(2), src.Row(0))
		var dst plane.Plane
		dst.Reset(150, 3, 1, 1)
		if err := rs.Blur(&dst, src, c.deviation, 0); err != nil {
			t.Fatal(err)
		}
		for x := range 150 {
			sum, weights := 0.0, 0.0
			for j, v := range src.Row(1) {
				d := float64(j - x)
				w := math.Exp(-d * d / (2 * c.deviation * c.deviation))
				if j == x {
					w = 1
				}
				sum += w * float64(v)
				weights += w
			}
			if got, want := float64(dst.Row(1)[x]), sum/weights; math.Abs(got-want) > c.bound {
				t.Fatalf("deviation %v: sample %d = %v, want %.2f", c.deviation, x, got, want)
			}
		}
	}
}

func TestBlurRefuses(t *testing.T) {
	var rs Resampler
	src := noise(rand.New(rand.NewPCG(1, 2)), 10, 10)
	dst := noise(rand.New(rand.NewPCG(1, 2)), 10, 10)
	for _, d := range []float64{-1, DeviationMax + 1, math.NaN()} {
		if err := rs.Blur(dst, src, d, 1); !errors.Is(err, ErrDeviation) {
			t.Errorf("deviation %v: error %v, want %v", d, err, ErrDeviation)
		}
	}
	if err := rs.Blur(noise(rand.New(rand.NewPCG(1, 2)), 10, 11), src, 1, 1); !errors.Is(err, plane.ErrShape) {
		t.Errorf("other size: error %v, want %v", err, plane.ErrShape)
	}
}
