package mongodb

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.mongodb.org/mongo-driver/v2/event"

	"github.com/kamado/kamado/internal/kv"
)

// pool bounds what is under way, before the driver has it: the driver's own pool has as many
// connections to a server, so that nobody waits there.
type pool struct {
	slots    chan struct{} // one element for each request under way
	wait     time.Duration
	queueMax int64
	waiting  atomic.Int64

	exhausted, queueFull atomic.Uint64
}

func newPool(cfg Config) *pool {
	return &pool{slots: make(chan struct{}, cfg.PoolMax), wait: cfg.PoolWait, queueMax: int64(cfg.PoolQueue)}
}

// take gets a slot, which the caller gives back.
func (p *pool) take(ctx context.Context) error {
	select {
	case p.slots <- struct{}{}:
		return nil
	default:
	}
	if p.waiting.Add(1) > p.queueMax {
		p.waiting.Add(-1)
		p.queueFull.Add(1)
		return &kv.ExhaustedError{What: "places to wait for a connection to mongodb", Limit: int(p.queueMax), Setting: "pool queue"}
	}
	defer p.waiting.Add(-1)
	timer := time.NewTimer(p.wait)
	defer timer.Stop()
	select {
	case p.slots <- struct{}{}:
		return nil
	case <-timer.C:
		p.exhausted.Add(1)
		return &kv.ExhaustedError{What: "connections to mongodb", Limit: cap(p.slots), Setting: "pool max"}
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (p *pool) give() { <-p.slots }

// metrics of a store, each with the prefix kamado_kv_mongodb_:
//
//	requests_total            by result: ok, conflict, doubt, away, other
//	request_seconds           histogram: requests that had a slot
//	refused_total             callers that got no slot, by reason: pool (PoolWait was over), queue (PoolQueue was full)
//	slots_in_use              requests under way; limit PoolMax
//	waiting                   callers that wait for a slot; limit PoolQueue
//	connections               open connections of the driver, to all servers
//	connections_in_use        those that a request has
//	connections_opened_total  connections that were made
//	connection_errors_total   connections that broke, and requests that got none
//	pool_clears_total         times that the driver gave all connections to a server up, since it failed
type metrics struct {
	requests                             *prometheus.CounterVec
	seconds                              prometheus.Histogram
	connections, inUse                   prometheus.Gauge
	opened, connectionErrors, poolClears prometheus.Counter
	all                                  []prometheus.Collector
}

func newMetrics(p *pool) *metrics {
	const ns, sub = "kamado_kv", "mongodb"
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Namespace: ns, Subsystem: sub, Name: name, Help: help})
	}
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Namespace: ns, Subsystem: sub, Name: name, Help: help})
	}
	refused := func(reason string, of *atomic.Uint64) prometheus.Collector {
		return prometheus.NewCounterFunc(prometheus.CounterOpts{
			Namespace: ns, Subsystem: sub, Name: "refused_total", Help: "Callers that got no slot, by reason: pool, queue.", ConstLabels: prometheus.Labels{"reason": reason},
		}, func() float64 { return float64(of.Load()) })
	}
	level := func(name, help string, of func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: ns, Subsystem: sub, Name: name, Help: help}, of)
	}
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: ns, Subsystem: sub, Name: "requests_total", Help: "Requests to mongodb, by result: ok, conflict, doubt, away, other."}, []string{"result"}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: ns, Subsystem: sub, Name: "request_seconds", Help: "Requests that had a slot.", Buckets: prometheus.ExponentialBuckets(0.0005, 3, 10),
		}),
		connections:      gauge("connections", "Open connections of the driver."),
		inUse:            gauge("connections_in_use", "Connections that a request has."),
		opened:           counter("connections_opened_total", "Connections that were made."),
		connectionErrors: counter("connection_errors_total", "Connections that broke, and requests that got none."),
		poolClears:       counter("pool_clears_total", "Times that the driver gave all connections to a server up."),
	}
	m.all = []prometheus.Collector{
		m.requests, m.seconds, m.connections, m.inUse, m.opened, m.connectionErrors, m.poolClears,
		refused("pool", &p.exhausted), refused("queue", &p.queueFull),
		level("slots_in_use", "Requests under way; limit PoolMax.", func() float64 { return float64(len(p.slots)) }),
		level("waiting", "Callers that wait for a slot; limit PoolQueue.", func() float64 { return float64(p.waiting.Load()) }),
	}
	return m
}

func (m *metrics) register(r prometheus.Registerer) error {
	var errs []error
	for _, c := range m.all {
		errs = append(errs, r.Register(c))
	}
	return errors.Join(errs...)
}

// poolEvent counts what the driver says of its pools.
func (m *metrics) poolEvent(e *event.PoolEvent) {
	switch e.Type {
	case event.ConnectionCreated:
		m.connections.Inc()
		m.opened.Inc()
	case event.ConnectionClosed:
		m.connections.Dec()
		if e.Reason == event.ReasonError || e.Reason == event.ReasonConnectionErrored {
			m.connectionErrors.Inc()
		}
	case event.ConnectionCheckedOut:
		m.inUse.Inc()
	case event.ConnectionCheckedIn:
		m.inUse.Dec()
	case event.ConnectionCheckOutFailed:
		m.connectionErrors.Inc()
	case event.ConnectionPoolCleared:
		m.poolClears.Inc()
	}
}
