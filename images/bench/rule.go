package bench

import (
	"fmt"
	"slices"
)

// The quality rule: a speed counts only at the peer's quality.
const (
	scoreSlack    = 0.5  // ssimulacra2 points that kamado's mean may lie below the peer's
	psnrSlack     = 0.3  // dB that kamado's mean may lie below the peer's
	bytesRatioMax = 1.03 // kamado's bytes over the peer's
)

// quality is the mean over the pictures of a class.
type quality struct {
	psnr     float64
	score    float64
	scoreMin float64 // of the worst picture
	scored   bool
	bytes    float64
}

// rule compares two means and says by what it judged and what broke it.
func rule(ours, peer quality) (by string, broken []string) {
	by = "PSNR, bytes"
	if ours.scored && peer.scored {
		by = "ssimulacra2, PSNR, bytes"
		if d := ours.score - peer.score; d < -scoreSlack {
			broken = append(broken, fmt.Sprintf("ssimulacra2 %+.2f, allowed %+.1f", d, -scoreSlack))
		}
	}
	if d := ours.psnr - peer.psnr; d < -psnrSlack {
		broken = append(broken, fmt.Sprintf("PSNR %+.2f dB, allowed %+.1f", d, -psnrSlack))
	}
	if ratio := ours.bytes / peer.bytes; ratio > bytesRatioMax {
		broken = append(broken, fmt.Sprintf("bytes %.3fx, allowed %.2fx", ratio, bytesRatioMax))
	}
	return by, broken
}

// Spread is how a figure varied over the rounds.
type Spread struct {
	Min    float64 `json:"min"`
	Median float64 `json:"median"`
	Max    float64 `json:"max"`
}

// spread of no values is zero. The median of an even number is the mean of the
// two in the middle.
func spread(values []float64) Spread {
	if len(values) == 0 {
		return Spread{}
	}
	v := slices.Sorted(slices.Values(values))
	middle := (v[(len(v)-1)/2] + v[len(v)/2]) / 2
	return Spread{Min: v[0], Median: middle, Max: v[len(v)-1]}
}

// ratios divides round by round, leaving out rounds in which a side has nothing.
func ratios(ours, peer []float64) []float64 {
	var out []float64
	for i := range min(len(ours), len(peer)) {
		if ours[i] > 0 && peer[i] > 0 {
			out = append(out, ours[i]/peer[i])
		}
	}
	return out
}

func mean(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	var sum float64
	for _, v := range values {
		sum += v
	}
	return sum / float64(len(values))
}
