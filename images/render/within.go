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
// are nearly exponential in quality between two near qualities.
type search struct {
	limit     int
	low       int // the lowest that may still be the answer
	high      int // does not fit
	highBytes int
	fits      int // the highest known to fit; 0: none
	fitsBytes int
}

// next is the quality to try when so many tries are left. The last one is the
// lowest when nothing fitted yet.
func (s *search) next(left int) int {
	if left == 1 && s.fits == 0 || s.high-s.low == 1 {
		return s.low
	}
	over := math.Log(float64(s.highBytes) / float64(s.limit))
	var q int
	if s.fits > 0 && s.highBytes > s.fitsBytes {
		all := math.Log(float64(s.highBytes) / float64(s.fitsBytes))
		q = s.high - int(math.Ceil(float64(s.high-s.fits)*over/all))
	} else {
		// A file shrinks by a thirtieth for each step of quality at 80 and
		// above, by a fiftieth or less below.
		slope := 0.02
		if s.high > 80 {
			slope = 0.033
		}
		q = s.high - int(math.Ceil(over/slope))
	}
	return min(max(q, s.low), s.high-1)
}

// tell notes what a quality led to, and says whether it is the best so far.
func (s *search) tell(q, bytes int) bool {
	if bytes > s.limit {
		s.high, s.highBytes = q, bytes
		return false
	}
	s.low, s.fits, s.fitsBytes = q+1, q, bytes
	return true
}
