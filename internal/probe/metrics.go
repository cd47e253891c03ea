package probe

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics is what a group counts. Labels: kind is one of Kinds, result is
// passed, failed or undecided. Who has several groups wraps the registerer.
//
//	kamado_probe_attempts_total{kind,result}  attempts and events of held checks
//	kamado_probe_attempt_seconds{kind}        time that attempts took
//	kamado_probe_waits_total                  attempts that had to wait for a place
//	kamado_probe_checks                       checks; the bound is ChecksMax
//	kamado_probe_busy                         attempts that run; the bound is AttemptsMax
//	kamado_probe_programs                     programs that run; the bound is ProgramsMax
type metrics struct {
	attempts *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	waits    prometheus.Counter
	checks   *prometheus.Desc
	busy     *prometheus.Desc
	programs *prometheus.Desc
	now      func() (checks, busy, programs int)
}

func newMetrics(now func() (checks, busy, programs int)) *metrics {
	return &metrics{
		attempts: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "kamado_probe_attempts_total", Help: "Attempts of health checks and events of held ones."}, []string{"kind", "result"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "kamado_probe_attempt_seconds", Help: "Time that attempts took.",
			Buckets: []float64{.0002, .001, .005, .02, .1, .5, 1, 5, 30}}, []string{"kind"}),
		waits:    prometheus.NewCounter(prometheus.CounterOpts{Name: "kamado_probe_waits_total", Help: "Attempts that had to wait for a place."}),
		checks:   prometheus.NewDesc("kamado_probe_checks", "Health checks.", nil, nil),
		busy:     prometheus.NewDesc("kamado_probe_busy", "Attempts that run.", nil, nil),
		programs: prometheus.NewDesc("kamado_probe_programs", "Programs that run as checks.", nil, nil),
		now:      now,
	}
}

func (m *metrics) seen(kind string, r Result) {
	word := "passed"
	switch {
	case errors.Is(r.Err, ErrUndecided):
		word = "undecided"
	case r.Err != nil:
		word = "failed"
	}
	m.attempts.WithLabelValues(kind, word).Inc()
	if !r.Final {
		m.seconds.WithLabelValues(kind).Observe(r.Took.Seconds())
	}
}

// Describe implements prometheus.Collector.
func (g *Group[K]) Describe(ch chan<- *prometheus.Desc) {
	m := g.metrics
	for _, c := range []prometheus.Collector{m.attempts, m.seconds, m.waits} {
		c.Describe(ch)
	}
	ch <- m.checks
	ch <- m.busy
	ch <- m.programs
}

// Collect implements prometheus.Collector.
func (g *Group[K]) Collect(ch chan<- prometheus.Metric) {
	m := g.metrics
	for _, c := range []prometheus.Collector{m.attempts, m.seconds, m.waits} {
		c.Collect(ch)
	}
	checks, busy, programs := m.now()
	ch <- prometheus.MustNewConstMetric(m.checks, prometheus.GaugeValue, float64(checks))
	ch <- prometheus.MustNewConstMetric(m.busy, prometheus.GaugeValue, float64(busy))
	ch <- prometheus.MustNewConstMetric(m.programs, prometheus.GaugeValue, float64(programs))
}
