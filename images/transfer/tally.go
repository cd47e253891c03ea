package transfer

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
)

// outcome is what became of a key.
type outcome struct {
	what  verdict
	bytes int64
	err   error // why it failed
}

type verdict uint8

const (
	failed verdict = iota
	copied
	linked
	skipped
	gone
)

// entry is one key of the window.
type entry struct {
	key      string
	advances bool // the watermark; not for keys that are tried again
	finished bool
	outcome  outcome
}

// tally counts finished keys in the order in which they were begun, so that its
// counts, its failures and its watermark belong together at any moment. Safe
// for concurrent use.
type tally struct {
	room chan struct{} // one token for each key of the window

	mu        sync.Mutex
	window    [windowMax]entry // a ring; seq s lies at s % windowMax
	oldest    uint64           // seq of the oldest key that is not finished
	next      uint64           // seq of the next key that is begun; next - oldest ≤ windowMax
	counts    counts
	watermark string
	failedOf  map[string]string // key: error; those of an earlier run, or at most FailuresMax + windowMax
	failing   int64             // keys that failed in this run
	version   uint64            // changes with everything above

	total, totalBytes int64 // -1: unknown
	base, baseBytes   int64 // what earlier runs did, for the total

	samples []sample // of the last tellings, at most samplesMax
}

// counts are keys by what became of them.
type counts struct {
	Done    int64 `json:"done"`
	Copied  int64 `json:"copied"`
	Linked  int64 `json:"linked"`
	Skipped int64 `json:"skipped"`
	Gone    int64 `json:"gone"`
	Failed  int64 `json:"failed"`
	Bytes   int64 `json:"bytes"`
}

func newTally(s state) *tally {
	t := &tally{
		room: make(chan struct{}, windowMax), counts: s.counts, watermark: s.Watermark, failedOf: map[string]string{},
		total: -1, totalBytes: -1, base: s.Done, baseBytes: s.Bytes,
	}
	for _, f := range s.Failures {
		t.failedOf[f.Key] = f.Error
	}
	return t
}

// begin waits for room in the window and gives a key its place. It is called by
// one goroutine.
func (t *tally) begin(ctx context.Context, key string, advances bool) (seq uint64, err error) {
	select {
	case t.room <- struct{}{}:
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	seq = t.next
	t.next++
	t.window[seq%windowMax] = entry{key: key, advances: advances}
	return seq, nil
}

// finish notes what became of a key, and gives the number of failures in this
// run: those of earlier runs are being tried again.
func (t *tally) finish(seq uint64, o outcome) (failures int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	e := &t.window[seq%windowMax]
	e.finished, e.outcome = true, o
	if o.what == failed {
		t.failing++ // now, not when the watermark comes by: it may be held
	}
	for t.oldest < t.next && t.window[t.oldest%windowMax].finished {
		t.commit(&t.window[t.oldest%windowMax])
		t.window[t.oldest%windowMax] = entry{}
		t.oldest++
		<-t.room
	}
	return t.failing
}

// commit counts the oldest key of the window.
func (t *tally) commit(e *entry) {
	t.version++
	if e.advances {
		t.watermark = e.key
	} else if _, again := t.failedOf[e.key]; again {
		delete(t.failedOf, e.key)
		t.counts.Failed--
		t.counts.Done--
	}
	t.counts.Done++
	switch e.outcome.what {
	case copied:
		t.counts.Copied++
	case linked:
		t.counts.Linked++
	case skipped:
		t.counts.Skipped++
	case gone:
		t.counts.Gone++
	case failed:
		t.counts.Failed++
		t.failedOf[e.key] = tellable(e.outcome.err)
	}
	t.counts.Bytes += e.outcome.bytes
}

// counted tells the total that a second listing gave.
func (t *tally) counted(keys, bytes int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.total, t.totalBytes = t.base+keys, t.baseBytes+bytes
}

// listed tells that everything was gone through: the total is what is done.
func (t *tally) listed() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.total = t.counts.Done
}

// failures are the keys that failed, in order.
func (t *tally) failures() []Failure {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.failuresLocked()
}

// Preconditions: t.mu is held.
func (t *tally) failuresLocked() []Failure {
	list := make([]Failure, 0, len(t.failedOf))
	for _, key := range slices.Sorted(maps.Keys(t.failedOf)) {
		list = append(list, Failure{key, t.failedOf[key]})
	}
	return list
}

// state is what a checkpoint keeps. whole says that every key was gone through.
func (t *tally) state(whole bool) (state, uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return state{counts: t.counts, Watermark: t.watermark, Whole: whole, Failures: t.failuresLocked()}, t.version
}

// errorBytesMax bounds the text of a failure. Unit: bytes.
const errorBytesMax = 512

// tellable is an error in one bounded line.
func tellable(err error) string {
	if err == nil {
		return ""
	}
	text := strings.Map(func(r rune) rune {
		if r < 0x20 || r == 0x7f {
			return ' '
		}
		return r
	}, err.Error())
	if len(text) > errorBytesMax {
		text = strings.ToValidUTF8(text[:errorBytesMax-3], "") + "..."
	}
	return text
}
