package delivery

import (
	"strconv"
	"time"
)

// timing is where the time of a request went.
type timing struct {
	origin time.Duration // finding and reading the original
	queue  time.Duration // waiting for a place
	stages []Stage
	source string // what the bytes were made from: "", "mezzanine", "original-cache"
}

// add puts the time of shared work to that of a request.
func (t *timing) add(work timing) {
	t.origin += work.origin
	t.queue += work.queue
	t.stages = work.stages
	t.source = work.source
}

// header is the value of Server-Timing (W3C Server Timing): durations in
// milliseconds with the state of the cache first.
func (t *timing) header(o Outcome, total time.Duration) string {
	var room [256]byte
	return string(t.append(room[:0], o, total))
}

func (t *timing) append(b []byte, o Outcome, total time.Duration) []byte {
	b = append(b, "cache;desc="...)
	b = append(b, o.String()...)
	if t.source != "" {
		b = append(b, ", source;desc="...)
		b = append(b, t.source...)
	}
	b = appendMetric(b, "origin", t.origin)
	if o == OutcomeRendered || o == OutcomeShared {
		b = appendMetric(b, "queue", t.queue)
		for _, s := range t.stages {
			b = appendMetric(b, s.Name, s.Duration)
		}
	}
	return appendMetric(b, "total", total)
}

func appendMetric(b []byte, name string, d time.Duration) []byte {
	b = append(b, ", "...)
	b = append(b, name...)
	b = append(b, ";dur="...)
	// Milliseconds with three digits behind the point, in integers.
	us := max(d, 0).Round(time.Microsecond).Microseconds()
	b = strconv.AppendInt(b, us/1000, 10)
	us %= 1000
	return append(b, '.', byte('0'+us/100), byte('0'+us/10%10), byte('0'+us%10))
}
