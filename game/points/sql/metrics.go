package sql

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics of a ledger: kamado_game_points_sql_….
type metrics struct {
	orders   prometheus.Histogram // of one batch; its sum is the number of orders
	seconds  prometheus.Histogram // of one batch, with its retries
	retries  prometheus.Counter
	refusals *prometheus.CounterVec // reason: queue, away, busy, slow, full, closed, left, internal
	all      []prometheus.Collector
}

func newMetrics(r prometheus.Registerer, l *Ledger) (*metrics, error) {
	const ns, sub = "kamado_game", "points_sql"
	m := &metrics{
		orders: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: ns, Subsystem: sub, Name: "batch_orders", Help: "Orders that were carried out in one transaction.", Buckets: prometheus.ExponentialBuckets(1, 2, 9),
		}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: ns, Subsystem: sub, Name: "batch_seconds", Help: "Time of one batch, its turn and its retries included.", Buckets: prometheus.ExponentialBuckets(0.0005, 3, 10),
		}),
		retries:  prometheus.NewCounter(prometheus.CounterOpts{Namespace: ns, Subsystem: sub, Name: "retries_total", Help: "Batches that were tried again because the database was away."}),
		refusals: prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: ns, Subsystem: sub, Name: "refusals_total", Help: "Orders and questions that the database could not serve."}, []string{"reason"}),
	}
	m.all = []prometheus.Collector{
		m.orders, m.seconds, m.retries, m.refusals,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: ns, Subsystem: sub, Name: "queue_orders", Help: "Orders that wait in this process."}, func() float64 { return float64(len(l.queue)) }),
	}
	if r == nil {
		return m, nil
	}
	var errs []error
	for _, c := range m.all {
		errs = append(errs, r.Register(c))
	}
	return m, errors.Join(errs...)
}

func (m *metrics) unregister(r prometheus.Registerer) {
	if r == nil {
		return
	}
	for _, c := range m.all {
		r.Unregister(c)
	}
}

func (m *metrics) refused(reason string) { m.refusals.WithLabelValues(reason).Inc() }

func (m *metrics) batch(orders int, took time.Duration) {
	m.orders.Observe(float64(orders))
	m.seconds.Observe(took.Seconds())
}
