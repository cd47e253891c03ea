package jetstream

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/kamado/kamado/internal/kv"
)

// metrics of a store, each with the prefix kamado_kv_jetstream_. Those of shards
// are as of the last Shards, which a status page or a ticker calls.
//
//	calls                  under way; limit inflight
//	bytes                  of values under way; limit inflight_bytes
//	refused_total          calls refused, since a limit was reached
//	retries_total          questions asked again, since a shard had no leader or did not answer
//	doubts_total           writes that ended in doubt
//	settled_total          writes in doubt that were found done
//	away_total             calls given up, since a shard did not answer
//	full_total             writes refused, since a shard or its disk is full
//	routes                 connections to other nodes
//	shard_ready            replicas that are ready, by shard (at most 64)
//	shard_lag              records that the slowest replica is behind, by shard
//	shard_keys             by shard
type metrics struct {
	refused, retries, doubts, settled, away, full prometheus.Counter
	ready, lag, keys                              *prometheus.GaugeVec
	all                                           []prometheus.Collector
}

func newMetrics(s *Store) metrics {
	const ns, sub = "kamado_kv", "jetstream"
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Namespace: ns, Subsystem: sub, Name: name, Help: help})
	}
	gauge := func(name, help string, value func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: ns, Subsystem: sub, Name: name, Help: help}, value)
	}
	shard := func(name, help string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: ns, Subsystem: sub, Name: name, Help: help}, []string{"shard"})
	}
	m := metrics{
		refused: counter("refused_total", "Calls refused, since a limit was reached."),
		retries: counter("retries_total", "Questions asked again."),
		doubts:  counter("doubts_total", "Writes that ended in doubt."),
		settled: counter("settled_total", "Writes in doubt that were found done."),
		away:    counter("away_total", "Calls given up, since a shard did not answer."),
		full:    counter("full_total", "Writes refused, since a shard or its disk is full."),
		ready:   shard("shard_ready", "Replicas that are ready."),
		lag:     shard("shard_lag", "Records that the slowest replica is behind."),
		keys:    shard("shard_keys", "Keys, with tombstones."),
	}
	m.all = []prometheus.Collector{
		m.refused, m.retries, m.doubts, m.settled, m.away, m.full, m.ready, m.lag, m.keys,
		gauge("calls", "Calls under way; limit inflight.", func() float64 { return float64(s.calls.Load()) }),
		gauge("bytes", "Bytes of values under way; limit inflight_bytes.", func() float64 { return float64(s.bytes.Load()) }),
		gauge("routes", "Connections to other nodes.", func() float64 { return float64(s.node.srv.NumRoutes()) }),
	}
	return m
}

func (m *metrics) seen(shards []kv.Shard) {
	for _, sh := range shards {
		var ready, lag int64
		for _, r := range sh.Replicas {
			if r.Ready {
				ready++
			}
			lag = max(lag, r.Lag)
		}
		m.ready.WithLabelValues(sh.Name).Set(float64(ready))
		m.lag.WithLabelValues(sh.Name).Set(float64(lag))
		m.keys.WithLabelValues(sh.Name).Set(float64(sh.Keys))
	}
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
