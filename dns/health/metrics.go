package health

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kamado/kamado/dns"
)

// metrics counts, and reads the state when it is scraped. Labels: state is
// unknown, healthy or unhealthy; event is start, leave, activate or inactivate;
// way is webhook, smtp or command; name is one of hooks.names. The checks themselves are counted by
// internal/probe, with the label room="dns".
//
//	kamado_dns_checks{state}                  own records with a check
//	kamado_dns_checks_flapping                those that change too often
//	kamado_dns_checks_refused                 those whose check does not run
//	kamado_dns_active{name}                   1 when this member is the active one
//	kamado_dns_hooks_total{event,result}      programs that ran; result is done or failed
//	kamado_dns_hook_seconds{event}            time they took
//	kamado_dns_hooks_dropped_total            left out because too many of a name waited
//	kamado_dns_locks_late_total               activities that ended after their lock did
//	kamado_dns_notes_total{way,result}        notifications; result is sent, failed or dropped
//	kamado_dns_notes_waiting{way}             those that wait; the bound is notesMax
type metrics struct {
	service *Service

	hooks   *prometheus.CounterVec
	seconds *prometheus.HistogramVec
	dropped prometheus.Counter
	late    prometheus.Counter
	notes   *prometheus.CounterVec

	checks, flapping, refused, active, waiting *prometheus.Desc
}

func newMetrics() *metrics {
	return &metrics{
		hooks: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "kamado_dns_hooks_total", Help: "Programs that ran for an event."}, []string{"event", "result"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "kamado_dns_hook_seconds", Help: "Time that programs of events took.",
			Buckets: []float64{.005, .02, .1, .5, 1, 2, 5, 10, 30}}, []string{"event"}),
		dropped:  prometheus.NewCounter(prometheus.CounterOpts{Name: "kamado_dns_hooks_dropped_total", Help: "Programs of events that were left out because too many waited."}),
		late:     prometheus.NewCounter(prometheus.CounterOpts{Name: "kamado_dns_locks_late_total", Help: "Activities that ended after their lock did."}),
		notes:    prometheus.NewCounterVec(prometheus.CounterOpts{Name: "kamado_dns_notes_total", Help: "Notifications."}, []string{"way", "result"}),
		checks:   prometheus.NewDesc("kamado_dns_checks", "Own records with a check.", []string{"state"}, nil),
		flapping: prometheus.NewDesc("kamado_dns_checks_flapping", "Checks whose state changes too often.", nil, nil),
		refused:  prometheus.NewDesc("kamado_dns_checks_refused", "Checks that do not run.", nil, nil),
		active:   prometheus.NewDesc("kamado_dns_active", "Whether this member is the active one of a watched name.", []string{"name"}, nil),
		waiting:  prometheus.NewDesc("kamado_dns_notes_waiting", "Notifications that wait.", []string{"way"}, nil),
	}
}

func (m *metrics) hook(event string, took time.Duration, err error) {
	result := "done"
	if err != nil {
		result = "failed"
	}
	m.hooks.WithLabelValues(event, result).Inc()
	m.seconds.WithLabelValues(event).Observe(took.Seconds())
}

func (m *metrics) note(way, result string, n int) {
	m.notes.WithLabelValues(way, result).Add(float64(n))
}

func (m *metrics) counted() []prometheus.Collector {
	return []prometheus.Collector{m.hooks, m.seconds, m.dropped, m.late, m.notes}
}

// Describe implements prometheus.Collector.
func (m *metrics) Describe(ch chan<- *prometheus.Desc) {
	for _, c := range m.counted() {
		c.Describe(ch)
	}
	for _, d := range []*prometheus.Desc{m.checks, m.flapping, m.refused, m.active, m.waiting} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (m *metrics) Collect(ch chan<- prometheus.Metric) {
	for _, c := range m.counted() {
		c.Collect(ch)
	}
	gauge := func(d *prometheus.Desc, v int, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(v), labels...)
	}
	states, flapping, refused := m.service.checks.count()
	for s := dns.Unknown; s <= dns.Unhealthy; s++ {
		gauge(m.checks, states[s], s.String())
	}
	gauge(m.flapping, flapping)
	gauge(m.refused, refused)
	for _, a := range m.service.Activities() {
		v := 0
		if a.Active {
			v = 1
		}
		gauge(m.active, v, string(a.Name))
	}
	for _, q := range m.service.notes.sinks {
		gauge(m.waiting, q.len(), q.name)
	}
}

// count counts checks by state.
func (c *checks) count() (states map[dns.State]int, flapping, refused int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	states = map[dns.State]int{}
	for _, w := range c.byID {
		states[w.now.State]++
		if w.flapping {
			flapping++
		}
		if w.refused != nil {
			refused++
		}
	}
	return states, flapping, refused
}
