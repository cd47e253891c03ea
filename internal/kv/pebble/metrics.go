package pebble

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kamado/kamado/internal/kv"
)

// metrics of a store, each with the prefix kamado_kv_pebble_:
//
//	writes_total             writes made durable
//	commit_seconds           histogram: a group's way to the disk; its count is the number of groups
//	refused_total            writes refused, by reason: queue, full
//	doubts_total             writes whose caller left before the outcome was known
//	stalls_total             times that writes waited for tables to be written
//	read_errors_total        reads that the disk refused
//	background_errors_total  failed flushes and compactions
//	corruptions_total        damaged files found
//	queued_writes            limit queue
//	queued_bytes             limit queue_bytes
//	cache_bytes              limit cache_bytes
//	memtable_bytes           limit 4 * memtable_bytes
//	disk_bytes               all files
//	stopped                  1 after the disk has failed
type metrics struct {
	writes, doubts, stalls, readErrors, backgroundErrors, corruptions prometheus.Counter
	refusals                                                          *prometheus.CounterVec
	commits                                                           prometheus.Histogram
	all                                                               []prometheus.Collector
}

func newMetrics(s *Store) metrics {
	const ns, sub = "kamado_kv", "pebble"
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Namespace: ns, Subsystem: sub, Name: name, Help: help})
	}
	gauge := func(name, help string, value func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: ns, Subsystem: sub, Name: name, Help: help}, value)
	}
	m := metrics{
		writes:           counter("writes_total", "Writes made durable."),
		doubts:           counter("doubts_total", "Writes whose caller left before the outcome was known."),
		stalls:           counter("stalls_total", "Times that writes waited for tables to be written."),
		readErrors:       counter("read_errors_total", "Reads that the disk refused."),
		backgroundErrors: counter("background_errors_total", "Failed flushes and compactions."),
		corruptions:      counter("corruptions_total", "Damaged files found."),
		refusals:         prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: ns, Subsystem: sub, Name: "refused_total", Help: "Writes refused, by reason: queue, full."}, []string{"reason"}),
		commits: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: ns, Subsystem: sub, Name: "commit_seconds", Help: "A group's way to the disk.", Buckets: prometheus.ExponentialBuckets(0.0001, 4, 9),
		}),
	}
	m.all = []prometheus.Collector{
		m.writes, m.doubts, m.stalls, m.readErrors, m.backgroundErrors, m.corruptions, m.refusals, m.commits,
		gauge("queued_writes", "Writes under way; limit queue.", func() float64 { return float64(s.writes.Load()) }),
		gauge("queued_bytes", "Bytes of values under way; limit queue_bytes.", func() float64 { return float64(s.bytes.Load()) }),
		gauge("stopped", "1 after the disk has failed.", func() float64 {
			if s.disk.fault() != nil {
				return 1
			}
			return 0
		}),
		gauge("cache_bytes", "Blocks in memory; limit cache_bytes.", s.engine(func(e engineStats) float64 { return e.cache })),
		gauge("memtable_bytes", "Writes in memory; limit four times memtable_bytes.", s.engine(func(e engineStats) float64 { return e.memtable })),
		gauge("disk_bytes", "All files.", s.engine(func(e engineStats) float64 { return e.disk })),
	}
	return m
}

type engineStats struct{ cache, memtable, disk float64 }

// engine asks the engine, while it can be asked.
func (s *Store) engine(pick func(engineStats) float64) func() float64 {
	return func() float64 {
		if err := s.enter(); err != nil {
			return 0
		}
		defer s.leave()
		m := s.db.Metrics()
		return pick(engineStats{cache: float64(m.BlockCache.Size), memtable: float64(m.MemTable.Size), disk: float64(m.DiskSpaceUsage())})
	}
}

func (m *metrics) refused(err error) {
	reason := "queue"
	if errors.Is(err, kv.ErrFull) {
		reason = "full"
	}
	m.refusals.WithLabelValues(reason).Inc()
}

func (m *metrics) observe(writes int, took time.Duration) {
	m.writes.Add(float64(writes))
	m.commits.Observe(took.Seconds())
}

// Register adds the store's metrics.
func (s *Store) Register(r prometheus.Registerer) error {
	for _, c := range s.met.all {
		if err := r.Register(c); err != nil {
			return err
		}
	}
	return nil
}
