package qemu

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kamado/kamado/compute/hypervisor"
)

// metrics are what the engine counts.
type metrics struct {
	events  *prometheus.CounterVec // by reason: the six of package hypervisor
	dropped prometheus.Counter
	starts  prometheus.Histogram
}

// startSeconds are the bounds of the histogram of starts: a start is some 50 ms.
var startSeconds = []float64{0.025, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 10, 60}

func newMetrics(e *Engine, reg prometheus.Registerer) *metrics {
	m := &metrics{
		events: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "kamado_compute_guest_events_total",
			Help: "What guests did by themselves."}, []string{"reason"}),
		dropped: prometheus.NewCounter(prometheus.CounterOpts{Name: "kamado_compute_guest_events_dropped_total",
			Help: "Events of guests that nobody took in time."}),
		starts: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "kamado_compute_guest_start_seconds",
			Help: "From the request to start a process to a guest that runs.", Buckets: startSeconds}),
	}
	if reg == nil {
		return m
	}
	hung := prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "kamado_compute_guests_unresponsive",
		Help: "Guests whose QEMU does not answer."}, func() float64 { return float64(e.unresponsive()) })
	for _, c := range []prometheus.Collector{m.events, m.dropped, m.starts, hung} {
		var there prometheus.AlreadyRegisteredError
		if err := reg.Register(c); err != nil && !errors.As(err, &there) {
			panic("a metric of this package is malformed: " + err.Error())
		}
	}
	for _, reason := range []string{hypervisor.ReasonShutdown, hypervisor.ReasonReset, hypervisor.ReasonCrashed, hypervisor.ReasonPanicked, hypervisor.ReasonWatchdog} {
		m.events.WithLabelValues(reason)
	}
	return m
}

// unresponsive counts processes that do not answer.
func (e *Engine) unresponsive() int {
	n := 0
	for _, d := range e.all() {
		if d.lost() {
			n++
		}
	}
	return n
}
