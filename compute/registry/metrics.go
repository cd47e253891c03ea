package registry

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kamado/kamado/compute"
)

// metrics counts what uploads, stages and imports came to.
type metrics struct {
	ended *prometheus.CounterVec
	bytes prometheus.Counter
}

// The outcomes of an upload.
const (
	outcomeTaken   = "taken"   // active, staged, or queued because nothing came
	outcomeRefused = "refused" // the bytes are not the declared format
	outcomeFull    = "full"    // over a bound, a quota, or the disk
	outcomeBusy    = "busy"    // all places are taken
	outcomeFailed  = "failed"  // the client broke off, or this program failed
)

func newMetrics() metrics {
	return metrics{
		ended: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "kamado_compute_image_uploads_total",
			Help: "Uploads, stages and imports of machine images, by what came of them."}, []string{"outcome"}),
		bytes: prometheus.NewCounter(prometheus.CounterOpts{Name: "kamado_compute_image_received_bytes_total",
			Help: "Bytes of machine images that were received, whatever came of them."}),
	}
}

// count puts an ended upload where it belongs.
func (m metrics) count(err error) {
	outcome := outcomeFailed
	var e *compute.Error
	switch {
	case err == nil:
		outcome = outcomeTaken
	case !errors.As(err, &e):
	case e.Name == nameFormat:
		outcome = outcomeRefused
	case e.Kind == compute.TooLarge || e.Kind == compute.OverQuota:
		outcome = outcomeFull
	case e.Name == nameBusy:
		outcome = outcomeBusy
	}
	m.ended.WithLabelValues(outcome).Inc()
}

var uploadsDesc = prometheus.NewDesc("kamado_compute_image_uploads", "Uploads and stages of machine images that run.", nil, nil)

// Describe and Collect make a Service a prometheus.Collector.
func (s *Service) Describe(ch chan<- *prometheus.Desc) {
	s.metrics.ended.Describe(ch)
	s.metrics.bytes.Describe(ch)
	ch <- uploadsDesc
}

// Collect implements prometheus.Collector.
func (s *Service) Collect(ch chan<- prometheus.Metric) {
	s.metrics.ended.Collect(ch)
	s.metrics.bytes.Collect(ch)
	s.mu.Lock()
	n := s.running()
	s.mu.Unlock()
	ch <- prometheus.MustNewConstMetric(uploadsDesc, prometheus.GaugeValue, float64(n))
}
