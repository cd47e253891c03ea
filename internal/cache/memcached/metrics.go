package memcached

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are those of all servers; the label server is its address.
//
//	kamado_cache_memcached_requests_total{server,result}  ok, away, full (the wait for a place in flight was over), forgotten (its connection, and with it the stamp, is gone)
//	kamado_cache_memcached_dials_total{server}            connections that were made
//	kamado_cache_memcached_connections{server}            connections that are open
//	kamado_cache_memcached_in_flight{server}              requests under way
type metrics struct {
	requests    *prometheus.CounterVec
	dials       *prometheus.CounterVec
	connections *prometheus.GaugeVec
}

// serverMetrics are those of one server.
type serverMetrics struct {
	ok, away, full, forgotten, dials prometheus.Counter
	connections                      prometheus.Gauge
}

func newMetrics() *metrics {
	const subsystem = "cache_memcached"
	return &metrics{
		requests:    prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "kamado", Subsystem: subsystem, Name: "requests_total", Help: "Requests to memcached, by outcome."}, []string{"server", "result"}),
		dials:       prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "kamado", Subsystem: subsystem, Name: "dials_total", Help: "Connections to memcached that were made."}, []string{"server"}),
		connections: prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: "kamado", Subsystem: subsystem, Name: "connections", Help: "Connections to memcached that are open."}, []string{"server"}),
	}
}

func (m *metrics) of(addr string) *serverMetrics {
	result := func(name string) prometheus.Counter { return m.requests.WithLabelValues(addr, name) }
	return &serverMetrics{
		ok: result("ok"), away: result("away"), full: result("full"), forgotten: result("forgotten"),
		dials: m.dials.WithLabelValues(addr), connections: m.connections.WithLabelValues(addr),
	}
}

func (m *metrics) register(r prometheus.Registerer, servers []*server) error {
	errs := []error{r.Register(m.requests), r.Register(m.dials), r.Register(m.connections)}
	for _, s := range servers {
		errs = append(errs, r.Register(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Namespace: "kamado", Subsystem: "cache_memcached", Name: "in_flight", Help: "Requests to memcached under way.", ConstLabels: prometheus.Labels{"server": s.addr},
		}, func() float64 { return float64(len(s.slots)) })))
	}
	return errors.Join(errs...)
}
