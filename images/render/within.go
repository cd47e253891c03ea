package render

import (
	"fmt"
	"math"

	"github.com/kamado/kamado/images"
)

const (
	// encodingsMax bounds how often a rendition with MaxBytes is encoded.
	encodingsMax = 6
	// qualityLeast is the lowest quality that MaxBytes leads to; below it,
	// pictures in all formats fall apart into blocks and grow hardly smaller.
	qualityLeast = 10
)

// within calls encode with the rendition's quality, and where the file is longer than
// MaxBytes with lower ones, for the highest that fits of those it tries. It
// returns a copy of the file and its quality; TooLarge when none fits.
func (j *job) within(encode func(quality int) ([]byte, error)) ([]byte, int, error) {
	q, limit := j.want.Quality, j.want.MaxBytes
	data, err := encode(q)
	if err != nil || limit == 0 || len(data) <= limit {
		return append([]byte(nil), data...), q, err
	}
	s := search{limit: limit, low: qualityLeast, high: q, highBytes: len(data)}
	var best []byte
	for n := 1; n < encodingsMax && s.low < s.high; n++ {
		q = s.next(encodingsMax - n)
		if data, err = encode(q); err != nil {
			return nil, 0, err
		}
		if s.tell(q, len(data)) {
			best = append(best[:0], data...)
		}
	}
	if best == nil {
		return nil, 0, &images.Error{Kind: images.TooLarge, Part: "max_bytes",
			Detail: fmt.Sprintf("the rendition takes %d bytes at quality %d, the lowest, more than the %d allowed: ask for a smaller size", len(data), q, limit)}
	}
	return best, s.fits, nil
}

// search narrows down the highest quality whose file is short enough. Sizes
// are nearly exponential in quality between two near qualities, so it goes
// where the line through two of them, in the logarithm, meets the limit.
type search struct {
	limit int
	low   int // the lowest that may still be the answer
	fits  int // the highest known to fit; 0: none
	high  int // the lowest known not to fit

	fitsBytes, highBytes int
	before, beforeBytes  int // did not fit before high; 0: none
	side                 int // how many times in a row the last ones fitted, less than 0: did not
}

// next is the quality to try when so many tries are left. The last one is the
// lowest when nothing fitted yet.
func (s *search) next(left int) int {
	if left == 1 && s.fits == 0 || s.high-s.low == 1 {
		return s.low
	}
	over := math.Log(float64(s.highBytes) / float64(s.limit))
	q := 0
	switch {
	case s.fits > 0 && (s.side > 1 || s.side < -1): // the line is bent: halve what is left
		q = (s.fits + s.high) / 2
	case s.fits > 0:
		q = s.high - int(math.Ceil(over/s.slope(s.fits, s.fitsBytes)))
	case s.before > 0:
		q = s.high - int(math.Ceil(over/s.slope(s.before, s.beforeBytes)))
	case s.high > 80: // files shrink by a thirtieth for each step down from here
		q = s.high - int(math.Ceil(over*30))
	default: // and by a fiftieth or less
		q = s.high - int(math.Ceil(over*50))
	}
	return min(max(q, s.low), s.high-1)
}

// slope is how much the logarithm of the size grows for each step of quality
// between high and another one.
func (s *search) slope(q, bytes int) float64 {
	v := math.Log(float64(s.highBytes)/float64(bytes)) / float64(s.high-q)
	return max(v, 1e-3) // sizes that do not grow say nothing
}

// tell notes what a quality led to, and says whether it is the best so far.
func (s *search) tell(q, bytes int) bool {
	if bytes > s.limit {
		s.before, s.beforeBytes = s.high, s.highBytes
		s.high, s.highBytes = q, bytes
		s.side = min(s.side, 0) - 1
		return false
	}
	s.low, s.fits, s.fitsBytes = q+1, q, bytes
	s.side = max(s.side, 0) + 1
	return true
}
