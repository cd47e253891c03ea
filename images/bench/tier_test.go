package bench

import (
	"math"
	"testing"
)

// TestTierRequestsHitAsOftenAsTold: the share of renditions that were asked for
// before is what the hit rate says, by renditions and not by ranks.
func TestTierRequestsHitAsOftenAsTold(t *testing.T) {
	t.Parallel()
	group := make([]*original, 12)
	for i := range group {
		group[i] = &original{id: string(rune('a' + i))}
	}
	for _, rate := range DefaultTier().HitRates {
		batch, hits, err := tierJobs(group, 1500, rate)
		if err != nil {
			t.Fatal(err)
		}
		seen, again := map[job]bool{}, 0
		for _, j := range batch {
			if seen[j] {
				again++
			}
			seen[j] = true
			if j.width*aspectHeight != j.height*aspectWidth || j.quality < 1 || j.quality > 100 {
				t.Fatalf("job %dx%d, quality %d", j.width, j.height, j.quality)
			}
		}
		if got := float64(again) / 1500; math.Abs(got-hits) > 1e-9 || math.Abs(got-rate) > 0.03 {
			t.Errorf("hit rate %.2f: %.3f of the requests come again, told %.3f", rate, got, hits)
		}
	}
	if _, _, err := tierJobs(group, 100_000, 0.5); err == nil {
		t.Error("twelve originals have renditions for a hundred thousand requests")
	}
}
