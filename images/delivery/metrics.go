package delivery

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics are the counters of a Handler; docs/reference/metrics.md lists them.
// It is a prometheus.Collector. Label sets are bounded: outcomes, statuses and
// stages are fixed lists.
type Metrics struct {
	requests *prometheus.CounterVec // outcome
	errors   *prometheus.CounterVec // status
	bytes    prometheus.Counter
	seconds  *prometheus.HistogramVec // outcome
	stages   *prometheus.HistogramVec // stage
	sets     prometheus.Counter
	together prometheus.Counter
	anew     prometheus.Counter

	byOutcome [outcomeCount]prometheus.Counter
	took      [outcomeCount]prometheus.Observer
	origin    prometheus.Observer
	queue     prometheus.Observer
}

// secondsBuckets reach from a cache hit to the longest time for a rendition.
var secondsBuckets = []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 20}

// NewMetrics makes the counters; register them with a prometheus.Registerer.
func NewMetrics() *Metrics {
	m := &Metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "kamado_images_requests_total", Help: "Requests for pictures, by how they were answered."}, []string{"outcome"}),
		errors: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "kamado_images_errors_total", Help: "Requests answered with an error, by HTTP status (499: the client left first)."}, []string{"status"}),
		bytes: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "kamado_images_sent_bytes_total", Help: "Bytes of pictures in answers."}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "kamado_images_request_seconds", Help: "Time from a request's arrival to the end of its answer, by outcome.", Buckets: secondsBuckets}, []string{"outcome"}),
		stages: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "kamado_images_stage_seconds", Help: "Time of one stage of making a rendition.", Buckets: secondsBuckets}, []string{"stage"}),
	}
	m.sets = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "kamado_images_batches_total", Help: "Times that an original was read to make renditions of it."})
	m.together = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "kamado_images_batched_total", Help: "Renditions made beside another one from the same read of an original."})
	m.anew = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "kamado_images_batches_anew_total", Help: "Decodes that were ended in their first moments, since more renditions of the original were asked for, and begun again for all."})
	for o := range outcomeCount {
		m.byOutcome[o] = m.requests.WithLabelValues(o.String())
		m.took[o] = m.seconds.WithLabelValues(o.String())
	}
	m.origin, m.queue = m.stages.WithLabelValues("origin"), m.stages.WithLabelValues("queue")
	return m
}

func (m *Metrics) observe(v *visit, took time.Duration) {
	m.byOutcome[v.outcome].Inc()
	m.took[v.outcome].Observe(took.Seconds())
	m.bytes.Add(float64(v.bytes))
	if v.outcome == OutcomeError || v.outcome == OutcomeGone {
		m.errors.WithLabelValues(strconv.Itoa(v.status)).Inc()
	}
}

// batched counts one batch of so many renditions.
func (m *Metrics) batched(n int) {
	m.sets.Inc()
	m.together.Add(float64(n - 1))
}

// rendered counts the stages of a rendition once, however many share it; what a
// batch shares is counted with its first.
func (m *Metrics) rendered(t *timing, first bool) {
	if first {
		m.origin.Observe(t.origin.Seconds())
		m.queue.Observe(t.queue.Seconds())
	}
	for _, s := range t.stages {
		m.stages.WithLabelValues(s.Name).Observe(s.Duration.Seconds())
	}
}

func (m *Metrics) collectors() []prometheus.Collector {
	return []prometheus.Collector{m.requests, m.errors, m.bytes, m.seconds, m.stages, m.sets, m.together, m.anew}
}

// Describe implements prometheus.Collector.
func (m *Metrics) Describe(ch chan<- *prometheus.Desc) {
	for _, c := range m.collectors() {
		c.Describe(ch)
	}
}

// Collect implements prometheus.Collector.
func (m *Metrics) Collect(ch chan<- prometheus.Metric) {
	for _, c := range m.collectors() {
		c.Collect(ch)
	}
}
