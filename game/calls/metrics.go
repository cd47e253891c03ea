package calls

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kamado/kamado/game"
)

// metrics of calls. Labels: method is one of the table, kind that of the error, or "ok".
//
//	kamado_game_calls_total{method,kind}  calls that were answered
//	kamado_game_calls_seconds{method}     how long an answer took, with the wait for the disk
type metrics struct {
	total   *prometheus.CounterVec
	seconds *prometheus.HistogramVec
}

func newMetrics(r prometheus.Registerer) *metrics {
	m := &metrics{
		total: prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "kamado_game", Subsystem: "calls", Name: "total", Help: "Calls over the wire that were answered, by method and how they ended."}, []string{"method", "kind"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: "kamado_game", Subsystem: "calls", Name: "seconds", Help: "Time to the answer of a call.", Buckets: prometheus.ExponentialBuckets(0.0001, 3, 11), // to 6 s
		}, []string{"method"}),
	}
	if r != nil {
		r.MustRegister(m.total, m.seconds)
	}
	return m
}

// method makes a row with its counters, so that no call looks for them.
func (m *metrics) method(name string, do func(*Calls, context.Context, game.Principal, []byte) ([]byte, error)) *method {
	row := &method{do: do, seconds: m.seconds.WithLabelValues(name).(prometheus.Histogram)}
	for _, k := range game.Kinds() {
		row.kinds = append(row.kinds, m.total.WithLabelValues(name, k.String()))
	}
	row.kinds = append(row.kinds, m.total.WithLabelValues(name, "ok"))
	return row
}
