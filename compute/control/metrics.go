package control

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics is what a controller counts. Labels: task is a task's name, result is
// "done" or "failed", state "up" or "down".
type metrics struct {
	c       *Controller
	tasks   *prometheus.HistogramVec
	active  prometheus.Histogram
	placed  prometheus.Counter
	noHost  prometheus.Counter
	again   prometheus.Counter
	orphans prometheus.Counter
	jobs    *prometheus.Desc
	hosts   *prometheus.Desc
}

func newMetrics(c *Controller) *metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: "kamado_compute_" + name, Help: help})
	}
	buckets := []float64{.002, .005, .01, .02, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300}
	return &metrics{
		c: c,
		tasks: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "kamado_compute_task_seconds",
			Help: "Time that tasks of instances took on the host, by task and result.", Buckets: buckets}, []string{"task", "result"}),
		active: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "kamado_compute_create_to_active_seconds",
			Help: "Time from the request for an instance until it was active.", Buckets: buckets}),
		placed:  counter("instances_placed_total", "Instances for which a host was found."),
		noHost:  counter("instances_unplaced_total", "Instances for which no host was found."),
		again:   counter("instances_recovered_total", "Instances that were started again after a crash."),
		orphans: counter("domains_orphaned_total", "Domains of the hypervisor without an instance, that were destroyed."),
		jobs:    prometheus.NewDesc("kamado_compute_jobs", "Jobs of instances that wait or run.", nil, nil),
		hosts:   prometheus.NewDesc("kamado_compute_hosts", "Hosts, by state.", []string{"state"}, nil),
	}
}

func (m *metrics) fixed() []prometheus.Collector {
	return []prometheus.Collector{m.tasks, m.active, m.placed, m.noHost, m.again, m.orphans}
}

// Describe implements prometheus.Collector.
func (m *metrics) Describe(ch chan<- *prometheus.Desc) {
	for _, c := range m.fixed() {
		c.Describe(ch)
	}
	ch <- m.jobs
	ch <- m.hosts
}

// Collect implements prometheus.Collector.
func (m *metrics) Collect(ch chan<- prometheus.Metric) {
	for _, c := range m.fixed() {
		c.Collect(ch)
	}
	up, down := m.c.hosts.count()
	ch <- prometheus.MustNewConstMetric(m.jobs, prometheus.GaugeValue, float64(m.c.queue.len()))
	ch <- prometheus.MustNewConstMetric(m.hosts, prometheus.GaugeValue, float64(up), "up")
	ch <- prometheus.MustNewConstMetric(m.hosts, prometheus.GaugeValue, float64(down), "down")
}

func (m *metrics) task(name string, took time.Duration, err error) {
	result := "done"
	if err != nil {
		result = "failed"
	}
	m.tasks.WithLabelValues(name, result).Observe(took.Seconds())
}
