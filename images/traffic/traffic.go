// Package traffic remembers what was asked of the room lately, for a person who
// looks: requests and bytes minute by minute, the originals that are asked for
// most, the renditions that took longest, and the errors.
//
// Vocabulary: an hour is kept as 60 minutes that overwrite each other. The
// originals asked for most are counted by Space-Saving (Metwally, Agrawal, El
// Abbadi 2005): with hittersMax counters every original that has more than
// 1/hittersMax of all requests is among them, and a count is too high by at most
// its Error. Counts are halved every hour, so that yesterday's favourites go.
//
// Invariant: memory does not grow with traffic or with the number of originals.
// Metrics count exactly and for machines; this is for eyes.
package traffic

import (
	"cmp"
	"container/heap"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/kamado/kamado/images/delivery"
)

// Bounds of what is remembered.
const (
	minutes    = 60
	hittersMax = 256 // originals that are counted
	slowMax    = 32  // renditions that took longest in this hour, and in the one before
	errorsMax  = 32  // errors, the latest
	textMax    = 300 // bytes of one remembered text
)

// Minute is what happened in one minute.
type Minute struct {
	Start    time.Time     `json:"start"`
	Requests uint64        `json:"requests"`
	Errors   uint64        `json:"errors"`
	Hits     uint64        `json:"hits"`     // from a cache, or 304
	Rendered uint64        `json:"rendered"` // made, alone or together with others
	Bytes    uint64        `json:"bytes"`    // sent
	Time     time.Duration `json:"time"`     // of all requests together, in nanoseconds
}

// Hitter is an original that is asked for much.
type Hitter struct {
	Original string `json:"original"`
	Requests uint64 `json:"requests"`
	Error    uint64 `json:"error"` // Requests may be too high by so much
	Bytes    uint64 `json:"bytes"` // since it is counted
}

// Slow is a rendition that took long.
type Slow struct {
	At        time.Time     `json:"at"`
	Original  string        `json:"original"`
	Rendition string        `json:"rendition"`
	Outcome   string        `json:"outcome"`
	Took      time.Duration `json:"took"` // nanoseconds
	RequestID string        `json:"request_id,omitempty"`
}

// Failure is a request that got no picture.
type Failure struct {
	At        time.Time `json:"at"`
	Original  string    `json:"original"`
	Rendition string    `json:"rendition"`
	Status    int       `json:"status"`
	Detail    string    `json:"detail"`
	RequestID string    `json:"request_id,omitempty"`
}

// Report is what is remembered.
type Report struct {
	Minutes []Minute  `json:"minutes"` // the last hour, oldest first, without those before the start
	Top     []Hitter  `json:"top"`     // most requests first
	Slowest []Slow    `json:"slowest"` // longest first
	Errors  []Failure `json:"errors"`  // latest first
}

// Recorder remembers. Safe for concurrent use.
type Recorder struct {
	now func() time.Time

	mu      sync.Mutex
	ring    [minutes]Minute // at the minute of the epoch modulo their number
	hitters hitters
	slow    [2][]Slow // this hour and the one before, longest first
	failed  []Failure // a ring, next is where the oldest lies
	next    int
	hour    int64 // of the epoch, that slow[0] and the counts belong to
}

// New makes a Recorder; now is nil for the real clock.
func New(now func() time.Time) *Recorder {
	if now == nil {
		now = time.Now
	}
	return &Recorder{now: now, hitters: hitters{at: make(map[string]*counter, hittersMax)}}
}

// Observe remembers one answered request. It does not wait for anything but
// other observers.
func (r *Recorder) Observe(e delivery.Event) {
	now := r.now()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.turn(now)
	m := r.minute(now)
	m.Requests++
	m.Bytes += uint64(e.Bytes)
	m.Time += e.Took
	switch e.Outcome {
	case delivery.OutcomeMemory, delivery.OutcomeDisk, delivery.OutcomeNotModified:
		m.Hits++
	case delivery.OutcomeRendered, delivery.OutcomeShared:
		m.Rendered++
	case delivery.OutcomeError:
		m.Errors++
		r.fail(now, &e)
	}
	// Originals that are not there are nobody's favourites: an attacker's
	// inventions would push the real ones out.
	if e.Original != "" && !e.Refused() {
		r.hitters.add(clip(e.Original), uint64(e.Bytes))
		r.took(now, &e)
	}
}

// minute is the current one, emptied when it is an old one's place.
func (r *Recorder) minute(now time.Time) *Minute {
	start := now.Truncate(time.Minute)
	m := &r.ring[now.Unix()/60%minutes]
	if !m.Start.Equal(start) {
		*m = Minute{Start: start}
	}
	return m
}

// turn begins a new hour.
func (r *Recorder) turn(now time.Time) {
	hour := now.Unix() / 3600
	if hour == r.hour {
		return
	}
	r.slow[1], r.slow[0] = r.slow[0], nil
	if hour != r.hour+1 {
		r.slow[1] = nil
	}
	r.hour = hour
	r.hitters.halve()
}

