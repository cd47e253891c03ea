package zipf_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/kamado/kamado/images/bench/zipf"
)

// TestRanksComeAsTheLawSays compares a million draws with the exact
// distribution. With 99 degrees of freedom chi-square is above 149 once in a
// thousand times; the seed is fixed, so this once does not come.
func TestRanksComeAsTheLawSays(t *testing.T) {
	t.Parallel()
	const n, draws = 100, 1_000_000
	s, random := zipf.New(n), rand.New(rand.NewPCG(1, 2))
	seen := make([]int, n+1)
	for range draws {
		k := s.Rank(random)
		if k < 1 || k > n {
			t.Fatalf("Rank() = %d, want 1..%d", k, n)
		}
		seen[k]++
	}
	h, chi := zipf.Harmonic(n), 0.0
	for k := 1; k <= n; k++ {
		want := draws / (float64(k) * h)
		chi += (float64(seen[k]) - want) * (float64(seen[k]) - want) / want
	}
	if chi > 149 {
		t.Errorf("chi-square of %d draws = %.1f, want below 149", draws, chi)
	}
}

// TestEightMillionRanks: the shares of the head and of the tail.
func TestEightMillionRanks(t *testing.T) {
	t.Parallel()
	const n, draws = 8_000_000, 400_000
	s, random := zipf.New(n), rand.New(rand.NewPCG(3, 4))
	var first, thousand, tail int
	for range draws {
		switch k := s.Rank(random); {
		case k == 1:
			first++
			thousand++
		case k <= 1000:
			thousand++
		case k > n/2:
			tail++
		}
	}
	h := zipf.Harmonic(n)
	for _, c := range []struct {
		name string
		got  int
		want float64
	}{
		{"rank 1", first, 1 / h},
		{"ranks 1..1000", thousand, zipf.Harmonic(1000) / h},
		{"ranks above n/2", tail, (h - zipf.Harmonic(n/2)) / h},
	} {
		// Five standard deviations of a binomial count.
		slack := 5 * math.Sqrt(draws*c.want*(1-c.want))
		if d := float64(c.got) - draws*c.want; math.Abs(d) > slack {
			t.Errorf("%s: %d of %d, want %.0f ± %.0f", c.name, c.got, draws, draws*c.want, slack)
		}
	}
}

func TestFewRanks(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(5, 6))
	for range 1000 {
		if k := zipf.New(1).Rank(random); k != 1 {
			t.Fatalf("Rank() of one = %d", k)
		}
	}
	ones := 0
	for range 30_000 {
		if zipf.New(2).Rank(random) == 1 {
			ones++
		}
	}
	if math.Abs(float64(ones)-20_000) > 5*math.Sqrt(30_000*2/9.) {
		t.Errorf("rank 1 of two: %d of 30000, want 20000", ones)
	}
}

func TestHarmonic(t *testing.T) {
	t.Parallel()
	if got := zipf.Harmonic(4); math.Abs(got-25./12) > 1e-12 {
		t.Errorf("Harmonic(4) = %v, want 25/12", got)
	}
	// The formula and the sum meet.
	if d := zipf.Harmonic(100_001) - zipf.Harmonic(100_000) - 1/100_001.; math.Abs(d) > 1e-9 {
		t.Errorf("Harmonic jumps by %g", d)
	}
}

// TestRanksForGivesTheShare: what is computed is what is drawn.
func TestRanksForGivesTheShare(t *testing.T) {
	t.Parallel()
	const draws = 5000
	for _, share := range []float64{0.5, 0.8, 0.9} {
		n := zipf.RanksFor(draws, share)
		s, random := zipf.New(n), rand.New(rand.NewPCG(7, 8))
		seen := map[int]bool{}
		for range draws {
			seen[s.Rank(random)] = true
		}
		if got := 1 - float64(len(seen))/draws; math.Abs(got-share) > 0.02 {
			t.Errorf("RanksFor(%d, %.1f) = %d, with which %.3f hit", draws, share, n, got)
		}
	}
}

// TestDistinctIsTheSum: what is taken together is what adds up alone.
func TestDistinctIsTheSum(t *testing.T) {
	t.Parallel()
	const n, draws = 50_000, 20_000
	h, want := zipf.Harmonic(n), 0.0
	for k := 1; k <= n; k++ {
		want += 1 - math.Pow(1-1/(float64(k)*h), draws)
	}
	if got := zipf.Distinct(n, draws); math.Abs(got/want-1) > 1e-6 {
		t.Errorf("Distinct(%d, %d) = %.3f, want %.3f", n, draws, got, want)
	}
}

func BenchmarkRank(b *testing.B) {
	s, random := zipf.New(8_000_000), rand.New(rand.NewPCG(1, 1))
	for b.Loop() {
		s.Rank(random)
	}
}
