package bench

import (
	"math"
	"math/bits"
	"time"
)

// The histogram has 64 buckets for each doubling, so a percentile is right to 1.6 %.
const (
	histogramPart = 64
	histogramBits = 6 // 2^6 = histogramPart
	histogramSize = (64 - histogramBits + 1) * histogramPart
)

// histogram counts durations in nanoseconds.
type histogram struct {
	counts [histogramSize]int
	n      int
	max    int64
}

func (h *histogram) add(d int64) {
	d = max(d, 0)
	h.counts[bucket(d)]++
	h.n++
	h.max = max(h.max, d)
}

func bucket(d int64) int {
	e := max(bits.Len64(uint64(d))-histogramBits-1, 0)
	return e*histogramPart + int(d>>e)
}

// lower is the least duration of a bucket.
func lower(b int) int64 {
	if b < 2*histogramPart {
		return int64(b)
	}
	e := b/histogramPart - 1
	return int64(b-e*histogramPart) << e
}

// percentile is the duration that a part of all does not exceed.
func (h *histogram) percentile(part float64) time.Duration {
	want := int(math.Ceil(part * float64(h.n)))
	for b, n := range h.counts {
		if want -= n; want <= 0 && h.n > 0 {
			return time.Duration(min(lower(b+1)-1, h.max))
		}
	}
	return 0
}

// merge adds what another one counted.
func (h *histogram) merge(o *histogram) {
	for i, n := range o.counts {
		h.counts[i] += n
	}
	h.n += o.n
	h.max = max(h.max, o.max)
}