func (r *Recorder) took(now time.Time, e *delivery.Event) {
	list := r.slow[0]
	if len(list) == slowMax && e.Took <= list[slowMax-1].Took {
		return
	}
	s := Slow{At: now.UTC(), Original: clip(e.Original), Rendition: clip(e.Rendition), Outcome: e.Outcome.String(), Took: e.Took, RequestID: e.RequestID}
	at, _ := slices.BinarySearchFunc(list, s, func(a, b Slow) int { return cmp.Compare(b.Took, a.Took) })
	list = slices.Insert(list, at, s)
	r.slow[0] = list[:min(len(list), slowMax)]
}

func (r *Recorder) fail(now time.Time, e *delivery.Event) {
	if e.Status == http.StatusNotFound && e.Original == "" {
		return
	}
	f := Failure{At: now.UTC(), Original: clip(e.Original), Rendition: clip(e.Rendition), Status: e.Status, Detail: clip(e.Detail), RequestID: e.RequestID}
	if len(r.failed) < errorsMax {
		r.failed = append(r.failed, f)
		return
	}
	r.failed[r.next] = f
	r.next = (r.next + 1) % errorsMax
}

// clip bounds what is remembered of a text.
func clip(s string) string {
	if len(s) > textMax {
		return s[:textMax] + "..."
	}
	return s
}

// Report gives what is remembered, with at most so many originals.
func (r *Recorder) Report(top int) Report {
	now := r.now()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.turn(now)
	rep := Report{Minutes: []Minute{}, Top: r.hitters.list(top), Slowest: []Slow{}, Errors: []Failure{}}
	first := now.Truncate(time.Minute).Add(-(minutes - 1) * time.Minute)
	for i := range minutes {
		at := first.Add(time.Duration(i) * time.Minute)
		m := r.ring[at.Unix()/60%minutes]
		if m.Start.Equal(at) {
			m.Start = m.Start.UTC()
			rep.Minutes = append(rep.Minutes, m)
		} else if len(rep.Minutes) > 0 {
			rep.Minutes = append(rep.Minutes, Minute{Start: at.UTC()})
		}
	}
	rep.Slowest = append(append(rep.Slowest, r.slow[0]...), r.slow[1]...)
	slices.SortStableFunc(rep.Slowest, func(a, b Slow) int { return cmp.Compare(b.Took, a.Took) })
	rep.Slowest = rep.Slowest[:min(len(rep.Slowest), slowMax)]
	for i := range r.failed {
		rep.Errors = append(rep.Errors, r.failed[(r.next+len(r.failed)-1-i)%len(r.failed)])
	}
	return rep
}

// hitters are the counters of Space-Saving: a map, and a heap with the lowest
// count on top.
type hitters struct {
	at   map[string]*counter
	heap []*counter
}

type counter struct {
	Hitter
	index int // in the heap
}

func (h *hitters) add(original string, bytes uint64) {
	c := h.at[original]
	switch {
	case c != nil:
	case len(h.heap) < hittersMax:
		c = &counter{Hitter: Hitter{Original: original}, index: len(h.heap)}
		h.at[original] = c
		h.heap = append(h.heap, c)
	default:
		// The newcomer takes the place and the count of the least.
		c = h.heap[0]
		delete(h.at, c.Original)
		c.Original, c.Error, c.Bytes = original, c.Requests, 0
		h.at[original] = c
	}
	c.Requests++
	c.Bytes += bytes
	heap.Fix(h, c.index)
}

func (h *hitters) halve() {
	for _, c := range h.heap {
		c.Requests, c.Error, c.Bytes = c.Requests/2, c.Error/2, c.Bytes/2
	}
	heap.Init(h)
}

func (h *hitters) list(most int) []Hitter {
	list := make([]Hitter, 0, len(h.heap))
	for _, c := range h.heap {
		if c.Requests > 0 {
			list = append(list, c.Hitter)
		}
	}
	slices.SortFunc(list, func(a, b Hitter) int {
		return cmp.Or(cmp.Compare(b.Requests, a.Requests), cmp.Compare(a.Original, b.Original))
	})
	return list[:min(len(list), most)]
}

// Len, Less, Swap, Push and Pop are heap.Interface; the number of counters never
// shrinks, so nothing is pushed or popped.
func (h *hitters) Len() int           { return len(h.heap) }
func (h *hitters) Less(i, j int) bool { return h.heap[i].Requests < h.heap[j].Requests }
func (h *hitters) Swap(i, j int) {
	h.heap[i], h.heap[j] = h.heap[j], h.heap[i]
	h.heap[i].index, h.heap[j].index = i, j
}
func (h *hitters) Push(any) { panic("traffic: counters are not pushed") }
func (h *hitters) Pop() any { panic("traffic: counters are not popped") }
