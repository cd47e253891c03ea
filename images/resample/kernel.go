package resample

import (
	"fmt"
	"math"
	"sync"
)

// Kernel is the function by which source samples are weighted with their distance.
type Kernel uint8

// The kernels, from sharp and ringing to plain. The zero value is the default.
const (
	Lanczos3   Kernel = iota // sinc windowed by sinc(x/3)
	Lanczos2                 // sinc windowed by sinc(x/2): less ringing
	Mitchell                 // Mitchell and Netravali's cubic, B = C = 1/3
	CatmullRom               // the cubic B = 0, C = 1/2
	Linear                   // a triangle
	Nearest                  // one sample, no mixing even when shrinking
	kernels

	gaussian = kernels // the bell curve of deviation 1, for Blur alone
)

func (k Kernel) String() string {
	names := [kernels]string{"lanczos3", "lanczos2", "mitchell", "catmull-rom", "linear", "nearest"}
	if k < kernels {
		return names[k]
	}
	return fmt.Sprintf("kernel(%d)", uint8(k))
}

// support is the distance beyond which a kernel is zero, in samples of the
// wider of the two grids.
func (k Kernel) support() float64 {
	switch k {
	case gaussian:
		return 3.5
	case Lanczos3:
		return 3
	case Lanczos2, Mitchell, CatmullRom:
		return 2
	default:
		return 1
	}
}

// at is the kernel's value at a distance.
func (k Kernel) at(x float64) float64 {
	x = math.Abs(x)
	if x >= k.support() {
		return 0
	}
	switch k {
	case Lanczos3, Lanczos2:
		return sinc(x) * sinc(x/k.support())
	case Mitchell:
		return cubic(x, 1./3, 1./3)
	case CatmullRom:
		return cubic(x, 0, 0.5)
	case gaussian:
		return math.Exp(-x * x / 2)
	default:
		return 1 - x
	}
}

func sinc(x float64) float64 {
	if x == 0 {
		return 1
	}
	return math.Sin(math.Pi*x) / (math.Pi * x)
}

// cubic is equation 8 of Mitchell and Netravali, "Reconstruction Filters in
// Computer Graphics" (SIGGRAPH 1988).
func cubic(x, b, c float64) float64 {
	if x < 1 {
		return ((12-9*b-6*c)*x*x*x + (-18+12*b+6*c)*x*x + 6 - 2*b) / 6
	}
	return ((-b-6*c)*x*x*x + (6*b+30*c)*x*x + (-12*b-48*c)*x + 8*b + 24*c) / 6
}

// tableSteps is how many entries a kernel's table has per unit. Between them
// the value is interpolated; the error is below 1e-5, a sixth of a weight's unit.
const tableSteps = 256

// knotBits is the number of fraction bits of a table's values.
const knotBits = 24

// knot is a kernel's value at a step and what it gains to the next step.
type knot struct{ value, gain int32 }

// tables holds each kernel by distance, made when first asked for: a filter
// of 500 samples needs 4000 values, and sines would cost more than the resampling.
var tables [kernels + 1]struct {
	once  sync.Once
	knots []knot
}

// table returns a kernel's values at -support, -support + 1/tableSteps, ... up
// to its support, and zeros for one unit more.
func (k Kernel) table() []knot {
	t := &tables[k]
	t.once.Do(func() {
		reach := int(k.support() * tableSteps)
		value := func(i int) int32 {
			return int32(math.Round(k.at(float64(i-reach)/tableSteps) * (1 << knotBits)))
		}
		t.knots = make([]knot, 2*reach+tableSteps+2)
		for i := range t.knots {
			t.knots[i] = knot{value(i), value(i+1) - value(i)}
		}
	})
	return t.knots
}
