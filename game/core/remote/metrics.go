package remote

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kamado/kamado/game"
)

// metrics of a remote core. Labels: op is what was asked (principals, login, user, order, posting, reservation, account, entity, entities, lock,
// locks), kind that of the error, or "ok".
//
//	kamado_game_core_requests_total{op,kind}  requests to the core
//	kamado_game_core_seconds{op}              how long they took
//	kamado_game_core_in_work                  requests in work, or that wait for a connection; the bound is kamado_game_core_in_work_max
//	kamado_game_core_waiting                  bearers that wait to be asked about; the bound is kamado_game_core_in_work_max
//	kamado_game_core_tokens                   bearers that are remembered; the bound is kamado_game_core_tokens_max
type metrics struct {
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
}

func newMetrics(a *asker, id *identity) *metrics {
	const ns, sub = "kamado_game", "core"
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: ns, Subsystem: sub, Name: "requests_total", Help: "Requests to the core, by what was asked and how they ended."}, []string{"op", "kind"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: ns, Subsystem: sub, Name: "seconds", Help: "Time of a request to the core.", Buckets: prometheus.ExponentialBuckets(0.0005, 3, 10), // to 10 s
		}, []string{"op"}),
	}
	if r := a.cfg.Registerer; r != nil {
		gauge := func(name, help string, value func() float64) prometheus.Collector {
			return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: ns, Subsystem: sub, Name: name, Help: help}, value)
		}
		r.MustRegister(m.requests, m.seconds,
			gauge("in_work", "Requests to the core in work, or that wait for a connection.", func() float64 { return float64(a.inWork.Load()) }),
			gauge("in_work_max", "Most requests to the core at once.", func() float64 { return float64(a.cfg.RequestsMax) }),
			gauge("waiting", "Credentials that wait to be asked about.", func() float64 { return float64(id.questions.len()) }),
			gauge("tokens", "Credentials that are remembered.", func() float64 { return float64(id.known.len()) }),
			gauge("tokens_max", "Most credentials that are remembered.", func() float64 { return float64(2 * a.cfg.TokensMax) }))
	}
	return m
}

func (m *metrics) asked(op string, took time.Duration, err error) {
	m.seconds.WithLabelValues(op).Observe(took.Seconds())
	kind := "ok"
	if err != nil {
		kind = game.KindOf(err).String()
	}
	m.requests.WithLabelValues(op, kind).Inc()
}
