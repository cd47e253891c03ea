package httpserver

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are what a server counts. Every one carries the label server: the name in Deps, a handful per process.
//
//	kamado_http_requests_total{code}          requests answered, by class of status: 1xx 2xx 3xx 4xx 5xx
//	kamado_http_request_seconds               time from the head of the request to the end of the handler
//	kamado_http_response_bytes_total          bytes of bodies
//	kamado_http_in_flight_requests            requests in work; the bound is in_flight_max
//	kamado_http_open_connections              open connections; the bound is connections_max
//	kamado_http_refused_total{reason}         refused for a bound: connections, in_flight
//	kamado_http_panics_total                  handlers that panicked
type metrics struct {
	byClass            [6]prometheus.Counter // index is status/100; 0 is unused
	seconds            prometheus.Histogram
	bytes              prometheus.Counter
	inFlight           prometheus.Gauge
	connections        prometheus.Gauge
	refusedInFlight    prometheus.Counter
	refusedConnections prometheus.Counter
	panics             prometheus.Counter
}

// durationBuckets are in seconds: an answer from memory takes 50 us, a large picture 100 ms, a slow client seconds.
var durationBuckets = []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}

// newMetrics makes the metrics and registers them; a nil registerer counts for nobody.
func newMetrics(server string, reg prometheus.Registerer) (*metrics, error) {
	requests := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "kamado_http_requests_total", Help: "Requests answered, by class of status."}, []string{"code"})
	refused := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "kamado_http_refused_total", Help: "Requests and connections refused for a bound."}, []string{"reason"})
	m := &metrics{
		seconds:            prometheus.NewHistogram(prometheus.HistogramOpts{Name: "kamado_http_request_seconds", Help: "Time from the head of the request to the end of the handler.", Buckets: durationBuckets}),
		bytes:              prometheus.NewCounter(prometheus.CounterOpts{Name: "kamado_http_response_bytes_total", Help: "Bytes of answered bodies."}),
		inFlight:           prometheus.NewGauge(prometheus.GaugeOpts{Name: "kamado_http_in_flight_requests", Help: "Requests in work."}),
		connections:        prometheus.NewGauge(prometheus.GaugeOpts{Name: "kamado_http_open_connections", Help: "Open connections."}),
		panics:             prometheus.NewCounter(prometheus.CounterOpts{Name: "kamado_http_panics_total", Help: "Handlers that panicked."}),
		refusedInFlight:    refused.WithLabelValues("in_flight"),
		refusedConnections: refused.WithLabelValues("connections"),
	}
	for i, class := range []string{"", "1xx", "2xx", "3xx", "4xx", "5xx"} {
		if class != "" {
			m.byClass[i] = requests.WithLabelValues(class)
		}
	}
	if reg == nil {
		return m, nil
	}
	reg = prometheus.WrapRegistererWith(prometheus.Labels{"server": server}, reg)
	for _, c := range []prometheus.Collector{requests, refused, m.seconds, m.bytes, m.inFlight, m.connections, m.panics} {
		if err := reg.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func (m *metrics) observe(status int, took time.Duration, bytes int64) {
	if class := status / 100; class >= 1 && class <= 5 {
		m.byClass[class].Inc()
	}
	m.seconds.Observe(took.Seconds())
	m.bytes.Add(float64(bytes))
}
