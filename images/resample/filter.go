package resample

import "math"

// weightBits is the number of fraction bits of a weight: 1 is 1<<14, which leaves room
// in 16 bits for the overshoot of any kernel.
const weightBits = 14

// axis says how the samples of a result lie over those of a source, along
// one direction. It is the key of the filter cache.
type axis struct {
	offset  float64 // where the first output sample begins, in source samples
	step    float64 // source samples per output sample
	n       int     // output samples
	lo, hi  int     // source samples that may be looked at: lo..hi-1
	kernel  Kernel
	padding int // output samples are rounded up to a multiple of it
}

// filter is the weights of an axis. Taps come in pairs that begin at an even
// source sample, which is how the vector kernels multiply.
type filter struct {
	n      int     // output samples, with padding
	pairs  int     // room for pairs of taps of one output sample
	start  []int32 // of each output sample: its first source sample, even; never decreasing
	count  []int32 // of each output sample: pairs in use, 1..pairs
	weight []int16 // of output sample i from 2*pairs*i
	lo, hi int     // source samples in use: lo, which is even, to hi-1
}

// bytes is what a filter weighs in the cache.
func (f *filter) bytes() int {
	return 8*len(f.start) + 2*len(f.weight) + filterOverhead
}

// filterOverhead is what an entry of the cache takes beside its slices, about.
const filterOverhead = 256

// build makes the filter of an axis.
func (a axis) build() *filter {
	wide := max(a.step, 1) // the kernel is as wide as the coarser grid asks
	support := a.kernel.support() * wide
	taps := int(math.Ceil(2*support)) + 1
	if a.kernel == Nearest {
		taps = 1
	}
	taps = min(taps, a.hi-a.lo)
	n := (a.n + a.padding - 1) / a.padding * a.padding
	f := &filter{
		n:     n,
		start: make([]int32, n),
		count: make([]int32, n),
	}
	room := taps/2 + 1 // pairs that taps samples from an odd one touch
	all := make([]int16, n*2*room)
	values := make([]float64, taps)
	table := a.kernel.table()
	for i := range a.n {
		centre := a.offset + (float64(i)+0.5)*a.step
		first, last := a.span(centre, support)
		weigh(values[:last-first+1], table, (float64(first)+0.5-centre)/wide, 1/wide)
		start := first &^ 1
		last = quantize(all[i*2*room+first-start:], values[:last-first+1], first)
		f.start[i] = int32(start)
		f.count[i] = int32((last-start)/2 + 1)
		f.pairs = max(f.pairs, int(f.count[i]))
		f.hi = max(f.hi, last+1)
	}
	for i := a.n; i < n; i++ { // padding repeats the place of the last and weighs nothing
		f.start[i], f.count[i] = f.start[a.n-1], 1
	}
	f.lo = int(f.start[0])
	f.compact(all, room)
	return f
}

// span returns the first and last sample whose centres are within reach.
func (a axis) span(centre, support float64) (first, last int) {
	if a.kernel != Nearest {
		first = max(int(math.Ceil(centre-support-0.5)), a.lo)
		last = min(int(math.Floor(centre+support-0.5)), a.hi-1)
		if last-first >= 0 {
			return first, last
		}
	}
	near := min(max(int(math.Floor(centre)), a.lo), a.hi-1)
	return near, near
}

// weigh gives the kernel at from, from+step, ..., then makes the sum 1.
func weigh(values []float64, table []float64, from, step float64) {
	sum := 0.0
	for i := range values {
		at := math.Abs(from+float64(i)*step) * tableSteps
		k := int(at)
		if k+1 < len(table) {
			values[i] = table[k] + (table[k+1]-table[k])*(at-float64(k))
		} else {
			values[i] = 0
		}
		sum += values[i]
	}
	if math.Abs(sum) < 1e-3 { // all taps at the kernel's zeros: take them alike
		for i := range values {
			values[i] = 1 / float64(len(values))
		}
		return
	}
	for i := range values {
		values[i] /= sum
	}
}

// quantize rounds values to weights that sum to exactly 1<<weightBits,
// carrying each rounding error to the next. It returns the sample of the last
// weight that is not zero; the first value belongs to sample first.
func quantize(to []int16, values []float64, first int) (last int) {
	sum, before := 0.0, 0
	for i, v := range values {
		sum += v * (1 << weightBits)
		now := int(math.Floor(sum + 0.5))
		if i == len(values)-1 {
			now = 1 << weightBits
		}
		to[i] = int16(now - before)
		if now != before {
			last = first + i
		}
		before = now
	}
	return last
}

// compact stores the weights with just the room they need.
func (f *filter) compact(all []int16, room int) {
	f.weight = make([]int16, f.n*2*f.pairs)
	for i := range f.n {
		copy(f.weight[i*2*f.pairs:(i+1)*2*f.pairs], all[i*2*room:(i+1)*2*room])
	}
}
