package forward

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the counters of a forwarder. Labels: result is one of the fields
// below; server is one of the configured; outcome as in attempt.go; why is
// stranger (no reply to what was asked), spelling (not as it was spelled), id (nobody waits for it).
type metrics struct {
	queries    *prometheus.CounterVec   // result
	attempts   *prometheus.CounterVec   // server, outcome
	rejected   *prometheus.CounterVec   // why
	seconds    *prometheus.HistogramVec // server
	prefetches prometheus.Counter

	hits, misses, stale, local, refused, failed, coalesced, full prometheus.Counter
}

func newMetrics(f *Forwarder, reg prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		queries: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "kamado_dns_forward_queries_total", Help: "Questions for other names, by how they were answered.",
		}, []string{"result"}),
		attempts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "kamado_dns_forward_attempts_total", Help: "Messages to forwarders, by what came of them.",
		}, []string{"server", "outcome"}),
		rejected: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "kamado_dns_forward_rejected_total", Help: "Packets from forwarders' addresses that were not believed.",
		}, []string{"why"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "kamado_dns_forward_seconds", Help: "Time until a forwarder's answer.", Buckets: prometheus.ExponentialBuckets(0.0005, 2, 13),
		}, []string{"server"}),
		prefetches: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "kamado_dns_forward_prefetches_total", Help: "Answers that were asked for again before they ran out.",
		}),
	}
	for _, c := range []struct {
		counter *prometheus.Counter
		result  string
	}{
		{&m.hits, "hit"}, {&m.misses, "miss"}, {&m.stale, "stale"}, {&m.local, "local"}, {&m.refused, "refused"}, {&m.failed, "failed"},
		{&m.coalesced, "coalesced"}, {&m.full, "full"},
	} {
		*c.counter = m.queries.WithLabelValues(c.result)
	}
	if reg == nil {
		return m, nil
	}
	list := []prometheus.Collector{
		m.queries, m.attempts, m.rejected, m.seconds, m.prefetches,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "kamado_dns_forward_cache_entries", Help: "Answers that are remembered."},
			func() float64 { return float64(f.cache.entries.Load()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "kamado_dns_forward_cache_bytes", Help: "Memory of the answers that are remembered."},
			func() float64 { return float64(f.cache.bytes.Load()) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "kamado_dns_forward_cache_evictions_total", Help: "Answers that gave way to others."},
			func() float64 { return float64(f.cache.evicted.Load()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "kamado_dns_forward_flights", Help: "Questions that are being asked now."}, func() float64 {
			f.mu.Lock()
			defer f.mu.Unlock()
			return float64(len(f.flights))
		}),
	}
	for _, c := range list {
		if err := reg.Register(c); err != nil {
			return nil, fmt.Errorf("register metrics of the forwarder: %w", err)
		}
	}
	return m, nil
}
