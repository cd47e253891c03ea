package shelf

import (
	"context"
	"errors"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kamado/kamado/images/queue"
	"github.com/kamado/kamado/internal/blob"
)

// reasons are why a write failed, as a label; the last is all that is not listed.
var reasons = [...]struct {
	name string
	is   []error
}{
	{"checksum", []error{ErrChecksum}},
	{"too_large", []error{ErrTooLarge}},
	{"incomplete", []error{ErrIncomplete, ErrStalled}},
	{"condition", []error{ErrPrecondition, ErrConflict}},
	{"disk_full", []error{ErrFull}},
	{"busy", []error{ErrBusy}},
	{"key", []error{blob.ErrInvalidKey}},
	{"gone", []error{context.Canceled, context.DeadlineExceeded}},
	{"unavailable", []error{blob.ErrUnavailable, blob.ErrDenied}},
}

const (
	reasonPicture = "picture"
	reasonOther   = "other"

	reasonPictureAt = len(reasons)
	reasonOtherAt   = len(reasons) + 1
)

// counts are since the shelf was made.
type counts struct {
	bytesIn, bytesOut atomic.Uint64
	changes           [howCount]atomic.Uint64
	failures          [reasonOtherAt + 1]atomic.Uint64 // by place in reasons, then picture and other
}

// failed counts a write that failed; one for a reason that nobody expects is said.
func (s *Shelf) failed(err error, ref Ref, by Actor) {
	reason := reasonOf(err)
	s.counts.failures[reason].Add(1)
	if reason == reasonOtherAt && by.Via != "s3" { // S3 says its own, with the request
		s.deps.Log.Error("original could not be changed", "origin", ref.Origin, "key", ref.Key, "request_id", by.RequestID, "err", err)
	}
}

func reasonOf(err error) int {
	if refused(err) {
		return reasonPictureAt
	}
	for i, r := range reasons {
		for _, is := range r.is {
			if errors.Is(err, is) {
				return i
			}
		}
	}
	return reasonOtherAt
}

// Queue is the state of the queue of uploads.
func (s *Shelf) Queue() queue.Stats { return s.places.Stats() }

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("kamado_images_store_"+name, help, labels, nil)
}

var (
	descBytes   = desc("bytes_total", "Bytes of originals: in (stored) and out (read back).", "direction")
	descChanges = desc("changes_total", "Originals changed: created, replaced, deleted.", "how")
	descFailed  = desc("failures_total", "Writes that were refused or failed, by reason.", "reason")
	descBusy    = desc("uploads_busy", "Bodies that come in now.")
	descPlaces  = desc("uploads_places", "Bodies that may come in at once.")
	descWaiting = desc("uploads_waiting", "Uploads that wait for a place.")
	descShed    = desc("uploads_shed_total", "Uploads sent away because too many waited, or too long.")
)

// Describe implements prometheus.Collector.
func (s *Shelf) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{descBytes, descChanges, descFailed, descBusy, descPlaces, descWaiting, descShed} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (s *Shelf) Collect(ch chan<- prometheus.Metric) {
	put := func(d *prometheus.Desc, kind prometheus.ValueType, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, kind, v, labels...)
	}
	put(descBytes, prometheus.CounterValue, float64(s.counts.bytesIn.Load()), "in")
	put(descBytes, prometheus.CounterValue, float64(s.counts.bytesOut.Load()), "out")
	for how := range howCount {
		put(descChanges, prometheus.CounterValue, float64(s.counts.changes[how].Load()), how.String())
	}
	for i := range reasonOtherAt + 1 {
		name := reasonOther
		switch {
		case i < len(reasons):
			name = reasons[i].name
		case i == reasonPictureAt:
			name = reasonPicture
		}
		put(descFailed, prometheus.CounterValue, float64(s.counts.failures[i].Load()), name)
	}
	q := s.places.Stats()
	put(descBusy, prometheus.GaugeValue, float64(q.Busy))
	put(descPlaces, prometheus.GaugeValue, float64(q.Places))
	put(descWaiting, prometheus.GaugeValue, float64(q.Waiting))
	put(descShed, prometheus.CounterValue, float64(q.Shed+q.Late))
}
