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
	wide    float64 // how many source samples a unit of the kernel covers
	padding int     // output samples are rounded up to a multiple of it
}

// filter is the weights of an axis. Taps come in pairs that begin at an even
// source sample, which is how the vector kernels multiply.
type filter struct {
	axis   axis
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

// build makes the filter of an axis. Weights that other, finished filters
// hold already are taken over: the chroma of a picture mostly wants those of
// its luma, and its height those of its width.
func (a axis) build(others ...*filter) *filter {
	// As many taps for every sample, though some weigh nothing: loops of one
	// length are what processors foresee.
	taps := int(math.Floor(2*a.kernel.support()*a.wide)) + 1
	if a.kernel == Nearest {
		taps = 1
	}
	inside := min(taps, a.hi-a.lo)
	n := (a.n + a.padding - 1) / a.padding * a.padding
	f := &filter{axis: a, n: n, start: make([]int32, n), count: make([]int32, n)}
	b := builder{
		f: f, taps: taps,
		room:   inside/2 + 1, // pairs that so many samples from an odd one touch
		values: make([]int32, inside),
		table:  a.kernel.table(),
	}
	b.weight = make([]int16, n*2*b.room)
	done := 0
	for _, other := range others {
		if other != nil && other.axis.phase() == a.phase() {
			done = b.take(other, done)
		}
	}
	for i := done; i < a.n; i++ {
		b.make(i)
	}
	for i := range a.n {
		f.pairs = max(f.pairs, int(f.count[i]))
		f.hi = max(f.hi, int(f.start[i]+2*f.count[i]))
	}
	f.hi = min(f.hi, a.hi)
	for i := a.n; i < n; i++ { // padding repeats the place of the last and weighs nothing
		f.start[i], f.count[i] = f.start[a.n-1], 1
	}
	f.lo = int(f.start[0])
	f.compact(b.weight, b.room)
	return f
}

// phase is what axes have in common whose samples have the same weights,
// away from the end.
type phase struct {
	offset, step, wide float64
	lo                 int
	kernel             Kernel
}

func (a axis) phase() phase { return phase{a.offset, a.step, a.wide, a.lo, a.kernel} }

// builder is a filter in the making.
type builder struct {
	f      *filter
	taps   int     // of every output sample away from the ends
	room   int     // pairs of taps that weight has room for, for each output sample
	weight []int16 // of output sample i from 2*room*i
	values []int32 // scratch
	table  []knot
}

// make gives output sample i its weights. They depend on the axis's phase,
// on i and, near the end, on where the source ends, and on nothing else: a result must not
// depend on which filters happened to be there.
func (b *builder) make(i int) {
	a := &b.f.axis
	support := a.kernel.support() * a.wide
	centre := a.offset + (float64(i)+0.5)*a.step
	first, last := a.span(centre, support, b.taps)
	part := b.values[:last-first+1]
	at := ((float64(first)+0.5-centre)/a.wide + a.kernel.support()) * tableSteps
	sum := weigh(part, b.table, int64(max(at, 0)*stepOne), int64(tableSteps/a.wide*stepOne))
	start := first &^ 1
	last = first + quantize(b.weight[i*2*b.room+first-start:][:len(part)], part, sum)
	b.f.start[i], b.f.count[i] = int32(start), int32((last-start)/2+1)
}

// take takes over what another filter has, from output sample i on, and
// returns the first it does not: those at the end, where the source ends
// elsewhere.
func (b *builder) take(other *filter, i int) int {
	reach := min(b.f.axis.hi, other.axis.hi)
	for ; i < min(b.f.axis.n, other.axis.n); i++ {
		start, count := other.start[i], other.count[i]
		if int(start)+b.taps+1 > reach || int(count) > b.room {
			break
		}
		b.f.start[i], b.f.count[i] = start, count
		copy(b.weight[i*2*b.room:][:2*count], other.weight[i*2*other.pairs:])
	}
	return i
}

// span returns the first and last of the samples whose centres are within
// reach, at most taps, at least one.
func (a axis) span(centre, support float64, taps int) (first, last int) {
	if a.kernel != Nearest {
		first = int(math.Ceil(centre - support - 0.5))
		last = min(first+taps, a.hi) - 1
		first = max(first, a.lo)
		if last >= first {
			return first, last
		}
	}
	near := min(max(int(math.Floor(centre)), a.lo), a.hi-1)
	return near, near
}

// stepOne is one step of a kernel's table in the fixed point of weigh.
const stepOne = 1 << 32

// weigh gives the kernel at the places at, at+step, ... of its table, and
// the sum.
func weigh(values []int32, table []knot, at, step int64) (sum int64) {
	for i := range values {
		k := min(int(at>>32), len(table)-1)
		t := table[k]
		v := t.value + int32(int64(t.gain)*int64(uint32(at)>>1)>>31)
		values[i] = v
		sum += int64(v)
		at += step
	}
	return sum
}

// quantize scales values to weights that sum to exactly 1<<weightBits,
// carrying each rounding error to the next. It returns the index of the last
// weight that is not zero.
func quantize(to []int16, values []int32, sum int64) int {
	to = to[:len(values)]
	last := len(values) - 1
	if sum < 1<<(knotBits-10) { // all taps at the kernel's zeros: take one
		clear(to)
		to[last/2] = 1 << weightBits
		return last / 2
	}
	const point = 62 - weightBits - 1 // no sum of weights reaches 2
	scale := int64(1<<(weightBits+point)) / sum
	exact, before := int64(1<<(point-1)), int64(0)
	for i, v := range values {
		exact += int64(v) * scale
		now := exact >> point
		to[i] = int16(now - before)
		before = now
	}
	to[last] += int16(1<<weightBits - before)
	for last > 0 && to[last] == 0 {
		last--
	}
	return last
}

// compact stores the weights with just the room they need.
func (f *filter) compact(all []int16, room int) {
	if f.pairs == room {
		f.weight = all
		return
	}
	f.weight = make([]int16, f.n*2*f.pairs)
	for i := range f.n {
		copy(f.weight[i*2*f.pairs:(i+1)*2*f.pairs], all[i*2*room:(i+1)*2*room])
	}
}
