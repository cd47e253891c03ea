// Package zipf draws ranks by Zipf's law with the exponent 1: rank k of n comes
// with the probability 1/(k·H(n)), H(n) the n-th harmonic number. That is how
// often pictures of a shop are asked for; math/rand's own sampler wants an
// exponent above 1, where the tail is much thinner.
//
// A draw takes constant time and no table, so n may be millions: rejection
// inversion (W. Hörmann and G. Derflinger, "Rejection-inversion to generate
// variates from monotone discrete distributions", ACM TOMACS 6/3, 1996). The
// area under h(x) = 1/x from 1/2 to n+1/2 is cut into pieces of width 1 around
// each whole number; a point of the area is drawn by inverting its integral ln x,
// and taken when it lies in the part that has the weight of its number.
package zipf

import (
	"math"
	"math/rand/v2"
)

// Sampler draws ranks. Methods may be called concurrently only with a source of
// randomness of each caller's own.
type Sampler struct {
	n    float64
	low  float64 // of the integral: the piece of rank 1 is as wide as its weight, so that it is never rejected
	high float64
	near float64 // this close to its number a point is always taken
}

// New gives the law of n ranks; n below 1 is 1.
func New(n int) Sampler {
	s := Sampler{n: float64(max(1, n))}
	s.low = math.Log(1.5) - 1
	s.high = math.Log(s.n + 0.5)
	s.near = 2 - math.Exp(math.Log(2.5)-0.5)
	return s
}

// Rank draws one of 1..n.
func (s Sampler) Rank(random *rand.Rand) int {
	for {
		area := s.high + random.Float64()*(s.low-s.high)
		x := math.Exp(area)
		k := math.Max(1, math.Min(s.n, math.Round(x)))
		if k-x <= s.near || area >= math.Log(k+0.5)-1/k {
			return int(k)
		}
	}
}

// harmonicExact is up to which n Harmonic adds term by term.
const harmonicExact = 100_000

// eulerGamma is the Euler-Mascheroni constant.
const eulerGamma = 0.57721566490153286061

// Harmonic is H(n) = 1 + 1/2 + … + 1/n.
func Harmonic(n int) float64 {
	if n > harmonicExact {
		x := float64(n)
		return math.Log(x) + eulerGamma + 1/(2*x) - 1/(12*x*x)
	}
	sum := 0.0
	for k := n; k >= 1; k-- { // small ones first
		sum += 1 / float64(k)
	}
	return sum
}

// distinctExact is up to which rank Distinct adds term by term; above, ranks of
// 1/distinctExact of their number are so much alike that the middle one stands for them.
const distinctExact = 1000

// Distinct is how many ranks of n are expected to come in so many draws.
func Distinct(n, draws int) float64 {
	h, sum := Harmonic(n), 0.0
	come := func(k float64) float64 {
		return -math.Expm1(float64(draws) * math.Log1p(-min(1/(k*h), 1-1e-12)))
	}
	for k, wide := 1, 1; k <= n; k += wide {
		wide = min(1+k/distinctExact, n-k+1)
		sum += float64(wide) * come(float64(k)+float64(wide-1)/2)
	}
	return sum
}

// RanksFor gives the n with which so many draws hit something drawn before with
// the given share, nearest from below; the share is 0..1.
func RanksFor(draws int, share float64) int {
	want := (1 - share) * float64(draws)
	low, high := 1, 2
	for Distinct(high, draws) < want && high < 1<<26 {
		low, high = high, 2*high
	}
	for high-low > 1 {
		middle := (low + high) / 2
		if Distinct(middle, draws) < want {
			low = middle
		} else {
			high = middle
		}
	}
	return low
}
