package eventlog

import "github.com/prometheus/client_golang/prometheus"

// Register adds the log's metrics, none of which has labels:
//
//	kamado_eventlog_appended_total         events written
//	kamado_eventlog_dropped_total          offered events that were lost
//	kamado_eventlog_failed_batches_total   batches that the disk refused
//	kamado_eventlog_torn_segments_total    segments with bytes that are no record
//	kamado_eventlog_compacted_segments_total
//	kamado_eventlog_removed_files_total    Parquet files older than retain_days
//	kamado_eventlog_pending_bytes          limit pending_bytes
//	kamado_eventlog_queued_events          limit queue
func (l *Log) Register(r prometheus.Registerer) error {
	for _, m := range []struct {
		name, help string
		gauge      bool
		value      func(Stats) int64
	}{
		{"appended_total", "Events written.", false, func(s Stats) int64 { return s.Appended }},
		{"dropped_total", "Offered events that were lost.", false, func(s Stats) int64 { return s.Dropped }},
		{"failed_batches_total", "Batches that the disk refused.", false, func(s Stats) int64 { return s.Failed }},
		{"torn_segments_total", "Segments with bytes behind their valid prefix.", false, func(s Stats) int64 { return s.Torn }},
		{"compacted_segments_total", "Segments moved to the store.", false, func(s Stats) int64 { return s.Compacted }},
		{"removed_files_total", "Parquet files removed because of their age.", false, func(s Stats) int64 { return s.Removed }},
		{"pending_bytes", "Bytes that wait for compaction.", true, func(s Stats) int64 { return s.Pending }},
		{"queued_events", "Events that wait for the disk.", true, func(s Stats) int64 { return s.Queued }},
	} {
		value := func() float64 { return float64(m.value(l.Stats())) }
		var c prometheus.Collector
		if m.gauge {
			c = prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: "kamado", Subsystem: "eventlog", Name: m.name, Help: m.help}, value)
		} else {
			c = prometheus.NewCounterFunc(prometheus.CounterOpts{Namespace: "kamado", Subsystem: "eventlog", Name: m.name, Help: m.help}, value)
		}
		if err := r.Register(c); err != nil {
			return err
		}
	}
	return nil
}
