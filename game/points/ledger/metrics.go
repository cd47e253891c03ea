package ledger

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/kamado/kamado/game"
)

// metrics of a ledger: kamado_game_ledger_….
type metrics struct {
	batch           prometheus.Histogram
	sync            prometheus.Histogram
	postings        []prometheus.Counter // by game.Op
	refusals        []prometheus.Counter // by game.Kind
	lookups         prometheus.Counter
	torn            prometheus.Counter
	badSnapshots    prometheus.Counter
	unswept         prometheus.Counter
	recent          prometheus.Gauge
	stopped         prometheus.Gauge
	damaged         prometheus.Gauge
	scrubbed        prometheus.Gauge
	snapshotSeq     prometheus.Gauge
	snapshotTime    prometheus.Gauge
	snapshotSeconds prometheus.Gauge

	all        []prometheus.Collector
	registered []prometheus.Collector
}

const (
	metricsNamespace = "kamado_game"
	metricsSubsystem = "ledger"
)

func (m *metrics) make(l *Ledger) {
	m.batch = prometheus.NewHistogram(prometheus.HistogramOpts{
		Namespace: metricsNamespace, Subsystem: metricsSubsystem, Name: "batch_postings", Help: "Postings made durable by one sync.", Buckets: prometheus.ExponentialBuckets(1, 2, 15),
	})
	m.sync = prometheus.NewHistogram(prometheus.HistogramOpts{
		Namespace: metricsNamespace, Subsystem: metricsSubsystem, Name: "sync_seconds", Help: "Time to write a batch and sync it.", Buckets: prometheus.ExponentialBuckets(0.00005, 2, 16),
	})
	m.lookups = m.counter("index_lookups_total", "Transaction ids that were looked for in the index.")
	m.torn = m.counter("torn_ends_total", "Torn ends that were cut at a start.")
	m.badSnapshots = m.counter("bad_snapshots_total", "Snapshots that could not be used at a start.")
	m.unswept = m.counter("unswept_total", "Accounts of which something is over that could not be ended.")
	m.recent = m.gauge("recent_postings", "Postings in memory until the index has them, at most 65536 and one batch.")
	m.stopped = m.gauge("stopped", "1 after a failure of the disk: the ledger must be opened again.")
	m.damaged = m.gauge("damaged", "1 when a part of the log was found damaged.")
	m.scrubbed = m.gauge("scrubbed_timestamp_seconds", "When all of the log was last read through and found whole; 0: not yet.")
	m.snapshotSeq = m.gauge("snapshot_postings", "Postings up to the last snapshot.")
	m.snapshotTime = m.gauge("snapshot_timestamp_seconds", "When this process wrote its last snapshot; 0: it wrote none.")
	m.snapshotSeconds = m.gauge("snapshot_seconds", "How long the last snapshot took.")
	postings := m.vector("postings_total", "Orders that were carried out, by operation.", "op")
	m.postings = make([]prometheus.Counter, len(game.Ops())+1)
	for _, op := range game.Ops() {
		m.postings[op] = postings.WithLabelValues(op.String())
	}
	refusals := m.vector("refusals_total", "Orders that were not carried out, by kind of error.", "kind")
	m.refusals = make([]prometheus.Counter, len(game.Kinds()))
	for _, k := range game.Kinds() {
		m.refusals[k] = refusals.WithLabelValues(k.String())
	}
	m.all = append(m.all, m.batch, m.sync)
	m.makeFuncs(l)
}

// makeFuncs makes those that are asked for when somebody looks.
func (m *metrics) makeFuncs(l *Ledger) {
	m.function("queue_orders", "Orders that wait to be decided.", func() float64 { return float64(len(l.queue)) })
	m.function("queue_orders_max", "Orders that may wait; more are refused.", func() float64 { return float64(cap(l.queue)) })
	m.function("accounts", "Users with an account.", func() float64 {
		l.mu.RLock()
		defer l.mu.RUnlock()
		return float64(l.core.table.n)
	})
	m.function("open_reservations", "Reservations that are open, those over that were not swept included.", func() float64 {
		l.mu.RLock()
		defer l.mu.RUnlock()
		return float64(len(l.core.holds))
	})
	m.function("ending_accounts", "Users of whom a lot or a reservation has an end.", func() float64 {
		l.mu.RLock()
		defer l.mu.RUnlock()
		return float64(len(l.core.ends.heap))
	})
	m.function("durable_postings", "Postings in the log.", func() float64 { return float64(l.durable.value()) })
	m.function("index_lag_postings", "Durable postings that the index does not have yet.", func() float64 {
		have := l.indexed.value()
		return float64(l.durable.value() - have)
	})
	m.function("log_bytes", "Length of the log up to its end, all segments together.", func() float64 {
		l.mu.RLock()
		defer l.mu.RUnlock()
		p := l.durableEnd.next
		return float64(max(0, int64(p.segment())-1)*int64(l.cfg.SegmentBytes) + p.offset())
	})
	m.function("filter_bytes", "Memory of the filter of transaction ids.", func() float64 { return float64(len(l.filter.words) * 8) })
}

func (m *metrics) counter(name, help string) prometheus.Counter {
	c := prometheus.NewCounter(prometheus.CounterOpts{Namespace: metricsNamespace, Subsystem: metricsSubsystem, Name: name, Help: help})
	m.all = append(m.all, c)
	return c
}

func (m *metrics) gauge(name, help string) prometheus.Gauge {
	g := prometheus.NewGauge(prometheus.GaugeOpts{Namespace: metricsNamespace, Subsystem: metricsSubsystem, Name: name, Help: help})
	m.all = append(m.all, g)
	return g
}

func (m *metrics) vector(name, help, label string) *prometheus.CounterVec {
	c := prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: metricsNamespace, Subsystem: metricsSubsystem, Name: name, Help: help}, []string{label})
	m.all = append(m.all, c)
	return c
}

func (m *metrics) function(name, help string, value func() float64) {
	m.all = append(m.all, prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: metricsNamespace, Subsystem: metricsSubsystem, Name: name, Help: help}, value))
}

func (m *metrics) register(r prometheus.Registerer) {
	if r != nil {
		r.MustRegister(m.all...)
		m.registered = m.all
	}
}

func (m *metrics) unregister(r prometheus.Registerer) {
	for _, c := range m.registered {
		r.Unregister(c)
	}
}
