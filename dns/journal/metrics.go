package journal

import "github.com/prometheus/client_golang/prometheus"

// metrics of a journal: kamado_dns_journal_….
type metrics struct {
	entries     prometheus.Counter
	sync        prometheus.Histogram   // of one group: write and sync; its count is the number of groups
	failures    *prometheus.CounterVec // kind: exhausted, unavailable, internal
	compactions prometheus.Counter
	all         []prometheus.Collector
}

func (m *metrics) register(r prometheus.Registerer, j *Journal) {
	const ns, sub = "kamado_dns", "journal"
	m.entries = prometheus.NewCounter(prometheus.CounterOpts{Namespace: ns, Subsystem: sub, Name: "entries_total", Help: "Entries made durable."})
	m.sync = prometheus.NewHistogram(prometheus.HistogramOpts{
		Namespace: ns, Subsystem: sub, Name: "sync_seconds", Help: "Time to write a group of batches and sync it.",
		Buckets: prometheus.ExponentialBuckets(0.0001, 4, 9),
	})
	m.failures = prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: ns, Subsystem: sub, Name: "failures_total", Help: "Groups that did not become durable."}, []string{"kind"})
	m.compactions = prometheus.NewCounter(prometheus.CounterOpts{Namespace: ns, Subsystem: sub, Name: "compactions_total", Help: "Compactions done."})
	gauge := func(name, help string, value func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: ns, Subsystem: sub, Name: name, Help: help}, value)
	}
	m.all = []prometheus.Collector{
		m.entries, m.sync, m.failures, m.compactions,
		gauge("bytes", "Size of the journal's file.", func() float64 { size, _ := j.Size(); return float64(size) }),
		gauge("compacted_bytes", "Size of the journal's file after its last compaction.", func() float64 { _, c := j.Size(); return float64(c) }),
		gauge("queue_bytes", "What waits to become durable.", func() float64 {
			j.mu.Lock()
			defer j.mu.Unlock()
			return float64(j.queueBytes)
		}),
	}
	if r != nil {
		r.MustRegister(m.all...)
	}
}

func (m *metrics) unregister(r prometheus.Registerer) {
	if r == nil {
		return
	}
	for _, c := range m.all {
		r.Unregister(c)
	}
}
